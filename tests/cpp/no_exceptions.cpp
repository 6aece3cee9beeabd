// The whole header in a program without exceptions and RTTI: what can fail returns a Result.
#include <algorithm>
#include <memory>
#include <numeric>
#include <string>
#include <type_traits>
#include <vector>

#include <csignal>
#include <sys/wait.h>
#include <unistd.h>

#include "check.hpp"

#ifdef __cpp_exceptions
#error "this is compiled with -fno-exceptions"
#endif

namespace {

using toolpool::Batch;
using toolpool::BatchItem;
using toolpool::Device;
using toolpool::Devices;
using toolpool::Error;
using toolpool::ItemOutputs;
using toolpool::Items;
using toolpool::JobOptions;
using toolpool::Outputs;
using toolpool::Pool;
using toolpool::Result;
using toolpool::Tool;

// What can fail is no constructor.
static_assert(!std::is_default_constructible_v<Pool>);
static_assert(!std::is_constructible_v<Pool, const char *>);
static_assert(!std::is_constructible_v<Tool, const char *>);
static_assert(!std::is_constructible_v<Items, std::vector<std::string>>);
static_assert(std::is_nothrow_move_constructible_v<Pool>);

template <class T>
void check_error(const Result<T> &result, toolpool_status_t status, std::string_view message,
                 std::optional<std::size_t> item = std::nullopt) {
    CHECK(!result);
    if (result)
        return;
    CHECK(result.error().status() == status);
    CHECK(has(result.error().what(), message));
    CHECK(result.error().item() == item);
}

Result<void> write(ItemOutputs outputs, std::string_view text) {
    auto memory = outputs.alloc<char>("output", {text.size()});
    if (!memory)
        return memory.error();
    text.copy(memory->data(), text.size());
    return {};
}

Result<void> echo(BatchItem item, ItemOutputs outputs) {
    return item.text().and_then([&](std::string_view text) { return write(outputs, text); });
}

void a_run_gives_results() {
    auto pool = Pool::open(Devices::cpu(2));
    CHECK(bool(pool));
    const auto tool = Tool::open("echo");
    const auto items = Items::of({"GAV", "MKTLL", "GAV"});
    const auto results = pool->run(*tool, *items);
    CHECK(results && results->size() == 3 && !results->partial());
    std::string all;
    for (const auto item : *results)
        all += item["output"].value().text().value();
    CHECK(all == "GAVMKTLLGAV");
    CHECK(bool(results->raise_if_partial()));
    const auto letters = (*results)[1]["output"].and_then(
        [](const toolpool::Tensor &tensor) { return tensor.as<char>(); });
    CHECK(letters && letters->size() == 5 && (*letters)[0] == 'M');
    const auto slots = pool->slots();
    CHECK(slots && slots->size() == 2);
}

void a_loop_may_run_over_a_temporary() {
    auto pool = Pool::open("cpu*1");
    const auto tool = Tool::open("echo");
    std::string all;
    for (const auto item : pool->run(*tool, *Items::of(std::vector<std::string>{"a", "b"})).value())
        all += *item["output"]->text();
    CHECK(all == "ab");
}

void jobs_are_waited_for_and_read() {
    auto pool = Pool::open("cpu*1");
    const auto tool = Tool::open("echo");
    const auto items = Items::of({"a", "b", "a"});
    auto job = pool->submit(*tool, *items, JobOptions().dedup(false).pending_bytes(1));
    CHECK(bool(job));
    std::size_t seen = 0;
    auto some = job->next();
    for (; some && *some; some = job->next())
        seen += (*some)->size();
    CHECK(bool(some) && seen == 3);
    CHECK(job->wait() && job->wait_for(std::chrono::seconds{0}).value());
    CHECK(job->progress()->done == 3);
    check_error(job->results(), TOOLPOOL_ERR_NOT_FOUND, "taken before");
    CHECK(pool->run(*tool, *items, JobOptions().dedup(false))->size() == 3);
    const auto report = job->report();
    CHECK(report->summary()->unique == 3 && report->slots()->size() == 1);
    CHECK(report->counts()->empty() && has(report->json(), "echo"));
    CHECK(job->cancel() && pool->drain() && pool->warm(*tool));
    pool->close();
    check_error(pool->run(*tool, *items), TOOLPOOL_ERR_CLOSED, "closed");
}

void what_fails_returns_its_error() {
    const std::string nul("a\0b", 3);
    check_error(Pool::open("gpu"), TOOLPOOL_ERR_DEVICE, "gpu");
    check_error(Pool::open("cpu", {{"trust", nul}}), TOOLPOOL_ERR_ARGUMENT, "'a' comes a NUL");
    check_error(Tool::open("echo", "", {{"loud", "yes"}}), TOOLPOOL_ERR_OPTION, "loud");
    check_error(toolpool::devices(Devices::cpu(0)), TOOLPOOL_ERR_DEVICE, "cpu*0");
    check_error(toolpool::plan({1, -1}, {1}), TOOLPOOL_ERR_ARGUMENT, "-1", 1U);
    check_error(toolpool::plan({1}, {1}, {1, 1}), TOOLPOOL_ERR_ARGUMENT, "2 largest costs");
    check_error(toolpool::set_log(nullptr, 0), TOOLPOOL_ERR_ARGUMENT, "0");
    check_error(Items::packed(std::string("abc"), std::vector<std::int64_t>{0, 4}),
                TOOLPOOL_ERR_ARGUMENT, "offsets");
    auto items = Items::of({"a", "b"});
    check_error(items->set_costs({1, -2}), TOOLPOOL_ERR_ARGUMENT, "-2", 1U);
    check_error(items->add_field("msa", {"x"}), TOOLPOOL_ERR_ARGUMENT, "msa");
    auto pool = Pool::open("cpu*1");
    auto tool = Tool::open("echo");
    check_error(tool->set("loud", "yes"), TOOLPOOL_ERR_OPTION, "loud");
    check_error(pool->submit(*tool, *items, {{"dedupe", "true"}}), TOOLPOOL_ERR_OPTION, "dedup");
    const auto results = pool->run(*tool, *items);
    check_error((*results)[0]["mean"], TOOLPOOL_ERR_NOT_FOUND, "output", 0U);
    check_error((*results)[0]["output"]->as<float>(), TOOLPOOL_ERR_ARGUMENT, "float32");
    check_error(results->column<float>("output"), TOOLPOOL_ERR_ARGUMENT, "bytes");
    check_error(results->stack<float>("output"), TOOLPOOL_ERR_ARGUMENT, "bytes");
}

void lambdas_return_the_error_of_their_item() {
    auto pool = Pool::open("cpu*1");
    const auto tool = Tool::from("picky", [](BatchItem item, ItemOutputs outputs) -> Result<void> {
        if (*item.text() == "b")
            return Error(TOOLPOOL_ERR_MODEL, "no b");
        return echo(item, outputs);
    });
    const auto results = pool->run(*tool, *Items::of({"a", "b", "c"}));
    CHECK(results->partial() && (*results)[0].ok() && (*results)[2].ok());
    CHECK((*results)[1].status() == TOOLPOOL_ERR_MODEL && has((*results)[1].error(), "no b"));
    check_error(results->raise_if_partial(), TOOLPOOL_ERR_MODEL, "1 of 3 items failed", 1U);
}

void lambdas_of_batches_return_an_error_that_splits_them() {
    auto pool = Pool::open("cpu*1");
    const auto tool = Tool::from("small", [](Batch batch, Outputs outputs) -> Result<void> {
        if (batch.size() > 3)
            return Error(TOOLPOOL_ERR_OUT_OF_MEMORY, "at most 3");
        for (const BatchItem item : batch)
            if (auto done = echo(item, outputs[item.index()]); !done)
                return done;
        return outputs.count("items", static_cast<double>(batch.size()));
    });
    std::vector<std::string> numbers;
    for (int i = 0; i < 40; ++i)
        numbers.push_back(std::to_string(i));
    auto job = pool->submit(*tool, *Items::of(numbers));
    CHECK(!job->results()->partial());
    CHECK(job->report()->counts()->at("items") == 40);
}

void lambdas_that_return_nothing_do_too() {
    auto pool = Pool::open("cpu*1");
    const auto tool = Tool::from("void", [](BatchItem item, ItemOutputs outputs) {
        (*outputs.alloc<float>("output", {}))[0] = static_cast<float>(item.text()->size());
    });
    const auto lengths = pool->run(*tool, *Items::of({"a", "bbb"}))->stack<float>("output");
    CHECK((*lengths == std::vector<float>{1, 3}));
}

void a_load_returns_a_state_or_an_error() {
    auto pool = Pool::open("cpu*2");
    const auto run = [](std::string &state, BatchItem, ItemOutputs outputs) {
        return write(outputs, state);
    };
    const auto tool = Tool::from(
        "stated",
        [](const Device &device) -> Result<std::string> {
            if (device.slot == 0)
                return Error(TOOLPOOL_ERR_MODEL, "slot 0 is too small");
            return std::string("loaded");
        },
        run);
    check_error(pool->warm(*tool), TOOLPOOL_ERR_MODEL, "slot 0 is too small");
    const auto results = pool->run(*tool, *Items::of({"a"}));
    CHECK((*results)[0]["output"]->text().value() == "loaded" && (*results)[0].slot() == 1);
}

void tensors_go_in_and_come_out() {
    auto pool = Pool::open("cpu*1");
    auto items = Items::tensors(std::vector<std::vector<float>>{{1, 2}, {3}}, "x");
    CHECK(bool(items->add_tensors(std::vector<std::vector<float>>{{10}, {20}}, "y")));
    const auto tool = Tool::from("sum", [](BatchItem item, ItemOutputs outputs) -> Result<void> {
        const auto x = item["x"]->as<float>(), y = item[1]->as<float>();
        auto sum = outputs.alloc<float>("sum", {});
        if (!x || !y || !sum)
            return Error(TOOLPOOL_ERR_ITEM, "no floats");
        (*sum)[0] = std::accumulate(x->begin(), x->end(), (*y)[0]);
        return {};
    });
    CHECK((*pool->run(*tool, *items)->stack<float>("sum") == std::vector<float>{13, 23}));
}

void costs_order() {
    auto pool = Pool::open("cpu*1");
    toolpool::Batching batching;
    batching.cost = [](std::string_view item) { return item == "b" ? 2.0 : 1.0; };
    batching.extent = [](std::string_view) { return 1; };
    batching.budget = 1;
    std::string order;
    const auto tool = Tool::from(
        "ordered",
        [&order](BatchItem item, ItemOutputs outputs) {
            order += *item.text();
            return echo(item, outputs);
        },
        batching);
    CHECK(!pool->run(*tool, *Items::of({"a", "b"}))->partial() && order == "ba");
    batching.cost = [](std::string_view) { return -1.0; };
    const auto refused = Tool::from("refused", echo, batching);
    check_error(pool->run(*refused, *Items::of({"a"})), TOOLPOOL_ERR_ARGUMENT, "-1", 0U);
}

void a_value_that_is_not_there_ends_the_program() {
    const pid_t child = fork();
    if (child == 0) {
        close(STDERR_FILENO); // where it says why
        (void)Pool::open("gpu").value();
        _exit(0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

} // namespace

int main() {
    a_value_that_is_not_there_ends_the_program();
    a_run_gives_results();
    a_loop_may_run_over_a_temporary();
    jobs_are_waited_for_and_read();
    what_fails_returns_its_error();
    lambdas_return_the_error_of_their_item();
    lambdas_of_batches_return_an_error_that_splits_them();
    lambdas_that_return_nothing_do_too();
    a_load_returns_a_state_or_an_error();
    tensors_go_in_and_come_out();
    costs_order();
    return failures != 0;
}

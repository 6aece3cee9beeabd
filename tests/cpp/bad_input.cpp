// Bad input: an Error with status, message and item, and nothing lost.
#include <chrono>
#include <limits>
#include <string>
#include <vector>

#include "check.hpp"

namespace {

using namespace std::chrono_literals;
using toolpool::Devices;
using toolpool::Items;
using toolpool::PoolOptions;
using toolpool::Tool;

template <class Body>
void check_error(Body body, toolpool_status_t status, std::string_view message,
                 std::optional<std::size_t> item = std::nullopt) {
    const toolpool::Error error = error_of(body);
    CHECK(error.status() == status);
    CHECK(has(error.what(), message));
    CHECK(error.item() == item);
}

const std::string with_nul("a\0b", 3);

void devices() {
    const auto open = [](const std::string &devices) { return [=] { toolpool::Pool{devices}; }; };
    check_error(open("gpu"), TOOLPOOL_ERR_DEVICE, "gpu");
    check_error(open("cuda:99"), TOOLPOOL_ERR_DEVICE, "CUDA_VISIBLE_DEVICES");
    check_error(open("cpu*0"), TOOLPOOL_ERR_DEVICE, "cpu*0");
    check_error(open("\xff"), TOOLPOOL_ERR_ARGUMENT, "UTF-8");
    check_error(open(with_nul), TOOLPOOL_ERR_ARGUMENT, "'a' comes a NUL");
    check_error([] { toolpool::Pool{Devices::cpu(0)}; }, TOOLPOOL_ERR_DEVICE, "cpu*0");
    check_error([] { toolpool::Pool{Devices::first(0)}; }, TOOLPOOL_ERR_DEVICE, "\"0\"");
    check_error([] { toolpool::Pool{Devices::cuda({})}; }, TOOLPOOL_ERR_DEVICE, "\"\"");
    check_error([] { toolpool::Pool{Devices::cuda({-1})}; }, TOOLPOOL_ERR_DEVICE, "cuda:-1");
    check_error([] { toolpool::Pool("cpu", PoolOptions().threads(0)); }, TOOLPOOL_ERR_OPTION,
                "'0'");
    check_error([] { toolpool::Pool("cpu", PoolOptions().memory_limit(-1)); }, TOOLPOOL_ERR_OPTION,
                "'-1'");
    const auto with = [](const std::string &key, const std::string &value) {
        return [=] { toolpool::Pool("cpu", {{key, value}}); };
    };
    check_error(with("trust", "maybe"), TOOLPOOL_ERR_OPTION, "'code' or 'data'");
    check_error(with("threads", with_nul), TOOLPOOL_ERR_ARGUMENT, "'a' comes a NUL");
    check_error([] { (void)toolpool::devices("nonsense"); }, TOOLPOOL_ERR_DEVICE, "nonsense");
}

void tools() {
    check_error([] { Tool{"ech"}; }, TOOLPOOL_ERR_TOOL, "echo");
    check_error([] { Tool{"echo", "", {{"loud", "yes"}}}; }, TOOLPOOL_ERR_OPTION, "loud");
    check_error([] { Tool{"library", "/nowhere.so:tool"}; }, TOOLPOOL_ERR_TOOL, "/nowhere.so");
    check_error([] { Tool{"echo", with_nul}; }, TOOLPOOL_ERR_ARGUMENT, "'a' comes a NUL");
    Tool tool{"echo"};
    check_error([&] { tool.set("loud", "yes"); }, TOOLPOOL_ERR_OPTION, "loud");
    check_error([&] { tool.set(with_nul, "yes"); }, TOOLPOOL_ERR_ARGUMENT, "'a' comes a NUL");
}

void options() {
    toolpool::Pool pool{"cpu*1"};
    const auto with = [&](const toolpool::JobOptions &options) {
        return [&pool, options] { (void)pool.submit(Tool{"echo"}, {"x"}, options); };
    };
    using Options = toolpool::JobOptions;
    check_error(with({{"dedupe", "true"}}), TOOLPOOL_ERR_OPTION, "dedup");
    check_error(with({{"dedup", "maybe"}}), TOOLPOOL_ERR_OPTION, "maybe");
    check_error(with({{"dedup", with_nul}}), TOOLPOOL_ERR_ARGUMENT, "'a' comes a NUL");
    check_error(with(Options().pending_bytes(-1)), TOOLPOOL_ERR_OPTION, "-1");
    check_error(with(Options().retries(-2)), TOOLPOOL_ERR_OPTION, "-2");
    check_error(with(Options().time_limit(0s)), TOOLPOOL_ERR_OPTION, "above 0");
    check_error(with(Options().batch_time_limit(-1ms)), TOOLPOOL_ERR_OPTION, "-0.001");
}

void items() {
    Items items{"a", "b", "c"};
    check_error([&] { items.set_costs({1, 2}); }, TOOLPOOL_ERR_ARGUMENT, "2 costs for 3 items");
    check_error([&] { items.set_costs({1, -2, 3}); }, TOOLPOOL_ERR_ARGUMENT, "-2", 1U);
    check_error([&] { items.set_costs({1, 2, std::numeric_limits<double>::quiet_NaN()}); },
                TOOLPOOL_ERR_ARGUMENT, "NaN", 2U);
    check_error([&] { items.add_field("msa", {"x", "y"}); }, TOOLPOOL_ERR_ARGUMENT, "msa");
    check_error([&] { items.add_field("input", std::vector<std::string>(3)); },
                TOOLPOOL_ERR_ARGUMENT, "input");
    const auto packed = [](std::vector<std::int64_t> offsets) {
        return [=] { (void)Items::packed(std::string("abc"), offsets); };
    };
    check_error(packed({}), TOOLPOOL_ERR_ARGUMENT, "offsets");
    check_error(packed({0, 4}), TOOLPOOL_ERR_ARGUMENT, "offsets");
    check_error(packed({0, 9, 3}), TOOLPOOL_ERR_ARGUMENT, "offset 2");
    check_error(packed({-1, 3}), TOOLPOOL_ERR_ARGUMENT, "negative");
    check_error([] { (void)Items::borrow(nullptr, static_cast<std::int64_t *>(nullptr), 1, {}); },
                TOOLPOOL_ERR_ARGUMENT, "NULL");
}

void results() {
    toolpool::Pool pool{"cpu*1"};
    const auto tool = Tool::from("picky", [](toolpool::Batch batch, toolpool::Outputs outputs) {
        for (std::size_t i = 0; i < batch.size(); ++i)
            if (batch[i].text() == "bad")
                throw std::runtime_error("a bad item");
            else
                echo(batch, outputs, i);
    });
    const auto results = pool.run(tool, {"good", "fine", "bad", "good"});
    CHECK(results.partial());
    check_error([&] { (void)results[2]["output"]; }, TOOLPOOL_ERR_FAILED, "a bad item", 2U);
    check_error([&] { results.raise_if_partial(); }, TOOLPOOL_ERR_FAILED, "1 of 4 items failed",
                2U);
    check_error([&] { (void)results.stack<char>("output"); }, TOOLPOOL_ERR_FAILED, "a bad item",
                2U);
    check_error([&] { (void)results[1]["mean"]; }, TOOLPOOL_ERR_NOT_FOUND, "output", 1U);
    check_error([&] { (void)results.column<char>("mean"); }, TOOLPOOL_ERR_NOT_FOUND, "output");
    check_error([&] { (void)results[4]["output"]; }, TOOLPOOL_ERR_NOT_FOUND, "4");
    check_error([&] { (void)results[1][with_nul]; }, TOOLPOOL_ERR_ARGUMENT, "'a' comes a NUL");
    check_error([&] { (void)results[1]["output"].as<float>(); }, TOOLPOOL_ERR_ARGUMENT, "float32");
    CHECK(results[4].index() == SIZE_MAX && results[4].status() == TOOLPOOL_ERR_NOT_FOUND);
    const auto ragged = pool.run(tool, {"good", "longer"});
    check_error([&] { (void)ragged.stack<char>("output"); }, TOOLPOOL_ERR_ARGUMENT, "shape", 1U);
}

void plans() {
    const auto plan = [](std::vector<double> costs, std::vector<double> weights,
                         std::vector<double> most) {
        return [=] { (void)toolpool::plan(costs, weights, most); };
    };
    check_error(plan({1}, {}, {}), TOOLPOOL_ERR_ARGUMENT, "slot");
    check_error(plan({1}, {0}, {}), TOOLPOOL_ERR_ARGUMENT, "0");
    check_error(plan({1, -1}, {1}, {}), TOOLPOOL_ERR_ARGUMENT, "-1", 1U);
    check_error(plan({1, 5}, {1}, {4}), TOOLPOOL_ERR_ARGUMENT, "5", 1U);
    check_error(plan({1}, {1, 1}, {4}), TOOLPOOL_ERR_ARGUMENT, "1 largest costs for 2 slots");
}

void log_levels() {
    check_error([] { toolpool::set_log(nullptr, 0); }, TOOLPOOL_ERR_ARGUMENT, "0");
}

} // namespace

int main() {
    devices();
    tools();
    options();
    items();
    results();
    plans();
    log_levels();
    return failures != 0;
}

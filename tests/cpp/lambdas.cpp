// Tools of lambdas: their states, what they throw, and what becomes of it.
#include <atomic>
#include <memory>
#include <numeric>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "check.hpp"

namespace {

using toolpool::Batch;
using toolpool::Device;
using toolpool::Outputs;
using toolpool::Tool;

/// `count` distinct items, "0", "1" ...
std::vector<std::string> numbers(int count) {
    std::vector<std::string> numbers;
    for (int i = 0; i < count; ++i)
        numbers.push_back(std::to_string(i));
    return numbers;
}

void echo_all(Batch batch, Outputs outputs) {
    for (std::size_t i = 0; i < batch.size(); ++i)
        echo(batch, outputs, i);
}

/// A tool that echoes all items but "13", where `fault` throws.
template <class Fault> Tool faulty(Fault fault) {
    return Tool::from("faulty", [fault](Batch batch, Outputs outputs) {
        for (std::size_t i = 0; i < batch.size(); ++i) {
            if (batch[i].text() == "13")
                fault();
            echo(batch, outputs, i);
        }
    });
}

/// Runs such a tool, and checks that "13" alone failed, as told.
template <class Fault>
void check_fault(Fault fault, toolpool_status_t status, std::string_view message) {
    toolpool::Pool pool{"cpu*2"};
    const auto results = pool.run(faulty(fault), numbers(50));
    CHECK(results.size() == 50 && results.partial());
    for (const auto item : results) {
        if (item.index() != 13) {
            CHECK(item.ok() && item["output"].text() == std::to_string(item.index()));
            continue;
        }
        CHECK(item.status() == status && has(item.error(), message));
        const auto error = error_of([&] { (void)item["output"]; });
        CHECK(error.status() == status && error.item() == 13U && has(error.what(), message));
    }
}

struct Unreadable : std::exception {
    const char *what() const noexcept override { return "caf\xe9"; }
};

void the_item_that_makes_a_lambda_throw_fails_alone() {
    check_fault([] { throw std::runtime_error("unlucky"); }, TOOLPOOL_ERR_FAILED, "unlucky");
    check_fault([] { throw 13; }, TOOLPOOL_ERR_FAILED, "no std::exception");
    check_fault([] { throw std::bad_alloc(); }, TOOLPOOL_ERR_OUT_OF_MEMORY, "bad_alloc");
    check_fault([] { throw toolpool::Error(TOOLPOOL_ERR_ITEM, "cannot"); }, TOOLPOOL_ERR_ITEM,
                "cannot");
    check_fault([] { throw toolpool::Error(7, "which is no error"); }, TOOLPOOL_ERR_CONTRACT,
                "which is no error");
    check_fault([] { throw Unreadable(); }, TOOLPOOL_ERR_FAILED, "caf");
}

void out_of_memory_halves_the_batch_until_it_fits() {
    toolpool::Pool pool{"cpu*1"};
    const auto tool = Tool::from("small", [](Batch batch, Outputs outputs) {
        if (batch.size() > 3)
            throw std::bad_alloc();
        echo_all(batch, outputs);
    });
    CHECK(!pool.run(tool, numbers(40)).partial());
}

void a_tool_that_always_throws_fails_the_job() {
    toolpool::Pool pool{"cpu*2"};
    const auto tool =
        Tool::from("broken", [](Batch, Outputs) { throw std::runtime_error("no such engine"); });
    const auto error = error_of([&] { (void)pool.run(tool, numbers(1000)); });
    CHECK(error.status() == TOOLPOOL_ERR_FAILED && has(error.what(), "no such engine"));
}

void items_can_be_failed_and_remarked_on() {
    toolpool::Pool pool{"cpu*1"};
    const auto tool = Tool::from("picky", [](Batch batch, Outputs outputs) {
        for (std::size_t i = 0; i < batch.size(); ++i) {
            if (batch[i].text() == "a")
                outputs[i].fail("a is not for us");
            else if (batch[i].text() == "b")
                outputs[i].fail("caf\xe9", TOOLPOOL_ERR_MODEL);
            else
                echo(batch, outputs, i);
            outputs[i].warn("seen");
        }
    });
    const auto results = pool.run(tool, {"a", "b", "c"});
    CHECK(results[0].status() == TOOLPOOL_ERR_ITEM && has(results[0].error(), "not for us"));
    CHECK(results[1].status() == TOOLPOOL_ERR_MODEL && has(results[1].error(), "caf"));
    CHECK(results[2].ok() && results[2].warning() == "seen");
}

void what_does_not_keep_to_the_contract_is_refused() {
    toolpool::Pool pool{"cpu*1"};
    const auto status = [&](auto run) {
        const auto results = pool.run(Tool::from("wrong", run), {"x"});
        CHECK(results.partial() && !results[0].error().empty());
        return results[0].status();
    };
    CHECK(status([](Batch, Outputs) {}) == TOOLPOOL_ERR_CONTRACT);
    CHECK(status([](Batch batch, Outputs outputs) {
              echo(batch, outputs, 0);
              echo(batch, outputs, 0);
          }) == TOOLPOOL_ERR_CONTRACT);
    CHECK(status([](Batch, Outputs outputs) { (void)outputs[1].alloc<float>("output", {1}); }) ==
          TOOLPOOL_ERR_CONTRACT);
    CHECK(status([](Batch, Outputs outputs) { outputs[1].fail("who"); }) == TOOLPOOL_ERR_CONTRACT);
    CHECK(status([](Batch, Outputs outputs) { (void)outputs[0].alloc<float>("output", {-1}); }) ==
          TOOLPOOL_ERR_ARGUMENT);
    CHECK(status([](Batch batch, Outputs) { (void)batch[1].text(); }) == TOOLPOOL_ERR_NOT_FOUND);
    CHECK(status([](Batch batch, Outputs) { (void)batch[0]["msa"]; }) == TOOLPOOL_ERR_NOT_FOUND);
    const toolpool::Items items{"x"};
    CHECK(status([&](Batch, Outputs) { (void)pool.run(Tool{"echo"}, items); }) ==
          TOOLPOOL_ERR_REENTRANT);
}

/// Counts its instances; each must die on the thread that it was made on.
struct Model {
    static inline std::atomic<int> made{0}, alive{0};
    std::thread::id thread = std::this_thread::get_id();
    int batches = 0;

    explicit Model(const Device &device) {
        CHECK(device.size == sizeof(Device) && device.slot >= 0 && device.threads >= 1);
        ++made;
        ++alive;
    }
    ~Model() {
        CHECK(std::this_thread::get_id() == thread);
        --alive;
    }
    Model(const Model &) = delete;
};

void each_worker_has_a_state_of_its_own() {
    {
        toolpool::Pool pool{"cpu*3"};
        const auto tool = Tool::from(
            "model", [](const Device &device) { return Model(device); },
            [](Model &model, Batch batch, Outputs outputs) {
                CHECK(std::this_thread::get_id() == model.thread);
                ++model.batches;
                echo_all(batch, outputs);
            });
        pool.warm(tool);
        CHECK(Model::made == 3 && Model::alive == 3);
        CHECK(!pool.run(tool, numbers(100)).partial());
        CHECK(!pool.run(tool, numbers(100)).partial());
        CHECK(Model::made == 3);
    }
    CHECK(Model::alive == 0);
}

void a_load_that_throws_fails_the_job_with_its_reason() {
    toolpool::Pool pool{"cpu*2"};
    const auto run = [](int &, Batch, Outputs) {};
    const auto none = Tool::from(
        "none", [](const Device &) -> int { throw std::runtime_error("no weights"); }, run);
    const auto error = error_of([&] { (void)pool.run(none, {"x"}); });
    CHECK(error.status() == TOOLPOOL_ERR_FAILED && has(error.what(), "no weights"));
    const auto odd = Tool::from("odd", [](const Device &) -> int { throw 'x'; }, run);
    CHECK(error_of([&] { pool.warm(odd); }).status() == TOOLPOOL_ERR_FAILED);
    const auto model = Tool::from(
        "model",
        [](const Device &) -> int { throw toolpool::Error(TOOLPOOL_ERR_MODEL, "damaged"); }, run);
    CHECK(error_of([&] { (void)pool.run(model, {"x"}); }).status() == TOOLPOOL_ERR_MODEL);
}

void where_one_load_throws_the_others_do_the_work() {
    toolpool::Pool pool{"cpu*2"};
    const auto tool = Tool::from(
        "half",
        [](const Device &device) {
            if (device.slot == 0)
                throw std::runtime_error("slot 0 is too small");
            return 0;
        },
        [](int &, Batch batch, Outputs outputs) { echo_all(batch, outputs); });
    CHECK(has(error_of([&] { pool.warm(tool); }).what(), "slot 0 is too small"));
    const auto results = pool.run(tool, numbers(20));
    CHECK(!results.partial());
    for (const auto item : results)
        CHECK(item.slot() == 1);
}

/// Counts how often what it is a part of is destroyed.
auto counting(int &count) {
    return std::shared_ptr<void>(nullptr, [&count](void *) { ++count; });
}

void lambdas_are_destroyed_once() {
    int loads = 0, runs = 0, costs = 0;
    {
        toolpool::Pool pool{"cpu*2"};
        toolpool::Batching batching;
        batching.cost = [counted = counting(costs)](std::string_view) { return 1.0; };
        auto tool = Tool::from(
            "counted", [counted = counting(loads)](const Device &) { return 0; },
            [counted = counting(runs)](int &, Batch batch, Outputs outputs) {
                echo_all(batch, outputs);
            },
            batching);
        batching = {};
        CHECK(!pool.run(tool, numbers(10)).partial());
        CHECK(loads == 0 && runs == 0 && costs == 0);
        const auto job = pool.submit(tool, numbers(10));
        tool = Tool{"echo"};
    }
    CHECK(loads == 1 && runs == 1 && costs == 1);
}

void lambdas_of_a_tool_that_cannot_be_made_are_destroyed() {
    int runs = 0;
    const auto error = error_of([&] {
        (void)Tool::from(std::string("a\0b", 3), [counted = counting(runs)](Batch, Outputs) {});
    });
    CHECK(error.status() == TOOLPOOL_ERR_ARGUMENT && runs == 1);
}

void costs_order_and_extents_cut() {
    toolpool::Pool pool{"cpu*1"};
    toolpool::Batching batching;
    batching.cost = [](std::string_view item) { return std::stod(std::string(item)); };
    batching.extent = [](std::string_view) { return 10; };
    batching.budget = 39;
    std::vector<int> order;
    const auto tool = Tool::from(
        "ordered",
        [&order](Batch batch, Outputs outputs) {
            CHECK(batch.size() <= 3);
            for (std::size_t i = 0; i < batch.size(); ++i)
                order.push_back(std::stoi(std::string(batch[i].text())));
            echo_all(batch, outputs);
        },
        batching);
    CHECK(!pool.run(tool, numbers(10)).partial());
    CHECK((order == std::vector<int>{9, 8, 7, 6, 5, 4, 3, 2, 1, 0}));

    batching = {};
    batching.items = 1;
    const auto single = Tool::from(
        "single",
        [](Batch batch, Outputs outputs) {
            CHECK(batch.size() == 1);
            echo_all(batch, outputs);
        },
        batching);
    CHECK(!pool.run(single, numbers(10)).partial());
}

void what_cost_and_extent_throw_comes_out_of_the_call() {
    toolpool::Pool pool{"cpu*1"};
    toolpool::Batching costs, extents, nan;
    costs.cost = [](std::string_view item) -> double {
        return item == "3" ? throw std::out_of_range("no cost") : 1.0;
    };
    extents.extent = [](std::string_view item) -> std::uint64_t {
        return item == "3" ? throw std::out_of_range("no extent") : 1;
    };
    nan.cost = [](std::string_view item) { return item == "3" ? std::nan("") : 1.0; };
    const auto thrown = [](auto body) -> std::string {
        try {
            body();
        } catch (const std::out_of_range &exception) {
            return exception.what();
        }
        return "nothing";
    };
    const auto items = numbers(10);
    const auto dear = Tool::from("dear", echo_all, costs);
    const auto wide = Tool::from("wide", echo_all, extents);
    CHECK(thrown([&] { (void)pool.run(dear, items); }) == "no cost");
    CHECK(thrown([&] { (void)pool.submit(dear, items); }) == "no cost");
    CHECK(thrown([&] { (void)pool.run(wide, items); }) == "no extent");
    CHECK(thrown([&] { (void)pool.submit(wide, items); }) == "no extent");
    CHECK(!pool.run(dear, {"1"}).partial());
    const auto error = error_of([&] { (void)pool.run(Tool::from("nan", echo_all, nan), items); });
    CHECK(error.status() == TOOLPOOL_ERR_ARGUMENT && error.item() == 3U);
}

} // namespace

int main() {
    the_item_that_makes_a_lambda_throw_fails_alone();
    out_of_memory_halves_the_batch_until_it_fits();
    a_tool_that_always_throws_fails_the_job();
    items_can_be_failed_and_remarked_on();
    what_does_not_keep_to_the_contract_is_refused();
    each_worker_has_a_state_of_its_own();
    a_load_that_throws_fails_the_job_with_its_reason();
    where_one_load_throws_the_others_do_the_work();
    lambdas_are_destroyed_once();
    lambdas_of_a_tool_that_cannot_be_made_are_destroyed();
    costs_order_and_extents_cut();
    what_cost_and_extent_throw_comes_out_of_the_call();
    return failures != 0;
}

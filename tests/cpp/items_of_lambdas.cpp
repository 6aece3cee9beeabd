// What lambdas see of their items, tensors and fields by name, and what becomes of each.
#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "check.hpp"

namespace {

using toolpool::Batch;
using toolpool::BatchItem;
using toolpool::Device;
using toolpool::ItemOutputs;
using toolpool::Items;
using toolpool::Outputs;
using toolpool::Pool;
using toolpool::Shape;
using toolpool::Tool;

using Vectors = std::vector<std::vector<float>>;

void tensors_are_read_by_name_and_written_by_name() {
    Pool pool{"cpu*2"};
    const std::array<std::int64_t, 6> matrix{1, 2, 3, 4, 5, 6};
    auto items = Items::tensors(Vectors{{1, 2}, {3, 4}}, "x");
    items.add_tensors(
        {toolpool::view(matrix.data(), {2, 3}), toolpool::view(matrix.data(), {3, 2})},
        std::make_shared<int>(), "m");
    items.add_field("label", {"first", "second"});
    const auto tool = Tool::from("scaled", [](BatchItem item, ItemOutputs outputs) {
        const auto x = item["x"].as<float>();
        const toolpool::Tensor m = item["m"];
        const auto sum = std::accumulate(x.begin(), x.end(), 0.0F);
        const auto scaled = outputs.alloc<float>("scaled", m.shape());
        const auto values = m.as<std::int64_t>();
        std::transform(values.begin(), values.end(), scaled.begin(),
                       [sum](std::int64_t value) { return sum * static_cast<float>(value); });
        const auto label = item["label"].text();
        label.copy(outputs.alloc<char>("label", {label.size()}).data(), label.size());
    });
    const auto results = pool.run(tool, items);
    CHECK(!results.partial());
    CHECK((results[0]["scaled"].shape() == Shape{2, 3}));
    CHECK((results[1]["scaled"].shape() == Shape{3, 2}));
    CHECK(results[0]["scaled"].as<float>()[5] == 18 && results[1]["scaled"].as<float>()[5] == 42);
    CHECK(results[0]["label"].text() == "first" && results[1]["label"].text() == "second");
}

void fields_have_numbers_and_default_names() {
    Pool pool{"cpu*1"};
    auto items = Items::tensors(Vectors{{5}});
    items.add_tensors(Vectors{{6}});
    const auto tool = Tool::from("both", [](BatchItem item, ItemOutputs outputs) {
        CHECK(item[0].data() == item["0"].data() && item[1].data() == item["1"].data());
        CHECK(item[0].shape() == Shape{1} && item[0].dtype() == TOOLPOOL_FLOAT32);
        outputs.alloc<float>("sum", {})[0] = item[0].as<float>()[0] + item[1].as<float>()[0];
    });
    CHECK((pool.run(tool, items).stack<float>("sum") == std::vector<float>{11}));
}

void a_field_that_is_not_there_is_the_items_error() {
    Pool pool{"cpu*1"};
    Items items{"a"};
    items.add_field("msa", {"b"});
    const auto error = [&](auto read) {
        const auto tool = Tool::from("asks", [read](BatchItem item, ItemOutputs) { read(item); });
        const auto results = pool.run(tool, items);
        return std::string(results[0].error());
    };
    CHECK(has(error([](BatchItem item) { (void)item["template"]; }),
              "there is no field 'template' of item 0 in a batch of 1; the fields are input, msa"));
    CHECK(has(error([](BatchItem item) { (void)item[2]; }), "no field '2'"));
    CHECK(has(error([](BatchItem item) { (void)item["msa"].as<float>(); }),
              "the tensor is of bytes, but was asked for as float32"));
    const auto tool = Tool::from("reads", [](BatchItem item, ItemOutputs) { (void)item.text(); });
    const auto results = pool.run(tool, Items::tensors(Vectors{{1}}));
    CHECK(has(results[0].error(), "asked for as bytes"));
}

/// Runs `fault` on the item "b" of "a", "b", "c", whose batches are counted by size.
template <class Fault> auto run_faulty(const Fault &fault, std::map<std::size_t, int> &calls) {
    Pool pool{"cpu*1"};
    std::size_t seen = 0;
    const auto tool = Tool::from("faulty", [&](BatchItem item, ItemOutputs outputs) {
        ++calls[seen++];
        if (item.text() == "b")
            fault(outputs);
        outputs.alloc<float>("output", {})[0] = 1;
    });
    return pool.run(tool, {"a", "b", "c"});
}

void what_is_thrown_over_an_item_is_its_error_at_once() {
    std::map<std::size_t, int> calls;
    const auto results =
        run_faulty([](ItemOutputs) { throw std::runtime_error("unlucky"); }, calls);
    CHECK(calls.size() == 3); // none was computed again to find the guilty
    CHECK(results[0].ok() && results[2].ok());
    CHECK(results[1].status() == TOOLPOOL_ERR_FAILED && results[1].error() == "unlucky");
    const auto odd = run_faulty([](ItemOutputs) { throw 7; }, calls);
    CHECK(has(odd[1].error(), "no std::exception"));
    const auto own = run_faulty(
        [](ItemOutputs) { throw toolpool::Error(TOOLPOOL_ERR_MODEL, "damaged"); }, calls);
    CHECK(own[1].status() == TOOLPOOL_ERR_MODEL && own[1].error() == "damaged");
    const auto after = run_faulty(
        [](ItemOutputs outputs) {
            outputs.alloc<float>("output", {})[0] = 2;
            throw std::runtime_error("too late");
        },
        calls);
    CHECK(after[1].error() == "too late" && after[2].ok());
}

void an_item_can_be_failed_and_remarked_on() {
    std::map<std::size_t, int> calls;
    const auto results = run_faulty(
        [](ItemOutputs outputs) {
            outputs.warn("odd");
            outputs.fail("not for us");
        },
        calls);
    CHECK(results[1].status() == TOOLPOOL_ERR_ITEM && results[1].error() == "not for us");
    CHECK(results[1].warning() == "odd" && results[0].warning().empty());
}

void an_item_may_be_tried_again() {
    std::map<std::size_t, int> calls;
    int tries = 0;
    const auto results = run_faulty(
        [&tries](ItemOutputs) {
            if (++tries < 3)
                throw toolpool::Error(TOOLPOOL_ERR_TRANSIENT, "busy");
        },
        calls);
    CHECK(!results.partial() && tries == 3);
}

void memory_that_runs_out_concerns_the_batch() {
    Pool pool{"cpu*1"};
    std::size_t in_batch = 0;
    const auto tool = Tool::from("small", [&](BatchItem item, ItemOutputs outputs) {
        in_batch = item.index() + 1;
        if (in_batch > 3)
            throw std::bad_alloc();
        outputs.alloc<float>("output", {})[0] = static_cast<float>(in_batch);
    });
    std::vector<std::string> numbers;
    for (int i = 0; i < 100; ++i)
        numbers.push_back(std::to_string(i));
    CHECK(!pool.run(tool, numbers).partial());
}

void items_have_the_state_of_their_worker() {
    Pool pool{"cpu*2"};
    const auto tool = Tool::from(
        "stated", [](const Device &device) { return device.slot; },
        [](std::int32_t &slot, BatchItem, ItemOutputs outputs) {
            outputs.alloc<std::int32_t>("slot", {})[0] = slot;
        });
    for (const auto item : pool.run(tool, {"a", "b", "c"}))
        CHECK(item["slot"].as<std::int32_t>()[0] == item.slot());
}

/// Whether the tool gives the length of each item.
bool gives_lengths(const Tool &tool) {
    Pool pool{"cpu*2"};
    return pool.run(tool, {"a", "", "abc"}).stack<float>("length") == std::vector<float>{1, 0, 3};
}

template <class In, class Out> void write_length(const In &item, const Out &outputs) {
    outputs.template alloc<float>("length", {})[0] = static_cast<float>(item.text().size());
}

void lambdas_take_their_parameters_in_any_way() {
    const auto load = [](const Device &device) { return device.slot; };
    CHECK(gives_lengths(Tool::from("auto", [](auto item, auto outputs) {
        outputs.template alloc<float>("length", {})[0] = static_cast<float>(item.text().size());
    })));
    CHECK(gives_lengths(
        Tool::from("auto &", [](auto &item, auto &outputs) { write_length(item, outputs); })));
    CHECK(gives_lengths(
        Tool::from("auto &&", [](auto &&item, auto &&outputs) { write_length(item, outputs); })));
    CHECK(gives_lengths(Tool::from(
        "&", [](BatchItem &item, ItemOutputs &outputs) { write_length(item, outputs); })));
    CHECK(
        gives_lengths(Tool::from("const &", [](const BatchItem &item, const ItemOutputs &outputs) {
            write_length(item, outputs);
        })));
    CHECK(gives_lengths(Tool::from("state", load, [](auto &, auto item, const auto &outputs) {
        write_length(item, outputs);
    })));
    CHECK(gives_lengths(Tool::from("batch &", [](Batch &batch, Outputs &outputs) {
        for (const auto item : batch)
            write_length(item, outputs[item.index()]);
    })));
    CHECK(gives_lengths(
        Tool::from("state, batch", load, [](int, const Batch &batch, const Outputs &outputs) {
            for (const auto item : batch)
                write_length(item, outputs[item.index()]);
            outputs.count("batches", 1);
        })));
}

void const_outputs_can_be_failed_and_remarked_on() {
    Pool pool{"cpu*1"};
    const auto tool = Tool::from("const", [](BatchItem, const ItemOutputs outputs) {
        outputs.warn("odd");
        outputs.fail("not for us");
    });
    const auto results = pool.run(tool, {"a"});
    CHECK(results[0].error() == "not for us" && results[0].warning() == "odd");
}

void a_batch_is_a_range_of_its_items() {
    Pool pool{"cpu*1"};
    const auto tool = Tool::from("range", [](Batch batch, Outputs outputs) {
        std::size_t next = 0;
        for (const BatchItem item : batch) {
            CHECK(item.index() == next++ && item.text() == batch[item.index()].text());
            outputs[item.index()].alloc<float>("output", {})[0] = 1;
        }
        CHECK(next == batch.size());
        outputs.count("items", static_cast<double>(next));
    });
    CHECK(!pool.run(tool, {"a", "b", "c"}).partial());
}

} // namespace

int main() {
    tensors_are_read_by_name_and_written_by_name();
    fields_have_numbers_and_default_names();
    a_field_that_is_not_there_is_the_items_error();
    what_is_thrown_over_an_item_is_its_error_at_once();
    an_item_can_be_failed_and_remarked_on();
    an_item_may_be_tried_again();
    memory_that_runs_out_concerns_the_batch();
    items_have_the_state_of_their_worker();
    lambdas_take_their_parameters_in_any_way();
    const_outputs_can_be_failed_and_remarked_on();
    a_batch_is_a_range_of_its_items();
    return failures != 0;
}

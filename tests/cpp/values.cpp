// What goes in comes out: items of every kind, outputs of every type, in order.
#include <algorithm>
#include <array>
#include <iterator>
#include <list>
#include <memory>
#include <numeric>
#include <sstream>
#include <string>
#include <vector>

#include "check.hpp"

struct Half {
    std::uint16_t bits;
};
template <> inline constexpr toolpool_dtype_t toolpool::dtype_of<Half> = TOOLPOOL_FLOAT16;

namespace {

using Strings = std::vector<std::string>;

Strings texts(const toolpool::Results &results) {
    Strings texts;
    for (const toolpool::Item item : results)
        texts.emplace_back(item["output"].text());
    return texts;
}

void strings_of_every_kind_come_back_in_order() {
    toolpool::Pool pool{"cpu*2"};
    const toolpool::Tool tool{"echo"};
    const std::string nul("a\0b", 3);
    const Strings strings{"GAV", "", "MKTLL", nul, "GAV"};
    const std::vector<std::string_view> views(strings.begin(), strings.end());
    CHECK(texts(pool.run(tool, strings)) == strings);
    CHECK(texts(pool.run(tool, views)) == strings);
    CHECK(texts(pool.run(tool, {"GAV", "", "MKTLL", nul, "GAV"})) == strings);
    CHECK((texts(pool.run(tool, std::list<const char *>{"x", "y"})) == Strings{"x", "y"}));
    CHECK((texts(pool.run(tool, std::array<std::string, 1>{"x"})) == Strings{"x"}));
    CHECK((texts(pool.run(tool, {"x"})) == Strings{"x"}));
    const char *array[] = {"x", "y"};
    CHECK((texts(pool.run(tool, array)) == Strings{"x", "y"}));
}

/// Words of a stream, which can be read once.
struct Words {
    std::istream &stream;
    auto begin() const { return std::istream_iterator<std::string>(stream); }
    auto end() const { return std::istream_iterator<std::string>(); }
};

void ranges_that_can_be_read_once_are_items() {
    toolpool::Pool pool{"cpu*1"};
    std::istringstream stream("GAV MKTLL GAV");
    CHECK(
        (texts(pool.run(toolpool::Tool{"echo"}, Words{stream})) == Strings{"GAV", "MKTLL", "GAV"}));
    std::istringstream more("x");
    toolpool::Items items{"a"};
    items.add_field("msa", Words{more});
}

void a_loop_may_run_over_temporary_results() {
    toolpool::Pool pool{"cpu*1", {{"threads", "1"}, {"trust", "data"}}};
    const toolpool::Tool tool{"echo"};
    std::size_t next = 0;
    std::string all;
    for (auto &&item : pool.run(tool, {"ab", "cd", "ef"})) {
        CHECK(item.index() == next++);
        CHECK(item.ok() && item.status() == TOOLPOOL_OK && item.error().empty());
        CHECK(item.warning().empty() && item.slot() == 0);
        for (const char letter : item["output"].as<char>())
            all += letter;
    }
    CHECK(all == "abcdef");
}

void algorithms_take_results() {
    toolpool::Pool pool{"cpu*2"};
    const auto results = pool.run(toolpool::Tool{"echo"}, {"a", "b", "c"});
    const auto found = std::find_if(results.begin(), results.end(), [](const toolpool::Item &item) {
        return item["output"].text() == "b";
    });
    CHECK((*found).index() == 1);
    CHECK(std::distance(results.begin(), results.end()) == 3);
}

void no_items_give_no_results() {
    toolpool::Pool pool{"cpu*1"};
    const toolpool::Tool tool{"echo"};
    const auto results = pool.run(tool, Strings{});
    CHECK(results.empty() && results.begin() == results.end() && !results.partial());
    CHECK(results.outputs().empty());
    CHECK(results.stack<float>("output").empty());
    CHECK(pool.run(tool, {}).empty());
    results.raise_if_partial();
}

void duplicates_share_a_row_unless_dedup_is_off() {
    toolpool::Pool pool{"cpu*1"};
    const toolpool::Tool tool{"echo"};
    const toolpool::Items items{"GAV", "GAV"};
    const auto shared = pool.run(tool, items);
    CHECK(shared[0]["output"].data() == shared[1]["output"].data());
    const auto apart = pool.submit(tool, items, {{"dedup", "false"}}).results();
    CHECK(apart[0]["output"].data() != apart[1]["output"].data());
    CHECK(texts(shared) == texts(apart));
}

template <class T> void write(toolpool::Outputs outputs, const std::string &name) {
    const auto values = outputs[0].alloc<T>(name, {2, 3});
    CHECK(values.size() == 6);
    for (std::size_t i = 0; i < values.size(); ++i)
        values[i] = static_cast<T>(i % 2);
}

template <class T>
void check_output(const toolpool::Results &results, const char *name, toolpool_dtype_t dtype) {
    const toolpool::Tensor tensor = results[0][name];
    CHECK(tensor.dtype() == dtype);
    CHECK((tensor.shape() == toolpool::Shape{2, 3} && tensor.shape() != toolpool::Shape{3, 2}));
    CHECK(tensor.bytes() == 6 * sizeof(T));
    const auto values = tensor.as<T>();
    CHECK(values.size() == 6 && !values.empty() && values.data() == tensor.data());
    CHECK(values[0] == static_cast<T>(0) && values[5] == static_cast<T>(1));
    CHECK(values.front() == values[0] && values.back() == values[5]);
    static_assert(std::is_same_v<typename decltype(values)::value_type, T>);
    const auto other = error_of([&] { (void)tensor.as<Half>(); });
    CHECK(other.status() == TOOLPOOL_ERR_ARGUMENT && has(other.what(), "float16"));
}

void outputs_of_every_type() {
    toolpool::Pool pool{"cpu*1"};
    const auto tool = toolpool::Tool::from("types", [](toolpool::Batch, toolpool::Outputs outputs) {
        write<float>(outputs, "float");
        write<double>(outputs, "double");
        write<std::int8_t>(outputs, "int8");
        write<std::uint8_t>(outputs, "uint8");
        write<std::int16_t>(outputs, "int16");
        write<std::int32_t>(outputs, "int32");
        write<std::int64_t>(outputs, "int64");
        write<bool>(outputs, "bool");
        write<char>(outputs, "char");
        write<std::byte>(outputs, "byte");
        outputs[0].alloc<Half>("half", {1})[0] = Half{0x3c00};
        outputs[0].alloc<float>("scalar", {})[0] = 0.5F;
        CHECK(outputs[0].alloc<float>("none", {0, 4}).empty());
    });
    const auto results = pool.run(tool, {"x"});
    check_output<float>(results, "float", TOOLPOOL_FLOAT32);
    check_output<double>(results, "double", TOOLPOOL_FLOAT64);
    check_output<std::int8_t>(results, "int8", TOOLPOOL_INT8);
    check_output<std::uint8_t>(results, "uint8", TOOLPOOL_UINT8);
    check_output<std::int16_t>(results, "int16", TOOLPOOL_INT16);
    check_output<std::int32_t>(results, "int32", TOOLPOOL_INT32);
    check_output<std::int64_t>(results, "int64", TOOLPOOL_INT64);
    check_output<bool>(results, "bool", TOOLPOOL_BOOL);
    check_output<char>(results, "char", TOOLPOOL_BYTES);
    check_output<std::byte>(results, "byte", TOOLPOOL_BYTES);
    CHECK(results[0]["half"].as<Half>()[0].bits == 0x3c00);
    CHECK(results[0]["scalar"].shape().size() == 0);
    CHECK(results[0]["scalar"].as<float>()[0] == 0.5F);
    CHECK((results[0]["none"].shape() == toolpool::Shape{0, 4}));
    CHECK(results[0]["none"].as<float>().empty());
    CHECK(results.outputs().size() == 13 && results.outputs()[0] == "float");
}

void columns_and_stacks_hold_all_items() {
    toolpool::Pool pool{"cpu*2"};
    toolpool::Batching batching;
    batching.items = 2;
    const auto tool = toolpool::Tool::from(
        "lengths",
        [](toolpool::Batch batch, toolpool::Outputs outputs) {
            for (std::size_t i = 0; i < batch.size(); ++i) {
                if (batch[i].text().empty()) {
                    outputs[i].fail("it is empty");
                    continue;
                }
                const auto out = outputs[i].alloc<float>("length", {2});
                out[0] = static_cast<float>(batch[i].text().size());
                out[1] = -out[0];
            }
        },
        batching);
    const auto all = pool.run(tool, {"a", "abc", "ab", "a", "abcde"});
    CHECK((all.stack<float>("length") == std::vector<float>{1, -1, 3, -3, 2, -2, 1, -1, 5, -5}));
    const auto some = pool.run(tool, {"a", "", "ab"});
    CHECK(some.partial());
    const auto column = some.column<float>("length");
    CHECK(column.size() == 3 && column[0][1] == -1 && column[1].empty() && column[2][0] == 2);
    const auto failed = error_of([&] { (void)some.stack<float>("length"); });
    CHECK(failed.status() == TOOLPOOL_ERR_ITEM && failed.item() == 1U);
    CHECK(error_of([&] { (void)all.stack<double>("length"); }).status() == TOOLPOOL_ERR_ARGUMENT);
    CHECK(error_of([&] { (void)all.column<int>("length"); }).status() == TOOLPOOL_ERR_ARGUMENT);
    const auto partial = error_of([&] { some.raise_if_partial(); });
    CHECK(partial.status() == TOOLPOOL_ERR_ITEM && partial.item() == 1U);
    CHECK(has(partial.what(), "1 of 3 items failed") && has(partial.what(), "it is empty"));
}

void items_have_fields_and_costs() {
    toolpool::Pool pool{"cpu*1"};
    const auto tool =
        toolpool::Tool::from("pairs", [](toolpool::BatchItem item, toolpool::ItemOutputs outputs) {
            std::string pair(item["input"].text());
            pair += item["msa"].text();
            pair += item[2].text();
            pair.copy(outputs.alloc<char>("output", {pair.size()}).data(), pair.size());
        });
    toolpool::Items items{"a", "b", "a"};
    items.add_field("msa", {"1", "2", "3"});
    const auto owner = std::make_shared<const std::string>("xyz");
    static constexpr std::int64_t offsets[] = {0, 1, 2, 3};
    items.add_field("template", owner->data(), offsets, 3, owner);
    items.set_costs({1, 0, 2});
    CHECK(items.size() == 3);
    CHECK((texts(pool.run(tool, items)) == Strings{"a1x", "b2y", "a3z"}));
}

void packed_items_are_read_where_they_lie() {
    toolpool::Pool pool{"cpu*1"};
    const toolpool::Tool tool{"echo"};
    const char *data = "MKTGAV";
    const std::int64_t wide[] = {0, 3, 3, 6};
    const std::int32_t narrow[] = {1, 2, 6};
    CHECK((texts(pool.run(tool, toolpool::Items::borrow(data, wide, 3, nullptr))) ==
           Strings{"MKT", "", "GAV"}));
    CHECK((texts(pool.run(tool, toolpool::Items::borrow(data, narrow, 2, nullptr))) ==
           Strings{"K", "TGAV"}));
    CHECK((texts(pool.run(tool, toolpool::Items::packed(std::string("MKTGAV"),
                                                        std::vector<std::int64_t>{0, 4, 6}))) ==
           Strings{"MKTG", "AV"}));
    CHECK((texts(pool.run(tool, toolpool::Items::packed(std::vector<std::uint8_t>{'x', 'y'},
                                                        std::vector<std::int32_t>{0, 1, 2}))) ==
           Strings{"x", "y"}));
}

void tensors_come_from_vectors_and_views() {
    toolpool::Pool pool{"cpu*2"};
    const toolpool::Tool tool{"echo"}; // of the first field, as bytes
    const auto matrix = std::make_shared<const std::array<std::int64_t, 6>>(
        std::array<std::int64_t, 6>{1, 2, 3, 4, 5, 6});
    auto items = toolpool::Items::tensors(std::vector<std::vector<float>>{{1, 2}, {3}}, "x");
    items.add_tensors({toolpool::view(matrix->data(), {2, 3}), toolpool::view(matrix->data(), {6})},
                      matrix);
    CHECK(items.size() == 2);
    const float three = 3;
    const auto results = pool.submit(tool, items).results();
    CHECK(results[0]["output"].bytes() == 2 * sizeof(float));
    CHECK(results[1]["output"].text() ==
          std::string_view(reinterpret_cast<const char *>(&three), sizeof three));
    const auto few =
        error_of([&] { items.add_tensors(std::vector<std::vector<float>>{{1}}, "only one"); });
    CHECK(few.status() == TOOLPOOL_ERR_ARGUMENT && has(few.what(), "only one"));
    const auto by_shape = toolpool::Items::tensors(
        {toolpool::view(matrix->data(), {2, 3}), toolpool::view(matrix->data(), {6})}, matrix);
    CHECK(pool.run(tool, by_shape).size() == 2);
}

void devices_and_slots_are_listed() {
    const auto visible = toolpool::devices();
    CHECK(!visible.empty() && visible.back().kind == TOOLPOOL_DEVICE_CPU);
    CHECK(visible.back().slot == -1 && visible.back().memory_total > 0);
    CHECK(toolpool::devices("cpu*3").size() == 3);
    const toolpool::Pool pool{"cpu*2"};
    const auto slots = pool.slots();
    CHECK(slots.size() == 2 && slots[1].slot == 1 && slots[1].threads >= 1);
}

void plans_balance() {
    const auto plan = toolpool::plan({1, 4, 2, 3, 2}, {1, 1});
    CHECK(plan.slot_of.size() == 5 && plan.finish == std::vector<double>({6, 6}));
    CHECK(plan.bound == 6);
    const auto limited = toolpool::plan({5, 1}, {1, 1}, {1, 9});
    CHECK((limited.slot_of == std::vector<std::uint32_t>{1, 0}));
    CHECK(toolpool::plan({}, {1}).slot_of.empty());
}

void log_lines_reach_a_function_until_it_is_replaced() {
    struct Lines {
        std::mutex mutex;
        std::string text;
    };
    const auto lines = std::make_shared<Lines>();
    toolpool::set_log([lines](std::int32_t level, std::string_view message) {
        const std::lock_guard lock(lines->mutex);
        CHECK(level == TOOLPOOL_LOG_INFO);
        lines->text += message;
        throw 1;
    });
    CHECK(lines.use_count() == 2);
    toolpool::Pool{"cpu*1"}.warm(toolpool::Tool{"echo"});
    CHECK(has(lines->text, "loaded echo"));
    toolpool::set_log(nullptr);
    CHECK(lines.use_count() == 1);
    const std::string before = lines->text;
    toolpool::Pool{"cpu*1"}.warm(toolpool::Tool{"echo"});
    CHECK(lines->text == before);
}

void the_version_is_that_of_the_header() {
    CHECK(toolpool::version() == std::to_string(TOOLPOOL_VERSION_MAJOR) + "." +
                                     std::to_string(TOOLPOOL_VERSION_MINOR) + "." +
                                     std::to_string(TOOLPOOL_VERSION_PATCH));
}

} // namespace

int main() {
    strings_of_every_kind_come_back_in_order();
    ranges_that_can_be_read_once_are_items();
    a_loop_may_run_over_temporary_results();
    algorithms_take_results();
    no_items_give_no_results();
    duplicates_share_a_row_unless_dedup_is_off();
    outputs_of_every_type();
    columns_and_stacks_hold_all_items();
    items_have_fields_and_costs();
    packed_items_are_read_where_they_lie();
    tensors_come_from_vectors_and_views();
    devices_and_slots_are_listed();
    plans_balance();
    log_lines_reach_a_function_until_it_is_replaced();
    the_version_is_that_of_the_header();
    return failures != 0;
}

// As C++20: the ranges are ranges, and a span is a std::span.
#include <algorithm>
#include <concepts>
#include <ranges>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include "check.hpp"

namespace {

using toolpool::Batch;
using toolpool::BatchItem;
using toolpool::Column;
using toolpool::Item;
using toolpool::Results;

static_assert(std::ranges::random_access_range<const Results>);
static_assert(std::ranges::sized_range<const Results>);
static_assert(std::same_as<std::ranges::range_value_t<Results>, Item>);
static_assert(std::ranges::random_access_range<const Batch>);
static_assert(std::same_as<std::ranges::range_value_t<Batch>, BatchItem>);
static_assert(std::ranges::random_access_range<const Column<float>>);
static_assert(std::ranges::contiguous_range<const toolpool::Shape>);
static_assert(std::same_as<toolpool::Span<const float>, std::span<const float>>);
static_assert(
    std::same_as<decltype(std::declval<toolpool::Tensor>().as<float>()), std::span<const float>>);

Results run(std::vector<std::string> items) {
    toolpool::Pool pool{"cpu*2"};
    const auto tool =
        toolpool::Tool::from("lengths", [](BatchItem item, toolpool::ItemOutputs outputs) {
            const auto text = item.text();
            if (text.empty())
                throw std::invalid_argument("it is empty");
            const std::span<float> out = outputs.alloc<float>("length", {2});
            std::ranges::fill(out, static_cast<float>(text.size()));
        });
    return pool.run(tool, items);
}

void views_go_over_results() {
    const Results results = run({"a", "", "abc", "ab"});
    std::vector<std::size_t> done;
    for (const Item item : results | std::views::filter(&Item::ok) | std::views::reverse)
        done.push_back(item.index());
    CHECK((done == std::vector<std::size_t>{3, 2, 0}));
    const auto failed = std::ranges::find_if_not(results, &Item::ok);
    CHECK(failed - results.begin() == 1 && failed->index() == 1);
    CHECK(has(failed->error(), "it is empty"));
    CHECK(std::ranges::count_if(results, &Item::ok) == 3);
}

void iterators_go_anywhere() {
    const Results results = run({"a", "b", "c"});
    auto it = results.begin();
    CHECK((it + 2)->index() == 2 && (2 + it)->index() == 2 && it[1].index() == 1);
    it += 2;
    CHECK((*it--).index() == 2 && it->index() == 1 && (--it)->index() == 0);
    CHECK((*it++).index() == 0 && it > results.begin() && it <= results.end());
    CHECK(results.end() - it == 2 && (results.end() - 1)->index() == 2);
    it -= 1;
    CHECK(it == results.begin() && it != results.end() && it < results.end());
}

void views_are_items() {
    using toolpool::Items;
    const std::vector<std::string> names{"a", "bb", "ccc", "dd"};
    const auto lengths = [](Items items) {
        toolpool::Pool pool{"cpu*1"};
        std::vector<std::size_t> lengths;
        for (const Item item : pool.run(toolpool::Tool{"echo"}, items))
            lengths.push_back(item["output"].bytes());
        return lengths;
    };
    using Lengths = std::vector<std::size_t>;
    CHECK(lengths(names | std::views::filter([](const auto &name) { return name != "bb"; })) ==
          (Lengths{1, 3, 2}));
    int made = 0;
    CHECK(lengths(names | std::views::transform([&](const std::string &name) {
                      ++made;
                      return name + name;
                  })) == (Lengths{2, 4, 6, 4}));
    CHECK(made == 4); // each once
    std::istringstream words("one three thirteen");
    CHECK(lengths(std::views::istream<std::string>(words)) == (Lengths{3, 5, 8}));
    Items items{"x", "y"};
    items.add_field("long",
                    names | std::views::drop(1) | std::views::reverse | std::views::take(2));
    CHECK(items.size() == 2);
}

void algorithms_take_columns() {
    const Results results = run({"a", "abc", "ab"});
    const auto lengths = results.column<float>("length");
    const auto longest = std::ranges::max_element(
        lengths, {}, [](std::span<const float> length) { return length[0]; });
    CHECK(longest - lengths.begin() == 1 && (*longest)[1] == 3);
}

} // namespace

int main() {
    views_go_over_results();
    iterators_go_anywhere();
    views_are_items();
    algorithms_take_columns();
    return failures != 0;
}

// Who owns what: moves, ends in any order, borrowed memory that is kept and let go.
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "check.hpp"

namespace {

using namespace std::chrono_literals;
using toolpool::Items;

template <class T>
constexpr bool moves =
    std::is_nothrow_move_constructible_v<T> && std::is_nothrow_move_assignable_v<T> &&
    !std::is_copy_constructible_v<T> && !std::is_copy_assignable_v<T>;

static_assert(moves<toolpool::Pool> && moves<toolpool::Tool> && moves<Items>);
static_assert(moves<toolpool::Report> && moves<toolpool::Job> && moves<toolpool::Results>);
static_assert(std::is_trivially_copyable_v<toolpool::Item>);
static_assert(std::is_trivially_copyable_v<toolpool::Tensor>);
static_assert(std::is_trivially_copyable_v<toolpool::Column<float>>);

// A 0 is a number, and not a handle that is NULL.
template <class T, class = void> struct FromZero : std::false_type {};
template <class T> struct FromZero<T, std::void_t<decltype(T(0))>> : std::true_type {};
static_assert(!FromZero<toolpool::Pool>::value && !FromZero<toolpool::Tool>::value);
static_assert(!FromZero<toolpool::Job>::value && !FromZero<toolpool::Report>::value);
static_assert(!std::is_constructible_v<toolpool::Pool, std::nullptr_t>);
static_assert(!std::is_constructible_v<toolpool::Tool, std::nullptr_t>);
static_assert(std::is_constructible_v<toolpool::Tool, toolpool_tool_t *>);

// Neither may take what they are not made for.
static_assert(!std::is_constructible_v<Items, int>);
static_assert(!std::is_constructible_v<Items, std::vector<int>>);
static_assert(!std::is_constructible_v<Items, std::string>);
static_assert(!std::is_convertible_v<std::string, toolpool::Pool>);
static_assert(std::is_convertible_v<toolpool::Span<float>, toolpool::Span<const float>>);
static_assert(!std::is_convertible_v<toolpool::Span<const float>, toolpool::Span<float>>);

void results_outlive_everything() {
    auto pool = std::make_unique<toolpool::Pool>("cpu*2");
    auto tool = std::make_unique<toolpool::Tool>("echo");
    auto items = std::make_unique<Items>(Items{"GAV", "MKT"});
    auto job = std::make_unique<toolpool::Job>(pool->submit(*tool, *items));
    tool.reset();
    items.reset();
    const auto results = job->results();
    const auto mkt = results[1]["output"];
    job.reset();
    pool.reset();
    CHECK(mkt.text() == "MKT" && results[0]["output"].text() == "GAV");
    CHECK(results.column<char>("output")[1].data() == mkt.data());
}

void a_job_outlives_its_pool() {
    auto pool = std::make_unique<toolpool::Pool>("cpu*1");
    auto job = pool->submit(toolpool::Tool{"echo"}, {"GAV"});
    job.wait();
    pool.reset();
    CHECK(job.progress().done == 1);
    const auto results = job.results();
    CHECK(results[0]["output"].text() == "GAV");
}

void views_stay_when_results_move() {
    toolpool::Pool pool{"cpu*1"};
    auto results = pool.run(toolpool::Tool{"echo"}, {"GAV"});
    const toolpool::Item item = results[0];
    const auto iterator = results.begin();
    const toolpool::Results moved = std::move(results);
    CHECK(item["output"].text() == "GAV" && (*iterator)["output"].text() == "GAV");
    CHECK(moved.size() == 1);
}

void what_was_moved_from_throws() {
    toolpool::Pool pool{"cpu*1"};
    toolpool::Tool tool{"echo"};
    Items items{"GAV"};
    toolpool::Job job = pool.submit(tool, items);
    toolpool::Results results = job.results();
    auto other_pool = std::move(pool);
    auto other_tool = std::move(tool);
    auto other_items = std::move(items);
    auto other_job = std::move(job);
    auto other_results = std::move(results);
    const auto argument = [](auto body) {
        return error_of(body).status() == TOOLPOOL_ERR_ARGUMENT;
    };
    CHECK(argument([&] { (void)pool.run(other_tool, other_items); }));
    CHECK(argument([&] { (void)other_pool.run(tool, other_items); }));
    CHECK(argument([&] { (void)other_pool.run(other_tool, items); }));
    CHECK(argument([&] { (void)other_pool.submit(other_tool, items); }));
    CHECK(argument([&] { tool.set("key", "value"); }));
    CHECK(argument([&] { items.set_costs({}); }));
    CHECK(argument([&] { job.wait(); }));
    CHECK(argument([&] { (void)job.next(); }));
    CHECK(argument([&] { (void)results[0]["output"]; }));
    CHECK(results.empty() && items.size() == 0 && pool.get() == nullptr);
    pool.close();
    pool = std::move(other_pool);
    CHECK(pool.run(other_tool, other_items).size() == 1);
}

void borrowed_memory_is_kept_until_nothing_reads_it() {
    Gate begun, gate;
    toolpool::Pool pool{"cpu*1"};
    const auto tool =
        toolpool::Tool::from("gated", [&](toolpool::Batch batch, toolpool::Outputs outputs) {
            begun.open();
            gate.pass();
            for (std::size_t i = 0; i < batch.size(); ++i)
                echo(batch, outputs, i);
        });
    auto owner = std::make_shared<const std::string>("MKTGAV");
    const std::weak_ptr<const std::string> watch = owner;
    static constexpr std::int64_t offsets[] = {0, 3, 6};
    auto job = [&] {
        const Items items = Items::borrow(owner->data(), offsets, 2, owner);
        owner.reset();
        return pool.submit(tool, items);
    }();
    begun.pass();
    CHECK(!watch.expired());
    gate.open();
    const auto results = job.results();
    CHECK(results[0]["output"].text() == "MKT" && results[1]["output"].text() == "GAV");
    {
        const auto ended = std::move(job);
    }
    pool.close();
    CHECK(watch.expired());
    CHECK(results[1]["output"].text() == "GAV");
}

void memory_that_is_never_used_is_let_go() {
    auto owner = std::make_shared<const std::string>("MKTGAV");
    static constexpr std::int64_t offsets[] = {0, 3, 6}, falling[] = {0, 3, 2};
    {
        Items items = Items::borrow(owner->data(), offsets, 2, owner);
        items.add_field("msa", owner->data(), offsets, 2, owner);
        CHECK(owner.use_count() == 3);
        CHECK(error_of([&] {
                  items.add_field("msa", owner->data(), offsets, 2, owner);
              }).status() == TOOLPOOL_ERR_ARGUMENT);
        CHECK(error_of([&] {
                  items.add_field("few", owner->data(), offsets, 1, owner);
              }).status() == TOOLPOOL_ERR_ARGUMENT);
        CHECK(error_of([&] { (void)Items::borrow(owner->data(), falling, 2, owner); }).status() ==
              TOOLPOOL_ERR_ARGUMENT);
        CHECK(owner.use_count() == 3);
    }
    CHECK(owner.use_count() == 1);
}

void results_can_be_the_items_of_another_job() {
    struct Kept {
        toolpool::Results results;
        std::int64_t offsets[2];
    };
    toolpool::Pool pool{"cpu*2"};
    const toolpool::Tool tool{"echo"};
    auto results = pool.run(tool, {"GAV"});
    for (int i = 0; i < 100; ++i) {
        const auto kept = std::make_shared<const Kept>(Kept{std::move(results), {0, 3}});
        const auto text = kept->results[0]["output"].text();
        results = pool.run(tool, Items::borrow(text.data(), kept->offsets, 1, kept));
    }
    CHECK(results[0]["output"].text() == "GAV");
}

void lambdas_may_own_handles() {
    toolpool::Pool pool{"cpu*2"};
    const toolpool::Tool tool{"echo"};
    for (int i = 0; i < 100; ++i) {
        const auto inner = std::make_shared<const toolpool::Tool>(
            toolpool::Tool::from("inner", [](toolpool::Batch, toolpool::Outputs) {}));
        const auto results = std::make_shared<const toolpool::Results>(pool.run(tool, {"GAV"}));
        const auto owner = toolpool::Tool::from(
            "owner", [inner, results](toolpool::Batch batch, toolpool::Outputs outputs) {
                echo(batch, outputs, 0);
            });
        (void)pool.submit(
            owner, {"x"}); // ends at once, cancelled or not: the worker may be the last owner
    }
    pool.drain();
    CHECK(!pool.run(tool, {"GAV"}).partial());
}

void packed_data_is_taken_over_however_short() {
    toolpool::Pool pool{"cpu*1"};
    const toolpool::Tool tool{"echo"};
    const auto job_of = [&](std::string data) {
        const auto end = static_cast<std::int32_t>(data.size());
        return pool.submit(tool,
                           Items::packed(std::move(data), std::vector<std::int32_t>{0, 1, end}));
    };
    const auto small = job_of("xyz").results();
    const auto large = job_of(std::string(100000, 'x')).results();
    CHECK(small[0]["output"].text() == "x" && small[1]["output"].text() == "yz");
    CHECK(large[1]["output"].text() == std::string(99999, 'x'));
}

void lent_memory_is_for_run_alone() {
    toolpool::Pool pool{"cpu*1"};
    const toolpool::Tool tool{"echo"};
    static constexpr std::int64_t offsets[] = {0, 3};
    const Items items = Items::borrow("GAV", offsets, 1, nullptr);
    CHECK(!pool.run(tool, items).partial());
    CHECK(error_of([&] { (void)pool.submit(tool, items); }).status() == TOOLPOOL_ERR_ARGUMENT);
    CHECK(error_of([&] { (void)pool.run(tool, items, {{"dedup", "true"}}); }).status() ==
          TOOLPOOL_ERR_ARGUMENT);
}

} // namespace

int main() {
    results_outlive_everything();
    a_job_outlives_its_pool();
    views_stay_when_results_move();
    what_was_moved_from_throws();
    borrowed_memory_is_kept_until_nothing_reads_it();
    memory_that_is_never_used_is_let_go();
    results_can_be_the_items_of_another_job();
    lambdas_may_own_handles();
    packed_data_is_taken_over_however_short();
    lent_memory_is_for_run_alone();
    return failures != 0;
}

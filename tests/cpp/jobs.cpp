// Jobs: waiting, progress, results as they come, cancelling, closing; always under gates, never
// under a clock.
#include <chrono>
#include <future>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "check.hpp"

namespace {

using namespace std::chrono_literals;
using toolpool::Batch;
using toolpool::Outputs;

/// Echoes one item at a time, each after `gate`; opens `begun` when it comes to the first.
toolpool::Tool gated(Gate &begun, Gate &gate) {
    toolpool::Batching batching;
    batching.items = 1;
    return toolpool::Tool::from(
        "gated",
        [&](Batch batch, Outputs outputs) {
            begun.open();
            gate.pass();
            echo(batch, outputs, 0);
        },
        batching);
}

/// Whether the job says that it has no more results to give.
bool nothing_left(toolpool::Job &job) {
    const auto error = error_of([&] { (void)job.results(); });
    return error.status() == TOOLPOOL_ERR_NOT_FOUND && has(error.what(), "taken before");
}

void waiting_for_some_time_tells_whether_the_job_has_ended() {
    toolpool::Pool pool{"cpu*1"};
    Gate begun, gate;
    auto job = pool.submit(gated(begun, gate), {"a", "b", "a"});
    begun.pass();
    CHECK(!job.wait_for(0s));
    CHECK(!job.wait_for(-1h));
    CHECK(!job.wait_for(1us));
    const toolpool::Progress before = job.progress();
    CHECK(before.total == 3 && before.unique == 2 && before.done == 0 && before.running == 1);
    gate.open();
    CHECK(job.wait_for(std::chrono::hours::max()));
    job.wait();
    CHECK(job.wait_for(0ms));
    const toolpool::Progress after = job.progress();
    CHECK(after.done == 3 && after.failed == 0 && after.running == 0 && after.unread_bytes == 2);
    const auto results = job.results();
    CHECK(results.size() == 3 && !results.partial() && results[2]["output"].text() == "a");
    CHECK(job.progress().unread_bytes == 0);
    CHECK(nothing_left(job));
}

void results_can_be_taken_as_they_come() {
    toolpool::Pool pool{"cpu*2"};
    std::vector<std::string> strings;
    for (int i = 0; i < 1000; ++i)
        strings.push_back(std::to_string(i % 700));
    auto job = pool.submit(toolpool::Tool{"echo"}, strings, {{"pending_bytes", "100"}});
    std::set<std::size_t> seen;
    while (const auto some = job.next()) {
        CHECK(!some->empty());
        for (const auto item : *some) {
            CHECK(seen.insert(item.index()).second);
            CHECK(item["output"].text() == strings[item.index()]);
        }
    }
    CHECK(seen.size() == 1000);
    CHECK(!job.next());
    CHECK(nothing_left(job));
}

void a_job_of_no_items_has_results() {
    toolpool::Pool pool{"cpu*1"};
    auto job = pool.submit(toolpool::Tool{"echo"}, std::vector<std::string>{});
    CHECK(job.results().empty());
}

void a_run_takes_the_options_of_a_job() {
    toolpool::Pool pool{"cpu*1"};
    const toolpool::Tool tool{"echo"};
    const toolpool::Items items{"GAV", "GAV"};
    const auto apart = pool.run(tool, items, toolpool::JobOptions().dedup(false));
    CHECK(apart[0]["output"].data() != apart[1]["output"].data());
    const auto shared = pool.run(tool, items, {{"dedup", "true"}});
    CHECK(shared[0]["output"].data() == shared[1]["output"].data());
    CHECK(error_of([&] { (void)pool.run(tool, items, {{"dedupe", "true"}}); }).status() ==
          TOOLPOOL_ERR_OPTION);

    toolpool::Batching costs;
    costs.cost = [](std::string_view) -> double { throw std::out_of_range("no cost"); };
    const auto dear = toolpool::Tool::from("dear", [](Batch, Outputs) {}, costs);
    bool thrown = false;
    try {
        (void)pool.run(dear, items, {{"retries", "0"}});
    } catch (const std::out_of_range &) {
        thrown = true;
    }
    CHECK(thrown);
}

void what_next_has_given_is_not_among_the_results() {
    toolpool::Pool pool{"cpu*1"};
    Gate second;
    toolpool::Batching batching;
    batching.items = 1;
    const auto tool = toolpool::Tool::from(
        "two",
        [&](Batch batch, Outputs outputs) {
            if (batch[0].text() == "b")
                second.pass();
            echo(batch, outputs, 0);
        },
        batching);
    auto job = pool.submit(tool, {"b", "aa"});
    const auto first = job.next();
    CHECK(first && first->size() == 1 && (*first)[0].index() == 1);
    second.open();
    const auto rest = job.results();
    CHECK(rest.size() == 1 && rest[0].index() == 0 && rest[0]["output"].text() == "b");
}

void a_cancelled_job_keeps_what_was_done() {
    toolpool::Pool pool{"cpu*1"};
    Gate begun, gate;
    auto job = pool.submit(gated(begun, gate), {"aaa", "bb", "c"});
    begun.pass();
    job.cancel();
    gate.open();
    const auto results = job.results();
    CHECK(results.size() == 3 && results.partial());
    CHECK(results[0].ok() && results[0]["output"].text() == "aaa");
    CHECK(results[1].status() == TOOLPOOL_ERR_CANCELLED && results[1].slot() == -1);
    const auto error = error_of([&] { results.raise_if_partial(); });
    CHECK(error.status() == TOOLPOOL_ERR_CANCELLED && error.item() == 1U);
    CHECK(has(error.what(), "2 of 3 items failed; the first, item 1: "));
}

void a_job_that_ends_before_it_is_done_is_cancelled() {
    toolpool::Pool pool{"cpu*1"};
    Gate begun, gate;
    {
        const auto job = pool.submit(gated(begun, gate), std::vector<std::string>{"a", "b", "c"});
        begun.pass();
    }
    gate.open();
    pool.drain();
}

void jobs_run_side_by_side() {
    toolpool::Pool pool{"cpu*2"};
    Gate first, second;
    const auto meet = [](Gate &mine, Gate &other) {
        return toolpool::Tool::from("meeting", [&](Batch batch, Outputs outputs) {
            mine.open();
            other.pass();
            echo(batch, outputs, 0);
        });
    };
    auto job_a = pool.submit(meet(first, second), {"a"});
    auto job_b = pool.submit(meet(second, first), {"b"});
    const auto a = job_a.results(), b = job_b.results(); // each ends only if the other runs too
    CHECK(a[0]["output"].text() == "a" && b[0]["output"].text() == "b");
}

void threads_share_a_pool() {
    toolpool::Pool pool{"cpu*2"};
    const toolpool::Tool tool{"echo"};
    std::vector<std::future<bool>> threads;
    for (int t = 0; t < 4; ++t)
        threads.push_back(std::async(std::launch::async, [&, t] {
            bool right = true;
            for (int i = 0; i < 50; ++i) {
                const std::string text = std::to_string(t) + "/" + std::to_string(i);
                const auto results = pool.run(tool, {text, "all"});
                right = right && results[0]["output"].text() == text;
            }
            return right;
        }));
    for (auto &thread : threads)
        CHECK(thread.get());
}

void closing_ends_a_run_on_another_thread() {
    toolpool::Pool pool{"cpu*1"};
    Gate begun, gate;
    const auto tool = gated(begun, gate);
    auto run = std::async(std::launch::async, [&] { return pool.run(tool, {"aa", "b"}); });
    begun.pass();
    auto close = std::async(std::launch::async, [&] { pool.close(); });
    const auto late = [&] { (void)pool.submit(tool, {"c"}); };
    while (error_of(late).status() != TOOLPOOL_ERR_CLOSED)
        std::this_thread::yield();
    gate.open();
    close.get();
    const auto results = run.get();
    CHECK(results.size() == 2 && results[0].ok());
    CHECK(results[1].ok() || results[1].status() == TOOLPOOL_ERR_CLOSED ||
          results[1].status() == TOOLPOOL_ERR_CANCELLED);
    CHECK(error_of([&] { pool.drain(); }).status() == TOOLPOOL_ERR_CLOSED);
    CHECK(error_of([&] { pool.warm(tool); }).status() == TOOLPOOL_ERR_CLOSED);
    CHECK(error_of([&] { (void)pool.slots(); }).status() == TOOLPOOL_ERR_CLOSED);
    pool.close();
}

void closing_inside_a_lambda_does_nothing() {
    toolpool::Pool pool{"cpu*1"};
    const auto tool = toolpool::Tool::from("closer", [&](Batch batch, Outputs outputs) {
        pool.close();
        echo(batch, outputs, 0);
    });
    CHECK(!pool.run(tool, {"a"}).partial());
    CHECK(!pool.run(tool, {"a"}).partial());
}

} // namespace

int main() {
    waiting_for_some_time_tells_whether_the_job_has_ended();
    results_can_be_taken_as_they_come();
    a_job_of_no_items_has_results();
    a_run_takes_the_options_of_a_job();
    what_next_has_given_is_not_among_the_results();
    a_cancelled_job_keeps_what_was_done();
    a_job_that_ends_before_it_is_done_is_cancelled();
    jobs_run_side_by_side();
    threads_share_a_pool();
    closing_ends_a_run_on_another_thread();
    closing_inside_a_lambda_does_nothing();
    return failures != 0;
}

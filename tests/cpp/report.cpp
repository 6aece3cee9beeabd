// Reports: figures, counts and texts of a job that has ended, and of one under way.
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "check.hpp"

namespace {

using toolpool::Batch;
using toolpool::Outputs;
using toolpool::Report;

/// Whether T can be asked for its texts and figures.
template <class T, class = void> struct Readable : std::false_type {};
template <class T>
struct Readable<T, std::void_t<decltype(std::declval<T>().json())>> : std::true_type {};

static_assert(Readable<const Report &>::value);
static_assert(!Readable<Report>::value, "what a temporary says would be gone at once");

void a_report_outlives_job_and_pool() {
    const auto take = [] {
        toolpool::Pool pool{"cpu*2"};
        const toolpool::Tool tool{"echo"};
        const auto job = pool.submit(tool, std::vector<std::string>{"aaa", "bb", "aaa"});
        job.wait();
        return job.report();
    };
    const Report report = take();
    const toolpool::Summary summary = report.summary();
    CHECK(std::string(summary.tool) == "echo");
    CHECK(summary.total == 3 && summary.done == 3 && summary.unique == 2 && summary.failed == 0);
    CHECK(summary.cost == 5 && summary.cost_saved == 3 && summary.remaining_s == 0);
    const auto slots = report.slots();
    CHECK(slots.size() == 2 && slots[0].items + slots[1].items == 2);
    CHECK(std::string(slots[1].device) == "cpu" && slots[1].lost == TOOLPOOL_OK);
    CHECK(report.counts().empty());
    CHECK(has(report.json(), "\"tool\": \"echo\""));
    CHECK(has(report.trace(), "\"traceEvents\""));
    CHECK(has(report.timeline(), "echo: 3 items in "));
    CHECK(report.json().data() == report.json().data());
}

void counts_are_read_by_name() {
    toolpool::Pool pool{"cpu*1"};
    const auto tool = toolpool::Tool::from("counter", [](Batch batch, Outputs outputs) {
        for (std::size_t i = 0; i < batch.size(); ++i) {
            outputs.count("bytes", static_cast<double>(batch[i].text().size()));
            echo(batch, outputs, i);
        }
    });
    const auto job = pool.submit(tool, std::vector<std::string>{"aaa", "bb"});
    job.wait();
    const Report report = job.report();
    CHECK((report.counts() == std::map<std::string, double>{{"bytes", 5}}));

    const auto not_a_number = toolpool::Tool::from("counter", [](Batch, Outputs outputs) {
        outputs.count("nothing", std::numeric_limits<double>::quiet_NaN());
    });
    const auto results = pool.run(not_a_number, {"a"});
    CHECK(results[0].status() == TOOLPOOL_ERR_ARGUMENT && has(results[0].error(), "'nothing'"));
}

void a_job_under_way_can_be_asked() {
    Gate begun, gate;
    toolpool::Pool pool{"cpu*1"};
    const auto tool = toolpool::Tool::from("gated", [&](Batch batch, Outputs outputs) {
        begun.open();
        gate.pass();
        for (std::size_t i = 0; i < batch.size(); ++i)
            echo(batch, outputs, i);
    });
    const auto job = pool.submit(tool, std::vector<std::string>{"a"});
    begun.pass();
    const Report report = job.report();
    gate.open();
    job.wait();
    CHECK(report.summary().done == 0 && report.summary().remaining_s < 0);
    CHECK(job.report().counts().empty());
}

} // namespace

int main() {
    a_report_outlives_job_and_pool();
    counts_are_read_by_name();
    a_job_under_way_can_be_asked();
    return failures != 0;
}

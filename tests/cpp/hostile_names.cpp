// A program whose own functions have the names of the header's, and take anything: arguments of C's
// types lead the compiler to them, where the header does not say that it means its own.
#include <cstdint>

namespace {

struct Half {
    std::uint16_t bits;
};

} // namespace

#define TAKES_ANYTHING(name)                                                                       \
    template <class... Arguments> int name(Arguments &&...) {                                      \
        static_assert(sizeof...(Arguments) > 99, "the header called the program's " #name);        \
        return 0;                                                                                  \
    }

TAKES_ANYTHING(after)
TAKES_ANYTHING(call)
TAKES_ANYTHING(carry_out)
TAKES_ANYTHING(check_dtype)
TAKES_ANYTHING(cut_short)
TAKES_ANYTHING(deliver)
TAKES_ANYTHING(done)
TAKES_ANYTHING(estimated)
TAKES_ANYTHING(guard)
TAKES_ANYTHING(keep_alive)
TAKES_ANYTHING(list)
TAKES_ANYTHING(make)
TAKES_ANYTHING(nul_error)
TAKES_ANYTHING(plain)
TAKES_ANYTHING(planned)
TAKES_ANYTHING(taken)
TAKES_ANYTHING(view)
TAKES_ANYTHING(views)

#include "check.hpp"

template <> inline constexpr toolpool_dtype_t toolpool::dtype_of<Half> = TOOLPOOL_FLOAT16;

namespace {

void items_and_lambdas() {
    toolpool::Pool pool{"cpu*1", {{"threads", 1}}};
    auto items = toolpool::Items::tensors(std::vector<std::vector<Half>>{{{0x3c00}}});
    items.add_field("text", {"a"});
    items.set_costs({1});
    toolpool::Batching batching;
    batching.cost = [](std::string_view) { return 1.0; };
    batching.extent = [](std::string_view) { return 1; };
    const auto single = toolpool::Tool::from(
        "single",
        [](toolpool::BatchItem item, toolpool::ItemOutputs outputs) {
            outputs.alloc<Half>("half", {1})[0] = item[0].as<Half>()[0];
            outputs.warn("seen");
        },
        batching);
    const auto batched = toolpool::Tool::from(
        "batched", [](const toolpool::Device &) { return Half{0x3c00}; },
        [](Half &half, toolpool::Batch, toolpool::Outputs outputs) {
            outputs[0].alloc<Half>("half", {1})[0] = half;
            outputs.count("batches", 1);
        });
    for (const auto *tool : {&single, &batched}) {
        const auto results = pool.run(*tool, items, {{"retries", 1}});
        results.raise_if_partial();
        CHECK(results.stack<Half>("half")[0].bits == 0x3c00);
        CHECK(results.column<Half>("half")[0][0].bits == 0x3c00);
    }
}

void jobs_and_reports() {
    toolpool::Pool pool{toolpool::Devices::cpu(1)};
    toolpool::Tool echo{"echo"};
    echo.set("isolation", "none");
    pool.warm(echo);
    auto job = pool.submit(echo, toolpool::Items::packed(std::string("a"), std::vector{0, 1}));
    job.wait();
    CHECK(job.progress().done == 1 && job.next()->size() == 1);
    const auto report = job.report();
    CHECK(report.summary().done == 1 && report.slots().size() == 1 && report.counts().empty());
    CHECK(pool.slots().size() == 1 && !toolpool::devices().empty());
    CHECK(toolpool::plan({1}, {1}).bound == 1);
    toolpool::set_log(nullptr);
    pool.drain();
}

} // namespace

int main() {
    items_and_lambdas();
    jobs_and_reports();
    return failures != 0;
}

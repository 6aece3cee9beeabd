// Devices and options by name become the text that C takes, and do what they say.
#include <chrono>
#include <locale>
#include <memory>
#include <string>
#include <vector>

#include "check.hpp"

namespace {

using namespace std::chrono_literals;
using toolpool::Devices;
using toolpool::JobOptions;
using toolpool::OnDeviceLost;
using toolpool::PoolOptions;
using toolpool::Trust;

/// "key=value" of each option.
std::vector<std::string> texts(const toolpool::Options &options) {
    std::vector<std::string> texts;
    for (const auto &[key, value] : options)
        texts.push_back(key + "=" + value);
    return texts;
}

using Texts = std::vector<std::string>;

void devices_by_name() {
    CHECK(Devices().text() == "auto" && Devices::all().text() == "all");
    CHECK(Devices::first(2).text() == "2");
    CHECK(Devices::cuda({0, 2}).text() == "cuda:0,cuda:2" && Devices::cuda({0}).text() == "cuda:0");
    CHECK(Devices::cpu().text() == "cpu*1" && Devices::cpu(4).text() == "cpu*4");
    CHECK(Devices("cuda:0*2").text() == "cuda:0*2" && Devices(std::string("cpu")).text() == "cpu");
    CHECK(toolpool::devices(Devices::cpu(3)).size() == 3);
    const char *const unset = nullptr;
    CHECK(Devices(unset).text() == "auto" && Devices(nullptr).text() == "auto");
    const toolpool::Pool pool{Devices::cpu(2)};
    CHECK(pool.slots().size() == 2);
}

void pool_options_by_name() {
    PoolOptions options;
    options.memory_limit(1 << 30).threads(1).trust(Trust::data);
    CHECK((texts(options) == Texts{"memory_limit=1073741824", "threads=1", "trust=data"}));
    CHECK(texts(PoolOptions().trust(Trust::code)) == Texts{"trust=code"});
    const toolpool::Pool pool{Devices::cpu(2), options};
    CHECK(pool.slots()[1].threads == 1);
}

void job_options_by_name() {
    JobOptions options{{"retries", "1"}};
    options.dedup(false).deterministic(true).time_limit(90min).batch_time_limit(1500us);
    options.retries(5).on_device_lost(OnDeviceLost::fail).pending_bytes(1 << 20);
    CHECK((texts(options) == Texts{"retries=1", "dedup=false", "deterministic=true",
                                   "time_limit=5400", "batch_time_limit=0.0015", "retries=5",
                                   "on_device_lost=fail", "pending_bytes=1048576"}));
    CHECK((texts(JobOptions().dedup(true).on_device_lost(OnDeviceLost::go_on)) ==
           Texts{"dedup=true", "on_device_lost=continue"}));
    options.batch_time_limit(90min); // no machine is too slow for that
    toolpool::Pool pool{"cpu*1"};
    CHECK(!pool.submit(toolpool::Tool{"echo"}, {"a"}, options).results().partial());
}

void values_are_of_any_type() {
    const std::string text = "a text";
    const toolpool::Options options{{"list", "mean,bos"},
                                    {"string", text},
                                    {"view", std::string_view(text).substr(2)},
                                    {"true", true},
                                    {"false", false},
                                    {"zero", 0},
                                    {"number", 4096},
                                    {"negative", -1L},
                                    {"size", SIZE_MAX},
                                    {"byte", std::uint8_t{200}},
                                    {"float", 0.1F},
                                    {"double", 1.0 / 3},
                                    {"whole", 4096.0},
                                    {"small", 2.5e-10}};
    CHECK((texts(options) == Texts{"list=mean,bos", "string=a text", "view=text", "true=true",
                                   "false=false", "zero=0", "number=4096", "negative=-1",
                                   "size=18446744073709551615", "byte=200", "float=0.1",
                                   "double=0.3333333333333333", "whole=4096", "small=2.5e-10"}));
    using toolpool::OptionValue;
    static_assert(!std::is_convertible_v<char, OptionValue>, "a letter or a number?");
    static_assert(!std::is_convertible_v<std::vector<int>, OptionValue>);
    static_assert(!std::is_convertible_v<void *, OptionValue>);
}

void tools_and_runs_take_values_of_any_type() {
    toolpool::Tool echo{"echo", "", {{"isolation", "none"}}};
    echo.set("isolation", std::string("none"));
    CHECK(has(error_of([&] { echo.set("loud", true); }).what(), "loud"));
    toolpool::Pool pool{"cpu*1", {{"threads", 1}}};
    CHECK(pool.slots()[0].threads == 1);
    CHECK(!pool.run(echo, {"a"}, {{"dedup", false}, {"retries", 1}, {"time_limit", 5400.5}})
               .partial());
    CHECK(has(error_of([&] { (void)pool.run(echo, {"a"}, {{"retries", 1.5}}); }).what(), "'1.5'"));
}

void a_time_limit_ends_a_job() {
    // Shared, as the pool does not wait at its end for a call that ran out of time.
    const auto gate = std::make_shared<Gate>();
    toolpool::Pool pool{"cpu*1"};
    const auto tool =
        toolpool::Tool::from("gated", [gate](toolpool::BatchItem, toolpool::ItemOutputs outputs) {
            gate->pass();
            outputs.alloc<float>("output", {})[0] = 0;
        });
    auto job = pool.submit(tool, {"a"}, JobOptions().time_limit(1ms));
    job.wait();
    const auto results = job.results();
    gate->open();
    CHECK(results[0].status() == TOOLPOOL_ERR_TIME_LIMIT);
}

/// Numbers as much of Europe writes them: 1.000,5.
struct Commas : std::numpunct<char> {
    char do_decimal_point() const override { return ','; }
    char do_thousands_sep() const override { return '.'; }
    std::string do_grouping() const override { return "\3"; }
};

void the_locale_has_no_say() {
    const std::locale before = std::locale::global(std::locale(std::locale(), new Commas));
    CHECK(texts(JobOptions().time_limit(2500ms)) == Texts{"time_limit=2.5"});
    CHECK(texts(JobOptions().time_limit(5000s)) == Texts{"time_limit=5000"});
    CHECK(texts(JobOptions().pending_bytes(1000000)) == Texts{"pending_bytes=1000000"});
    CHECK(texts(JobOptions{{"number", 1234.5}}) == Texts{"number=1234.5"});
    std::locale::global(before);
}

void tools_take_options_in_their_order() {
    toolpool::ToolOptions options;
    options.set("isolation", "process");
    options.set("isolation", "none");
    CHECK(options.size() == 2);
    toolpool::Pool pool{"cpu*1"};
    CHECK(!pool.run(toolpool::Tool{"echo", "", options}, {"a"}).partial());
}

} // namespace

int main() {
    devices_by_name();
    pool_options_by_name();
    job_options_by_name();
    values_are_of_any_type();
    tools_and_runs_take_values_of_any_type();
    a_time_limit_ends_a_job();
    the_locale_has_no_say();
    tools_take_options_in_their_order();
    return failures != 0;
}

/// @file
/// toolpool for C++17: handles that free themselves, exceptions, and lambdas as tools. Header-only;
/// link with -ltoolpool. What each call does is said in toolpool.h; here is what C++ adds:
///
/// - Ownership: Pool, Tool, Items, Options, Job, Results and Report own their handle and can be
///   moved, not copied. They may end in any order. Item, Tensor, Span and Column are views into
///   Results.
/// - Threads: any object may be used by several threads at once, but not while it is moved from,
///   assigned to or destroyed.
/// - Errors: what fails throws Error. Items that failed do not throw until they are read.
///
/// SPDX-License-Identifier: MIT OR Apache-2.0
#ifndef TOOLPOOL_HPP
#define TOOLPOOL_HPP

#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <toolpool.h>
#include <toolpool/error.hpp>
#include <toolpool/items.hpp>
#include <toolpool/report.hpp>
#include <toolpool/results.hpp>
#include <toolpool/tool.hpp>

namespace toolpool {

using Progress = toolpool_progress_t;

namespace detail {

/// Milliseconds, rounded up; times below zero are zero.
template <class Rep, class Period>
std::int64_t milliseconds(std::chrono::duration<Rep, Period> time) {
    const double count = std::chrono::duration<double, std::milli>(time).count();
    if (!(count > 0))
        return 0;
    return count < 9e18 ? static_cast<std::int64_t>(std::ceil(count)) : INT64_MAX;
}

} // namespace detail

/// Options of a job; toolpool_options_set() lists them.
class Options : public detail::Handle<toolpool_options_t, toolpool_options_free> {
  public:
    Options(std::initializer_list<std::pair<std::string, std::string>> options = {})
        : Handle(detail::make<toolpool_options_t>(toolpool_options_new)) {
        for (const auto &[key, value] : options)
            set(key, value);
    }

    void set(const std::string &key, const std::string &value) {
        detail::call(toolpool_options_set, get(), detail::c_str(key), detail::c_str(value));
    }
};

/// A submitted run. Ends cancelled if it is destroyed before it is done.
class Job : public detail::Handle<toolpool_job_t, toolpool_job_free> {
  public:
    /// Waits until it has ended.
    void wait() const { detail::call(toolpool_job_wait, get(), -1); }

    /// The same for some time: whether it has ended. With zero it asks and does not wait.
    template <class Rep, class Period>
    [[nodiscard]] bool wait_for(std::chrono::duration<Rep, Period> time) const {
        return detail::call(toolpool_job_wait, get(), detail::milliseconds(time)) == TOOLPOOL_OK;
    }

    [[nodiscard]] Progress progress() const {
        Progress progress = TOOLPOOL_PROGRESS_INIT;
        detail::call(toolpool_job_progress, get(), &progress);
        return progress;
    }

    /// How it went, or how far it is: a snapshot.
    [[nodiscard]] Report report() const {
        return Report(detail::make<toolpool_report_t>(toolpool_job_report, get()));
    }

    /// Cancels it: batches under way still finish, other items fail with TOOLPOOL_ERR_CANCELLED.
    void cancel() { detail::call(toolpool_job_cancel, get()); }

    /// The items that have finished since the last call, once there are some; none after the last.
    /// Throws the Error of a job that failed as a whole after everything else was taken.
    [[nodiscard]] std::optional<Results> next() {
        Results results = Results::from(toolpool_job_next, get(), -1);
        return results.get() ? std::optional(std::move(results)) : std::nullopt;
    }

    /// Waits, and takes the results of all items that next() has not given. Throws the Error of a
    /// job that failed as a whole.
    [[nodiscard]] Results results() { return Results::from(toolpool_job_results, get()); }

  private:
    friend class Pool;
    explicit Job(toolpool_job_t *job) noexcept : Handle(job) {}
};

namespace detail {

inline std::vector<Device> devices(toolpool_devices_t *list) {
    const std::unique_ptr<toolpool_devices_t, decltype(&toolpool_devices_free)> owned(
        list, toolpool_devices_free);
    std::vector<Device> devices(toolpool_devices_len(list), Device TOOLPOOL_DEVICE_INIT);
    for (std::size_t index = 0; index < devices.size(); ++index)
        call(toolpool_devices_get, list, index, &devices[index]);
    return devices;
}

} // namespace detail

/// A pool: a warm worker on each slot. Closed when it is destroyed, which cancels its jobs.
class Pool : public detail::Handle<toolpool_t, toolpool_close> {
  public:
    /// @param devices  "auto", "all", "2", "cuda:0,cuda:2", "cpu*4" ...: see toolpool_open()
    explicit Pool(const std::string &devices = "auto")
        : Handle(detail::make<toolpool_t>(toolpool_open, detail::c_str(devices))) {}

    /// With options, as {{"memory_limit", "8000000000"}, {"trust", "data"}}: toolpool_open_with()
    /// lists them.
    Pool(const std::string &devices,
         std::initializer_list<std::pair<std::string, std::string>> options)
        : Handle(open_with(devices, options)) {}

    /// Runs a tool on items; returns when all are done, with results in their order.
    [[nodiscard]] Results run(const Tool &tool, const Items &items) {
        return detail::planned(
            [&] { return Results::from(toolpool_run, get(), tool.get(), items.get()); });
    }

    /// Begins a run. Tool, items and options may end before the job.
    [[nodiscard]] Job submit(const Tool &tool, const Items &items, const Options &options = {}) {
        return detail::planned([&] {
            return Job(detail::make<toolpool_job_t>(toolpool_submit, get(), tool.get(), items.get(),
                                                    options.get()));
        });
    }

    /// Loads a tool onto every slot, so that later runs find it warm.
    void warm(const Tool &tool) { detail::call(toolpool_warm, get(), tool.get()); }

    /// Waits until all jobs have ended.
    void drain() { detail::call(toolpool_drain, get(), -1); }

    /// The slots, in the order of their numbers.
    [[nodiscard]] std::vector<Device> slots() const {
        return detail::devices(detail::make<toolpool_devices_t>(toolpool_slots, get()));
    }

    /// Cancels the jobs and ends the workers; other calls, also those under way on other threads,
    /// then throw TOOLPOOL_ERR_CLOSED. Does nothing inside a lambda of a tool.
    void close() noexcept { toolpool_close(get()); }

  private:
    static toolpool_t *
    open_with(const std::string &devices,
              std::initializer_list<std::pair<std::string, std::string>> options) {
        std::vector<toolpool_option_t> read;
        read.reserve(options.size());
        for (const auto &[key, value] : options)
            read.push_back({detail::c_str(key), detail::c_str(value)});
        return detail::make<toolpool_t>(toolpool_open_with, detail::c_str(devices), read.data(),
                                        read.size());
    }
};

/// Every visible GPU, and then the CPU.
[[nodiscard]] inline std::vector<Device> devices() {
    return detail::devices(detail::make<toolpool_devices_t>(toolpool_devices_list, nullptr));
}

/// The devices, a row for each slot, of a Pool opened with `spec`.
[[nodiscard]] inline std::vector<Device> devices(const std::string &spec) {
    return detail::devices(
        detail::make<toolpool_devices_t>(toolpool_devices_list, detail::c_str(spec)));
}

/// What plan() found.
struct Plan {
    std::vector<std::uint32_t> slot_of; ///< The slot of each item.
    std::vector<double> finish;         ///< When each slot is done, in cost / weight.
    double bound = 0;                   ///< The time below which no assignment can end.
};

/// Assigns items to slots beforehand, longest first: see toolpool_plan().
///
/// @param weights    relative speeds of the slots, above 0
/// @param max_costs  the largest cost that each slot can take; empty: any
[[nodiscard]] inline Plan plan(const std::vector<double> &costs, const std::vector<double> &weights,
                               const std::vector<double> &max_costs = {}) {
    if (!max_costs.empty() && max_costs.size() != weights.size())
        throw Error(TOOLPOOL_ERR_ARGUMENT, std::to_string(max_costs.size()) +
                                               " largest costs for " +
                                               std::to_string(weights.size()) + " slots");
    Plan plan{std::vector<std::uint32_t>(costs.size()), std::vector<double>(weights.size())};
    detail::call(toolpool_plan, costs.data(), costs.size(), weights.data(),
                 max_costs.empty() ? nullptr : max_costs.data(), weights.size(),
                 plan.slot_of.data(), plan.finish.data(), &plan.bound);
    return plan;
}

/// Receives log lines, on any thread, several at a time; must not call toolpool.
using Log = std::function<void(std::int32_t level, std::string_view message)>;

namespace detail {

struct LogTarget {
    std::mutex mutex;
    std::shared_ptr<const Log> log;

    /// Never destroyed: workers may log until the process ends.
    static LogTarget &get() {
        static auto *target = new LogTarget;
        return *target;
    }

    static void receive(void *, std::int32_t level, const char *message) noexcept {
        try {
            LogTarget &target = get();
            std::unique_lock lock(target.mutex);
            const auto log = target.log;
            lock.unlock();
            if (log)
                (*log)(level, message);
        } catch (...) { // A line that cannot be logged must not harm the run.
        }
    }
};

} // namespace detail

/// Sends the log lines of all pools of the process to `log`, those of `level` and below; nullptr:
/// nowhere, as at the start. What `log` throws is dropped.
inline void set_log(Log log, std::int32_t level = TOOLPOOL_LOG_INFO) {
    auto shared = log ? std::make_shared<const Log>(std::move(log)) : nullptr;
    detail::call(toolpool_set_log, shared ? detail::LogTarget::receive : nullptr, nullptr, level);
    detail::LogTarget &target = detail::LogTarget::get();
    const std::lock_guard lock(target.mutex);
    target.log.swap(shared);
}

/// The version of the loaded library, as "0.1.0".
[[nodiscard]] inline std::string_view version() noexcept { return toolpool_version(); }

} // namespace toolpool

#endif // TOOLPOOL_HPP

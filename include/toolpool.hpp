/// @file
/// toolpool for C++17: handles that free themselves, errors that are thrown or returned, and
/// lambdas as tools. Header-only; link with -ltoolpool. What each call does is said in toolpool.h;
/// here is what C++ adds:
///
/// - Ownership: Pool, Tool, Items, Job, Results and Report own their handle and can be moved, not
///   copied. They may end in any order. Item, Tensor, Span and Column are views into Results.
/// - Threads: any object may be used by several threads at once, but not while it is moved from,
///   assigned to or destroyed.
/// - Errors: a call that gives a Fallible<T> gives a T, or throws Error. With
///   TOOLPOOL_NO_EXCEPTIONS defined, or exceptions switched off in the compiler, it returns a
///   Result<T> instead; then there are no constructors that could fail, but only Pool::open(),
///   Tool::open() and Items::of(), which are there in both modes. An error of an item is no error
///   of the call: it is met when the item is read.
///
/// SPDX-License-Identifier: MIT OR Apache-2.0
#ifndef TOOLPOOL_HPP
#define TOOLPOOL_HPP

#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <toolpool.h>
#include <toolpool/batch.hpp>
#include <toolpool/guard.hpp>
#include <toolpool/handle.hpp>
#include <toolpool/items.hpp>
#include <toolpool/options.hpp>
#include <toolpool/report.hpp>
#include <toolpool/result.hpp>
#include <toolpool/results.hpp>
#include <toolpool/tensor.hpp>
#include <toolpool/tool.hpp>

namespace toolpool {
inline namespace TOOLPOOL_MODE {

/// How far a job is: toolpool_progress_t says what each field is. A value.
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

/// A submitted run. Ends cancelled if it is destroyed before it is done.
class Job : public detail::Handle<toolpool_job_t, toolpool_job_free> {
  public:
    using Handle::Handle;

    /// Waits until it has ended.
    Fallible<void> wait() const {
        return detail::deliver(detail::done(toolpool_job_wait, get(), std::int64_t{-1}));
    }

    /// The same for some time: whether it has ended. With zero it asks and does not wait.
    template <class Rep, class Period>
    [[nodiscard]] Fallible<bool> wait_for(std::chrono::duration<Rep, Period> time) const {
        return detail::deliver(
            detail::call(toolpool_job_wait, get(), detail::milliseconds(time))
                .and_then([](auto status) { return Result<bool>(status == TOOLPOOL_OK); }));
    }

    /// How far it is.
    [[nodiscard]] Fallible<Progress> progress() const {
        Progress progress = TOOLPOOL_PROGRESS_INIT;
        const auto filled = detail::done(toolpool_job_progress, get(), &progress);
        return detail::deliver(detail::after(filled, progress));
    }

    /// How it went, or how far it is: a snapshot.
    [[nodiscard]] Fallible<Report> report() const {
        return detail::deliver(detail::make<Report>(toolpool_job_report, get()));
    }

    /// Cancels it: batches under way still finish, other items fail with TOOLPOOL_ERR_CANCELLED.
    Fallible<void> cancel() { return detail::deliver(detail::done(toolpool_job_cancel, get())); }

    /// The items that have finished since the last call, once there are some; none after the last.
    /// A job that failed as a whole ends in its Error, after everything else was taken.
    [[nodiscard]] Fallible<std::optional<Results>> next() {
        using Next = std::optional<Results>;
        return detail::deliver(
            Results::from(toolpool_job_next, get(), std::int64_t{-1}).and_then([](Results some) {
                return Result<Next>(some.get() ? Next(std::move(some)) : Next());
            }));
    }

    /// Waits, and takes the results of all items that next() has not given. An Error if the job
    /// failed as a whole, or if none are left: results can be taken once.
    [[nodiscard]] Fallible<Results> results() {
        return detail::deliver(
            Results::from(toolpool_job_results, get()).and_then([](Results rest) {
                return rest.get() ? Result<Results>(std::move(rest)) : taken_before();
            }));
    }

  private:
    static Error taken_before() {
        return {TOOLPOOL_ERR_NOT_FOUND,
                "all items of this job were taken before; keep the results that were given"};
    }
};

namespace detail {

struct DeviceList : Handle<toolpool_devices_t, toolpool_devices_free> {
    using Handle::Handle;

    Result<std::vector<Device>> copy() const {
        std::vector<Device> devices(toolpool_devices_len(get()), Device TOOLPOOL_DEVICE_INIT);
        Result<void> filled;
        for (std::size_t index = 0; filled && index < devices.size(); ++index)
            filled = detail::done(toolpool_devices_get, get(), index, &devices[index]);
        return detail::after(filled, std::move(devices));
    }
};

} // namespace detail

/// A pool: a warm worker on each slot. Closed when it is destroyed, which cancels its jobs.
class Pool : public detail::Handle<toolpool_t, toolpool_close> {
  public:
    using Handle::Handle;

    /// Opens a pool, by default on every visible GPU, or on the CPU where there is none.
    [[nodiscard]] static Fallible<Pool> open(const Devices &devices = {},
                                             const PoolOptions &options = {}) {
        return detail::deliver(opened(devices, options));
    }

#ifndef TOOLPOOL_NO_EXCEPTIONS
    /// The same.
    explicit Pool(const Devices &devices = {}, const PoolOptions &options = {})
        : Pool(open(devices, options)) {}
#endif

    /// Runs a tool on items; returns when all are done, with results in their order. Items that
    /// failed are no Error, unless the job failed as a whole: its tool cannot be loaded anywhere,
    /// or fails on all alike.
    [[nodiscard]] Fallible<Results> run(const Tool &tool, const Items &items) {
        return detail::deliver(detail::planned(
            [&] { return Results::from(toolpool_run, get(), tool.get(), items.get()); }));
    }

    /// The same with options. An Error if one is wrong, or items are lent, as for submit().
    [[nodiscard]] Fallible<Results> run(const Tool &tool, const Items &items,
                                        const JobOptions &options) {
        return detail::deliver(submitted(tool, items, options).and_then([](const Job &job) {
            return Results::from(toolpool_job_results, job.get());
        }));
    }

    /// Begins a run. Tool, items and options may end before the job. An Error if an option is
    /// wrong, or items are lent: borrowed without an owner.
    [[nodiscard]] Fallible<Job> submit(const Tool &tool, const Items &items,
                                       const JobOptions &options = {}) {
        return detail::deliver(submitted(tool, items, options));
    }

    /// Loads a tool onto every slot, so that later runs find it warm. The Error is the first
    /// slot's; the others have it all the same.
    Fallible<void> warm(const Tool &tool) {
        return detail::deliver(detail::done(toolpool_warm, get(), tool.get()));
    }

    /// Waits until all jobs have ended.
    Fallible<void> drain() {
        return detail::deliver(detail::done(toolpool_drain, get(), std::int64_t{-1}));
    }

    /// The slots, in the order of their numbers.
    [[nodiscard]] Fallible<std::vector<Device>> slots() const {
        return detail::deliver(
            detail::make<detail::DeviceList>(toolpool_slots, get())
                .and_then([](const detail::DeviceList &list) { return list.copy(); }));
    }

    /// Cancels the jobs and ends the workers; other calls, also those under way on other threads,
    /// then end in TOOLPOOL_ERR_CLOSED. Does nothing inside a lambda of a tool.
    void close() noexcept { toolpool_close(get()); }

  private:
    Result<Job> submitted(const Tool &tool, const Items &items, const JobOptions &options) {
        return detail::planned([&] {
            return options.raw().and_then([&](const detail::RawOptions &raw) {
                return detail::make<Job>(toolpool_submit, get(), tool.get(), items.get(),
                                         raw.get());
            });
        });
    }

    static Result<Pool> opened(const Devices &devices, const PoolOptions &options) {
        std::vector<toolpool_option_t> raw;
        raw.reserve(options.size());
        for (const auto &[key, value] : options) {
            for (const std::string *text : {&key, &value})
                if (detail::cut_short(*text))
                    return detail::nul_error(*text);
            raw.push_back({key.c_str(), value.c_str()});
        }
        return detail::make<Pool>(toolpool_open_with, devices.text(), raw.data(), raw.size());
    }
};

namespace detail {

/// @param devices  none: what is visible
inline Fallible<std::vector<Device>> list(const std::optional<std::string> &devices) {
    return detail::deliver(detail::make<DeviceList>(toolpool_devices_list, devices)
                               .and_then([](const DeviceList &list) { return list.copy(); }));
}

} // namespace detail

/// Every visible GPU, and then the CPU. CUDA is not touched.
[[nodiscard]] inline Fallible<std::vector<Device>> devices() { return detail::list(std::nullopt); }

/// A row for each slot of a Pool opened with `devices`.
[[nodiscard]] inline Fallible<std::vector<Device>> devices(const Devices &devices) {
    return detail::list(devices.text());
}

/// What plan() found.
struct Plan {
    std::vector<std::uint32_t> slot_of; ///< The slot of each item.
    std::vector<double> finish;         ///< When each slot is done, in cost / weight.
    double bound = 0;                   ///< The time below which no assignment can end.
};

/// Assigns items to slots beforehand, longest first: see toolpool_plan().
///
/// @param costs      of the items, in any unit; none negative or NaN
/// @param weights    relative speeds of the slots, above 0
/// @param max_costs  the largest cost that each slot can take; empty: any
[[nodiscard]] inline Fallible<Plan> plan(const std::vector<double> &costs,
                                         const std::vector<double> &weights,
                                         const std::vector<double> &max_costs = {}) {
    if (!max_costs.empty() && max_costs.size() != weights.size())
        return detail::deliver<Plan>(
            Error(TOOLPOOL_ERR_ARGUMENT, std::to_string(max_costs.size()) + " largest costs for " +
                                             std::to_string(weights.size()) + " slots"));
    Plan plan{std::vector<std::uint32_t>(costs.size()), std::vector<double>(weights.size())};
    const auto done = detail::done(toolpool_plan, costs.data(), costs.size(), weights.data(),
                                   max_costs.empty() ? nullptr : max_costs.data(), weights.size(),
                                   plan.slot_of.data(), plan.finish.data(), &plan.bound);
    return detail::deliver(detail::after(done, std::move(plan)));
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

    /// A line that cannot be logged must not harm the run.
    static void receive(void *, std::int32_t level, const char *message) noexcept {
        guard([&] { get().pass_on(level, message); },
              [](toolpool_status_t status, const char *) { return status; });
    }

    void pass_on(std::int32_t level, const char *message) {
        std::unique_lock lock(mutex);
        const auto current = log;
        lock.unlock();
        if (current)
            (*current)(level, message);
    }
};

} // namespace detail

/// Sends the log lines of all pools of the process to `log`, those of `level` and below; nullptr:
/// nowhere, as at the start. What `log` throws is dropped.
inline Fallible<void> set_log(Log log, std::int32_t level = TOOLPOOL_LOG_INFO) {
    auto shared = log ? std::make_shared<const Log>(std::move(log)) : nullptr;
    void *const user = nullptr;
    const auto set =
        detail::done(toolpool_set_log, shared ? detail::LogTarget::receive : nullptr, user, level);
    if (set) {
        detail::LogTarget &target = detail::LogTarget::get();
        const std::lock_guard lock(target.mutex);
        target.log.swap(shared);
    }
    return detail::deliver(set);
}

/// The version of the loaded library, as "0.1.0".
[[nodiscard]] inline std::string_view version() noexcept { return toolpool_version(); }

} // namespace TOOLPOOL_MODE
} // namespace toolpool

#endif // TOOLPOOL_HPP

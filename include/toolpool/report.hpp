/// @file
/// How a job went. Part of toolpool.hpp.
///
/// SPDX-License-Identifier: MIT OR Apache-2.0
#ifndef TOOLPOOL_REPORT_HPP
#define TOOLPOOL_REPORT_HPP

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <toolpool.h>
#include <toolpool/handle.hpp>

namespace toolpool {
inline namespace TOOLPOOL_MODE {

/// Figures of a job as a whole; its strings belong to the Report.
using Summary = toolpool_summary_t;
/// What one slot did for a job; its strings belong to the Report.
using SlotReport = toolpool_slot_report_t;

/// How a job went, or how far it is: a snapshot, which outlives job and pool. Its figures and texts
/// are views into it; a temporary has none.
class Report : public detail::Handle<toolpool_report_t, toolpool_report_free> {
  public:
    using Handle::Handle;

    /// Times in seconds, costs in the tool's unit: toolpool_summary_t says what each figure is.
    [[nodiscard]] Fallible<Summary> summary() const & {
        Summary summary = TOOLPOOL_SUMMARY_INIT;
        const auto filled = detail::done(toolpool_report_summary, get(), &summary);
        return detail::deliver(detail::after(filled, summary));
    }
    Fallible<Summary> summary() const && = delete;

    /// One a slot of the pool, in the order of their numbers.
    [[nodiscard]] Fallible<std::vector<SlotReport>> slots() const & {
        std::vector<SlotReport> slots(toolpool_report_slots(get()),
                                      SlotReport TOOLPOOL_SLOT_REPORT_INIT);
        Result<void> filled;
        for (std::size_t slot = 0; filled && slot < slots.size(); ++slot)
            filled = detail::done(toolpool_report_slot, get(), slot, &slots[slot]);
        return detail::deliver(detail::after(filled, std::move(slots)));
    }
    Fallible<std::vector<SlotReport>> slots() const && = delete;

    /// What the tool has counted, by name.
    [[nodiscard]] Fallible<std::map<std::string, double>> counts() const {
        std::map<std::string, double> counts;
        Result<void> filled;
        for (std::size_t index = 0; filled && index < toolpool_report_counts(get()); ++index) {
            const char *name = toolpool_report_count_name(get(), index);
            filled = detail::done(toolpool_report_count, get(), name, &counts[name]);
        }
        return detail::deliver(detail::after(filled, std::move(counts)));
    }

    /// The figures as a JSON object; docs/report.md lists the keys.
    [[nodiscard]] std::string_view json() const & noexcept { return toolpool_report_json(get()); }
    std::string_view json() const && = delete;

    /// Loads and batches in the Chrome trace-event format, which https://ui.perfetto.dev opens.
    [[nodiscard]] std::string_view trace() const & noexcept { return toolpool_report_trace(get()); }
    std::string_view trace() const && = delete;

    /// The same as a picture, an SVG document.
    [[nodiscard]] std::string_view timeline() const & noexcept {
        return toolpool_report_timeline(get());
    }
    std::string_view timeline() const && = delete;
};

} // namespace TOOLPOOL_MODE
} // namespace toolpool

#endif // TOOLPOOL_REPORT_HPP

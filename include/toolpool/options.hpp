/// @file
/// What a pool works on, and options of pools, jobs and tools. Part of toolpool.hpp.
///
/// All of it is text in the end; the call that takes it checks it.
///
/// SPDX-License-Identifier: MIT OR Apache-2.0
#ifndef TOOLPOOL_OPTIONS_HPP
#define TOOLPOOL_OPTIONS_HPP

#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <toolpool.h>
#include <toolpool/handle.hpp>

namespace toolpool {
inline namespace TOOLPOOL_MODE {

/// The devices that a pool works on, by text as toolpool_open() takes it or by name. A value.
class Devices {
  public:
    /// Every visible GPU; where there is none, CPU workers.
    Devices() = default;

    /// @param text  "auto", "all", "2", "cuda:0,cuda:2", "cuda:0*2", "cpu*4" ...; NULL, as getenv()
    ///              may give it: "auto"
    Devices(const char *text) : text_(text != nullptr ? text : "auto") {}
    Devices(std::string text) : text_(std::move(text)) {}

    /// Every visible GPU, of which there must be one.
    [[nodiscard]] static Devices all() { return "all"; }

    /// The first `count` visible GPUs.
    [[nodiscard]] static Devices first(std::int64_t count) { return std::to_string(count); }

    /// The GPUs of these numbers, as this process sees them.
    [[nodiscard]] static Devices cuda(const std::vector<int> &numbers) {
        std::string text;
        for (const int number : numbers)
            text += (text.empty() ? "cuda:" : ",cuda:") + std::to_string(number);
        return text;
    }

    /// So many CPU workers, which share the cores of this process evenly.
    [[nodiscard]] static Devices cpu(std::int64_t workers = 1) {
        return "cpu*" + std::to_string(workers);
    }

    /// As toolpool_open() takes it.
    [[nodiscard]] const std::string &text() const noexcept { return text_; }

  private:
    std::string text_ = "auto";
};

namespace detail {

/// Of a char nobody knows whether it is a letter or a number.
template <class T>
inline constexpr bool is_number = std::is_arithmetic_v<T> && !std::is_same_v<T, char>;

/// As few digits as tell it from any other number. The locale has no say.
template <class Number> std::string decimal(Number number) {
    char digits[64];
    const auto written = std::to_chars(std::begin(digits), std::end(digits), number);
    return std::string(digits, written.ptr);
}
inline std::string decimal(bool value) { return value ? "true" : "false"; }

} // namespace detail

/// The value of an option: "mean", 4096, 0.5, true. Kept as text. A value.
class OptionValue {
  public:
    /// Text, of any type that converts to std::string_view.
    template <class Text,
              std::enable_if_t<std::is_convertible_v<const Text &, std::string_view>, int> = 0>
    OptionValue(const Text &text) : text_(text) {}

    /// A number, of any type; true or false.
    template <class Number, std::enable_if_t<detail::is_number<Number>, int> = 0>
    OptionValue(Number number) : text_(detail::decimal(number)) {}

    /// As toolpool_tool_set() takes it.
    [[nodiscard]] const std::string &text() const noexcept { return text_; }

  private:
    std::string text_;
};

/// Options, set in their order. A value; what is wrong with one is said by the call that takes
/// them.
class Options {
  public:
    /// @param options  `{{"dedup", false}, {"retries", 1}}`
    Options(std::initializer_list<std::pair<std::string, OptionValue>> options = {}) {
        for (const auto &[key, value] : options)
            set(key, value);
    }

    /// Adds an option; of several with one key the last counts.
    void set(const std::string &key, const OptionValue &value) {
        options_.emplace_back(key, value.text());
    }

    /// Pairs of key and value, in the order in which they are set.
    [[nodiscard]] auto begin() const noexcept { return options_.begin(); }
    [[nodiscard]] auto end() const noexcept { return options_.end(); }
    /// How many there are.
    [[nodiscard]] std::size_t size() const noexcept { return options_.size(); }

  private:
    std::vector<std::pair<std::string, std::string>> options_;
};

/// Options of a tool; docs/options.md lists them by tool.
class ToolOptions : public Options {
  public:
    using Options::Options;
};

/// Whether a pool runs tools that are made of files which are programs (TorchScript, AOTInductor).
enum class Trust {
    code, ///< It does.
    data, ///< It refuses them.
};

/// Options of a pool; toolpool_open_with() lists them.
class PoolOptions : public Options {
  public:
    using Options::Options;

    /// Bytes that loaded tools may take on one device, above 0.
    PoolOptions &memory_limit(std::int64_t bytes) {
        set("memory_limit", bytes);
        return *this;
    }

    /// CPU threads of each CPU slot, 1 to 1024.
    PoolOptions &threads(std::int64_t count) {
        set("threads", count);
        return *this;
    }

    /// Whether tools may be programs. At first they may.
    PoolOptions &trust(Trust trust) {
        set("trust", trust == Trust::data ? "data" : "code");
        return *this;
    }
};

/// What a job does when a device is lost.
enum class OnDeviceLost {
    go_on, ///< The other slots do its work.
    fail,  ///< The job ends.
};

namespace detail {

struct RawOptions : Handle<toolpool_options_t, toolpool_options_free> {
    using Handle::Handle;
};

template <class Rep, class Period> double seconds(std::chrono::duration<Rep, Period> time) {
    return std::chrono::duration<double>(time).count();
}

} // namespace detail

/// Options of a job; toolpool_options_set() lists them.
class JobOptions : public Options {
  public:
    using Options::Options;

    /// Whether items of equal content are computed once; false for tools that are random or have
    /// side effects. At first true.
    JobOptions &dedup(bool value) {
        set("dedup", value);
        return *this;
    }

    /// Whether batches are formed from the items alone: then results do not depend on the number of
    /// slots by a single bit, on one kind of device with the same threads and budget. At first
    /// false.
    JobOptions &deterministic(bool value) {
        set("deterministic", value);
        return *this;
    }

    /// The job ends so long after its submission, above 0; what is not done by then fails with
    /// TOOLPOOL_ERR_TIME_LIMIT.
    template <class Rep, class Period>
    JobOptions &time_limit(std::chrono::duration<Rep, Period> time) {
        set("time_limit", detail::seconds(time));
        return *this;
    }

    /// A batch that takes longer is given up, and its items tried once more, last and alone.
    template <class Rep, class Period>
    JobOptions &batch_time_limit(std::chrono::duration<Rep, Period> time) {
        set("batch_time_limit", detail::seconds(time));
        return *this;
    }

    /// How often an item is tried again when the tool says TOOLPOOL_ERR_TRANSIENT. At first 3.
    JobOptions &retries(std::int64_t count) {
        set("retries", count);
        return *this;
    }

    /// At first OnDeviceLost::go_on.
    JobOptions &on_device_lost(OnDeviceLost what) {
        set("on_device_lost", what == OnDeviceLost::fail ? "fail" : "continue");
        return *this;
    }

    /// Workers pause while finished outputs that Job::next() has not given take more bytes.
    JobOptions &pending_bytes(std::int64_t bytes) {
        set("pending_bytes", bytes);
        return *this;
    }

  private:
    friend class Pool;

    Result<detail::RawOptions> raw() const {
        auto options = detail::make<detail::RawOptions>(toolpool_options_new);
        for (const auto &[key, value] : *this) {
            if (!options)
                break;
            const auto set = detail::done(toolpool_options_set, options->get(), key, value);
            if (!set)
                return set.error();
        }
        return options;
    }
};

} // namespace TOOLPOOL_MODE
} // namespace toolpool

#endif // TOOLPOOL_OPTIONS_HPP

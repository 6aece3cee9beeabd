// What the tests of toolpool.hpp share: checks that count, and gates that make no test depend on
// time.
#ifndef TOOLPOOL_TESTS_CHECK_HPP
#define TOOLPOOL_TESTS_CHECK_HPP

#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <string>
#include <string_view>

#include <toolpool.hpp>

inline int failures = 0;

#define CHECK(condition) check(condition, #condition, __FILE__, __LINE__)

inline void check(bool condition, const char *text, const char *file, int line) {
    if (!condition) {
        ++failures;
        std::fprintf(stderr, "%s:%d: %s\n", file, line, text);
    }
}

inline bool has(std::string_view text, std::string_view part) {
    if (text.find(part) != std::string_view::npos)
        return true;
    std::fprintf(stderr, "not in \"%.*s\":\n", static_cast<int>(text.size()), text.data());
    return false;
}

#ifndef TOOLPOOL_NO_EXCEPTIONS

/// What `body` throws; status 0 if it throws nothing.
template <class Body> toolpool::Error error_of(Body body) {
    try {
        body();
    } catch (const toolpool::Error &error) {
        return error;
    }
    return {TOOLPOOL_OK, "nothing was thrown"};
}

/// Copies the first field to the output `output`, as the tool `echo` does.
inline void echo(toolpool::Batch batch, toolpool::Outputs outputs, std::size_t index) {
    const std::string_view text = batch[index].text();
    text.copy(outputs[index].alloc<char>("output", {text.size()}).data(), text.size());
}

#endif

/// Closed until it is opened, once.
class Gate {
  public:
    void open() {
        const std::lock_guard lock(mutex_);
        open_ = true;
        changed_.notify_all();
    }
    void pass() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return open_; });
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool open_ = false;
};

#endif // TOOLPOOL_TESTS_CHECK_HPP

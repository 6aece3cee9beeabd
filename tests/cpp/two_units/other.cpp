#include "other.hpp"

#include <algorithm>

namespace other {

toolpool::Tool reversing() {
    return toolpool::Tool::from(
        "reversing", [](toolpool::BatchItem item, toolpool::ItemOutputs outputs) {
            const auto text = item.text();
            std::reverse_copy(text.begin(), text.end(),
                              outputs.alloc<char>("output", {text.size()}).begin());
        });
}

void fail() { toolpool::Tool{"no such tool"}; }

const void *log_target() { return &toolpool::detail::LogTarget::get(); }
const void *thrown() { return &toolpool::detail::thrown(); }

} // namespace other

#include "other.hpp"

#include <algorithm>

namespace other {

toolpool::Tool reversing() {
    return toolpool::Tool::from("reversing", [](toolpool::Batch batch, toolpool::Outputs outputs) {
        for (std::size_t i = 0; i < batch.size(); ++i)
            std::reverse_copy(batch[i].begin(), batch[i].end(),
                              outputs.alloc<char>(i, "output", {batch[i].size()}).begin());
    });
}

void fail() { toolpool::Tool{"no such tool"}; }

const void *log_target() { return &toolpool::detail::LogTarget::get(); }
const void *thrown() { return &toolpool::detail::thrown(); }

} // namespace other

// The same header, with errors returned.
#define TOOLPOOL_NO_EXCEPTIONS
#include <toolpool.hpp>

namespace other {

toolpool_status_t status_of_a_tool(const char *kind) {
    const toolpool::Result<toolpool::Tool> tool = toolpool::Tool::open(kind);
    return tool ? TOOLPOOL_OK : tool.error().status();
}

} // namespace other

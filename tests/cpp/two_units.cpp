// The header in translation units of one program: two share what it defines, and one that has
// errors returned links beside them.
#include "two_units/other.hpp"

#include "check.hpp"

int main() {
    toolpool::Pool pool{"cpu*1"};
    const auto results = pool.run(other::reversing(), {"abc"});
    CHECK(results[0]["output"].text() == "cba");
    CHECK(&toolpool::detail::LogTarget::get() == other::log_target());
    CHECK(&toolpool::detail::thrown() == other::thrown());
    try {
        other::fail();
        CHECK(false);
    } catch (const toolpool::Error &error) {
        CHECK(error.status() == TOOLPOOL_ERR_TOOL);
    }
    CHECK(other::status_of_a_tool("no such tool") == TOOLPOOL_ERR_TOOL);
    CHECK(other::status_of_a_tool("echo") == TOOLPOOL_OK);
    return failures != 0;
}

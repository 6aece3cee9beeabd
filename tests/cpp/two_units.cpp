// The header in two translation units of one program, which share what it defines.
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
    return failures != 0;
}

// What the other translation units give.
#ifndef TOOLPOOL_TESTS_OTHER_HPP
#define TOOLPOOL_TESTS_OTHER_HPP

#include <toolpool.hpp>

namespace other {

toolpool::Tool reversing();
void fail();
const void *log_target();
const void *thrown();
toolpool_status_t status_of_a_tool(const char *kind); // returning.cpp

} // namespace other

#endif // TOOLPOOL_TESTS_OTHER_HPP

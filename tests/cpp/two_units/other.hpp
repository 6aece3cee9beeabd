// What the other translation unit gives.
#ifndef TOOLPOOL_TESTS_OTHER_HPP
#define TOOLPOOL_TESTS_OTHER_HPP

#include <toolpool.hpp>

namespace other {

toolpool::Tool reversing();
void fail();
const void *log_target();
const void *thrown();

} // namespace other

#endif // TOOLPOOL_TESTS_OTHER_HPP

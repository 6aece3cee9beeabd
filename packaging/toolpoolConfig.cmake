# find_package(toolpool) gives the target toolpool::toolpool, for C11 and C++17: the shared library and the headers of the
# prefix that this file is in. A link on the way to it, as /lib to /usr/lib, does not mislead.
get_filename_component(_toolpool_prefix "${CMAKE_CURRENT_LIST_DIR}" REALPATH)
get_filename_component(_toolpool_prefix "${_toolpool_prefix}/../../.." ABSOLUTE)

if(NOT TARGET toolpool::toolpool)
  add_library(toolpool::toolpool SHARED IMPORTED)
  set_target_properties(toolpool::toolpool PROPERTIES
    IMPORTED_LOCATION "${_toolpool_prefix}/lib/libtoolpool.so"
    INTERFACE_INCLUDE_DIRECTORIES "${_toolpool_prefix}/include")
endif()
unset(_toolpool_prefix)

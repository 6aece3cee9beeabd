# shellcheck shell=bash
# Sourced after lib.sh: the tools of tests and lint, each of the version that scripts/requirements/tools.txt pins.

# tool NAME: the path of the system's own where it serves, else of the one in .tools. Any CMake serves whose age
# CMakeLists.txt accepts; the others must be the pinned version, since versions differ in what they ask for.
tool() {
    local name=$1 wanted=.
    [[ $name == cmake || $name == ctest ]] || wanted=$(sed -n "s/^$name==//p" scripts/requirements/tools.txt)
    if "$name" --version 2>/dev/null | grep -qF "$wanted"; then
        command -v "$name"
    else
        install_into .tools scripts/requirements/tools.txt
        echo "$PWD/.tools/bin/$name"
    fi
}

c_sources() {
    find abi backends examples include src tests -name '*.[ch]' -print0 -o -name '*.[ch]pp' -print0 |
        grep -zvxF include/toolpool.h || true
}

# shellcheck shell=bash
# Sourced by the scripts beside it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
export CARGO_TARGET_DIR=$root/target
# What cargo runs links with libtorch outright; the libraries and programs that users get find it for themselves.
torch_cargo() { LD_LIBRARY_PATH=$root/libtorch/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} cargo "$@"; }

version() { sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml; }

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() {
    say "error: $*"
    exit 1
}

# installed_in DIR REQUIREMENTS [PIP_ARG...]: that very list is in DIR already.
installed_in() { [[ -f $(stamp "$@") ]]; }

# install_into DIR REQUIREMENTS [PIP_ARG...]: the list in the virtual environment DIR, once.
install_into() {
    installed_in "$@" && return
    local dir=$1 requirements=$2 started=$SECONDS
    shift 2
    [[ -x $dir/bin/python ]] || make_venv "$dir"
    say "installing $(grep -v '^#' "$requirements" | paste -sd' ') into $dir ..."
    mkdir -p build/tmp
    TMPDIR=$root/build/tmp "$(pip_python "$dir")" -m pip --python "$dir/bin/python" install \
        --quiet --no-cache-dir --disable-pip-version-check "$@" -r "$requirements"
    touch "$(stamp "$dir" "$requirements" "$@")"
    say "installed in $((SECONDS - started)) s"
}

stamp() {
    local dir=$1 requirements=$2
    shift 2
    local sum
    sum=$({ grep -v '^#' "$requirements"; echo "$*"; } | sha256sum)
    echo "$dir/.installed-$(basename "$requirements" .txt)-${sum:0:12}"
}

# Debian keeps what `venv` needs to put pip into an environment in a package of its own; a pip outside serves as well.
make_venv() {
    local dir=$1 python=${PYTHON:-python3}
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null ||
        die "$python is absent or older than 3.10; install it, or name another: make PYTHON=/path/to/python3"
    say "making the virtual environment $dir"
    rm -rf "$dir"
    if "$python" -c 'import ensurepip' 2>/dev/null; then
        "$python" -m venv "$dir"
    elif "$python" -m pip --version >/dev/null 2>&1; then
        "$python" -m venv --without-pip "$dir"
    else
        die "$python has neither ensurepip nor pip; run: apt-get install python3-venv"
    fi
}

pip_python() {
    if "$1/bin/python" -c 'import pip' 2>/dev/null; then
        echo "$1/bin/python"
    else
        echo "${PYTHON:-python3}"
    fi
}

# Gives a library in its folder the name under which programs look for it.
link_soname() {
    local soname
    soname=$(readelf -d "$1" | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p')
    [[ -z $soname || $soname == "$(basename "$1")" ]] || ln -sf "$(basename "$1")" "$(dirname "$1")/$soname"
}

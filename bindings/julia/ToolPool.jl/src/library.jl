# Finding libtoolpool.so.

const SONAME = "libtoolpool.so.0.1"

# Seen from this package: installed, there is a link beside it; in the repository, there is the folder of the build.
const PLACES = normpath.(joinpath.(@__DIR__, ["..", "../../../../target/release"], SONAME))

function load_library()
    path = library_path()
    handle = try
        dlopen(path, RTLD_NOW | RTLD_LOCAL)
    catch reason
        error("cannot load $path: $(sprint(showerror, reason)). Build toolpool (make build) or install it, or set " *
              "TOOLPOOL_LIBRARY to the path of libtoolpool.so")
    end
    addresses = map(name -> dlsym(handle, name; throw_error = false), NAMES)
    missing_one = findfirst(isnothing, addresses)
    missing_one === nothing ||
        error("$path has no $(NAMES[missing_one]): it is of another version than this package; " *
              "build both from one source, or set TOOLPOOL_LIBRARY to the right one")
    resize!(ADDRESSES, length(NAMES))
    copyto!(ADDRESSES, addresses)
    toolpool_abi() == TOOLPOOL_ABI ||
        error("$path has the tables of version $(toolpool_abi()), and this package is for $TOOLPOOL_ABI")
end

# TOOLPOOL_LIBRARY, what the package was installed or built with, or what the system's loader finds.
library_path() = get(() -> first([filter(isfile, PLACES); SONAME]), ENV, "TOOLPOOL_LIBRARY")

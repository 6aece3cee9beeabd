"""
Keeps every GPU, or every core, of a machine busy on a batch of items.

    using ToolPool

    ToolPool.open("all") do pool
        esm2 = ESM2("facebook/esm2_t33_650M_UR50D"; outputs = ["mean"])
        results = run(pool, esm2, ["MKTLLILAVVAAALA", "GAVLTVLLGGLLLA"])
        results[1]["mean"]
    end

Tasks of Julia may use everything here at once. While one waits for a job, the others and the garbage collector go on.
"""
module ToolPool

using Libdl

export Pool, Tool, ESM2, TorchScript, AOTInductor, Echo, JuliaTool, library
export submit, cancel, progress, warm, drain, slots, devices
export Job, Results, Item, failed, throw_if_partial, outputs, report
export ToolPoolError, PartialFailure

if isdefined(Base, :stack)
    import Base: stack
else
    export stack
end

include("signatures.jl")
include("library.jl")
include("errors.jl")
include("bell.jl")
include("tensors.jl")
include("devices.jl")
include("items.jl")
include("tools.jl")
include("inside.jl")
include("functions.jl")
include("results.jl")
include("report.jl")
include("job.jl")
include("pool.jl")

function __init__()
    load_library()
    atexit(abandon_queues)
end

"""The version of libtoolpool, such as `v"0.1.0"`."""
version() = VersionNumber(unsafe_string(toolpool_version()))

end

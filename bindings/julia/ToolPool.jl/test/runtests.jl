using Base.CoreLogging: NullLogger, SimpleLogger, with_logger
using Test
using ToolPool

text(item, name = "output") = String(copy(item[name]))
on_cpu(f, slots = 2) = ToolPool.open(f, "cpu*$slots")

# What `f` throws, in words.
function message_of(f)
    try
        f()
        "nothing was thrown"
    catch reason
        sprint(showerror, reason)
    end
end

# Waits for what another task or thread is about to do. Nothing is judged by how long it takes, but a hang ends.
function eventually(condition)
    timedwait(condition, 120.0; pollint = 0.001) == :ok
end

include("items.jl")
include("jobs.jl")
include("functions.jl")
include("lifetimes.jl")
include("models.jl")

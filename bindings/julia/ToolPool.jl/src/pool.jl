# A pool, and runs on it.

"""A pool: see [`ToolPool.open`](@ref)."""
mutable struct Pool
    handle::Ptr{Cvoid}
    jobs::Vector{WeakRef}

    function Pool(handle::Ptr{Cvoid})
        pool = new(handle, WeakRef[])
        # Closing waits for workers, which a finalizer must not.
        finalizer(pool -> pool.handle == C_NULL || @async(close_when_idle(pool.handle, WeakRef[])), pool)
    end
end

"""
    ToolPool.open(devices = "auto"; options...)
    ToolPool.open(f, devices = "auto"; options...)

Opens a pool, one warm worker on each slot; with a function, as in a `do` block, closes it in the end and returns what
the function does.

| `devices` | slots |
| --- | --- |
| `"auto"` | every visible GPU; where there is none, every core |
| `"all"` | every visible GPU; an error where there is none |
| `2` | the first 2 visible GPUs |
| `[0, 2]`, `["cuda:0", "cuda:2"]`, `"cuda:0,cuda:2"` | these |
| `"cuda:0*2"` | two slots on one GPU |
| `"cpu*4"` | 4 CPU workers, which share the cores |

Options are those of docs/options.md: `memory_limit`, `threads`, `trust`.
"""
function open(devices = "auto"; options...)
    pairs = [(String(key), option_text(value)) for (key, value) in options]
    GC.@preserve pairs begin
        table = [toolpool_option_t(Cstring(pointer(key)), Cstring(pointer(value))) for (key, value) in pairs]
        text = device_text(devices)
        Pool(made((out, err) -> toolpool_open_with(text, table, length(table), out, err)))
    end
end

function open(f::Function, devices = "auto"; options...)
    pool = open(devices; options...)
    try
        f(pool)
    finally
        close(pool)
    end
end

function handle_of(pool::Pool)
    pool.handle == C_NULL && throw(ToolPoolError(:ERR_CLOSED, "the pool is closed", nothing))
    pool.handle
end

"""Cancels the pool's jobs, waits for the batches under way while other tasks go on, and ends its workers."""
function Base.close(pool::Pool)
    refuse_inside()
    pool.handle == C_NULL && return
    handle, pool.handle = pool.handle, C_NULL
    close_when_idle(handle, pool.jobs)
end

# What is under way may be a Julia function, which tasks of this thread run: so it ends before the call that waits for
# it.
function close_when_idle(handle, jobs)
    foreach(cancel, living(jobs))
    wait_idle(handle)
    # A worker may still wait for a Julia function's `load`, which tasks of this thread answer. In a task of its own, for an
    # interrupt must not unwind the call.
    wait(@async @threadcall(ADDRESSES[CLOSE], Cvoid, (Ptr{Cvoid},), handle))
end

# A reference is read once: what it refers to may go at any time.
function living(jobs)
    jobs = [ref.value for ref in jobs]
    filter!(job -> job !== nothing && job.handle != C_NULL, jobs)
end

function wait_idle(handle)
    pause = 0.001
    while toolpool_drain(handle, 0, C_NULL) == TOOLPOOL_PENDING
        sleep(pause)
        pause = min(2 * pause, 0.05)
    end
end

"""Waits until no job of the pool is unfinished; other tasks go on."""
function drain(pool::Pool)
    refuse_inside()
    wait_idle(handle_of(pool))
end

"""The slots of the pool, as devices."""
slots(pool::Pool) = listed((out, err) -> toolpool_slots(handle_of(pool), out, err))

Base.show(io::IO, pool::Pool) =
    print(io, pool.handle == C_NULL ? "Pool (closed)" : "Pool of $(length(slots(pool))) slots")

"""
    submit(pool, tool, items; costs = nothing, options...)

Begins a run and returns its [`Job`](@ref) once it is planned. `tool` may be a Julia function, `items` whatever
[`ToolPool.Items`](@ref) takes. Options are those of docs/options.md: `dedup`, `deterministic`, `time_limit`,
`batch_time_limit`, `retries`, `on_device_lost`, `pending_bytes`.
"""
function submit(pool::Pool, tool::Tool, items; costs = nothing, options...)
    refuse_inside()
    given = items isa Items ? items : Items(items; costs = costs)
    items isa Items && costs !== nothing && set_costs(given, costs)
    settings = job_options(options)
    try
        handle = made((out, err) -> toolpool_submit(handle_of(pool), tool.handle, given.handle, settings, out, err))
        job = Job(handle)
        pool.jobs = push!(map(WeakRef, living(pool.jobs)), WeakRef(job))
        job
    finally
        toolpool_options_free(settings)
        items === given || close(given)
    end
end

submit(pool::Pool, tool::JuliaTool, items; options...) = submit(pool, tool.tool, items; options...)

# The tool of a plain function goes with its job.
function submit(pool::Pool, f::Function, items; options...)
    tool = JuliaTool(f; name = string(nameof(f)))
    try
        submit(pool, tool, items; options...)
    finally
        close(tool)
    end
end

function job_options(options)
    handle = made(toolpool_options_new)
    try
        for (key, value) in options
            check(err -> toolpool_options_set(handle, key, option_text(value), err))
        end
    catch
        toolpool_options_free(handle)
        rethrow()
    end
    handle
end

"""
    run(pool, tool, items; costs = nothing, options...)

Runs a tool on items and returns the [`Results`](@ref) once all are done: longest first, equal items once, in input
order. It does not throw where items fail alone: their outputs do, `stack` does, and `throw_if_partial`. Arguments are
those of [`submit`](@ref).
"""
function Base.run(pool::Pool, tool::Union{Tool, JuliaTool, Function}, items; options...)
    job = submit(pool, tool, items; options...)
    try
        fetch(job)
    finally
        close(job)
    end
end

Base.run(f::Function, pool::Pool, items; options...) = run(pool, f, items; options...)

"""Loads a tool onto every slot; later runs find it warm. Other tasks go on."""
function warm(pool::Pool, tool::Tool)
    refuse_inside()
    err = Ref{Ptr{Cvoid}}(C_NULL)
    GC.@preserve pool tool status = @threadcall(
        ADDRESSES[WARM], Int32, (Ptr{Cvoid}, Ptr{Cvoid}, Ptr{Ptr{Cvoid}}), handle_of(pool), tool.handle, err)
    check(place -> (place[] = err[]; status))
    nothing
end

warm(pool::Pool, tool::JuliaTool) = warm(pool, tool.tool)

const WARM = findfirst(==(:toolpool_warm), NAMES)
const CLOSE = findfirst(==(:toolpool_close), NAMES)

# A run under way.

"""
A run that was begun by [`submit`](@ref). `wait(job)` waits for its end, `job[]` (or `fetch(job)`) for its results;
iterating over it gives items as they finish. `close` cancels and frees it.
"""
mutable struct Job
    handle::Ptr{Cvoid}
    bell::Bell

    function Job(handle::Ptr{Cvoid})
        job = new(handle, hang_up())
        check(err -> toolpool_job_notify(handle, ring(), address(job.bell), err))
        finalizer(close, job)
    end
end

function Base.close(job::Job)
    job.handle == C_NULL && return
    handle, job.handle = job.handle, C_NULL
    toolpool_job_free(handle)
    # A finalizer must not wait for the lock of the bells.
    @async take_down(job.bell)
    nothing
end

function handle_of(job::Job)
    job.handle == C_NULL && throw(ToolPoolError(:ERR_CLOSED, "this job was closed", nothing))
    job.handle
end

ended(job) = check(err -> toolpool_job_poll(handle_of(job), err)) == TOOLPOOL_OK

"""
Waits until the job has ended; other tasks go on. What ends the wait by an exception, such as Ctrl-C, cancels the job.
"""
function Base.wait(job::Job)
    refuse_inside()
    # Says that the whole job is waited for: nothing pauses for `pending_bytes` any more.
    check(err -> toolpool_job_wait(handle_of(job), 1, err))
    cancelled_by_exception(job) do
        wait_until(() -> ended(job), job.bell)
    end
    job
end

function cancelled_by_exception(f, job)
    try
        waiting(f)
    catch
        job.handle == C_NULL || toolpool_job_cancel(job.handle, C_NULL)
        rethrow()
    end
end

"""Begins no more batches: those under way finish, other items fail. What was done can be taken."""
cancel(job::Job) = (check(err -> toolpool_job_cancel(handle_of(job), err)); nothing)

"""Waits for the end, and takes the results of all items that were not taken before."""
function Base.fetch(job::Job)
    wait(job)
    out = Ref{Ptr{Cvoid}}(C_NULL)
    status = check(err -> toolpool_job_results(handle_of(job), out, err))
    status == TOOLPOOL_DONE && throw(ToolPoolError(:ERR_NOT_FOUND, "all items of this job were taken before", nothing))
    Results(out[], report(job))
end

Base.getindex(job::Job) = fetch(job)

"""
How far the job is, in items and in seconds; `remaining` is `nothing` as long as it is unknown, `undone` are items that will not
be done any more, once the job has ended.
"""
function progress(job::Job)
    figures = blank(toolpool_progress_t)
    check(err -> toolpool_job_progress(handle_of(job), figures, err))
    now = figures[]
    (total = Int(now.total), done = Int(now.done), failed = Int(now.failed), undone = Int(now.undone),
     running = Int(now.running), unique = Int(now.unique), elapsed = now.elapsed_s, remaining = now.remaining_s < 0 ? nothing : now.remaining_s)
end

"""How the job went so far, or the run that results are of."""
report(job::Job) = Report(made((out, err) -> toolpool_job_report(handle_of(job), out, err)))
report(results::Results) = results.report

"""
The items that have finished since the last call, as results; waits for some. `nothing` once all were handed out.
"""
function next_finished(job::Job)
    refuse_inside()
    out = Ref{Ptr{Cvoid}}(C_NULL)
    status = Ref{Int32}(TOOLPOOL_PENDING)
    cancelled_by_exception(job) do
        wait_until(job.bell) do
            status[] = check(err -> toolpool_job_next(handle_of(job), 0, out, err))
            status[] != TOOLPOOL_PENDING
        end
    end
    status[] == TOOLPOOL_DONE ? nothing : Results(out[])
end

function Base.iterate(job::Job, (results, position) = (nothing, 0))
    while results === nothing || position == length(results)
        results, position = next_finished(job), 0
        results === nothing && return nothing
    end
    results[position+1], (results, position + 1)
end

Base.IteratorSize(::Type{Job}) = Base.SizeUnknown()
Base.eltype(::Type{Job}) = Item

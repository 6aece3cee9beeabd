# How the library's threads wake tasks of Julia: they call libuv's `uv_async_send`, and no code of Julia.

"""Something that any thread can ring and a task waits for."""
struct Bell
    async::Base.AsyncCondition
end

# Bells that somebody may ring, by address: libuv must not lose their memory.
const BELLS = Dict{Ptr{Cvoid}, Any}()
const BELLS_LOCK = ReentrantLock()

# Keeps `what` alive until the bell is taken down.
function hang_up(what = nothing)
    bell = Bell(Base.AsyncCondition())
    lock(() -> BELLS[address(bell)] = (bell, what), BELLS_LOCK)
    bell
end

# The function that the library calls, and the argument for it.
ring() = cglobal(:uv_async_send)
address(bell::Bell) = Ptr{Cvoid}(bell.async.handle)

# No thread rings it any more.
function take_down(bell::Bell)
    lock(() -> delete!(BELLS, address(bell)), BELLS_LOCK)
    close(bell.async)
end

# Waits until `ready()`, which is asked now and after each ring. The bell's lock is held while it is asked, and libuv
# takes it to ring, so that no ring is lost in between: `ready` must not wait.
function wait_until(ready, bell::Bell)
    condition = bell.async.cond
    lock(condition)
    try
        while !ready()
            wait(condition)
        end
    finally
        unlock(condition)
    end
end

# Julia throws Ctrl-C into whatever task happens to run, which may be one of this package. Meant are those who wait
# for a job.
const WAITING = Task[]

function waiting(f)
    lock(() -> push!(WAITING, current_task()), BELLS_LOCK)
    try
        f()
    finally
        lock(() -> deleteat!(WAITING, findlast(==(current_task()), WAITING)), BELLS_LOCK)
    end
end

# Hands Ctrl-C on: to the tasks that wait for a job; where none does, to the program's first task, if that waits at
# all.
function hand_on_interrupt()
    first_task = Base.roottask
    meant = lock(() -> copy(WAITING), BELLS_LOCK)
    if isempty(meant) && first_task !== current_task() && first_task.queue !== nothing
        push!(meant, first_task)
    end
    foreach(task -> schedule(task, InterruptException(); error = true), meant)
end

# Waits on behalf of the library, which relies on it: Ctrl-C does not end it.
function uninterrupted(wait)
    while true
        try
            return wait()
        catch reason
            reason isa InterruptException || rethrow()
            hand_on_interrupt()
        end
    end
end

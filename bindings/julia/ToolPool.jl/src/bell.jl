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

# Waits until `ready()`, which is asked now and after each ring. The bell's lock is held while it is asked, and libuv takes
# it to ring, so that no ring is lost in between: `ready` must not wait.
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

# Whether code runs for a pool, inside a Julia function that is a tool. There it must not wait for a pool: on a full one, it
# would wait for itself.

import Base.CoreLogging: AbstractLogger, catch_exceptions, handle_message, min_enabled_level, shouldlog
using Base.CoreLogging: current_logger, with_logger

# A mark, in the place of the logger: of what belongs to a task, that alone is handed on to the tasks that it starts.
struct Inside <: AbstractLogger
    logger::AbstractLogger
    running::Base.RefValue{Bool}
end

handle_message(mark::Inside, message...; keywords...) = handle_message(mark.logger, message...; keywords...)
shouldlog(mark::Inside, message...) = shouldlog(mark.logger, message...)
min_enabled_level(mark::Inside) = min_enabled_level(mark.logger)
catch_exceptions(mark::Inside) = catch_exceptions(mark.logger)

# A task that goes on after the function is free.
function marked_inside(f)
    mark = Inside(current_logger(), Ref(true))
    task_local_storage(:toolpool_inside, mark) # for a function that has a logger of its own
    try
        with_logger(f, mark)
    finally
        mark.running[] = false
    end
end

inside() = runs(get(task_local_storage(), :toolpool_inside, nothing)) || runs(current_logger())
runs(mark::Inside) = mark.running[]
runs(::Any) = false

refuse_inside() = inside() && throw(ToolPoolError(
    :ERR_REENTRANT,
    "a function that runs for a pool cannot wait for one, nor can the tasks that it starts: it would wait for itself",
    nothing,
))

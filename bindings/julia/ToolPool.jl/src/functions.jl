# Julia functions as tools. Their calls come through a queue of the library, whose threads never run code of Julia: a
# task takes each call and answers it.

"""
    JuliaTool(run; load = nothing, batch_items = 0, name = "julia")

A Julia function as a tool. `run(items)` is given a vector of items, which are its own to keep: strings, arrays, or
named tuples where they have several fields. It returns one output for each: an array, number or string (the output
`output`), a named tuple or `Dict` of them, or an exception, which concerns that item alone. One that is thrown
concerns the batch, which is split until the guilty item stands alone; `OutOfMemoryError` halves it.

With `load(device)`, called once for each slot, the function is called as `run(loaded, items)`. `batch_items` is the
most items of a batch.

Calls are tasks of this process: they take turns where they wait, and those of pure Julia code do not run at once, also
with several threads, unless they hand it to these: `items -> fetch(Threads.@spawn work(items))`.
Neither they nor the tasks that they start may wait for a pool.
"""
struct JuliaTool
    tool::Tool

    function JuliaTool(run; load = nothing, batch_items::Integer = 0, name::AbstractString = "julia")
        bell = hang_up()
        tool, handle = Ref{Ptr{Cvoid}}(C_NULL), Ref{Ptr{Cvoid}}(C_NULL)
        try
            table = limits(batch_items)
            check(err -> toolpool_tool_from_queue(name, table, ring(), address(bell), tool, handle, err))
        catch
            take_down(bell)
            rethrow()
        end
        queue = Queue(handle[])
        lock(() -> push!(QUEUES, queue), BELLS_LOCK)
        @async serve(queue, bell, run, load)
        new(Tool(tool[]))
    end
end

Base.close(tool::JuliaTool) = close(tool.tool)

# A table that holds nothing but the size of batches.
function limits(batch_items)
    table = blank(toolpool_callbacks_t)
    place = findfirst(==(:batch_items), fieldnames(toolpool_callbacks_t))
    GC.@preserve table begin
        field = Base.unsafe_convert(Ptr{toolpool_callbacks_t}, table) + fieldoffset(toolpool_callbacks_t, place)
        unsafe_store!(Ptr{UInt64}(field), batch_items)
    end
    table
end

# A queue of the library; the library refuses the NULL that is left after `close`.
mutable struct Queue
    handle::Ptr{Cvoid}
end

function Base.close(queue::Queue)
    handle, queue.handle = queue.handle, C_NULL
    toolpool_queue_free(handle)
end

# Queues that are served, which the end of the process abandons, so that no worker waits for a task that does not run
# any more.
const QUEUES = Set{Queue}()

abandon_queues() = foreach(close, QUEUES)

# Answers calls until the tool and all that it loaded are gone.
function serve(queue, bell, run, load)
    loaded = Dict{UInt64, Any}()
    call = blank(toolpool_call_t)
    status = Ref{Int32}(TOOLPOOL_PENDING)
    while true
        uninterrupted() do
            wait_until(bell) do
                status[] = toolpool_queue_next(queue.handle, 0, call, C_NULL)
                status[] != TOOLPOOL_PENDING
            end
        end
        status[] == TOOLPOOL_OK || break
        let call = call[]
            @async answer(queue, call, run, load, loaded)
        end
    end
    lock(() -> delete!(QUEUES, queue), BELLS_LOCK)
    close(queue)
    take_down(bell)
end

function answer(queue, call, run, load, loaded)
    status, message = Int32(TOOLPOOL_OK), ""
    try
        marked_inside(() -> carry_out(call, run, load, loaded))
    catch reason
        reason isa InterruptException && hand_on_interrupt()
        status, message = status_of(reason), in_words(reason)
    end
    toolpool_queue_answer(queue.handle, call.number, status, message, C_NULL)
end

function carry_out(call, run, load, loaded)
    if call.kind == TOOLPOOL_CALL_LOAD
        loaded[call.state] = load === nothing ? nothing : load(Device(call.device))
    elseif call.kind == TOOLPOOL_CALL_RUN
        items = items_of(call.batch)
        written = load === nothing ? run(items) : run(loaded[call.state], items)
        write_outputs(call.outputs, written, length(items))
    else
        delete!(loaded, call.state)
    end
end

status_of(::Any) = Int32(TOOLPOOL_ERR_FAILED)
status_of(::OutOfMemoryError) = Int32(TOOLPOOL_ERR_OUT_OF_MEMORY)

in_words(reason) = replace(sprint(showerror, reason), '\0' => "\\0")

function items_of(batch)
    count, fields = Int(toolpool_batch_len(batch)), Int(toolpool_batch_fields(batch))
    fields == 1 && return [input(batch, index, 0) for index in 0:count-1]
    names = Tuple(Symbol(unsafe_string(toolpool_batch_field_name(batch, field))) for field in 0:fields-1)
    [NamedTuple{names}(Tuple(input(batch, index, field) for field in 0:fields-1)) for index in 0:count-1]
end

# A field of an item, copied: the function may keep it.
function input(batch, index, field)
    view = blank(toolpool_tensor_t)
    toolpool_batch_tensor(batch, index, field, view)
    tensor = view[]
    tensor.dtype == TOOLPOOL_BYTES && return unsafe_string(Ptr{UInt8}(tensor.data), tensor.bytes)
    value = wrap(tensor)
    ndims(value) == 0 ? value[] : copy(value)
end

function write_outputs(outputs, written, count)
    written isa Union{AbstractVector, Tuple} ||
        throw(ArgumentError("the function returned a $(typeof(written)), not a vector with an output for each item"))
    length(written) == count ||
        throw(DimensionMismatch("the function returned $(length(written)) outputs for $count items"))
    for (index, output) in enumerate(written)
        write_item(outputs, index - 1, output)
    end
end

write_item(outputs, index, output) = write_output(outputs, index, :output, output)

function write_item(outputs, index, named::Union{NamedTuple, AbstractDict})
    for (name, output) in pairs(named)
        write_output(outputs, index, Symbol(name), output)
    end
end

write_item(outputs, index, reason::Exception) =
    toolpool_outputs_fail(outputs, index, TOOLPOOL_ERR_ITEM, in_words(reason))

function write_output(outputs, index, name, output)
    dtype, value = stored(output)
    shape = Int64[reverse(size(value))...]
    data = made((out, err) -> toolpool_outputs_alloc(outputs, index, name, dtype, shape, length(shape), out, err))
    GC.@preserve value unsafe_copyto!(Ptr{eltype(value)}(data), pointer(value), length(value))
end

# The element type of an output, and an array of it.
stored(text::AbstractString) = Int32(TOOLPOOL_BYTES), Vector{UInt8}(codeunits(text))
stored(number::Number) = stored(fill(number))
stored(array::AbstractArray{T}) where {T} = dtype_of(T), dense(array)
stored(other) = throw(ArgumentError("an output is an array, a number or a string, not a $(typeof(other))"))

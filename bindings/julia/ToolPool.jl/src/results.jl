# What comes out. Arrays are the library's memory, which stays as long as any of them does.

# Results of the library and how many hold on to them: the last one frees them.
mutable struct Shared
    handle::Ptr{Cvoid}
    holders::Threads.Atomic{Int}
end

hold(shared) = Threads.atomic_add!(shared.holders, 1)

function let_go(shared)
    Threads.atomic_sub!(shared.holders, 1) == 1 && toolpool_results_free(shared.handle)
    nothing
end

"""
The results of a run, in the order of its items. `results[i]` is an [`Item`](@ref), `results[i]["mean"]` an array in
the library's memory, with no copy: equal items share it, so do not write to it. Arrays keep that memory alive, after
`close(results)` and after the pool.
"""
mutable struct Results <: AbstractVector{Any}
    shared::Shared
    open::Bool
    report::Any

    function Results(handle::Ptr{Cvoid}, report = nothing)
        results = new(Shared(handle, Threads.Atomic{Int}(1)), true, report)
        finalizer(close, results)
    end
end

"""Lets go of the results; arrays that were taken from them stay."""
function Base.close(results::Results)
    results.open || return
    results.open = false
    let_go(results.shared)
end

function handle_of(results::Results)
    results.open || throw(ToolPoolError(:ERR_CLOSED, "these results were closed", nothing))
    results.shared.handle
end

Base.size(results::Results) = (Int(toolpool_results_len(handle_of(results))),)

function Base.getindex(results::Results, i::Int)
    checkbounds(results, i)
    Item(results, i)
end

Base.show(io::IO, ::MIME"text/plain", results::Results) = show(io, results)

function Base.show(io::IO, results::Results)
    results.open || return print(io, "Results (closed)")
    print(io, "Results of ", length(results), " items, ", length(failed(results)), " failed, with ",
          join(outputs(results), ", "))
end

"""What became of one item. `item[name]` is an output; it throws the item's error where it failed."""
struct Item
    results::Results
    position::Int
end

"""The names of the outputs."""
function outputs(results::Results)
    GC.@preserve results begin
        handle = handle_of(results)
        [unsafe_string(toolpool_results_output_name(handle, i)) for i in 0:Int(toolpool_results_outputs(handle))-1]
    end
end

function Base.getindex(item::Item, name::Union{AbstractString, Symbol})
    tensor = blank(toolpool_tensor_t)
    results = item.results
    GC.@preserve results begin
        check(err -> toolpool_results_tensor(handle_of(results), item.position - 1, name, tensor, err))
        kept(wrap(tensor[]), results.shared)
    end
end

# An array that holds on to the results it lies in. Since Julia 1.11 arrays are views of a Memory, which `reshape` and `vec`
# share: so it is the Memory that holds on. What is empty lies nowhere.
function kept(array, shared)
    isempty(array) && return array
    hold(shared)
    finalizer(_ -> let_go(shared), VERSION >= v"1.11" ? array.ref.mem : array)
    array
end

function Base.haskey(item::Item, name::Union{AbstractString, Symbol})
    error = Ref{Ptr{Cvoid}}(C_NULL)
    GC.@preserve item status =
        toolpool_results_tensor(handle_of(item.results), item.position - 1, name, blank(toolpool_tensor_t), error)
    toolpool_error_free(error[])
    status == TOOLPOOL_OK
end

# The C surface counts from 0.
place(item::Item) = (handle_of(item.results), item.position - 1)

Base.getproperty(item::Item, name::Symbol) = GC.@preserve item property(item, name)

function property(item, name)
    name === :ok && return toolpool_results_status(place(item)...) == TOOLPOOL_OK
    name === :error && return item_error(item)
    name === :warning && return unsafe_string(toolpool_results_warning(place(item)...))
    name === :slot && return Int(toolpool_results_slot(place(item)...))
    name === :index && return Int(toolpool_results_index(place(item)...)) + 1
    getfield(item, name)
end

Base.propertynames(::Item) = (:ok, :error, :warning, :slot, :index)

function item_error(item)
    status = toolpool_results_status(place(item)...)
    status == TOOLPOOL_OK && return nothing
    GC.@preserve item message = unsafe_string(toolpool_results_error(place(item)...))
    ToolPoolError(status_name(status), message, item.index)
end

Base.show(io::IO, item::Item) = print(io, "Item ", item.index, item.ok ? "" : ": " * item.error.message)

"""The items that failed."""
failed(results::Results) = [item for item in results if !item.ok]

"""Throws a [`PartialFailure`](@ref) if items failed; else returns the results."""
function throw_if_partial(results::Results)
    bad = failed(results)
    isempty(bad) && return results
    good = [item.index for item in results if item.ok]
    throw(PartialFailure(good, [item.index for item in bad], [item.error for item in bad]))
end

"""
    stack(results, name)

The output `name` of all items in one new array, the items along its last dimension: a `d`×`n` matrix of vectors. All
must have succeeded, with equal shapes.
"""
function stack(results::Results, name::Union{AbstractString, Symbol})
    tensor = blank(toolpool_tensor_t)
    gather(results, name, C_NULL, 0, tensor)
    halves = tensor[].dtype == TOOLPOOL_BFLOAT16
    array = Array{halves ? UInt16 : ELTYPES[tensor[].dtype]}(undef, dimensions(tensor[]))
    gather(results, name, array, sizeof(array), tensor)
    halves ? widen_bfloat16(array) : array
end

function gather(results, name, buffer, bytes, tensor)
    GC.@preserve results try
        check(err -> toolpool_results_stack(handle_of(results), name, buffer, bytes, tensor, err))
    catch
        throw_if_partial(results)
        refuse_ragged(results, name)
        rethrow()
    end
end

function refuse_ragged(results, name)
    wanted = results[1][name]
    for item in results
        found = item[name]
        typeof(found) == typeof(wanted) && size(found) == size(wanted) || throw(ToolPoolError(
            :ERR_ARGUMENT,
            "'$name' is a $(summary(found)), and that of the first item a $(summary(wanted)): only equal shapes stack; " *
            "take them one by one, as [item[\"$name\"] for item in results] does",
            item.index,
        ))
    end
end

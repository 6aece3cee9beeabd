# What goes in. The library reads arrays where they lie, and says when it is done with them.

"""
    Items(data; costs = nothing)

Items of a run, made once for several: `run`, `submit` and the others take `data` itself as well.

| `data` | items |
| --- | --- |
| a vector of strings | byte strings; copied once |
| a vector of arrays | a tensor each, where it lies |
| a vector of numbers | a tensor without dimensions each |
| an array of more dimensions | a tensor for each index of the last one |
| a named tuple of these | items with a field for each name |

Arrays are read where they lie: do not change them while a run lasts. `costs` replaces the tool's estimate of the work
in each item; the largest run first. `close` lets go of them at once, the garbage collector later.
"""
mutable struct Items
    handle::Ptr{Cvoid}

    function Items(data; costs = nothing)
        items = new(first_field(nothing, data))
        finalizer(close, items)
        costs === nothing || set_costs(items, costs)
        items
    end

    function Items(fields::NamedTuple; costs = nothing)
        isempty(fields) && throw(ArgumentError("items need at least one field"))
        names = keys(fields)
        items = new(first_field(names[1], fields[1]))
        finalizer(close, items)
        for name in names[2:end]
            add_field(items, name, fields[name])
        end
        costs === nothing || set_costs(items, costs)
        items
    end
end

Items(items::Items) = items

Base.length(items::Items) = Int(toolpool_items_len(items.handle))

function Base.close(items::Items)
    handle, items.handle = items.handle, C_NULL
    toolpool_items_free(handle)
end

const Strings = AbstractVector{<:AbstractString}

function first_field(name, data)
    described = description(data)
    borrowed(described) do release, user
        made((out, err) -> from(name, described, release, user, out, err))
    end
end

function add_field(items, name, data)
    described = description(data)
    borrowed(described) do release, user
        check(err -> add(items.handle, name, described, release, user, err))
    end
end

function set_costs(items, costs)
    values = collect(Float64, costs)
    check(err -> toolpool_items_set_costs(items.handle, values, length(values), err))
end

# Strings one after the other.
struct Text
    bytes::Vector{UInt8}
    offsets::Vector{Int64}
end

# Tensors, and what their memory belongs to.
struct Tensors
    views::Vector{toolpool_tensor_t}
    owner::Any
end

function description(strings::Strings)
    offsets = Vector{Int64}(undef, length(strings) + 1)
    offsets[1] = 0
    for (i, string) in enumerate(strings)
        offsets[i+1] = offsets[i] + ncodeunits(string)
    end
    bytes = Vector{UInt8}(undef, offsets[end])
    for (i, string) in enumerate(strings)
        append_string(bytes, offsets[i] + 1, string)
    end
    Text(bytes, offsets)
end

append_string(bytes, at, string) = copyto!(bytes, at, codeunits(string))

function append_string(bytes, at, string::String)
    GC.@preserve string unsafe_copyto!(pointer(bytes, at), pointer(string), sizeof(string))
end

function description(arrays::AbstractVector{<:AbstractArray})
    owner = [dense(array) for array in arrays]
    Tensors([describe(pointer(array), size(array)) for array in owner], owner)
end

description(numbers::AbstractVector{<:Number}) = slices(of_one_type(numbers))
description(array::AbstractArray{<:Number}) = slices(of_one_type(array))

function of_one_type(array)
    isconcretetype(eltype(array)) && return array
    narrow = identity.(array)
    isconcretetype(eltype(narrow)) || isempty(narrow) || throw(ArgumentError(several_types(narrow)))
    narrow
end

function several_types(numbers)
    types = unique(map(typeof, vec(numbers)))
    "the numbers are of several types, $(join(types, ", ")); convert them to one, as $(promote_type(types...)).(items) does"
end

# One tensor for each index of the last dimension, side by side in memory.
function slices(array::AbstractArray{T, N}) where {T, N}
    owner = dense(array)
    dims = size(owner)[1:N-1]
    step = prod(dims)
    Tensors([describe(pointer(owner) + (i - 1) * step * sizeof(T), dims) for i in 1:size(owner, N)], owner)
end

# The type that a list says nothing of is that of what is in it.
function description(list::AbstractVector)
    narrow = identity.(list)
    isempty(list) && return description(String[])
    eltype(narrow) == eltype(list) && throw(ArgumentError(
        "items are strings, numbers or arrays, all of one kind, not $(eltype(list)) such as $(repr(first(list)))"))
    description(narrow)
end

description(data) = throw(ArgumentError("items are a vector, an array or a named tuple of such, not a $(typeof(data))"))

dense(array::Array) = array
dense(array::AbstractArray) = Array(array)

# The name of a first field of strings is always `input`.
from(name, text::Text, release, user, out, err) =
    toolpool_items_borrow(text.bytes, text.offsets, length(text.offsets) - 1, release, user, out, err)
from(name, tensors::Tensors, release, user, out, err) =
    toolpool_items_from_tensors(field_name(name), tensors.views, length(tensors.views), release, user, out, err)

add(items, name, text::Text, release, user, err) =
    toolpool_items_add_field(items, name, text.bytes, text.offsets, length(text.offsets) - 1, release, user, err)
add(items, name, tensors::Tensors, release, user, err) =
    toolpool_items_add_tensors(items, name, tensors.views, length(tensors.views), release, user, err)

field_name(::Nothing) = C_NULL
field_name(name::Symbol) = name

# Lends `data` to what `make(release, user)` makes: it stays alive until the library rings.
function borrowed(make, data)
    bell = hang_up(data)
    made = try
        make(ring(), address(bell))
    catch
        take_down(bell)
        rethrow()
    end
    # It comes once, when the last job has let go of the items.
    @async begin
        uninterrupted(() -> wait(bell.async))
        take_down(bell)
    end
    made
end

# Errors, and how a status of the library becomes one.

"""
What went wrong: `status` is the name of the C status (`:ERR_OPTION`), `message` names the thing, the reason and the
way out, and `item` is the number of the item it concerns, from 1, or `nothing`.
"""
struct ToolPoolError <: Exception
    status::Symbol
    message::String
    item::Union{Int, Nothing}
end

function Base.showerror(io::IO, error::ToolPoolError)
    print(io, "ToolPoolError(", error.status, "): ")
    named = error.item === nothing || occursin(Regex("\\bitem $(error.item)\\b"), error.message)
    named || print(io, "item ", error.item, ": ")
    print(io, error.message)
end

"""
Some items failed: `succeeded` and `failed` are their numbers, from 1, and `errors` says why, one for each of
`failed`.
"""
struct PartialFailure <: Exception
    succeeded::Vector{Int}
    failed::Vector{Int}
    errors::Vector{ToolPoolError}
end

function Base.showerror(io::IO, error::PartialFailure)
    print(io, "PartialFailure: ", length(error.failed), " of ", length(error.failed) + length(error.succeeded),
          " items failed; the first: ")
    showerror(io, first(error.errors))
end

status_name(status) = Symbol(replace(unsafe_string(toolpool_status_name(status)), "TOOLPOOL_" => ""))

# Calls `f` with a place for an error; returns a status that is none, or throws.
function check(f)
    place = Ref{Ptr{Cvoid}}(C_NULL)
    status = f(place)
    status < 0 || return status
    error = place[]
    error == C_NULL && throw(ToolPoolError(status_name(status), "the call gave no reason", nothing))
    item = toolpool_error_item(error)
    message = unsafe_string(toolpool_error_message(error))
    toolpool_error_free(error)
    item == typemax(Csize_t) && throw(ToolPoolError(status_name(status), message, nothing))
    throw(ToolPoolError(status_name(status), counted_from_1(message, Int(item)), Int(item) + 1))
end

# The library counts items from 0; those of a tool's batch are not the caller's.
counted_from_1(message, item) = replace(message, Regex("\\bitem $item\\b(?! (of|in) (a|its) batch)") => "item $(item + 1)")

# Calls `f` with a place for what it makes and one for an error, and returns what it made.
function made(f)
    out = Ref{Ptr{Cvoid}}(C_NULL)
    check(err -> f(out, err))
    out[]
end

# A struct of the C surface, filled with zeros but for its size.
function blank(::Type{T}) where {T}
    value = Ref{T}()
    GC.@preserve value begin
        address = Base.unsafe_convert(Ptr{T}, value)
        ccall(:memset, Ptr{Cvoid}, (Ptr{Cvoid}, Cint, Csize_t), address, 0, sizeof(T))
        unsafe_store!(Ptr{Csize_t}(address), sizeof(T))
    end
    value
end

# What a user writes as the value of an option, in the library's words.
option_text(value) = string(value)
option_text(value::Union{AbstractVector, Tuple}) = join(value, ",")

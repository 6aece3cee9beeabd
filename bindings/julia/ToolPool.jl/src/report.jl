# How a run went.

"""
How a job went, or goes: a snapshot.

| | |
| --- | --- |
| `report.summary` | figures of the job, a named tuple: `done`, `failed`, `elapsed_s`, `makespan_s`, `bound_s` … |
| `report.slots` | what each slot did, a vector of named tuples: `slot`, `device`, `items`, `busy_s`, `load_s`, `idle_s` … |
| `report.counts` | what the tool counted, a `Dict` of names and sums |
| `report.json` | all of these, as text |
| `report.trace` | loads and batches, for <https://ui.perfetto.dev> |
| `report.timeline` | the same as a picture, an SVG document |

docs/report.md says what each figure is. Times are in seconds. `remaining_s` is `nothing` as long as it is unknown,
`stopped` and `lost` are a [`ToolPoolError`](@ref) or `nothing`.
"""
mutable struct Report
    handle::Ptr{Cvoid}

    function Report(handle::Ptr{Cvoid})
        finalizer(close, new(handle))
    end
end

function Base.close(report::Report)
    handle = getfield(report, :handle)
    setfield!(report, :handle, C_NULL)
    toolpool_report_free(handle)
end

function Base.getproperty(report::Report, name::Symbol)
    handle = getfield(report, :handle)
    GC.@preserve report begin
        name === :summary && return summary_of(handle)
        name === :slots && return [slot_of(handle, slot) for slot in 0:Int(toolpool_report_slots(handle))-1]
        name === :counts && return Dict(count_of(handle, place) for place in 0:Int(toolpool_report_counts(handle))-1)
        name === :json && return unsafe_string(toolpool_report_json(handle))
        name === :trace && return unsafe_string(toolpool_report_trace(handle))
        name === :timeline && return unsafe_string(toolpool_report_timeline(handle))
    end
    getfield(report, name)
end

Base.propertynames(::Report) = (:summary, :slots, :counts, :json, :trace, :timeline)

function summary_of(handle)
    table = blank(toolpool_summary_t)
    check(err -> toolpool_report_summary(handle, table, err))
    figures(table[])
end

function slot_of(handle, slot)
    table = blank(toolpool_slot_report_t)
    check(err -> toolpool_report_slot(handle, slot, table, err))
    merge((slot = slot,), figures(table[]))
end

function count_of(handle, place)
    name = unsafe_string(toolpool_report_count_name(handle, place))
    sum = Ref{Float64}()
    check(err -> toolpool_report_count(handle, name, sum, err))
    name => sum[]
end

# A table of the C surface as a named tuple.
function figures(table::T) where {T}
    names = filter(name -> !(name in (:size, :reserved)) && !endswith(String(name), "_message"), fieldnames(T))
    NamedTuple{names}(map(name -> figure(table, name, getfield(table, name)), names))
end

figure(table, name, text::Cstring) = unsafe_string(text)
figure(table, name, count::UInt64) = count <= typemax(Int) ? Int(count) : count
figure(table, name, number::Float64) = name === :remaining_s && number < 0 ? nothing : number

function figure(table, name, status::Int32)
    message = unsafe_string(getfield(table, Symbol(name, "_message")))
    status == TOOLPOOL_OK ? nothing : ToolPoolError(status_name(status), message, nothing)
end

Base.show(io::IO, report::Report) = print(io, report.json)

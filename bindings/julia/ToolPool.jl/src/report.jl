# How a run went.

"""
How a job went, or goes. `report.json` are its figures (docs/report.md), `report.trace` is for
<https://ui.perfetto.dev>, `report.timeline` an SVG picture: strings, made when they are asked for.
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
        name === :json && return unsafe_string(toolpool_report_json(handle))
        name === :trace && return unsafe_string(toolpool_report_trace(handle))
        name === :timeline && return unsafe_string(toolpool_report_timeline(handle))
    end
    getfield(report, name)
end

Base.propertynames(::Report) = (:json, :trace, :timeline)

Base.show(io::IO, report::Report) = print(io, report.json)

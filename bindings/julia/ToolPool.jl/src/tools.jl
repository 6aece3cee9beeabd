# Tools that the library brings.

"""
    Tool(kind, source = ""; options...)

A tool that is known by name (`"esm2"`, `"torchscript"`, `"aoti"`, `"auto"`, `"library"`, `"echo"`). Options are those
of docs/options.md; `isolation = "process"` runs any of them in a child process for each slot. Setting one that the
tool does not know throws, with those it knows.
"""
mutable struct Tool
    handle::Ptr{Cvoid}

    function Tool(handle::Ptr{Cvoid})
        tool = new(handle)
        finalizer(close, tool)
    end
end

function Tool(kind::AbstractString, source::AbstractString = ""; options...)
    tool = Tool(made((out, err) -> toolpool_tool_open(kind, source, out, err)))
    for (key, value) in options
        check(err -> toolpool_tool_set(tool.handle, key, option_text(value), err))
    end
    tool
end

"""Frees the tool now. Jobs that use it go on."""
function Base.close(tool::Tool)
    handle, tool.handle = tool.handle, C_NULL
    toolpool_tool_free(handle)
end

"""ESM-2 protein embeddings: `source` is a transformers directory, or a hub id in the local Hugging Face cache."""
ESM2(source; options...) = Tool("esm2", source; options...)

"""A PyTorch model in a `.pt` file of `torch.jit.save`. It is a program: open only what you trust."""
TorchScript(source; options...) = Tool("torchscript", source; options...)

"""A compiled PyTorch model in a `.pt2` package, for the device that it was compiled for. It is a program."""
AOTInductor(source; options...) = Tool("aoti", source; options...)

"""Copies each item to the output `output`, as bytes."""
Echo(; options...) = Tool("echo"; options...)

"""The tool `symbol` of the shared library `file`, opened on `source`."""
library(file, symbol, source = ""; options...) =
    Tool("library", isempty(source) ? "$file:$symbol" : "$file:$symbol:$source"; options...)

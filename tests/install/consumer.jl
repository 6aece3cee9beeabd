# Embeds two proteins in child processes: `consumer.jl PREFIX MODEL` prints the embeddings, and fails unless everything of
# toolpool in this process lies in PREFIX.
using Libdl, Printf, ToolPool

prefix, model = ARGS
means = ToolPool.open("cpu*2") do pool
    esm2 = ESM2(model; isolation = "process")
    stack(run(pool, esm2, ["MKTLLILAVVAAALA", "GAVLTVLLGGLLLA"]), "mean")
end
files = filter(file -> occursin("libtoolpool", file), realpath.(filter(ispath, dllist())))
!isempty(files) && all(startswith(realpath(prefix) * "/"), files) || error("not in $prefix: $files")
foreach(value -> @printf("%.9g\n", value), means)

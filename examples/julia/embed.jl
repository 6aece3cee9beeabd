# Embeds proteins on every GPU of this machine, or where you say. Usage: embed.jl [DEVICES [MODEL]]
using ToolPool

devices_asked = get(ARGS, 1, "all")
model = get(ARGS, 2, "facebook/esm2_t33_650M_UR50D")
sequences = ["MKTLLILAVVAAALA", "GAVLTVLLGGLLLA"]

ToolPool.open(devices_asked) do pool
    esm2 = ESM2(model; outputs = ["mean"])
    results = run(pool, esm2, sequences)
    for item in results
        if item.ok
            println(sequences[item.index], " ", item["mean"][1])    # a Vector{Float32} inside the results
        else
            println(sequences[item.index], " failed: ", item.error.message)
        end
    end
    println(size(stack(results, "mean")))                           # dimensions as Julia stores them
end

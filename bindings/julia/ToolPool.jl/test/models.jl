@testset "ESM-2" begin
    model = get(ENV, "TOOLPOOL_TEST_TINY_MODEL", "")
    if isempty(model)
        @info "TOOLPOOL_TEST_TINY_MODEL names no model: ESM-2 is left out"
    else
        on_cpu() do pool
            sequences = ["MKTLLILAVVAAALA", "GAVLTVLLGGLLLA", "MKTLLILAVVAAALA"]
            esm2 = ESM2(model; outputs = ["mean", "per_residue"])
            results = run(pool, esm2, sequences)
            means, residues = stack(results, "mean"), results[2]["per_residue"]
            @test size(means) == (40, 3) && means isa Matrix{Float32}
            @test size(residues) == (40, 14)
            @test results[1]["mean"] isa Vector{Float32}
            @test sum(residues; dims = 2) ./ 14 ≈ means[:, 2]
            @test means[:, 1] == means[:, 3] != means[:, 2]
            @test_throws ToolPoolError ESM2(model; outputs = ["nonsense"])
        end
        @test_throws ToolPoolError ESM2(joinpath(model, "nothing"))
    end
end

@testset "what a tool counted is in the report" begin
    # scripts/torch_models writes it beside the checkpoint.
    model = joinpath(dirname(get(ENV, "TOOLPOOL_TEST_TINY_MODEL", "")), "torch", "same.pt")
    if !isfile(model)
        @info "there is no $model: counts are left out"
    else
        on_cpu(1) do pool
            results = run(pool, TorchScript(model; batch = "pad"), [Float32[1, 2, 3], Float32[4]])
            counts = report(results).counts
            @test counts["elements"] - counts["padding"] == 4
        end
    end
end

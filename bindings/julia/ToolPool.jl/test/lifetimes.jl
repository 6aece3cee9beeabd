@testset "arrays outlive results and pools" begin
    array = on_cpu() do pool
        results = run(pool, x -> x, [[1.0, 2.0, 3.0]])
        kept = results[1]["output"]
        close(results)
        close(results)
        @test_throws ToolPoolError results[1]
        kept
    end
    GC.gc()
    garbage = [fill(NaN, 3) for _ in 1:10_000]
    GC.gc()
    @test array == [1.0, 2.0, 3.0]
end

@testset "a reshaped array keeps its memory" begin
    matrix = on_cpu(pool -> reshape(run(pool, x -> x, [collect(1.0:6.0)])[1]["output"], 2, 3))
    GC.gc()
    @test matrix == [1 3 5; 2 4 6]
end

@testset "items live as long as a job reads them" begin
    on_cpu() do pool
        jobs = map(1:20) do i
            job = submit(pool, x -> (GC.gc(false); x), [fill(Float64(i), 1000) for _ in 1:3])
            GC.gc()
            job
        end
        @test all(fetch(jobs[i])[2]["output"] == fill(Float64(i), 1000) for i in 1:20)
    end
    # What was lent is given back.
    @test eventually(() -> (GC.gc(); !any(value -> value[2] isa ToolPool.Tensors, values(ToolPool.BELLS))))
end

@testset "a closed pool, job and tool" begin
    pool = ToolPool.open("cpu*2")
    gate = Channel{Nothing}(0)
    job = submit(pool, JuliaTool(items -> (take!(gate); items); batch_items = 1), 1:20)
    eventually(() -> progress(job).running == 2)
    closing = @async close(pool)
    put!(gate, nothing)
    put!(gate, nothing)
    wait(closing)
    close(pool)
    @test length(failed(fetch(job))) == 18
    @test_throws ToolPoolError run(pool, Echo(), ["a"])
    close(job)
    close(job)
    @test_throws ToolPoolError progress(job)
    @test sprint(show, pool) == "Pool (closed)"
end

@testset "a job that nobody holds is cancelled" begin
    on_cpu() do pool
        close(submit(pool, Echo(), string.(1:1000)))
        @test length(run(pool, Echo(), string.(1:10))) == 10
        drain(pool)
    end
end

@testset "the block's own exception comes out" begin
    @test_throws ErrorException on_cpu(pool -> error("mine"))
end

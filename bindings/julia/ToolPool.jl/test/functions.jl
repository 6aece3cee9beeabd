@testset "Julia functions as tools" begin
    on_cpu() do pool
        @testset "load, once a slot" begin
            loads = String[]
            load(device) = (push!(loads, "$(device.kind) $(device.slot)"); device.slot)
            tool = JuliaTool(; load = load) do slot, items
                [(slot = slot, twice = 2 .* item) for item in items]
            end
            warm(pool, tool)
            @test sort(loads) == ["cpu 0", "cpu 1"]
            vectors = [Float64[i, i + 1] for i in 1:40]
            results = run(pool, tool, vectors)
            @test stack(results, "twice") == hcat((2 .* vectors)...)
            @test all(item["slot"][] == item.slot for item in results)
            @test length(loads) == 2
            close(tool)
        end

        @testset "outputs of every kind" begin
            results = run(pool, [1]) do items
                [Dict("text" => "öä", "number" => 1.5, "array" => [1 2; 3 4], "empty" => Int32[])]
            end
            @test text(results[1], "text") == "öä"
            @test results[1]["number"][] === 1.5
            @test results[1]["array"] == [1 2; 3 4]
            @test results[1]["empty"] == Int32[]
        end

        @testset "an exception costs the guilty item alone" begin
            results = run(pool, 1:16) do items
                any(==(5), items) && error("no fives")
                items
            end
            @test [item.index for item in failed(results)] == [5]
            @test occursin("no fives", results[5].error.message)
        end

        @testset "what a function must not return" begin
            wrongs = [
                (items -> 5) => "not a vector",
                (items -> fill(1, length(items) + 1)) => "2 outputs for 1 items",
                (items -> fill(:a, length(items))) => "Symbol",
            ]
            for (wrong, words) in wrongs
                reason = run(pool, wrong, ["a", "b"])[1].error
                @test reason.status == :ERR_FAILED && occursin(words, reason.message)
            end
        end

        @testset "a load that fails" begin
            tool = JuliaTool((model, items) -> items; load = device -> error("no weights"), name = "weightless")
            reason = try
                run(pool, tool, 1:3)
            catch reason
                reason
            end
            @test reason isa ToolPoolError && occursin("weightless: no weights", reason.message)
        end

        @testset "a function does not wait for pools" begin
            results = run(pool, items -> [length(run(pool, Echo(), ["a"])) for _ in items], 1:2)
            @test results[1].error.status == :ERR_FAILED
            @test occursin("wait for itself", results[1].error.message)
        end

        @testset "nor do the tasks that it starts" begin
            nested() = length(run(pool, Echo(), ["a"]; time_limit = 60)) # so that a hang ends
            for ask in (() -> fetch(@async nested()), () -> fetch(@async fetch(@async nested())),
                        () -> fetch(Threads.@spawn nested()), () -> with_logger(nested, NullLogger()))
                results = run(pool, items -> [ask() for _ in items], 1:2)
                @test occursin("wait for itself", results[1].error.message)
            end
        end

        @testset "a task that goes on after the function is free" begin
            gate, late = Channel{Nothing}(1), Task[]
            run(pool, items -> (push!(late, @async (take!(gate); length(run(pool, Echo(), ["a"])))); items), 1:1)
            put!(gate, nothing)
            @test fetch(late[1]) == 1
        end

        @testset "what a function logs goes where it did" begin
            lines = IOBuffer()
            with_logger(SimpleLogger(lines)) do
                run(pool, JuliaTool(items -> (@info "at work" length(items); @debug "hidden"; items)), 1:1)
            end
            printed = String(take!(lines))
            @test occursin("at work", printed) && !occursin("hidden", printed)
        end

        @testset "functions take turns where they wait" begin
            met = Channel{Int}(2)
            tool = JuliaTool(; batch_items = 1) do items
                put!(met, 1)
                eventually(() -> isready(met) && length(met.data) == 2)
                items
            end
            @test length(run(pool, tool, 1:2)) == 2
        end

        @testset "collection between and during batches" begin
            arrays = [rand(100) for _ in 1:200]
            tool = JuliaTool(items -> (GC.gc(false); [sum(item) for item in items]); batch_items = 5)
            for _ in 1:5
                results = run(pool, tool, arrays)
                GC.gc()
                @test stack(results, "output") == sum.(arrays)
            end
        end

        @testset "a batch that is given up" begin
            gate = Channel{Nothing}(2)
            tool = JuliaTool(items -> (take!(gate); items))
            results = run(pool, tool, [1]; batch_time_limit = 0.05)
            @test results[1].error.status == :ERR_TIME_LIMIT
            # It was tried twice; both answers come too late, and do no harm.
            put!(gate, nothing)
            put!(gate, nothing)
            @test text(run(pool, Echo(), ["still there"])[1]) == "still there"
        end
    end
end

@testset "a queue ends with its tool" begin
    before = length(ToolPool.QUEUES)
    on_cpu(pool -> run(pool, x -> x, [1]))
    @test eventually(() -> length(ToolPool.QUEUES) <= before)
end

@testset "jobs" begin
    on_cpu() do pool
        @testset "results as they finish" begin
            job = submit(pool, Echo(), string.(1:100))
            seen = Dict(item.index => text(item) for item in job)
            @test seen == Dict(i => string(i) for i in 1:100)
            @test_throws ToolPoolError fetch(job)
            @test progress(job).done == 100
            @test iterate(submit(pool, Echo(), String[])) === nothing
        end

        @testset "progress and report" begin
            job = submit(pool, Echo(), ["a", "b", "a"])
            @test wait(job) === job
            now = progress(job)
            @test (now.total, now.done, now.failed, now.unique, now.running) == (3, 3, 0, 2, 0)
            results = job[]
            how = report(results)
            @test (how.summary.tool, how.summary.total, how.summary.done, how.summary.unique) == ("echo", 3, 3, 2)
            @test how.summary.elapsed_s > 0 && how.summary.remaining_s == 0 && how.summary.stopped === nothing
            @test [(s.slot, s.device, s.lost) for s in how.slots] == [(0, "cpu", nothing), (1, "cpu", nothing)]
            @test sum(s.items for s in how.slots) == 2 && all(s.busy_s isa Float64 for s in how.slots)
            @test isempty(how.counts)
            @test occursin("\"unique\": 2", how.json)
            @test occursin("traceEvents", how.trace)
            @test startswith(how.timeline, "<svg")
        end

        @testset "the report of a job under way, and of one that was stopped" begin
            gate = Channel{Nothing}(0)
            job = submit(pool, JuliaTool(items -> (take!(gate); items); batch_items = 1), 1:3)
            eventually(() -> progress(job).running == 2)
            @test report(job).summary.remaining_s === nothing && report(job).summary.done == 0
            cancel(job)
            foreach(_ -> put!(gate, nothing), 1:2)
            wait(job)
            how = report(job)
            close(job)
            @test how.summary.stopped.status == :ERR_CANCELLED && !isempty(how.summary.stopped.message)
            @test how.summary.done == 2
        end

        @testset "two tasks use one pool" begin
            runs = [@async text.(run(pool, Echo(), ["$task-$i" for i in 1:50])) for task in 1:8]
            @test fetch.(runs) == [["$task-$i" for i in 1:50] for task in 1:8]
        end

        @testset "two tasks wait for one job" begin
            job = submit(pool, items -> (sleep(0.01); items), ["a"])
            waiting = [@async(wait(job)) for _ in 1:3]
            @test all(fetch(task) === job for task in waiting)
        end

        @testset "cancel" begin
            gate = Channel{Nothing}(0)
            tool = JuliaTool(items -> (take!(gate); items); batch_items = 1)
            job = submit(pool, tool, 1:20)
            eventually(() -> progress(job).running == 2)
            cancel(job)
            put!(gate, nothing)
            put!(gate, nothing)
            results = fetch(job)
            @test length(failed(results)) == 18
            @test all(item.error.status == :ERR_CANCELLED for item in failed(results))
        end

        @testset "an interrupted wait cancels" begin
            gate = Channel{Nothing}(0)
            tool = JuliaTool(items -> (take!(gate); items); batch_items = 1)
            job = submit(pool, tool, 1:20)
            waiting = @async wait(job)
            eventually(() -> progress(job).running == 2)
            schedule(waiting, InterruptException(); error = true)
            @test_throws TaskFailedException wait(waiting)
            put!(gate, nothing)
            put!(gate, nothing)
            @test length(failed(fetch(job))) == 18
        end

        @testset "Ctrl-C that hits a function of a pool reaches who waits for it" begin
            hits = Ref(0)
            function hit_once(items)
                hits[] += 1
                hits[] == 1 && throw(InterruptException())
                items
            end
            job = submit(pool, hit_once, 1:4)
            @test_throws InterruptException wait(job)
            @test length(fetch(job)) == 4
            @test isempty(ToolPool.WAITING)
            @test length(run(pool, Echo(), ["a"])) == 1
        end

        @testset "time limits" begin
            results = run(pool, items -> (sleep(2); items), [1]; time_limit = 0.05)
            @test results[1].error.status == :ERR_TIME_LIMIT
        end
    end
end

@testset "errors" begin
    @test_throws ToolPoolError ToolPool.open("gpu:nothing")
    @test_throws ToolPoolError ToolPool.open("cpu*1"; nonsense = 1)
    @test_throws ToolPoolError Tool("nonsense")
    @test_throws ToolPoolError Echo(; nonsense = 1)
    @test_throws ToolPoolError library("libnothing.so", "tool")
    on_cpu() do pool
        @test_throws ToolPoolError run(pool, Echo(), ["a"]; nonsense = true)
        reason = try
            run(pool, Echo(), ["a"]; dedup = "maybe")
        catch reason
            reason
        end
        @test reason.status == :ERR_OPTION && reason.item === nothing
        @test occursin("dedup", sprint(showerror, reason))
        @test_throws BoundsError run(pool, Echo(), ["a"])[2]
        @test_throws ToolPoolError run(pool, Echo(), ["a"])[1]["nonsense"]
    end
end

@testset "partial failures" begin
    on_cpu() do pool
        results = run(pool, 1:4) do items
            [i == 3 ? ArgumentError("no threes") : i * 10 for i in items]
        end
        @test [item.index for item in failed(results)] == [3]
        @test results[4]["output"][] == 40
        @test !results[3].ok && results[3].error.status == :ERR_ITEM && results[3].error.item == 3
        @test_throws ToolPoolError results[3]["output"]
        @test haskey(results[4], "output") && !haskey(results[3], "output")
        @test_throws PartialFailure stack(results, "output")
        partial = try
            throw_if_partial(results)
        catch partial
            partial
        end
        @test (partial.succeeded, partial.failed) == ([1, 2, 4], [3])
        @test occursin("no threes", sprint(showerror, partial))
        @test throw_if_partial(run(pool, Echo(), ["a"])) isa Results
    end
end

@testset "outputs that do not stack" begin
    on_cpu() do pool
        results = run(pool, identity, [zeros(2, 3), zeros(2, 3), zeros(4, 3)])
        message = message_of(() -> stack(results, "output"))
        @test occursin("item 3: 'output' is a 4×3", message) && occursin("a 2×3", message)
        @test occursin("[item[\"output\"] for item in results]", message)
        types = run(pool, items -> [item == 1 ? 1.5 : item for item in Any[items...]], [1, 2])
        @test occursin("Int64", message_of(() -> stack(types, "output")))
        @test occursin("there is output", message_of(() -> stack(results, "nonsense")))
    end
end

@testset "items are counted from 1" begin
    from_1 = ToolPool.counted_from_1
    @test from_1("'x' of item 1 is", 1) == "'x' of item 2 is"
    @test from_1("item 11 costs 1", 1) == "item 11 costs 1"
    @test from_1("two outputs for item 1 of its batch", 1) == "two outputs for item 1 of its batch"
    @test from_1("item 1 of a batch of 2; item 1 in a batch", 1) == "item 1 of a batch of 2; item 1 in a batch"
end

@testset "devices" begin
    @test ToolPool.device_text([0, 2]) == ToolPool.device_text((0, "cuda:2")) == "cuda:0,cuda:2"
    @test ToolPool.device_text(2) == "2" && ToolPool.device_text(:auto) == "auto"
    @test length(devices(["cpu*3"])) == 3
    @test_throws ToolPoolError ToolPool.open([98, 99])
    @test [(d.kind, d.slot) for d in devices("cpu*2")] == [(:cpu, 0), (:cpu, 1)]
    @test devices()[end].kind == :cpu && devices()[end].memory_total > 0
    ToolPool.open("cpu*2"; threads = 1) do pool
        @test [d.threads for d in slots(pool)] == [1, 1]
    end
    @test ToolPool.version() >= v"0.1"
end

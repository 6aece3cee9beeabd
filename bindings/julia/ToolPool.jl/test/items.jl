@testset "what goes in comes out" begin
    on_cpu() do pool
        @testset "strings" begin
            strings = ["abc", "", "größer", "abc", SubString("xyz", 2)]
            results = run(pool, Echo(), strings)
            @test length(results) == 5
            @test text.(results) == strings
            @test outputs(results) == ["output"]
            @test all(item.ok && item.error === nothing && item.warning == "" for item in results)
            @test pointer(results[1]["output"]) == pointer(results[4]["output"])
        end

        @testset "a list that knows no type of its own" begin
            @test text.(run(pool, Echo(), Any["a", "b"])) == ["a", "b"]
            @test_throws ArgumentError run(pool, Echo(), Any["a", 1])
            @test stack(run(pool, identity, Any[1, 2]), "output") == [1, 2]
            @test stack(run(pool, identity, Real[1.5 2.5]), "output") == [1.5 2.5]
            for mixed in (Any[1, 2.5], Real[1, 2.5], Real[1 2.5])
                message = message_of(() -> run(pool, Echo(), mixed))
                @test occursin("several types, Int64, Float64", message) && occursin("Float64.(items)", message)
            end
            @test occursin("no tensors of Real", message_of(() -> run(pool, Echo(), [Real[1, 2.5]])))
            @test occursin("no tensors of Real", run(pool, items -> [Real[1, 2.5]], [1])[1].error.message)
            @test_throws ArgumentError run(pool, Echo(), 5)
            @test isempty(run(pool, Echo(), String[]))
            @test isempty(run(pool, Echo(), Any[]))
        end

        @testset "tensors of $T, with Julia's dimensions" for T in
            (Float64, Float32, Float16, Int64, Int32, Int16, Int8, UInt8, Bool)
            arrays = [rand(T, 3, 5), rand(T, 2, 1), rand(T, 0, 4)]
            results = run(pool, identity, arrays)
            @test [results[i]["output"] for i in 1:3] == arrays
            @test results[1]["output"] isa Matrix{T}
        end

        @testset "slices of an array" begin
            matrix = reshape(Float32.(1:12), 3, 4)
            @test stack(run(pool, identity, matrix), "output") == matrix
            @test stack(run(pool, identity, [1.5, 2.5]), "output") == [1.5, 2.5]
            cube = rand(2, 3, 4)
            @test stack(run(pool, identity, cube), :output) == cube
            @test stack(run(pool, identity, view(cube, :, 1:2, 1:2:3)), :output) == cube[:, 1:2, 1:2:3]
        end

        @testset "fields" begin
            fields = (tokens = [[1, 2, 3], [4]], name = ["a", "bc"], weight = [0.5, 2.0])
            results = run(pool, fields) do items
                [(sum = sum(item.tokens) * item.weight, name = item.name) for item in items]
            end
            @test [results[i]["sum"][] for i in 1:2] == [3.0, 8.0]
            @test text.(results, "name") == ["a", "bc"]
            @test sort(outputs(results)) == ["name", "sum"]
            @test_throws ToolPoolError ToolPool.Items((a = [1, 2], b = [1]))
        end

        @testset "types that tensors do not have" begin
            @test_throws ArgumentError run(pool, Echo(), [1.0 + 2im])
            @test_throws ArgumentError run(pool, Echo(), [[big"1"]])
        end
    end
end

@testset "costs decide the order" begin
    on_cpu(1) do pool
        order = Int[]
        tool = JuliaTool(batch_items = 1) do items
            append!(order, items)
            items
        end
        run(pool, tool, [1, 2, 3]; costs = [1, 3, 2])
        @test order == [2, 3, 1]
        items = ToolPool.Items([1, 2, 3]; costs = [3, 2, 1])
        empty!(order)
        run(pool, tool, items)
        run(pool, tool, items)
        @test order == [1, 2, 3, 1, 2, 3]
        @test message_of(() -> ToolPool.Items([1, 2]; costs = [NaN, 1])) ==
              "ToolPoolError(ERR_ARGUMENT): the cost of item 1 is NaN; costs are numbers from 0 up, or +infinity"
        @test_throws ToolPoolError ToolPool.Items([1, 2]; costs = [1])
    end
end

@testset "bfloat16 becomes Float32" begin
    @test ToolPool.widen_bfloat16(UInt16[0x3f80, 0xc000]) == Float32[1, -2]
end

# Runs the blocks of a page of the documentation as one program, and looks at what it left. Usage: page.jl PAGE
using Test

page = read(ARGS[1], String)
blocks = [block.captures[1] for block in eachmatch(r"```julia\n(.*?)```"s, page)]
@test length(blocks) >= 4
include_string(Main, join(blocks, "\n"), ARGS[1])

@test size(means) == (320, 3) && size(residues) == (320, 14)
@test means[:, 1] == means[:, 3] && figures.unique == 2
@test echoed == sequences && size(sums) == (100,)
@test [weighted[i]["output"][] for i in 1:2] == [3.0, 8.0]
@test done == 1 && String(copy(last_one[1]["output"])) == "c"
@test scaled == Float32[2 4; 6 8]

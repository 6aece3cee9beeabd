"""Embeds proteins on every GPU of this machine, or on its CPU. Usage: embed.py [MODEL]"""

import sys

from toolpool import ESM2, ToolPool

model = sys.argv[1] if len(sys.argv) > 1 else "facebook/esm2_t6_8M_UR50D"
sequences = ["MKTLLILAVVAAALA", "GAVLTVLLGGLLLA", "MKTLLILAVVAAALA"]

with ToolPool() as pool:  # gpus="all", 2, ["cuda:0", "cuda:2"], or gpus=0 with cpus=4
    results = pool.run(ESM2(model, outputs=["mean", "per_residue"]), sequences)

for item in results:
    sequence = sequences[item.index]
    if item.ok:
        print(f"{sequence} {item['mean'][0]:g}")  # a view into the results
    else:
        print(f"{sequence} failed: {item.error}")

print(results.stack("mean").shape, "in", results.report.figures["elapsed_s"], "s")

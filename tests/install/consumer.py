"""Embeds two proteins in child processes: `consumer.py MODEL` prints the embeddings."""

import sys

from toolpool import ESM2, ToolPool

with ToolPool(gpus=0, cpus=2) as pool:
    esm2 = ESM2(sys.argv[1], isolation="process")
    means = pool.run(esm2, ["MKTLLILAVVAAALA", "GAVLTVLLGGLLLA"]).stack("mean")
for value in means.ravel().tolist():
    print(f"{value:.9g}")

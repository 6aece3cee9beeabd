"""ESM-2 inside a Python that has a torch of its own: neither disturbs the other."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

RUN = """
pool = capi.Pool("cpu*2", "esm2", os.environ["TOOLPOOL_TEST_TINY_MODEL"])
data, offsets = np.frombuffer(b"MKTAYIAKQRGAVL", np.uint8), np.array([0, 10, 14], np.int64)
items = pool.items(data, offsets)
pool.free(pool.run(items), items)
"""

ORDERS = {
    "torch first": "import torch\nbefore = torch.get_num_threads()\n" + RUN,
    "torch last": RUN + "import torch\nbefore = len(os.sched_getaffinity(0))\n",
}


@pytest.mark.parametrize("order", ORDERS)
def test_the_threads_of_the_hosts_torch_stay_as_they_are(order):
    program = f"""
import os, sys, threading
sys.path.insert(0, {str(ROOT / "benches")!r})
import capi
import numpy as np
{ORDERS[order]}
counts = [torch.get_num_threads()]
thread = threading.Thread(target=lambda: counts.append(torch.get_num_threads()))
thread.start()
thread.join()
assert counts == [before, before], (counts, before)
assert torch.ones(3).sum().item() == 3
"""
    environment = dict(os.environ)
    environment.pop("OMP_NUM_THREADS", None)
    subprocess.run([sys.executable, "-c", program], check=True, env=environment, timeout=300)

"""What toolpool itself costs, without a model: each figure from a process of its own.

python benches/core.py FIGURE    prints the figure as a number
"""

from __future__ import annotations

import ctypes
import os
import statistics
import subprocess
import sys
import time

import numpy as np
from capi import LIBRARY, Pool, load

ITEMS = 1_000_000
ITEM_BYTES = 200
RUNS = 7


def lpt_ns() -> float:
    """Nanoseconds an item to assign 1M items of log-normal cost to 8 equal slots."""
    library = load()
    costs = np.random.default_rng(0).lognormal(np.log(250), 0.6, ITEMS)
    slots = np.empty(ITEMS, np.uint32)

    def assign() -> None:
        status = library.toolpool_plan(
            costs.ctypes.data, ITEMS, None, None, 8, slots.ctypes.data, None, None, None
        )
        assert status == 0

    return median_seconds(assign) / ITEMS * 1e9


def echo_ns() -> float:
    """Nanoseconds an item from the call to readable results: distinct items of 200 bytes, dedup on, 2 workers."""
    pool, items = echo()
    results = []
    elapsed = []
    for _ in range(RUNS):
        start = time.perf_counter()
        results.append(pool.run(items))
        elapsed.append(time.perf_counter() - start)
        pool.free(results.pop())
    return statistics.median(elapsed[1:]) / ITEMS * 1e9


def echo_bytes() -> float:
    """Bytes of memory an item at the peak of one such run, beyond inputs and outputs."""
    pool, items = echo()
    before = peak_bytes()
    pool.run(items)
    return (peak_bytes() - before) / ITEMS - ITEM_BYTES


def warm_us() -> float:
    """Microseconds of a warm run of one item of a tool that takes none."""
    pool = Pool("cpu*2", "echo")
    data, offsets = np.frombuffer(b"MKTAYIAKQR", np.uint8), np.array([0, 10], np.int64)
    items = pool.items(data, offsets)
    elapsed = []
    for _ in range(5000):
        start = time.perf_counter()
        results = pool.run(items)
        elapsed.append(time.perf_counter() - start)
        pool.free(results)
    return statistics.median(elapsed) * 1e6


def dlopen_ms() -> float:
    """Milliseconds to load libtoolpool.so; it must bring no libtorch along."""
    start = time.perf_counter()
    ctypes.CDLL(str(LIBRARY))
    elapsed = time.perf_counter() - start
    with open("/proc/self/maps") as maps:
        assert "libtorch" not in maps.read()
    return elapsed * 1e3


FIGURES = {figure.__name__: figure for figure in (lpt_ns, echo_ns, echo_bytes, warm_us, dlopen_ms)}


def measure(name: str) -> float:
    """A figure, from a fresh process."""
    output = subprocess.run(
        [sys.executable, __file__, name], check=True, capture_output=True, text=True
    ).stdout
    return float(output)


def echo() -> tuple[Pool, ctypes.c_void_p]:
    """A pool and a million distinct items, whose arrays the pool keeps."""
    data = np.random.default_rng(0).integers(65, 91, ITEMS * ITEM_BYTES, dtype=np.uint8)
    offsets = np.arange(0, (ITEMS + 1) * ITEM_BYTES, ITEM_BYTES, dtype=np.int64)
    pool = Pool("cpu*2", "echo")
    pool.arrays = (data, offsets)
    return pool, pool.items(data, offsets)


def peak_bytes() -> int:
    """The most memory that this process has had."""
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def median_seconds(run) -> float:
    """The median time of some runs after a first that does not count."""
    elapsed = []
    for _ in range(RUNS):
        start = time.perf_counter()
        run()
        elapsed.append(time.perf_counter() - start)
    return statistics.median(elapsed[1:])


if __name__ == "__main__":
    print(FIGURES[sys.argv[1]]())
    sys.stdout.flush()
    os._exit(0)

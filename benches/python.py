"""What a no-op costs an item through Python's pools, and outputs into one matrix beside a copy of memory.

    python benches/python.py [--items N] [--rounds N]

Each pool is warm, and used in its best arrangement: large chunks, so that what is sent is few and large. toolpool is timed
from the caller's list to its results, and once more to a list of `bytes`; the others give a list, as they do, and look for
no duplicates. The times are the least of the rounds: other work of the machine can only add to them. ray is left out where it is not installed (benches/requirements.txt has it).
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "bindings/python"))
os.environ.setdefault("TOOLPOOL_LIBRARY", str(ROOT / "target/release/libtoolpool.so"))

WORKERS = 2
ROWS, WIDTH = 100_000, 1280

# What is to be reached, in microseconds an item.
GOALS = {"toolpool, from a list": 1.5, "toolpool, from an Arrow column": 0.6}

Run = Callable[[], object]


def echo(item: str) -> str:
    """The no-op."""
    return item


@contextmanager
def toolpool_runs(strings: list[str]) -> Iterator[dict[str, Run]]:
    import pyarrow as pa
    from toolpool import Echo, ToolPool

    tool, column = Echo(), pa.array(strings)
    with ToolPool(gpus=0, cpus=WORKERS) as pool:
        yield {
            "toolpool, from a list": lambda: pool.run(tool, strings),
            "toolpool, from a list to a list": lambda: pool.run(tool, strings).column("output"),
            "toolpool, from a list to a list, dedup=False": lambda: pool.run(
                tool, strings, dedup=False
            ).column("output"),
            "toolpool, from an Arrow column": lambda: pool.run(tool, column),
        }


@contextmanager
def executor_runs(strings: list[str]) -> Iterator[dict[str, Run]]:
    chunk = len(strings) // (4 * WORKERS)
    with ProcessPoolExecutor(WORKERS) as executor:
        yield {
            "ProcessPoolExecutor.map": lambda: list(executor.map(echo, strings, chunksize=chunk))
        }


@contextmanager
def ray_runs(strings: list[str]) -> Iterator[dict[str, Run]]:
    """ActorPool sends one task an entry of its list: chunks of strings, here, joined again by the caller."""
    if importlib.util.find_spec("ray") is None:
        print("ray is not installed: left out")
        yield {}
        return
    os.environ["RAY_AUTH_MODE"] = "disabled"
    import ray
    from ray.util import ActorPool

    @ray.remote
    class Echoes:
        def run(self, items):
            return [echo(item) for item in items]

    ray.init(
        num_cpus=WORKERS,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.WARNING,  # what it says of its start would stand in the table
    )
    pool = ActorPool([Echoes.remote() for _ in range(WORKERS)])
    size = -(-len(strings) // (4 * WORKERS))

    def run() -> list[str]:
        chunks = [strings[i : i + size] for i in range(0, len(strings), size)]
        outputs = pool.map(lambda actor, chunk: actor.run.remote(chunk), chunks)
        return [item for chunk in outputs for item in chunk]

    try:
        yield {"ray.util.ActorPool": run}
    finally:
        ray.shutdown()


def seconds(run: Run, rounds: int) -> float:
    run()
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return min(times)


def no_ops(items: int, rounds: int) -> None:
    strings = [f"item {n}" for n in range(items)]
    print(f"A no-op, {items:,} distinct strings, {WORKERS} workers\n")
    print("| | µs an item | goal |\n| --- | ---: | ---: |")
    for runs_of in (toolpool_runs, executor_runs, ray_runs):
        with runs_of(strings) as runs:
            for name, run in runs.items():
                goal = GOALS.get(name)
                cost = seconds(run, rounds) / items * 1e6
                print(f"| {name} | {cost:.2f} | {f'< {goal}' if goal else ''} |")


def matrix(rounds: int) -> None:
    from toolpool import Echo, ToolPool

    rows = np.random.default_rng(0).random((ROWS, WIDTH), dtype=np.float32)
    with ToolPool(gpus=0, cpus=WORKERS) as pool:
        results = pool.run(Echo(), rows)
    out = np.empty((ROWS, WIDTH * 4), np.uint8)
    timed = {
        "results.stack into a new matrix": lambda: results.stack("output"),
        "numpy's copy of the same into a new matrix": rows.copy,
        "results.stack into a matrix of the caller": lambda: results.stack("output", out=out),
        "numpy's copy into a matrix of the caller": lambda: np.copyto(out.view(np.float32), rows),
    }
    print(f"\n{ROWS:,} × {WIDTH} floats into one matrix\n\n| | ms | GB/s |\n| --- | ---: | ---: |")
    for name, run in timed.items():
        took = seconds(run, rounds)
        print(f"| {name} | {took * 1e3:.0f} | {rows.nbytes / took / 1e9:.1f} |")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--items", type=int, default=1_000_000)
    arguments.add_argument("--rounds", type=int, default=5)
    given = arguments.parse_args()
    no_ops(given.items, given.rounds)
    matrix(given.rounds)


if __name__ == "__main__":
    main()

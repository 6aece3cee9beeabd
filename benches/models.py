"""Models in files: the sentence model beside PyTorch itself, two models at once, a large input.

    python benches/models.py [--rounds N]

prints the tables. `build/models/torch` holds the models (`scripts/torch_models` writes them). Engines run in turn within each
round, each in a loaded process of its own; a ratio is the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from capi import ROOT, Pool
from engines import Engine

FOLDER = ROOT / "build/models/torch"
SENTENCES = ROOT / "examples/data/sentences.txt"
THREADS = 2
TEXTS = 2000
TOKENS_MOST = 256

# Ratios of toolpool's speed to each peer's that are to be reached.
PEERS = {"pytorch_unsorted": 1.5, "pytorch_sorted": 1.0}
OURS = ("toolpool_sentences", "toolpool_sentences_aoti")


def texts() -> list[list[int]]:
    """The token ids of 2,000 texts: the shipped sentences, and as many passages of 2 to 5 of them; shuffled, seeded."""
    sys.path.append(str(ROOT / "examples/python"))
    import export_sentences
    from transformers import AutoTokenizer

    source = random.Random(0)
    sentences = SENTENCES.read_text().splitlines()
    passages = [
        " ".join(source.choices(sentences, k=source.randint(2, 5)))
        for _ in range(TEXTS - len(sentences))
    ]
    mixed = source.sample(sentences + passages, TEXTS)
    tokenizer = AutoTokenizer.from_pretrained(export_sentences.folder())
    return tokenizer(mixed, truncation=True, max_length=TOKENS_MOST)["input_ids"]


def sentences(rounds: int, count: int) -> list[str]:
    """The sentence model over 2 workers, against PyTorch with 2 threads."""
    ids = texts()[:count]
    tokens = sum(map(len, ids))
    engines = {
        name: Engine(name, str(FOLDER), ids, THREADS, list(range(THREADS)))
        for name in (*OURS, *PEERS)
    }
    seconds: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(rounds):
        for name, engine in engines.items():
            engine.start()
            seconds[name].append(engine.seconds())
    for engine in engines.values():
        engine.close()

    lines = [f"| {count:,} texts, {tokens:,} tokens | tokens/s | " + " | ".join(PEERS) + " |"]
    lines.append("| --- | --- |" + " --- |" * len(PEERS))
    for name, times in seconds.items():
        row = f"| {name} | {tokens / statistics.median(times):,.0f} |"
        for peer, goal in PEERS.items():
            ratio = statistics.median(p / t for p, t in zip(seconds[peer], times, strict=True))
            row += f" {ratio:.2f} × (goal {goal}) |" if name in OURS else " |"
        lines.append(row)
    return lines


class Jobs(Pool):
    """A pool whose jobs run at once."""

    def together(self, tools: list, items) -> float:
        """Seconds until a job of each tool has ended."""
        start = time.perf_counter()
        jobs = [self._made("toolpool_submit", self.pool, tool, items, None) for tool in tools]
        for job in jobs:
            self._call("toolpool_job_wait", job, -1)
        elapsed = time.perf_counter() - start
        for job in jobs:
            self.calls.toolpool_job_free(job)
        return elapsed

    def loads(self, tools: list, items) -> int:
        """How many slots loaded a tool, in jobs that begin cold."""
        loads = 0
        jobs = [self._made("toolpool_submit", self.pool, tool, items, None) for tool in tools]
        for job in jobs:
            self._call("toolpool_job_wait", job, -1)
            report = self._made("toolpool_job_report", job)
            slots = json.loads(self.calls.toolpool_report_json(report))["slots"]
            loads += sum(slot["load_s"] > 0 for slot in slots)
            self.calls.toolpool_report_free(report)
            self.calls.toolpool_job_free(job)
        return loads


def two_models(rounds: int) -> list[str]:
    """Two models in one call, against one after the other."""
    arrays = [*np.random.default_rng(0).standard_normal((20_000, 1)).astype(np.float32)]
    pool = Jobs(f"cpu*{THREADS}", "echo")
    items = pool.tensors(arrays, stay=True)
    cold = [
        pool._made("toolpool_tool_open", b"torchscript", str(FOLDER / f"member_{m}.pt").encode())
        for m in range(2)
    ]
    loads = pool.loads(cold, items)
    ratios = []
    for _ in range(rounds):
        apart = sum(pool.together([tool], items) for tool in cold)
        ratios.append(pool.together(cold, items) / apart)
    ratio = statistics.median(ratios)
    return [
        f"| two models in one call over {THREADS} workers, 20,000 items each | "
        f"{ratio:.3f} of the sum of their times, {loads} loads | under 1.05, at most 4 |"
    ]


def large_input() -> list[str]:
    """A tensor of 1 GiB through a model that sums it: how much the process grows."""
    pool = Pool("cpu*1", "torchscript", str(FOLDER / "total.pt"), batch="none")
    pool.free(pool.run(pool.tensors([np.ones(8, np.float32)])))
    large = np.ones(1 << 28, np.float32)
    items = pool.tensors([large])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    pool.run(items)
    elapsed = time.perf_counter() - start
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return [
        f"| host memory for an input of 1 GiB, beyond the input | {grown:.0f} MiB "
        f"({elapsed:.2f} s) | under 16 MiB |"
    ]


def apart(function: str, *arguments: object) -> list[str]:
    """What a function of this file returns, from a process of its own."""
    program = f"import json, models; print(json.dumps(models.{function}{arguments}))"
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=Path(__file__).parent, check=True, capture_output=True
    )
    return json.loads(ran.stdout.splitlines()[-1])


def tables(rounds: int, count: int = TEXTS) -> str:
    """All of it, in Markdown."""
    lines = ["| what | measured | to reach |", "| --- | --- | --- |"]
    lines += apart("two_models", 10 * rounds + 1) + apart("large_input")
    return "\n".join([*lines, "", *sentences(rounds, count)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default 5)")
    parser.add_argument("--texts", type=int, default=TEXTS, help=f"texts (default {TEXTS})")
    arguments = parser.parse_args()
    print(tables(arguments.rounds, arguments.texts))


if __name__ == "__main__":
    main()

"""Benchmarks of toolpool: its own overhead, ESM-2 and a model in a file on the CPU beside their peers, as tables and a plot.

    python benches/run.py [--rounds N] [--shapes 8M,35M] [--out DIR]

Peers run in turn with toolpool within each round, on the same cores, in processes that stay loaded; a ratio is the median
of the rounds' ratios. DIR receives results.md and results.svg.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import random
import statistics
from dataclasses import dataclass
from pathlib import Path

import core
import models
from engines import ALPHABET, Engine, tokens_of

ROOT = Path(__file__).resolve().parent.parent

CORE_GOALS = {
    "lpt_ns": ("static LPT, 1M log-normal costs on 8 slots", "ns an item", 80),
    "echo_ns": (
        "1M distinct items of 200 bytes through `echo`, dedup on, 2 workers",
        "ns an item",
        400,
    ),
    "echo_bytes": ("its memory beyond inputs and outputs", "bytes an item", 150),
    "warm_us": ("a warm run of one item", "µs", 50),
    "dlopen_ms": ("dlopen of libtoolpool.so", "ms", 2),
}

# Ratios of toolpool's speed to each peer's that are to be reached.
ONE_THREAD = {
    "8M": {"transformers": 1.25, "fair_esm": 3.0},
    "35M": {"transformers": 1.2, "fair_esm": 3.0},
}
TWO_THREADS = {
    "8M": {"transformers": 1.5, "transformers × 2": 1.0},
    "35M": {"transformers": 1.3, "transformers × 2": 1.0},
}
SEQUENCES = {"8M": 40, "35M": 16}


@dataclass
class Row:
    """One engine on one shape."""

    shape: str
    threads: int
    engine: str
    tokens_per_second: float
    ratio: float | None = None
    goal: float | None = None


def sequences(count: int, seed: int = 0) -> list[str]:
    """Seeded random proteins of log-normal length: median 250, σ 0.6, cut to 20 to 1,000."""
    source = random.Random(seed)
    lengths = [min(1000, max(20, round(source.lognormvariate(5.52, 0.6)))) for _ in range(count)]
    return ["".join(source.choices(ALPHABET, k=length)) for length in lengths]


def model(shape: str) -> str:
    """The checkpoint that scripts/random_model wrote."""
    path = ROOT / f"build/models/esm2_{shape}_bench"
    if not path.is_dir():
        raise SystemExit(f"{path} is absent; run: scripts/random_model {shape} {path}")
    return str(path)


def measure(shape: str, threads: int, peers: dict[str, float], rounds: int) -> list[Row]:
    """toolpool and its peers in turn; a peer called `name × 2` is two processes that share the sequences."""
    proteins = sequences(SEQUENCES[shape])
    cores = list(range(threads))

    def group(name: str) -> list[Engine]:
        engine, _, copies = name.partition(" × ")
        if not copies:
            return [Engine(engine, model(shape), proteins, threads, cores)]
        proteins_by_length = sorted(proteins, key=len, reverse=True)
        shares = [proteins_by_length[start :: int(copies)] for start in range(int(copies))]
        return [Engine(engine, model(shape), share, 1, [core]) for core, share in enumerate(shares)]

    groups = {name: group(name) for name in ["toolpool", *peers, "gemm"]}
    seconds: dict[str, list[float]] = {name: [] for name in groups}
    for _ in range(rounds):
        for name, engines in groups.items():
            for engine in engines:
                engine.start()
            seconds[name].append(max(engine.seconds() for engine in engines))
    flops = groups["gemm"][0].flops
    for engines in groups.values():
        for engine in engines:
            engine.close()

    tokens = tokens_of(proteins)
    speed = {name: tokens / statistics.median(times) for name, times in seconds.items()}
    rows = [Row(shape, threads, "toolpool", speed["toolpool"])]
    for name, goal in peers.items():
        ratios = [
            peer / ours for peer, ours in zip(seconds[name], seconds["toolpool"], strict=True)
        ]
        rows.append(Row(shape, threads, name, speed[name], statistics.median(ratios), goal))
    gigaflops = flops / statistics.median(seconds["gemm"]) / 1e9
    share = model_flops(shape, proteins) / statistics.median(seconds["toolpool"]) / 1e9 / gigaflops
    rows.append(
        Row(shape, threads, f"GEMM at {gigaflops:.0f} GFLOP/s; toolpool's share of it", 0, share)
    )
    return rows


def model_flops(shape: str, proteins: list[str]) -> float:
    """FLOPs of the encoder: 24·n·d²·T + 4·n·d·T² for each sequence of T tokens."""
    layers, width = {"8M": (6, 320), "35M": (12, 480)}[shape]
    lengths = [len(protein) + 2 for protein in proteins]
    return sum(24 * layers * width**2 * t + 4 * layers * width * t**2 for t in lengths)


def table(core_figures: dict[str, float], rows: list[Row]) -> str:
    """All of it, in Markdown."""
    lines = ["| what | measured | to reach |", "| --- | --- | --- |"]
    for name, value in core_figures.items():
        what, unit, goal = CORE_GOALS[name]
        lines.append(f"| {what} | {value:.3g} {unit} | under {goal} |")
    lines += ["", "| ESM-2 | threads | engine | tokens/s | toolpool is | to reach |"]
    lines.append("| --- | --- | --- | --- | --- | --- |")
    for row in rows:
        speed = f"{row.tokens_per_second:,.0f}" if row.tokens_per_second else ""
        if row.ratio is None:
            ratio = ""
        elif row.tokens_per_second:
            ratio = f"{row.ratio:.2f} ×"
        else:
            ratio = f"{row.ratio:.0%}"
        goal = f"{row.goal:.2f} ×" if row.goal else ""
        lines.append(f"| {row.shape} | {row.threads} | {row.engine} | {speed} | {ratio} | {goal} |")
    return "\n".join(lines)


def plot(rows: list[Row], path: Path) -> None:
    """Tokens per second of every engine, a panel for each shape and number of threads."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    panels = sorted(
        {(row.shape, row.threads) for row in rows}, key=lambda panel: (len(panel[0]), panel)
    )
    figure, axes = pyplot.subplots(1, len(panels), figsize=(3.4 * len(panels), 3.2), squeeze=False)
    for axis, (shape, threads) in zip(axes[0], panels, strict=True):
        bars = [
            row
            for row in rows
            if (row.shape, row.threads) == (shape, threads) and row.tokens_per_second
        ]
        colors = ["#1f6f8b" if row.engine == "toolpool" else "#b8c4c9" for row in bars]
        names = [row.engine.replace("_", "-") for row in bars]
        axis.bar(names, [row.tokens_per_second for row in bars], color=colors)
        axis.set_title(f"ESM-2 {shape}, {threads} thread{'s' * (threads > 1)}")
        axis.set_ylabel("tokens/s")
        axis.tick_params(axis="x", rotation=20)
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path)


def hardware() -> str:
    """The processor and how many cores of it there are."""
    with open("/proc/cpuinfo") as cpuinfo:
        lines = cpuinfo.readlines()
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {len(names)} cores"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--rounds", type=int, default=5, help="rounds of each comparison (default 5)"
    )
    parser.add_argument("--shapes", default="8M,35M", help="shapes of ESM-2 (default 8M,35M)")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "build/bench", help="default build/bench"
    )
    arguments = parser.parse_args()

    figures = {name: core.measure(name) for name in CORE_GOALS}
    rows = []
    for shape in arguments.shapes.split(","):
        rows += measure(shape, 1, ONE_THREAD[shape], arguments.rounds)
        rows += measure(shape, 2, TWO_THREADS[shape], arguments.rounds)

    heading = f"## {datetime.date.today()}, {hardware()}\n\n`make bench`, {arguments.rounds} rounds, medians.\n\n"
    text = heading + table(figures, rows) + "\n\n" + models.tables(arguments.rounds) + "\n"
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "results.md").write_text(text)
    plot(rows, arguments.out / "results.svg")
    print(text)
    print(f"also in {arguments.out}/results.md and results.svg")


if __name__ == "__main__":
    main()

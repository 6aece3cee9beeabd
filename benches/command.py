"""Benchmarks of the command: beside the library alone and fair-esm, its start, and its memory.

    python benches/command.py [--sequences N] [--fair-esm N] [--rounds N] [--start GB] [--stream GB]

The command embeds N proteins of log-normal length (8M shape, two CPU workers, means) from a FASTA into a directory, from its
start to its end. The library does the same sequences from memory to memory, its model loaded; fair-esm as its `esm-extract`
batches, without the file that it writes for each protein; with `--fair-esm N` only the first N, as they come in random order. All
three run in turn within each round, on the same cores.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import subprocess
import threading
import time
from pathlib import Path

from engines import ALPHABET, Engine
from run import model, sequences

ROOT = Path(__file__).resolve().parent.parent
COMMAND = ROOT / "target/release/toolpool"
PLACE = ROOT / "build/bench/command"
WORKERS = 2


def embed(inputs: str, *more: str, **options) -> subprocess.Popen:
    """Starts the command, into an empty directory."""
    out = PLACE / "out"
    shutil.rmtree(out, ignore_errors=True)
    arguments = ["embed", inputs, "-m", model("8M"), "-o", out, "--devices", f"cpu*{WORKERS}"]
    options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE} | options
    return subprocess.Popen([COMMAND, *arguments, *more], **options)


def write_fasta(path: Path, proteins: list[str]) -> None:
    """Lines of 60 residues."""
    with path.open("w") as file:
        for number, protein in enumerate(proteins):
            lines = "\n".join(protein[start : start + 60] for start in range(0, len(protein), 60))
            file.write(f">protein{number}\n{lines}\n")


def seconds_of_command(fasta: Path) -> float:
    """From its start to its end."""
    began = time.perf_counter()
    process = embed(str(fasta))
    _, said = process.communicate()
    if process.returncode != 0:
        raise RuntimeError(said.decode())
    return time.perf_counter() - began


def compare(count: int, count_of_fair_esm: int, rounds: int) -> None:
    """The command, the library alone, and fair-esm."""
    proteins = sequences(count)
    fasta = PLACE / "proteins.fasta"
    write_fasta(fasta, proteins)
    work = {"toolpool": proteins, "fair_esm": proteins[:count_of_fair_esm]}
    cores = list(range(WORKERS))
    engines = {
        name: Engine(name, model("8M"), share, WORKERS, cores) for name, share in work.items()
    }
    speeds: dict[str, list[float]] = {"command": [], **{name: [] for name in engines}}
    for _ in range(rounds):
        speeds["command"].append(residues(proteins) / seconds_of_command(fasta))
        for name, engine in engines.items():
            engine.start()
            speeds[name].append(residues(work[name]) / engine.seconds())
    for engine in engines.values():
        engine.close()
    print(
        f"| {count} proteins, {residues(proteins)} residues, 8M shape, {WORKERS} CPU workers | residues/s | the command is | to reach |"
    )
    print("| --- | --- | --- | --- |")
    print(f"| `toolpool embed`, start to end | {statistics.median(speeds['command']):,.0f} | | |")
    for name, shown, goal in [
        ("toolpool", "the library alone, warm", 0.95),
        ("fair_esm", f"fair-esm, {len(work['fair_esm'])} of them", 3.0),
    ]:
        ratios = [
            ours / theirs for theirs, ours in zip(speeds[name], speeds["command"], strict=True)
        ]
        print(
            f"| {shown} | {statistics.median(speeds[name]):,.0f} | {statistics.median(ratios):.3f} × | {goal:.2f} × |"
        )


def residues(proteins: list[str]) -> int:
    return sum(map(len, proteins))


def records(seed: int):
    """FASTA text without end, a megabyte at a time, no two sequences alike."""
    source = random.Random(seed)
    letters = str.maketrans("0123456789abcdef", ALPHABET[:16])
    base = "".join(source.choices(ALPHABET, k=1 << 16))
    number = 0
    while True:
        parts = []
        for _ in range(2700):
            length = min(1000, max(20, round(source.lognormvariate(5.52, 0.6))))
            begin = source.randrange(len(base) - length)
            unique = f"{number:x}".translate(letters)
            parts.append(f">protein{number}\n{unique}{base[begin : begin + length]}\n")
            number += 1
        yield "".join(parts).encode()


def start(gigabytes: float) -> None:
    """How long after its start a command with a large FASTA begins to compute: right after its model is loaded."""
    fasta = PLACE / "large.fasta"
    with fasta.open("wb") as file:
        texts = records(1)
        while file.tell() < gigabytes * 1e9:
            file.write(next(texts))
    began = time.perf_counter()
    process = embed(str(fasta))
    for line in process.stderr:
        if b"loaded" in line:
            break
    print(
        f"start to first batch, {gigabytes} GB FASTA: {time.perf_counter() - began:.2f} s (to reach: under 1 s)"
    )
    process.kill()
    process.wait()
    fasta.unlink()


def stream(gigabytes: float) -> None:
    """Memory of a command that reads so much from a pipe. It does one of 5,000 parts, as the whole would take days here."""
    process = embed("-", "--shard", "1/5000", stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    most = [0]

    def watch() -> None:
        while process.poll() is None:
            status = Path(f"/proc/{process.pid}/status").read_text()
            found = [line for line in status.splitlines() if line.startswith("VmHWM")]
            most[0] = max([most[0], *(int(line.split()[1]) for line in found)])
            time.sleep(0.05)

    watcher = threading.Thread(target=watch)
    watcher.start()
    began, sent, texts = time.perf_counter(), 0, records(2)
    while sent < gigabytes * 1e9:
        sent += process.stdin.write(next(texts))
    process.stdin.close()
    process.wait()
    watcher.join()
    passed = time.perf_counter() - began
    print(
        f"{sent / 1e9:.1f} GB from a pipe in {passed:.0f} s, exit code {process.returncode}: {most[0] / 1024:.0f} MB resident at most "
        "(to reach: under 500 MB)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--sequences", type=int, default=20_000, help="default 20,000; 0: leave it out"
    )
    parser.add_argument("--fair-esm", type=int, metavar="N", help="default: all")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument(
        "--start", type=float, default=1, metavar="GB", help="default 1; 0: leave it out"
    )
    parser.add_argument(
        "--stream", type=float, default=10, metavar="GB", help="default 10; 0: leave it out"
    )
    arguments = parser.parse_args()
    PLACE.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("TOOLPOOL_LIBTORCH", str(ROOT / "libtorch"))
    if arguments.start:
        start(arguments.start)
    if arguments.stream:
        stream(arguments.stream)
    if arguments.sequences:
        compare(arguments.sequences, arguments.fair_esm or arguments.sequences, arguments.rounds)
    shutil.rmtree(PLACE)


if __name__ == "__main__":
    main()

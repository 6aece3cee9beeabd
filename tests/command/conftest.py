"""The command as it lies in target/release (TOOLPOOL_TEST_COMMAND names another), on a tiny random model."""

from __future__ import annotations

import gzip
import http.server
import json
import os
import random
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as parquet
import pytest
from hub import Hub

ROOT = Path(__file__).resolve().parents[2]
COMMAND = os.environ.get("TOOLPOOL_TEST_COMMAND", str(ROOT / "target/release/toolpool"))
MODEL = os.environ.get("TOOLPOOL_TEST_TINY_MODEL", str(ROOT / "build/models/esm2_tiny_random"))
RESIDUES = "ACDEFGHIKLMNPQRSTVWY"

# What differs between two runs of one input: how long they took, and who did them.
OF_THE_SESSION = {"report.json", "trace.json", "timeline.svg", "lock"}


def run(*arguments: object, **options) -> subprocess.CompletedProcess:
    """Runs the command to its end."""
    options = {"capture_output": True, "timeout": 1800} | options
    return subprocess.run([COMMAND, *map(str, arguments)], **options)


def embed_arguments(inputs: object, output: Path, *more: object) -> list[str]:
    """Two CPU workers, whatever the machine has."""
    inputs = inputs if isinstance(inputs, list) else [inputs]
    arguments = ["embed", *inputs, "-m", MODEL, "-o", output, "--devices", "cpu*2", *more]
    return [str(argument) for argument in arguments]


def embed(inputs: object, output: Path, *more: object, code: int = 0, **options):
    """Runs `toolpool embed`, which must end with `code`."""
    ended = run(*embed_arguments(inputs, output, *more), **options)
    assert ended.returncode == code, ended.stderr.decode()
    return ended


def proteins(count: int, seed: int = 0, most: int = 40) -> list[tuple[str, str]]:
    """Seeded random records; of five, one repeats an earlier sequence."""
    source = random.Random(seed)
    records: list[tuple[str, str]] = []
    for number in range(count):
        if records and number % 5 == 4:
            sequence = source.choice(records)[1]
        else:
            sequence = "".join(source.choices(RESIDUES, k=source.randint(1, most)))
        records.append((f"protein{number}", sequence))
    return records


def write_fasta(path: Path, records: list[tuple[str, str]]) -> Path:
    """As FASTA, compressed if the name ends in .gz."""
    text = "".join(f">{name} a description\n{sequence}\n" for name, sequence in records)
    with gzip.open(path, "wt") if path.suffix == ".gz" else path.open("w") as file:
        file.write(text)
    return path


@dataclass
class Rows:
    """The rows of an output in a directory, by index."""

    index: list[int] = field(default_factory=list)
    id: list[str] = field(default_factory=list)
    value: list[list[float]] = field(default_factory=list)

    def of(self, index: int) -> list[float]:
        """The value of a record."""
        return self.value[self.index.index(index)]


def rows(directory: Path, output: str = "mean") -> Rows:
    """All rows of an output, in the order in which they lie."""
    read = Rows()
    for shard in sorted((directory / output).glob("*.parquet")):
        table = parquet.read_table(shard)
        read.index += table["index"].to_pylist()
        read.id += table["id"].to_pylist()
        read.value += table["value"].to_pylist()
    return read


def contents(directory: Path) -> dict[str, bytes]:
    """Every file that a run leaves, but for those that say how long it took."""
    files = (path for path in directory.rglob("*") if path.is_file())
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in files
        if path.name not in OF_THE_SESSION and not path.name.startswith(".")
    }


def report(directory: Path) -> dict:
    """The report that a run leaves."""
    return json.loads((directory / "report.json").read_text())


@pytest.fixture
def hub(tmp_path: Path):
    """The environment of a command that has this hub, and a cache with nothing in it."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Hub.asked.clear()
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    endpoint = f"http://127.0.0.1:{server.server_port}"
    yield environment | {"HF_ENDPOINT": endpoint, "HF_HUB_CACHE": str(tmp_path / "hub")}
    server.shutdown()


@pytest.fixture
def fasta(tmp_path: Path) -> Path:
    """Sixty proteins."""
    return write_fasta(tmp_path / "proteins.fasta", proteins(60))

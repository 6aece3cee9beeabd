"""docs/command.md: its examples run, and its options are those of `--help`."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from conftest import COMMAND, MODEL, ROOT, proteins, rows, run, write_fasta
from hub import Hub
from safetensors.numpy import load_file, save_file

PAGE = (ROOT / "docs/command.md").read_text()
COMMANDS = ["embed", "run", "fetch", "merge", "verify", "devices", "bench", "completions"]


def examples() -> list[str]:
    """The blocks of shell of the page."""
    return re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)


def section(command: str) -> str:
    """What the page says of a command, and of all before the first."""
    first, *sections = re.split(r"^## (?=`toolpool)", PAGE, flags=re.MULTILINE)
    of_command = [text for text in sections if f"`toolpool {command}" in text.splitlines()[0]]
    assert len(of_command) == 1, command
    return first + of_command[0]


def helped(command: str) -> dict[str, tuple[str, str, str]]:
    """Short name, value and default of each option of `--help`, by its long name."""
    text = run(command, "--help").stdout.decode()
    options = re.split(r"^ +(?=(?:-\w, )?--\w)", text, flags=re.MULTILINE)[1:]
    found = {}
    for option in options:
        short, long, value = re.match(r"(?:(-\w), )?(--[\w-]+)(?: <(.*?)>)?", option).groups("")
        default = re.search(r"\[default: (\S+)\]", option)
        found[long] = (short, value, default[1] if default else "")
    found.pop("--help")
    return found


@pytest.fixture
def place(hub: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A folder with the files that the examples name, and the environment that they run in."""
    import torch

    class Model(torch.nn.Module):
        def forward(self, x):
            return 2 * x

    torch.jit.script(Model()).save(str(tmp_path / "model.pt"))
    save_file({"x": np.ones((4, 3), np.float32)}, tmp_path / "inputs.safetensors")
    write_fasta(tmp_path / "proteins.fasta", proteins(30))
    files = {path.name: path.read_bytes() for path in Path(MODEL).iterdir()}
    monkeypatch.setattr(Hub, "files", files)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/toolpool").symlink_to(Path(COMMAND).resolve())
    (tmp_path / ".local/share/bash-completion/completions").mkdir(parents=True)
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    return tmp_path, hub | {"HOME": str(tmp_path), "PATH": path}


def test_the_examples_run_one_after_the_other(place: tuple[Path, dict[str, str]]):
    folder, environment = place
    found = examples()
    assert len(found) == 5
    for block in found:
        tasks = range(1, 9) if "SLURM" in block else [0]
        for task in tasks:
            ended = subprocess.run(
                ["bash", "-eu", "-c", block],
                cwd=folder,
                env=environment | {"SLURM_ARRAY_TASK_ID": str(task)},
                capture_output=True,
            )
            assert ended.returncode == 0, block + ended.stderr.decode()
    for directory in ["out", "embeddings"]:
        assert sorted(rows(folder / directory).index) == list(range(30))
    [doubled] = load_file(folder / "outputs.safetensors").values()
    assert (doubled == 2).all()
    assert "toolpool" in (folder / ".local/share/bash-completion/completions/toolpool").read_text()


@pytest.mark.parametrize("command", COMMANDS)
def test_the_page_has_every_option_of_a_command(command: str):
    said = section(command)
    for long, (short, _, _) in helped(command).items():
        names = "|".join(re.escape(name) for name in [long, short] if name)
        assert re.search(rf"(?<![\w-])({names})(?![\w-])", said), f"{command} {long}"


def test_every_option_of_the_page_is_one():
    known = {long for command in COMMANDS for long in helped(command)} | {"--version", "--help"}
    assert set(re.findall(r"(?<![\w-])--[a-z][\w-]*", PAGE)) - {"--gpus", "--array"} <= known


def test_the_table_of_embed_has_the_values_and_defaults_of_its_help():
    options = helped("embed")
    table = re.findall(r"^\| `(--[\w-]+)(?: (.*?))?` \| (.*?) \|", section("embed"), re.MULTILINE)
    assert len(table) > 15
    for long, value, default in table:
        _, expected_value, expected_default = options[long]
        assert value == expected_value, long
        if expected_default:
            assert default.strip("`").replace(",", "") == expected_default, long

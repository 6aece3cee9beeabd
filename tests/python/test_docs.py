"""What docs/python.md and the example say is run as it stands."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT


@pytest.fixture
def hub_cache(tmp_path, tiny_model):
    """A hub cache in which the 8M model is the tiny one."""
    cache = tmp_path / "models--facebook--esm2_t6_8M_UR50D"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs/main").write_text("random")
    (cache / "snapshots").mkdir()
    (cache / "snapshots/random").symlink_to(Path(tiny_model).resolve())
    return str(tmp_path)


def run(program, hub_cache):
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "HF_HUB_CACHE": hub_cache, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_page_is_a_program(hub_cache):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/python.md").read_text(), re.DOTALL)
    assert len(blocks) >= 5
    checks = """
assert means.shape == (3, 40) and residues.shape == (14, 40) and figures["unique"] == 2
assert echoed == [s.encode() for s in sequences] and per_row.tolist() == [3, 12, 21, 30]
assert done.column("output") == [b"c"] and squares == [n * n for n in range(10)]
assert lengths.tolist() == [15, 14, 15] and structures[1] == "GAVLTVLLGGLLLA on cpu"
"""
    run("\n".join(blocks) + checks, hub_cache)


def test_the_example_runs(hub_cache):
    printed = run((ROOT / "examples/python/embed.py").read_text(), hub_cache).splitlines()
    assert (
        len(printed) == 4 and printed[0] == printed[2] and printed[0].startswith("MKTLLILAVVAAALA ")
    )
    assert printed[3].startswith("(3, 40)")


def test_every_public_name_is_documented():
    import toolpool

    bare = [name for name in toolpool.__all__ if not getattr(toolpool, name).__doc__]
    assert not bare

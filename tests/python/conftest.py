"""The package as it lies in the repository, over the library that was built there unless TOOLPOOL_LIBRARY names one."""

import io
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "bindings/python"

os.environ.setdefault("TOOLPOOL_LIBRARY", str(ROOT / "target/release/libtoolpool.so"))
sys.path.insert(0, str(PACKAGE))
sys.path.insert(0, str(ROOT / "tests/python"))
# What the tests start in other processes finds the same.
os.environ["PYTHONPATH"] = os.pathsep.join([str(PACKAGE), str(ROOT / "tests/python")])


@pytest.fixture
def pool():
    """Two CPU workers."""
    from toolpool import ToolPool

    with ToolPool(gpus=0, cpus=2) as opened:
        yield opened


@pytest.fixture
def single():
    """One CPU worker: what runs first can be told."""
    from toolpool import ToolPool

    with ToolPool(gpus=0, cpus=1) as opened:
        yield opened


@pytest.fixture
def drawn(monkeypatch):
    """What rich draws."""
    import rich
    from rich.console import Console

    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    monkeypatch.setattr(rich, "_console", console)
    return screen


@pytest.fixture
def tiny_model():
    """An ESM-2 checkpoint of 3 layers, width 40."""
    path = os.environ.get("TOOLPOOL_TEST_TINY_MODEL")
    if not path:
        pytest.skip("TOOLPOOL_TEST_TINY_MODEL is not set; scripts/test python sets it")
    return path

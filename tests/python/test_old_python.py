"""The package under the oldest Python that it promises, where there is one; with numpy, if that has it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

PROGRAM = """
import sys
assert sys.version_info[:2] == (3, 9), sys.version
from toolpool import Echo, PythonTool, ToolPool, tool

@tool(iterable_input="xs", iterable_output="ys", item_cost=len)
def shout(xs, device=None):
    return {"ys": [x.upper() for x in xs], "device": device}

with ToolPool(gpus=0, cpus=2) as pool:
    assert pool.run(Echo(), ["a", "b"]).column("output") == [b"a", b"b"]
    assert pool.run(PythonTool(lambda items: [b"x" for _ in items]), [1, 2]).ok
    assert list(pool.map(lambda n: n * n, range(3))) == [0, 1, 4]
    assert list(pool.map("workshop_of_old:double", [1, 2])) == [2, 4]
    assert shout(["a", "b"]) == {"ys": ["A", "B"], "device": "cpu"}
    assert {item.index for item in pool.as_completed(Echo(), ["a", "b"])} == {0, 1}
print("strings and objects")
try:
    import numpy as np
except ImportError:
    sys.exit()
with ToolPool(gpus=0, cpus=2) as pool:
    rows = np.arange(6, dtype=np.float32).reshape(3, 2)
    rows.flags.writeable = False  # numpy for Python 3.9 exports no such array by DLPack
    results = pool.run(lambda items: [item * 2 for item in items], rows)
    assert (results.stack("output") == rows * 2).all()
    assert (np.from_dlpack(results[1]["output"]) == rows[1] * 2).all()
print("arrays")
"""


def oldest():
    """A Python 3.9 that starts, on PATH or of pyenv."""
    of_pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = [shutil.which("python3.9"), *of_pyenv.glob("versions/3.9.*/bin/python3.9")]
    starts = (one for one in found if one and not subprocess.run([one, "-c", ""]).returncode)
    return next(starts, None)


def test_the_oldest_python_runs_it(tmp_path):
    python = oldest()
    if python is None:
        pytest.skip("no Python 3.9 is here")
    (tmp_path / "workshop_of_old.py").write_text("def double(n):\n    return 2 * n\n")
    ended = subprocess.run(
        [python, "-c", PROGRAM],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0 and "strings and objects" in ended.stdout, ended.stderr

"""The package keeps what py.typed promises: it is typed throughout, and decorated functions keep their types."""

import re
import subprocess
import sys

import pytest
from conftest import PACKAGE

USE = """
from toolpool import tool

@tool(iterable_input="texts", item_cost=len)
def lengths(texts: list[str], device: str = "") -> list[int]:
    return []

class Model:
    @tool(iterable_input="texts")
    def lengths(self, texts: list[str]) -> list[int]:
        return []

reveal_type(lengths(["a"]))
reveal_type(Model().lengths(["a"]))
reveal_type(tool(iterable_input="texts")("module:function")(3, colour="red"))
lengths(3)
Model().lengths(3)
lengths(["a"], colour="red")
"""


@pytest.fixture(scope="module")
def mypy(tmp_path_factory):
    command = [sys.executable, "-m", "mypy", "--cache-dir", tmp_path_factory.mktemp("mypy")]

    def run(*arguments):
        return subprocess.run(
            [*command, *arguments], cwd=PACKAGE, capture_output=True, text=True, check=False
        )

    return run


def test_the_package_is_typed(mypy):
    checked = mypy()
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_decorated_functions_keep_their_types(mypy, tmp_path):
    use = tmp_path / "use.py"
    use.write_text(USE)
    said = re.findall(r"use\.py:(\d+): (?:note: Revealed type is|error:) (.*)", mypy(use).stdout)
    assert [what for _, what in said[:3]] == ['"list[int]"', '"list[int]"', '"Any"']
    refused = {int(line): what for line, what in said[3:]}
    assert sorted(refused) == [16, 17, 18]
    assert 'expected "list[str]"' in refused[16] and 'expected "list[str]"' in refused[17]
    assert '"colour"' in refused[18]

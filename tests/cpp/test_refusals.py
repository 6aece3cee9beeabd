"""What toolpool.hpp refuses does not compile, and the compiler says why in toolpool's words."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOAD = "[](const Device &) { return 1; }"

TAKES = "takes (BatchItem, ItemOutputs) or (Batch, Outputs)"
TAKES_STATE = "takes (State &, BatchItem, ItemOutputs) or (State &, Batch, Outputs)"
RUN_CHANGES = "call a tool's run at once, so it cannot be mutable"
LOAD_CHANGES = "call a tool's load at once, so it cannot be mutable"
RETURNS = "a tool's run returns nothing, or a Result<void>"

LAMBDAS = {
    "[n = 0](BatchItem, ItemOutputs) mutable { ++n; }": RUN_CHANGES,
    "[n = 0](auto, auto) mutable { ++n; }": RUN_CHANGES,
    f"{LOAD}, [n = 0](int &, Batch, Outputs) mutable {{ ++n; }}": RUN_CHANGES,
    "[n = 0](const Device &) mutable { return ++n; }, [](int &, Batch, Outputs) {}": LOAD_CHANGES,
    "[](BatchItem) {}": TAKES,
    "[](std::string_view, ItemOutputs) {}": TAKES,
    "[](BatchItem, Outputs) {}": TAKES,
    "5": TAKES,
    f"{LOAD}, [](Batch, Outputs) {{}}": TAKES_STATE,
    f"{LOAD}, [](float &, Batch, Outputs) {{}}": TAKES_STATE,
    "[] { return 1; }, [](int &, Batch, Outputs) {}": "load takes (const Device &)",
    "[](const Device &) {}, [](Batch, Outputs) {}": "load returns the State",
    "[](BatchItem item, ItemOutputs) { return item.index(); }": RETURNS,
    f"{LOAD}, [](int &state, Batch, Outputs) {{ return state; }}": RETURNS,
}


@pytest.mark.parametrize(("lambdas", "reason"), LAMBDAS.items())
def test_lambdas_that_no_tool_can_have(lambdas, reason):
    assert reason in errors_of(f'(void)Tool::from("x", {lambdas});')


@pytest.mark.parametrize("statement", ["Pool pool(0);", "Pool pool(2);", "Tool tool(nullptr);"])
def test_handles_of_numbers(statement):
    assert "deleted" in errors_of(statement)


def test_what_is_right_compiles():
    assert not errors_of(f'(void)Tool::from("x", {LOAD}, [](int &, Batch, Outputs) {{}});')


def errors_of(statement):
    """What the compiler says of it."""
    program = f"#include <toolpool.hpp>\nusing namespace toolpool;\nint main() {{ {statement} }}\n"
    compiler = [os.environ.get("CXX", "c++"), "-std=c++17", f"-I{ROOT / 'include'}"]
    return subprocess.run(
        [*compiler, "-fsyntax-only", "-x", "c++", "-"],
        input=program,
        capture_output=True,
        text=True,
        check=False,
    ).stderr

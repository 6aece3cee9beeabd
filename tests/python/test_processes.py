"""Functions by name, in a process a slot."""

import os
import pickle
import subprocess
import sys
import threading
import time

import pytest
import workshop
from toolpool import (
    ContractError,
    Crashed,
    InvalidArgument,
    PythonTool,
    ToolFailed,
    ToolPool,
    ToolPoolError,
)
from toolpool._each import each


def test_a_named_function_gives_what_the_function_gives(pool):
    words = ["a", "bcd", ""] * 20
    results = pool.run("workshop:lengths", words)
    assert results.stack("output").tolist() == [len(word) for word in words]


def test_each_slot_has_one_process_which_stays_warm(pool):
    tool = PythonTool("workshop:remember", load="workshop:load")
    pool.warm(tool)
    told = set()
    for run in range(5):
        results = pool.run(tool, [f"{run} {n}" for n in range(50)])
        told |= {tuple(output.split()[:2]) for output in results.column("output")}
    assert {device for device, _ in told} == {b"cpu"}
    assert len(told) <= 2 and str(os.getpid()).encode() not in {pid for _, pid in told}


def test_processes_end_with_the_pool():
    with ToolPool(gpus=0, cpus=2) as pool:
        pids = set(pool.map("workshop:pid", range(200)))
        assert all(os.path.exists(f"/proc/{pid}") for pid in pids)
    assert not any(os.path.exists(f"/proc/{pid}") for pid in pids)


def test_processes_end_with_a_killed_parent(tmp_path):
    note = tmp_path / "pid"
    program = f"""
import time, toolpool
pool = toolpool.ToolPool(gpus=0, cpus=1)
[pid] = pool.map("workshop:pid", [0])
open({str(note)!r}, "w").write(str(pid))
time.sleep(600)
"""
    parent = subprocess.Popen([sys.executable, "-c", program])
    child = _noted(note)
    assert os.path.exists(f"/proc/{child}")
    parent.kill()
    parent.wait()
    assert _within_30_s(lambda: not os.path.exists(f"/proc/{child}"))


def _noted(note):
    assert _within_30_s(lambda: note.exists() and note.read_text())
    return int(note.read_text())


def _within_30_s(come):
    for _ in range(3000):
        if come():
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize(
    ("function", "how"), [("workshop:die", "SIGSEGV"), ("workshop:leave", "exited with status 3")]
)
def test_a_crash_costs_the_item_that_causes_it(pool, function, how):
    results = pool.run(each(function), [*((f"{n}",) for n in range(30)), ("bad",)])
    assert [failure.index for failure in results.failed] == [30]
    error = results.failed[0].error
    assert isinstance(error, Crashed) and how in str(error)


def test_exceptions_come_back_with_the_childs_traceback(pool):
    outputs = pool.map("workshop:fail", ["a", "bad"])
    assert next(outputs) == "a"
    with pytest.raises(KeyError, match="unlucky"):
        next(outputs)
    with pytest.raises(ToolFailed, match="Fragile: fragile"):
        list(pool.map("workshop:fail", ["fragile"]))


def test_a_raised_exception_names_where_it_came_from(pool):
    results = pool.run("workshop:fold", ["a"])
    error = results.failed[0].error.__cause__
    assert isinstance(error, TypeError)
    assert "in the process of workshop:fold on cpu" in str(error.__cause__)
    assert "Traceback" in str(error.__cause__)


def test_what_cannot_be_loaded_says_why(pool):
    with pytest.raises(ToolPoolError, match=r"FileNotFoundError: weights\.bin"):
        pool.run(PythonTool("workshop:remember", load="workshop:no_load"), ["a"])
    with pytest.raises(ToolPoolError, match="ModuleNotFoundError"):
        pool.run("no_such_module:function", ["a"])


@pytest.mark.parametrize("name", ["workshop", "workshop:", ":lengths", "__main__:f"])
def test_names_that_name_nothing_are_refused(pool, name):
    with pytest.raises(InvalidArgument, match="module"):
        pool.run(name, ["a"])


def test_this_process_goes_on_while_they_hold_their_gil(single):
    """A thread of this process gets its turn though the function never lets go: the GIL it holds is another."""
    turns = []
    stop = threading.Event()

    def count():
        while not stop.is_set():
            turns.append(None)
            time.sleep(0.001)

    threading.Thread(target=count).start()
    list(single.map("workshop:spin", [0.2]))
    stop.set()
    assert len(turns) > 5


def test_a_decorated_function_can_be_named(pool):
    from toolpool import tool

    fold = tool(iterable_input="complexes", iterable_output="structures")("workshop:fold")
    folded = fold(complexes=["a", "b", "a"], suffix="!")
    assert folded.structures == ["a! cpu", "b! cpu", "a! cpu"]
    assert folded.version == "1" and isinstance(folded, workshop.Folded)
    assert os.getpid() not in ([folded.pid] if isinstance(folded.pid, int) else folded.pid)
    for name in ("workshop:decorated_fold", "workshop:fold_across_the_world"):
        named = tool(iterable_input="complexes", iterable_output="structures")(name)
        assert named(["a", "b"]).structures == ["a cpu", "b cpu"]


@pytest.mark.parametrize("items", [[], ["a"], iter(["a"])])
def test_a_named_function_runs_in_a_process_for_any_number_of_items(pool, items):
    from toolpool import tool

    fold = tool(iterable_input="complexes", iterable_output="structures")("workshop:fold")
    folded = fold(items)
    assert folded.structures in ([], ["a cpu"]) and folded.pid != os.getpid()
    with pytest.raises(AttributeError, match="upper"):
        tool(iterable_input="items")("workshop:shout")([3])


def test_a_named_tool_is_pickled():
    from toolpool import tool

    fold = tool(iterable_input="complexes", iterable_output="structures")("workshop:fold")
    with ToolPool(gpus=0, cpus=1):
        assert pickle.loads(pickle.dumps(fold))(["a", "b"]).structures == ["a cpu", "b cpu"]


def test_the_decorators_of_a_named_function_are_part_of_it(pool):
    """functools.wraps leaves the plain function in `__wrapped__`; what it is wrapped in counts all the same."""
    assert pool.run("workshop:doubled_by_its_decorator", [1, 2]).column("output") == [b"2", b"4"]


@pytest.mark.parametrize("function", ["workshop:gives_a_dict", "workshop:gives_text"])
def test_what_is_no_list_of_outputs_is_refused_there_as_well(pool, function):
    results = pool.run(PythonTool(function), ["x", "y"])
    kind = {"workshop:gives_a_dict": "a dict", "workshop:gives_text": "a str"}[function]
    assert [type(failure.error) for failure in results.failed] == [ContractError] * 2
    assert f"the tool gave {kind} for" in str(results.failed[0].error)


def test_a_name_that_is_no_function_says_so(pool):
    with pytest.raises(ToolPoolError, match="workshop:A_NUMBER' is a int"):
        pool.run("workshop:A_NUMBER", ["a"])

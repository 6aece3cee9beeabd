"""Functions by name, in a process a slot."""

import os
import subprocess
import sys
import threading
import time

import pytest
import workshop
from toolpool import Crashed, InvalidArgument, PythonTool, ToolFailed, ToolPool, ToolPoolError
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
    results = pool.run("workshop:decorated_fold", ["a"])
    error = results.failed[0].error.__cause__
    assert isinstance(error, TypeError)
    assert "in the process of workshop:decorated_fold on cpu" in str(error.__cause__)
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
    undecorated = tool(iterable_input="complexes", iterable_output="structures")(
        "workshop:decorated_fold"
    )
    assert undecorated(["a", "b"]).structures == ["a cpu", "b cpu"]

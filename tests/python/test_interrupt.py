"""Ctrl-C ends a run at once, whatever the workers do, and leaves the pool usable."""

import subprocess
import sys

import pytest

PROGRAM = """
import os, signal, sys, threading, time
import toolpool

def interrupt_when(path):
    while not os.path.exists(path):
        time.sleep(0.01)
    os.killpg(0, signal.SIGINT)  # as a terminal does: to child processes as well

with toolpool.ToolPool(gpus=0, cpus=2) as pool:
    path = sys.argv[2]
    threading.Thread(target=interrupt_when, args=(path,), daemon=True).start()
    try:
        {run}
        print("it ran to the end")
    except KeyboardInterrupt:
        print("interrupted")
    print(len(pool.run(toolpool.Echo(), ["a", "b"])))
"""

RUNS = {
    "Python, in batches of one": """
        def slow(items):
            open(path, "w").close()
            time.sleep(0.01)
            return [b""] * len(items)
        pool.run(toolpool.PythonTool(slow, batch_items=1), list(range(100_000)), dedup=False)
    """,
    "map": """
        def slow(n):
            open(path, "w").close()
            time.sleep(0.01)
        list(pool.map(slow, range(100_000)))
    """,
    "a function that swallows exceptions": """
        def slow(items):
            for _ in range(400_000):
                try:
                    open(path, "w").close()
                    time.sleep(0.01)
                except Exception:
                    pass
            return items
        pool.run(slow, [b"a", b"b"])
    """,
    "a decorated function": """
        @toolpool.tool(iterable_input="xs")
        def slow(xs):
            open(path, "w").close()
            time.sleep(0.01)
            if len(xs) > 1: raise ValueError
            return xs
        slow(list(range(100_000)))
    """,
    "a process that would take an hour": """
        pool.run("workshop:sleep_noting", [path])
    """,
    "map in a process that would take an hour": """
        list(pool.map("workshop:sleep_over", [path]))
    """,
    "waiting for a job": """
        gate = threading.Event()
        job = pool.submit(lambda items: [gate.wait() and b"" for _ in items], [1])
        open(path, "w").close()
        try:
            job.wait()
        finally:
            gate.set()
    """,
    "with bars": """
        def slow(items):
            open(path, "w").close()
            time.sleep(0.01)
            return [b""] * len(items)
        pool.run(toolpool.PythonTool(slow, batch_items=1), list(range(100_000)), progress=True)
    """,
}


@pytest.mark.parametrize("kind", RUNS)
def test_ctrl_c_ends_the_run_and_not_the_pool(kind, tmp_path):
    program = PROGRAM.format(run=RUNS[kind].strip())
    ended = subprocess.run(
        [sys.executable, "-c", program, "", str(tmp_path / "begun")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        start_new_session=True,
    )
    assert ended.returncode == 0 and "Traceback" not in ended.stderr, ended.stderr
    assert ended.stdout.replace("\r", "").splitlines()[-2:] == ["interrupted", "2"], ended


def test_child_processes_leave_ctrl_c_to_the_program():
    program = """
import os, signal, toolpool
signal.signal(signal.SIGINT, lambda *_: print("not now"))
with toolpool.ToolPool(gpus=0, cpus=1) as pool:
    print(list(pool.map("workshop:interrupt_all", [1, 2])))
"""
    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        start_new_session=True,
    )
    assert ended.stdout.splitlines()[-1:] == ["[1, 2]"] and "not now" in ended.stdout, ended

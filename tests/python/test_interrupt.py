"""Ctrl-C ends a run at once, whatever the workers do, and leaves the pool usable; where it leaves the block, that ends too."""

import os
import subprocess
import sys

import pytest

# Whatever of this is not ended by Ctrl-C goes on until the test's time is over.
PROGRAM = """
import os, signal, sys, threading, time
import toolpool

path = os.environ["BEGUN"]

def interrupt_when_begun():
    while not os.path.exists(path):
        time.sleep(0.01)
    os.killpg(0, signal.SIGINT)  # as a terminal does: to child processes as well

def begin():
    open(path, "w").close()

def for_ever(items):
    begin()
    while True:
        time.sleep(0.01)

def load_for_ever(device):
    for_ever([])

# A batch for each of the two workers.
busy = toolpool.PythonTool(for_ever, batch_items=1)
threading.Thread(target=interrupt_when_begun, daemon=True).start()
"""

CAUGHT = """
with toolpool.ToolPool(gpus=0, cpus=2) as pool:
    try:
        {run}
        print("it ran to the end")
    except KeyboardInterrupt:
        print("interrupted")
    print(len(pool.run(toolpool.Echo(), ["a", "b"])))
"""

LEFT = """
try:
    with toolpool.ToolPool(gpus=0, cpus=2) as pool:
        {run}
    print("it ran to the end")
except KeyboardInterrupt:
    print("left")
"""

RUNS = {
    "Python, in batches of one": """
        def slow(items):
            begin()
            time.sleep(0.01)
            return [b""] * len(items)
        pool.run(toolpool.PythonTool(slow, batch_items=1), list(range(100_000)), dedup=False)
    """,
    "map": """
        list(pool.map(lambda n: for_ever([n]), range(100)))
    """,
    "a function that swallows exceptions": """
        def slow(items):
            while True:
                try:
                    for_ever(items)
                except Exception:
                    pass
        pool.run(slow, [b"a", b"b"])
    """,
    "a decorated function": """
        toolpool.tool(iterable_input="items")(for_ever)(list(range(100)))
    """,
    "a process that would take an hour": """
        pool.run("workshop:sleep_noting", [path])
    """,
    "map in a process that would take an hour": """
        list(pool.map("workshop:sleep_over", [path]))
    """,
    "waiting for a job": """
        job = pool.submit(busy, [1, 2])
        job.wait()
    """,
    "waiting for results": """
        job = pool.submit(busy, [1, 2])
        job.results()
    """,
    "waiting for parts": """
        job = pool.submit(busy, [1, 2])
        next(job.parts())
    """,
    "waiting for items": """
        job = pool.submit(busy, [1, 2])
        next(job.as_completed())
    """,
    "waiting for items of the pool": """
        for item in pool.as_completed(busy, [1, 2]): pass
    """,
    "waiting for jobs": """
        jobs = [pool.submit(toolpool.PythonTool(for_ever), [n]) for n in (1, 2)]
        list(toolpool.as_completed(jobs))
    """,
    "with bars": """
        pool.run(busy, [1, 2], progress=True)
    """,
}

# What ends with the block alone.
BLOCKS = {
    "draining": """
        job = pool.submit(busy, [1, 2])
        pool.drain()
    """,
    "working on what came": """
        job = pool.submit(busy, [1, 2])
        while True: time.sleep(0.01)
    """,
    "another exception": """
        job = pool.submit(busy, [1, 2])
        while not os.path.exists(path): time.sleep(0.01)
        raise KeyboardInterrupt
    """,
    "closing": """
        job = pool.submit(busy, [1, 2])
        while not os.path.exists(path): time.sleep(0.01)
        pool.close()
    """,
    "warming": """
        pool.warm(toolpool.PythonTool(lambda state, items: items, load=load_for_ever))
    """,
    "loading for a run": """
        pool.run(toolpool.PythonTool(lambda state, items: items, load=load_for_ever), [1, 2])
    """,
    "warming processes": """
        pool.warm(toolpool.PythonTool("workshop:remember", load="workshop:load_for_an_hour"))
    """,
}


def printed(program, run, tmp_path):
    program = PROGRAM + program.format(run=run.strip())
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "BEGUN": str(tmp_path / "begun")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        start_new_session=True,
    )
    assert ended.returncode == 0 and "Traceback" not in ended.stderr, ended.stderr
    return ended.stdout.replace("\r", "").splitlines()


@pytest.mark.parametrize("kind", RUNS)
def test_ctrl_c_ends_the_run_and_not_the_pool(kind, tmp_path):
    assert printed(CAUGHT, RUNS[kind], tmp_path)[-2:] == ["interrupted", "2"]


@pytest.mark.parametrize("kind", {**RUNS, **BLOCKS})
def test_ctrl_c_that_leaves_the_block_ends_what_runs(kind, tmp_path):
    assert printed(LEFT, {**RUNS, **BLOCKS}[kind], tmp_path)[-1:] == ["left"]


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

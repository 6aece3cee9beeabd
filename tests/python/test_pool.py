"""Opening, closing and sharing a pool; submitting to it."""

import concurrent.futures
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import toolpool
from toolpool import (
    ESM2,
    Cancelled,
    DeviceError,
    Echo,
    InvalidArgument,
    Items,
    OptionError,
    PoolClosed,
    TimeLimit,
    ToolPool,
    ToolPoolError,
    UnknownTool,
    _pool,
    _python_tool,
)


def names(pool):
    return [str(device) for device in pool.devices]


# Which devices. This machine may have GPUs or not.


@pytest.fixture
def no_gpus(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


def test_cpus_are_cores_and_threads_share_them_out(no_gpus):
    for cpus, threads, workers in ((1, None, 1), (3, None, 3), (4, 2, 2), (5, 2, 2)):
        with ToolPool(gpus=0, cpus=cpus, threads=threads) as pool:
            assert names(pool) == ["cpu"] * workers
            assert {device.threads for device in pool.devices} == {threads or 1}


def test_numbers_may_be_of_numpy(no_gpus):
    with ToolPool(gpus=np.int64(0), cpus=np.int32(2), threads=np.uint8(2)) as pool:
        assert names(pool) == ["cpu"]
        assert pool.run(Echo(), ["a"], time_limit=np.float32(60), dedup=np.bool_(True)).ok


def test_without_gpus_the_default_is_the_cpu(no_gpus):
    cores = len(os.sched_getaffinity(0))
    with ToolPool() as pool:
        assert names(pool) == ["cpu"] * cores
    with ToolPool(cpus=3) as pool:
        assert names(pool) == ["cpu"] * 3
    with ToolPool(gpus=0) as pool:
        assert names(pool) == ["cpu"] * min(cores, 4)


@pytest.mark.parametrize("gpus", ["all", 1, 2, [0], ["cuda:0"], ["cuda:0", 1]])
def test_gpus_that_are_not_visible_are_an_error_that_names_what_is(no_gpus, gpus):
    with pytest.raises(DeviceError, match="CUDA_VISIBLE_DEVICES"):
        ToolPool(gpus=gpus)


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"gpus": -1}, "not -1"),
        ({"gpus": True}, "not True"),
        ({"gpus": []}, "gpus=0"),
        ({"gpus": "tpu:0"}, "tpu:0"),
        ({"gpus": ["cuda:x"]}, "cuda:x"),
        ({"gpus": 0, "cpus": 0}, "at least 1"),
        ({"gpus": 0, "cpus": True}, "at least 1"),
        ({"gpus": 0, "cpus": 2.0}, "at least 1"),
        ({"gpus": 2.0}, "not 2.0"),
        ({"gpus": "cpu", "cpus": 2}, "cpus=2 goes with gpus=0"),
        ({"gpus": "auto", "cpus": 2}, "cpus=2 goes with gpus=0"),
        ({"gpus": ["cuda:0"], "cpus": 2}, "cpus=2 goes with gpus=0"),
        ({"gpus": 1, "cpus": 2}, "cpus=2 goes with gpus=0"),
        ({"gpus": 0, "cpus": 2, "threads": 3}, "more than cpus=2"),
    ],
)
def test_devices_that_mean_nothing_are_refused(asked, reason):
    with pytest.raises(DeviceError, match=reason):
        ToolPool(**asked)


def test_options_of_a_pool_are_checked():
    with pytest.raises(OptionError, match="memory_limit"):
        ToolPool(gpus=0, colour="red")


def test_devices_are_described():
    cpu = toolpool.devices()[-1]
    assert str(cpu) == cpu.kind == "cpu" and cpu.memory_total > 0 and cpu.slot == -1


# Life


def test_pools_do_not_nest(pool):
    with pytest.raises(ToolPoolError, match="do not nest"), ToolPool(gpus=0, cpus=1):
        pass
    assert pool.run(Echo(), ["a"]).ok


def test_a_pool_is_refused_inside_of_itself_and_stays_open(pool):
    other = ToolPool(gpus=0, cpus=1)
    for refused in (pool, other):
        with pytest.raises(ToolPoolError, match="do not nest"), refused:
            pass
        assert refused.run(Echo(), ["a"]).ok
    with pytest.raises(ToolPoolError, match="do not nest"), other:
        pass
    other.close()


def test_a_pool_can_be_opened_after_another_and_after_an_error():
    for _ in range(2):
        with pytest.raises(KeyError), ToolPool(gpus=0, cpus=1):
            raise KeyError
    with ToolPool(gpus=0, cpus=1) as pool:
        assert pool.run(Echo(), ["a"]).ok


def test_pools_without_a_block_can_be_many():
    one, other = ToolPool(gpus=0, cpus=1), ToolPool(gpus=0, cpus=1)
    assert one.run(Echo(), ["a"]).ok and other.run(Echo(), ["b"]).ok
    one.close()
    one.close()
    with pytest.raises(PoolClosed):
        one.run(Echo(), ["a"])
    assert other.run(Echo(), ["b"]).ok
    other.close()


def test_a_forgotten_pool_ends_its_workers():
    program = """
import gc, os, pathlib, time, toolpool

def workers():
    return sum(map(is_worker, pathlib.Path("/proc/self/task").iterdir()))

def is_worker(task):
    try:
        return (task / "comm").read_text().startswith("toolpool-")
    except OSError:  # it has ended meanwhile
        return False

pool = toolpool.ToolPool(gpus=0, cpus=2)
while workers() < 2:
    time.sleep(0.01)
del pool
gc.collect()
while workers():
    time.sleep(0.01)
"""
    subprocess.run([sys.executable, "-c", program], timeout=60, check=True)


def test_a_pool_that_is_never_closed_does_not_hold_up_the_exit():
    program = """
import toolpool, time
pool = toolpool.ToolPool(gpus=0, cpus=2)
job = pool.submit(lambda items: [time.sleep(0.05) or b"" for _ in items], list(range(1000)))
print(len(pool.run(toolpool.Echo(), ["a", "b"])))
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "2\n", "")


def test_a_function_that_hangs_past_its_time_limit_does_not_abort_the_exit():
    program = """
import time, toolpool
with toolpool.ToolPool(gpus=0, cpus=1) as pool:
    tool = toolpool.PythonTool(lambda items: [time.sleep(0.0005) for _ in range(1000)])
    print(len(pool.run(tool, [1, 2], time_limit=0.05, batch_time_limit=0.05).failed))
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "2\n", "")


def test_a_forked_child_is_told_so(pool):
    tool = toolpool.PythonTool(lambda items: items)
    assert pool.run(tool, [b"a"]).ok and _python_tool._loaded
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            pool.submit(Echo(), ["a"])
            os.write(writing, b"it ran")
        except BaseException as error:
            os.write(writing, f"{type(error).__name__} {len(_python_tool._loaded)}".encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 100) == b"Forked 0"


def test_a_forked_child_can_open_a_pool_of_its_own(pool):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with ToolPool(gpus=0, cpus=1) as own:
                halved = toolpool.tool(iterable_input="xs")(lambda xs: [x / 2 for x in xs])
                os.write(writing, f"{own.run(Echo(), ['a']).ok} {halved([2, 4])}".encode())
        except BaseException as error:
            os.write(writing, repr(error).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 1000) == b"True [1.0, 2.0]"


def test_a_forked_child_waits_for_no_lock_of_the_parents_threads(pool):
    with pool._using, _pool._opening:  # as if other threads had them
        child = os.fork()
        if child == 0:
            signal.alarm(30)  # ends a child that waits
            try:
                pool.__exit__(SystemExit, SystemExit(), None)
            finally:
                os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert pool.run(Echo(), ["a"]).ok


# Running


def test_results_are_in_the_order_of_the_items_and_equal_items_run_once(pool):
    items = [f"{n % 100}" for n in range(1000)]
    results = pool.run(Echo(), items)
    assert results.column("output") == [item.encode() for item in items]
    assert results.report.figures["unique"] == 100
    assert pool.run(Echo(), items, dedup=False).report.figures["unique"] == 1000


def test_submit_returns_while_the_run_goes_on(pool):
    gate = threading.Event()
    job = pool.submit(lambda items: [gate.wait() and b"x" for _ in items], [1, 2, 3])
    assert not job.done() and not job.wait(0.01)
    with pytest.raises(TimeLimit):
        job.results(timeout=0.01)
    gate.set()
    assert job.results().column("output") == [b"x"] * 3
    assert job.done() and job.progress().done == 3 and job.report().figures["done"] == 3
    with pytest.raises(ToolPoolError, match="handed out already"):
        job.results()


def test_waits_may_be_endless_but_not_nan(pool):
    job = pool.submit(Echo(), ["a"])
    assert job.wait(float("inf")) and pool.drain(float("inf")) and pool.drain()
    assert list(toolpool.as_completed([job], float("inf"))) == [job]
    for wait in (job.wait, pool.drain, job.results):
        with pytest.raises(InvalidArgument, match="nan"):
            wait(float("nan"))


def test_drain_says_whether_all_is_done(single):
    gate = threading.Event()
    job = single.submit(lambda items: [gate.wait() and b"" for _ in items], [1])
    assert not single.drain(0) and not single.drain(0.06)
    gate.set()
    assert single.drain() and job.done()


def test_a_refused_wait_does_not_end_the_job_of_others(single):
    gate = threading.Event()
    others = single.submit(lambda items: [gate.wait() and b"" for _ in items], [1])
    refused = ToolPool(gpus=0, cpus=1).run(lambda items: [others.wait() for _ in items], [1])
    assert isinstance(refused.failed[0].error.__cause__, toolpool.Reentrant)
    gate.set()
    assert others.results().ok


def test_cancelled_items_say_so(single):
    started, gate = threading.Event(), threading.Event()

    def run(items):
        started.set()
        gate.wait()
        return items

    job = single.submit(toolpool.PythonTool(run, batch_items=1), [b"a", b"b", b"c"])
    started.wait()
    job.cancel()
    gate.set()
    results = job.results()
    assert [item.ok for item in results].count(True) == 1
    assert all(isinstance(failure.error, Cancelled) for failure in results.failed)
    assert [(item.slot, item.device) for item in results if not item.ok] == [(None, None)] * 2
    progress = job.progress()
    assert (progress.total, progress.done, progress.undone) == (3, 1, 2)


def test_items_come_as_they_finish(single):
    gate = threading.Event()

    def run(items):
        if items == [1]:
            gate.wait()
        return [b"%d" % item for item in items]

    tool = toolpool.PythonTool(run, batch_items=1, cost=lambda n: n)
    finished = single.as_completed(tool, [1, 3, 2])
    first, second = next(finished), next(finished)
    assert [(item.index, item["output"]) for item in (first, second)] == [(1, b"3"), (2, b"2")]
    gate.set()
    assert [item.index for item in finished] == [0]


def test_jobs_come_as_they_end(pool):
    gate = threading.Event()
    slow = pool.submit(lambda items: [gate.wait() and b"" for _ in items], [1])
    quick = pool.submit(Echo(), ["a"])
    ended = toolpool.as_completed([slow, quick])
    assert next(ended) is quick
    with pytest.raises(TimeLimit):
        list(toolpool.as_completed([slow], timeout=0.01))
    gate.set()
    assert list(ended) == [slow]


def test_map_is_in_order_and_takes_any_objects(pool):
    assert list(pool.map(lambda a, b: {a: b}, [1, 2, 1], "xyx")) == [{1: "x"}, {2: "y"}, {1: "x"}]
    assert list(pool.map(len, [])) == []


class Opaque:
    """Its pickle says nothing of what it holds."""

    def __init__(self, n):
        self.n = n

    def __getstate__(self):
        return ()


def test_map_calls_the_function_for_each_item_whatever_is_equal(pool):
    assert list(pool.map(lambda one: one.n, [Opaque(1), Opaque(2)])) == [1, 2]
    calls = []
    assert list(pool.map(lambda n: calls.append(n) or n, [7] * 9)) == [7] * 9 and len(calls) == 9
    calls.clear()
    assert list(pool.map(lambda n: calls.append(n) or n, [7] * 9, dedup=True)) == [7] * 9
    assert len(calls) == 1


def test_map_raises_what_stops_iterations_as_any_failure(pool):
    def stop(n):
        raise StopIteration

    with pytest.raises(toolpool.ToolFailed, match="StopIteration"):
        list(pool.map(stop, [1, 2]))


def test_map_raises_where_the_item_failed(pool):
    outputs = pool.map(lambda n: 10 // n, [5, 2, 0, 1])
    assert [next(outputs), next(outputs)] == [2, 5]
    with pytest.raises(ZeroDivisionError):
        next(outputs)


def test_map_of_a_tool_gives_items(pool):
    for tool in (Echo(), toolpool.PythonTool(lambda items: items)):
        assert [item["output"] for item in pool.map(tool, ["a", "b"])] == [b"a", b"b"]
        with pytest.raises(InvalidArgument, match="was given 2"):
            pool.map(tool, ["a"], ["b"])
        with pytest.raises(InvalidArgument, match="cost is for functions"):
            pool.map(tool, ["a"], cost=len)
    with pytest.raises(InvalidArgument, match="not 3"):
        pool.map(3, ["a"])


def test_letting_go_of_map_cancels_the_rest(single):
    done = []
    outputs = single.map(lambda n: done.append(n) or time.sleep(0.001), range(5000))
    next(outputs)
    outputs.close()
    single.drain()
    assert len(done) < 5000


def test_many_threads_share_a_pool(pool):
    def one(n):
        items = [f"{n}-{i}" for i in range(200)]
        return pool.run(Echo(), items).column("output") == [item.encode() for item in items]

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        assert all(threads.map(one, range(50)))


def test_one_items_object_serves_several_runs(pool):
    items = Items(["a", "b"])
    assert len(items) == 2
    assert pool.run(Echo(), items).column("output") == pool.run(Echo(), items).column("output")
    with pytest.raises(InvalidArgument, match="costs"):
        pool.run(Echo(), items, costs=[1, 2])


def test_options_of_a_run_are_checked(pool):
    with pytest.raises(OptionError, match="dedup"):
        pool.run(Echo(), ["a"], colour="red")
    with pytest.raises(OptionError):
        pool.run(Echo(), ["a"], dedup="maybe")


def test_an_option_that_is_none_is_not_given(pool):
    assert pool.run(Echo(), ["a"], time_limit=None, retries=None).ok
    toolpool.Tool("echo", isolation=None)


def test_a_time_limit_fails_what_is_not_done(single):
    gate = threading.Event()
    threading.Timer(0.3, gate.set).start()
    tool = toolpool.PythonTool(lambda items: [gate.wait() and b"" for _ in items], batch_items=1)
    results = single.run(tool, [1, 2, 3], time_limit=0.05)
    assert any(isinstance(failure.error, TimeLimit) for failure in results.failed)


def test_tools_that_do_not_exist_are_refused(pool):
    with pytest.raises(UnknownTool, match="echo"):
        toolpool.Tool("fold")
    with pytest.raises(toolpool.ModelError):
        ESM2("/nowhere")
    with pytest.raises(OptionError, match="isolation"):
        Echo().set(colour="red")
    with pytest.raises(InvalidArgument, match="not a int"):
        pool.run(3, ["a"])
    with pytest.raises(InvalidArgument, match="not None"):
        toolpool.Tool(None)


def test_an_isolated_tool_gives_the_same(pool):
    echo = Echo()
    echo.set(isolation="process")
    assert pool.run(echo, ["a", "b"]).column("output") == [b"a", b"b"]


def test_a_plan_is_lpt():
    plan = toolpool.plan([5, 3, 3, 2, 2], 2)
    assert sorted(plan.finish) == [7, 8] and plan.bound == 7.5
    assert toolpool.plan([4, 4], 2, weights=[1, 9]).slot_of == [1, 1]
    with pytest.raises(InvalidArgument):
        toolpool.plan([1, float("nan")], 2)
    with pytest.raises(InvalidArgument, match="weights has 1"):
        toolpool.plan([1], 2, weights=[1])

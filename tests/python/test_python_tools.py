"""Python functions as tools."""

import gc
import threading
import time
import weakref

import numpy as np
import pytest
import torch
from toolpool import (
    ContractError,
    Echo,
    InvalidArgument,
    ItemError,
    PythonTool,
    Reentrant,
    ToolFailed,
    ToolPool,
    ToolPoolError,
    Transient,
)


def test_load_runs_once_a_worker_and_its_state_reaches_run(pool):
    loads, unloads = [], []
    meeting = threading.Barrier(2, timeout=30)

    def load(device):
        meeting.wait()  # both workers are here at once
        loads.append((device, threading.get_ident()))
        return [device]

    tool = PythonTool(
        lambda state, items: [f"{state[0]} {item}" for item in items],
        load=load,
        unload=unloads.append,
    )
    pool.warm(tool)
    assert pool.run(tool, ["a", "b"]).column("output") == [b"cpu a", b"cpu b"]
    assert pool.run(tool, ["c"]).column("output") == [b"cpu c"]
    assert len(loads) == 2 and len({thread for _, thread in loads}) == 2 and not unloads
    pool.close()
    assert unloads == [["cpu"], ["cpu"]]


def test_a_tool_that_is_let_go_of_is_unloaded_and_freed(pool):
    class Model:
        pass

    models = []

    def load(device):
        model = Model()
        models.append(weakref.ref(model))
        return model

    gone = threading.Event()
    tool = PythonTool(lambda state, items: items, load=load, unload=lambda state: gone.set())
    pool.run(tool, [b"a"])
    del tool
    pool.run(Echo(), ["a"])
    assert gone.wait(30)
    for _ in range(500):
        if models[0]() is None:
            return
        time.sleep(0.01)
    pytest.fail("the model is still there")


def test_the_largest_cost_runs_first(single):
    order = []

    def run(items):
        order.extend(items)
        return [b""] * len(items)

    single.run(PythonTool(run, cost=len), ["a", "ccc", "bb"])
    assert order == ["ccc", "bb", "a"]
    order.clear()
    single.run(PythonTool(run), ["a", "ccc", "bb"], costs=[3, 1, 2])
    assert order == ["a", "bb", "ccc"]


def test_equal_objects_run_once_and_unlike_ones_do_not_collide(single):
    seen = []

    def run(items):
        seen.extend(items)
        return [repr(item) for item in items]

    items = [1, "1", b"1", 1.0, True, (1,), (1.0,), [1], {"a": 1}, 1, "1", [1], None, 0.0, -0.0]
    results = single.run(run, items)
    assert results.column("output") == [repr(item).encode() for item in items]
    assert len(seen) == len(items) - 3


def test_what_cannot_be_pickled_runs_as_it_is(single):
    lock, function = threading.Lock(), lambda: 3
    assert list(single.map(lambda thing: thing is lock or thing is function, [lock, function])) == [
        True,
        True,
    ]


def test_outputs_of_every_kind(pool):
    outputs = {
        "text": "ä",
        "bytes": b"\0x",
        "number": 3,
        "half": np.float16(1.5),
        "list": [1.0, 2.0],
        "flags": np.array([True, False]),
        "every second": np.arange(6, dtype=np.int8)[::2],
    }
    item = pool.run(lambda items: [outputs], ["x"])[0]
    assert item["text"].decode() == "ä" and item["bytes"] == b"\0x"
    for name in ("number", "half", "list", "flags", "every second"):
        np.testing.assert_array_equal(item[name], outputs[name])
        assert item[name].dtype == np.asarray(outputs[name]).dtype


def test_tensors_are_written_whatever_their_strides(pool):
    square = torch.arange(4.0).reshape(2, 2)
    outputs = [square.T, square.T.bfloat16(), square.clone().requires_grad_()]
    results = pool.run(lambda items: [outputs[item] for item in items], [0, 1, 2])
    for output, item in zip(outputs, results, strict=True):
        taken = torch.from_dlpack(item.tensor("output"))
        assert taken.dtype == output.dtype and taken.tolist() == output.tolist()


@pytest.mark.parametrize("output", [{}, object(), np.array(["a"]), 1j, None])
def test_outputs_that_nobody_can_hold_fail_their_item(pool, output):
    results = pool.run(lambda items: [output for _ in items], ["x"])
    assert isinstance(results.failed[0].error, ToolPoolError)


def test_an_exception_finds_its_item_and_keeps_its_traceback(pool):
    def run(items):
        if 13 in items:
            raise KeyError("unlucky")
        return [b"x"] * len(items)

    results = pool.run(run, list(range(40)))
    assert [failure.index for failure in results.failed] == [13]
    error = results.failed[0].error
    assert isinstance(error, ToolFailed) and "KeyError: 'unlucky'" in str(error)
    assert isinstance(error.__cause__, KeyError)
    assert error.__cause__.__traceback__.tb_next is not None
    with pytest.raises(ToolFailed) as raised:
        results[13]["output"]
    assert isinstance(raised.value.__cause__, KeyError)


def test_failures_have_the_callers_indices_whatever_was_equal(pool):
    items = ["a", "a", "bad", "b", "bad"]
    results = pool.run(lambda xs: [ItemError("no") if x == "bad" else b"" for x in xs], items)
    assert [failure.index for failure in results.failed] == [2, 4]
    assert [failure.error.item for failure in results.failed] == [2, 4]


def test_a_tool_that_fails_on_everything_fails_the_run_with_its_exception(pool):
    def run(items):
        raise RuntimeError("no weights")

    with pytest.raises(ToolPoolError, match="no weights") as raised:
        pool.run(run, list(range(500)))
    assert isinstance(raised.value.__cause__, RuntimeError)


def test_a_tool_that_cannot_be_loaded_fails_the_run(pool):
    def load(device):
        raise FileNotFoundError("weights.bin")

    with pytest.raises(ToolPoolError, match=r"FileNotFoundError: weights\.bin"):
        pool.run(PythonTool(lambda state, items: items, load=load), ["a"])


@pytest.mark.parametrize(
    "outputs",
    [
        [],
        [b""],
        [b""] * 9,
        None,
        4,
        "four",
        b"four",
        {1: b"", 2: b"", 3: b"", 4: b""},
        set(b"1234"),
    ],
)
def test_a_wrong_number_of_outputs_names_device_and_indices(single, outputs):
    results = single.run(PythonTool(lambda items: outputs, batch_items=4), list("abcdefgh"))
    assert len(results.failed) >= 4
    error = next(failure.error for failure in results.failed)
    assert (
        isinstance(error, ContractError) and "on cpu" in str(error) and "indices [0" in str(error)
    )


def test_out_of_memory_halves_the_batch(single):
    sizes = []

    def run(items):
        sizes.append(len(items))
        if len(items) > 2:
            raise MemoryError
        return [b""] * len(items)

    assert single.run(run, list(range(16))).ok
    assert max(sizes) > 2 and min(sizes) <= 2


def test_transient_failures_are_tried_again(single):
    tries = []

    def run(items):
        tries.append(items)
        if len(tries) == 1:
            raise Transient("busy")
        return [b""] * len(items)

    assert single.run(run, ["a"]).ok
    assert len(tries) == 2


def test_a_tool_may_not_wait_for_its_pool(single):
    results = single.run(lambda items: single.run(Echo(), ["a"]).column("output"), ["x"])
    assert isinstance(results.failed[0].error.__cause__, Reentrant)


def test_python_runs_while_the_library_works(single):
    """The waiting thread has let go of the GIL: else the other thread, on which the tool waits, would never come."""
    other_ran = threading.Event()
    threading.Thread(target=other_ran.set).start()
    assert single.run(lambda items: [b"%d" % other_ran.wait(30)], ["x"])[0]["output"] == b"1"


def test_workers_run_python_side_by_side(pool):
    meeting = threading.Barrier(2, timeout=30)
    tool = PythonTool(lambda items: [b"%d" % (meeting.wait() >= 0) for _ in items], batch_items=1)
    assert pool.run(tool, [1, 2]).column("output") == [b"1", b"1"]


@pytest.mark.parametrize("items", ["ab", b"ab", {"a": 1, "b": 2}, {"a", "b"}, 3, None, np.array(3)])
def test_what_is_no_list_of_items_is_refused(pool, items):
    with pytest.raises(InvalidArgument, match="put it into a list"):
        pool.run(lambda items: items, items)
    assert pool.run(lambda items: items, {"a": 1, "b": 2}.keys()).column("output") == [b"a", b"b"]


def test_rows_of_arrays_are_items(pool):
    rows = np.arange(6.0).reshape(3, 2)
    results = pool.run(lambda items: [item.sum() for item in items], rows)
    np.testing.assert_array_equal(results.stack("output"), rows.sum(1))


def test_messages_with_nul_and_surrogates_survive(pool):
    def run(items):
        raise ValueError("a\0b \ud800")

    assert "ValueError: a" in str(pool.run(run, ["x"]).failed[0].error)


def test_nothing_is_kept_after_runs():
    from toolpool import _calls, _objects, _python_tool

    keepers = _calls._borrowed, _objects._runs, _python_tool._loaded, _python_tool._functions
    gc.collect()
    before = [set(keeper._kept) for keeper in keepers]
    with ToolPool(gpus=0, cpus=2) as pool:
        for _ in range(5):
            pool.run(lambda items: items, ["a", "b"])
            list(pool.map(len, ["a", "b"]))
            pool.run(Echo(), ["a"])
    gc.collect()
    assert [set(keeper._kept) - old for keeper, old in zip(keepers, before, strict=True)] == [
        set()
    ] * 4


def test_what_is_no_function_is_refused_at_once():
    for wrong in ({"run": 5}, {"run": len, "load": 5}):
        with pytest.raises(InvalidArgument, match="not 5"):
            PythonTool(**wrong)
    with pytest.raises(InvalidArgument, match="cost is a function, not 5"):
        PythonTool(len, cost=5)
    with pytest.raises(InvalidArgument, match="unload is a function, not 5"):
        PythonTool(len, load=str, unload=5)


@pytest.mark.parametrize(
    ("size", "error"), [(-1, InvalidArgument), (1 << 64, InvalidArgument), (2.5, TypeError)]
)
def test_sizes_of_batches_that_are_none_are_refused(size, error):
    with pytest.raises(error):
        PythonTool(len, batch_items=size)
    PythonTool(len, batch_items=np.int64(3))


def test_functions_and_names_do_not_mix():
    with pytest.raises(InvalidArgument, match="both names"):
        PythonTool("workshop:remember", load=lambda device: None)
    with pytest.raises(InvalidArgument, match="unload"):
        PythonTool("workshop:remember", load="workshop:load", unload=print)
    with pytest.raises(InvalidArgument, match="there is no load"):
        PythonTool(len, unload=print)

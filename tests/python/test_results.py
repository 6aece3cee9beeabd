"""Results are views of the library's memory: shared, read-only, alive as long as anyone looks."""

import gc
import pickle
import sys

import ml_dtypes
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
import torch
from toolpool import Echo, InvalidArgument, ItemError, NotFound, PartialFailure, ToolPool


def squares(items):
    """Two outputs of unlike shapes for each number; 13 is refused."""
    return [
        ItemError("13 is unlucky")
        if n == 13
        else {"row": np.arange(4, dtype=np.float32) * n, "grid": np.full((n % 3, 2), n, np.int64)}
        for n in items
    ]


@pytest.fixture
def results(pool):
    return pool.run(squares, list(range(8)))


@pytest.fixture
def partial(pool):
    return pool.run(squares, [1, 13, 2])


def test_outputs_are_arrays_by_name(results):
    assert results.names == ("grid", "row") or results.names == ("row", "grid")
    for n, item in enumerate(results):
        assert sorted(item) == ["grid", "row"] and len(item) == 2
        np.testing.assert_array_equal(item["row"], np.arange(4, dtype=np.float32) * n)
        assert item["row"].dtype == np.float32 and item["grid"].shape == (n % 3, 2)


def test_indices_count_as_in_a_list(results):
    assert results[-1].index == 7 and [item.index for item in results[2:4]] == [2, 3]
    with pytest.raises(IndexError):
        results[8]
    with pytest.raises(KeyError, match="no output 'colour'"):
        results[0]["colour"]
    assert "colour" not in results[0] and results[0].get("colour") is None


def test_items_are_equal_by_place_and_can_be_in_sets(results, pool):
    assert results[1] == results[1] and results[1] != results[2] and results[1] != "row"
    assert results[1] in results and next(reversed(results)) == results[-1]
    assert len({results[1], results[1], results[2]}) == 2
    assert pool.run(squares, [1])[0] not in results


def test_items_say_where_they_were_computed(results, partial, pool):
    for item in results:
        assert item.slot in (0, 1) and item.device == str(pool.devices[item.slot])
    assert partial[1].slot in (0, 1)


def test_equal_items_share_one_read_only_row(pool):
    first, twin = (item["row"] for item in pool.run(squares, [3, 3]))
    assert first.ctypes.data == twin.ctypes.data
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 1


def test_arrays_outlive_results_and_pool():
    with ToolPool(gpus=0, cpus=1) as pool:
        row = pool.run(squares, [5])[0]["row"]
    gc.collect()
    filler = [np.full(4, 7.0, np.float32) for _ in range(1000)]
    np.testing.assert_array_equal(row, [0, 5, 10, 15])
    del filler


def test_stack_is_one_matrix_in_the_order_of_the_items(results):
    wanted = np.outer(np.arange(8), np.arange(4)).astype(np.float32)
    np.testing.assert_array_equal(results.stack("row"), wanted)
    out = np.zeros((8, 4), np.float32)
    assert results.stack("row", out=out) is out
    np.testing.assert_array_equal(out, wanted)


def test_stack_fills_tensors_of_others(results):
    out = torch.zeros((8, 4))
    assert results.stack("row", out=out) is out
    assert out.tolist() == np.outer(np.arange(8), np.arange(4)).tolist()


@pytest.mark.parametrize(
    "out",
    [
        torch.zeros((8, 4), dtype=torch.float64),
        torch.zeros((4, 8)).T,
        np.zeros((8, 4)),
        np.zeros((7, 4), np.float32),
        np.zeros((4, 8), np.float32).T,
        np.broadcast_to(np.float32(0), (8, 4)),
        np.frombuffer(bytes(4 * 8 * 4), np.float32).reshape(8, 4),
    ],
)
def test_stack_refuses_an_array_that_does_not_fit(results, out):
    with pytest.raises(ValueError, match="out must be"):
        results.stack("row", out=out)


def test_stack_refuses_unlike_shapes(results):
    with pytest.raises(
        InvalidArgument, match=r"'grid' of item 1 .*results\[i\]\['grid'\]"
    ) as raised:
        results.stack("grid")
    assert "toolpool_" not in str(raised.value) and raised.value.item == 1


WORDS = [f"{n:06}" for n in range(2000)]
COLUMNS = {
    "one after the other": WORDS,
    "of many lengths": [word * (n % 7) for n, word in enumerate(WORDS)],
    "the same again": WORDS[:50] * 40,
    "the same again, with gaps": [*WORDS, *WORDS[100:500], *WORDS[600:1000]],
}


@pytest.mark.parametrize("words", COLUMNS.values(), ids=COLUMNS)
@pytest.mark.parametrize("module", ["numpy", "unused"])
def test_columns_of_strings_are_in_the_order_of_the_items(pool, words, module, monkeypatch):
    """However their rows lie in the chunks, with numpy and without."""
    monkeypatch.setitem(sys.modules, module, None)
    wanted = [word.encode() for word in words]
    for dedup in (True, False):
        assert pool.run(Echo(), words, dedup=dedup).column("output") == wanted
    results = pool.run(lambda items: [one or ValueError("empty") for one in items], words)
    assert results.column("output") == [one or None for one in wanted]


def test_where_all_items_failed_a_column_is_of_none(pool):
    failed = pool.run(squares, [13, 13])
    assert failed.column("row") == [None, None] and len(failed.to_arrow()) == 2
    with pytest.raises(NotFound, match="colour"):
        pool.run(squares, [13, 1]).column("colour")


def test_a_failed_item_costs_itself_alone(partial):
    assert not partial.ok and [item.ok for item in partial] == [True, False, True]
    assert [failure.index for failure in partial.failed] == [1]
    assert partial.failed[0].device == "cpu" and "unlucky" in str(partial.failed[0].error)
    with pytest.raises(ItemError, match="13 is unlucky"):
        partial[1]["row"]
    assert partial.column("row")[1] is None


def test_raise_if_partial_carries_what_succeeded_and_what_failed(results, partial):
    results.raise_if_partial()
    with pytest.raises(PartialFailure, match="1 of 3 items failed; item 1 on cpu: ") as raised:
        partial.raise_if_partial()
    assert [index for index, _ in raised.value.succeeded] == [0, 2]
    assert raised.value.succeeded[1][1]["row"][1] == 2
    assert [failure.index for failure in raised.value.failed] == [1]
    assert raised.value.results is partial
    with pytest.raises(PartialFailure):
        partial.stack("row")


def test_a_partial_failure_can_be_pickled(partial):
    with pytest.raises(PartialFailure) as raised:
        partial.raise_if_partial()
    copied = pickle.loads(pickle.dumps(raised.value))
    assert str(copied) == str(raised.value)
    assert [index for index, _ in copied.succeeded] == [0, 2]
    np.testing.assert_array_equal(copied.succeeded[1][1]["row"], [0, 2, 4, 6])
    assert type(copied.succeeded[1][1]) is dict
    [failure] = copied.failed
    assert (failure.index, failure.device, failure.error.item) == (1, "cpu", 1)
    assert isinstance(failure.error, ItemError) and str(copied.__cause__) == str(failure.error)
    with pytest.raises(ItemError):
        pickle.dumps(partial[1])


# DLPack


class Legacy:
    """A consumer of before version 1 of the protocol."""

    def __init__(self, producer):
        self.producer = producer

    def __dlpack__(self, stream=None):
        return self.producer.__dlpack__()

    def __dlpack_device__(self):
        return self.producer.__dlpack_device__()


@pytest.mark.parametrize("view", [lambda item: item["row"], lambda item: item.tensor("row")])
@pytest.mark.parametrize("consumer", [lambda x: x, Legacy])
def test_torch_takes_outputs_without_a_copy(results, view, consumer):
    source = view(results[3])
    taken = torch.from_dlpack(consumer(source))
    assert taken.tolist() == [0, 3, 6, 9]
    assert taken.data_ptr() == results[3]["row"].ctypes.data


def test_numpy_takes_a_tensor_and_sees_that_it_is_read_only(results):
    taken = np.from_dlpack(results[2].tensor("row"))
    np.testing.assert_array_equal(taken, [0, 2, 4, 6])
    assert not taken.flags.writeable


def test_a_taken_tensor_outlives_everything():
    with ToolPool(gpus=0, cpus=1) as pool:
        taken = torch.from_dlpack(pool.run(squares, [5])[0]["row"])
    gc.collect()
    assert taken.tolist() == [0, 5, 10, 15]


def test_exports_are_let_go_of(results):
    from toolpool import _dlpack

    before = len(_dlpack._exported._kept)
    taken = torch.from_dlpack(results[1]["row"])
    untaken = results[1]["row"].__dlpack__()
    also_untaken = results[1]["row"].__dlpack__(max_version=(1, 0))
    assert len(_dlpack._exported._kept) == before + 3
    del taken, untaken, also_untaken
    gc.collect()
    assert len(_dlpack._exported._kept) == before


def test_strided_views_of_outputs_keep_their_strides(results):
    every_second = results[3]["row"][::2]
    assert torch.from_dlpack(every_second).tolist() == [0, 6]
    assert torch.from_dlpack(Legacy(every_second)).tolist() == [0, 6]


def test_what_dlpack_cannot_give_is_a_buffer_error(results):
    row = results[0]["row"]
    for asked in ({"stream": 1}, {"dl_device": (2, 0)}):
        for view in (row, results[0].tensor("row")):
            with pytest.raises(BufferError):
                view.__dlpack__(**asked)


@pytest.mark.parametrize(
    "view",
    [lambda item: item["row"], lambda item: item.tensor("row"), lambda item: item["row"][::2]],
)
def test_a_copy_may_be_written_to_and_lives_alone(results, view):
    source = view(results[3])
    wanted = list(np.asarray(source))
    copied = torch.from_dlpack(source, copy=True)
    array = np.from_dlpack(source, copy=True)
    assert copied.tolist() == array.tolist() == wanted
    copied[0] = array[0] = 7
    assert array.flags.writeable and results[3]["row"][0] == 0
    legacy = Legacy(source).producer.__dlpack__(copy=True)
    assert "dltensor" in repr(legacy)


def test_what_is_computed_from_an_output_is_an_ordinary_array(results):
    doubled = results[3]["row"] * 2
    doubled[0] = 1
    assert torch.from_dlpack(doubled).tolist() == [1, 6, 12, 18]


def test_bfloat16_goes_to_torch_and_says_so_to_numpy(pool, monkeypatch):
    results = pool.run(lambda items: [torch.full((2,), float(n)).bfloat16() for n in items], [1, 2])
    assert torch.from_dlpack(results[1].tensor("output")).tolist() == [2, 2]
    assert torch.from_dlpack(results[1].tensor("output")).dtype == torch.bfloat16
    monkeypatch.setitem(__import__("sys").modules, "ml_dtypes", None)
    with pytest.raises(TypeError, match=r"from_dlpack.*ml_dtypes"):
        results[1]["output"]
    with pytest.raises(TypeError, match=r"out=torch.empty\(\(2, 2\).*ml_dtypes"):
        results.stack("output")
    stacked = results.stack("output", out=torch.empty((2, 2), dtype=torch.bfloat16))
    assert stacked.tolist() == [[1, 1], [2, 2]]


def test_bfloat16_is_a_guest_in_numpy(pool):
    rows = np.arange(4, dtype=ml_dtypes.bfloat16).reshape(2, 2)
    results = pool.run(lambda items: items, rows)
    stacked = results.stack("output")
    assert stacked.dtype == ml_dtypes.bfloat16 and stacked.tolist() == [[0, 1], [2, 3]]
    assert torch.from_dlpack(results[1]["output"]).tolist() == [2, 3]
    assert pool.run(Echo(), rows).column("output") == [row.tobytes() for row in rows]


def test_stride_zero_and_empty_outputs(pool):
    results = pool.run(lambda items: [np.zeros((0, 3)) for _ in items], ["a", "b"])
    assert results[0]["output"].shape == (0, 3) and results.stack("output").shape == (2, 0, 3)


# Arrow


def test_arrow_has_a_field_for_each_output(results):
    column = results.to_arrow()
    assert column.type.field("row").type == pa.list_(pa.field("item", pa.float32()), 4)
    assert column.field("row").to_pylist() == [[float(n * k) for k in range(4)] for n in range(8)]
    assert column.field("grid").to_pylist() == [[[n, n]] * (n % 3) for n in range(8)]
    column.validate(full=True)


def test_polars_takes_results_as_they_are(results):
    series = pl.Series("r", results)
    assert series.struct.field("row").to_list()[2] == [0, 2, 4, 6]
    assert series.struct.field("grid").to_list() == [[[n, n]] * (n % 3) for n in range(8)]


def test_polars_sees_what_failed_as_nulls(partial):
    """As a sequence, results would be read item by item, and raise."""
    row = pl.Array(pl.Float32, 4)
    for frame in (
        pl.DataFrame(partial),
        pl.Series(partial).struct.unnest(),
        pl.from_arrow(partial).struct.unnest(),
    ):
        assert frame["row"].dtype == row
        assert frame["row"].to_list() == [[0, 1, 2, 3], None, [0, 2, 4, 6]]


def test_arrow_nulls_are_the_items_that_failed(partial):
    column = partial.to_arrow()
    column.validate(full=True)
    assert column.field("row").to_pylist() == [[0, 1, 2, 3], None, [0, 2, 4, 6]]
    assert column.field("grid").to_pylist() == [[[1, 1]], None, [[2, 2], [2, 2]]]


def test_arrow_bytes_scalars_and_booleans(pool):
    def run(items):
        return [
            {"text": item, "n": np.float64(len(item)), "long": np.full(len(item), len(item) > 1)}
            for item in items
        ]

    column = pool.run(run, ["a", "bcd", ""]).to_arrow()
    column.validate(full=True)
    assert column.field("text").to_pylist() == [b"a", b"bcd", b""]
    assert column.field("n").to_pylist() == [1.0, 3.0, 0.0]
    assert column.field("long").to_pylist() == [[False], [True] * 3, []]


def test_arrow_takes_echoes_back(pool):
    words = ["ab", "", "ä"]
    binary = pool.run(Echo(), words).to_arrow().field("output")
    assert binary.cast(pa.large_string()).to_pylist() == words


def test_arrow_lets_go(results):
    from toolpool import _arrow

    before = len(_arrow._exported._kept), len(_arrow._capsules._kept)
    column = results.to_arrow()
    untaken = results.__arrow_c_array__()
    only_schema = results.__arrow_c_schema__()
    del column, untaken, only_schema
    gc.collect()
    assert (len(_arrow._exported._kept), len(_arrow._capsules._kept)) == before


def test_the_report_comes_with_the_results(results):
    assert results.report.figures["done"] == 8
    assert results.report.timeline.startswith("<svg") and '"traceEvents"' in results.report.trace

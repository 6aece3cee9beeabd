"""Results are views of the library's memory: shared, read-only, alive as long as anyone looks."""

import gc

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
import torch
from toolpool import Echo, InvalidArgument, ItemError, PartialFailure, ToolPool


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


@pytest.mark.parametrize(
    "out",
    [
        np.zeros((8, 4)),
        np.zeros((7, 4), np.float32),
        np.zeros((4, 8), np.float32).T,
        np.broadcast_to(np.float32(0), (8, 4)),
    ],
)
def test_stack_refuses_an_array_that_does_not_fit(results, out):
    with pytest.raises(ValueError, match="out must be"):
        results.stack("row", out=out)


def test_stack_refuses_unlike_shapes(results):
    with pytest.raises(InvalidArgument):
        results.stack("grid")


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
    for asked in ({"stream": 1}, {"dl_device": (2, 0)}, {"copy": True}):
        with pytest.raises(BufferError):
            row.__dlpack__(**asked)


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

"""Whatever callers hand in arrives byte for byte, where it lies if it can."""

import gc
import time
import weakref

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
import torch
from toolpool import Echo, InvalidArgument, Items, _strings

WORDS = [
    "MKT",
    "",
    "GAVLTVLLGGLLLA, more than twelve bytes",
    "äöü €",
    "MKT",
    "\0\n",
    "twelve bytes",
    "thirteen char",
]
BYTES = [word.encode() for word in WORDS]


def echoed(pool, data, **options):
    return pool.run(Echo(), data, **options).column("output")


STRINGS = {
    "list": WORDS,
    "tuple": tuple(WORDS),
    "bytes": BYTES,
    "bytes of several kinds": [bytearray(BYTES[0]), *map(memoryview, BYTES[1:5]), BYTES[5]],
    "ascii list": ["a", "bc", "", "a"],
    "numpy U": np.array(["a", "bc", "", "ä"]),
    "numpy S": np.array([b"a", b"bc", b"", b"xyz"]),
    "numpy objects": np.array(WORDS, dtype=object),
    "numpy variable-width": np.array(WORDS[:5], dtype=np.dtypes.StringDType()),
    "arrow string": pa.array(WORDS),
    "arrow large_string": pa.array(WORDS, pa.large_string()),
    "arrow binary": pa.array(BYTES, pa.binary()),
    "arrow large_binary": pa.array(BYTES, pa.large_binary()),
    "arrow string_view": pa.array(WORDS, pa.string_view()),
    "arrow slice": pa.array(["skipped", *WORDS, "too"])[1:-1],
    "arrow slice of views": pa.array(["skipped and longer than twelve", *WORDS], pa.string_view())[
        1:
    ],
    "arrow chunks": pa.chunked_array([WORDS[:2], [], WORDS[2:]]),
    "arrow chunks of views": pa.chunked_array([WORDS[:2], WORDS[2:]], pa.string_view()),
    "arrow empty": pa.array([], pa.string()),
    "polars": pl.Series(WORDS),
    "polars in chunks": pl.concat([pl.Series(WORDS), pl.Series(WORDS)], rechunk=False),
    "nothing": [],
}


@pytest.mark.parametrize("kind", STRINGS)
def test_strings_of_any_kind_arrive(pool, kind):
    data = STRINGS[kind]
    listed = data.to_pylist() if hasattr(data, "to_pylist") else list(data)
    assert echoed(pool, data) == [
        one.encode() if isinstance(one, str) else bytes(one) for one in listed
    ]


def test_an_arrow_column_is_read_where_it_lies():
    column = pa.array(WORDS)[2:]
    strings = _strings.of_arrow(column)
    _, offsets, data = column.buffers()
    assert (strings.data, strings.offsets) == (data.address, offsets.address + 4 * 2)


def test_rows_of_a_tensor_are_read_where_they_lie(pool):
    rows = np.zeros((5, 3), np.float32)
    items = Items(rows)
    rows[:] = np.arange(15).reshape(5, 3)
    assert echoed(pool, items) == [row.tobytes() for row in rows]


TENSORS = {
    "numpy": np.arange(24, dtype=np.float64).reshape(4, 3, 2),
    "numpy of one dimension": np.arange(7, dtype=np.int16),
    "numpy in Fortran's order": np.asfortranarray(np.arange(12, dtype=np.int32).reshape(3, 4)),
    "numpy every second": np.arange(40, dtype=np.uint8).reshape(10, 4)[::2, ::3],
    "numpy broadcast": np.broadcast_to(np.arange(3.0), (4, 3)),
    "numpy read-only": np.frombuffer(b"abcdefgh", np.uint8).reshape(4, 2),
    "numpy bool": np.array([[True, False], [False, True]]),
    "numpy without rows": np.zeros((0, 3), np.float32),
    "numpy of empty rows": np.zeros((3, 0), np.float32),
    "torch": torch.arange(12, dtype=torch.float32).reshape(4, 3),
    "torch transposed": torch.arange(12, dtype=torch.int64).reshape(4, 3).T,
    "torch float16": torch.ones(2, 2, dtype=torch.float16),
}


@pytest.mark.parametrize("kind", TENSORS)
def test_rows_of_tensors_of_any_kind_arrive(pool, kind):
    rows = TENSORS[kind]
    assert echoed(pool, rows, dedup=False) == [np.ascontiguousarray(row).tobytes() for row in rows]


def test_bfloat16_arrives_though_numpy_has_none(pool):
    rows = torch.arange(6).reshape(2, 3).bfloat16()
    assert echoed(pool, rows) == [row.view(torch.int16).numpy().tobytes() for row in rows]


def test_tensors_of_unlike_shapes_arrive(pool):
    tensors = [np.ones((2, 3), np.float32), torch.zeros(1), np.arange(5)[::2]]
    assert echoed(pool, tensors) == [np.ascontiguousarray(one).tobytes() for one in tensors]


def test_tensors_that_differ_in_shape_alone_are_not_equal(pool):
    results = pool.run(
        Echo(), [np.zeros(4, np.int8), np.zeros((2, 2), np.int8), np.zeros(4, np.int8)]
    )
    assert results.report.figures["unique"] == 2


def test_fields_make_items_unequal(pool):
    items = Items(
        {"input": ["a", "a", "a"], "msa": pa.array(["x", "y", "x"]), "n": np.arange(3) * 0}
    )
    results = pool.run(Echo(), items)
    assert results.column("output") == [b"a"] * 3
    assert results.report.figures["unique"] == 2


def test_costs_order_the_items(single):
    order = single.run(
        Echo(), Items(["a", "b", "c"], costs=[1, 3, 2]), deterministic=True
    ).report.figures
    assert order["cost"] == 6 and order["longest"] == 3


def test_memory_is_kept_until_the_items_are_gone(pool):
    class Owner(np.ndarray):
        pass

    rows = np.arange(6.0).reshape(2, 3).view(Owner)
    seen = weakref.ref(rows)
    items = Items(rows)
    del rows
    gc.collect()
    assert seen() is not None
    assert len(echoed(pool, items)) == 2
    del items
    assert gone(seen)


def gone(seen):
    """Whether an object goes, as soon as the last worker lets go of its job."""
    for _ in range(3000):
        gc.collect()
        if seen() is None:
            return True
        time.sleep(0.01)
    return False


def test_memory_is_given_back_when_items_cannot_be_made():
    class Owner(np.ndarray):
        pass

    rows = np.arange(4.0).reshape(2, 2).view(Owner)
    seen = weakref.ref(rows)
    with pytest.raises(InvalidArgument):
        Items({"x": rows, "y": np.zeros((3, 1))})
    del rows
    gc.collect()
    assert seen() is None


class Elsewhere:
    """A tensor that says it lies in other memory."""

    def __init__(self, device):
        self._array, self._device = np.arange(6, dtype=np.float32).reshape(3, 2), device

    def __dlpack__(self, **asked):
        return self._array.__dlpack__(**asked)

    def __dlpack_device__(self):
        return self._device


@pytest.mark.parametrize("device", [3, 11, 13])
def test_memory_that_the_host_can_read_is_read(pool, device):
    """Pinned by CUDA, by ROCm; managed by CUDA."""
    rows = np.arange(6, dtype=np.float32).reshape(3, 2)
    assert echoed(pool, Elsewhere((device, 0))) == [row.tobytes() for row in rows]


class Old(np.ndarray):
    """An array as numpy had them before 2.1, which exported none that was read-only."""

    def __dlpack__(self, stream=None):
        raise BufferError("Cannot export readonly array since signalling readonly is unsupported")


def test_read_only_arrays_of_an_old_numpy_are_read_where_they_lie(pool, tmp_path):
    rows = np.arange(6, dtype=np.float32).reshape(3, 2)
    rows.tofile(tmp_path / "rows")
    mapped = np.memmap(tmp_path / "rows", np.float32, "r", shape=(3, 2))
    for old in (rows.view(Old), mapped.view(Old), mapped):
        assert echoed(pool, old) == [row.tobytes() for row in rows]


REFUSED = {
    "one string": ("MKT", "put it into a list"),
    "one bytes": (b"MKT", "put it into a list"),
    "a number among str": (["a", 3], "item 1 is a int"),
    "a str among bytes": ([b"a", "b"], "item 1 is a str"),
    "a str among tensors": ([np.zeros(2), "b"], "item 1 is a str"),
    "half a character": (["a", "\ud800"], "item 1 cannot be written as UTF-8"),
    "numbers": ([1, 2], "a list of int"),
    "an iterator": (iter("ab"), "cannot be made of"),
    "nothing at all": (None, "NoneType"),
    "no fields": ({}, "no items"),
    "strings of another name": ({"sequence": ["a"]}, "is called 'input'"),
    "fields of unlike lengths": ({"input": ["a", "b"], "msa": ["x"]}, "1"),
    "an arrow null": (pa.array(["a", None]), "item 1 is null"),
    "an arrow null beyond a chunk": (pa.chunked_array([["a", "b"], ["c", None]]), "item 3 is null"),
    "a null in a slice": (pa.array([None, "a", "b", None])[1:], "item 2 is null"),
    "arrow numbers": (pa.array([1, 2]), "format 'l'"),
    "an arrow dictionary": (pa.array(["a", "a"]).dictionary_encode(), "dictionary"),
    "an arrow table": (pa.table({"a": ["x"]}), "format"),
    "a scalar": (np.array(3.0), "scalar"),
    "complex numbers": (np.zeros((2, 2), np.complex64), "the type complex64"),
    "complex tensors": (torch.zeros((2, 2), dtype=torch.complex64), "DLPack type"),
    "the other byte order": (np.zeros((2, 2), ">f4"), "the type >f4"),
    "fields of structs": (np.zeros(4, "i1,f4")["f1"], "no whole elements"),
    "memory of a device": (Elsewhere((2, 0)), r"device \(2, 0\).*move it"),
    "too many dimensions": (np.zeros((1,) * 10), "9 dimensions"),
    "backwards": (np.zeros((2, 4))[:, ::-1], "negative"),
    "a tensor with a gradient": (torch.zeros(2, 2, requires_grad=True), "grad"),
    "a meta tensor": (torch.zeros(2, 2, device="meta"), "DLPack|meta"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_items_is_refused_with_the_reason(kind):
    data, reason = REFUSED[kind]
    with pytest.raises((ValueError, BufferError), match=reason):
        Items(data)


@pytest.mark.parametrize("costs", [[1.0], [1.0, float("nan")], [1.0, -1.0], ["a", "b"]])
def test_bad_costs_are_refused(costs):
    with pytest.raises(InvalidArgument):
        Items(["a", "b"], costs=costs)

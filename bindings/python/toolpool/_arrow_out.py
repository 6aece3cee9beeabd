"""Results as an Arrow struct array: one field for each output, nested lists for its dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ._arrow import array_capsule, array_node, schema_capsule, schema_node
from ._dtypes import BY_TYPESTR
from ._errors import InvalidArgument, ToolPoolError

if TYPE_CHECKING:
    from ._results import Results


class _Nulls(NamedTuple):
    """Which entries are missing: how many, and Arrow's bitmap of those that are not."""

    number: int
    bitmap: np.ndarray | None


_NO_NULLS = _Nulls(0, None)


def schema_and_array(results: Results) -> tuple[Any, Any]:
    """The two capsules of `__arrow_c_array__`."""
    fields = [_field(name, results) for name in results.names]
    schema = schema_node("+s", children=[field for field, _ in fields], nullable=False)
    array = array_node(len(results), [None], [values for _, values in fields])
    return schema_capsule(schema), array_capsule(array)


def schema(results: Results) -> Any:
    """The capsule of `__arrow_c_schema__`."""
    return schema_and_array(results)[0]


def _field(name: str, results: Results) -> tuple[Any, Any]:
    if results.is_bytes(name):
        return _binary(name, results.column(name))
    matrix = _stacked(name, results)
    return _tensors(name, results.column(name)) if matrix is None else _uniform(name, matrix)


def _binary(name: str, column: list[bytes | None]) -> tuple[Any, Any]:
    nulls = _nulls(column)
    rows = [value or b"" for value in column]
    data = np.frombuffer(b"".join(rows), np.uint8)
    offsets = _offsets(np.fromiter(map(len, rows), np.int64, len(rows)))
    return schema_node("Z", name), array_node(
        len(rows), [nulls.bitmap, offsets, data], null_count=nulls.number
    )


def _stacked(name: str, results: Results) -> np.ndarray | None:
    """All items in one array, where all have the output in one shape."""
    try:
        return results.stack(name)
    except ToolPoolError:
        return None


def _uniform(name: str, matrix: np.ndarray) -> tuple[Any, Any]:
    shapes = np.broadcast_to(np.array(matrix.shape[1:], np.int64), (len(matrix), matrix.ndim - 1))
    return _nested(name, _NO_NULLS, shapes, np.ones(matrix.ndim - 1, np.bool_), matrix.ravel())


def _tensors(name: str, column: list[np.ndarray | None]) -> tuple[Any, Any]:
    present = [value for value in column if value is not None]
    ndims = sorted({value.ndim for value in present})
    if len(ndims) > 1:
        raise InvalidArgument(
            f"items of output '{name}' have {ndims} dimensions; an Arrow column has one type"
        )
    shapes = _shapes(present)
    fixed = (shapes == shapes[0]).all(axis=0)
    # What stands where an item is missing: as much as lists of fixed size must hold.
    blank = np.zeros(np.where(fixed, shapes[0], 0), present[0].dtype)
    rows = [blank if value is None else value for value in column]
    values = np.concatenate([row.ravel() for row in rows])
    return _nested(name, _nulls(column), _shapes(rows), fixed, values)


def _nested(
    name: str, nulls: _Nulls, shapes: np.ndarray, fixed: np.ndarray, values: np.ndarray
) -> tuple[Any, Any]:
    """Lists in lists, made from the innermost out. The outermost has the name and the nulls."""
    ndim = shapes.shape[1]
    field, node = (
        _primitive(name, values, nulls) if ndim == 0 else _primitive("item", values, _NO_NULLS)
    )
    for axis in reversed(range(ndim)):
        outermost = axis == 0
        own = nulls if outermost else _NO_NULLS
        lists = np.prod(shapes[:, :axis], axis=1, dtype=np.int64)
        form, offsets = f"+w:{shapes[0, axis]}", []
        if not fixed[axis]:
            form, offsets = "+L", [_offsets(np.repeat(shapes[:, axis], lists))]
        field = schema_node(form, name if outermost else "item", [field])
        node = array_node(int(lists.sum()), [own.bitmap, *offsets], [node], own.number)
    return field, node


def _primitive(name: str, values: np.ndarray, nulls: _Nulls) -> tuple[Any, Any]:
    if values.dtype == np.bool_:
        form, data = "b", np.packbits(values, bitorder="little")
    else:
        dtype = BY_TYPESTR.get(values.dtype.str)
        if dtype is None or dtype.arrow is None:
            raise InvalidArgument(f"Arrow has no type for {values.dtype}, which an output has")
        form, data = dtype.arrow, values
    return schema_node(form, name), array_node(
        len(values), [nulls.bitmap, data], null_count=nulls.number
    )


def _shapes(rows: list[np.ndarray]) -> np.ndarray:
    """[items, dimensions]"""
    return np.array([row.shape for row in rows], np.int64).reshape(len(rows), rows[0].ndim)


def _offsets(lengths: np.ndarray) -> np.ndarray:
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def _nulls(column: list[Any]) -> _Nulls:
    present = np.fromiter((value is not None for value in column), np.bool_, len(column))
    count = len(column) - int(present.sum())
    return _Nulls(count, np.packbits(present, bitorder="little")) if count else _NO_NULLS

"""Element types, as toolpool, numpy, DLPack and Arrow name them."""

from __future__ import annotations

from typing import Any, NamedTuple

from . import _signatures as c

# DLDataTypeCode of dlpack.h.
_INT, _UINT, _FLOAT, _BFLOAT, _BOOL = 0, 1, 2, 4, 6


class Dtype(NamedTuple):
    """One element type; `typestr` is numpy's, None where numpy has none; `arrow` is the format of Arrow's C interface."""

    number: int
    name: str
    itemsize: int
    typestr: str | None
    dlpack: tuple[int, int]
    arrow: str | None


_ALL = (
    Dtype(c.TOOLPOOL_BYTES, "bytes", 1, "|u1", (_UINT, 8), "C"),
    Dtype(c.TOOLPOOL_FLOAT32, "float32", 4, "<f4", (_FLOAT, 32), "f"),
    Dtype(c.TOOLPOOL_FLOAT64, "float64", 8, "<f8", (_FLOAT, 64), "g"),
    Dtype(c.TOOLPOOL_FLOAT16, "float16", 2, "<f2", (_FLOAT, 16), "e"),
    Dtype(c.TOOLPOOL_BFLOAT16, "bfloat16", 2, None, (_BFLOAT, 16), None),
    Dtype(c.TOOLPOOL_INT8, "int8", 1, "|i1", (_INT, 8), "c"),
    Dtype(c.TOOLPOOL_UINT8, "uint8", 1, "|u1", (_UINT, 8), "C"),
    Dtype(c.TOOLPOOL_INT16, "int16", 2, "<i2", (_INT, 16), "s"),
    Dtype(c.TOOLPOOL_INT32, "int32", 4, "<i4", (_INT, 32), "i"),
    Dtype(c.TOOLPOOL_INT64, "int64", 8, "<i8", (_INT, 64), "l"),
    Dtype(c.TOOLPOOL_BOOL, "bool", 1, "|b1", (_BOOL, 8), None),
)

BY_NUMBER = {dtype.number: dtype for dtype in _ALL}
BY_TYPESTR = {dtype.typestr: dtype for dtype in _ALL if dtype.typestr and dtype.name != "bytes"}
BY_DLPACK = {dtype.dlpack: dtype for dtype in _ALL if dtype.name != "bytes"}

_BFLOAT16 = BY_DLPACK[_BFLOAT, 16]


def dtype_of(array: Any) -> Dtype | None:
    """The type of what has numpy's `__array_interface__`; None where toolpool has it not. Of numpy's, bfloat16 is a guest."""
    if getattr(getattr(array, "dtype", None), "name", "") == "bfloat16":
        return _BFLOAT16
    return BY_TYPESTR.get(array.__array_interface__["typestr"])


NAMES = ", ".join(dtype.name for dtype in _ALL)

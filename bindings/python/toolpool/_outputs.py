"""Writes what a Python tool gives for an item into memory of the results."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

from . import _dlpack
from . import _signatures as c
from ._calls import call
from ._dtypes import NAMES, Dtype, dtype_of
from ._errors import ContractError
from ._library import lib


def write(outputs: int, index: int, value: Any) -> None:
    """Writes the outputs of item `index` of a batch: a dict by name, or one value, which is called `output`."""
    named = value if isinstance(value, Mapping) else {"output": value}
    if not named:
        raise ContractError("a tool gave an empty dict for an item; it must have an output")
    for name, one in named.items():
        _write_one(outputs, index, name, one)


def write_nothing(outputs: int, index: int) -> None:
    """Tells the library that an item is done whose output Python keeps."""
    _alloc(outputs, index, "object", c.TOOLPOOL_BYTES, (0,))


def _write_one(outputs: int, index: int, name: str, value: Any) -> None:
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, (bytes, bytearray, memoryview)):
        data = bytes(value)
        ctypes.memmove(
            _alloc(outputs, index, name, c.TOOLPOOL_BYTES, (len(data),)), data, len(data)
        )
        return
    address, dtype, shape, owner = _dense(name, value)
    size = dtype.itemsize
    for length in shape:
        size *= length
    ctypes.memmove(_alloc(outputs, index, name, dtype.number, shape), address, size)
    del owner


def _dense(name: str, value: Any) -> tuple[int, Dtype, tuple[int, ...], Any]:
    """Address, type and shape of a row-major copy of a value, or of itself, and what keeps that memory."""
    if hasattr(value, "__dlpack__") and not hasattr(value, "__array_interface__"):
        for method in ("detach", "contiguous"):  # of torch
            value = getattr(value, method, lambda same=value: same)()
        tensor = _dlpack.Imported(value)
        if tensor.is_dense:
            return tensor.data, tensor.dtype, tensor.shape, tensor
    import numpy as np

    array = np.ascontiguousarray(value) if np.ndim(value) else np.asarray(value)
    dtype = dtype_of(array)
    if dtype is None:
        raise ContractError(
            f"output '{name}' is a {type(value).__name__} of {array.dtype}; toolpool has {NAMES}"
        )
    return array.ctypes.data, dtype, array.shape, array


def _alloc(outputs: int, index: int, name: str, dtype: int, shape: tuple[int, ...]) -> int:
    data = ctypes.c_void_p()
    sizes = (ctypes.c_int64 * len(shape))(*shape)
    call(
        lib.toolpool_outputs_alloc,
        outputs,
        index,
        name.encode(),
        dtype,
        sizes,
        len(shape),
        ctypes.byref(data),
    )
    return data.value or 0

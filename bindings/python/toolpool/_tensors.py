"""Tensors as items: DLPack tensors in host memory, read where they lie."""

from __future__ import annotations

import ctypes
from array import array
from typing import Any

from . import _signatures as c
from ._calls import Handle, call, lent, made, release
from ._dlpack import Imported
from ._errors import InvalidArgument
from ._library import lib

_SIZE = ctypes.sizeof(c.toolpool_tensor_t)


class Tensors:
    """`n` toolpool_tensor_t, one for each item; `owner` keeps what they show."""

    def __init__(self, views: Any, n: int, owner: Any):
        self._views, self._n, self._owner = views, n, owner

    def __len__(self) -> int:
        return self._n

    def make(self, name: str | None) -> Handle:
        """Items with these as their first field."""
        with lent(self._owner) as key:
            return made(
                lib.toolpool_items_free,
                lib.toolpool_items_from_tensors,
                None if name is None else name.encode(),
                self._views,
                self._n,
                release,
                key,
            )

    def add(self, items: Handle, name: str) -> None:
        """Adds these to items as one more field."""
        with lent(self._owner) as key:
            call(
                lib.toolpool_items_add_tensors,
                items,
                name.encode(),
                self._views,
                self._n,
                release,
                key,
            )


def of_rows(producer: Any) -> Tensors:
    """A tensor of shape [n, …] as n items of shape […]."""
    whole = Imported(producer)
    if not whole.shape:
        raise InvalidArgument("a scalar has no dimension that counts items; put it into a list")
    n, step = whole.shape[0], whole.strides[0] * whole.dtype.itemsize
    strides = (ctypes.c_int64 * (len(whole.shape) - 1))(*whole.strides[1:])
    row = _view(whole, whole.shape[1:], strides)
    views = bytearray(bytes(row) * n)
    # All views are alike but for their addresses: these are written in one go.
    words = memoryview(views).cast("B").cast("Q")
    addresses = range(whole.data, whole.data + n * step, step) if step else [whole.data] * n
    words[c.toolpool_tensor_t.data.offset // 8 :: _SIZE // 8] = memoryview(array("Q", addresses))
    lent = (ctypes.c_char * len(views)).from_buffer(views)
    return Tensors(
        ctypes.cast(lent, ctypes.POINTER(c.toolpool_tensor_t)), n, (whole, strides, lent)
    )


def of_each(producers: list[Any]) -> Tensors:
    """A list of tensors, each an item."""
    views = (c.toolpool_tensor_t * len(producers))()
    owners = []
    for i, producer in enumerate(producers):
        if not hasattr(producer, "__dlpack__"):
            raise InvalidArgument(f"item {i} is a {type(producer).__name__} among tensors", i)
        tensor = Imported(producer)
        strides = (ctypes.c_int64 * len(tensor.strides))(*tensor.strides)
        views[i] = _view(tensor, tensor.shape, strides)
        owners.append((tensor, strides))
    return Tensors(views, len(producers), owners)


def _view(tensor: Imported, shape: tuple[int, ...], strides: Any) -> Any:
    if len(shape) > c.TOOLPOOL_MAX_NDIM:
        raise InvalidArgument(
            f"a tensor has {len(shape)} dimensions; toolpool takes up to {c.TOOLPOOL_MAX_NDIM}"
        )
    if any(step < 0 for step in strides):
        raise InvalidArgument("a tensor has negative strides; copy it first")
    last = sum((size - 1) * step for size, step in zip(shape, strides))
    return c.toolpool_tensor_t(
        size=_SIZE,
        data=tensor.data,
        bytes=0 if 0 in shape else (last + 1) * tensor.dtype.itemsize,
        dtype=tensor.dtype.number,
        ndim=len(shape),
        shape=tuple(shape),
        strides=ctypes.addressof(strides),
    )

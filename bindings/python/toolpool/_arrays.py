"""Outputs as tensors and numpy arrays, over the memory of the results. numpy is imported when an array is asked for."""

from __future__ import annotations

import ctypes
import importlib
from math import prod
from typing import TYPE_CHECKING, Any

from . import _dlpack
from ._dtypes import BY_TYPESTR, Dtype

if TYPE_CHECKING:
    import numpy as np


class Tensor:
    """One output of one item where it lies: dense, row-major, read-only, alive as long as this object.

    It is for what numpy cannot hold (bfloat16) and for who has no numpy: `torch.from_dlpack(tensor)`. Any thread may
    read it; the pool may be closed.
    """

    __slots__ = ("__array_interface__", "_owner", "address", "dtype", "shape")

    def __init__(self, address: int, dtype: Dtype, shape: tuple[int, ...], owner: Any):
        self.address, self.dtype, self.shape, self._owner = address, dtype, shape, owner
        if dtype.typestr:
            self.__array_interface__ = {
                "version": 3,
                "typestr": dtype.typestr,
                "shape": shape,
                "data": (address, True),
            }

    @property
    def nbytes(self) -> int:
        """Length in bytes."""
        return prod(self.shape) * self.dtype.itemsize

    def numpy(self) -> np.ndarray:
        """The same memory as a read-only numpy array; bfloat16 needs the package ml_dtypes."""
        if self.dtype.typestr:
            return _array_class()(self)
        try:
            bfloat16 = importlib.import_module("ml_dtypes").bfloat16
        except ImportError:
            raise TypeError(
                "numpy has no bfloat16: take the output by torch.from_dlpack(item.tensor(name)), or install ml_dtypes"
            ) from None
        bits = Tensor(self.address, BY_TYPESTR["<i2"], self.shape, self._owner)
        return bits.numpy().view(bfloat16)

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """A DLPack capsule over the same memory, or a copy; versioned if `max_version` is 1.0 or later, else legacy."""
        _dlpack.refuse_what_is_not_exported(stream, dl_device)
        shown = self._copied() if copy else self
        strides = _dlpack.dense_strides(self.shape)
        return _dlpack.exported(
            shown.address,
            self.dtype,
            self.shape,
            strides,
            shown,
            copied=bool(copy),
            max_version=max_version,
        )

    def _copied(self) -> Tensor:
        memory = (ctypes.c_char * self.nbytes)()
        ctypes.memmove(memory, self.address, self.nbytes)
        return Tensor(ctypes.addressof(memory), self.dtype, self.shape, memory)

    def __dlpack_device__(self) -> tuple[int, int]:
        return _dlpack.CPU

    def __repr__(self) -> str:
        return f"Tensor({self.dtype.name}, shape={self.shape})"


_class: Any = None


def _array_class() -> Any:
    """Makes the subclass of ndarray at first use, when numpy is wanted for the first time."""
    global _class
    if _class is None:
        from ._ndarray import Array

        _class = Array
    return _class

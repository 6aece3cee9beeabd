"""numpy arrays that every DLPack consumer takes. Imported with the first array."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _dlpack
from ._dtypes import dtype_of


class Array(np.ndarray):
    """A numpy array over memory of the results: read-only, since equal items share it. Copy it to change it.

    numpy itself refuses to export a read-only array to consumers of the legacy capsule, which cannot say "read-only";
    this class does it: who takes an output by an old consumer must not write to it.
    """

    def __new__(cls, source: Any) -> Array:
        return np.asarray(source).view(cls)

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        dtype = dtype_of(self)
        if (
            self.flags.writeable
            or dtype is None
            or any(step % self.itemsize for step in self.strides)
        ):
            asked = {
                "stream": stream,
                "max_version": max_version,
                "dl_device": dl_device,
                "copy": copy,
            }
            return super().__dlpack__(
                **{key: value for key, value in asked.items() if value is not None}
            )
        _dlpack.refuse_what_is_not_exported(stream, dl_device)
        shown = np.array(self, order="C") if copy else self
        strides = tuple(step // self.itemsize for step in shown.strides)
        return _dlpack.exported(
            shown.ctypes.data,
            dtype,
            self.shape,
            strides,
            shown,
            copied=bool(copy),
            max_version=max_version,
        )

"""The few calls of the C surface that the benchmarks time, by ctypes."""

from __future__ import annotations

import ctypes as c
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ROOT / "target/release/libtoolpool.so"


class Tensor(c.Structure):
    """toolpool_tensor_t."""

    _fields_ = [
        ("size", c.c_size_t),
        ("data", c.c_void_p),
        ("bytes", c.c_size_t),
        ("dtype", c.c_int32),
        ("ndim", c.c_int32),
        ("shape", c.c_int64 * 8),
        ("strides", c.POINTER(c.c_int64)),
        ("device", c.c_int32),
        ("reserved", c.c_int32),
    ]


def load() -> c.CDLL:
    """libtoolpool.so, with the argument types of what is called here."""
    os.environ.setdefault("TOOLPOOL_LIBTORCH", str(ROOT / "libtorch"))
    library = c.CDLL(str(LIBRARY))
    handle, out, text, size = c.c_void_p, c.POINTER(c.c_void_p), c.c_char_p, c.c_size_t
    signatures = {
        "toolpool_open": [text, out, out],
        "toolpool_close": [handle],
        "toolpool_tool_open": [text, text, out, out],
        "toolpool_tool_set": [handle, text, text, out],
        "toolpool_tool_free": [handle],
        "toolpool_warm": [handle, handle, out],
        "toolpool_items_borrow": [handle, handle, size, handle, handle, out, out],
        "toolpool_items_from_tensors": [text, handle, size, handle, handle, out, out],
        "toolpool_items_free": [handle],
        "toolpool_run": [handle, handle, handle, out, out],
        "toolpool_submit": [handle, handle, handle, handle, out, out],
        "toolpool_job_wait": [handle, c.c_int64, out],
        "toolpool_job_report": [handle, out, out],
        "toolpool_job_free": [handle],
        "toolpool_report_json": [handle],
        "toolpool_report_free": [handle],
        "toolpool_results_len": [handle],
        "toolpool_results_tensor": [handle, size, text, c.POINTER(Tensor), out],
        "toolpool_results_free": [handle],
        "toolpool_plan": [handle, size, handle, handle, size, handle, handle, handle, out],
    }
    for name, arguments in signatures.items():
        function = getattr(library, name)
        function.argtypes = arguments
        function.restype = c.c_size_t if name.endswith("_len") else c.c_int32
    for name in (
        "toolpool_close",
        "toolpool_tool_free",
        "toolpool_items_free",
        "toolpool_results_free",
        "toolpool_job_free",
        "toolpool_report_free",
    ):
        getattr(library, name).restype = None
    library.toolpool_report_json.restype = text
    library.toolpool_error_message.argtypes = [handle]
    library.toolpool_error_message.restype = text
    return library


class Pool:
    """A pool with one warm tool."""

    def __init__(self, devices: str, kind: str, source: str | None = None, **options: str):
        self.calls = load()
        self._lent: list = []  # what items lie in
        self.pool = self._made("toolpool_open", devices.encode())
        self.tool = self._made("toolpool_tool_open", kind.encode(), source and source.encode())
        for key, value in options.items():
            self._call("toolpool_tool_set", self.tool, key.encode(), value.encode())
        self._call("toolpool_warm", self.pool, self.tool)

    def items(self, data, offsets) -> c.c_void_p:
        """Items over a numpy array of bytes and int64 offsets."""
        self._lent.append((data, offsets))
        return self._made(
            "toolpool_items_borrow",
            data.ctypes.data,
            offsets.ctypes.data,
            len(offsets) - 1,
            None,
            None,
        )

    def tensors(self, arrays: list, stay: bool = False) -> c.c_void_p:
        """Items over dense numpy arrays; `stay` for jobs, which take only memory that somebody frees."""
        import numpy as np

        self._lent.append(arrays)
        codes = {np.dtype(np.float32): 1, np.dtype(np.int64): 9}
        tensors = (Tensor * len(arrays))()
        for tensor, array in zip(tensors, arrays, strict=True):
            tensor.size, tensor.data, tensor.bytes = (
                c.sizeof(Tensor),
                array.ctypes.data,
                array.nbytes,
            )
            tensor.dtype, tensor.ndim = codes[array.dtype], array.ndim
            tensor.shape[: array.ndim] = array.shape
        nothing = c.cast(c.CDLL(None).free, c.c_void_p) if stay else None  # free(NULL)
        return self._made("toolpool_items_from_tensors", None, tensors, len(arrays), nothing, None)

    def run(self, items: c.c_void_p) -> c.c_void_p:
        """The results, every item of which must be there."""
        return self._made("toolpool_run", self.pool, self.tool, items)

    def free(self, results: c.c_void_p, items: c.c_void_p | None = None) -> None:
        """Frees results, and items."""
        self.calls.toolpool_results_free(results)
        self.calls.toolpool_items_free(items)

    def _made(self, name: str, *arguments) -> c.c_void_p:
        made = c.c_void_p()
        self._call(name, *arguments, c.byref(made))
        return made

    def _call(self, name: str, *arguments) -> None:
        error = c.c_void_p()
        status = getattr(self.calls, name)(*arguments, c.byref(error))
        if status != 0:
            message = self.calls.toolpool_error_message(error).decode() or f"status {status}"
            raise RuntimeError(f"{name}: {message}")

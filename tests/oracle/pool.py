"""toolpool by ctypes, as far as the tests of models need it: items of numpy arrays in, arrays or errors out."""

from __future__ import annotations

import ctypes as c
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

LIBRARY = Path(
    os.environ.get("TOOLPOOL_TEST_LIBRARY")
    or Path(__file__).resolve().parents[2] / "target/release/libtoolpool.so"
)
PARTIAL = 1
TYPES = {
    0: np.uint8,
    1: np.float32,
    2: np.float64,
    3: np.float16,
    5: np.int8,
    6: np.uint8,
    7: np.int16,
    8: np.int32,
    9: np.int64,
    10: np.bool_,
}
# The arrays stay as long as the tests' Items, so there is nothing to release: free(NULL).
RELEASE = c.cast(c.CDLL(None).free, c.c_void_p)
CODES = {np.dtype(known): code for code, known in TYPES.items() if code != 0}


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


class Error(Exception):
    """A negative status, its message, and the item that it is about."""

    def __init__(self, status: int, message: str):
        super().__init__(f"{message} (status {status})")
        self.status = status
        self.message = message


@dataclass
class Item:
    """The outputs of one item with remarks on it, or why it failed."""

    outputs: dict[str, np.ndarray] = field(default_factory=dict)
    status: int = 0
    error: str | None = None
    warnings: list[str] = field(default_factory=list)

    def __getitem__(self, name: str) -> np.ndarray:
        assert self.status == 0, self.error
        return self.outputs[name]


def tensor(array: np.ndarray, strides: list) -> Tensor:
    """A view of `array` as it lies; what keeps its strides alive is put into `strides`."""
    made = Tensor(size=c.sizeof(Tensor), data=array.ctypes.data, dtype=CODES[array.dtype])
    made.ndim = array.ndim
    made.shape[: array.ndim] = array.shape
    steps = [step // array.itemsize for step in array.strides]
    above = sum((n - 1) * step for n, step in zip(array.shape, steps, strict=True) if step > 0)
    made.bytes = (above + 1) * array.itemsize if array.size else 0
    if not array.flags.c_contiguous:
        kept = (c.c_int64 * array.ndim)(*steps)
        strides.append(kept)
        made.strides = kept
    return made


class Option(c.Structure):
    """toolpool_option_t."""

    _fields_ = [("key", c.c_char_p), ("value", c.c_char_p)]


class Pool:
    """An open pool."""

    def __init__(self, devices: str = "cpu*2", **options: str):
        self.calls, self.devices = _load(), devices
        pairs = [Option(key.encode(), value.encode()) for key, value in options.items()]
        array = (Option * len(pairs))(*pairs)
        self.pool = self.made("toolpool_open_with", devices.encode(), array, len(pairs))

    def tool(self, kind: str, source, **options) -> c.c_void_p:
        """An open tool, which is freed with the process."""
        tool = self.made("toolpool_tool_open", kind.encode(), str(source).encode())
        for key, value in options.items():
            self.call("toolpool_tool_set", tool, key.encode(), str(value).encode())
        return tool

    def items(self, fields: dict[str, list[np.ndarray]] | list[list[np.ndarray]]) -> Items:
        """Items of arrays, by the names of fields or by their positions."""
        return Items(self, fields)

    def strings(self, *strings: bytes) -> Items:
        """Items of one byte string each."""
        made = Items(self, [])
        array = (c.c_char_p * len(strings))(*strings)
        made.handle = self.made("toolpool_items_from_strings", array, None, len(strings))
        return made

    def reason(self, tool: c.c_void_p, items: Items) -> Error:
        """Why the whole of a run fails: each item with the same error, or the job."""
        try:
            every = {(item.status, item.error) for item in self.run(tool, items)}
        except Error as error:
            return error
        assert len(every) == 1, every
        return Error(*every.pop())

    def report(self, tool: c.c_void_p, items: Items) -> dict:
        """The report of a run that succeeds for all items."""
        job = self.made("toolpool_submit", self.pool, tool, items.handle, None)
        report = None
        try:
            assert self.call("toolpool_job_wait", job, -1) == 0
            report = self.made("toolpool_job_report", job)
            return json.loads(self.calls.toolpool_report_json(report))
        finally:
            self.calls.toolpool_report_free(report)
            self.calls.toolpool_job_free(job)

    def run(self, tool: c.c_void_p, items: Items) -> list[Item]:
        """What became of each item."""
        results = c.c_void_p()
        self.call("toolpool_run", self.pool, tool, items.handle, c.byref(results))
        try:
            return self._read(results)
        finally:
            self.calls.toolpool_results_free(results)

    def close(self) -> None:
        """Ends the workers."""
        self.calls.toolpool_close(self.pool)

    def _read(self, results: c.c_void_p) -> list[Item]:
        names = [
            self.calls.toolpool_results_output_name(results, number)
            for number in range(self.calls.toolpool_results_outputs(results))
        ]
        items = []
        for index in range(self.calls.toolpool_results_len(results)):
            item = Item(status=self.calls.toolpool_results_status(results, index))
            if item.status != 0:
                item.error = self.calls.toolpool_results_error(results, index).decode()
            warning = self.calls.toolpool_results_warning(results, index).decode()
            item.warnings = warning.splitlines()
            for name in names:
                view = Tensor(size=c.sizeof(Tensor))
                found = self.calls.toolpool_results_tensor(
                    results, index, name, c.byref(view), None
                )
                if found == 0:
                    item.outputs[name.decode()] = _array(view)
            items.append(item)
        return items

    def made(self, name: str, *arguments) -> c.c_void_p:
        """Calls a function whose last but one parameter receives a handle."""
        made = c.c_void_p()
        self.call(name, *arguments, c.byref(made))
        return made

    def call(self, name: str, *arguments) -> int:
        """Calls a function that returns a status."""
        error = c.c_void_p()
        status = getattr(self.calls, name)(*arguments, c.byref(error))
        if status < 0:
            message = self.calls.toolpool_error_message(error).decode()
            self.calls.toolpool_error_free(error)
            raise Error(status, message)
        return status


class Items:
    """Items over arrays, which it keeps."""

    def __init__(self, pool: Pool, fields):
        named = list(fields.items()) if isinstance(fields, dict) else [(None, f) for f in fields]
        self.pool, self.kept, self.handle = pool, [], None
        for name, arrays in named:
            self._add(name and name.encode(), [np.asarray(array) for array in arrays])

    def _add(self, name: bytes | None, arrays: list[np.ndarray]) -> None:
        tensors = (Tensor * len(arrays))(*[tensor(array, self.kept) for array in arrays])
        self.kept.append(arrays)
        if self.handle is None:
            self.handle = self.pool.made(
                "toolpool_items_from_tensors", name, tensors, len(arrays), RELEASE, None
            )
        else:
            self.pool.call(
                "toolpool_items_add_tensors", self.handle, name, tensors, len(arrays), RELEASE, None
            )

    def __del__(self):
        if self.handle is not None:
            self.pool.calls.toolpool_items_free(self.handle)


def _array(view: Tensor) -> np.ndarray:
    shape = tuple(view.shape[: view.ndim])
    data = c.string_at(view.data, view.bytes) if view.bytes else b""
    if view.dtype == 4:  # bfloat16, which numpy lacks
        wide = np.frombuffer(data, np.uint16).astype(np.uint32) << 16
        return wide.view(np.float32).reshape(shape)
    return np.frombuffer(data, TYPES[view.dtype]).reshape(shape)


def _load() -> c.CDLL:
    library = c.CDLL(str(LIBRARY))
    handle, size, text = c.c_void_p, c.c_size_t, c.c_char_p
    functions = {
        "toolpool_open_with": (c.c_int32, [text, handle, size, handle, handle]),
        "toolpool_close": (None, [handle]),
        "toolpool_tool_open": (c.c_int32, [text, text, handle, handle]),
        "toolpool_tool_set": (c.c_int32, [handle, text, text, handle]),
        "toolpool_tool_free": (None, [handle]),
        "toolpool_warm": (c.c_int32, [handle, handle, handle]),
        "toolpool_items_from_strings": (c.c_int32, [handle, handle, size, handle, handle]),
        "toolpool_items_from_tensors": (
            c.c_int32,
            [text, handle, size, handle, handle, handle, handle],
        ),
        "toolpool_items_add_tensors": (
            c.c_int32,
            [handle, text, handle, size, handle, handle, handle],
        ),
        "toolpool_items_free": (None, [handle]),
        "toolpool_run": (c.c_int32, [handle, handle, handle, handle, handle]),
        "toolpool_submit": (c.c_int32, [handle, handle, handle, handle, handle, handle]),
        "toolpool_job_wait": (c.c_int32, [handle, c.c_int64, handle]),
        "toolpool_job_report": (c.c_int32, [handle, handle, handle]),
        "toolpool_job_free": (None, [handle]),
        "toolpool_report_json": (text, [handle]),
        "toolpool_report_free": (None, [handle]),
        "toolpool_results_len": (size, [handle]),
        "toolpool_results_outputs": (size, [handle]),
        "toolpool_results_output_name": (text, [handle, size]),
        "toolpool_results_status": (c.c_int32, [handle, size]),
        "toolpool_results_error": (text, [handle, size]),
        "toolpool_results_warning": (text, [handle, size]),
        "toolpool_results_tensor": (c.c_int32, [handle, size, text, handle, handle]),
        "toolpool_results_free": (None, [handle]),
        "toolpool_error_message": (text, [handle]),
        "toolpool_error_free": (None, [handle]),
    }
    for name, (result, arguments) in functions.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library

"""A host for one backend tool, in ctypes: calls its C entry directly, without toolpool's core.

Lays out the structs of `abi/src/lib.rs` and gives the tool the functions of `toolpool_host_t`, so
that a backend can be tested alone. One thread, one slot.
"""

from __future__ import annotations

import ctypes as c
import os
from dataclasses import dataclass, field

import numpy as np

OK, ERR_ITEM = 0, -8
ABI = 1
FLOAT32 = 1
CPU, CUDA = 0, 1


class Device(c.Structure):
    _fields_ = [
        ("size", c.c_size_t),
        ("kind", c.c_int32),
        ("index", c.c_int32),
        ("slot", c.c_int32),
        ("threads", c.c_int32),
        ("memory_total", c.c_uint64),
        ("memory_free", c.c_uint64),
        ("capability_major", c.c_int32),
        ("capability_minor", c.c_int32),
        ("name", c.c_char * 96),
        ("uuid", c.c_char * 48),
        ("driver", c.c_char * 32),
    ]


class Option(c.Structure):
    _fields_ = [("key", c.c_char_p), ("value", c.c_char_p)]


P = c.c_void_p
LOAD = c.CFUNCTYPE(c.c_int32, P, c.POINTER(Device), c.POINTER(P), P)
RUN = c.CFUNCTYPE(c.c_int32, P, P, P, P)
COST = c.CFUNCTYPE(c.c_double, P, c.c_char_p, c.c_size_t)
FREE = c.CFUNCTYPE(None, P)
EXTENT = c.CFUNCTYPE(c.c_uint64, P, c.c_char_p, c.c_size_t)
START = c.CFUNCTYPE(c.c_int32, P, P, P, c.POINTER(P), P)
COLLECT = c.CFUNCTYPE(c.c_int32, P, P, P)
MEMORY = c.CFUNCTYPE(c.c_uint64, P, c.POINTER(Device), P)


class Callbacks(c.Structure):
    _fields_ = [
        ("size", c.c_size_t),
        ("load", LOAD),
        ("run", RUN),
        ("cost", COST),
        ("unload", FREE),
        ("destroy", FREE),
        ("extent", EXTENT),
        ("batch_budget", c.c_uint64),
        ("batch_items", c.c_uint64),
        ("start", START),
        ("collect", COLLECT),
        ("identity", c.c_char_p),
        ("memory", MEMORY),
        ("batch_budget_most", c.c_uint64),
    ]


BATCH_LEN = c.CFUNCTYPE(c.c_size_t, P)
BATCH_BYTES = c.CFUNCTYPE(c.c_int32, P, c.c_size_t, c.POINTER(P), c.POINTER(c.c_size_t))
BATCH_FIELD = c.CFUNCTYPE(c.c_int32, P, c.c_size_t, c.c_char_p, c.POINTER(P), c.POINTER(c.c_size_t))
BATCH_USER = c.CFUNCTYPE(P, P)
ALLOC = c.CFUNCTYPE(
    c.c_int32,
    P,
    c.c_size_t,
    c.c_char_p,
    c.c_int32,
    c.POINTER(c.c_int64),
    c.c_size_t,
    c.POINTER(P),
    P,
)
FAIL = c.CFUNCTYPE(c.c_int32, P, c.c_size_t, c.c_int32, c.c_char_p)
WARN = c.CFUNCTYPE(c.c_int32, P, c.c_size_t, c.c_char_p)
COUNT = c.CFUNCTYPE(c.c_int32, P, c.c_char_p, c.c_double)
ERROR_SET = c.CFUNCTYPE(c.c_int32, P, c.c_int32, c.c_char_p)


class HostTable(c.Structure):
    _fields_ = [
        ("size", c.c_size_t),
        ("abi", c.c_uint32),
        ("batch_len", BATCH_LEN),
        ("batch_bytes", BATCH_BYTES),
        ("batch_field", BATCH_FIELD),
        ("batch_user", BATCH_USER),
        ("outputs_alloc", ALLOC),
        ("outputs_fail", FAIL),
        ("outputs_warn", WARN),
        ("error_set", ERROR_SET),
        ("outputs_count", COUNT),
    ]


class ToolError(Exception):
    """A negative status of the tool, with its message."""

    def __init__(self, status: int, message: str):
        super().__init__(f"{message} (status {status})")
        self.status = status
        self.message = message


@dataclass
class Item:
    """Outputs, error and warnings of one item."""

    outputs: dict[str, np.ndarray] = field(default_factory=dict)
    error: str | None = None
    warnings: list[str] = field(default_factory=list)

    def __getitem__(self, name: str) -> np.ndarray:
        return self.outputs[name]


@dataclass
class _Batch:
    items: list[bytes]
    results: list[Item]
    user: int


class Engine:
    """The tool `esm2` of a built torch backend, loaded onto one CPU slot at its first run."""

    def __init__(self, library: str, libtorch: str, threads: int = 1):
        for name in ("libtorch_cpu.so", "libtorch.so"):
            c.CDLL(os.path.join(libtorch, "lib", name), mode=c.RTLD_GLOBAL)
        self._library = c.CDLL(library)
        self._entry = self._library.toolpool_torch_esm2
        self._entry.restype = c.c_int32
        self._entry.argtypes = [P, c.c_char_p, c.POINTER(Option), c.c_size_t, P, c.POINTER(P), P]
        self._threads = threads
        self._error = (OK, "")
        self._batch: _Batch | None = None
        self._host = HostTable(
            c.sizeof(HostTable),
            ABI,
            BATCH_LEN(lambda _: len(self._batch.items)),
            BATCH_BYTES(self._bytes),
            BATCH_FIELD(lambda *_: -16),
            BATCH_USER(lambda _: self._batch.user),
            ALLOC(self._alloc),
            FAIL(self._fail),
            WARN(self._warn),
            ERROR_SET(self._error_set),
        )

    def _bytes(self, _, index, data, length):
        item = self._batch.items[index]
        data[0] = c.cast(c.c_char_p(item), P).value
        length[0] = len(item)
        return OK

    def _alloc(self, _, index, name, dtype, shape, ndim, data, __):
        assert dtype == FLOAT32
        array = np.full(tuple(shape[i] for i in range(ndim)), np.nan, dtype=np.float32)
        outputs = self._batch.results[index].outputs
        assert name.decode() not in outputs, f"output {name} twice"
        outputs[name.decode()] = array
        data[0] = array.ctypes.data
        return OK

    def _fail(self, _, index, status, message):
        assert status == ERR_ITEM
        self._batch.results[index].error = message.decode()
        return OK

    def _warn(self, _, index, message):
        self._batch.results[index].warnings.append(message.decode())
        return OK

    def _error_set(self, _, status, message):
        self._error = (status, message.decode())
        return status

    def _check(self, status: int):
        if status < 0:
            raise ToolError(status, self._error[1])

    def open(self, source: str, **options: str) -> Tool:
        return Tool(self, source, options)


class Tool:
    """An open tool handle; one slot, loaded at first use."""

    def __init__(self, engine: Engine, source: str, options: dict[str, str]):
        self._engine = engine
        self._state = None
        self.callbacks = Callbacks(size=c.sizeof(Callbacks))
        self._user = P()
        pairs = (Option * len(options))(
            *[Option(k.encode(), str(v).encode()) for k, v in options.items()]
        )
        engine._check(
            engine._entry(
                c.byref(engine._host),
                source.encode(),
                pairs,
                len(options),
                c.byref(self.callbacks),
                c.byref(self._user),
                None,
            )
        )

    def load(self):
        device = Device(size=c.sizeof(Device), kind=CPU, threads=self._engine._threads)
        state = P()
        self._engine._check(self.callbacks.load(self._user, device, c.byref(state), None))
        self._state = state

    def run(self, sequences: list[str | bytes]) -> list[Item]:
        """One batch of all `sequences`."""
        if self._state is None:
            self.load()
        engine = self._engine
        items = [s.encode() if isinstance(s, str) else s for s in sequences]
        engine._batch = _Batch(items, [Item() for _ in items], self._user.value)
        pending = P()
        engine._check(self.callbacks.start(self._state, None, None, c.byref(pending), None))
        if pending.value is not None:
            engine._check(self.callbacks.collect(self._state, pending, None))
        return engine._batch.results

    def close(self):
        if self._state is not None:
            self.callbacks.unload(self._state)
            self._state = None
        self.callbacks.destroy(self._user)

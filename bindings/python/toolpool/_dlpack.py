"""DLPack, both ways: <https://dmlc.github.io/dlpack/latest/c_api.html>, the legacy and the versioned capsule."""

from __future__ import annotations

import ctypes
from ctypes import (
    CFUNCTYPE,
    POINTER,
    Structure,
    c_char_p,
    c_int32,
    c_int64,
    c_uint8,
    c_uint16,
    c_uint32,
    c_uint64,
)
from typing import Any

from ._calls import Keeper
from ._dtypes import BY_DLPACK, NAMES, Dtype, dtype_of
from ._errors import InvalidArgument

CPU = (1, 0)

# DLDeviceType of what the host can read: its memory; pinned by CUDA, by ROCm; managed by CUDA.
_HOST = (1, 3, 11, 13)

_READ_ONLY, _COPIED = 1, 2


class _DLTensor(Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", c_int32),
        ("device_id", c_int32),
        ("ndim", c_int32),
        ("code", c_uint8),
        ("bits", c_uint8),
        ("lanes", c_uint16),
        ("shape", POINTER(c_int64)),
        ("strides", POINTER(c_int64)),
        ("byte_offset", c_uint64),
    )


# Called on any thread, after pool and results are gone; ctypes takes the GIL.
_Deleter = CFUNCTYPE(None, ctypes.c_void_p)


class _Managed(Structure):
    _fields_ = (("tensor", _DLTensor), ("manager_ctx", ctypes.c_void_p), ("deleter", _Deleter))


class _ManagedVersioned(Structure):
    _fields_ = (
        ("major", c_uint32),
        ("minor", c_uint32),
        ("manager_ctx", ctypes.c_void_p),
        ("deleter", _Deleter),
        ("flags", c_uint64),
        ("tensor", _DLTensor),
    )


_Capsule = CFUNCTYPE(None, ctypes.c_void_p)  # its destructor
_new = ctypes.pythonapi.PyCapsule_New
_new.restype, _new.argtypes = ctypes.py_object, (ctypes.c_void_p, c_char_p, _Capsule)
# The destructor has a borrowed reference to a dying object, so these take its address.
_is_valid = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, c_char_p)(
    ("PyCapsule_IsValid", ctypes.pythonapi)
)
_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)
_rename = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, c_char_p)(
    ("PyCapsule_SetName", ctypes.pythonapi)
)

_LEGACY, _VERSIONED = b"dltensor", b"dltensor_versioned"
_USED = {_LEGACY: b"used_dltensor", _VERSIONED: b"used_dltensor_versioned"}
_KINDS = {_LEGACY: _Managed, _VERSIONED: _ManagedVersioned}

_exported = Keeper()


def _delete(kind: type[Structure]) -> Any:
    def delete(managed: int) -> None:
        _exported.drop(kind.from_address(managed).manager_ctx)

    return _Deleter(delete)


_DELETERS = {name: _delete(kind) for name, kind in _KINDS.items()}


@_Capsule
def _forget(capsule: int) -> None:
    """Destroys a capsule that nobody took."""
    for name in _KINDS:
        if _is_valid(capsule, name):
            _DELETERS[name](_pointer(capsule, name))


def refuse_what_is_not_exported(stream: Any, dl_device: tuple[int, int] | None) -> None:
    """Raises BufferError, as the protocol says, for another device, or a stream, which the host has not."""
    if stream is not None:
        raise BufferError("outputs are in host memory, where there are no streams")
    if dl_device is not None and tuple(dl_device) != CPU:
        raise BufferError(f"outputs are in host memory, not on DLPack device {tuple(dl_device)}")


def exported(
    address: int,
    dtype: Dtype,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    owner: Any,
    *,
    copied: bool,
    max_version: tuple[int, int] | None,
) -> Any:
    """A capsule over host memory that keeps `owner` alive; strides are in elements.

    It is versioned if the consumer says that it knows version 1, and then says whether the memory is a copy, which may be
    written to, or the results', which may not; the legacy capsule cannot say it.
    """
    name = _VERSIONED if max_version is not None and max_version[0] >= 1 else _LEGACY
    managed = _KINDS[name]()
    sizes, steps = (c_int64 * len(shape))(*shape), (c_int64 * len(shape))(*strides)
    tensor = managed.tensor
    tensor.data, tensor.ndim = address, len(shape)
    tensor.device_type, tensor.device_id = CPU
    (tensor.code, tensor.bits), tensor.lanes = dtype.dlpack, 1
    tensor.shape = ctypes.cast(sizes, POINTER(c_int64))
    tensor.strides = ctypes.cast(steps, POINTER(c_int64))
    if name == _VERSIONED:
        managed.major, managed.minor, managed.flags = 1, 0, _COPIED if copied else _READ_ONLY
    managed.deleter = _DELETERS[name]
    managed.manager_ctx = _exported.keep((managed, sizes, steps, owner))
    return _new(ctypes.addressof(managed), name, _forget)


class Imported:
    """A tensor of another library, in host memory, kept alive with this object. Strides are in elements."""

    dtype: Dtype
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    data: int
    read_only: bool

    def __init__(self, producer: Any):
        self._deleter: Any = None
        # numpy before 2.1 exports no array that is read-only, and tells whoever asks so.
        if hasattr(producer, "__array_interface__"):
            self._take_array(producer)
        else:
            self._take_capsule(producer)

    @property
    def is_dense(self) -> bool:
        """Whether its elements lie row by row, one after the other."""
        return 0 in self.shape or all(
            step == dense or size == 1
            for size, step, dense in zip(self.shape, self.strides, dense_strides(self.shape))
        )

    def _take_array(self, array: Any) -> None:
        interface = array.__array_interface__
        dtype = dtype_of(array)
        if dtype is None:
            said = getattr(array, "dtype", interface["typestr"])
            raise InvalidArgument(f"an array has the type {said}; toolpool has {NAMES}")
        self._owner, self.dtype, self.shape = array, dtype, tuple(interface["shape"])
        self.data, self.read_only = interface["data"]
        steps = interface.get("strides")
        if steps is None:
            self.strides = dense_strides(self.shape)
        elif any(step % dtype.itemsize for step in steps):
            raise InvalidArgument(
                f"an array of {dtype.name} has strides of {steps} bytes, which are no whole elements; copy it first"
            )
        else:
            self.strides = tuple(step // dtype.itemsize for step in steps)

    def _take_capsule(self, producer: Any) -> None:
        device = tuple(map(int, producer.__dlpack_device__()))
        if device[0] not in _HOST:
            raise InvalidArgument(
                f"a tensor is on DLPack device {device}; toolpool reads host memory: move it there first"
            )
        capsule = _capsule(producer)
        name = next((name for name in _KINDS if _is_valid(id(capsule), name)), None)
        if name is None:
            raise InvalidArgument(
                f"{type(producer).__name__}.__dlpack__ gave no capsule that is still to be taken"
            )
        self._address = _pointer(id(capsule), name)
        self._managed = _KINDS[name].from_address(self._address)
        _rename(id(capsule), _USED[name])
        self._deleter = self._managed.deleter
        tensor = self._managed.tensor
        kind = (tensor.code, tensor.bits)
        if kind not in BY_DLPACK or tensor.lanes != 1:
            raise InvalidArgument(
                f"a tensor has DLPack type {kind} × {tensor.lanes}; toolpool has {NAMES}"
            )
        self.dtype = BY_DLPACK[kind]
        self.shape = tuple(tensor.shape[: tensor.ndim])
        self.strides = (
            tuple(tensor.strides[: tensor.ndim]) if tensor.strides else dense_strides(self.shape)
        )
        self.data = (tensor.data or 0) + tensor.byte_offset
        self.read_only = name == _VERSIONED and bool(self._managed.flags & _READ_ONLY)

    def __del__(self) -> None:
        if self._deleter:
            self._deleter(self._address)


def _capsule(producer: Any) -> Any:
    try:  # producers that are older than the protocol's version 1 do not know the argument
        return producer.__dlpack__(max_version=(1, 0))
    except TypeError:
        return producer.__dlpack__()


def dense_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The steps, in elements, of a row-major tensor."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))

"""The Arrow C data interface, both ways: <https://arrow.apache.org/docs/format/CDataInterface.html>.

Columns of any library that has the PyCapsule protocol (pyarrow, polars, nanoarrow, duckdb …) come in; outputs go out.
"""

from __future__ import annotations

import ctypes
from ctypes import CFUNCTYPE, POINTER, Structure, byref, c_char_p, c_int, c_int64, c_void_p
from typing import Any

from ._calls import Keeper
from ._errors import InvalidArgument


class ArrowSchema(Structure):
    """struct ArrowSchema."""


class ArrowArray(Structure):
    """struct ArrowArray."""


class _Stream(Structure):
    """struct ArrowArrayStream."""


_ReleaseSchema = CFUNCTYPE(None, POINTER(ArrowSchema))
_ReleaseArray = CFUNCTYPE(None, POINTER(ArrowArray))

ArrowSchema._fields_ = (
    ("format", c_char_p),
    ("name", c_char_p),
    ("metadata", c_void_p),
    ("flags", c_int64),
    ("n_children", c_int64),
    ("children", POINTER(POINTER(ArrowSchema))),
    ("dictionary", c_void_p),
    ("release", _ReleaseSchema),
    ("private_data", c_void_p),
)
ArrowArray._fields_ = (
    ("length", c_int64),
    ("null_count", c_int64),
    ("offset", c_int64),
    ("n_buffers", c_int64),
    ("n_children", c_int64),
    ("buffers", POINTER(c_void_p)),
    ("children", POINTER(POINTER(ArrowArray))),
    ("dictionary", c_void_p),
    ("release", _ReleaseArray),
    ("private_data", c_void_p),
)
_Stream._fields_ = (
    ("get_schema", CFUNCTYPE(c_int, POINTER(_Stream), POINTER(ArrowSchema))),
    ("get_next", CFUNCTYPE(c_int, POINTER(_Stream), POINTER(ArrowArray))),
    ("get_last_error", CFUNCTYPE(c_char_p, POINTER(_Stream))),
    ("release", CFUNCTYPE(None, POINTER(_Stream))),
    ("private_data", c_void_p),
)

_Destructor = CFUNCTYPE(None, c_void_p)
_new = ctypes.pythonapi.PyCapsule_New
_new.restype, _new.argtypes = ctypes.py_object, (c_void_p, c_char_p, _Destructor)
_pointer = ctypes.PYFUNCTYPE(c_void_p, ctypes.py_object, c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)
# A dying capsule must not be referenced again: by its address.
_dying = ctypes.PYFUNCTYPE(c_void_p, c_void_p, c_char_p)(("PyCapsule_GetPointer", ctypes.pythonapi))


class Column:
    """An array of another library, moved out of its capsules: released with this object."""

    def __init__(self, format: str, array: ArrowArray):
        self.format, self.array = format, array

    def __len__(self) -> int:
        return self.array.length

    def __del__(self) -> None:
        if self.array.release:
            self.array.release(byref(self.array))

    def buffer(self, number: int) -> int:
        """The address of a buffer, 0 for NULL."""
        return self.array.buffers[number] or 0

    def first_null(self) -> int | None:
        """The position of the first null, if there is one."""
        validity = self.buffer(0)
        if self.array.null_count == 0 or not validity or not len(self):
            return None
        offset = self.array.offset
        bits = (ctypes.c_uint8 * ((offset + len(self) + 7) // 8)).from_address(validity)
        return next(
            (i for i in range(len(self)) if not bits[(offset + i) >> 3] >> ((offset + i) & 7) & 1),
            None,
        )


def is_arrow(value: Any) -> bool:
    """Whether a value speaks Arrow's PyCapsule protocol."""
    return hasattr(value, "__arrow_c_array__") or hasattr(value, "__arrow_c_stream__")


def columns(value: Any) -> list[Column]:
    """The chunks of a column, in their order, where they lie."""
    if hasattr(value, "__arrow_c_array__"):
        schema, array = value.__arrow_c_array__()
        format = _format(ArrowSchema.from_address(_pointer(schema, b"arrow_schema")))
        return [Column(format, _moved(ArrowArray.from_address(_pointer(array, b"arrow_array"))))]
    stream = value.__arrow_c_stream__()
    return list(_chunks(_Stream.from_address(_pointer(stream, b"arrow_array_stream"))))


def _chunks(stream: _Stream) -> Any:
    schema = ArrowSchema()
    _checked(stream, stream.get_schema(byref(stream), byref(schema)))
    format = _format(schema)
    schema.release(byref(schema))
    while True:
        array = ArrowArray()
        _checked(stream, stream.get_next(byref(stream), byref(array)))
        if not array.release:
            return
        yield Column(format, array)


def _checked(stream: _Stream, status: int) -> None:
    if status:
        said = stream.get_last_error(byref(stream)) or b"no reason given"
        raise InvalidArgument(
            f"an Arrow stream failed: {said.decode('utf-8', 'replace')} (errno {status})"
        )


def _format(schema: ArrowSchema) -> str:
    if schema.dictionary:
        raise InvalidArgument(
            "an Arrow column is dictionary-encoded; cast it to plain strings first"
        )
    return schema.format.decode()


def _moved(array: ArrowArray) -> ArrowArray:
    """The C interface's way to take an array: a copy of the struct, and `release` set to NULL in the old place."""
    moved = ArrowArray.from_buffer_copy(array)
    array.release = _ReleaseArray()
    return moved


_exported = Keeper()


@_ReleaseSchema
def _release_schema(schema: Any) -> None:
    _released(schema.contents)


@_ReleaseArray
def _release_array(array: Any) -> None:
    _released(array.contents)


def _released(node: Any) -> None:
    for i in range(node.n_children):
        child = node.children[i].contents
        if child.release:
            child.release(byref(child))
    _exported.drop(node.private_data)
    node.release = type(node.release)()


def schema_node(
    format: str, name: str = "", children: list[ArrowSchema] | None = None, nullable: bool = True
) -> Any:
    """A node of an exported schema."""
    children = children or []
    pointers = (POINTER(ArrowSchema) * len(children))(*map(ctypes.pointer, children))
    node = ArrowSchema(
        format=format.encode(),
        name=name.encode(),
        flags=2 if nullable else 0,
        n_children=len(children),
        children=ctypes.cast(pointers, POINTER(POINTER(ArrowSchema))),
        release=_release_schema,
    )
    node.private_data = _exported.keep((node, pointers, children))
    return node


def array_node(
    length: int, buffers: list[Any], children: list[ArrowArray] | None = None, null_count: int = 0
) -> Any:
    """A node of an exported array over `buffers`: None, or what has `ctypes.data` as numpy arrays do; kept alive."""
    children = children or []
    pointers = (POINTER(ArrowArray) * len(children))(*map(ctypes.pointer, children))
    addresses = (c_void_p * len(buffers))(
        *(None if buffer is None else buffer.ctypes.data for buffer in buffers)
    )
    node = ArrowArray(
        length=length,
        null_count=null_count,
        n_buffers=len(buffers),
        n_children=len(children),
        buffers=ctypes.cast(addresses, POINTER(c_void_p)),
        children=ctypes.cast(pointers, POINTER(POINTER(ArrowArray))),
        release=_release_array,
    )
    node.private_data = _exported.keep((node, pointers, children, addresses, buffers))
    return node


@_Destructor
def _destroy_schema(capsule: int) -> None:
    schema = ArrowSchema.from_address(_dying(capsule, b"arrow_schema"))
    if schema.release:
        schema.release(byref(schema))
    _capsules.drop(ctypes.addressof(schema))


@_Destructor
def _destroy_array(capsule: int) -> None:
    array = ArrowArray.from_address(_dying(capsule, b"arrow_array"))
    if array.release:
        array.release(byref(array))
    _capsules.drop(ctypes.addressof(array))


class _Capsules:
    """The structs that capsules point to, by address: consumers move them out, the capsule frees them."""

    def __init__(self) -> None:
        self._kept: dict[int, Any] = {}

    def keep(self, struct: Any) -> int:
        address = ctypes.addressof(struct)
        self._kept[address] = struct
        return address

    def drop(self, address: int) -> None:
        self._kept.pop(address, None)


_capsules = _Capsules()


def schema_capsule(schema: ArrowSchema) -> Any:
    """The capsule `arrow_schema` around a root node."""
    return _new(_capsules.keep(schema), b"arrow_schema", _destroy_schema)


def array_capsule(array: ArrowArray) -> Any:
    """The capsule `arrow_array` around a root node."""
    return _new(_capsules.keep(array), b"arrow_array", _destroy_array)

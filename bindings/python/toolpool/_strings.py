"""Byte strings as items: one buffer and offsets, which is how Arrow columns lie in memory already."""

from __future__ import annotations

import ctypes
import struct
import sys
from array import array
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Any

from . import _arrow
from ._calls import Handle, call, lent, made, release
from ._errors import InvalidArgument
from ._library import lib

BYTES_LIKE = (bytes, bytearray, memoryview)


class Strings:
    """Addresses of bytes and of n + 1 offsets into them, of 64 bits or, if `narrow`, of 32; `owner` keeps both."""

    def __init__(self, data: int, offsets: int, length: int, owner: Any, *, narrow: bool = False):
        self.data, self.offsets, self.length, self.owner, self.narrow = (
            data,
            offsets,
            length,
            owner,
            narrow,
        )

    def __len__(self) -> int:
        return self.length

    def make(self, name: str | None) -> Handle:
        """Items with these as their first field."""
        if name not in (None, "input"):
            raise InvalidArgument(f"the first field of strings is called 'input', not '{name}'")
        borrow = lib.toolpool_items_borrow32 if self.narrow else lib.toolpool_items_borrow
        with lent(self.owner) as key:
            return made(
                lib.toolpool_items_free, borrow, self.data, self.offsets, self.length, release, key
            )

    def add(self, items: Handle, name: str) -> None:
        """Adds these to items as one more field."""
        offsets = self.wide_offsets()
        with lent((self.owner, offsets)) as key:
            call(
                lib.toolpool_items_add_field,
                items,
                name.encode(),
                self.data,
                offsets.buffer_info()[0],
                self.length,
                release,
                key,
            )

    def wide_offsets(self) -> array[int]:
        """The offsets as 64 bits, copied."""
        kind = ctypes.c_int32 if self.narrow else ctypes.c_int64
        return array("q", (kind * (self.length + 1)).from_address(self.offsets))


def of_buffer(data: bytes, lengths: Iterable[int]) -> Strings:
    """The strings that `data` holds one after the other."""
    offsets = _offsets(lengths)
    address = ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value or 0
    return Strings(
        address,
        ctypes.addressof(ctypes.c_char.from_buffer(offsets)),
        len(offsets) - 1,
        (data, offsets),
    )


def _offsets(lengths: Iterable[int]) -> Any:
    """The sums of the first 0, 1 … lengths, as 64 bits: by numpy in half the time, if the program uses it anyway."""
    np = sys.modules.get("numpy")
    if np is None:
        return array("q", accumulate(lengths, initial=0))
    sizes = np.fromiter(lengths, np.int64)
    return np.concatenate((np.zeros(1, np.int64), np.cumsum(sizes)))


def of_texts(texts: list[str]) -> Strings:
    """A list of str, as UTF-8."""
    try:
        text = "".join(texts)
        if text.isascii():
            return of_buffer(text.encode("ascii"), map(len, texts))
        encoded = [one.encode() for one in texts]
    except (TypeError, UnicodeEncodeError):
        raise _not_text(texts) from None
    return of_buffer(b"".join(encoded), map(len, encoded))


def _not_text(texts: list[Any]) -> InvalidArgument:
    """Names the first entry that is no text."""
    for index, one in enumerate(texts):
        if not isinstance(one, str):
            return InvalidArgument(f"item {index} is a {type(one).__name__} among str", index)
        try:
            one.encode()
        except UnicodeEncodeError as error:
            return InvalidArgument(f"item {index} cannot be written as UTF-8: {error}", index)
    raise AssertionError("every entry is text")


def of_bytes(strings: list[Any]) -> Strings:
    """A list of bytes, bytearrays and memoryviews."""
    for index, one in enumerate(strings):
        if not isinstance(one, BYTES_LIKE):
            raise InvalidArgument(f"item {index} is a {type(one).__name__} among bytes", index)
    return of_buffer(b"".join(strings), (memoryview(one).nbytes for one in strings))


# Formats of Arrow's C interface: bytes with offsets of 32 bits, of 64, and views.
_NARROW, _WIDE, _VIEWS = ("u", "z"), ("U", "Z"), ("vu", "vz")


def of_arrow(column: Any) -> Strings:
    """An Arrow column of strings or binary: where it lies, unless it is of views or in several chunks."""
    chunks = [chunk for chunk in _arrow.columns(column) if len(chunk)]
    _refuse_nulls(chunks)
    for chunk in chunks:
        if chunk.format not in _NARROW + _WIDE + _VIEWS:
            raise InvalidArgument(
                f"an Arrow column has format '{chunk.format}'; items are made of strings or binary: cast it first"
            )
    if len(chunks) == 1 and chunks[0].format not in _VIEWS:
        return _of_chunk(chunks[0])
    values = [value for chunk in chunks for value in _values(chunk)]
    return of_buffer(b"".join(values), map(len, values))


def _refuse_nulls(chunks: list[_arrow.Column]) -> None:
    before = 0
    for chunk in chunks:
        null = chunk.first_null()
        if null is not None:
            index = before + null
            raise InvalidArgument(
                f"item {index} is null; fill or drop the nulls of the column first", index
            )
        before += len(chunk)


def _of_chunk(chunk: _arrow.Column) -> Strings:
    narrow = chunk.format in _NARROW
    offsets = chunk.buffer(1) + chunk.array.offset * (4 if narrow else 8)
    return Strings(chunk.buffer(2), offsets, len(chunk), chunk, narrow=narrow)


def _values(chunk: _arrow.Column) -> Iterator[bytes]:
    if chunk.format in _VIEWS:
        return _viewed(chunk)
    strings = _of_chunk(chunk)
    offsets = strings.wide_offsets()
    first = offsets[0]
    data = ctypes.string_at(strings.data + first, offsets[-1] - first)
    return (data[start - first : end - first] for start, end in zip(offsets, offsets[1:]))


def _viewed(chunk: _arrow.Column) -> Iterator[bytes]:
    """The values of a view array: up to 12 bytes lie in the view, longer ones in one of several buffers.

    The buffers are: validity, views, the data buffers, and the sizes of these.
    """
    count, n_data = len(chunk), chunk.array.n_buffers - 3
    sizes = (ctypes.c_int64 * n_data).from_address(chunk.buffer(n_data + 2)) if n_data > 0 else ()
    data = [ctypes.string_at(chunk.buffer(2 + i), size) for i, size in enumerate(sizes)]
    views = ctypes.string_at(chunk.buffer(1) + 16 * chunk.array.offset, 16 * count)
    places = zip(range(0, 16 * count, 16), struct.iter_unpack("=iiii", views))
    return (
        views[at + 4 : at + 4 + length] if length <= 12 else data[buffer][offset : offset + length]
        for at, (length, _, buffer, offset) in places
    )

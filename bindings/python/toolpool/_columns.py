"""Columns of byte strings as lists of bytes."""

from __future__ import annotations

import ctypes
import io
import struct
from typing import Any

from . import _signatures as c

NO_CHUNK = 0xFFFF_FFFF

# A row that follows the one before is read faster than one that is cut out; to begin anew costs as much as some rows.
_ROWS_A_RUN = 8


def strings_of(view: Any) -> list[bytes | None]:
    """The byte strings of a toolpool_column_t, None where an item has none.

    A row is an offset, a length, a chunk, and padding: `=QQII`.
    """
    chunks = [
        ctypes.string_at(view.chunks[i].data, view.chunks[i].bytes) for i in range(view.n_chunks)
    ]
    rows = ctypes.string_at(view.rows, view.n_rows * ctypes.sizeof(c.toolpool_row_t))
    return _read(chunks, rows) or [
        None if chunk == NO_CHUNK else chunks[chunk][offset : offset + length]
        for offset, length, chunk, _ in struct.iter_unpack("=QQII", rows)
    ]


def _read(chunks: list[bytes], rows: bytes) -> list[bytes | None] | None:
    """The same, where most rows lie one after the other, as those of a batch do, and numpy is there to see it."""
    try:
        import numpy as np
    except ImportError:
        return None
    table = np.frombuffer(rows, [("offset", "i8"), ("length", "i8"), ("chunk", "u4"), ("_", "u4")])
    if (table["chunk"] == NO_CHUNK).any():
        return None
    sizes = np.array([len(chunk) for chunk in chunks], np.int64)
    starts = (np.cumsum(sizes) - sizes)[table["chunk"]] + table["offset"]
    ends = starts + table["length"]
    begun = np.flatnonzero(np.concatenate(([True], starts[1:] != ends[:-1])))
    if len(begun) * _ROWS_A_RUN > len(table):
        return None
    data, lengths = io.BytesIO(b"".join(chunks)), table["length"].tolist()
    strings: list[bytes | None] = []
    for first, after, at in zip(
        begun.tolist(), [*begun[1:].tolist(), len(lengths)], starts[begun].tolist()
    ):
        data.seek(at)
        strings += map(data.read, lengths[first:after])
    return strings

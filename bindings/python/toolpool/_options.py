"""Options as text, which is how the C surface takes them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from ._calls import Handle, call, made
from ._errors import OptionError
from ._library import lib


def texts(options: Mapping[str, Any]) -> list[tuple[bytes, bytes]]:
    """Keys and values as the C surface reads them. What is None is left at its default."""
    return [
        (key.encode(), _text(key, value)) for key, value in options.items() if value is not None
    ]


def of_job(options: Mapping[str, Any]) -> Handle:
    """The options of a run, each of them checked."""
    chosen = made(lib.toolpool_options_free, lib.toolpool_options_new)
    for key, value in texts(options):
        call(lib.toolpool_options_set, chosen, key, value)
    return chosen


def _text(key: str, value: Any) -> bytes:
    """A value as the C surface reads it: `true`, a number, a path, or a list with commas."""
    if hasattr(value, "item") and not getattr(value, "ndim", 0):  # a number of numpy or torch
        value = value.item()
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, (str, os.PathLike)):
        return os.fspath(value).encode()
    if isinstance(value, (int, float)):
        return repr(value).encode()
    if isinstance(value, Iterable):
        return b",".join(_text(key, one) for one in value)
    raise OptionError(
        f"the option {key} is text, a number, a bool, a path or a list of such, not {value!r}"
    )

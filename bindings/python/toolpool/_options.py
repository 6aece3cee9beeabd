"""Options as text, which is how the C surface takes them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from ._errors import OptionError


def text(key: str, value: Any) -> bytes:
    """A value as the C surface reads it: `true`, a number, a path, or a list with commas."""
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, (str, os.PathLike)):
        return os.fspath(value).encode()
    if isinstance(value, (int, float)):
        return repr(value).encode()
    if isinstance(value, Iterable):
        return b",".join(text(key, one) for one in value)
    raise OptionError(
        f"the option {key} is text, a number, a bool, a path or a list of such, not {value!r}"
    )

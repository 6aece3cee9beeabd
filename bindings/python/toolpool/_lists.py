"""Lists as callers and functions give them: their entries, and lists of the same kind made of entries again."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any


class NotListed(Exception):
    """What was given is no list; the message says what it is."""


def entries(value: Any) -> list[Any]:
    """The entries of a list; what is no list is one entry."""
    try:
        return listed(value)
    except NotListed:
        return [value]


def listed(given: Any) -> list[Any]:
    """What was given for several items, such as outputs for a batch, in its order.

    Raises NotListed for what would be taken apart, or come in any order, if it were read entry by entry: text, bytes, dicts,
    tables, sets.
    """
    one_thing = (str, bytes, bytearray, memoryview, Mapping, set, frozenset)
    what = "None" if given is None else f"a {type(given).__name__}"
    if isinstance(given, one_thing) or hasattr(given, "columns"):
        raise NotListed(what)
    try:
        iterator = iter(given)
    except TypeError:
        raise NotListed(what) from None
    if _is_tensor(type(given)):  # a view of one row would be pickled with the whole tensor
        return [row.clone() for row in iterator]
    return list(iterator)


def sequence(given: Any) -> Any:
    """What was given, if `gathered` makes such of entries; else its entries in a list, as by `listed`."""
    return listed(given) if kind_of(given) is list else given


def kind_of(value: Any) -> type:
    """What `gathered` makes of the entries of a value: a tuple, a numpy array, a torch tensor; a list of all else."""
    kind = type(value)
    if kind is tuple:
        return tuple
    name = f"{kind.__module__}.{kind.__qualname__}"
    if name == "toolpool._ndarray.Array":  # a view of an output
        name, kind = "numpy.ndarray", kind.__mro__[1]
    is_array = (name == "numpy.ndarray" or _is_tensor(kind)) and value.ndim > 0
    return kind if is_array and str(value.dtype) != "object" else list


def _is_tensor(kind: type) -> bool:
    return (kind.__module__, kind.__qualname__) == ("torch", "Tensor")


def gathered(kind: type, entries: list[Any]) -> Any:
    """Entries as one of that kind. Raises what numpy or torch raise where they cannot be one array."""
    if kind is list:
        return entries
    if kind is tuple:
        return tuple(entries)
    return importlib.import_module("torch" if _is_tensor(kind) else "numpy").stack(entries)


def repeated(kind: type, entry: Any, times: int) -> Any:
    """One entry several times, as one of that kind; arrays are views of it."""
    if kind in (list, tuple):
        return kind([entry] * times)
    if _is_tensor(kind):
        return entry.expand(times, *entry.shape)
    import numpy as np

    return np.broadcast_to(entry, (times, *np.shape(entry)))

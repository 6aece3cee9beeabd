"""Calls of the C surface: their errors as exceptions, their handles as objects that free themselves."""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from . import _signatures as c
from ._errors import ToolPoolError, error_of
from ._library import lib

_NO_ITEM = ctypes.c_size_t(-1).value


def call(function: Callable[..., int], *arguments: Any) -> int:
    """Calls a function whose last parameter is `err`; its status if that is no error."""
    error = ctypes.c_void_p()
    status = function(*arguments, ctypes.byref(error))
    if status < 0:
        raise _taken(status, error)
    return status


def _taken(status: int, error: ctypes.c_void_p) -> ToolPoolError:
    message = lib.toolpool_error_message(error).decode("utf-8", "replace") or f"status {status}"
    item = lib.toolpool_error_item(error)
    lib.toolpool_error_free(error)
    return error_of(status, message, None if item == _NO_ITEM else item)


class Handle:
    """A handle of the C surface, freed with its last reference. A parameter of ctypes as it is."""

    __slots__ = ("__weakref__", "_as_parameter_", "_free")

    def __init__(self, address: int, free: Callable[[int], None]):
        self._as_parameter_ = address
        self._free = free

    def __del__(self) -> None:
        self._free(self._as_parameter_)


def made(free: Callable[[int], None], function: Callable[..., int], *arguments: Any) -> Handle:
    """The handle that a function leaves in the parameter before `err`."""
    out = ctypes.c_void_p()
    call(function, *arguments, ctypes.byref(out))
    return Handle(out.value or 0, free)


def sized(struct: type[ctypes.Structure]) -> Any:
    """A struct of the C surface as its INIT macro makes it, for the library to fill in."""
    return struct(size=ctypes.sizeof(struct))


class Keeper:
    """Keeps Python objects for the library, which knows them by number."""

    def __init__(self) -> None:
        self._kept: dict[int, Any] = {}
        self._numbers = itertools.count(1)

    def keep(self, thing: Any) -> int:
        number = next(self._numbers)
        self._kept[number] = thing
        return number

    def __getitem__(self, number: int) -> Any:
        return self._kept[number]

    def drop(self, number: int) -> None:
        self._kept.pop(number, None)

    def clear(self) -> None:
        self._kept.clear()

    def __len__(self) -> int:
        return len(self._kept)

    @contextmanager
    def handed_over(self, thing: Any) -> Iterator[int]:
        """Keeps a thing that the library takes in this block; if the block raises, it has not taken it."""
        number = self.keep(thing)
        try:
            yield number
        except BaseException:
            self.drop(number)
            raise


_borrowed = Keeper()

# Gives back what is `lent`. Called on any thread; ctypes takes the GIL.
release = c.toolpool_release_t(_borrowed.drop)
lent = _borrowed.handed_over

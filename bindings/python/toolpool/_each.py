"""Functions of one item as tools of batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ._process import Named, function_of
from ._python_tool import PythonTool

# Outputs come when their batch is done, and nobody knows how long an item takes; a batch itself costs some 50 µs.
_BATCH = 64


class _Each:
    """Calls a function with each item's arguments; what it raises concerns that item alone."""

    def __init__(self, function: Callable[..., Any]):
        self._function = function
        self.named = isinstance(function, Named)
        self.__name__ = getattr(function, "__name__", type(function).__name__)

    def __call__(self, items: list[tuple[Any, ...]]) -> list[Any]:
        return [self._of(arguments) for arguments in items]

    def _of(self, arguments: tuple[Any, ...]) -> Any:
        try:
            return self._function(*arguments)
        except Exception as error:
            return error


def each(function: Callable[..., Any] | str) -> PythonTool:
    """A tool that calls `function`, or the function of that name, with one item at a time."""
    return PythonTool(_Each(function_of(function)), batch_items=_BATCH)

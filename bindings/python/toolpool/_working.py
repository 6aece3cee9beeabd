"""Which threads run functions of the caller, and how these end before they are done."""

from __future__ import annotations

import ctypes
import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ._errors import Stopped


class Working:
    """The threads that work for one thing, such as a run. Any thread may stop them."""

    def __init__(self) -> None:
        self._stops: dict[int, Callable[[], None]] = {}
        self._turn = threading.Lock()

    @contextmanager
    def on(self, stop: Callable[[], None] | None = None) -> Iterator[None]:
        """Marks this thread as working; `stop`, called by another, ends that soon. Without it, Stopped is raised here."""
        thread = threading.get_ident()
        with self._turn:
            self._stops[thread] = stop or functools.partial(_raise_in, thread, Stopped)
        try:
            yield
        finally:
            with self._turn:
                self._stops.pop(thread, None)

    def stop(self) -> None:
        """Ends what is worked on, each work once."""
        with self._turn:
            while self._stops:
                self._stops.popitem()[1]()


# The thread sees the exception at its next line of Python.
_raise_in = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_ulong, ctypes.py_object)(
    ("PyThreadState_SetAsyncExc", ctypes.pythonapi)
)

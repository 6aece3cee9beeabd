"""Waits that Ctrl-C ends: Python looks for it between calls, and not while one is in C."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import TypeVar

from ._errors import InvalidArgument

# No call that waits is longer than this.
SLICE_MS = 50

_T = TypeVar("_T")


def slices(timeout: float | None) -> Iterator[int]:
    """The milliseconds of short waits, one after the other, until `timeout` seconds are over: at least one, None: for ever."""
    if timeout is not None and math.isnan(timeout):
        raise InvalidArgument("timeout is a number of seconds, or None for no limit, not nan")
    deadline = math.inf if timeout is None else time.monotonic() + timeout
    while True:
        left_ms = (deadline - time.monotonic()) * 1000
        yield max(0, math.ceil(min(SLICE_MS, left_ms)))
        if left_ms <= 0:
            return


def interruptibly(work: Callable[[], _T]) -> _T:
    """Does what waits in C with no limit, on a thread of its own: if this one is interrupted, that goes on alone.

    Only the main thread is ever interrupted. On others, which may be inside a tool, the library must see who calls.
    """
    outcome: Future[_T] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:
            outcome.set_exception(error)

    if threading.current_thread() is not threading.main_thread():
        return work()
    try:
        threading.Thread(target=run, daemon=True).start()
    except RuntimeError:  # Python is about to end, and starts no thread any more
        return work()
    return outcome.result()

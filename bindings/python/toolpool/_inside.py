"""Whether this thread is inside a tool of a pool, and on which device."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_here = threading.local()


@contextmanager
def inside(device: str) -> Iterator[None]:
    """Marks this thread as working on `device` for a pool."""
    _here.device = device
    try:
        yield
    finally:
        _here.device = None


def device_inside() -> str | None:
    """The device that this thread works on for a pool; None outside of a tool."""
    return getattr(_here, "device", None)

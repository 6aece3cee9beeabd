"""Whether code runs inside a tool of a pool, and on which device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

# Of the context and not of the thread: asyncio's tasks and `asyncio.to_thread` take it along.
_device: ContextVar[str | None] = ContextVar("toolpool_device", default=None)


@contextmanager
def inside(device: str) -> Iterator[None]:
    """Marks this context as working on `device` for a pool."""
    before = _device.set(device)
    try:
        yield
    finally:
        _device.reset(before)


def device_inside() -> str | None:
    """The device that this context works on for a pool; None outside of a tool."""
    return _device.get()

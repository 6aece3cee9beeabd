"""The errors of the C surface as exceptions, one class for each status."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import _signatures as c

if TYPE_CHECKING:
    from collections.abc import Sequence


class ToolPoolError(Exception):
    """What a call of toolpool answered; also what a tool may raise, so that the pool knows what it means.

    `status` is the negative number of the C surface. `item` is the caller's index of the item it concerns, or None.
    """

    status = c.TOOLPOOL_ERR_FAILED

    def __init__(self, message: str, item: int | None = None):
        super().__init__(message)
        self.item = item


class InternalError(ToolPoolError):
    """A defect inside toolpool. Please report it."""

    status = c.TOOLPOOL_ERR_INTERNAL


class InvalidArgument(ToolPoolError, ValueError):
    """An argument is out of range or of a wrong kind."""

    status = c.TOOLPOOL_ERR_ARGUMENT


class DeviceError(ToolPoolError, ValueError):
    """A device that is not visible, or no device at all."""

    status = c.TOOLPOOL_ERR_DEVICE


class OptionError(ToolPoolError, ValueError):
    """An option's key or value is not known; the message lists what is."""

    status = c.TOOLPOOL_ERR_OPTION


class UnknownTool(ToolPoolError, ValueError):
    """No tool of that kind, or a library without it."""

    status = c.TOOLPOOL_ERR_TOOL


class ModelError(ToolPoolError):
    """The model's files are absent, damaged or not what their config says."""

    status = c.TOOLPOOL_ERR_MODEL


class BackendError(ToolPoolError):
    """The tool's backend, or libtorch, is absent or of another version."""

    status = c.TOOLPOOL_ERR_BACKEND


class ItemError(ToolPoolError):
    """This item cannot be processed; others are not affected."""

    status = c.TOOLPOOL_ERR_ITEM


class OutOfMemory(ToolPoolError, MemoryError):
    """Out of memory. Raised by a tool: the batch is halved and tried again."""

    status = c.TOOLPOOL_ERR_OUT_OF_MEMORY


class DeviceLost(ToolPoolError):
    """The device is gone. Raised by a tool: the slot is given up and its batch goes to the others."""

    status = c.TOOLPOOL_ERR_DEVICE_LOST


class ContractError(ToolPoolError):
    """The tool did not give what it must: one output for each item."""

    status = c.TOOLPOOL_ERR_CONTRACT


class Cancelled(ToolPoolError):
    """The job was cancelled before this item was done."""

    status = c.TOOLPOOL_ERR_CANCELLED


class PoolClosed(ToolPoolError):
    """The pool is closed."""

    status = c.TOOLPOOL_ERR_CLOSED


class Reentrant(ToolPoolError, RuntimeError):
    """A tool has waited for the pool that runs it."""

    status = c.TOOLPOOL_ERR_REENTRANT


class Forked(ToolPoolError, RuntimeError):
    """The pool belongs to the parent of this forked process."""

    status = c.TOOLPOOL_ERR_FORKED


class NotFound(ToolPoolError, LookupError):
    """No item or output of that index or name."""

    status = c.TOOLPOOL_ERR_NOT_FOUND


class ToolFailed(ToolPoolError):
    """The tool failed; where it is Python, its exception is the `__cause__`."""

    status = c.TOOLPOOL_ERR_FAILED


class TimeLimit(ToolPoolError, TimeoutError):
    """A time limit ran out before this was done."""

    status = c.TOOLPOOL_ERR_TIME_LIMIT


class Transient(ToolPoolError):
    """Raised by a tool: the same may succeed later. It is tried again a few times, after everything else."""

    status = c.TOOLPOOL_ERR_TRANSIENT


class Crashed(ToolPoolError):
    """The process that the tool ran in died over this item."""

    status = c.TOOLPOOL_ERR_CRASHED


class Stopped(BaseException):
    """Raised in a Python function whose run was left, past every `except Exception` of it."""

    status = c.TOOLPOOL_ERR_CANCELLED


@dataclass(frozen=True)
class Failure:
    """Why one item failed: its index among the caller's items, where it was tried, and the error."""

    index: int
    device: str | None
    error: ToolPoolError


class PartialFailure(ToolPoolError):
    """Some items of a run failed; nothing else is lost.

    `succeeded` is a list of (index, output), `failed` a list of `Failure`, both in the order of the caller's items and
    with the caller's indices. `results` is what the run gave, where it gave `Results`; it is left out of pickles.
    """

    def __init__(
        self,
        succeeded: Sequence[tuple[int, Any]],
        failed: Sequence[Failure],
        results: Any = None,
    ):
        first = failed[0]
        where = f" on {first.device}" if first.device else ""
        super().__init__(
            f"{len(failed)} of {len(failed) + len(succeeded)} items failed; item {first.index}{where}: {first.error}",
            first.index,
        )
        self.succeeded = list(succeeded)
        self.failed = list(failed)
        self.results = results
        self.__cause__ = first.error

    def __reduce__(self) -> Any:
        # Results are memory of this process; items become dicts.
        return type(self), (self.succeeded, self.failed)


_BY_STATUS = {
    error.status: error for error in ToolPoolError.__subclasses__() if error is not PartialFailure
}


def error_of(status: int, message: str, item: int | None = None) -> ToolPoolError:
    """The exception for a negative status."""
    return _BY_STATUS.get(status, ToolFailed)(message, item)


def status_of(error: BaseException) -> int:
    """The status by which a tool's exception is told to the pool."""
    if isinstance(error, (ToolPoolError, Stopped)):
        return error.status
    # torch's OutOfMemoryError is a RuntimeError, and torch need not be here.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return c.TOOLPOOL_ERR_OUT_OF_MEMORY
    return c.TOOLPOOL_ERR_FAILED

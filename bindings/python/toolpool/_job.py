"""A submitted run."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import _signatures as c
from ._calls import Handle, call, made, sized
from ._errors import Cancelled, Reentrant, TimeLimit, ToolPoolError
from ._library import lib
from ._objects import Objects
from ._report import Report
from ._results import Item, Results
from ._waiting import SLICE_MS, slices

if TYPE_CHECKING:
    from ._pool import ToolPool


@dataclass(frozen=True)
class Progress:
    """How far a run is: items of the caller (`total`, `done`, `failed`), distinct ones, seconds; `remaining_s` may be None.

    `undone` are the items that will not be done any more, once it has ended: it was cancelled or ran out of time.
    """

    total: int
    done: int
    failed: int
    undone: int
    unique: int
    running: int
    elapsed_s: float
    remaining_s: float | None


class Job:
    """A run under way. Any thread may wait for it and take results from it; let go of, it is cancelled.

    A job that failed as a whole (its tool cannot be loaded anywhere, or fails on every item alike) raises why.
    """

    def __init__(self, handle: Handle, pool: ToolPool, objects: Objects | None = None):
        self._handle = handle
        # A pool that nobody else holds would close, and cancel this.
        self._pool = pool
        self._causes: Objects | dict[int, BaseException] = {} if objects is None else objects

    def wait(self, timeout: float | None = None) -> bool:
        """Waits for the end, `timeout` seconds at most: whether it has come. Other threads run meanwhile; Ctrl-C cancels."""
        with self.cancelled_if_left():
            return any(
                call(lib.toolpool_job_wait, self._handle, ms) != c.TOOLPOOL_PENDING
                for ms in slices(timeout)
            )

    def done(self) -> bool:
        """Whether it has ended."""
        return call(lib.toolpool_job_poll, self._handle) == c.TOOLPOOL_OK

    def cancel(self) -> None:
        """Cancels it: batches under way still finish, all else fails with Cancelled. What was done can be taken."""
        call(lib.toolpool_job_cancel, self._handle)

    @contextmanager
    def cancelled_if_left(self) -> Iterator[None]:
        """Cancels it if this block is left by an exception, as by Ctrl-C. Python functions that run for it do not finish
        then: they are left by an exception, and child processes are ended."""
        try:
            yield
        except Reentrant:  # nobody has waited, and the job is not for the tool to end
            raise
        except BaseException:
            self.cancel()
            if isinstance(self._causes, Objects):
                self._causes.stop()
            raise

    def progress(self) -> Progress:
        """How far it is."""
        now = sized(c.toolpool_progress_t)
        call(lib.toolpool_job_progress, self._handle, ctypes.byref(now))
        remaining = now.remaining_s if now.remaining_s >= 0 else None
        return Progress(
            total=now.total,
            done=now.done,
            failed=now.failed,
            undone=now.undone,
            unique=now.unique,
            running=now.running,
            elapsed_s=now.elapsed_s,
            remaining_s=remaining,
        )

    def report(self) -> Report:
        """A report of how far it is, or how it went."""
        return Report(made(lib.toolpool_report_free, lib.toolpool_job_report, self._handle))

    def results(self, timeout: float | None = None) -> Results:
        """Waits, and takes the results that `as_completed` has not taken. Raises TimeLimit after `timeout` seconds."""
        if not self.wait(timeout):
            raise TimeLimit(f"the job has not ended after {timeout} s; it goes on")
        taken, status = self._taken(lib.toolpool_job_results)
        if status == c.TOOLPOOL_DONE:
            raise ToolPoolError("every item of this job has been handed out already")
        return self._results(taken, status, self.report())

    def parts(self) -> Iterator[Results]:
        """Results in pieces, as batches finish, in the order in which they do. `Item.index` says which items they are."""
        while True:
            with self.cancelled_if_left():
                taken, status = self._taken(lib.toolpool_job_next, SLICE_MS)
            if status == c.TOOLPOOL_DONE:
                return
            if status != c.TOOLPOOL_PENDING:
                yield self._results(taken, status, None)

    def as_completed(self) -> Iterator[Item]:
        """Items as they finish, each once."""
        for part in self.parts():
            yield from part

    def _taken(self, function: Any, *arguments: Any) -> tuple[int | None, int]:
        out = ctypes.c_void_p()
        try:
            status = call(function, self._handle, *arguments, ctypes.byref(out))
        except ToolPoolError as error:
            if not isinstance(error, Cancelled):
                error.__cause__ = next(iter(self._causes.values()), None)
            raise
        return out.value, status

    def _results(self, taken: int | None, status: int, report: Report | None) -> Results:
        handle = Handle(taken or 0, lib.toolpool_results_free)
        return Results(handle, status == c.TOOLPOOL_PARTIAL, self._pool.names, self._causes, report)


def as_completed(jobs: Sequence[Job], timeout: float | None = None) -> Iterator[Job]:
    """Jobs as they end, as `concurrent.futures.as_completed` does for futures. Raises TimeLimit after `timeout` seconds."""
    waiting = list(jobs)
    for ms in slices(timeout):
        if not waiting:
            return
        with ExitStack() as interrupted:
            for job in waiting:
                interrupted.enter_context(job.cancelled_if_left())
            waiting[0].wait(ms / 1000)
        ended = [job for job in waiting if job.done()]
        waiting = [job for job in waiting if job not in ended]
        yield from ended
    if waiting:
        raise TimeLimit(f"{len(waiting)} jobs have not ended after {timeout} s; they go on")

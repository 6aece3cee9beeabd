"""A bar for the run and one for each device, by rich."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ._errors import InvalidArgument

if TYPE_CHECKING:
    from ._job import Job

_INTERVAL_S = 0.2


def waited(job: Job, devices: Sequence[str], progress: bool) -> None:
    """Waits for the end of a job, with bars if wanted; cancels it where the wait is interrupted."""
    with job.cancelled_if_left():
        if not progress:
            job.wait()
            return
        with _bars(job, devices) as bars:
            while not job.wait(_INTERVAL_S):
                bars.update()
            bars.end()


@contextmanager
def _bars(job: Job, devices: Sequence[str]) -> Iterator[Any]:
    try:
        from rich import progress as rich
    except ImportError:
        raise InvalidArgument("progress=True needs rich: pip install rich") from None
    columns = (
        rich.TextColumn("{task.description}"),
        rich.BarColumn(),
        rich.MofNCompleteColumn(),
        rich.TextColumn("{task.fields[note]}"),
        rich.TimeElapsedColumn(),
    )
    with rich.Progress(*columns) as bars:
        yield _Bars(bars, job, _labels(devices))


class _Bars:
    """The bars of a run: what is done of all items, and which of the distinct ones each slot did."""

    def __init__(self, bars: Any, job: Job, labels: list[str]):
        self._bars, self._job = bars, job
        start = job.progress()
        self._whole = bars.add_task("all", total=start.total, note="")
        self._slots = [bars.add_task(label, total=start.unique, note="") for label in labels]

    def update(self) -> None:
        now = self._job.progress()
        self._bars.update(self._whole, completed=now.done, note=_note(now.failed, now.remaining_s))
        for task, slot in self._by_slot():
            share = f"{100 * slot['busy_share']:.0f} % busy"
            self._bars.update(task, completed=slot["items"], note="lost" if slot["lost"] else share)

    def end(self) -> None:
        """Shows what each slot did of its own share, which nobody knew before."""
        self.update()
        for task, slot in self._by_slot():
            self._bars.update(task, total=slot["items"])

    def _by_slot(self) -> Iterator[tuple[Any, dict[str, Any]]]:
        return zip(self._slots, self._job.report().figures["slots"])


def _labels(devices: Sequence[str]) -> list[str]:
    """The names of slots; where several are on one device, with their numbers."""
    return [
        f"{device} #{slot}" if devices.count(device) > 1 else device
        for slot, device in enumerate(devices)
    ]


def _note(failed: int, remaining_s: float | None) -> str:
    left = "" if not remaining_s else f"{remaining_s:.0f} s left"
    return f"{left} {failed} failed".strip() if failed else left

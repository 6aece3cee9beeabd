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
        with _bars(job, devices) as update:
            while not job.wait(_INTERVAL_S):
                update()
            update()


@contextmanager
def _bars(job: Job, devices: Sequence[str]) -> Iterator[Any]:
    try:
        from rich import progress as rich
    except ImportError:
        raise InvalidArgument(
            "progress=True needs rich: pip install 'toolpool[progress]'"
        ) from None
    columns = (
        rich.TextColumn("{task.description}"),
        rich.BarColumn(),
        rich.MofNCompleteColumn(),
        rich.TextColumn("{task.fields[note]}"),
        rich.TimeElapsedColumn(),
    )
    with rich.Progress(*columns) as bars:
        start = job.progress()
        whole = bars.add_task("all", total=start.total, note="")
        slots = [bars.add_task(device, total=start.unique, note="") for device in devices]

        def update() -> None:
            now = job.progress()
            bars.update(whole, completed=now.done, note=_note(now.failed, now.remaining_s))
            for task, slot in zip(slots, job.report().figures["slots"]):
                share = f"{100 * slot['busy_share']:.0f} % busy"
                bars.update(task, completed=slot["items"], note="lost" if slot["lost"] else share)

        yield update


def _note(failed: int, remaining_s: float | None) -> str:
    left = "" if not remaining_s else f"{remaining_s:.0f} s left"
    return f"{left} {failed} failed".strip() if failed else left

"""How a run went."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any

from ._calls import Handle
from ._library import lib


class Report:
    """A snapshot of how a run went or how far it is; it outlives run and pool. docs/report.md says what the keys mean."""

    def __init__(self, handle: Handle):
        self._handle = handle

    @cached_property
    def figures(self) -> dict[str, Any]:
        """The figures of the run, and of each slot under `slots`. Times are in seconds."""
        return json.loads(lib.toolpool_report_json(self._handle))

    @property
    def trace(self) -> str:
        """Loads and batches with their times, as JSON that https://ui.perfetto.dev opens."""
        return lib.toolpool_report_trace(self._handle).decode()

    @property
    def timeline(self) -> str:
        """The same as an SVG; a notebook shows it by itself."""
        return lib.toolpool_report_timeline(self._handle).decode()

    def _repr_svg_(self) -> str:
        return self.timeline

    def __repr__(self) -> str:
        figures = self.figures
        return (
            f"Report({figures['done']} of {figures['total']} items in {figures['elapsed_s']:.3f} s)"
        )

"""Static LPT, for shards, for several machines, for comparison: a pool needs no plan, its workers pull."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from dataclasses import dataclass

from ._calls import call
from ._errors import InvalidArgument
from ._items import doubles
from ._library import lib


@dataclass(frozen=True)
class Plan:
    """The slot of each item; when each slot is done, in cost / weight; the time below which no assignment can end."""

    slot_of: list[int]
    finish: list[float]
    bound: float


def plan(
    costs: Iterable[float],
    slots: int,
    weights: Iterable[float] | None = None,
    max_costs: Iterable[float] | None = None,
) -> Plan:
    """Assigns items to slots, longest first, each to the slot that would finish it first.

    `weights` are the slots' relative speeds, `max_costs` the largest cost that each can take. Source: R. L. Graham, SIAM
    J. Appl. Math. 17 (1969). Raises InvalidArgument for NaN, negative costs, and items that no slot can take.
    """
    values = doubles(costs)
    speeds, limits = (None if given is None else doubles(given) for given in (weights, max_costs))
    for name, given in (("weights", speeds), ("max_costs", limits)):
        if given is not None and len(given) != slots:
            raise InvalidArgument(f"{name} has {len(given)} entries for {slots} slots")
    slot_of, finish, bound = (
        (ctypes.c_uint32 * len(values))(),
        (ctypes.c_double * slots)(),
        ctypes.c_double(),
    )
    call(
        lib.toolpool_plan,
        values.buffer_info()[0],
        len(values),
        None if speeds is None else speeds.buffer_info()[0],
        None if limits is None else limits.buffer_info()[0],
        slots,
        slot_of,
        finish,
        ctypes.byref(bound),
    )
    return Plan(list(slot_of), list(finish), bound.value)

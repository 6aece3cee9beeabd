"""Python objects as items: the library sees tokens, and finds, orders and shares out those."""

from __future__ import annotations

import pickle
import sys
from array import array
from collections.abc import Hashable, Iterable, Sequence
from hashlib import blake2b
from typing import Any

from . import _strings
from ._calls import Handle, Keeper, call
from ._errors import InvalidArgument
from ._items import Items, doubles
from ._library import lib
from ._lists import NotListed, listed
from ._working import Working

_runs = Keeper()


class Objects:
    """The objects of one run: which are equal, and what became of each distinct one.

    A token is 16 bytes: the number of the run, the number of the distinct object. Equal objects have equal tokens, so the
    library computes them once. Objects count as equal if their pickles are; what cannot be pickled equals nothing.
    """

    def __init__(self, objects: Sequence[Any], keys: Iterable[Hashable], keeps_outputs: bool):
        self.keeps_outputs = keeps_outputs
        self.outputs: dict[int, Any] = {}
        self.errors: dict[int, BaseException] = {}
        self.working = Working()
        self.stopped = False
        numbers: dict[Hashable, int] = {}
        self.numbers = [numbers.setdefault(key, len(numbers)) for key in keys]
        self.distinct: list[Any] = [None] * len(numbers)
        for number, thing in zip(self.numbers, objects):
            self.distinct[number] = thing

    def items(self, costs: Iterable[float] | None) -> Handle:
        """The items of the C surface; the run is known by its number until the library lets go of them."""
        run = _runs.keep(self)
        tokens = array("Q", [word for number in self.numbers for word in (run, number)])
        strings = _strings.of_buffer(tokens.tobytes(), [16] * len(self.numbers))
        strings.owner = (strings.owner, _Registration(run))
        handle = strings.make(None)
        if costs is not None:
            values = doubles(costs)
            call(lib.toolpool_items_set_costs, handle, values.buffer_info()[0], len(values))
        return handle

    def stop(self) -> None:
        """Ends what is being computed for the run; nothing more will be."""
        self.stopped = True
        self.working.stop()

    def indices(self, numbers: Iterable[int]) -> list[int]:
        """The caller's indices of distinct objects."""
        wanted = set(numbers)
        return [index for index, number in enumerate(self.numbers) if number in wanted]

    def output(self, index: int) -> Any:
        """What was kept for the caller's item `index`."""
        return self.outputs[self.numbers[index]]

    def get(self, index: int) -> BaseException | None:
        """The exception that the tool raised over the caller's item `index`."""
        return self.errors.get(self.numbers[index])

    def values(self) -> Iterable[BaseException]:
        """All exceptions."""
        return self.errors.values()


class _Registration:
    """Lets go of a run when the library does."""

    def __init__(self, run: int):
        self._run = run

    def __del__(self) -> None:
        _runs.drop(self._run)


def run_of(token: bytes) -> Objects:
    """The run that a token belongs to."""
    return _runs[int.from_bytes(token[:8], sys.byteorder)]


def number_of(token: bytes) -> int:
    """The number of the distinct object that a token stands for."""
    return int.from_bytes(token[8:], sys.byteorder)


def keys_of(objects: Iterable[Any]) -> Iterable[Hashable]:
    """A key for each object, equal for equal contents."""
    return (thing if type(thing) in (str, bytes) else _key(thing) for thing in objects)


def _key(thing: Any) -> Hashable:
    try:
        return ("pickle", blake2b(pickle.dumps(thing, protocol=5)).digest())
    except Exception:  # whatever a class raises that does not want to be pickled
        return object()


def as_list(data: Any) -> list[Any]:
    """The entries of what a caller gives to a Python tool, as Python objects."""
    if isinstance(data, Items):
        raise InvalidArgument("Python tools take objects; give the data itself, not Items")
    for method in ("to_pylist", "to_list"):  # of pyarrow; of polars and pandas
        if hasattr(data, method):
            return getattr(data, method)()
    try:
        return listed(data)
    except NotListed as what:
        raise InvalidArgument(
            f"the items are {what}; put it into a list, or give its rows"
        ) from None

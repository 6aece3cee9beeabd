"""Plain functions of lists, whose calls are split over the pool that is open around them."""

from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ._errors import ContractError, InvalidArgument, PartialFailure
from ._inside import device_inside
from ._objects import keys_of
from ._pool import ToolPool, surrounding
from ._process import Named
from ._progress import waited
from ._python_tool import PythonTool


def tool(
    *,
    iterable_input: str | Sequence[str],
    iterable_output: str | None = None,
    item_cost: Callable[[Any], float] | None = None,
    **options: Any,
) -> Callable[[Callable[..., Any] | str], SplitFunction]:
    """Makes a function of lists a tool: its calls are split over the pool that is open around them.

        @tool(iterable_input="complexes", iterable_output="structures", item_cost=len)
        def fold(complexes, device): ...

        with ToolPool():
            structures = fold(complexes=batch).structures

    `iterable_input` names the parameter that is split, or several, which are sliced together; one of length 1 is given to
    every slice, and one that is None or not given is left alone. All other arguments go to every slice as they are.
    `iterable_output` names the attribute or key of what is returned that has an entry for each item; None if the return
    value itself has. `item_cost(item)` orders the items, largest first. A parameter `device` that the caller leaves out
    is filled in with the worker's (`cuda:0`). Further `options` are those of a run, such as `dedup=False` and `time_limit`.

    The call returns what one call would have: entries in the order of the input, each distinct item computed once. Other
    fields of the returned object are kept where all slices agree; else they are a `Parts`, with the value of each slice.

    The call is direct, as if undecorated, outside of a pool, inside of another tool's call, for up to one item, and where
    the caller names the device. Calls of any thread are split while a pool is open. Where items failed it raises
    PartialFailure, with what succeeded and the caller's indices.

    Applied to a name, `tool(…)("module:function")`, it runs that function in a process a slot.
    """
    names = (iterable_input,) if isinstance(iterable_input, str) else tuple(iterable_input)
    if not names:
        raise InvalidArgument("iterable_input names no parameter")

    def decorate(function: Callable[..., Any] | str) -> SplitFunction:
        found = Named(function) if isinstance(function, str) else function
        return SplitFunction(found, names, iterable_output, item_cost, options)

    return decorate


class Parts(list):
    """The values of a field about which slices differ, in the order of the slices' first items."""


class SplitFunction:
    """What `tool` makes of a function."""

    def __init__(
        self,
        function: Callable[..., Any],
        inputs: tuple[str, ...],
        output: str | None,
        cost: Callable[[Any], float] | None,
        options: dict[str, Any],
    ):
        self.__name__ = ""
        functools.update_wrapper(self, function)
        self._signature = inspect.signature(
            function.resolved() if isinstance(function, Named) else function
        )
        unknown = [name for name in inputs if name not in self._signature.parameters]
        if unknown:
            raise InvalidArgument(
                f"{self.__name__} has no parameter {', '.join(unknown)}, which iterable_input names"
            )
        self._takes_device = "device" in self._signature.parameters
        self._function, self._inputs, self._output, self._cost, self._options = (
            function,
            inputs,
            output,
            cost,
            options,
        )
        self._tool = PythonTool(
            _Slices(function, output, self._takes_device), load=_the_device, name=self.__name__
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        pool, inside = surrounding(), device_inside()
        if pool is None or inside is not None or self._names_device(args, kwargs):
            return self._direct(args, kwargs, inside)
        bound = self._bound(args, kwargs, None)
        fields = {
            name: _entries(bound.arguments[name])
            for name in self._inputs
            if bound.arguments.get(name) is not None
        }
        items = _sliced(fields)
        if len(items) <= 1:
            return self._direct(args, kwargs, str(pool.devices[0]))
        bound.arguments.update(
            dict.fromkeys(fields)
        )  # the lists travel as items, not with every slice
        return self._split(pool, items, _Call(tuple(fields), bound.args, bound.kwargs))

    def _names_device(self, args: Any, kwargs: Any) -> bool:
        return (
            self._takes_device
            and "device" in self._signature.bind_partial(*args, **kwargs).arguments
        )

    def _bound(self, args: Any, kwargs: Any, device: str | None) -> inspect.BoundArguments:
        """The arguments by name; TypeError, as of any call, for those that are missing or unknown."""
        if self._takes_device and not self._names_device(args, kwargs):
            kwargs = {**kwargs, "device": device}
        return self._signature.bind(*args, **kwargs)

    def _direct(self, args: Any, kwargs: Any, device: str | None) -> Any:
        if device is not None:
            bound = self._bound(args, kwargs, device)
            args, kwargs = bound.args, bound.kwargs
        return self._function(*args, **kwargs)

    def _split(self, pool: ToolPool, items: list[tuple[Any, ...]], call: _Call) -> Any:
        costs = [self._cost(item[0]) for item in items] if self._cost else None
        job, objects = pool.submit_objects(
            self._tool,
            [(item, call) for item in items],
            keys=keys_of(items),
            costs=costs,
            keeps_outputs=True,
            **self._options,
        )
        waited(job, pool.names, progress=False)
        results = job.results()
        outputs = [objects.output(item.index) for item in results if item.ok]
        if not results.ok:
            indices = [item.index for item in results if item.ok]
            raise PartialFailure(
                [(i, output.value) for i, output in zip(indices, outputs)], results.failed
            )
        return _merged(outputs, self._output)


class _Call(NamedTuple):
    """What all slices of a call share: the names of the lists, and the arguments, with None in their places."""

    lists: tuple[str, ...]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class _Output(NamedTuple):
    """The entry of one item, and the whole of what its slice returned."""

    value: Any
    returned: Any


class _Slices:
    """Runs a function on a slice: a tool whose state is the device and whose items are (entries, _Call)."""

    def __init__(self, function: Callable[..., Any], output: str | None, takes_device: bool):
        self._function, self._output, self._takes_device = function, output, takes_device
        self.named = isinstance(function, Named)

    def __call__(self, device: str, items: list[tuple[tuple[Any, ...], _Call]]) -> list[_Output]:
        function = (
            self._function.resolved() if isinstance(self._function, Named) else self._function
        )
        call = items[0][1]
        bound = inspect.signature(function).bind_partial(*call.args, **call.kwargs)
        for position, name in enumerate(call.lists):
            bound.arguments[name] = [entries[position] for entries, _ in items]
        if self._takes_device:
            bound.arguments["device"] = device
        returned = function(*bound.args, **bound.kwargs)
        return [_Output(value, returned) for value in self._values(returned)]

    def _values(self, returned: Any) -> list[Any]:
        if self._output is None:
            return list(returned)
        if isinstance(returned, Mapping):
            return list(returned[self._output])
        if not hasattr(returned, self._output):
            raise ContractError(
                f"the function returned a {type(returned).__name__} without '{self._output}'"
            )
        return list(getattr(returned, self._output))


def _the_device(device: str) -> str:
    return device


def _entries(value: Any) -> list[Any]:
    """The entries of a list; what is no list is one entry."""
    if isinstance(value, (str, bytes, Mapping)) or not hasattr(value, "__iter__"):
        return [value]
    return list(value)


def _sliced(fields: Mapping[str, list[Any]]) -> list[tuple[Any, ...]]:
    """Entry by entry over all lists; those of length 1 go with every entry."""
    if not fields:
        return []
    n = max(map(len, fields.values()))
    lengths = {name: len(entries) for name, entries in fields.items()}
    if any(length not in (1, n) for length in lengths.values()):
        said = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise InvalidArgument(
            f"lists that are sliced together have equal lengths, or length 1: {said}"
        )
    return list(zip(*(entries * n if len(entries) < n else entries for entries in fields.values())))


def _merged(outputs: list[_Output], name: str | None) -> Any:
    """What one call would have returned."""
    values = [output.value for output in outputs]
    if name is None:
        return values
    parts = list({id(output.returned): output.returned for output in outputs}.values())
    first = parts[0]
    fields = {
        key: _agreed([_fields(part)[key] for part in parts])
        for key in _fields(first)
        if key != name
    }
    fields[name] = values
    if isinstance(first, Mapping):
        return {**first, **fields}
    if dataclasses.is_dataclass(first) and not isinstance(first, type):
        return dataclasses.replace(first, **fields)
    if hasattr(first, "_replace"):
        return first._replace(**fields)
    whole = copy.copy(first)
    for key, value in fields.items():
        setattr(whole, key, value)
    return whole


def _fields(returned: Any) -> dict[str, Any]:
    if isinstance(returned, Mapping):
        return dict(returned)
    if dataclasses.is_dataclass(returned):
        return {
            field.name: getattr(returned, field.name)
            for field in dataclasses.fields(returned)
            if field.init
        }
    if hasattr(returned, "_asdict"):
        return returned._asdict()
    return dict(vars(returned))


def _agreed(values: list[Any]) -> Any:
    """The value, if all slices have it."""
    return values[0] if all(_equal(value, values[0]) for value in values) else Parts(values)


def _equal(one: Any, other: Any) -> bool:
    try:
        return one is other or bool(one == other)
    except Exception:  # arrays are equal element by element, and say so
        return False

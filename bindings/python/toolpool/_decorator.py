"""Plain functions of lists, whose calls are split over the pool that is open around them."""

from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MethodType
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar, overload

from . import _options
from ._errors import ContractError, InvalidArgument, PartialFailure
from ._inside import device_inside
from ._lists import entries, gathered, kind_of, repeated, sequence
from ._objects import Objects, keys_of
from ._pool import ToolPool, surrounding
from ._process import Named, function_of
from ._progress import waited
from ._python_tool import PythonTool
from ._results import Results

if TYPE_CHECKING:
    from typing_extensions import Concatenate, ParamSpec
else:
    ParamSpec = TypeVar  # Python 3.9 has none, and nobody looks at types now

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")


def tool(
    *,
    iterable_input: str | Sequence[str],
    iterable_output: str | None = None,
    item_cost: Callable[[Any], float] | None = None,
    progress: bool = False,
    **options: Any,
) -> Splitting:
    """Makes a function of lists a tool: its calls are split over the pool that is open around them.

        @tool(iterable_input="complexes", iterable_output="structures", item_cost=len)
        def fold(complexes, device): ...

        with ToolPool():
            structures = fold(complexes=batch).structures

    `iterable_input` names the parameter that is split, or several, which are sliced together; one of length 1 is given to
    every slice, as often as that has items, and one that is None or not given is left alone. All other arguments go to
    every slice as they are. `iterable_output` names the attribute or key of what is returned that has an entry for each
    item; None if the return value itself has. `item_cost(item)` orders the items, largest first, by their entry in the
    first list. A parameter `device` that the caller leaves out is filled in with the worker's (`cuda:0`); give it a default
    where types are checked. `progress` shows a bar for each device. Further `options` are those of a run, such as
    `dedup=False` and `time_limit`.

    The call returns what one call would have: entries in the order of the input, each distinct item computed once. Tuples,
    numpy arrays and torch tensors are sliced to such, and made one again of what slices return; of all else, lists are.
    Other fields of the returned object are kept where all slices agree; else they are a `Parts`, with the value of each
    slice, None where it has none.

    The call is direct, as if undecorated, outside of a pool, inside of another tool's call, for up to one item, and where
    the caller names the device. Calls of any thread are split while a pool is open; a thread that a tool starts itself is
    inside if it runs in the context of the tool: docs/python.md. Where items failed the call raises PartialFailure, with
    what succeeded and the caller's indices.

    Applied to a name, `tool(…)("module:function")`, it runs that function in a process a slot, also for one item.
    """
    names = (iterable_input,) if isinstance(iterable_input, str) else tuple(iterable_input)
    if not names:
        raise InvalidArgument("iterable_input names no parameter")
    _options.of_job(options)  # so that unknown ones are seen here, and not by the first call
    return Splitting(names, iterable_output, item_cost, progress, options)


@dataclasses.dataclass(frozen=True)
class Splitting:
    """How calls are split: the decorator that `tool` gives."""

    inputs: tuple[str, ...]
    output: str | None
    cost: Callable[[Any], float] | None
    progress: bool
    options: dict[str, Any]

    @overload
    def __call__(self, function: str) -> SplitFunction[..., Any]: ...

    @overload
    def __call__(self, function: Callable[P, R]) -> SplitFunction[P, R]: ...

    def __call__(self, function: Any) -> Any:
        return SplitFunction(function_of(function), self)


class Parts(list[Any]):
    """The values of a field about which slices differ, in the order of the slices' first items."""


class SplitFunction(Generic[P, R]):
    """What `tool` makes of a function, or of a method. It is pickled by its name, as functions are."""

    def __init__(self, function: Callable[P, R], how: Splitting):
        plain = function.resolved() if isinstance(function, Named) else function
        functools.update_wrapper(self, plain)
        self._function, self._how, self._signature = function, how, inspect.signature(plain)
        name = getattr(function, "__name__", type(function).__name__)
        unknown = [one for one in how.inputs if one not in self._signature.parameters]
        if unknown:
            raise InvalidArgument(
                f"{name} has no parameter {', '.join(unknown)}, which iterable_input names"
            )
        self._takes_device = "device" in self._signature.parameters
        self._tool = PythonTool(
            _Slices(function, how.output, self._takes_device), load=_the_device, name=name
        )

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        pool, inside = surrounding(), device_inside()
        if (pool is None and inside is None) or self._names_device(args, kwargs):
            return self._function(*args, **kwargs)
        device = {"device": inside} if self._takes_device else {}
        bound = self._signature.bind(*args, **kwargs, **device)
        if pool is None or inside is not None:
            return self._function(*bound.args, **bound.kwargs)
        return self._in_pool(pool, bound)

    @overload
    def __get__(self, instance: None, owner: Any = None) -> SplitFunction[P, R]: ...

    @overload
    def __get__(
        self: SplitFunction[Concatenate[Any, Q], R], instance: object, owner: Any = None
    ) -> Callable[Q, R]: ...

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def __reduce__(self) -> Any:
        if isinstance(self._function, Named):
            return type(self), (self._function, self._how)
        return vars(self)["__qualname__"]

    def _names_device(self, args: Any, kwargs: Any) -> bool:
        return (
            self._takes_device
            and "device" in self._signature.bind_partial(*args, **kwargs).arguments
        )

    def _in_pool(self, pool: ToolPool, bound: inspect.BoundArguments) -> Any:
        given = {
            name: bound.arguments[name]
            for name in self._how.inputs
            if bound.arguments.get(name) is not None
        }
        lists = {name: entries(value) for name, value in given.items()}
        if _count(lists) > 1:
            return self._split(pool, bound, given, lists)
        # An iterator has been read, and would be empty now.
        bound.arguments.update(
            (name, lists[name]) for name, value in given.items() if isinstance(value, Iterator)
        )
        if isinstance(self._function, Named):
            return self._alone(pool, bound)
        if self._takes_device:
            bound.arguments["device"] = str(pool.devices[0])
        return self._function(*bound.args, **bound.kwargs)

    def _split(
        self,
        pool: ToolPool,
        bound: inspect.BoundArguments,
        given: dict[str, Any],
        lists: dict[str, list[Any]],
    ) -> Any:
        kinds = {name: kind_of(value) for name, value in given.items()}
        sliced = {name: kinds[name] for name, column in lists.items() if len(column) > 1}
        shared = {
            name: (kinds[name], column[0]) for name, column in lists.items() if len(column) == 1
        }
        items = list(zip(*(lists[name] for name in sliced)))
        bound.arguments.update(dict.fromkeys(lists))  # they travel as items, not with every slice
        first = next(iter(lists))
        cost = self._how.cost
        costs = list(map(cost, lists[first])) if cost and first in sliced else None
        call = _Call(sliced, shared, bound.args, bound.kwargs)
        results, objects = self._run(pool, items, call, keys=keys_of(items), costs=costs)
        done = {item.index: objects.output(item.index) for item in results if item.ok}
        if not results.ok:
            values = [(index, output.value) for index, output in done.items()]
            raise PartialFailure(values, results.failed)
        return _merged(list(done.values()), self._how.output)

    def _alone(self, pool: ToolPool, bound: inspect.BoundArguments) -> Any:
        """The call as it is, in the process of a worker."""
        call = _Call({}, {}, bound.args, bound.kwargs)
        [item], objects = self._run(pool, [()], call, keys=range(1), costs=None)
        if item.error is not None:
            raise item.error.__cause__ or item.error
        return objects.output(0).returned

    def _run(
        self, pool: ToolPool, items: list[tuple[Any, ...]], call: _Call, **given: Any
    ) -> tuple[Results, Objects]:
        things = [(item, call) for item in items]
        job, objects = pool.submit_objects(
            self._tool, things, keeps_outputs=True, **given, **self._how.options
        )
        waited(job, pool.names, self._how.progress)
        return job.results(), objects


class _Call(NamedTuple):
    """What all slices of a call share: the lists by name, with their kind; of those of length 1, the entry; all else."""

    sliced: dict[str, type]
    shared: dict[str, tuple[type, Any]]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class _Part(NamedTuple):
    """What a slice returned: an entry for each of its items, and the whole."""

    values: Any
    returned: Any


class _Output(NamedTuple):
    """What a slice returned for one of its items."""

    part: _Part
    position: int

    @property
    def value(self) -> Any:
        return self.part.values[self.position]


class _Slices:
    """Runs a function on a slice: a tool whose state is the device and whose items are (entries, _Call)."""

    def __init__(self, function: Callable[..., Any], output: str | None, takes_device: bool):
        self._function, self._output, self._takes_device = function, output, takes_device
        self.named = isinstance(function, Named)

    def __call__(self, device: str, items: list[tuple[tuple[Any, ...], _Call]]) -> list[Any]:
        function = (
            self._function.resolved() if isinstance(self._function, Named) else self._function
        )
        call = items[0][1]
        bound = inspect.signature(function).bind_partial(*call.args, **call.kwargs)
        for name, (kind, entry) in call.shared.items():
            bound.arguments[name] = repeated(kind, entry, len(items))
        for position, (name, kind) in enumerate(call.sliced.items()):
            bound.arguments[name] = gathered(kind, [item[position] for item, _ in items])
        if self._takes_device:
            bound.arguments["device"] = device
        returned = function(*bound.args, **bound.kwargs)
        if not call.sliced:
            return [_Part(None, returned)]
        part = _Part(self._values(returned), None if self._output is None else returned)
        return [_Output(part, position) for position in range(len(part.values))]

    def _values(self, returned: Any) -> Any:
        if self._output is None:
            return sequence(returned)
        if isinstance(returned, Mapping) and self._output in returned:
            return sequence(returned[self._output])
        if isinstance(returned, Mapping) or not hasattr(returned, self._output):
            raise ContractError(
                f"the function returned a {type(returned).__name__} without '{self._output}'"
            )
        return sequence(getattr(returned, self._output))


def _the_device(device: str) -> str:
    return device


def _count(lists: Mapping[str, list[Any]]) -> int:
    """How many items there are in lists that are sliced together; those of length 1 go with any number."""
    lengths = {len(column) for column in lists.values()} - {1}
    if len(lengths) > 1:
        said = ", ".join(f"{name} {len(column)}" for name, column in lists.items())
        raise InvalidArgument(
            f"lists that are sliced together have equal lengths, or length 1: {said}"
        )
    return lengths.pop() if lengths else 1


def _merged(outputs: list[_Output], name: str | None) -> Any:
    """What one call would have returned."""
    parts = list({id(output.part): output.part for output in outputs}.values())
    values = _together([output.value for output in outputs], parts)
    if name is None:
        return values
    first = parts[0].returned
    given = [_fields(part.returned) for part in parts]
    keys = dict.fromkeys(itertools.chain(*given))
    fields = {key: _agreed([part.get(key) for part in given]) for key in keys if key != name}
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


def _together(values: list[Any], parts: list[_Part]) -> Any:
    """The entries of all items, as what the slices returned theirs in."""
    kinds = {kind_of(part.values) for part in parts}
    try:
        return gathered(kinds.pop(), values) if len(kinds) == 1 else values
    except (TypeError, ValueError, RuntimeError) as error:
        raise ContractError(
            f"the slices returned arrays that do not go together: {error}; return a list"
        ) from error


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
    """Whether two values are of one type and equal: arrays in every element, and NaN like NaN."""
    if one is other:
        return True
    if type(one) is not type(other) or _form(one) != _form(other):
        return False
    try:
        same = (one == other) | ((one != one) & (other != other))
        return bool(same.all() if hasattr(same, "all") else same)
    except Exception:  # values that cannot be compared are not known to be equal
        return False


def _form(value: Any) -> tuple[Any, Any]:
    return getattr(value, "shape", None), getattr(value, "dtype", None)

"""Python functions as tools of the pool."""

from __future__ import annotations

import ctypes
import operator
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Union

from . import _outputs
from . import _signatures as c
from ._calls import Keeper, made, sized
from ._devices import device_of
from ._errors import ContractError, InvalidArgument, Stopped, status_of
from ._inside import inside
from ._library import lib
from ._lists import NotListed, listed
from ._objects import Objects, number_of, run_of
from ._process import Child, Named, function_of
from ._working import Working

_Function = Union[Callable[..., Any], str]


class PythonTool:
    """A tool made of Python functions.

        PythonTool(run)                              run(items) -> outputs
        PythonTool(run, load=load)                   load(device) -> state, run(state, items) -> outputs
        PythonTool("module:run", load="module:load") the same in a process a slot, for what holds the GIL

    `run` gets a list of items, as large as the pool sees fit, and returns a list with one output for each: an array,
    bytes or str, or a dict of such by name; arrays of float16/32/64, int8 to int64, uint8, bool. An exception in the place
    of an output concerns that item alone. One that is raised concerns the batch, which is split until the guilty item
    stands alone; MemoryError halves it, and toolpool.Transient asks for another try.

    `load(device)` is called once on each worker, with a name like `cuda:0`; `unload(state)` at the end; `cost(item)` in
    the calling thread, in any unit: the largest run first. Functions run on the workers' threads, several at once, and
    share the GIL; named ones are imported, and run, in child processes, to which items and outputs are pickled.
    Objects that have equal pickles count as equal, and run once; `dedup=False` is for functions that are random or have side
    effects. A run that waits for the pool from inside a tool raises Reentrant.
    """

    def __init__(
        self,
        run: _Function,
        *,
        load: _Function | None = None,
        unload: Callable[[Any], None] | None = None,
        cost: Callable[[Any], float] | None = None,
        name: str | None = None,
        batch_items: int = 0,
    ):
        _check(run, load, unload, cost)
        self.name = name or _name_of(run)
        self.cost = cost
        loading = None if load is None else function_of(load)
        self.functions = Functions(self.name, function_of(run), loading, unload)
        callbacks = sized(c.toolpool_callbacks_t)
        callbacks.load, callbacks.run = _LOAD, _RUN
        callbacks.unload, callbacks.destroy = _UNLOAD, _DESTROY
        callbacks.batch_items = _size(batch_items)
        with _functions.handed_over(self.functions) as number:
            self.handle = made(
                lib.toolpool_tool_free,
                lib.toolpool_tool_from_callbacks,
                self.name.encode(),
                ctypes.byref(callbacks),
                number,
            )

    def __repr__(self) -> str:
        return f"PythonTool({self.name})"


def _check(run: _Function, load: _Function | None, unload: object, cost: object) -> None:
    if load is not None and isinstance(run, str) != isinstance(load, str):
        raise InvalidArgument(
            "run and load are both functions or both names: they run in one process"
        )
    if unload is not None and load is None:
        raise InvalidArgument("unload is given what load returned, and there is no load")
    if unload is not None and isinstance(run, str):
        raise InvalidArgument(
            "unload is for functions of this process; a named tool ends with its process"
        )
    for name, function in (("unload", unload), ("cost", cost)):
        if function is not None and not callable(function):
            raise InvalidArgument(f"{name} is a function, not {function!r}")


def _name_of(run: _Function) -> str:
    return run if isinstance(run, str) else getattr(run, "__name__", type(run).__name__)


def _size(batch_items: int) -> int:
    size = operator.index(batch_items)
    if 0 <= size < 1 << 64:
        return size
    raise InvalidArgument(f"batch_items is the most items of a batch, 0 for 4,096, not {size}")


@dataclass(eq=False)
class Functions:
    """What the callbacks need of a tool. The library keeps it until the last worker has unloaded."""

    name: str
    run: Callable[..., Any]
    load: Callable[[str], Any] | None
    unload: Callable[[Any], None] | None
    _loading: Working = field(default_factory=Working)

    def loaded(self, device: str) -> Loaded:
        """The tool on one worker."""
        if isinstance(self.run, Named) or getattr(self.run, "named", False):
            return self._loaded_in_child(device)
        if self.load is None:
            return Loaded(device, self.run)
        with self._loading.on():
            state = self.load(device)

        def close() -> None:
            if self.unload is not None:
                self.unload(state)

        return Loaded(device, lambda items: self.run(state, items), close)

    def _loaded_in_child(self, device: str) -> Loaded:
        child = Child(self.name, device)
        with self._loading.on(child.kill):
            child.load(self.run, self.load)
        return Loaded(device, child.compute, child.close, child.kill)

    def stop(self) -> None:
        """Ends the loads that are under way, in whatever pool."""
        self._loading.stop()


@dataclass
class Loaded:
    """A tool on one worker. `compute` gives outputs of items; `stop`, called by another thread, ends it, if Stopped cannot."""

    device: str
    compute: Callable[[list[Any]], Any]
    close: Callable[[], None] = lambda: None
    stop: Callable[[], None] | None = None


_functions = Keeper()
_loaded = Keeper()
# The workers are the parent's, and will not unload anything in a forked child.
os.register_at_fork(after_in_child=_loaded.clear)


def _guarded(error_out: Any, work: Callable[[], None]) -> int:
    """Does some work of a callback; what it raises is told to the library, whose threads know no exceptions."""
    try:
        work()
        return c.TOOLPOOL_OK
    except BaseException as error:
        return lib.toolpool_error_set(error_out, status_of(error), _told(error))


def _told(error: BaseException) -> bytes:
    return f"{type(error).__name__}: {error}".encode("utf-8", "replace").replace(b"\0", b"\\0")


def _load(user: int, device: Any, state: Any, error_out: Any) -> int:
    def work() -> None:
        name = str(device_of(device.contents))
        with inside(name):
            state[0] = _loaded.keep(_functions[user].loaded(name))

    return _guarded(error_out, work)


def _run(state: int, batch: int, outputs: int, error_out: Any) -> int:
    return _guarded(error_out, lambda: _Batch(_loaded[state], batch, outputs).compute())


def _unload(state: int) -> None:
    try:
        _loaded[state].close()
    finally:
        _loaded.drop(state)


def wait_until_unloaded(seconds: float) -> None:
    """Waits until no worker has a Python tool any more, which ends with `unload`."""
    deadline = time.monotonic() + seconds
    while _loaded and time.monotonic() < deadline:
        time.sleep(0.01)


_types: dict[str, Any] = dict(c.toolpool_callbacks_t._fields_)
_LOAD, _RUN = _types["load"](_load), _types["run"](_run)
_UNLOAD, _DESTROY = _types["unload"](_unload), _types["destroy"](_functions.drop)


class _Batch:
    """One batch on one worker."""

    def __init__(self, loaded: Loaded, batch: int, outputs: int):
        self.loaded, self.handle = loaded, outputs
        tokens = list(_tokens(batch))
        self.objects: Objects = run_of(tokens[0])
        self.numbers = [number_of(token) for token in tokens]

    def compute(self) -> None:
        items = [self.objects.distinct[number] for number in self.numbers]
        try:
            values = self._values(items)
        except NotListed as what:
            self._refuse(str(what))
            return
        except BaseException as error:
            self.objects.errors.update((number, error) for number in self.numbers)
            raise
        if len(values) != len(items):
            self._refuse(f"{len(values)} outputs")
            return
        for position, value in enumerate(values):
            self._put(position, value)

    def _values(self, items: list[Any]) -> list[Any]:
        with inside(self.loaded.device), self.objects.working.on(self.loaded.stop):
            if self.objects.stopped:
                raise Stopped
            return listed(self.loaded.compute(items))

    def _put(self, position: int, value: Any) -> None:
        if isinstance(value, Exception):
            self._fail(position, value)
        elif self.objects.keeps_outputs:
            self.objects.outputs[self.numbers[position]] = value
            _outputs.write_nothing(self.handle, position)
        else:
            _outputs.write(self.handle, position, value)

    def _refuse(self, what: str) -> None:
        """Fails every item: nobody knows whose outputs these are."""
        indices = self.objects.indices(self.numbers)
        error = ContractError(
            f"the tool gave {what} for {len(self.numbers)} items on {self.loaded.device}, those of indices {indices}; "
            "it must give a list with an output for each"
        )
        for position in range(len(self.numbers)):
            self._fail(position, error)

    def _fail(self, position: int, error: Exception) -> None:
        self.objects.errors[self.numbers[position]] = error
        lib.toolpool_outputs_fail(self.handle, position, status_of(error), _told(error))


def _tokens(batch: int) -> Iterator[bytes]:
    data, length = ctypes.c_void_p(), ctypes.c_size_t()
    data_out, length_out = ctypes.byref(data), ctypes.byref(length)
    for index in range(lib.toolpool_batch_len(batch)):
        lib.toolpool_batch_bytes(batch, index, data_out, length_out)
        yield ctypes.string_at(data, length.value)

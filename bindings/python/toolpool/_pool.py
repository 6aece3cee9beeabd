"""The pool: slots, warm workers, one place to run tools."""

from __future__ import annotations

import atexit
import ctypes
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Union

from . import _options
from . import _signatures as c
from ._calls import Handle, call, made
from ._devices import Device, Gpus, device_string, listed
from ._each import each
from ._errors import InvalidArgument, ToolPoolError
from ._items import Items
from ._job import Job
from ._library import lib
from ._objects import Objects, as_list, keys_of
from ._progress import waited
from ._python_tool import Functions, PythonTool, wait_until_unloaded
from ._results import Item, Results
from ._tools import Tool
from ._waiting import interruptibly, slices

AnyTool = Union[Tool, PythonTool, Callable[[list[Any]], Any], str]


class ToolPool:
    """A warm worker on each device; `with` closes it, and makes it the pool of decorated functions meanwhile.

    | gpus | slots |
    | --- | --- |
    | nothing | every visible GPU; where there is none, CPU workers on every core, or on `cpus` of them |
    | `"all"` | every visible GPU |
    | 2 | the first 2 visible GPUs |
    | `["cuda:0", "cuda:2"]`, `[0, 2]` | these GPUs |
    | 0 | the CPU: `cpus` cores, by default 4 or as many as there are |

    A CPU worker computes with `threads` threads, 1 unless said otherwise, so `cpus // threads` of them are made. Further
    options, `memory_limit` and `trust`, are those of docs/options.md. GPUs are numbered as this process sees them; one that
    is not visible is a DeviceError, which names what is.

    Tools that a worker has loaded stay loaded until the pool closes. Closing cancels what runs, and waits for the batches
    under way; where an exception leaves the block, Python functions that run are left by one as well. One pool is open by
    `with` at a time; pools that are only made can be many. Any thread may use a pool. In a forked child it raises Forked;
    the child may open one of its own.
    """

    def __init__(
        self,
        gpus: Gpus = None,
        cpus: int | None = None,
        *,
        threads: int | None = None,
        **options: Any,
    ):
        names = device_string(gpus, cpus, threads or 1)
        on_cpus = names.startswith("cpu") and threads is None
        options["threads"] = 1 if on_cpus else threads
        given = _options.texts(options)
        table = (c.toolpool_option_t * len(given))(*(c.toolpool_option_t(*one) for one in given))
        out = ctypes.c_void_p()
        call(lib.toolpool_open_with, names.encode(), table, len(given), ctypes.byref(out))
        self._pool = out.value
        self.devices: list[Device] = listed(lib.toolpool_slots, self._pool)
        self.names = [str(device) for device in self.devices]
        self._forget_uses()
        self._end = weakref.finalize(self, lib.toolpool_close, self._pool)
        _pools.add(self)

    def run(
        self,
        tool: AnyTool,
        items: Any,
        *,
        costs: Any = None,
        progress: bool = False,
        **options: Any,
    ) -> Results:
        """Runs a tool on items and returns when all are done; the results are in the order of the items.

        `items`: see `Items`; Python tools take any sequence of objects. Equal items are computed once. `costs`, one a
        item, stand in for the tool's estimate. `options` are those of a job: `dedup`, `deterministic`, `time_limit`,
        `batch_time_limit`, `retries`, `on_device_lost` (docs/options.md). `progress` shows a bar for each device.

        An item that fails costs itself alone: `Results.ok` says whether any did, and `raise_if_partial` raises. A run that
        fails as a whole raises. Ctrl-C cancels the run; other threads go on during it.
        """
        tool = _as_tool(tool)
        job = self.submit(tool, items, costs=costs, **options)
        waited(job, self.names, progress)
        return job.results()

    def submit(self, tool: AnyTool, items: Any, *, costs: Any = None, **options: Any) -> Job:
        """Begins a run and returns as soon as it is planned; several run at once. Parameters as for `run`."""
        tool = _as_tool(tool)
        if isinstance(tool, PythonTool):
            things = as_list(items)
            return self.submit_objects(tool, things, costs=costs, keeps_outputs=False, **options)[0]
        return Job(self._begun(tool, Items.of(items, costs).handle, options), self)

    def as_completed(
        self, tool: AnyTool, items: Any, *, costs: Any = None, **options: Any
    ) -> Iterator[Item]:
        """Items in the order in which they finish; `Item.index` says which. Parameters as for `run`."""
        return self.submit(tool, items, costs=costs, **options).as_completed()

    def map(
        self,
        function: Callable[..., Any] | Tool | PythonTool | str,
        *iterables: Any,
        cost: Callable[..., float] | None = None,
        dedup: bool = False,
        **options: Any,
    ) -> Iterator[Any]:
        """`function` of each item, in their order, as `concurrent.futures.Executor.map`: an item that failed raises there.

        The function is called with one entry of each iterable, and once for each item also where items are equal, unless
        `dedup` says otherwise; outputs are any Python objects. A tool in its place takes one iterable and gives `Item`s. A
        name, `module:function`, runs in a process a slot. `cost` takes what the function does. All is submitted now;
        letting go of the iterator cancels the rest.
        """
        if isinstance(function, (Tool, PythonTool)):
            _check_for_tool(iterables, cost)
            job = self.submit(function, *iterables, dedup=dedup, **options)
            return _in_order(job, lambda item: item)
        tool = each(function)
        things = list(zip(*iterables))
        costs = [cost(*thing) for thing in things] if cost else None
        job, objects = self.submit_objects(
            tool, things, costs=costs, keeps_outputs=True, dedup=dedup, **options
        )
        return _in_order(job, lambda item: objects.output(item.index))

    def warm(self, tool: AnyTool) -> None:
        """Loads a tool onto every slot, in parallel, and returns when all have it. After Ctrl-C the loads go on alone."""
        warmed = _as_tool(tool)
        if isinstance(warmed, PythonTool):
            self._use(warmed)
        interruptibly(lambda: call(lib.toolpool_warm, self._pool, warmed.handle))

    def drain(self, timeout: float | None = None) -> bool:
        """Waits until no run is unfinished, `timeout` seconds at most: whether that is so."""
        return any(
            call(lib.toolpool_drain, self._pool, ms) == c.TOOLPOOL_OK for ms in slices(timeout)
        )

    def close(self) -> None:
        """Cancels what runs, waits for the batches under way, and ends the workers. Results stay.

        Ctrl-C ends the Python functions that it waits for.
        """
        try:
            interruptibly(self._end)
        except BaseException:
            self._stop()
            raise

    def _stop(self) -> None:
        """Ends the Python functions that run on this pool."""
        with self._using:
            used = list(self._used)
        for one in used:
            one.stop()

    def __enter__(self) -> ToolPool:
        _surround(self)
        return self

    def __exit__(self, raised: object, *_: object) -> None:
        try:
            if raised is not None:
                self._stop()
            self.close()
        finally:
            _leave()

    def __repr__(self) -> str:
        return f"ToolPool({', '.join(self.names)})"

    def submit_objects(
        self,
        tool: PythonTool,
        things: list[Any],
        *,
        costs: Any,
        keeps_outputs: bool,
        keys: Any = None,
        **options: Any,
    ) -> tuple[Job, Objects]:
        """`submit` for Python tools, with what becomes of the objects. `keys` are equal for equal things."""
        if str(options.get("dedup")).lower() == "false":
            keys = range(len(things))
        objects = Objects(things, keys_of(things) if keys is None else keys, keeps_outputs)
        self._use(tool, objects)
        if costs is None and tool.cost is not None:
            costs = map(tool.cost, things)
        handle = self._begun(tool, objects.items(costs), options)
        return Job(handle, self, objects), objects

    def _forget_uses(self) -> None:
        self._used: weakref.WeakSet[Objects | Functions] = weakref.WeakSet()
        self._using = threading.Lock()

    def _use(self, tool: PythonTool, *objects: Objects) -> None:
        """Remembers what to end when the pool is left by an exception: the loads of a tool, the work for a run."""
        with self._using:
            self._used.update((tool.functions, *objects))

    def _begun(self, tool: Tool | PythonTool, items: Handle, options: dict[str, Any]) -> Handle:
        chosen = _options.of_job(options)
        return made(
            lib.toolpool_job_free, lib.toolpool_submit, self._pool, tool.handle, items, chosen
        )


_pools: weakref.WeakSet[ToolPool] = weakref.WeakSet()

_EXIT_S = 10.0


@atexit.register
def _end_all() -> None:
    """Closes every pool while Python can still answer its workers; a thread that comes back later would abort.

    A worker whose function hangs past a time limit is not waited for by its pool. It has as long as the library gives to
    tools at exit.
    """
    for pool in list(_pools):
        pool._end()
    wait_until_unloaded(_EXIT_S)


_open: ToolPool | None = None
_opening = threading.Lock()


def _forget_parent() -> None:
    """In a forked child: pools and what runs on them are the parent's, and another thread may have had the locks."""
    global _open, _opening
    _open, _opening = None, threading.Lock()
    for pool in _pools:
        pool._forget_uses()


os.register_at_fork(after_in_child=_forget_parent)


def surrounding() -> ToolPool | None:
    """The pool that is open by `with`, in whatever thread."""
    return _open


def _surround(pool: ToolPool) -> None:
    global _open
    with _opening:
        if _open is not None:
            raise ToolPoolError(
                f"{_open!r} is open already: pools do not nest; use that one, or leave its block first"
            )
        _open = pool


def _leave() -> None:
    global _open
    with _opening:
        _open = None


def _as_tool(tool: AnyTool) -> Tool | PythonTool:
    if isinstance(tool, (Tool, PythonTool)):
        return tool
    if callable(tool) or isinstance(tool, str):
        return PythonTool(tool)
    raise InvalidArgument(
        f"a tool is a Tool, a PythonTool, a function or its name, not a {type(tool).__name__}"
    )


def _check_for_tool(iterables: tuple[Any, ...], cost: object) -> None:
    """Refuses what `map` takes for functions alone."""
    if len(iterables) != 1:
        raise InvalidArgument(
            f"a tool takes one iterable, and was given {len(iterables)}; put fields into a dict: run(tool, {{…}})"
        )
    if cost is not None:
        raise InvalidArgument(
            "cost is for functions: a tool knows its own; give costs, one a item, to submit or run"
        )


def _in_order(job: Job, output: Callable[[Item], Any]) -> Iterator[Any]:
    """Outputs in the order of the items, each as soon as it and all before it are done."""
    waiting: dict[int, Item] = {}
    following = 0
    with job.cancelled_if_left():
        for item in job.as_completed():
            waiting[item.index] = item
            while following in waiting:
                ready = waiting.pop(following)
                following += 1
                if ready.error is not None:
                    raise _raised_by(ready.error)
                yield output(ready)


def _raised_by(error: ToolPoolError) -> BaseException:
    """What the function raised; but in a generator StopIteration would mean its end."""
    cause = error.__cause__
    return error if cause is None or isinstance(cause, StopIteration) else cause

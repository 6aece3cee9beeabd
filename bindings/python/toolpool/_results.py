"""What a run gave: items by position, outputs as views of the library's memory."""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any, overload

from . import _signatures as c
from ._arrays import Tensor
from ._calls import Handle, call, sized
from ._columns import NO_CHUNK, strings_of
from ._dlpack import Imported
from ._dtypes import BY_NUMBER, Dtype
from ._errors import (
    Failure,
    InvalidArgument,
    NotFound,
    PartialFailure,
    ToolPoolError,
    error_of,
)
from ._library import lib

if TYPE_CHECKING:
    import numpy as np

    from ._objects import Objects
    from ._report import Report


class Results:  # no Sequence: polars and others would read one item by item, and not by __arrow_c_array__
    """The results of a run, in the order of the caller's items. Immutable; any thread may read them.

    They own the memory that arrays and tensors show, which lives as long as any of these, also after the pool.

        results[0]["mean"]        a read-only numpy array, no copy
        results.stack("mean")     [items, …] in one new array
        results.to_arrow()        a pyarrow StructArray, a field for each output
        results.ok, .failed       whether all succeeded; what did not
    """

    def __init__(
        self,
        handle: Handle,
        partial: bool,
        devices: Sequence[str],
        causes: Objects | dict[int, BaseException],
        report: Report | None,
    ):
        self._handle = handle
        self._partial = partial
        self._devices = devices
        self._causes = causes
        self._length = lib.toolpool_results_len(handle)
        self.report = report

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> Item: ...

    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [Item(self, i) for i in range(*index.indices(self._length))]
        i = range(self._length)[index]
        return Item(self, i)

    def __iter__(self) -> Iterator[Item]:
        return (Item(self, i) for i in range(self._length))

    def __repr__(self) -> str:
        return f"Results({self._length} items, outputs {', '.join(self.names) or 'none'})"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the outputs; an item may lack some."""
        count = lib.toolpool_results_outputs(self._handle)
        return tuple(
            lib.toolpool_results_output_name(self._handle, i).decode() for i in range(count)
        )

    @property
    def ok(self) -> bool:
        """Whether every item succeeded."""
        return not self._partial

    @property
    def failed(self) -> list[Failure]:
        """Why items failed, in their order, with the caller's indices; empty if none did."""
        failed = (self[position] for position in self._failed())
        return [
            Failure(item.index, item.device, error)
            for item in failed
            if (error := item.error) is not None
        ]

    def raise_if_partial(self) -> None:
        """Raises PartialFailure, which carries these results, if an item failed."""
        failed = set(self._failed())
        if failed:
            done = (item for position, item in enumerate(self) if position not in failed)
            raise PartialFailure([(item.index, item) for item in done], self.failed, self)

    def stack(self, name: str, out: Any = None) -> Any:
        """One output of all items in one array of shape [items, …], in their order: the only copy.

        `out` is filled and returned: a writable, C-contiguous numpy array of that shape and type, or any such DLPack tensor
        in host memory, as of torch, which has bfloat16. Without it, a new numpy array is. Raises PartialFailure if an item
        failed, and InvalidArgument if shapes differ.
        """
        self.raise_if_partial()
        dtype, shape = self._stacked(name)
        if out is None:
            out = _new_array(dtype, shape)
        taken = Imported(out)
        if (
            (taken.shape, taken.dtype.dlpack) != (shape, dtype.dlpack)
            or taken.read_only
            or not taken.is_dense
        ):
            raise InvalidArgument(
                f"out must be a C-contiguous, writable array of {dtype.name} {shape}, and is "
                f"{'read-only ' if taken.read_only else ''}{taken.dtype.name} {taken.shape} of strides {taken.strides}"
            )
        size = prod(shape) * dtype.itemsize
        call(lib.toolpool_results_stack, self._handle, name.encode(), taken.data, size, None)
        return out

    def _stacked(self, name: str) -> tuple[Dtype, tuple[int, ...]]:
        """The type and the shape of an output of all items in one array."""
        tensor = sized(c.toolpool_tensor_t)
        told = ctypes.byref(tensor)
        try:
            call(lib.toolpool_results_stack, self._handle, name.encode(), None, 0, told)
        except InvalidArgument as error:  # which knows the way out from C alone
            why = str(error).partition(" (")[0]
            raise InvalidArgument(
                f"{why}; read them one by one, as results[i][{name!r}], or by results.to_arrow()",
                error.item,
            ) from None
        return BY_NUMBER[tensor.dtype], tuple(tensor.shape[: tensor.ndim])

    def column(self, name: str) -> list[Any]:
        """One output of every item, as `item[name]` gives it; None for items that failed or lack it.

        Much faster than asking the items one by one.
        """
        if not self.names:  # no item has outputs
            return [None] * self._length
        view = self._view(name)
        if BY_NUMBER[view.dtype].name == "bytes":
            return strings_of(view)
        return [
            None if view.rows[i].chunk == NO_CHUNK else item[name] for i, item in enumerate(self)
        ]

    def is_bytes(self, name: str) -> bool:
        """Whether an output is byte strings, and not tensors."""
        return BY_NUMBER[self._view(name).dtype].name == "bytes"

    def to_arrow(self) -> Any:
        """The outputs as a pyarrow StructArray with a field for each, null where an item failed or lacks it.

        Bytes become large_binary; tensors become large lists, or fixed-size lists where all sizes agree. The values are
        copied once, into the order of the items. polars and others take the results as they are, without pyarrow:
        `polars.Series(results)`.
        """
        import pyarrow as pa

        return pa.array(self)

    def __arrow_c_schema__(self) -> Any:
        from ._arrow_out import schema

        return schema(self)

    def __arrow_c_array__(self, requested_schema: Any = None) -> Any:
        """Arrow's PyCapsule protocol; see `to_arrow`. A requested schema is left aside, as the protocol allows."""
        from ._arrow_out import schema_and_array

        return schema_and_array(self)

    def _failed(self) -> Sequence[int]:
        """The positions of the items that failed."""
        positions = ctypes.c_void_p()
        count = lib.toolpool_results_failed(self._handle, ctypes.byref(positions))
        return (ctypes.c_size_t * count).from_address(positions.value) if count else ()

    def _view(self, name: str) -> Any:
        """The toolpool_column_t of an output."""
        column = sized(c.toolpool_column_t)
        call(lib.toolpool_results_column, self._handle, name.encode(), ctypes.byref(column))
        return column


class Item(Mapping[str, Any]):
    """The outputs of one item by name: a numpy array for each, or `bytes` for byte strings.

    Arrays are read-only views of the results' memory (float32 unless the tool was asked otherwise; ESM-2's `mean` is
    [d]), and keep it alive. Reading an output of an item that failed raises why. Items are equal if they are the same item
    of the same results; pickled, one becomes a dict of its outputs.
    """

    __slots__ = ("_position", "_results")

    def __init__(self, results: Results, position: int):
        self._results, self._position = results, position

    @property
    def index(self) -> int:
        """Its index among the caller's items."""
        return lib.toolpool_results_index(self._results._handle, self._position)

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return lib.toolpool_results_status(self._results._handle, self._position) == c.TOOLPOOL_OK

    @property
    def error(self) -> ToolPoolError | None:
        """Why it failed, or None. Where a Python tool raised, that exception is its `__cause__`."""
        handle, position = self._results._handle, self._position
        status = lib.toolpool_results_status(handle, position)
        if status == c.TOOLPOOL_OK:
            return None
        message = lib.toolpool_results_error(handle, position).decode("utf-8", "replace")
        error = error_of(status, message, self.index)
        error.__cause__ = self._results._causes.get(self.index)
        return error

    @property
    def warning(self) -> str:
        """What the tool remarked on it; "" for nothing."""
        return lib.toolpool_results_warning(self._results._handle, self._position).decode(
            "utf-8", "replace"
        )

    @property
    def slot(self) -> int | None:
        """The number of the slot that computed it (or its twin); None if none did."""
        slot = lib.toolpool_results_slot(self._results._handle, self._position)
        return slot if slot >= 0 else None

    @property
    def device(self) -> str | None:
        """The device of that slot, such as `cuda:0`."""
        return None if self.slot is None else self._results._devices[self.slot]

    def tensor(self, name: str) -> Tensor:
        """An output where it lies, for `torch.from_dlpack` and for types that numpy lacks."""
        handle = self._results._handle
        view = sized(c.toolpool_tensor_t)
        try:
            call(
                lib.toolpool_results_tensor,
                handle,
                self._position,
                name.encode(),
                ctypes.byref(view),
            )
        except ToolPoolError:
            if self.error is not None:
                raise self.error from self.error.__cause__
            raise
        return Tensor(view.data or 0, BY_NUMBER[view.dtype], tuple(view.shape[: view.ndim]), handle)

    def __getitem__(self, name: str) -> Any:
        try:
            tensor = self.tensor(name)
        except NotFound as error:
            raise KeyError(f"{name!r}: {error}") from None
        if tensor.dtype.name == "bytes":
            return ctypes.string_at(tensor.address, tensor.nbytes)
        return tensor.numpy()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Item) and self._place() == other._place()

    def __hash__(self) -> int:
        return hash(self._place())

    def __reduce__(self) -> Any:
        if self.error is not None:
            raise self.error
        return dict, (dict(self),)

    def _place(self) -> tuple[int, int]:
        return id(self._results._handle), self._position

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in tuple(self)

    def __iter__(self) -> Iterator[str]:
        view = sized(c.toolpool_tensor_t)
        for name in self._results.names:
            found = lib.toolpool_results_tensor(
                self._results._handle, self._position, name.encode(), ctypes.byref(view), None
            )
            if found == c.TOOLPOOL_OK:
                yield name

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        if not self.ok:
            return f"Item({self.index}, failed: {self.error})"
        shapes = (
            f"{name} {self.tensor(name).dtype.name}{list(self.tensor(name).shape)}" for name in self
        )
        return f"Item({self.index}, {', '.join(shapes)})"


def _new_array(dtype: Dtype, shape: tuple[int, ...]) -> np.ndarray:
    import numpy as np

    if dtype.typestr:
        return np.empty(shape, dtype.typestr)
    try:
        return np.empty(shape, importlib.import_module("ml_dtypes").bfloat16)
    except ImportError:
        raise TypeError(
            f"numpy has no bfloat16: give stack(…, out=torch.empty({shape}, dtype=torch.bfloat16)), or install ml_dtypes"
        ) from None

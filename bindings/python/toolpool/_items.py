"""What callers hand in, as items of the C surface."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import Any, Union

from . import _arrow, _strings, _tensors
from ._calls import Handle, call
from ._errors import InvalidArgument
from ._library import lib

_Field = Union[_strings.Strings, _tensors.Tensors]

_ACCEPTED = (
    "a list of str, bytes or tensors, a numpy array, an Arrow column (pyarrow, polars …), a DLPack tensor whose first "
    "dimension counts the items, or a dict of such by field"
)


class Items:
    """The items of a run, made once and used in several.

    | given | items | copied |
    | --- | --- | --- |
    | list of `str` or `bytes` | strings, as UTF-8 | once, into one buffer |
    | Arrow column of strings or binary | its values | no; once if it is of views or in several chunks |
    | numpy array of strings | its entries | once |
    | numpy array of numbers, DLPack tensor, of shape [n, …] | n tensors of shape […] | no, where rows are dense |
    | list of DLPack tensors of any shapes | those tensors | no, where they are dense |
    | dict of these, by name | items of several fields: tensors go to the model's inputs of these names | as above |

    Memory that is not copied is kept alive, and must not change, until the run has ended; workers read it on their own
    threads. `costs`, one a item in any unit, stand in for the tool's estimate: the largest run first. Any thread may use
    items, several at once.
    """

    def __init__(self, data: Any, costs: Any = None):
        self.handle = _made(data)
        if costs is not None:
            values = doubles(costs)
            call(lib.toolpool_items_set_costs, self.handle, values.buffer_info()[0], len(values))

    @classmethod
    def of(cls, data: Any, costs: Any = None) -> Items:
        """`data` itself, if it is items already."""
        if not isinstance(data, Items):
            return cls(data, costs)
        if costs is not None:
            raise InvalidArgument(
                "these items were made before; give their costs to Items(data, costs)"
            )
        return data

    def __len__(self) -> int:
        return lib.toolpool_items_len(self.handle)


def _made(data: Any) -> Handle:
    if not isinstance(data, Mapping):
        return _field(data).make(None)
    if not data:
        raise InvalidArgument("a dict of fields is empty, so it has no items")
    (first, column), *others = ((name, _field(column)) for name, column in data.items())
    handle = column.make(first)
    for name, other in others:
        other.add(handle, name)
    return handle


def _field(data: Any) -> _Field:
    """One field of all items."""
    if isinstance(data, (str, *_strings.BYTES_LIKE)):
        raise InvalidArgument(f"the items are one {type(data).__name__}; put it into a list")
    if _arrow.is_arrow(data):
        return _strings.of_arrow(data)
    if getattr(getattr(data, "dtype", None), "kind", "") in ("S", "U", "O", "T"):
        return _of_list(data.tolist())
    if hasattr(data, "__dlpack__"):
        return _tensors.of_rows(data)
    if isinstance(data, Sequence):
        return _of_list(data if isinstance(data, list) else list(data))
    raise InvalidArgument(f"items cannot be made of a {type(data).__name__}; give {_ACCEPTED}")


def _of_list(things: list[Any]) -> _Field:
    """A field of a list whose entries are all of one kind."""
    if not things or isinstance(things[0], str):
        return _strings.of_texts(things)
    if isinstance(things[0], _strings.BYTES_LIKE):
        return _strings.of_bytes(things)
    if hasattr(things[0], "__dlpack__"):
        return _tensors.of_each(things)
    raise InvalidArgument(
        f"items cannot be made of a list of {type(things[0]).__name__}; give {_ACCEPTED}", 0
    )


def doubles(costs: Any) -> array[float]:
    """Costs as doubles, whatever sequence of numbers they come in."""
    try:
        return array("d", costs)
    except TypeError as error:
        raise InvalidArgument(f"costs are numbers, one for each item: {error}") from None

"""toolpool keeps every GPU of a machine busy on a batch.

    from toolpool import ESM2, ToolPool

    with ToolPool() as pool:
        results = pool.run(ESM2("facebook/esm2_t6_8M_UR50D"), sequences)
        means = results.stack("mean")           # a numpy array [items, d]

A batch goes in; warm workers pull the longest work first; equal items are computed once; results come back in input
order. The work is done by libtoolpool, a shared library; numpy is needed for arrays, torch only for torch's models (its
libraries, not the Python package: importing toolpool imports neither).
"""

from ._decorator import Parts, SplitFunction, tool
from ._devices import Device, devices
from ._errors import (
    BackendError,
    Cancelled,
    ContractError,
    Crashed,
    DeviceError,
    DeviceLost,
    Failure,
    Forked,
    InternalError,
    InvalidArgument,
    ItemError,
    ModelError,
    NotFound,
    OptionError,
    OutOfMemory,
    PartialFailure,
    PoolClosed,
    Reentrant,
    TimeLimit,
    ToolFailed,
    ToolPoolError,
    Transient,
    UnknownTool,
)
from ._items import Items
from ._job import Job, Progress, as_completed
from ._library import lib as _lib
from ._plan import Plan, plan
from ._pool import ToolPool
from ._python_tool import PythonTool
from ._report import Report
from ._results import Item, Results
from ._tools import ESM2, AOTInductor, Echo, Library, Tool, TorchScript

__version__ = _lib.toolpool_version().decode()

__all__ = [
    "ESM2",
    "AOTInductor",
    "BackendError",
    "Cancelled",
    "ContractError",
    "Crashed",
    "Device",
    "DeviceError",
    "DeviceLost",
    "Echo",
    "Failure",
    "Forked",
    "InternalError",
    "InvalidArgument",
    "Item",
    "ItemError",
    "Items",
    "Job",
    "Library",
    "ModelError",
    "NotFound",
    "OptionError",
    "OutOfMemory",
    "PartialFailure",
    "Parts",
    "Plan",
    "PoolClosed",
    "Progress",
    "PythonTool",
    "Reentrant",
    "Report",
    "Results",
    "SplitFunction",
    "TimeLimit",
    "Tool",
    "ToolFailed",
    "ToolPool",
    "ToolPoolError",
    "TorchScript",
    "Transient",
    "UnknownTool",
    "as_completed",
    "devices",
    "plan",
    "tool",
]

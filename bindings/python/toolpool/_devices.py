"""Devices, and what `gpus` and `cpus` ask for."""

from __future__ import annotations

import ctypes
import operator
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Union

from . import _signatures as c
from ._calls import call, made, sized
from ._errors import DeviceError
from ._library import lib

Gpus = Union[None, str, int, Sequence[Union[int, str]]]


@dataclass(frozen=True)
class Device:
    """A device, or the slot of a pool on it. Memory is in bytes, 0 if unknown; `slot` is -1 in a listing.

    `str(device)` is its name as torch knows it: `cuda:0`, `cpu`.
    """

    kind: str
    index: int
    slot: int
    threads: int
    memory_total: int
    memory_free: int
    capability: tuple[int, int]
    product: str
    uuid: str
    driver: str

    def __str__(self) -> str:
        return "cpu" if self.kind == "cpu" else f"{self.kind}:{self.index}"


def device_of(described: Any) -> Device:
    """A toolpool_device_t as a Device."""
    return Device(
        kind="cuda" if described.kind == c.TOOLPOOL_DEVICE_CUDA else "cpu",
        index=described.index,
        slot=described.slot,
        threads=described.threads,
        memory_total=described.memory_total,
        memory_free=described.memory_free,
        capability=(described.capability_major, described.capability_minor),
        product=described.name.decode("utf-8", "replace"),
        uuid=described.uuid.decode("utf-8", "replace"),
        driver=described.driver.decode("utf-8", "replace"),
    )


def devices() -> list[Device]:
    """The devices that this process sees: every GPU that CUDA_VISIBLE_DEVICES leaves, then the CPU. CUDA is not touched."""
    return listed(lib.toolpool_devices_list, None)


def listed(function: Any, argument: Any) -> list[Device]:
    """The list that a function of the C surface gives."""
    handle = made(lib.toolpool_devices_free, function, argument)
    found = []
    for i in range(lib.toolpool_devices_len(handle)):
        described = sized(c.toolpool_device_t)
        call(lib.toolpool_devices_get, handle, i, ctypes.byref(described))
        found.append(device_of(described))
    return found


def device_string(gpus: Gpus, cpus: int | None, threads: int) -> str:
    """What `gpus` and `cpus` ask for, as a device string of the C surface."""
    if cpus is not None and (_number(cpus) is None or cpus < 1):
        raise DeviceError(f"cpus is a number of cores, at least 1, not {cpus!r}")
    if gpus is None:
        if cpus is None or any(device.kind == "cuda" for device in devices()):
            return "auto"
        return _cpu_string(cpus, threads)
    number = _number(gpus)
    if number == 0:
        return _cpu_string(cpus or min(_cores(), 4), threads)
    if cpus is not None:
        raise DeviceError(
            f"cpus={cpus} goes with gpus=0 or no gpus; beside gpus={gpus!r}, name CPU workers: gpus=['cuda:0', 'cpu*4']"
        )
    if isinstance(gpus, str):
        return gpus
    if number is not None:
        if number < 0:
            raise DeviceError(f"gpus is a number of GPUs, 0 for none, not {gpus}")
        return str(number)
    return _names(gpus)


def _number(given: Any) -> int | None:
    """A whole number, whoever's type it has; None for all else."""
    try:
        return None if isinstance(given, bool) else operator.index(given)
    except TypeError:
        return None


def _names(gpus: Any) -> str:
    if isinstance(gpus, bool) or not isinstance(gpus, Iterable):
        raise DeviceError(f"gpus is 'all', a number, a list of devices or 0, not {gpus!r}")
    names = [str(gpu) if _number(gpu) is None else f"cuda:{gpu}" for gpu in gpus]
    if not names:
        raise DeviceError("gpus is an empty list; gpus=0 is the way to ask for the CPU alone")
    return ",".join(names)


def _cpu_string(cpus: int, threads: int) -> str:
    if threads > cpus:
        raise DeviceError(f"{threads} threads a worker are more than cpus={cpus}")
    return f"cpu*{cpus // threads}"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

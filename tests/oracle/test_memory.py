"""What the torch backend says that a load takes of memory, against PyTorch's own count: its C table, as the core asks it."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from pool import LIBRARY, c

sys.path.append(str(Path(__file__).resolve().parents[2] / "bindings/python/toolpool"))
import _signatures as table

MODELS = Path(os.environ["TOOLPOOL_TEST_MODELS"])
BACKEND = LIBRARY.with_name("libtoolpool_torch.so")

no_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
DEVICES = ["cpu", pytest.param("cuda", marks=no_cuda)]
SHORT = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Memory(NamedTuple):
    """Bytes that a load said it would take, and those that it then said it took."""

    asked: int
    taken: int


@contextmanager
def opened(kind: str, source: Path, options: dict[str, str]):
    """The callbacks and the user pointer of a tool."""
    errors = []

    def set_error(_, status, message):
        errors.append(message.decode())
        return status

    host = table.toolpool_host_t(size=c.sizeof(table.toolpool_host_t), abi=table.TOOLPOOL_ABI)
    host.error_set = type(host.error_set)(set_error)
    pairs = [(key.encode(), value.encode()) for key, value in options.items()]
    callbacks = table.toolpool_callbacks_t(size=c.sizeof(table.toolpool_callbacks_t))
    user = c.c_void_p()
    entry = table.toolpool_entry_t((f"toolpool_torch_{kind}", c.CDLL(str(BACKEND))))
    status = entry(
        c.byref(host),
        str(source).encode(),
        (table.toolpool_option_t * len(pairs))(*pairs),
        len(pairs),
        c.byref(callbacks),
        c.byref(user),
        None,
    )
    assert status == 0, errors
    yield callbacks, user, errors
    callbacks.destroy(user)


def memory(kind: str, source: Path, device: str = "cpu", **options: str) -> Memory:
    major, minor = torch.cuda.get_device_capability() if device == "cuda" else (0, 0)
    on = table.toolpool_device_t(
        size=c.sizeof(table.toolpool_device_t),
        kind=table.TOOLPOOL_DEVICE_CUDA if device == "cuda" else table.TOOLPOOL_DEVICE_CPU,
        threads=1,
        capability_major=major,
        capability_minor=minor,
    )
    with opened(kind, source, options) as (callbacks, user, errors):
        asked = callbacks.memory(user, c.byref(on), None)
        state = c.c_void_p()
        assert callbacks.load(user, c.byref(on), c.byref(state), None) == 0, errors
        taken = callbacks.memory(user, c.byref(on), state)
        callbacks.unload(state)
    return Memory(asked, taken)


def weights(path: Path, dtype: torch.dtype | None = None) -> int:
    """Bytes of a module's parameters and buffers, those of floating point cast."""
    module = torch.jit.load(path)
    tensors = [*module.parameters(), *module.buffers()]
    cast = [t.to(dtype) if dtype and t.is_floating_point() else t for t in tensors]
    return sum(t.nbytes for t in cast)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["linear", "encoder", "picks", "same", "sentences"])
def test_a_module_takes_its_parameters_and_buffers(name, device):
    path = MODELS / f"{name}.pt"
    assert memory("torchscript", path, device).taken == weights(path)
    for dtype, kind in SHORT.items():
        cast = memory("torchscript", path, device, dtype=dtype)
        assert cast.taken == weights(path, kind)


def test_what_a_module_will_take_is_counted_in_the_dtype_that_it_gets(tmp_path):
    path = MODELS / "sentences.pt"
    whole = memory("torchscript", path)
    assert abs(whole.asked - whole.taken) < whole.taken / 50
    halves = tmp_path / "halves.pt"
    torch.jit.load(path).half().save(str(halves))
    for source, dtype, factor in (
        (path, "fp32", 1),
        (path, "fp16", 0.5),
        (path, "bf16", 0.5),
        (halves, "model", 0.5),
        (halves, "bf16", 0.5),
        (halves, "fp32", 1),
    ):
        cast = memory("torchscript", source, dtype=dtype)
        assert abs(cast.asked - cast.taken) < cast.taken / 25, (source.name, dtype)
        assert abs(cast.taken - factor * whole.taken) < whole.taken / 100, (source.name, dtype)


@pytest.mark.parametrize("device", DEVICES)
def test_a_package_takes_its_constants(device):
    suffix = "_cuda" if device == "cuda" else ""
    constants = weights(MODELS / "sentences.pt")
    package = memory("aoti", MODELS / f"sentences{suffix}.pt2", device)
    assert 0.95 * constants < package.taken
    assert package.taken < (1.05 * constants if device == "cpu" else constants + (64 << 20))
    assert abs(package.asked - constants) < constants / 4


@pytest.mark.parametrize("device", DEVICES)
def test_a_checkpoint_takes_its_weights(device):
    path = Path(os.environ["TOOLPOOL_TEST_MODEL"])
    file = (path / "model.safetensors").stat().st_size
    for dtype, factor in (("fp32", 1), ("bf16", 0.5)):
        model = memory("esm2", path, device, dtype=dtype)
        assert abs(model.taken - factor * file) < file / 100
        assert abs(model.taken - model.asked) < model.taken / 100
        assert model.taken != model.asked

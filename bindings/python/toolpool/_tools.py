"""Tools that are opened by name: models that run in the library, with no Python in the way."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, Union

from . import _options
from ._calls import call, made
from ._errors import InvalidArgument
from ._library import lib, show_libtorch

_Path = Union[str, "os.PathLike[str]"]

_TORCH = ("aoti", "auto", "esm2", "torchscript")


class Tool:
    """A tool by its kind and source, with its options; see docs/options.md for all of them.

    The model's description is read now, its weights by each worker at first use. Options that are not known raise
    OptionError, which lists those that are. `isolation="process"` runs the tool in a child process of each worker: a crash
    costs the items that cause it. Any thread may use a tool; a run keeps the options that were set when it began.
    """

    def __init__(self, kind: str, source: _Path | None = None, **options: Any):
        if not isinstance(kind, str):
            raise InvalidArgument(f"the kind of a tool is text, such as 'esm2', not {kind!r}")
        if kind in _TORCH:
            show_libtorch()
        self.kind = kind
        self.source = None if source is None else os.fspath(source)
        encoded = None if self.source is None else self.source.encode()
        self.handle = made(lib.toolpool_tool_free, lib.toolpool_tool_open, kind.encode(), encoded)
        self.set(**options)

    def set(self, **options: Any) -> None:
        """Sets options, for runs to come; None leaves one as it is."""
        for key, value in _options.texts(options):
            call(lib.toolpool_tool_set, self.handle, key, value)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.source!r})"


class ESM2(Tool):
    """ESM-2 protein embeddings of a transformers directory, or of a hub id in the local Hugging Face cache.

    Items are sequences in capitals. `outputs`, float32 each, with L residues and model width d:

    | output | shape | |
    | --- | --- | --- |
    | `mean` | [d] | averaged over residues only |
    | `bos` | [d] | of the token before the first residue |
    | `per_residue` | [L, d] | |
    | `logits` | [L, 33] | over the alphabet |
    | `contacts` | [L, L] | probability that two residues touch |

    Further options: `layers`, `dtype`, `tokens_per_batch`, `on_long`, `max_length`. Source: Lin et al., Science 379
    (2023), checked against fair-esm and transformers.
    """

    def __init__(self, source: _Path, *, outputs: str | Iterable[str] = "mean", **options: Any):
        super().__init__("esm2", source, outputs=outputs, **options)


class TorchScript(Tool):
    """A PyTorch model in a `.pt` file of `torch.jit.save`, on any device. It is a program: open what you trust."""

    def __init__(self, path: _Path, **options: Any):
        super().__init__("torchscript", path, **options)


class AOTInductor(Tool):
    """A compiled PyTorch model in a `.pt2` package, for the device it was compiled for. It is a program: open what you trust."""

    def __init__(self, path: _Path, **options: Any):
        super().__init__("aoti", path, **options)


class Library(Tool):
    """The tool that the function `symbol` of a shared library makes, of `source`. It is a program: open what you trust."""

    def __init__(self, path: _Path, symbol: str, source: str | None = None, **options: Any):
        parts = [os.fspath(path), symbol, *([] if source is None else [source])]
        super().__init__("library", ":".join(parts), **options)


class Echo(Tool):
    """Gives each item back as its output `output`: for tests and benchmarks."""

    def __init__(self) -> None:
        super().__init__("echo")

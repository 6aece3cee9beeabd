"""Finds libtoolpool.so and gives its functions their types.

Looked in, in this order: the file that TOOLPOOL_LIBRARY names, the package's own folder `lib`, what `make build` made where
the package lies in the repository (as after `pip install -e`), the system's loader.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import re
import sys
from pathlib import Path

from . import _signatures as c

_PACKAGE = Path(__file__).resolve().parent
_PACKAGED = _PACKAGE / "lib/libtoolpool.so"
_BUILT = _PACKAGE.parent.parent.parent / "target/release/libtoolpool.so"
_INSTALLED = f"libtoolpool.so.{c.TOOLPOOL_VERSION_MAJOR}.{c.TOOLPOOL_VERSION_MINOR}"

# What returns at once and calls nobody back keeps the GIL: to let go of it and take it again costs more than the call,
# and hands every worker's turn to the others.
_BRIEF = re.compile(
    "toolpool_(batch|outputs|error)_|toolpool_(results|items)_len$"
    "|toolpool_results_(index|status|error|warning|slot|outputs|output_name|tensor)$"
)


def _candidate() -> str:
    named = os.environ.get("TOOLPOOL_LIBRARY")
    if named:
        return named
    if _PACKAGED.is_file():
        return str(_PACKAGED)
    in_repository = (_PACKAGE.parent / "carry_library.py").is_file()
    return str(_BUILT) if in_repository and _BUILT.is_file() else _INSTALLED


def _load() -> ctypes.CDLL:
    candidate = _candidate()
    try:
        library, brief = ctypes.CDLL(candidate), ctypes.PyDLL(candidate)
    except OSError as error:
        raise ImportError(
            f"libtoolpool cannot be loaded: {error}. Looked in: TOOLPOOL_LIBRARY "
            f"({os.environ.get('TOOLPOOL_LIBRARY') or 'not set'}), {_PACKAGED}, the repository that this package may lie in "
            f"({_BUILT}), the system's loader ({_INSTALLED}). "
            "Install toolpool's wheel, run `make build` in the repository, or name the file in TOOLPOOL_LIBRARY"
        ) from error
    for name, (returned, taken) in c.FUNCTIONS.items():
        try:
            function = getattr(brief if _BRIEF.match(name) else library, name)
        except AttributeError as error:
            raise ImportError(
                f"{candidate} has no {name}: it is older than this package"
            ) from error
        function.restype, function.argtypes = returned, taken
        setattr(library, name, function)
    if library.toolpool_abi() != c.TOOLPOOL_ABI:
        raise ImportError(
            f"{candidate} has ABI {library.toolpool_abi()}, and this package needs {c.TOOLPOOL_ABI}: "
            "install both of one version"
        )
    return library


def show_libtorch() -> None:
    """Names this Python's torch to the core, which looks no further then.

    Without it the core might take another copy of libtorch, and a later `import torch` would bring the second into the
    process. Called before a tool is opened; what the user has set stays.
    """
    if "torch" in sys.modules or os.environ.get("TOOLPOOL_LIBTORCH"):
        return
    found = importlib.util.find_spec("torch")
    if found and found.submodule_search_locations:
        os.environ["TOOLPOOL_LIBTORCH"] = found.submodule_search_locations[0]


lib = _load()

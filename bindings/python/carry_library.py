"""Build hook: puts the built libraries into the wheel, and says for which platform they are."""

import os
import platform
import re
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

CARRIED = ("libtoolpool.so", "libtoolpool_torch.so", "toolpool-worker")


class CarryLibrary(BuildHookInterface):
    """Takes what `make build` left in target/release, or in the folder that TOOLPOOL_BUILD_DIR names.

    An editable install carries nothing: the package finds target/release from its own place.
    """

    def initialize(self, version, build_data):
        if version == "editable":
            return
        default = Path(self.root).parents[1] / "target/release"
        folder = Path(os.environ.get("TOOLPOOL_BUILD_DIR") or default)
        absent = [name for name in CARRIED if not (folder / name).is_file()]
        if absent:
            raise FileNotFoundError(
                f"{folder} has no {', '.join(absent)}: run `make build` first, or name the folder in TOOLPOOL_BUILD_DIR"
            )
        files = [folder / name for name in CARRIED]
        build_data["force_include"] = {str(file): f"toolpool/lib/{file.name}" for file in files}
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-manylinux_2_{least_glibc(files)}_{platform.machine()}"


def least_glibc(files):
    """The minor version of the oldest glibc that has every symbol that the files ask for."""
    return max(
        int(minor)
        for file in files
        for minor in re.findall(rb"GLIBC_2\.(\d+)\0", file.read_bytes())
    )

"""The wheel carries the libraries, says its platform, and works in an environment that has nothing else."""

import os
import subprocess
import sys
import zipfile

import pytest
from conftest import ROOT

BUILT = ROOT / "target/release"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    # In place: the environment of the tests has hatchling, so nothing is downloaded.
    command = [
        sys.executable,
        "-m",
        "hatchling",
        "build",
        "--target",
        "wheel",
        "--directory",
        folder,
    ]
    subprocess.run(command, cwd=ROOT / "bindings/python", check=True, capture_output=True)
    [built] = folder.glob("*.whl")
    return built


def test_it_says_the_platform_and_carries_the_libraries(wheel):
    assert "-py3-none-manylinux_2_" in wheel.name and wheel.name.endswith("_x86_64.whl")
    glibc = int(wheel.name.split("manylinux_2_")[1].split("_")[0])
    assert 17 <= glibc <= 34  # the header promises glibc 2.34
    names = zipfile.ZipFile(wheel).namelist()
    for name in (
        "lib/libtoolpool.so",
        "lib/libtoolpool_torch.so",
        "lib/toolpool-worker",
        "py.typed",
    ):
        assert f"toolpool/{name}" in names


def unpack(wheel, place):
    """What an installer does with the files of a wheel, their modes included."""
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            os.chmod(archive.extract(entry, place), entry.external_attr >> 16 & 0o777)


def test_it_works_where_only_it_is_installed(wheel, tmp_path):
    place = tmp_path / "site"
    unpack(wheel, place)
    program = """
import toolpool
echo = toolpool.Echo()
echo.set(isolation="process")
with toolpool.ToolPool(gpus=0, cpus=1) as pool:
    print(pool.run(echo, ["a", "b"]).column("output"), toolpool._library.lib._name)
"""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(place)}
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert ended.stdout == f"[b'a', b'b'] {place}/toolpool/lib/libtoolpool.so\n", ended.stderr


def test_a_wheel_without_built_libraries_is_refused_in_words(tmp_path):
    command = [
        sys.executable,
        "-m",
        "hatchling",
        "build",
        "--target",
        "wheel",
        "--directory",
        tmp_path,
    ]
    ended = subprocess.run(
        command,
        cwd=ROOT / "bindings/python",
        env={**os.environ, "TOOLPOOL_BUILD_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert ended.returncode != 0 and "make build" in ended.stderr

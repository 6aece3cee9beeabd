"""The wheel carries the libraries, says its platform, and works in an environment that has nothing else."""

import importlib.util
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from conftest import PACKAGE, ROOT

# The environment of the tests has hatchling, so nothing is downloaded.
OFFLINE = ("--no-build-isolation", "--no-deps", "--no-index", "--quiet")


def pip(*arguments, **environment):
    if importlib.util.find_spec("pip") is None:
        pytest.skip("the environment of the tests has no pip")
    return subprocess.run(
        [sys.executable, "-m", "pip", *arguments],
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    made = pip("wheel", *OFFLINE, "--wheel-dir", folder, PACKAGE)
    assert made.returncode == 0, made.stderr
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


USE = """
import toolpool
echo = toolpool.Echo()
echo.set(isolation="process")
with toolpool.ToolPool(gpus=0, cpus=1) as pool:
    print(pool.run(echo, ["a", "b"]).column("output"), toolpool._library.lib._name)
"""


def used(python, **environment):
    """What a program prints in another environment, or what went wrong."""
    ended = subprocess.run(
        [python, "-c", USE],
        env={"PATH": os.environ["PATH"], **environment},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.stdout or ended.stderr


def test_it_works_where_only_it_is_installed(wheel, tmp_path):
    installed = pip("install", *OFFLINE, "--target", tmp_path, wheel)
    assert installed.returncode == 0, installed.stderr
    assert (
        used(sys.executable, PYTHONPATH=str(tmp_path))
        == f"[b'a', b'b'] {tmp_path}/toolpool/lib/libtoolpool.so\n"
    )


@pytest.fixture
def repository(tmp_path):
    """A copy of the repository as far as the package needs it, with the libraries where `make build` puts them."""
    copy = tmp_path / "repository"
    shutil.copytree(PACKAGE, copy / "bindings/python", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Cargo.toml", copy)
    built = Path(os.environ.get("TOOLPOOL_BUILD_DIR") or ROOT / "target/release")
    (copy / "target").mkdir()
    (copy / "target/release").symlink_to(built.resolve())
    return copy


def test_an_editable_install_finds_what_was_built(repository, tmp_path):
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    python = tmp_path / "venv/bin/python"
    site = next((tmp_path / "venv").glob("lib/python*/site-packages"))
    # hatchling, of the environment of the tests
    (site / "tests.pth").write_text("\n".join(path for path in sys.path if "site-packages" in path))
    installed = pip("--python", python, "install", *OFFLINE, "-e", repository / "bindings/python")
    assert installed.returncode == 0, installed.stderr
    assert used(python) == f"[b'a', b'b'] {repository}/target/release/libtoolpool.so\n"


def test_a_wheel_without_built_libraries_is_refused_in_words(tmp_path):
    made = pip(
        "wheel", *OFFLINE, "--wheel-dir", tmp_path, PACKAGE, TOOLPOOL_BUILD_DIR=str(tmp_path)
    )
    assert made.returncode != 0 and "make build" in made.stdout + made.stderr

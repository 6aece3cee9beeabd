"""The embed programs of all languages give the same embeddings, to the last bit."""

import os
import shutil
import sys

import numpy as np
import pytest
from programs import LIBRARIES, ROOT, compiled, hub_cache, run_on_one_worker

WIDTH = 320  # of the 8M model


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    model = os.environ.get("TOOLPOOL_TEST_MODEL")
    if not model:
        pytest.skip("TOOLPOOL_TEST_MODEL is not set; scripts/test python sets it")
    return hub_cache(tmp_path_factory.mktemp("hub"), model)


def means_of_c(tmp_path, cache):
    return means_of_compiled(ROOT / "examples/c/embed.c", tmp_path, cache)


def means_of_cpp(tmp_path, cache):
    return means_of_compiled(ROOT / "examples/cpp/embed.cpp", tmp_path, cache)


def means_of_compiled(source, tmp_path, cache):
    """The program stays as it is: what it calls to run is watched."""
    watch = ROOT / "tests/embed_programs/means.c"
    program = compiled(tmp_path, source, watch, link=["-Wl,--wrap=toolpool_run"])
    file = tmp_path / "means"
    run_on_one_worker([program], HF_HUB_CACHE=cache, TOOLPOOL_TEST_MEANS=file)
    return rows(file)


def means_of_python(tmp_path, cache):
    file = tmp_path / "means"
    program = (ROOT / "examples/python/embed.py").read_text()
    run_on_one_worker(
        [sys.executable, "-c", f"{program}\nresults.stack('mean').tofile({str(file)!r})"],
        HF_HUB_CACHE=cache,
        PYTHONPATH=ROOT / "bindings/python",
        TOOLPOOL_LIBRARY=LIBRARIES / "libtoolpool.so",
    )
    return rows(file)


def means_of_julia(tmp_path, cache):
    """The program stays as it is: the `stack` that it calls is watched."""
    program, file = ROOT / "examples/julia/embed.jl", tmp_path / "means"
    if not program.exists() or not shutil.which("julia"):
        pytest.skip(f"there is no julia, or no {program.relative_to(ROOT)}")
    watched = f"""
        import ToolPool
        function stack(results, name)
            means = ToolPool.stack(results, name)
            write("{file}", means)
            return means
        end
        include("{program}")
    """
    run_on_one_worker(
        [ROOT / "scripts/julia", "-e", watched, "cpu", "facebook/esm2_t6_8M_UR50D"],
        HF_HUB_CACHE=cache,
        TOOLPOOL_LIBRARY=LIBRARIES / "libtoolpool.so",
    )
    return rows(file)


def rows(file):
    return np.fromfile(file, np.float32).reshape(-1, WIDTH)


@pytest.mark.parametrize("means_of", [means_of_cpp, means_of_python, means_of_julia])
def test_the_same_bits_as_the_c_program(means_of, tmp_path, cache):
    (tmp_path / "c").mkdir()
    expected = means_of_c(tmp_path / "c", cache)
    found = means_of(tmp_path, cache)
    assert len(expected) == 3 and expected[0].tobytes() == expected[2].tobytes()
    assert np.isfinite(expected).all() and (expected[0] != expected[1]).any()
    assert len(found) >= 1
    assert found.tobytes() == expected[: len(found)].tobytes()

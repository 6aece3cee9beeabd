"""The embed programs of the design, one a language, give the same embeddings, to the last bit.

They stay as they are, but for the GPUs they ask for, which no test machine has: one CPU worker stands for them. The
models that they name are found in a cache, and are one of random weights.
"""

import os
import shutil
import sys

import numpy as np
import pytest
from programs import LIBRARIES, ROOT, compiled, hub_cache, run_on_one_worker

DESIGN = ROOT / "tests/design"
WIDTH = 320  # of the 8M model


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    model = os.environ.get("TOOLPOOL_TEST_MODEL")
    if not model:
        pytest.skip("TOOLPOOL_TEST_MODEL is not set; scripts/test python sets it")
    cache = hub_cache(tmp_path_factory.mktemp("hub"), model)
    large = cache / "models--facebook--esm2_t33_650M_UR50D"
    large.symlink_to(cache / "models--facebook--esm2_t6_8M_UR50D")
    return cache


def means_of_c(tmp_path, cache):
    return means_of_compiled(DESIGN / "embed.c", tmp_path, cache)


def means_of_cpp(tmp_path, cache):
    return means_of_compiled(DESIGN / "embed.cpp", tmp_path, cache)


def means_of_compiled(source, tmp_path, cache):
    """What it calls to run is watched."""
    watch = ROOT / "tests/embed_programs/means.c"
    program = compiled(tmp_path, source, watch, link=["-Wl,--wrap=toolpool_run"])
    file = tmp_path / "means"
    run_on_one_worker([program], HF_HUB_CACHE=cache, TOOLPOOL_TEST_MEANS=file)
    return rows(file)


def means_of_python(tmp_path, cache):
    """Up to where it goes on to functions of Python. Its sequences are 400 of the first, 300 of the second."""
    whole = (ROOT / "tests/python/embed.py.txt").read_text()
    embedding, interception, _ = whole.partition("# Interception")
    assert interception
    file = tmp_path / "means"
    program = on_the_cpu(embedding, 'gpus=["cuda:0", "cuda:1"]', "gpus=0, cpus=1")
    run_on_one_worker(
        [sys.executable, "-c", f"{program}\nmeans.tofile({str(file)!r})"],
        HF_HUB_CACHE=cache,
        PYTHONPATH=ROOT / "bindings/python",
        TOOLPOOL_LIBRARY=LIBRARIES / "libtoolpool.so",
    )
    found = rows(file)
    assert len(found) == 700
    assert (found[:400] == found[0]).all() and (found[400:] == found[400]).all()
    return found[[0, 400]]


def means_of_julia(tmp_path, cache):
    """The `run` that it calls is watched."""
    if not shutil.which("julia"):
        pytest.skip("there is no julia")
    program, file = tmp_path / "embed.jl", tmp_path / "means"
    program.write_text(on_the_cpu((DESIGN / "embed.jl").read_text(), '"all"', '"cpu"'))
    watched = f"""
        import ToolPool
        function run(arguments...)
            global results = Base.run(arguments...)
            write("{file}", ToolPool.stack(results, "mean"))
            return results
        end
        include("{program}") == results[1]["mean"] || error("the block does not give the first mean")
    """
    run_on_one_worker(
        [ROOT / "scripts/julia", "-e", watched],
        HF_HUB_CACHE=cache,
        TOOLPOOL_LIBRARY=LIBRARIES / "libtoolpool.so",
    )
    return rows(file)


def on_the_cpu(program, devices, cpu):
    assert program.count(devices) == 1
    return program.replace(devices, cpu)


def rows(file):
    return np.fromfile(file, np.float32).reshape(-1, WIDTH)


@pytest.mark.parametrize("means_of", [means_of_cpp, means_of_python, means_of_julia])
def test_the_same_bits_as_the_c_program(means_of, tmp_path, cache):
    (tmp_path / "c").mkdir()
    expected = means_of_c(tmp_path / "c", cache)
    found = means_of(tmp_path, cache)
    assert len(expected) == 3 and expected[0].tobytes() == expected[2].tobytes()
    assert np.isfinite(expected).all() and (expected[0] != expected[1]).any()
    assert found.tobytes() == expected[:2].tobytes()

"""Models through the package: ESM-2, TorchScript; torch beside it in either order."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT
from toolpool import (
    ESM2,
    AOTInductor,
    Items,
    Library,
    ModelError,
    OptionError,
    PartialFailure,
    TorchScript,
)

SEQUENCES = ["MKTLLILAVVAAALA", "GAVLTVLLGGLLLA", "MKTLLILAVVAAALA", "MK"]


def test_esm2_gives_its_outputs_as_documented(pool, tiny_model):
    outputs = ["mean", "bos", "per_residue", "logits", "contacts"]
    results = pool.run(ESM2(tiny_model, outputs=outputs), SEQUENCES)
    for sequence, item in zip(SEQUENCES, results, strict=True):
        length = len(sequence)
        assert item["mean"].shape == item["bos"].shape == (40,)
        assert item["per_residue"].shape == (length, 40)
        assert item["logits"].shape == (length, 33) and item["contacts"].shape == (length, length)
        np.testing.assert_allclose(item["per_residue"].mean(0), item["mean"], atol=1e-5)
    assert results.stack("mean").shape == (4, 40) and results.stack("mean").dtype == np.float32


def test_esm2_fails_what_is_too_long_alone(pool, tiny_model):
    results = pool.run(ESM2(tiny_model, max_length=14), SEQUENCES)
    assert [item.ok for item in results] == [False, True, False, True]
    with pytest.raises(PartialFailure):
        results.stack("mean")


def test_torchscript_gives_what_torch_gives(pool, tmp_path):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(8, 4), torch.nn.Tanh()).eval()
    inputs = torch.randn(20, 8)
    path = tmp_path / "model.pt"
    torch.jit.trace(model, inputs[:1]).save(path)
    with torch.no_grad():
        wanted = model(inputs).numpy()
    results = pool.run(TorchScript(path), inputs)
    np.testing.assert_allclose(results.stack("output"), wanted, atol=1e-6)
    again = pool.run(TorchScript(path), Items(list(inputs.numpy())))
    np.testing.assert_allclose(again.stack("output"), wanted, atol=1e-6)


def test_aotinductor_says_what_its_file_is_not(tmp_path):
    with pytest.raises(ModelError, match="absent"):
        AOTInductor(tmp_path / "absent.pt2")


def test_a_library_is_a_tool_with_options_of_its_own(pool, tmp_path):
    library = tmp_path / "libplugin.so"
    plugin = ROOT / "tests/c/plugins/library_tool.c"
    compiler = [shutil.which("cc"), "-shared", "-fPIC", f"-I{ROOT}/include"]
    subprocess.run([*compiler, plugin, "-o", library], check=True)
    tool = Library(library, "shared_tool", prefix=">")
    assert pool.run(tool, ["a", "b"]).column("output") == [b">a", b">b"]
    with pytest.raises(OptionError, match="known options: batch, prefix"):
        tool.set(colour="red")
    with pytest.raises(ModelError, match="never opens"):
        Library(library, "failing_tool")


def run_python(program, **environment):
    environment = {**os.environ, **environment}
    return subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


USE = """
from toolpool import ESM2, ToolPool
with ToolPool(gpus=0, cpus=1) as pool:
    mean = pool.run(ESM2({model!r}), ["MKTLLILAV"])[0]["mean"]
"""


@pytest.mark.parametrize(
    "order", ["import torch\n" + USE, USE + "import torch\n"], ids=["first", "last"]
)
def test_torch_and_toolpool_share_one_libtorch_in_either_order(order, tiny_model):
    program = order.format(model=tiny_model) + (
        "copies = {line.split()[-1] for line in open('/proc/self/maps') if 'libtorch_cpu' in line}\n"
        "print(len(copies), torch.from_dlpack(mean).shape[0], torch.ones(3).sum().item())\n"
    )
    clean = {"TOOLPOOL_LIBTORCH": "", "LIBTORCH": "", "VIRTUAL_ENV": "", "CONDA_PREFIX": ""}
    ended = run_python(program, **clean)
    assert (ended.returncode, ended.stdout) == (0, "1 40 3.0\n"), ended.stderr


def test_a_torch_of_another_version_is_refused_in_words(tmp_path, tiny_model):
    fake = tmp_path / "torch"
    (fake / "lib").mkdir(parents=True)
    (fake / "__init__.py").touch()
    (fake / "version.py").write_text("__version__ = '2.3.1'\n")
    (fake / "lib/libtorch_cpu.so").touch()
    path = os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]])
    ended = run_python(USE.format(model=tiny_model), PYTHONPATH=path, TOOLPOOL_LIBTORCH="")
    assert "BackendError" in ended.stderr and "2.3" in ended.stderr and "2.11" in ended.stderr
    assert ended.returncode == 1


def test_importing_needs_neither_torch_nor_numpy():
    program = (
        "import sys\nsys.modules['numpy'] = sys.modules['torch'] = None\n"
        "from toolpool import *\nimport toolpool\n"
        "with toolpool.ToolPool(gpus=0, cpus=1) as pool:\n"
        "    print(pool.run(toolpool.Echo(), ['a']).column('output'))\n"
    )
    ended = run_python(program)
    assert (ended.returncode, ended.stdout) == (0, "[b'a']\n"), ended.stderr


def test_a_library_that_is_not_there_is_named():
    ended = run_python("import toolpool", TOOLPOOL_LIBRARY="/nowhere/libtoolpool.so")
    assert "ImportError" in ended.stderr and "/nowhere/libtoolpool.so" in ended.stderr
    assert "TOOLPOOL_LIBRARY" in ended.stderr


def test_an_installed_library_is_found_by_the_loader(tmp_path):
    from toolpool import _library

    (tmp_path / _library._INSTALLED).symlink_to(_library.lib._name)
    # Outside the repository, where it would find what `make build` made.
    shutil.copytree(Path(_library.__file__).parent, tmp_path / "site/toolpool")
    use = "import toolpool; print(toolpool._library.lib._name, toolpool.__version__)"
    ended = run_python(
        use,
        TOOLPOOL_LIBRARY="",
        LD_LIBRARY_PATH=str(tmp_path),
        PYTHONPATH=str(tmp_path / "site"),
    )
    assert ended.stdout.split()[0] == _library._INSTALLED, ended.stderr


def test_a_library_of_another_abi_is_refused(tmp_path):
    source = tmp_path / "old.c"
    source.write_text('const char *toolpool_version(void) { return "0.0.1"; }\n')
    library = tmp_path / "libtoolpool.so"
    subprocess.run([shutil.which("cc"), "-shared", "-fPIC", source, "-o", library], check=True)
    ended = run_python("import toolpool", TOOLPOOL_LIBRARY=str(library))
    assert "ImportError" in ended.stderr and "older than this package" in ended.stderr


def test_the_program_of_the_design_runs(tmp_path, tiny_model):
    """embed.py.txt is the user's program as it stands in the design; replaced is what no test machine has."""
    program = (ROOT / "tests/python/embed.py.txt").read_text()
    for wanted, here in (
        ('gpus=["cuda:0", "cuda:1"]', "gpus=0, cpus=2"),
        ("def fold(complexes, device): ...", FOLD),
        ("with ToolPool():", "batch = ['a', 'bc', 'a']\nwith ToolPool(gpus=0, cpus=2):"),
    ):
        assert program.count(wanted) == 1
        program = program.replace(wanted, here)
    cache = tmp_path / "models--facebook--esm2_t33_650M_UR50D"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs/main").write_text("random")
    (cache / "snapshots").mkdir()
    (cache / "snapshots/random").symlink_to(tiny_model)
    ended = run_python(
        program + "\nprint(means.shape, means.dtype, structures)\n", HF_HUB_CACHE=str(tmp_path)
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == "(700, 40) float32 ['A cpu', 'BC cpu', 'A cpu']"


FOLD = """
def fold(complexes, device):
    from types import SimpleNamespace
    return SimpleNamespace(structures=[f"{one.upper()} {device}" for one in complexes])
"""

"""The other subcommands: run, fetch, devices, bench, completions, --version."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import MODEL, run
from hub import Hub
from safetensors import safe_open
from safetensors.numpy import load_file, save_file


@pytest.fixture(scope="module")
def traced(tmp_path_factory) -> Path:
    """A model of two inputs that refuses negative numbers."""
    import torch

    class Model(torch.nn.Module):
        def forward(self, x, scale):
            assert bool((x >= 0).all()), "x must not be negative"
            return {"sum": (x * scale).sum(1), "rows": x * scale}

    path = tmp_path_factory.mktemp("model") / "model.pt"
    torch.jit.script(Model()).save(str(path))
    return path


def run_model(traced: Path, tmp_path: Path, x: np.ndarray, scale: np.ndarray, *more: str):
    save_file({"x": x, "scale": scale}, tmp_path / "inputs.safetensors")
    return run(
        "run",
        traced,
        tmp_path / "inputs.safetensors",
        "-o",
        tmp_path / "out.safetensors",
        "--devices",
        "cpu",
        *more,
    )


def test_a_model_runs_on_the_rows_of_a_file(traced: Path, tmp_path: Path):
    x = np.random.default_rng(0).random((7, 3), dtype=np.float32)
    scale = np.arange(7, dtype=np.float32).reshape(7, 1)
    ended = run_model(traced, tmp_path, x, scale)
    assert ended.returncode == 0, ended.stderr.decode()
    out = load_file(tmp_path / "out.safetensors")
    np.testing.assert_allclose(out["rows"], x * scale, rtol=1e-6)
    np.testing.assert_allclose(out["sum"], (x * scale).sum(1), rtol=1e-5)


def test_items_that_fail_are_named_in_the_file(traced: Path, tmp_path: Path):
    x = np.ones((4, 3), dtype=np.float32)
    x[2] = -1
    ended = run_model(traced, tmp_path, x, np.ones((4, 1), dtype=np.float32))
    assert ended.returncode == 3, ended.stderr.decode()
    with safe_open(tmp_path / "out.safetensors", "numpy") as file:
        failed = json.loads(file.metadata()["failed"])
        assert list(failed) == ["2"]
        assert (file.get_tensor("rows")[2] == 0).all() and (file.get_tensor("rows")[3] == 1).all()


def test_what_every_item_fails_for_is_said_once_and_an_old_output_stays(
    traced: Path, tmp_path: Path
):
    (tmp_path / "out.safetensors").write_bytes(b"of before")
    ended = run_model(traced, tmp_path, -np.ones((4, 3), np.float32), np.ones((4, 1), np.float32))
    assert ended.returncode == 3, ended.stderr.decode()
    told = [line for line in ended.stderr.decode().splitlines() if "failed: " in line]
    assert len([line for line in told if "index 0, and 3 more, failed" in line]) == 1
    assert b"out.safetensors is not written" in ended.stderr
    assert (tmp_path / "out.safetensors").read_bytes() == b"of before"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "inputs.safetensors",
        "out.safetensors",
    ]


@pytest.mark.parametrize("items", [4, 1000])
def test_tensors_that_are_no_inputs_of_the_model_are_said_once(
    items: int, traced: Path, tmp_path: Path
):
    """Few fail one by one; of many, the job is given up."""
    y = np.random.default_rng(0).random((items, 3), dtype=np.float32)
    save_file({"y": y}, tmp_path / "inputs.safetensors")
    out = tmp_path / "out.safetensors"
    ended = run("run", traced, tmp_path / "inputs.safetensors", "-o", out, "--devices", "cpu")
    assert ended.returncode == 2, ended.stderr.decode()
    said = ended.stderr.decode()
    assert said.count("error: ") == 1 and "index" not in said
    assert "its inputs are x, scale" in said and "inputs.safetensors are y" in said
    assert len(said.splitlines()) == 3, "loaded, the batch that failed, the error"
    assert not out.exists()


def test_shapes_that_differ_from_item_to_item_are_kept(tmp_path: Path):
    import torch

    class Triangle(torch.nn.Module):
        def forward(self, x):
            size = int(x.max())
            assert size > 0, "nothing to fill"
            return {"y": torch.full((size, size + 1), float(size))}

    torch.jit.script(Triangle()).save(str(tmp_path / "model.pt"))
    sizes = [2, 0, 1, 3]
    save_file({"x": np.array([sizes]).T}, tmp_path / "in.safetensors")
    out = tmp_path / "out.safetensors"
    ended = run(
        "run", tmp_path / "model.pt", tmp_path / "in.safetensors", "-o", out,
        "--devices", "cpu", "--set", "batch=none",
    )  # fmt: skip
    assert ended.returncode == 3, ended.stderr.decode()
    read = load_file(out)
    expected = [[size, size + 1] if size else [0, 0] for size in sizes]
    assert read["y.shapes"].dtype == np.int64 and read["y.shapes"].tolist() == expected
    for item, (size, shape) in enumerate(zip(sizes, expected, strict=True)):
        begin, end = read["y.offsets"][item : item + 2]
        assert (read["y"][begin:end].reshape(shape) == np.full(shape, size)).all()


def test_a_place_that_cannot_be_written_is_known_before_the_model_is_loaded(
    traced: Path, tmp_path: Path
):
    inputs = tmp_path / "inputs.safetensors"
    save_file({"x": np.ones((4, 3), np.float32)}, inputs)
    (tmp_path / "link.safetensors").hardlink_to(inputs)
    (tmp_path / "folder").mkdir()
    for output in [
        tmp_path / "nowhere/out.safetensors",
        tmp_path / "folder",
        tmp_path / "folder/../inputs.safetensors",
        tmp_path / "link.safetensors",
        traced,
        "/dev/null",
    ]:
        ended = run("run", traced, inputs, "-o", output, "--devices", "cpu")
        assert ended.returncode == 2, (output, ended.stderr.decode())
        assert b"loaded" not in ended.stderr, output
    assert load_file(inputs)["x"].shape == (4, 3) and traced.stat().st_size > 100


@pytest.mark.parametrize(
    ("model", "more", "said"),
    [
        (MODEL, [], "toolpool embed"),
        ("nowhere.pt", [], "No such file"),
        (None, ["--tokens-per-batch", "100"], "--tokens-per-batch"),
    ],
)
def test_what_is_for_embed_is_refused_by_run(model, more, said: str, traced: Path, tmp_path: Path):
    save_file({"x": np.ones((4, 3), np.float32)}, tmp_path / "inputs.safetensors")
    out = tmp_path / "out.safetensors"
    ended = run("run", model or traced, tmp_path / "inputs.safetensors", "-o", out, *more)
    assert ended.returncode == 2 and said in ended.stderr.decode()
    assert not out.exists()


def test_inputs_of_different_lengths_are_refused(traced: Path, tmp_path: Path):
    ended = run_model(traced, tmp_path, np.ones((4, 3), np.float32), np.ones((5, 1), np.float32))
    assert ended.returncode == 2
    assert b"first dimension" in ended.stderr
    assert not (tmp_path / "out.safetensors").exists()


def test_a_fetched_model_lies_where_the_cache_has_it(hub: dict[str, str], tmp_path: Path):
    ended = run("fetch", "facebook/tiny", env=hub)
    assert ended.returncode == 0, ended.stderr.decode()
    folder = tmp_path / "hub/models--facebook--tiny"
    revision = (folder / "refs/main").read_text()
    assert (folder / "snapshots" / revision / "model.safetensors").read_bytes() == b"weights"
    assert not any("pytorch_model.bin" in path for path in Hub.asked)
    Hub.asked.clear()
    assert run("fetch", "facebook/tiny", env=hub).returncode == 0
    assert not any("safetensors" in path for path in Hub.asked), "nothing is fetched twice"


def test_a_model_that_is_not_there_says_so(hub: dict[str, str]):
    ended = run("fetch", "nobody/nothing", env=hub)
    assert ended.returncode == 1
    assert b"nobody/nothing" in ended.stderr and b"no such model" in ended.stderr


@pytest.mark.parametrize("model", ["../x", "a/b/c", "", " ", "facebook/ tiny", "tiny"])
def test_what_is_no_id_of_the_hub_is_refused(model: str, hub: dict[str, str]):
    ended = run("fetch", model, env=hub)
    assert ended.returncode == 2
    assert b"write OWNER/NAME" in ended.stderr and Hub.asked == []


def test_without_a_way_out_it_says_what_to_do(hub: dict[str, str]):
    ended = run("fetch", "facebook/tiny", env=hub | {"HF_ENDPOINT": "http://127.0.0.1:9"})
    assert ended.returncode == 1
    assert b"HF_ENDPOINT" in ended.stderr and b"copy the cache" in ended.stderr


def test_devices_are_a_table_or_json():
    table = run("devices").stdout.decode()
    assert table.startswith("device") and "cpu" in table
    listed = json.loads(run("devices", "--json").stdout)
    assert listed["devices"][-1]["device"] == "cpu"
    assert listed["devices"][0]["auto"], "every GPU, else the CPU"
    assert listed["devices"][-1]["auto"] == (len(listed["devices"]) == 1)


def test_bench_measures_this_machine():
    figures = json.loads(run("bench", "--devices", "cpu*2", "-m", MODEL, "--json").stdout)[
        "figures"
    ]
    assert len(figures) == 5 and all(figure["value"] > 0 for figure in figures)


def test_completions_are_a_script():
    assert b"toolpool" in run("completions", "bash").stdout


def test_the_version_names_libtorch():
    text = run("--version").stdout.decode()
    assert text.startswith("toolpool 0.1.0") and "libtorch 2.11" in text

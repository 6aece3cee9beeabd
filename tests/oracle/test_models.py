"""torchscript, aoti and auto against PyTorch itself, to 1e-5, through libtoolpool.so: any model that is in a file.

TOOLPOOL_TEST_MODELS names the folder that models.py filled, TOOLPOOL_TEST_LIBRARY the library
(default: target/release/libtoolpool.so).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import models
import numpy as np
import pytest
import torch

from pool import Error, Pool, c, tensor

MODELS = Path(os.environ["TOOLPOOL_TEST_MODELS"])
ARGUMENT, OPTION, MODEL, ITEM, OUT_OF_MEMORY, FAILED = -2, -4, -6, -8, -9, -17

no_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
DEVICES = ["cpu*2", pytest.param("cuda:0", marks=no_cuda)]


@pytest.fixture(scope="module", params=DEVICES)
def pool(request):
    pool = Pool(request.param)
    yield pool
    pool.close()


@pytest.fixture(scope="module")
def cpu():
    pool = Pool("cpu*2")
    yield pool
    pool.close()


def package(pool, name: str) -> Path:
    """A package for the pool's device."""
    return MODELS / (f"{name}_cuda.pt2" if pool.devices.startswith("cuda") else f"{name}.pt2")


def rows(shapes, seed=0, dtype=np.float32) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    return [generator.standard_normal(shape).astype(dtype) for shape in shapes]


def alone(model, *inputs) -> dict[str, np.ndarray]:
    """What PyTorch returns for one item in a batch of its own, flattened and named; less that first dimension."""
    with torch.no_grad():
        outputs = model(*[torch.from_numpy(np.array(i))[None] for i in inputs])
    return {name: value[0].numpy() for name, value in flat(outputs)}


def flat(value, path="") -> list[tuple[str, torch.Tensor]]:
    if isinstance(value, torch.Tensor):
        return [(path or "output", value)]
    if isinstance(value, dict):
        pairs = value.items()
    elif hasattr(value, "_asdict"):
        pairs = value._asdict().items()
    else:
        pairs = ((str(i), v) for i, v in enumerate(value))
    return [f for key, v in pairs for f in flat(v, f"{path}.{key}" if path else str(key))]


def assert_equal(item, expected: dict[str, np.ndarray]):
    assert item.status == 0, item.error
    assert set(item.outputs) == set(expected)
    for name, value in expected.items():
        assert item[name].dtype == value.dtype and item[name].shape == value.shape, name
        np.testing.assert_allclose(item[name], value, rtol=1e-5, atol=1e-5, err_msg=name)


# ---- One model, all ways to give it its inputs ----


def test_stacked_items_get_what_pytorch_gives_each_alone(pool):
    arrays = rows([8] * 150)
    items = pool.run(pool.tool("torchscript", MODELS / "linear.pt"), pool.items([arrays]))
    for item, array in zip(items, arrays, strict=True):
        assert_equal(item, alone(models.Linear(), array))


def test_rows_of_one_array_views_with_strides_and_equal_items_are_the_same_items(cpu):
    whole = rows([(40, 8)])[0]
    linear = cpu.tool("torchscript", MODELS / "linear.pt")
    plain = [item["output"] for item in cpu.run(linear, cpu.items([[*whole]]))]
    strided = np.asfortranarray(whole)
    backwards = whole[:, ::-1].copy()[:, ::-1]
    doubled = np.repeat(whole, 2, axis=0)
    for views, of in (([*strided], 1), ([*backwards], 1), ([*doubled], 2)):
        items = cpu.run(linear, cpu.items([views]))
        np.testing.assert_allclose([i["output"] for i in items[::of]], plain, atol=1e-6)


def test_inputs_go_by_name_or_position_and_outputs_are_flattened_with_names(pool):
    x, y = rows([(3, 8)] * 10), rows([(3, 4)] * 10, seed=1)
    scale = rows([(1,)] * 10, seed=2)
    pair = pool.tool("torchscript", MODELS / "pair.pt")
    reference = models.Pair()
    for fields in ([x, y], {"y": y, "x": x}, {"y": y, "0": x}):
        for i, item in enumerate(pool.run(pair, pool.items(fields))):
            assert_equal(item, alone(reference, x[i], y[i]))
    spread = [s.reshape(1, 1) for s in scale]
    for i, item in enumerate(pool.run(pair, pool.items({"x": x, "y": y, "scale": spread}))):
        assert_equal(item, alone(reference, x[i], y[i], spread[i]))


def test_named_tuples_lists_and_chosen_outputs(cpu):
    x = rows([5] * 7)
    fields = cpu.tool("torchscript", MODELS / "fields.pt", outputs="0.best,0.rest.1")
    wrong = cpu.tool("torchscript", MODELS / "fields.pt", outputs="rest")
    reason = cpu.reason(wrong, cpu.items([x]))
    assert reason.status == OPTION and "0.best, 0.rest.0, 0.rest.1, 1" in reason.message
    for i, item in enumerate(cpu.run(fields, cpu.items([x]))):
        np.testing.assert_allclose(item["0.best"], x[i].max())
        np.testing.assert_allclose(item["0.rest.1"], x[i].sum(), atol=1e-5)
        assert set(item.outputs) == {"0.best", "0.rest.1"}


def test_one_item_a_call_takes_any_shape_and_gives_back_what_comes(cpu):
    x = rows([(1, 8), (5, 8), (2, 8)])
    linear = cpu.tool("torchscript", MODELS / "linear.pt", batch="none")
    for item, array in zip(cpu.run(linear, cpu.items([x])), x, strict=True):
        with torch.no_grad():
            assert_equal(item, {"output": models.Linear()(torch.from_numpy(array)).numpy()})
    total = cpu.tool("torchscript", MODELS / "total.pt", batch="none")
    for item, array in zip(cpu.run(total, cpu.items([x])), x, strict=True):
        np.testing.assert_allclose(item["output"], array.sum(), atol=1e-4)


def test_every_dtype_arrives_and_comes_back(cpu):
    same = cpu.tool("torchscript", MODELS / "same.pt")
    for dtype in (np.float32, np.float64, np.int8, np.uint8, np.int16, np.int32, np.int64, bool):
        arrays = [(10 * array).astype(dtype) for array in rows([(2, 3)] * 3)]
        for item, array in zip(cpu.run(same, cpu.items([arrays])), arrays, strict=True):
            assert item["output"].dtype == array.dtype
            np.testing.assert_array_equal(item["output"], array)
    kept = cpu.tool("torchscript", MODELS / "same.pt", output_dtype="model")
    half = [array.astype(np.float16) for array in rows([4] * 3)]
    assert cpu.run(same, cpu.items([half]))[0]["output"].dtype == np.float32
    assert cpu.run(kept, cpu.items([half]))[0]["output"].dtype == np.float16


# ---- Padding and packing ----


def tokens(lengths, seed=3) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    return [generator.integers(1, 50, n) for n in lengths]


LENGTHS = [3, 17, 1, 9, 9, 40, 2, 33, 5, 5, 5, 28]


def test_padded_items_get_what_pytorch_gives_each_alone(pool):
    ids = tokens(LENGTHS)
    encoder = pool.tool(
        "torchscript", MODELS / "encoder.pt", batch="pad", mask="mask", ragged_outputs="states"
    )
    reference = models.Encoder().eval()
    for item, i in zip(pool.run(encoder, pool.items({"ids": ids})), ids, strict=True):
        assert_equal(item, alone(reference, i, np.ones_like(i)))


def test_padding_is_on_the_dimension_and_of_the_value_that_options_say(cpu):
    x = rows([(2, n, 3) for n in (4, 1, 3)])
    padded = cpu.tool(
        "torchscript", MODELS / "same.pt", batch="pad", dim=1, pad_value="-7", batch_size=1000
    )
    longest = cpu.run(padded, cpu.items([x]))
    for item, array in zip(longest, x, strict=True):
        shown = item["output"]
        np.testing.assert_array_equal(shown[:, : array.shape[1]], array)
        assert (shown[:, array.shape[1] :] == -7).all()
    cut = cpu.tool("torchscript", MODELS / "same.pt", batch="pad", dim=1, ragged_outputs="output")
    for item, array in zip(cpu.run(cut, cpu.items([x])), x, strict=True):
        np.testing.assert_array_equal(item["output"], array)


def test_a_report_says_how_much_was_padding(cpu):
    options = {"batch": "pad", "mask": "mask", "batch_size": 1000}
    encoder = cpu.tool("torchscript", MODELS / "encoder.pt", **options)
    counts = cpu.report(encoder, cpu.items({"ids": tokens([40] * 8 + [39] * 4)}))["counts"]
    assert counts["elements"] - counts["padding"] == 8 * 40 + 4 * 39
    assert counts["padding"] <= 4
    apart = cpu.report(encoder, cpu.items({"ids": tokens([10] * 30 + [400] * 2)}))["counts"]
    assert apart["padding"] == 0, "a few long items are a call of their own"


def test_packed_items_get_their_own_rows_back(pool):
    x = rows([(n, 8) for n in LENGTHS])
    packed = pool.tool(
        "torchscript", MODELS / "packed.pt", batch="pack", lengths="starts", ragged_outputs="sums"
    )
    for item, array in zip(pool.run(packed, pool.items([x])), x, strict=True):
        assert_equal(item, {"sums": array.cumsum(0, dtype=np.float32), "means": array.mean(0)})


# ---- AOTInductor ----


def test_a_package_gives_what_pytorch_gives(pool):
    x, y = rows([(3, 8)] * 21), rows([(3, 4)] * 21, seed=1)
    for kind in ("aoti", "auto"):
        pair = pool.tool(kind, package(pool, "pair"), batch_fill=2)
        for i, item in enumerate(pool.run(pair, pool.items([x, y]))):
            assert_equal(item, alone(models.Pair(), x[i], y[i]))


def test_what_a_package_refuses_fails_alone_with_its_own_words(cpu):
    x, y = rows([(3, 8)] * 5), rows([(3, 4)] * 5, seed=1)
    x[1], x[2] = x[1].astype(np.float64), rows([(3, 7)])[0]
    pair = cpu.tool("aoti", MODELS / "pair.pt2", batch_fill=2)
    items = cpu.run(pair, cpu.items([x, y]))
    assert [item.status for item in items] == [0, FAILED, FAILED, 0, 0]
    assert "unmatched dtype" in items[1].error and "expected: 8" in items[2].error
    lone = cpu.tool("aoti", MODELS / "pair.pt2", batch="stack")
    (item,) = cpu.run(lone, cpu.items([x[:1], y[:1]]))
    assert "batch_fill" in item.error


@pytest.mark.parametrize(
    ("kind", "file", "words"),
    [
        ("torchscript", "text.pt", "no archive of PyTorch"),
        ("torchscript", "other.pt", "neither a TorchScript module"),
        ("torchscript", "weights.pt", "torch.jit.trace"),
        ("torchscript", "pair.pt2", "open it as aoti"),
        ("aoti", "linear.pt", "open it as torchscript"),
        ("aoti", "exported.pt2", "not compiled"),
        ("aoti", "absent.pt2", "cannot be opened"),
        ("torchscript", "", "is a directory"),
        ("auto", "other.pt", "neither"),
        ("auto", "absent", "does not exist"),
    ],
)
def test_what_is_no_model_is_refused_when_it_is_opened(cpu, kind, file, words):
    with pytest.raises(Error) as error:
        cpu.tool(kind, MODELS / file)
    assert error.value.status == MODEL and words in error.value.message


def test_a_package_for_another_device_fails_its_load(cpu):
    x, y = rows([(3, 8)] * 2), rows([(3, 4)] * 2)
    reason = cpu.reason(cpu.tool("aoti", MODELS / "other_device.pt2"), cpu.items([x, y]))
    assert reason.status == MODEL and "compiled for cuda, and this slot is cpu" in reason.message


def test_a_package_of_another_torch_fails_its_load(cpu, tmp_path):
    """One that calls a function which this torch does not have. What libtorch unpacked of it is gone."""
    other = tmp_path / "other.pt2"
    name = b"aoti_torch_empty_strided"
    models.edited(MODELS / "pair.pt2", other, ".so", name, name[:-1] + b"_")
    x, y = rows([(3, 8)] * 2), rows([(3, 4)] * 2)
    reason = cpu.reason(cpu.tool("aoti", other), cpu.items([x, y]))
    assert reason.status == MODEL
    assert "undefined symbol" in reason.message and "another PyTorch" in reason.message
    unpacked = Path(re.search(r"/tmp/\w{6}/", reason.message)[0])
    assert not unpacked.exists()


LEFT_OPEN = """
import re, sys
import numpy as np
from pool import Pool

devices, package = sys.argv[1:]
pool = Pool(devices)
x, y = np.ones((3, 8), np.float32), np.ones((3, 4), np.float32)
(item,) = pool.run(pool.tool("aoti", package, batch_fill=2), pool.items([[x], [y]]))
assert item.status == 0, item.error
(folder,) = set(re.findall(r"/tmp/\\w{6}/", open("/proc/self/maps").read()))
print(folder)
"""


def test_a_process_that_leaves_a_package_open_leaves_no_file_of_it(pool):
    program = [sys.executable, "-c", LEFT_OPEN, pool.devices, package(pool, "pair")]
    done = subprocess.run(program, cwd=Path(__file__).parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not Path(done.stdout.strip()).exists()


def test_a_damaged_module_fails_its_load(cpu, tmp_path):
    damaged = tmp_path / "damaged.pt"
    models.edited(MODELS / "linear.pt", damaged, ".py", b"def forward", b"fed forward")
    reason = cpu.reason(cpu.tool("torchscript", damaged), cpu.items([rows([8] * 2)]))
    assert reason.status == MODEL and "cannot be loaded" in reason.message
    half = tmp_path / "half.pt"
    half.write_bytes((MODELS / "linear.pt").read_bytes()[:2000])
    with pytest.raises(Error, match="no archive of PyTorch"):
        cpu.tool("torchscript", half)


# ---- Bad input: the other items come back ----


def test_an_item_that_the_model_refuses_fails_alone_with_the_models_words(cpu):
    x = rows([8] * 20)
    x[3], x[11] = rows([9])[0], x[11].astype(np.int64)
    items = cpu.run(cpu.tool("torchscript", MODELS / "linear.pt"), cpu.items([x]))
    assert [i for i, item in enumerate(items) if item.status] == [3, 11]
    assert "mat1 and mat2 shapes cannot be multiplied" in items[3].error
    assert len(items[3].error) < 200 and "Traceback" not in items[3].error
    assert "dtype" in items[11].error


def test_an_item_with_a_bad_value_is_found_among_its_batch(cpu):
    x = [abs(array) for array in rows([4] * 30)]
    x[13] = -x[13]
    items = cpu.run(cpu.tool("torchscript", MODELS / "picky.pt"), cpu.items([x]))
    assert [i for i, item in enumerate(items) if item.status] == [13]
    assert items[13].error.endswith("a length cannot be negative")


def test_zero_sizes_and_missing_dimensions_are_said_clearly(cpu):
    x = [*rows([(3,), (0,), ()]), np.zeros((2, 0), np.float32)]
    padded = cpu.tool("torchscript", MODELS / "same.pt", batch="pad")
    items = cpu.run(padded, cpu.items([x]))
    assert [item.status for item in items] == [0, ITEM, ITEM, ITEM]
    assert "no elements" in items[1].error and "no dimension 0" in items[2].error


def test_wrong_inputs_are_said_by_name(cpu):
    linear = cpu.tool("torchscript", MODELS / "linear.pt")
    for fields, words in (
        ([rows([8]), rows([8])], "no input '1': its inputs are x"),
        ({"image": rows([8])}, "no input 'image'"),
    ):
        reason = cpu.reason(linear, cpu.items(fields))
        assert reason.status == ARGUMENT and words in reason.message
    pair = cpu.tool("torchscript", MODELS / "pair.pt")
    reason = cpu.reason(pair, cpu.items({"x": rows([(3, 8)])}))
    assert "'y': its inputs are x, y, scale (optional)" in reason.message
    reason = cpu.reason(linear, cpu.strings(b"text"))
    assert "no input 'input'" in reason.message


def test_outputs_that_do_not_split_are_said_by_name_and_shape(cpu):
    x = rows([4] * 3)
    reason = cpu.reason(cpu.tool("torchscript", MODELS / "total.pt"), cpu.items([x]))
    assert "'output' of shape [] does not split" in reason.message
    reason = cpu.reason(cpu.tool("torchscript", MODELS / "strings.pt"), cpu.items([x]))
    assert "'output' is a String" in reason.message
    ragged = cpu.tool(
        "torchscript", MODELS / "encoder.pt", batch="pad", mask="mask", ragged_outputs="mean"
    )
    reason = cpu.reason(ragged, cpu.items({"ids": tokens([5, 5])}))
    assert "ragged_outputs has it" in reason.message


def test_tensors_that_their_memory_does_not_hold_or_that_are_elsewhere_are_refused(cpu):
    array = rows([8])[0]
    fine, huge, on_gpu = (tensor(array, []) for _ in range(3))
    huge.shape[0] = 1 << 40
    on_gpu.device = 1
    for wrong, words in ((huge, "needs 4398046511104 bytes"), (on_gpu, "copy it there first")):
        two = (type(fine) * 2)(fine, wrong)
        with pytest.raises(Error) as error:
            cpu.made("toolpool_items_from_tensors", None, c.byref(two), 2, None, None)
        assert error.value.status == ARGUMENT and words in error.value.message


def test_a_shape_that_no_memory_holds_fails_alone(cpu):
    """A view of 2^40 equal elements is dense nowhere; one of a model's making is not there either."""
    with pytest.raises(Error) as error:
        cpu.items([[np.broadcast_to(np.float32(1), (1 << 40,))]])
    assert error.value.status == OUT_OF_MEMORY and "1099511627776" in error.value.message
    sizes = [np.array(n, np.int64) for n in (3, 1 << 45, 5)]
    for name in ("grows", "deep"):
        tool = cpu.tool("torchscript", MODELS / f"{name}.pt", batch="none")
        items = cpu.run(tool, cpu.items([sizes]))
        assert [item.status for item in items] == [0, OUT_OF_MEMORY, 0], name
        assert [items[i]["output"].shape for i in (0, 2)] == [(3,), (5,)]


def test_a_model_that_writes_to_its_input_does_not_write_to_the_callers(cpu):
    x = rows([(2, 3)] * 4)
    before = [array.copy() for array in x]
    for item, array in zip(
        cpu.run(cpu.tool("torchscript", MODELS / "writes.pt", batch="none"), cpu.items([x])),
        before,
        strict=True,
    ):
        np.testing.assert_allclose(item["output"], 2 * array + 1, rtol=1e-6)
    for array, was in zip(x, before, strict=True):
        np.testing.assert_array_equal(array, was)


# ---- Options ----


def test_options_are_checked_when_they_are_set(cpu):
    linear = cpu.tool("torchscript", MODELS / "linear.pt")
    for key, value in (("batch", "heap"), ("cost", "time"), ("layers", "1"), ("dtype", "fp8")):
        with pytest.raises(Error) as error:
            cpu.call("toolpool_tool_set", linear, key.encode(), value.encode())
        assert error.value.status == OPTION
    with pytest.raises(Error) as error:
        cpu.tool("aoti", MODELS / "pair.pt2", dtype="bf16")
    assert "export it" in error.value.message


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_half_precision_casts_weights_and_inputs_and_gives_fp32(pool, dtype):
    x = rows([8] * 20)
    half = pool.tool("torchscript", MODELS / "linear.pt", dtype=dtype)
    items = pool.run(half, pool.items([x]))
    full = [alone(models.Linear(), array)["output"] for array in x]
    difference = max(abs(i["output"] - f).max() for i, f in zip(items, full, strict=True))
    assert items[0]["output"].dtype == np.float32
    assert 1e-6 < difference < 2e-2


@pytest.mark.parametrize("dtype", ["auto", "fp32", "bf16", "fp16"])
def test_a_dtype_leaves_whole_numbers_as_they_are(pool, dtype):
    tool = pool.tool("torchscript", MODELS / "picks.pt", dtype=dtype)
    x = np.arange(4, dtype=np.float32)
    for item in pool.run(tool, pool.items([[x]])):
        assert_equal(item, {"0": x[[3, 1, 1]], "1": np.array([3, 1, 2049])})


def test_a_warm_up_runs_the_shapes_that_it_is_given(cpu):
    warm = cpu.tool(
        "torchscript",
        MODELS / "encoder.pt",
        batch="pad",
        mask="mask",
        warm_up="int64[4];int64[32]",
    )
    cpu.call("toolpool_warm", cpu.pool, warm)
    wrong = cpu.tool("torchscript", MODELS / "linear.pt", warm_up="float32[9]")
    with pytest.raises(Error) as error:
        cpu.call("toolpool_warm", cpu.pool, wrong)
    assert "mat1 and mat2" in error.value.message


@pytest.mark.parametrize("kind", ["torchscript", "aoti"])
def test_in_a_process_of_its_own_a_model_gives_the_same(cpu, kind):
    x, y = rows([(3, 8)] * 9), rows([(3, 4)] * 9, seed=1)
    file = MODELS / ("pair.pt" if kind == "torchscript" else "pair.pt2")
    pair = cpu.tool(kind, file, isolation="process", batch_fill=2)
    for i, item in enumerate(cpu.run(pair, cpu.items([x, y]))):
        assert_equal(item, alone(models.Pair(), x[i], y[i]))
    ids = tokens(LENGTHS)
    options = {"batch": "pad", "mask": "mask", "isolation": "process"}
    encoder = cpu.tool("torchscript", MODELS / "encoder.pt", outputs="mean", **options)
    reference = models.Encoder().eval()
    for item, i in zip(cpu.run(encoder, cpu.items({"ids": ids})), ids, strict=True):
        np.testing.assert_allclose(
            item["mean"], alone(reference, i, np.ones_like(i))["mean"], atol=1e-5
        )


def test_a_pool_that_trusts_data_alone_refuses_models_and_takes_weights():
    careful = Pool("cpu*1", trust="data")
    x, y = rows([(3, 8)] * 2), rows([(3, 4)] * 2)
    for file in ("pair.pt", "pair.pt2"):
        for options in ({}, {"isolation": "process"}):
            model = careful.tool("auto", MODELS / file, **options)
            with pytest.raises(Error, match="trust=data"):
                careful.run(model, careful.items([x, y]))
    esm2 = careful.tool("auto", os.environ["TOOLPOOL_TEST_TINY_MODEL"])
    assert careful.run(esm2, careful.strings(b"MKTAYI"))[0].status == 0
    careful.close()


# ---- ESM-2 by looking ----


def test_auto_opens_a_checkpoint_directory_as_esm2(cpu):
    esm2 = cpu.tool("auto", os.environ["TOOLPOOL_TEST_TINY_MODEL"], outputs="bos")
    assert cpu.run(esm2, cpu.strings(b"MKTAYI"))[0]["bos"].shape == (40,)


# ---- The sentence model ----


SENTENCES = [
    "This is an example sentence",
    "Each sentence is converted",
    "The surgeon closed the wound with silk.",
    "A physician stitched up the cut.",
    "The detective looked for a clue behind the curtain, and found nothing there but dust.",
]
# What the model's page gives for the first.
PUBLISHED = [0.0677, 0.0635, 0.0487, 0.0793, 0.0374]


@pytest.fixture(scope="module")
def ids():
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(models.export_sentences.folder())
    return [np.array(tokenizer(text)["input_ids"], np.int64) for text in SENTENCES]


@pytest.mark.parametrize("kind", ["torchscript", "aoti"])
def test_the_sentence_model_gives_the_published_values_and_pytorchs_own(pool, ids, kind):
    if kind == "torchscript":
        tool = pool.tool(kind, MODELS / "sentences.pt", batch="pad", mask="attention_mask")
    else:
        file = package(pool, "sentences")
        tool = pool.tool(kind, file, batch="pad", mask=1, batch_fill=2)
    items = pool.run(tool, pool.items([ids]))
    np.testing.assert_allclose(items[0]["output"][:5], PUBLISHED, atol=5e-5)
    model = models.export_sentences.sentences()
    for item, tokens in zip(items, ids, strict=True):
        assert_equal(item, alone(model, tokens, np.ones_like(tokens)))
    vectors = np.stack([item["output"] for item in items])
    assert (vectors @ vectors[2])[3] > 0.5 > (vectors @ vectors[2])[4]


def test_a_large_input_is_not_copied_on_the_host():
    """A tensor of 1 GiB goes through a model in a process whose memory may grow by a quarter of that."""
    program = f"""
import resource
import numpy as np
from pool import Pool
pool = Pool("cpu*1")
total = pool.tool("torchscript", {str(MODELS / "total.pt")!r}, batch="none")
assert pool.run(total, pool.items([[np.ones(8, np.float32)]]))[0]["output"] == 8
large = np.ones(1 << 28, np.float32)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
result = pool.run(total, pool.items([[large]]))[0]["output"]
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
assert result == 1 << 28, result
assert grown < 1 << 18, f"{{grown >> 10}} MiB"
"""
    here = Path(__file__).parent
    subprocess.run([sys.executable, "-c", program], check=True, timeout=300, cwd=here)

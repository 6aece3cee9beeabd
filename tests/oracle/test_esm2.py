"""ESM-2 against fair-esm and transformers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from compare import ALL_OUTPUTS, assert_agrees, distance, every_layer, sequences
from references import (
    as_fair_esm,
    fair_names,
    random_transformers,
    with_fair_esm,
    with_transformers,
)
from safetensors.torch import load_file, save_file

from pool import Error, Pool

SHAPES = {"tiny": (3, 40, 2), "8M": (6, 320, 20)}
PROTEINS = [
    *sequences([1, 2, 5, 17, 64, 131, 300]),
    "MKT<mask>LILAVV<mask>AALA",
    "ACXBUZO.-",
    "MKJx*éA",
]
MODEL_ERROR, OPTION_ERROR = -6, -4


def run(source, proteins, threads=1, **options):
    pool = Pool("cpu", threads=str(threads))
    try:
        tool = pool.tool("esm2", source, **options)
        return pool.run(tool, pool.strings(*(protein.encode() for protein in proteins)))
    finally:
        pool.close()


@pytest.fixture(scope="module", params=SHAPES)
def model(request, tmp_path_factory):
    """A random model of transformers, and the directory it was saved to."""
    torch.set_num_threads(1)
    model = random_transformers(*SHAPES[request.param], seed=3)
    directory = tmp_path_factory.mktemp(request.param)
    model.save_pretrained(directory)
    return model, directory


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    model = random_transformers(*SHAPES["tiny"], seed=4)
    directory = tmp_path_factory.mktemp("plain")
    model.save_pretrained(directory)
    return model, directory


def test_agrees_with_transformers_in_every_output_of_every_layer(model):
    model, directory = model
    references = [with_transformers(model, protein) for protein in PROTEINS]
    items = run(directory, PROTEINS, outputs=ALL_OUTPUTS, layers=every_layer(references[0]))
    for item, reference in zip(items, references, strict=True):
        assert_agrees(item, reference, 1e-4)


def test_agrees_with_fair_esm_in_every_output_of_every_layer(model):
    model, directory = model
    fair = as_fair_esm(model)
    references = [with_fair_esm(fair, protein) for protein in PROTEINS]
    items = run(directory, PROTEINS, outputs=ALL_OUTPUTS, layers=every_layer(references[0]))
    for item, reference in zip(items, references, strict=True):
        assert_agrees(item, reference, 1e-4)


def test_several_threads_agree_too(model):
    model, directory = model
    references = [with_transformers(model, protein) for protein in PROTEINS]
    items = run(
        directory, PROTEINS, threads=3, outputs=ALL_OUTPUTS, layers=every_layer(references[0])
    )
    for item, reference in zip(items, references, strict=True):
        assert_agrees(item, reference, 1e-4)


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_half_precision_stays_near_fp32(model, dtype):
    model, directory = model
    proteins = sequences([40, 120])
    for item, protein in zip(
        run(directory, proteins, outputs=ALL_OUTPUTS, dtype=dtype), proteins, strict=True
    ):
        reference = with_transformers(model, protein)
        assert distance(item["per_residue"], reference.states[-1]) <= 2e-2
        assert distance(item["mean"], reference.states[-1].mean(axis=0)) <= 2e-2
        assert distance(item["logits"], reference.logits) <= 2e-2


def test_an_item_does_not_depend_on_its_batch_mates(model):
    _, directory = model
    proteins = sequences([3, 77, 150, 290, 31], seed=9)
    together = run(directory, proteins, outputs=ALL_OUTPUTS)
    for protein, item in zip(proteins, together, strict=True):
        [alone] = run(directory, [protein], outputs=ALL_OUTPUTS)
        for name in ALL_OUTPUTS.split(","):
            assert distance(item[name], alone[name]) <= 1e-5, name


def test_one_layer_keeps_the_plain_names(tiny):
    _, directory = tiny
    [last] = run(directory, ["MKT"], outputs="mean,bos")
    [second] = run(directory, ["MKT"], outputs="mean", layers="2")
    [counted] = run(directory, ["MKT"], outputs="mean", layers="-2,-1")
    assert set(last.outputs) == {"mean", "bos"} and set(second.outputs) == {"mean"}
    assert set(counted.outputs) == {"mean.2", "mean.3"}
    assert np.array_equal(counted["mean.3"], last["mean"])
    assert distance(counted["mean.2"], second["mean"]) <= 1e-6


def test_unknown_letters_are_one_token_each_and_are_named(tiny):
    _, directory = tiny
    known, unknown = run(directory, ["MKTA", "MkT**A"], outputs="per_residue")
    assert known.warnings == []
    assert unknown["per_residue"].shape == (6, 40)
    [warning] = unknown.warnings
    assert "'k' at 2" in warning and "'*' at 4" in warning and "'*' at 5" in warning
    [many] = run(directory, ["*" * 1000])
    assert "990 more" in many.warnings[0] and len(many.warnings[0]) < 500


def test_an_empty_sequence_fails_alone(tiny):
    _, directory = tiny
    before, empty, after = run(directory, ["MKT", "", "MKT"])
    assert "empty" in empty.error and not empty.outputs
    assert before.error is None and np.array_equal(before["mean"], after["mean"])
    assert all(item.error for item in run(directory, ["", ""]))


def test_long_sequences_follow_on_long(tiny):
    model, directory = tiny
    [long] = sequences([1100])
    [short, refused] = run(directory, ["MKT", long])
    assert short.error is None
    assert "1100 residues" in refused.error and "on_long" in refused.error
    [cut] = run(directory, [long], on_long="truncate", outputs="per_residue")
    assert cut["per_residue"].shape == (1022, 40) and "first 1022 of 1100" in cut.warnings[0]
    [whole] = run(directory, [long], on_long="whole", outputs="per_residue")
    assert "whole" in whole.warnings[0]
    assert distance(whole["per_residue"], with_transformers(model, long).states[-1]) <= 1e-4
    [raised] = run(directory, [long], max_length=2000)
    assert raised.error is None and raised.warnings == []


def test_five_thousand_residues_run_whole(tiny):
    _, directory = tiny
    [item] = run(directory, sequences([5000]), on_long="whole", outputs="mean,contacts")
    assert item["contacts"].shape == (5000, 5000) and np.isfinite(item["mean"]).all()


def rewritten(directory: Path, target: Path, change) -> Path:
    """A copy of a checkpoint with `change` made to its dict of tensors."""
    weights = change(load_file(directory / "model.safetensors"))
    save_file({k: v.contiguous() for k, v in weights.items()}, target / "model.safetensors")
    (target / "config.json").write_text((directory / "config.json").read_text())
    return target


def test_fair_names_in_safetensors(tiny, tmp_path):
    model, directory = tiny
    for prefix in ("", "encoder.sentence_encoder."):
        renamed = {prefix + k: v for k, v in fair_names(model).items()}
        copy = rewritten(directory, tmp_path, lambda _, renamed=renamed: renamed)
        [item] = run(copy, ["MKTAY"], outputs="logits,contacts")
        reference = with_transformers(model, "MKTAY")
        assert distance(item["logits"], reference.logits) <= 1e-4
        assert distance(item["contacts"], reference.contacts) <= 1e-4


def test_names_of_older_transformers_and_frequencies_of_the_checkpoint(tiny, tmp_path):
    model, directory = tiny
    frequencies = model.esm.rotary_embeddings.inv_freq * 1.25

    def older(weights):
        weights = {
            k.replace("gamma", "weight").replace("beta", "bias"): v for k, v in weights.items()
        }
        weights = {k: v for k, v in weights.items() if "inv_freq" not in k}
        for layer in range(3):
            key = f"esm.encoder.layer.{layer}.attention.self.rotary_embeddings.inv_freq"
            weights[key] = frequencies.clone()
        return weights

    changed = rewritten(directory, tmp_path, older)
    [item] = run(changed, ["MKTAYIAKQR"], outputs="mean")
    [original] = run(directory, ["MKTAYIAKQR"], outputs="mean")
    assert distance(item["mean"], original["mean"]) > 1e-3, (
        "the checkpoint's frequencies were not used"
    )
    rotary = model.esm.rotary_embeddings
    before = rotary.inv_freq.clone()
    rotary.inv_freq.copy_(frequencies)
    expected = with_transformers(model, "MKTAYIAKQR").states[-1].mean(axis=0)
    rotary.inv_freq.copy_(before)
    assert distance(item["mean"], expected) <= 1e-4


def test_sharded_and_half_precision_files(tiny, tmp_path):
    model, directory = tiny
    model.save_pretrained(tmp_path / "sharded", max_shard_size="50KB")
    assert (tmp_path / "sharded/model.safetensors.index.json").exists()
    [sharded], [single] = (run(d, ["MKTAY"]) for d in (tmp_path / "sharded", directory))
    assert np.array_equal(sharded["mean"], single["mean"])
    half = tmp_path / "half"
    half.mkdir()
    rewritten(directory, half, lambda weights: {k: v.half() for k, v in weights.items()})
    [item] = run(half, ["MKTAY"])
    assert distance(item["mean"], single["mean"]) <= 1e-2


def test_a_base_model_without_heads(tiny, tmp_path):
    model, directory = tiny
    model.esm.save_pretrained(tmp_path)
    [base], [full] = (run(d, ["MKTAY"], outputs="mean,contacts") for d in (tmp_path, directory))
    assert distance(base["mean"], full["mean"]) <= 1e-6
    with pytest.raises(Error, match="language-model head") as caught:
        run(tmp_path, ["MKTAY"], outputs="logits")
    assert caught.value.status == OPTION_ERROR


def test_a_hub_id_is_found_in_the_local_cache(tiny, tmp_path, monkeypatch):
    _, directory = tiny
    snapshot = tmp_path / "hub/models--someone--esm2_tiny/snapshots/abc"
    snapshot.parent.mkdir(parents=True)
    snapshot.symlink_to(directory)
    (tmp_path / "hub/models--someone--esm2_tiny/refs").mkdir()
    (tmp_path / "hub/models--someone--esm2_tiny/refs/main").write_text("abc")
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    assert run("someone/esm2_tiny", ["MKT"])[0].error is None
    with pytest.raises(Error, match="not in the Hugging Face cache") as caught:
        run("someone/else", ["MKT"])
    assert (
        caught.value.status == MODEL_ERROR and "toolpool fetch someone/else" in caught.value.message
    )


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"colour": "red"}, "outputs, layers, dtype, tokens_per_batch, on_long, max_length"),
        ({"outputs": "median"}, "mean, bos, per_residue, logits, contacts"),
        ({"outputs": ""}, "mean, bos"),
        ({"layers": "4"}, "layers 0 .* to 3"),
        ({"layers": "-5"}, "-4 to -1"),
        ({"layers": "last"}, "layer numbers"),
        ({"dtype": "int8"}, "auto, fp32, bf16 or fp16"),
        ({"on_long": "window"}, "error, truncate or whole"),
        ({"max_length": "0"}, "at least 1"),
        ({"tokens_per_batch": "-3"}, "at least 1"),
    ],
)
def test_bad_options_name_the_good_ones(tiny, options, says):
    with pytest.raises(Error, match=says) as caught:
        run(tiny[1], ["MKT"], **options)
    assert caught.value.status == OPTION_ERROR


def test_cost_and_extent_follow_the_tokens(tiny):
    pool = Pool("cpu")
    tool = pool.tool("esm2", tiny[1], tokens_per_batch=777)
    report = pool.report(tool, pool.strings(b"MKTAY<mask>AKQR"))
    [slot] = report["slots"]
    n, d, t = 3, 40, 12
    assert report["cost"] == 24 * n * d * d * t + 4 * n * d * t * t
    assert slot["extent"] == t and slot["batch_budget"] == 777
    pool.close()


def test_tools_share_what_is_loaded_unless_their_types_differ(tiny):
    pool = Pool("cpu")
    loads = [
        pool.report(pool.tool("esm2", tiny[1], **options), pool.strings(b"MKT"))["slots"][0][
            "load_s"
        ]
        for options in ({}, {"outputs": "bos"}, {"dtype": "bf16"})
    ]
    assert loads[0] > 0 and loads[1] == 0 and loads[2] > 0
    pool.close()

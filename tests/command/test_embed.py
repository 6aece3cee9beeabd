"""`toolpool embed`: what goes in, what comes out, and what is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from conftest import (
    MODEL,
    contents,
    embed,
    proteins,
    report,
    rows,
    run,
    write_fasta,
)


def test_every_record_has_the_mean_that_pytorch_computes(fasta: Path, tmp_path: Path):
    """The oracle is transformers' own model, residues averaged by hand."""
    import torch
    from transformers import EsmModel

    model = EsmModel.from_pretrained(MODEL, add_pooling_layer=False).eval()
    alphabet = ["<cls>", "<pad>", "<eos>", "<unk>", *"LAGVSERTIDPKQNFYMHWC"]
    embed(fasta, tmp_path / "out")
    ours = rows(tmp_path / "out")
    records = proteins(60)
    assert sorted(ours.index) == list(range(60))
    for index, name, value in zip(ours.index, ours.id, ours.value, strict=True):
        expected_name, sequence = records[index]
        tokens = [0, *(alphabet.index(letter) for letter in sequence), 2]
        with torch.no_grad():
            hidden = model(torch.tensor([tokens])).last_hidden_state[0]
        assert name == expected_name
        np.testing.assert_allclose(value, hidden[1:-1].mean(0).numpy(), atol=2e-5)


@pytest.mark.parametrize("way", ["gzip", "stdin", "two files", "glob"])
def test_every_way_in_gives_the_same_rows(way: str, tmp_path: Path):
    records = proteins(40)
    plain = write_fasta(tmp_path / "all.fasta", records)
    embed(plain, tmp_path / "expected", "--deterministic")
    first = write_fasta(tmp_path / "part1.fa", records[:15])
    second = write_fasta(tmp_path / "part2.fa", records[15:])
    inputs, options = {
        "gzip": (write_fasta(tmp_path / "all.fasta.gz", records), {}),
        "stdin": ("-", {"input": plain.read_bytes()}),
        "two files": ([first, second], {}),
        "glob": (tmp_path / "part*.fa", {}),
    }[way]
    embed(inputs, tmp_path / "out", "--deterministic", **options)
    ours, expected = contents(tmp_path / "out"), contents(tmp_path / "expected")
    for files in [ours, expected]:  # the first line of the manifest names the input
        files["manifest.jsonl"] = files["manifest.jsonl"].split(b"\n", 1)[1]
    assert ours == expected


def test_sorted_rows_are_in_the_order_of_the_input(fasta: Path, tmp_path: Path):
    embed(fasta, tmp_path / "out", "--window", 7, "--sort")
    assert rows(tmp_path / "out").index == list(range(60))


def test_duplicates_are_computed_once_and_each_has_its_row(tmp_path: Path):
    records = [(f"p{number}", "MKTAYIAKQR"[: 3 + number % 4]) for number in range(50)]
    fasta = write_fasta(tmp_path / "alike.fasta", records)
    embed(fasta, tmp_path / "out", "--window", 10)
    ours = rows(tmp_path / "out")
    assert sorted(ours.index) == list(range(50))
    for number in range(50):
        assert ours.of(number) == ours.of(number % 4)
    assert report(tmp_path / "out")["session"]["saved"] == 46


def test_what_cannot_be_embedded_fails_alone_and_is_listed(tmp_path: Path):
    records = [("empty", ""), ("fine", "MKTAYIA"), ("long", "A" * 31), ("again", "A" * 31)]
    fasta = write_fasta(tmp_path / "some.fasta", records)
    ended = embed(fasta, tmp_path / "out", "--max-length", 30, "--window", 2, code=3)
    assert rows(tmp_path / "out").id == ["fine"]
    failures = (tmp_path / "out/failures.tsv").read_text()
    assert all(name in failures for name in ["empty", "long", "again"]) and "fine" not in failures
    assert b"failures.tsv" in ended.stderr


def test_nothing_usable_is_a_failure(tmp_path: Path):
    fasta = write_fasta(tmp_path / "long.fasta", [("a", "A" * 31), ("b", "C" * 31)])
    embed(fasta, tmp_path / "out", "--max-length", 30, code=1)


def test_outputs_by_layer_have_their_names(fasta: Path, tmp_path: Path):
    embed(fasta, tmp_path / "out", "--outputs", "mean,bos", "--layers", "0,-1")
    for name in ["mean.0", "mean.3", "bos.0", "bos.3"]:
        assert sorted(rows(tmp_path / "out", name).index) == list(range(60)), name


def test_json_is_the_report(fasta: Path, tmp_path: Path):
    ended = embed(fasta, tmp_path / "out", "--json")
    printed = json.loads(ended.stdout)
    assert printed["rows"] == 60
    assert printed["session"] == report(tmp_path / "out")["session"]
    assert (tmp_path / "out/timeline.svg").read_text().startswith("<svg")


def test_fp16_is_rounded_to_nearest_even(fasta: Path, tmp_path: Path):
    embed(fasta, tmp_path / "full", "--deterministic")
    embed(fasta, tmp_path / "half", "--deterministic", "--output-dtype", "fp16")
    full, half = rows(tmp_path / "full"), rows(tmp_path / "half")
    expected = np.asarray(full.value, dtype=np.float32).astype(np.float16)
    assert (np.asarray(half.value, dtype=np.float16) == expected).all()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--outputs", "moan"], "mean, bos, per_residue, logits, contacts"),
        (["--layers", "99"], "0 (the embedding) to 3"),
        (["--devices", "cuda:77"], "CUDA"),
        (["--set", "nonsense=1"], "nonsense"),
        (["--overlap", "3"], "--on-long window"),
        (["--on-long", "window", "--outputs", "contacts"], "contacts"),
        (["--shard", "5/4"], "I from 1 to N"),
        (["--model", "facebook/not_there"], "toolpool fetch facebook/not_there"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_written(
    arguments: list[str], said: str, fasta: Path, tmp_path: Path
):
    model = [] if "--model" in arguments else ["-m", MODEL]
    ended = run("embed", fasta, "-o", tmp_path / "out", *model, *arguments)
    assert ended.returncode == 2, ended.stderr.decode()
    assert said in ended.stderr.decode()
    assert not (tmp_path / "out").exists()


def test_help_names_the_exit_codes():
    text = run("--help").stdout.decode()
    assert all(code in text for code in ["  0 ", "  1 ", "  2 ", "  3 ", "  130 "])


def test_colours_are_for_terminals(fasta: Path, tmp_path: Path):
    ended = run(
        "embed", fasta, "-m", "nowhere", "-o", tmp_path / "out", env=os.environ | {"TERM": "xterm"}
    )
    assert b"\x1b[" not in ended.stderr

"""One input over many machines, and long proteins in windows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import MODEL, contents, embed, proteins, report, rows, run, write_fasta

SHARDS = 3


def test_shards_hold_every_record_once_and_merge_to_the_whole(tmp_path: Path):
    records = proteins(200)
    fasta = write_fasta(tmp_path / "proteins.fasta", records)
    options = ["--deterministic", "--window", 40]
    parts = [tmp_path / f"part{index}" for index in range(1, SHARDS + 1)]
    for index, part in enumerate(parts, 1):
        embed(fasta, part, *options, "--shard", f"{index}/{SHARDS}")
    held = [rows(part).index for part in parts]
    assert sorted(index for indices in held for index in indices) == list(range(200))
    residues = [sum(len(records[index][1]) for index in indices) for indices in held]
    assert max(residues) < 1.5 * min(residues), "about the same work"

    ended = run("merge", *parts, "-o", tmp_path / "merged", "--sort")
    assert ended.returncode == 0, ended.stderr.decode()
    embed(fasta, tmp_path / "whole", *options, "--sort")
    merged, whole = rows(tmp_path / "merged"), rows(tmp_path / "whole")
    assert merged.index == list(range(200)) and merged.id == whole.id
    np.testing.assert_allclose(merged.value, whole.value, atol=2e-5)


def test_a_merge_says_what_failed_in_the_shards(tmp_path: Path):
    fasta = write_fasta(tmp_path / "some.fasta", [("empty", ""), ("empty, too", "")])
    parts = [tmp_path / "part1", tmp_path / "part2"]
    embed(fasta, parts[0], "--shard", "1/2", code=3)
    embed(fasta, parts[1], "--shard", "2/2")  # nothing was left for it
    ended = run("merge", *parts, "-o", tmp_path / "merged")
    assert ended.returncode == 3 and b"2 records failed" in ended.stderr
    assert b"failures.tsv" in ended.stderr


def test_shards_are_dealt_by_cost_and_not_by_length(tmp_path: Path):
    """Attention is quadratic: one protein of 1,000 residues is more than three of 500, whose length is more."""
    half = [("ACDEFGHIKL"[number] * 500) for number in range(4)]
    records = [(f"p{n}", sequence) for n, sequence in enumerate(["W" * 1000, *half])]
    fasta = write_fasta(tmp_path / "proteins.fasta", records)
    held = []
    for index in [1, 2]:
        embed(fasta, tmp_path / f"part{index}", "--shard", f"{index}/2")
        held.append(sorted(rows(tmp_path / f"part{index}").index))
    assert sorted(held) == [[0], [1, 2, 3, 4]]


def test_a_shard_that_is_done_again_is_the_same(tmp_path: Path):
    fasta = write_fasta(tmp_path / "proteins.fasta", proteins(100))
    options = ["--deterministic", "--window", 20, "--shard", "2/3"]
    for place in ["one", "two"]:
        embed(fasta, tmp_path / place, *options)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_a_merged_directory_is_gone_on_with_by_the_command_of_the_whole(tmp_path: Path):
    fasta = write_fasta(tmp_path / "proteins.fasta", proteins(60))
    parts = [tmp_path / "part1", tmp_path / "part2"]
    for index, part in enumerate(parts, 1):
        embed(fasta, part, "--shard", f"{index}/2", "--window", 20)
    assert run("merge", *parts, "-o", tmp_path / "merged").returncode == 0
    assert b"going on" not in embed(fasta, tmp_path / "merged").stderr
    shard = sorted((tmp_path / "merged/mean").glob("00000001-*"))[0]
    shard.unlink()
    ended = embed(fasta, tmp_path / "merged")
    assert b"going on after 40 records" in ended.stderr
    assert sorted(rows(tmp_path / "merged").index) == list(range(60))


def test_a_merge_into_one_of_its_parts_is_refused_and_changes_nothing(tmp_path: Path):
    fasta = write_fasta(tmp_path / "proteins.fasta", proteins(60))
    parts = [tmp_path / "part1", tmp_path / "part2"]
    for index, part in enumerate(parts, 1):
        embed(fasta, part, "--shard", f"{index}/2")
    before = contents(parts[0])
    ended = run("merge", *parts, "-o", parts[0])
    assert ended.returncode == 2 and b"--force" not in ended.stderr
    assert contents(parts[0]) == before


def test_a_merge_without_all_shards_is_refused(tmp_path: Path):
    fasta = write_fasta(tmp_path / "proteins.fasta", proteins(30))
    embed(fasta, tmp_path / "part1", "--shard", "1/2")
    ended = run("merge", tmp_path / "part1", "-o", tmp_path / "merged")
    assert ended.returncode in (1, 2) and b"2" in ended.stderr
    assert not (tmp_path / "merged/mean").exists()


@pytest.mark.parametrize("overlap", [10, 0, 19])
def test_long_sequences_are_averaged_over_windows(overlap: int, tmp_path: Path):
    """The oracle cuts by hand, embeds the pieces as records of their own, and averages residue by residue."""
    most = 20
    records = [(name, sequence * 2) for name, sequence in proteins(30, seed=3)]
    fasta = write_fasta(tmp_path / "long.fasta", records)
    options = ["--outputs", "mean,bos", "--max-length", most]
    embed(fasta, tmp_path / "out", *options, "--on-long", "window", "--overlap", overlap)

    pieces = [
        (index, begin)
        for index, (_, sequence) in enumerate(records)
        for begin in cuts(len(sequence), most, overlap)
    ]
    cut = [(f"{index}:{begin}", records[index][1][begin : begin + most]) for index, begin in pieces]
    embed(
        write_fasta(tmp_path / "pieces.fasta", cut),
        tmp_path / "pieces",
        "--outputs",
        "per_residue,bos",
    )
    residues = per_residue(tmp_path / "pieces")
    bos = rows(tmp_path / "pieces", "bos")
    ours, our_bos = rows(tmp_path / "out"), rows(tmp_path / "out", "bos")
    for index, (_, sequence) in enumerate(records):
        sums = np.zeros((len(sequence), residues[0].shape[1]))
        held = np.zeros((len(sequence), 1))
        starts = []
        for number, (of, begin) in enumerate(pieces):
            if of == index:
                sums[begin : begin + most] += residues[number]
                held[begin : begin + most] += 1
                starts.append(bos.of(number))
        np.testing.assert_allclose(ours.of(index), (sums / held).mean(0), atol=2e-5)
        np.testing.assert_allclose(our_bos.of(index), np.mean(starts, 0), atol=2e-5)


def cuts(length: int, most: int, overlap: int) -> list[int]:
    """Where pieces begin: every `most - overlap` residues, and where the last one still fits."""
    if length <= most:
        return [0]
    return [*range(0, length - most, most - overlap), length - most]


def per_residue(directory: Path) -> dict[int, np.ndarray]:
    """The matrix of each record, by index."""
    from safetensors.numpy import load_file

    found = {}
    for shard in sorted((directory / "per_residue").glob("*.safetensors")):
        tensors = load_file(shard)
        offsets = tensors["offsets"]
        for row, index in enumerate(tensors["index"]):
            found[int(index)] = tensors["values"][offsets[row] : offsets[row + 1]]
    return found


def test_remarks_on_a_sequence_in_windows_count_as_one_record(tmp_path: Path):
    fasta = write_fasta(tmp_path / "long.fasta", [("a", "AJ" * 25), ("b", "AA")])
    ended = embed(fasta, tmp_path / "out", "--on-long", "window", "--max-length", 20)
    assert b"remarks on 1 record;" in ended.stderr
    assert report(tmp_path / "out")["remarked"] == 1
    _, ran, *letters = (tmp_path / "out/remarks.tsv").read_text().splitlines()
    assert ran.startswith("0\ta\tthe sequence of 50 residues ran in 4 windows")
    assert [line.split("\t")[2].split(":")[0] for line in letters] == [
        "residues 1 to 20",
        "residues 11 to 30",
        "residues 21 to 40",
        "residues 31 to 50",
    ]


def test_the_manifest_says_that_long_sequences_ran_in_windows(tmp_path: Path):
    fasta = write_fasta(tmp_path / "long.fasta", [("a", "A" * 50)])
    embed(fasta, tmp_path / "out", "--on-long", "window", "--max-length", 20)
    manifest = (tmp_path / "out/manifest.jsonl").read_text()
    assert '"on-long":"window"' in manifest and '"overlap":"10"' in manifest


def test_the_manifest_names_the_model_and_the_input_and_neither_must_stay(tmp_path: Path):
    fasta = write_fasta(tmp_path / "proteins.fasta", proteins(20))
    options = ["--window", "10"]
    embed(fasta, tmp_path / "out", *options)
    model = tmp_path / "model"
    model.symlink_to(MODEL)
    moved = fasta.rename(tmp_path / "moved.fasta")
    (tmp_path / "out/mean/00000001.parquet").unlink()
    arguments = ["embed", moved, "-m", model, "-o", tmp_path / "out", "--devices", "cpu*2"]
    assert run(*arguments, *options).returncode == 0
    head = json.loads((tmp_path / "out/manifest.jsonl").read_text().splitlines()[0])["run"]["run"]
    assert head["named"] == {"model": MODEL, "inputs": [str(fasta)]}
    assert len(head["settings"]["model"]) == 32, "its digest"

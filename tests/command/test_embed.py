"""`toolpool embed`: what goes in, what comes out, and what is refused."""

from __future__ import annotations

import json
import os
import resource
import subprocess
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet as parquet
import pytest
from conftest import (
    MODEL,
    contents,
    embed,
    embed_arguments,
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
    assert "--on-long" in failures and "--max-length" in failures and "_" not in failures


def test_remarks_are_in_the_words_of_the_command(tmp_path: Path):
    fasta = write_fasta(tmp_path / "some.fasta", [("short", "MK"), ("long", "A" * 31)])
    embed(fasta, tmp_path / "out", "--max-length", 30, "--on-long", "truncate")
    [_, remark] = (tmp_path / "out/remarks.tsv").read_text().splitlines()
    assert remark.startswith("1\tlong\t") and "(--on-long truncate)" in remark


@pytest.mark.parametrize("empty", ["no records", "/dev/null", "stdin"])
def test_an_input_that_holds_no_sequence_says_so(empty: str, fasta: Path, tmp_path: Path):
    nothing = write_fasta(tmp_path / "none.fasta", [])
    given, options = {
        "no records": (nothing, {}),
        "/dev/null": ("/dev/null", {}),
        "stdin": ("-", {"input": b"\n; a comment\n"}),
    }[empty]
    name = "stdin" if empty == "stdin" else str(given)
    ended = embed(given, tmp_path / "out", **options)
    assert f"warning: {name} holds no sequence" in ended.stderr.decode()
    ended = embed([given, fasta], tmp_path / "both", **options)
    assert f"warning: {name} holds no sequence" in ended.stderr.decode()
    assert b"proteins.fasta holds" not in ended.stderr
    assert len(rows(tmp_path / "both").index) == 60


def test_the_summary_of_a_run_that_is_done_is_that_of_the_run(fasta: Path, tmp_path: Path):
    first = embed(fasta, tmp_path / "out", "--json").stdout
    again = embed(fasta, tmp_path / "out", "--json").stdout
    assert json.loads(first)["residues"] > 0
    assert json.loads(again) | {"pool": 0, "residues_per_s": 0} == json.loads(first) | {
        "pool": 0,
        "residues_per_s": 0,
    }


def test_a_run_of_which_every_record_failed_ends_like_one_of_which_some_did(tmp_path: Path):
    fasta = write_fasta(tmp_path / "long.fasta", [("a", "A" * 31), ("b", "C" * 31)])
    embed(fasta, tmp_path / "out", "--max-length", 30, code=3)
    assert len((tmp_path / "out/failures.tsv").read_text().splitlines()) == 3


def test_what_another_command_line_mends_is_known_before_anything_is_begun(
    fasta: Path, tmp_path: Path
):
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    (tmp_path / "reads.fastq").write_text("@a\nMK\n+\nII\n")
    into = ["-o", tmp_path / "out"]
    model = ["-m", MODEL]
    for arguments in [
        ["embed", tmp_path / "nowhere.fasta", *model, *into],
        ["embed", tmp_path / "no*.fasta", *model, *into],
        ["embed", tmp_path / "reads.fastq", *model, *into],
        ["embed", "-", "-", *model, *into],
        ["embed", fasta, "-m", tmp_path / "empty", *into],
        ["embed", fasta, *model, "-o", tmp_path / "file"],
        ["embed", fasta, *model, "-o", tmp_path / "file/out"],
        ["merge", tmp_path / "nowhere", *into],
        ["merge", tmp_path / "empty", *into],
        ["verify", tmp_path / "nowhere"],
        ["bench", "-m", tmp_path / "empty"],
    ]:
        ended = run(*arguments)
        assert ended.returncode == 2, (arguments, ended.stderr.decode())
        assert ended.stderr.count(b"error: ") == 1, arguments
        assert not (tmp_path / "out").exists(), arguments


def test_parts_that_make_no_whole_are_refused(fasta: Path, tmp_path: Path):
    for part in [1, 2]:
        embed(fasta, tmp_path / f"part{part}", "--shard", f"{part}/3")
    parts = [tmp_path / "part1", tmp_path / "part2"]
    ended = run("merge", *parts, "-o", tmp_path / "out")
    assert ended.returncode == 2 and b"part 3/3 is missing" in ended.stderr
    embed(fasta, tmp_path / "part3", "--shard", "3/3")
    (tmp_path / "file").write_text("")
    ended = run("merge", *parts, tmp_path / "part3", "-o", tmp_path / "file")
    assert ended.returncode == 2, ended.stderr.decode()


def test_a_limit_of_the_size_of_files_stops_it_like_a_full_disk(fasta: Path, tmp_path: Path):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (8 << 10, resource.RLIM_INFINITY))

    options = ["--deterministic", "--window", 40, "--outputs", "per_residue"]
    ended = embed(fasta, tmp_path / "out", *options, code=1, preexec_fn=limit)
    assert b"File too large" in ended.stderr
    embed(fasta, tmp_path / "out", *options)
    embed(fasta, tmp_path / "expected", *options)
    assert contents(tmp_path / "out") == contents(tmp_path / "expected")


def test_outputs_by_layer_have_their_names(fasta: Path, tmp_path: Path):
    embed(fasta, tmp_path / "out", "--outputs", "mean, bos", "--layers", "0, -1")
    for name in ["mean.0", "mean.3", "bos.0", "bos.3"]:
        assert sorted(rows(tmp_path / "out", name).index) == list(range(60)), name


def test_json_is_the_report(fasta: Path, tmp_path: Path):
    ended = embed(fasta, tmp_path / "out", "--json")
    printed = json.loads(ended.stdout)
    assert printed["rows"] == 60
    assert printed["session"] == report(tmp_path / "out")["session"]
    assert (tmp_path / "out/timeline.svg").read_text().startswith("<svg")


def test_the_report_says_how_fast_each_slot_was(fasta: Path, tmp_path: Path):
    pool = json.loads(embed(fasta, tmp_path / "out", "--json").stdout)["pool"]
    assert 0 < pool["bound_s"] <= pool["elapsed_s"] and pool["over_bound"] >= 1
    assert all(slot["cost_per_s"] > 0 for slot in pool["slots"] if slot["batches"])


def test_residues_are_those_that_were_computed(tmp_path: Path):
    """Neither what failed nor duplicates, in a window or across; what two pieces hold counts twice."""
    long = ["W" * 30 + "A", "Y" * 30 + "C" * 10, "W" * 30 + "A"]
    alike = ["MKTAYIA", "GAVLI", "MKTAYIA", "", "MKTAYIA", "GAVLI"]
    sequences = long + alike
    fasta = write_fasta(tmp_path / "some.fasta", [(f"p{n}", s) for n, s in enumerate(sequences)])
    options = ["--max-length", 30, "--window", 4]
    printed = json.loads(embed(fasta, tmp_path / "out", *options, "--json", code=3).stdout)
    assert printed["residues"] == len("MKTAYIA") + len("GAVLI")
    elapsed = printed["pool"]["elapsed_s"]
    assert printed["residues_per_s"] * elapsed == pytest.approx(printed["residues"], rel=0.05)
    table = embed(fasta, tmp_path / "table", *options, code=3).stdout.decode().splitlines()
    column = table[0].split().index("residues")
    slots = [line.split() for line in table[1:-1]]
    assert sum(int(slot[column]) for slot in slots) == printed["residues"]
    ended = embed(fasta, tmp_path / "long", *options, "--on-long", "window", "--json", code=3)
    assert json.loads(ended.stdout)["residues"] == (2 * 30 + 2 * 30) + printed["residues"]


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
        (["--column", "sequence"], "--column is for tables"),
        (["--id-column", "id"], "--id-column is for tables"),
        (["--tokens-per-batch", "0"], "--tokens-per-batch cannot be"),
        (["--dtype", "fp31"], "--dtype cannot be"),
        (["--set", "nonsense=1"], "nonsense"),
        (["--overlap", "3"], "--on-long window"),
        (["--on-long", "window", "--outputs", "contacts"], "contacts"),
        (["--shard", "5/4"], "I from 1 to N"),
        (["--shard", "1/4000000000"], "at most 65536"),
        (["--model", ""], "give the id of one"),
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


@pytest.mark.parametrize("command", [[], ["embed"]])
def test_help_names_the_exit_codes(command: list[str]):
    text = run(*command, "--help").stdout.decode()
    assert all(code in text for code in ["  0 ", "  1 ", "  2 ", "  3 ", "  4 ", "  130 "])


def test_what_nobody_can_be_told_ends_no_run(fasta: Path, tmp_path: Path):
    """Standard error that is full, or whose reader has gone; standard output of either kind."""
    gone, kept = os.pipe()
    os.close(gone)
    with open("/dev/full", "wb") as full, open(kept, "wb") as pipe:
        for number, (out, err) in enumerate(
            [(None, full), (None, pipe), (full, None), (pipe, None), (full, pipe)]
        ):
            place = tmp_path / f"out{number}"
            options = {"capture_output": False, "stdout": out, "stderr": err, "timeout": 60}
            arguments = embed_arguments(fasta, place, "--json")
            assert run(*arguments, **options).returncode == 0
            assert len(rows(place).index) == 60
        for arguments in [["devices"], ["--version"], ["completions", "bash"], ["embed", "--help"]]:
            ended = run(*arguments, capture_output=False, stdout=pipe, stderr=subprocess.PIPE)
            assert (ended.returncode, ended.stderr) == (0, b""), arguments
        ended = run("devices", capture_output=False, stdout=full, stderr=subprocess.PIPE)
        assert ended.returncode == 1 and b"No space left" in ended.stderr


def damaged_zstd() -> bytes:
    """A frame that is whole, and behind it what is none."""
    return pyarrow.compress(b">a\nMK\n", codec="zstd", asbytes=True) + b"junk"


@pytest.mark.parametrize("kind", ["FASTQ", "carriage returns", "table", "brotli", "zstd"])
@pytest.mark.parametrize("way", ["file", "stdin"])
def test_what_another_input_mends_ends_with_2(kind: str, way: str, tmp_path: Path):
    content = {
        "FASTQ": b"@a\nMK\n+\nII\n",
        "carriage returns": b">a\rMK\r>b\rAC\r",
        "table": b"id,seq\n" + b"a,MK\n" * 9999 + b'b,"MK\n',
        "brotli": b"",
        "zstd": damaged_zstd(),
    }[kind]
    path = tmp_path / {"table": "it.csv", "brotli": "it.parquet"}.get(kind, "it")
    path.write_bytes(content)
    if kind == "brotli":
        table = pyarrow.table({"id": ["a"], "seq": ["MK"]})
        parquet.write_table(table, path, compression="brotli")
    options = ["--input-format", "csv"] if kind == "table" else []
    given, more = {"file": (path, {}), "stdin": ("-", {"input": path.read_bytes()})}[way]
    ended = embed(given, tmp_path / "out", *options, code=2, **more)
    assert ended.stderr.count(b"error: ") == 1
    if kind in ("FASTQ", "brotli"):
        assert not (tmp_path / "out").exists(), "it was known before"


@pytest.mark.parametrize("terminal", ["dumb", None])
def test_a_terminal_that_draws_nothing_gets_lines(
    terminal: str | None, fasta: Path, tmp_path: Path
):
    environment = {key: value for key, value in os.environ.items() if key != "TERM"}
    environment |= {"TERM": terminal} if terminal else {}
    ours, theirs = os.openpty()
    arguments = embed_arguments(fasta, tmp_path / "out")
    ended = run(*arguments, capture_output=False, stderr=theirs, env=environment)
    os.close(theirs)
    assert ended.returncode == 0
    said = os.read(ours, 1 << 16)
    os.close(ours)
    assert b"loaded esm2" in said and b"60 rows in" in said and b"\x1b" not in said


def test_colours_are_for_terminals(fasta: Path, tmp_path: Path):
    ended = run(
        "embed", fasta, "-m", "nowhere", "-o", tmp_path / "out", env=os.environ | {"TERM": "xterm"}
    )
    assert b"\x1b[" not in ended.stderr

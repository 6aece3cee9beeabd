"""What a run survives: kills, full disks, damage; and what it refuses to go on with."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import (
    COMMAND,
    OF_THE_SESSION,
    contents,
    embed,
    embed_arguments,
    proteins,
    report,
    rows,
    run,
    write_fasta,
)

# `make test-long`: 100 kills of a run of 5,000.
KILLS = int(os.environ.get("TOOLPOOL_TEST_KILLS", "8"))
SEQUENCES = int(os.environ.get("TOOLPOOL_TEST_SEQUENCES", "300"))


# What is said of a session's time is said twice, a moment apart.
OF_THE_TIME = {"pool", "residues_per_s"}


def start(*arguments: object, **options) -> subprocess.Popen:
    options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE} | options
    return subprocess.Popen([COMMAND, *map(str, arguments)], **options)


def windows(directory: Path) -> int:
    """How many windows the manifest lists."""
    manifest = directory / "manifest.jsonl"
    return sum('"first"' in line for line in manifest.open()) if manifest.exists() else 0


def seconds(*arguments: object) -> float:
    """How long an undisturbed run takes."""
    began = time.monotonic()
    embed(*arguments)
    return time.monotonic() - began


def until_windows(process: subprocess.Popen, directory: Path, count: int) -> None:
    """Waits for so many windows, or for the end of the process."""
    while windows(directory) < count and process.poll() is None:
        time.sleep(0.005)


def test_a_run_that_is_killed_again_and_again_ends_as_one_that_was_not(tmp_path: Path):
    source = random.Random(7)
    # Every seventh has letters that the model does not know, on which there are remarks.
    records = proteins(SEQUENCES, most=60)
    records[::7] = [(name, sequence + "J") for name, sequence in records[::7]]
    fasta = write_fasta(tmp_path / "proteins.fasta", records)
    options = ["--deterministic", "--window", max(8, SEQUENCES // 100)]
    one = write_fasta(tmp_path / "one.fasta", proteins(1))
    start_up = seconds(one, tmp_path / "one")
    work = seconds(fasta, tmp_path / "expected", *options) - start_up

    def check() -> None:
        assert contents(tmp_path / "out") == contents(tmp_path / "expected")
        indices = rows(tmp_path / "out").index
        assert sorted(indices) == list(range(SEQUENCES)), "no row twice, none lost"
        remarked = (tmp_path / "out/remarks.tsv").read_text().splitlines()[1:]
        indices = {int(line.split("\t")[0]) for line in remarked}
        assert indices >= set(range(0, SEQUENCES, 7)), "of all sessions"
        assert report(tmp_path / "out")["remarked"] == len(indices)

    kills = resumed = wholes = 0
    while kills < KILLS:
        process = start(*embed_arguments(fasta, tmp_path / "out", *options))
        time.sleep(source.uniform(0.3 * start_up, start_up + 2 * work / KILLS))
        process.kill()
        process.communicate()
        if process.returncode == -signal.SIGKILL:
            kills += 1
            resumed += windows(tmp_path / "out") > 0
        else:  # it came to its end before: again from the beginning
            check()
            shutil.rmtree(tmp_path / "out")
            wholes += 1
    embed(fasta, tmp_path / "out", *options)
    check()
    print(f"{kills} kills, {resumed} with windows already done; {wholes + 1} whole runs")


def test_a_run_that_is_killed_before_its_end_is_written_has_a_report_all_the_same(tmp_path: Path):
    fasta = write_fasta(tmp_path / "proteins.fasta", proteins(20))
    embed(fasta, tmp_path / "out")
    whole = contents(tmp_path / "out")
    manifest = tmp_path / "out/manifest.jsonl"
    lines = manifest.read_text().splitlines(keepends=True)
    assert '"end"' in lines.pop()
    manifest.write_text("".join(lines))
    for name in OF_THE_SESSION - {"lock"}:
        (tmp_path / "out" / name).unlink()
    assert b"going on after" in embed(fasta, tmp_path / "out").stderr
    assert contents(tmp_path / "out") == whole
    assert report(tmp_path / "out")["rows"] == 20
    assert b"going on" not in embed(fasta, tmp_path / "out").stderr, "it is done"


def test_a_run_that_is_killed_between_windows_goes_on_without_them(tmp_path: Path):
    """Also where windows are cut by speed: those that are done are cut as they were."""
    fasta = write_fasta(tmp_path / "proteins.fasta", proteins(3000, most=60))
    process = start(*embed_arguments(fasta, tmp_path / "out"))
    until_windows(process, tmp_path / "out", 1)
    process.kill()
    process.communicate()
    ended = embed(fasta, tmp_path / "out")
    assert b"going on after" in ended.stderr
    assert sorted(rows(tmp_path / "out").index) == list(range(3000))


@pytest.mark.parametrize("wanted", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_well_and_the_same_command_goes_on(wanted: signal.Signals, tmp_path: Path):
    records = [(name, sequence[:40]) for name, sequence in proteins(2000, most=60)]
    records[3] = ("too long", "A" * 41)
    fasta = write_fasta(tmp_path / "proteins.fasta", records)
    options = ["--deterministic", "--window", 20, "--max-length", 40]
    arguments = embed_arguments(fasta, tmp_path / "out", *options)
    process = start(*arguments, "--json", stdout=subprocess.PIPE)
    until_windows(process, tmp_path / "out", 2)
    process.send_signal(wanted)
    printed, said = process.communicate(timeout=60)
    assert process.returncode == 130, said.decode()
    assert b"the same command goes on" in said
    left = report(tmp_path / "out")
    assert left == json.loads(printed) | {key: left[key] for key in OF_THE_TIME}
    assert left["whole"] is False and 0 < left["rows"] < 20 * windows(tmp_path / "out")
    failed = (tmp_path / "out/failures.tsv").read_text().splitlines()[1:]
    assert len(failed) == left["failed"] > 0
    embed(fasta, tmp_path / "out", *options, code=3)
    embed(fasta, tmp_path / "expected", *options, code=3)
    assert contents(tmp_path / "out") == contents(tmp_path / "expected")
    assert report(tmp_path / "out")["whole"] is True


def test_a_run_that_is_whole_is_not_done_again(fasta: Path, tmp_path: Path):
    embed(fasta, tmp_path / "out")
    before = contents(tmp_path / "out") | {"report": (tmp_path / "out/report.json").read_bytes()}
    embed(fasta, tmp_path / "out")
    after = contents(tmp_path / "out") | {"report": (tmp_path / "out/report.json").read_bytes()}
    assert after == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--outputs", "bos"], "outputs"),
        (["--outputs", "per_residue"], "outputs"),
        (["--layers", "1"], "layers"),
        (["--output-dtype", "fp16"], "values"),
        (["--max-length", "100"], "max-length"),
        (["--deterministic"], "deterministic"),
        (["--shard", "1/2"], "shard"),
    ],
)
def test_other_options_are_refused_by_name(
    options: list[str], said: str, fasta: Path, tmp_path: Path
):
    embed(fasta, tmp_path / "out")
    before = contents(tmp_path / "out")
    ended = run(*embed_arguments(fasta, tmp_path / "out", *options))
    assert ended.returncode in (1, 2)
    assert said in ended.stderr.decode() and "--force" in ended.stderr.decode()
    assert "layouts" not in ended.stderr.decode(), "no word of the command's"
    assert contents(tmp_path / "out") == before
    embed(fasta, tmp_path / "out", *options, "--force")


def test_an_input_that_changed_is_refused(tmp_path: Path):
    records = proteins(60)
    fasta = write_fasta(tmp_path / "proteins.fasta", records)
    embed(fasta, tmp_path / "out", "--window", 10)
    records[25] = ("protein25", "MMMMMM")
    write_fasta(fasta, records)
    ended = embed(fasta, tmp_path / "out", "--window", 10, code=2)
    assert b"index 20 to 29 have changed" in ended.stderr
    write_fasta(fasta, records[:20])
    ended = embed(fasta, tmp_path / "out", "--window", 10, code=2)
    assert b"index 20 to 29 have changed" in ended.stderr


@pytest.mark.parametrize("options", [[], ["--deterministic", "--window", 20]])
def test_an_input_that_grew_is_refused(options: list[object], tmp_path: Path):
    records = proteins(70)
    fasta = write_fasta(tmp_path / "proteins.fasta", records[:60])
    embed(fasta, tmp_path / "out", *options)
    before = contents(tmp_path / "out")
    write_fasta(fasta, records)
    ended = embed(fasta, tmp_path / "out", *options, code=2)
    assert b"goes on after the 60 records" in ended.stderr
    assert contents(tmp_path / "out") == before
    # Also where something has to be done again.
    (tmp_path / "out/failures.tsv").unlink()
    ended = embed(fasta, tmp_path / "out", *options, code=2)
    assert b"goes on after the 60 records" in ended.stderr
    write_fasta(fasta, records[:60])
    embed(fasta, tmp_path / "out", *options)
    assert contents(tmp_path / "out") == before


def test_what_repair_finds_is_done_again(fasta: Path, tmp_path: Path):
    options = ["--deterministic", "--window", 10]
    embed(fasta, tmp_path / "out", *options)
    before = contents(tmp_path / "out")
    assert run("verify", "--repair", tmp_path / "out").returncode == 0
    shard = tmp_path / "out/mean/00000002.parquet"
    shard.write_bytes(bytes([shard.read_bytes()[0] ^ 1]) + shard.read_bytes()[1:])
    for _ in range(2):
        ended = run("verify", tmp_path / "out")
        assert ended.returncode == 1 and b"mean/00000002.parquet" in ended.stdout
        assert b"done again" not in ended.stdout
    ended = run("verify", "--repair", tmp_path / "out")
    assert ended.returncode == 1 and b"mean/00000002.parquet" in ended.stdout
    assert b"give its command again" in ended.stdout
    assert b"going on after 50 records" in embed(fasta, tmp_path / "out", *options).stderr
    assert contents(tmp_path / "out") == before
    assert run("verify", tmp_path / "out").returncode == 0


def test_what_failed_is_done_again_on_demand(tmp_path: Path):
    """Whether a sequence fails is up to a limit of memory here."""
    huge = [("huge", "A" * 400_000)]
    fasta = write_fasta(tmp_path / "proteins.fasta", proteins(20) + huge + proteins(20, seed=1))
    options = ["--deterministic", "--window", 10, "--on-long", "whole", "--outputs", "contacts"]

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (64 << 30, resource.RLIM_INFINITY))

    embed(fasta, tmp_path / "out", *options, code=3, preexec_fn=limit)
    [failure] = (tmp_path / "out/failures.tsv").read_text().splitlines()[1:]
    assert "400000 residues take more memory than there is" in failure and "--on-long" in failure
    before = contents(tmp_path / "out")
    ended = embed(fasta, tmp_path / "out", *options, "--retry-failed", code=3, preexec_fn=limit)
    assert b"going on after 40 records" in ended.stderr, "its window, which it has alone"
    assert contents(tmp_path / "out") == before
    ended = embed(fasta, tmp_path / "out", *options, code=3, preexec_fn=limit)
    assert b"going on" not in ended.stderr


@pytest.mark.parametrize("damage", ["flip", "truncate", "delete"])
def test_a_damaged_shard_is_done_again(damage: str, fasta: Path, tmp_path: Path):
    options = ["--deterministic", "--window", 10]
    embed(fasta, tmp_path / "out", *options)
    before = contents(tmp_path / "out")
    shard = sorted((tmp_path / "out/mean").glob("*.parquet"))[2]
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 4
    {
        "flip": lambda: shard.write_bytes(data),
        "truncate": lambda: shard.write_bytes(data[:-100]),
        "delete": shard.unlink,
    }[damage]()
    ended = embed(fasta, tmp_path / "out", *options)
    assert b"warning" in ended.stderr
    assert contents(tmp_path / "out") == before


def test_two_runs_do_not_share_a_directory(tmp_path: Path):
    fasta = write_fasta(tmp_path / "proteins.fasta", proteins(2000, most=60))
    first = start(*embed_arguments(fasta, tmp_path / "out", "--window", 20))
    until_windows(first, tmp_path / "out", 1)
    second = run(*embed_arguments(fasta, tmp_path / "out", "--window", 20))
    assert first.poll() is None, "the first still ran"
    first.kill()
    first.communicate()
    assert second.returncode == 4, second.stderr.decode()
    assert str(first.pid) in second.stderr.decode() or "another" in second.stderr.decode()


def test_a_full_disk_stops_it_and_it_goes_on_once_there_is_space(tmp_path: Path):
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=192k", "none", small], capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip(
            "a file system of a few pages cannot be mounted here: "
            + mounted.stderr.decode().strip()
        )
    fasta = write_fasta(tmp_path / "proteins.fasta", proteins(1200, most=30))
    options = ["--deterministic", "--window", 50]
    try:
        ended = embed(fasta, small / "out", *options, code=1)
        assert b"make space" in ended.stderr
        subprocess.run(["mount", "-o", "remount,size=64m", small], check=True)
        embed(fasta, small / "out", *options)
        embed(fasta, tmp_path / "expected", *options)
        assert contents(small / "out") == contents(tmp_path / "expected")
    finally:
        subprocess.run(["umount", small], check=True)


def test_a_directory_that_cannot_be_written_to_is_refused(fasta: Path, tmp_path: Path):
    place = tmp_path / "place"
    place.mkdir()
    if os.geteuid() == 0:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "ro", "none", place], capture_output=True
        )
        if mounted.returncode != 0:
            pytest.skip("nothing is read-only for root, and nothing can be mounted here")
    else:
        place.chmod(0o500)
    try:
        ended = embed(fasta, place / "out", code=2)
        assert b"cannot create" in ended.stderr
    finally:
        if os.geteuid() == 0:
            subprocess.run(["umount", place], check=True)


def test_a_changed_model_is_refused(fasta: Path, tmp_path: Path):
    from conftest import MODEL

    model = tmp_path / "model"
    shutil.copytree(MODEL, model)
    arguments = ["embed", fasta, "-m", model, "-o", tmp_path / "out", "--devices", "cpu*2"]
    assert run(*arguments).returncode == 0
    weights = bytearray((model / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (model / "model.safetensors").write_bytes(weights)
    ended = run(*arguments)
    assert ended.returncode in (1, 2)
    assert "model" in ended.stderr.decode()

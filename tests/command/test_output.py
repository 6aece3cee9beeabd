"""What the command writes, as pyarrow, polars, numpy and safetensors see it; and the programs of docs/output.md.

The directories are those of command/examples/output_fixture.rs. Its values follow from positions; here they are
made again.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
import xxhash
from conftest import MODEL, contents, embed, proteins, report, run, write_fasta

ROOT = Path(__file__).resolve().parents[2]
RECORDS, WINDOW, WIDTH = 600, 250, 8


def same_as(index):
    if 311 <= index < 320:
        return 7
    if index % 20 == 11 and index >= 31:
        return index - 11 - 20 * min(index % 3, (index - 31) // 20)
    return None


def first(index):
    source = same_as(index)
    return index if source is None else source


def fails(index):
    return first(index) % 20 == 7


def sequence(index):
    of = first(index)
    return "".join(chr(ord("A") + int(digit)) for digit in f"{of:08}") + "G" * (1 + of % 5)


def name(index):
    """The id, and its escape."""
    special = {
        3: (rf"back\slash {index}".encode(), rf"back\\slash {index}"),
        4: (b"latin\xe9" + str(index).encode(), rf"latin\xe9{index}"),
        5: (b"twice", "twice"),
    }
    return special.get(index % 100, (b"protein_%d" % index, f"protein_{index}"))


def shape(index, output):
    length = len(sequence(index))
    return {"mean": (WIDTH,), "per_residue": (length, WIDTH), "contacts": (length, length)}[output]


def values(index, output, dtype="float32"):
    """As stored: numpy rounds to nearest, ties to even."""
    count = int(np.prod(shape(index, output)))
    return (first(index) % 512 + np.arange(count) / 16).reshape(shape(index, output)).astype(dtype)


DONE = [index for index in range(RECORDS) if not fails(index)]


@pytest.fixture(scope="session")
def writer():
    """The program that writes the directories, with the features that `make test-rust` builds it with."""
    program = "output_fixture"
    subprocess.run(
        ["cargo", "build", "--quiet", "--release", "--workspace", "--example", program],
        cwd=ROOT,
        check=True,
    )
    return ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "release/examples" / program


@pytest.fixture(scope="session")
def outputs(writer, tmp_path_factory):
    """parquet/, halves/ and npy/, as the library wrote them."""
    folder = tmp_path_factory.mktemp("outputs")
    subprocess.run([writer, folder], check=True)
    return folder


@pytest.mark.parametrize(("directory", "dtype"), [("parquet", "float"), ("halves", "halffloat")])
def test_fixed_size_outputs_are_tables(outputs, directory, dtype):
    table = pq.read_table(outputs / directory / "mean").sort_by("index")
    types = {field.name: str(field.type) for field in table.schema}
    assert types == {
        "index": "uint64",
        "id": "string",
        "length": "uint32",
        "hash": "fixed_size_binary[16]",
        "value": f"fixed_size_list<item: {dtype} not null>[{WIDTH}]",
    }
    assert table["index"].to_pylist() == DONE
    assert table["id"].to_pylist() == [name(index)[1] for index in DONE]
    assert table["length"].to_pylist() == [len(sequence(index)) for index in DONE]
    got = table["value"].combine_chunks().flatten().to_numpy().reshape(-1, WIDTH)
    assert np.array_equal(got, [values(index, "mean", got.dtype) for index in DONE])
    by_sequence = {}
    for index, digest in zip(DONE, table["hash"].to_pylist(), strict=True):
        assert by_sequence.setdefault(sequence(index), digest) == digest
    assert len(set(by_sequence.values())) == len(by_sequence)


def test_hashes_are_xxh3(outputs):
    table = pl.read_parquet(outputs / "parquet/mean/*.parquet")
    for index, digest in zip(table["index"], table["hash"], strict=True):
        assert digest == xxhash.xxh3_128(sequence(index).encode()).digest()


@pytest.mark.parametrize(("directory", "dtype"), [("parquet", "float32"), ("halves", "float16")])
@pytest.mark.parametrize("output", ["per_residue", "contacts"])
def test_ragged_outputs_are_matrices_with_offsets(outputs, directory, dtype, output):
    from safetensors.numpy import load_file

    seen = []
    for path in sorted((outputs / directory / output).glob("*.safetensors")):
        shard = load_file(path)
        assert shard["values"].dtype == dtype
        ids = shard["ids"].tobytes()
        for row, index in enumerate(shard["index"].tolist()):
            begin, end = shard["offsets"][row : row + 2]
            got = shard["values"][begin:end]
            if output == "contacts":
                got = got.reshape(shard["shapes"][row])
            assert np.array_equal(got, values(index, output, dtype))
            assert ids[shard["id_offsets"][row] : shard["id_offsets"][row + 1]] == name(index)[0]
            assert shard["lengths"][row] == len(sequence(index))
            seen.append(index)
        assert seen == sorted(seen) or "copies" in path.name
    assert sorted(seen) == DONE


def test_the_index_finds_every_record(outputs):
    from safetensors.numpy import load_file

    index = pl.read_parquet(outputs / "parquet/contacts/index.parquet")
    assert sorted(index["index"]) == DONE
    for (shard,), rows in index.group_by("shard"):
        held = load_file(outputs / "parquet" / shard)
        assert held["index"][rows["row"].to_numpy()].tolist() == rows["index"].to_list()


@pytest.mark.parametrize("output", ["mean", "per_residue", "contacts"])
def test_npy_shards_and_their_sheets(outputs, output):
    seen = []
    for path in sorted((outputs / "npy" / output).glob("*.npy")):
        matrix = np.load(path, mmap_mode="r")
        head, *lines = path.with_suffix(".tsv").read_text().splitlines()
        assert head == "index\tid\tlength\thash\tshape"
        begin = 0
        for line in lines:
            index, identifier, length, _, dimensions = line.split("\t")
            index = int(index)
            dimensions = tuple(map(int, dimensions.split("x")))
            assert dimensions == shape(index, output)
            height = {"mean": 1, "per_residue": dimensions[0]}.get(output, int(np.prod(dimensions)))
            got = matrix[begin : begin + height].reshape(dimensions)
            assert np.array_equal(got, values(index, output))
            assert (identifier, int(length)) == (name(index)[1], len(sequence(index)))
            begin += height
            seen.append(index)
        assert begin == len(matrix)
    assert sorted(seen) == DONE


@pytest.mark.parametrize("directory", ["parquet", "npy"])
def test_failures_have_their_reasons(outputs, directory):
    head, *lines = (outputs / directory / "failures.tsv").read_text().splitlines()
    assert head == "index\tid\treason"
    got = sorted(((int(index), *rest) for index, *rest in (line.split("\t") for line in lines)))
    failed = [index for index in range(RECORDS) if fails(index)]
    # A copy fails with the words of its source, unless both were in one window.
    source = {
        index: first(index) if first(index) // WINDOW < index // WINDOW else index
        for index in failed
    }
    words = r"record {}\tcannot be done\nsorry"
    assert got == [(index, name(index)[1], words.format(source[index])) for index in failed]


@pytest.mark.parametrize("directory", ["parquet", "npy"])
def test_remarks_are_on_every_record_that_they_are_true_of(outputs, directory):
    head, *lines = (outputs / directory / "remarks.tsv").read_text().splitlines()
    assert head == "index\tid\tremark"
    expected = [
        (index, name(index)[1], rf"remark {number} on record {first(index)}\tand more")
        for index in DONE
        for number in range(max(0, first(index) % 9 - 6))
    ]
    got = [(int(index), *rest) for index, *rest in (line.split("\t") for line in lines)]
    assert len(got) > 50
    assert sorted(got) == expected


@pytest.mark.parametrize(("dtype", "name"), [("fp32", "float"), ("fp16", "halffloat")])
def test_tables_of_many_pages_hold_what_npy_holds(dtype, name, tmp_path):
    """Parquet's pages are encoded by the command itself; .npy is the bytes as they are."""
    count = {"fp32": 10_000, "fp16": 20_000}[dtype]
    letters = "ACDEFGHIKLMNPQRSTVWY"
    records = [
        (f"p{number}", "".join(letters[number // 20**place % 20] for place in range(4)))
        for number in range(count)
    ]
    fasta = write_fasta(tmp_path / "proteins.fasta", records)
    options = ["--deterministic", "--window", count, "--output-dtype", dtype]
    for format in ["parquet", "npy"]:
        embed(fasta, tmp_path / format, *options, "--format", format)
    expected = np.load(tmp_path / "npy/mean/00000000.npy")
    path = tmp_path / "parquet/mean/00000000.parquet"
    table = pq.read_table(path)
    assert str(table.schema.field("value").type).startswith(f"fixed_size_list<item: {name}")
    got = table["value"].combine_chunks().flatten().to_numpy().reshape(expected.shape)
    assert np.array_equal(got, expected)
    assert np.array_equal(pl.read_parquet(path)["value"].to_numpy(), expected)
    assert len(expected) * expected[0].nbytes > 1 << 20, "more than one page"


@pytest.fixture(params=["empty", "failed"])
def without_rows(request, tmp_path):
    """An input without records, or one whose records all fail."""
    path = tmp_path / "proteins.fasta"
    path.write_text({"empty": "", "failed": ">a\n>b\n"}[request.param])
    return path


def test_a_run_without_rows_can_be_read(without_rows, tmp_path):
    from safetensors.numpy import load_file

    out = tmp_path / "out"
    options = ["--outputs", "mean,bos,per_residue,logits,contacts", "--output-dtype", "fp16"]
    code = 0 if without_rows.stat().st_size == 0 else 3
    embed(without_rows, out, *options, code=code)
    width = json.loads((Path(MODEL) / "config.json").read_text())["hidden_size"]
    for output in ["mean", "bos"]:
        table = pq.read_table(out / output)
        assert table.num_rows == 0
        value = f"fixed_size_list<item: halffloat not null>[{width}]"
        assert [str(field.type) for field in table.schema][-1] == value
    values = pl.scan_parquet(out / "mean/*.parquet").sort("index").collect()["value"].to_numpy()
    assert values.shape == (0, width)
    shapes = {"per_residue": (0, width), "logits": (0, 33), "contacts": (0,)}
    for output, shape in shapes.items():
        (path,) = (out / output).glob("*.safetensors")
        assert load_file(path)["values"].shape == shape
        assert load_file(path)["values"].dtype == "float16"
        assert len(pl.read_parquet(out / output / "index.parquet")) == 0
    (total,) = printed([sys.executable, "-c", program("python", "# torch")], out)
    assert float(total) == 0
    before = contents(out)
    embed(without_rows, out, *options, code=code)
    assert contents(out) == before
    assert run("verify", out).returncode == 0


def test_a_run_without_rows_can_be_read_as_npy(without_rows, tmp_path):
    code = 0 if without_rows.stat().st_size == 0 else 3
    embed(without_rows, tmp_path / "out", "--format", "npy", code=code)
    (path,) = (tmp_path / "out/mean").glob("*.npy")
    assert np.load(path).shape[0] == 0
    assert path.with_suffix(".tsv").read_text() == "index\tid\tlength\thash\tshape\n"


def test_a_broken_checkpoint_is_said(tmp_path):
    from safetensors.numpy import load_file, save_file

    model = tmp_path / "model"
    shutil.copytree(MODEL, model)
    weights = load_file(model / "model.safetensors")
    weights["esm.encoder.emb_layer_norm_after.weight"][:] = np.nan
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    fasta = write_fasta(tmp_path / "proteins.fasta", proteins(20))
    arguments = ["-m", model, "-o", tmp_path / "out", "--devices", "cpu*2"]
    ended = run("embed", fasta, *arguments)
    assert ended.returncode == 0, "they are no failures"
    assert b"20 records hold values that are not finite" in ended.stderr
    assert report(tmp_path / "out")["not_finite"] == 20
    listed = (tmp_path / "out/remarks.tsv").read_text().splitlines()[1:]
    assert sorted(int(line.split("\t")[0]) for line in listed) == list(range(20))
    assert all(
        re.fullmatch(r".*\tvalues that are not finite: \d+ of mean", line) for line in listed
    )


def test_the_manifest_is_json_by_line(outputs):
    lines = [
        json.loads(line) for line in (outputs / "parquet/manifest.jsonl").read_text().splitlines()
    ]
    head = lines[0]["run"]["run"]
    assert head["settings"] == {"model": "made"}
    assert head["named"] == {"model": "lab/made", "inputs": ["proteins.fasta"]}
    windows = [line["window"] for line in lines[1:-2]]
    assert [window["first"] for window in windows if window["kind"] == "window"] == [0, 250, 500]
    assert sum(window["done"] for window in windows) == len(DONE)
    assert lines[-2]["input"] == {"records": RECORDS}
    end = lines[-1]["end"]
    assert end["windows"] == len(windows)
    of_all = {file["name"] for file in end["files"]}
    lists = {"failures.tsv", "remarks.tsv"}
    assert of_all == {"per_residue/index.parquet", "contacts/index.parquet"} | lists
    listed = {
        file["name"] for window in windows for shard in window["shards"] for file in shard["files"]
    }
    there = {
        str(path.relative_to(outputs / "parquet")) for path in (outputs / "parquet").glob("*/*")
    }
    assert listed == {
        path for path in there if "index.parquet" not in path and "records/" not in path
    }


def test_a_second_run_writes_the_same_bytes(writer, outputs, tmp_path):
    subprocess.run([writer, tmp_path], check=True)
    files = [
        path.relative_to(outputs)
        for path in outputs.rglob("*")
        if path.is_file() and path.name != "lock"
    ]
    assert files
    for file in files:
        assert (tmp_path / file).read_bytes() == (outputs / file).read_bytes(), file


def program(language, title=""):
    """The program of docs/output.md in a language, whose first line is this title."""
    blocks = re.findall(
        rf"```{language}\n(.*?)```", (ROOT / "docs/output.md").read_text(), re.DOTALL
    )
    (block,) = [block for block in blocks if block.startswith(title)]
    return block


def printed(command, directory):
    ended = subprocess.run(
        command, cwd=directory, capture_output=True, text=True, timeout=300, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.split()


def sums(output, records, dtype="float32"):
    return sum(values(index, output, dtype).sum(dtype="float64") for index in records)


def test_the_polars_program(outputs):
    rows, *parts, ident, total = printed(
        [sys.executable, "-c", program("python", "# polars")], outputs / "parquet"
    )
    assert (rows, "".join(parts), ident) == (
        str(len(DONE)),
        f"({len(DONE)},{WIDTH})",
        name(DONE[0])[1],
    )
    assert float(total) == pytest.approx(sums("mean", DONE), rel=1e-5)


@pytest.mark.parametrize("directory", ["parquet", "halves"])
def test_the_numpy_program(outputs, directory):
    *parts, total = printed(
        [sys.executable, "-c", program("python", "# numpy")], outputs / directory
    )
    assert "".join(parts) == f"({len(sequence(42))},{WIDTH})"
    assert float(total) == pytest.approx(sums("per_residue", [42]), rel=1e-3)


@pytest.mark.parametrize(("directory", "dtype"), [("parquet", "float32"), ("halves", "float16")])
def test_the_torch_program(outputs, directory, dtype):
    (total,) = printed([sys.executable, "-c", program("python", "# torch")], outputs / directory)
    assert float(total) == sums("per_residue", DONE, dtype)


def test_the_npy_program(outputs):
    *parts, ident, total = printed(
        [sys.executable, "-c", program("python", "# npy")], outputs / "npy"
    )
    assert ("".join(parts), ident) == (f"({len(DONE)},{WIDTH})", name(DONE[0])[1])
    assert float(total) == pytest.approx(sums("mean", DONE), rel=1e-5)


def in_julia(title, directory):
    if not shutil.which("julia"):
        pytest.skip("julia is absent; .ci/julia installs it")
    return printed(["julia", "--startup-file=no", "-e", program("julia", title)], directory)


def in_c(title, directory, folder):
    (folder / "reader.c").write_text(program("c", title))
    options = ["-std=c11", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["cc", *options, folder / "reader.c", "-o", folder / "reader"], check=True)
    return printed([folder / "reader"], directory)


@pytest.mark.parametrize(("directory", "dtype"), [("parquet", "float32"), ("halves", "float16")])
def test_the_julia_program_of_ragged_outputs(outputs, directory, dtype):
    index, *parts, total = in_julia("# safetensors", outputs / directory)
    assert (index, "".join(parts)) == ("42", f"({WIDTH},{len(sequence(42))})")
    assert float(total) == sums("per_residue", DONE, dtype)


def test_the_julia_program_of_npy(outputs):
    *parts, ident, total = in_julia("# npy", outputs / "npy")
    assert ("".join(parts), ident) == (f"({WIDTH},{len(DONE)})", name(DONE[0])[1])
    assert float(total) == sums("mean", DONE)


def test_the_c_program_of_ragged_outputs(outputs, tmp_path):
    index, shape, total = in_c("// safetensors", outputs / "parquet", tmp_path)
    assert (index, shape) == ("42", f"({len(sequence(42))},{WIDTH})")
    assert float(total) == pytest.approx(sums("per_residue", DONE), abs=1e-3)


def test_the_c_program_of_npy(outputs, tmp_path):
    index, first_value, total = in_c("// npy", outputs / "npy", tmp_path)
    assert (index, float(first_value)) == ("42", values(42, "mean")[0])
    assert float(total) == pytest.approx(sums("mean", DONE), abs=1e-3)


@pytest.mark.parametrize("format", ["parquet", "npy"])
def test_the_programs_of_julia_and_c_read_a_run_without_rows(format, tmp_path):
    fasta = write_fasta(tmp_path / "none.fasta", [])
    options = ["--format", format, "--outputs", "mean,per_residue"]
    embed(fasta, tmp_path / "out", *options)
    title = {"parquet": "safetensors", "npy": "npy"}[format]
    assert float(in_c(f"// {title}", tmp_path / "out", tmp_path)[-1]) == 0
    if format == "parquet":  # of no rows there is no first, which the other prints
        assert float(in_julia("# safetensors", tmp_path / "out")[-1]) == 0

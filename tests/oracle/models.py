"""Small models in files, and the sentence model: what the tests of torchscript and aoti run.

    python tests/oracle/models.py FOLDER

writes them into FOLDER, with `*_cuda.pt2` where there is a GPU.
"""

import sys
import zipfile
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "examples/python"))

import export_sentences  # noqa: E402


class Linear(nn.Module):
    """[B, 8] to [B, 4]."""

    def __init__(self, seed: int = 0):
        super().__init__()
        torch.manual_seed(seed)
        self.linear = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.linear(x))


class Pair(nn.Module):
    """Two inputs, one of them optional, to nested outputs."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.linear = nn.Linear(8, 4)

    def forward(
        self, x: torch.Tensor, y: torch.Tensor, scale: torch.Tensor | None = None
    ) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        h = self.linear(x) * y
        if scale is not None:
            h = h * scale
        return {"sum": (h.sum(1), h.mean(1)), "rows": (h, x + 1)}


class Named(NamedTuple):
    """What `Fields` returns."""

    best: torch.Tensor
    rest: list[torch.Tensor]


class Fields(nn.Module):
    """A named tuple with a list in it; and a number, which does not split into items."""

    def forward(self, x: torch.Tensor) -> tuple[Named, int]:
        return Named(x.amax(1), [x.amin(1), x.sum(1)]), x.size(0)


class Encoder(nn.Module):
    """Token ids [B, L] and mask [B, L] to token states [B, L, 16] and their mean [B, 16]: padding must not matter."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(2)
        self.embedding = nn.Embedding(50, 16)
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, dropout=0.0)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        states = self.layer(self.embedding(ids), src_key_padding_mask=mask == 0)
        weights = mask.unsqueeze(-1).to(states.dtype)
        return {"states": states, "mean": (states * weights).sum(1) / weights.sum(1)}


class Packed(nn.Module):
    """Rows of all items, [R, 8], and where each begins, int32 [B + 1]: cumulative sums and means of each item's own."""

    def forward(self, rows: torch.Tensor, starts: torch.Tensor) -> dict[str, torch.Tensor]:
        sums: list[torch.Tensor] = []
        means: list[torch.Tensor] = []
        for i in range(starts.size(0) - 1):
            own = rows[int(starts[i]) : int(starts[i + 1])]
            sums.append(own.cumsum(0))
            means.append(own.mean(0))
        return {"sums": torch.cat(sums), "means": torch.stack(means)}


class Writes(nn.Module):
    """Writes to its input."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x.mul_(2)
        return x + 1


class Picks(nn.Module):
    """Columns by a buffer of indices, and those, which half precision does not hold."""

    def __init__(self):
        super().__init__()
        self.register_buffer("columns", torch.tensor([3, 1, 2049]))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x[:, self.columns % 4], self.columns.expand(x.size(0), 3)


class Total(nn.Module):
    """One number for the batch: it cannot be split."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.sum()


class Picky(nn.Module):
    """Refuses negative numbers, in its own words."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if bool((x < 0).any()):
            raise ValueError("a length cannot be negative")
        return x.sqrt()


class Same(nn.Module):
    """Returns its input."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


class Grows(nn.Module):
    """As many zeros as its input says."""

    def forward(self, n: torch.Tensor) -> torch.Tensor:
        return torch.zeros(int(n))


class Deep(nn.Module):
    """`Grows`, so many modules down that the interpreter's traceback of an error is longer than 20 KB."""

    def __init__(self, levels: int = 60):
        super().__init__()
        self.inner = Deep(levels - 1) if levels > 1 else Grows()

    def forward(self, n: torch.Tensor) -> torch.Tensor:
        return self.inner(n)


class Strings(nn.Module):
    """Returns what is no tensor."""

    def forward(self, x: torch.Tensor) -> str:
        return "text"


SCRIPTED = {
    "linear": Linear,
    "pair": Pair,
    "fields": Fields,
    "encoder": Encoder,
    "packed": Packed,
    "writes": Writes,
    "picks": Picks,
    "total": Total,
    "picky": Picky,
    "same": Same,
    "grows": Grows,
    "deep": Deep,
    "strings": Strings,
}


def write(folder: Path) -> None:
    """Writes every model."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, model in SCRIPTED.items():
        torch.jit.script(model().eval()).save(folder / f"{name}.pt")
    torch.save(Linear().state_dict(), folder / "weights.pt")
    (folder / "text.pt").write_text("no zip at all")
    with zipfile.ZipFile(folder / "other.pt", "w") as other:
        other.writestr("other/version", "3")
        other.writestr("other/readme.txt", "no module here")
    sentences = export_sentences.sentences()
    export_sentences.trace(sentences, folder / "sentences.pt")
    vocabulary = export_sentences.folder() / "vocab.txt"
    (folder / "vocab.txt").write_bytes(vocabulary.read_bytes())
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        suffix = "_cuda" if device == "cuda" else ""
        package(folder / f"pair{suffix}.pt2", device)
        export_sentences.compile_package(sentences, folder / f"sentences{suffix}.pt2", device)
    edited(folder / "pair.pt2", folder / "other_device.pt2", "_metadata.json", b'"cpu"', b'"cuda"')


def package(path: Path, device: str) -> None:
    """`Pair` without its option, compiled; and `exported.pt2`, as it was before that."""
    batch, rows = torch.export.Dim("batch", max=64), torch.export.Dim("rows", max=100)
    shapes = ({0: batch, 1: rows}, {0: batch, 1: rows})
    inputs = (torch.randn(2, 3, 8, device=device), torch.randn(2, 3, 4, device=device))
    with export_sentences.one_thread(), torch.no_grad():
        program = torch.export.export(Pair().eval().to(device), inputs, dynamic_shapes=shapes)
        torch.export.save(program, path.with_name("exported.pt2"))
        torch._inductor.aoti_compile_and_package(program, package_path=str(path))


def edited(path: Path, copy: Path, ending: str, old: bytes, new: bytes) -> None:
    """A copy of an archive, with `new` for `old` in the files of that ending."""
    with zipfile.ZipFile(path) as before, zipfile.ZipFile(copy, "w") as after:
        for entry in before.infolist():
            data = before.read(entry)
            if entry.filename.endswith(ending):
                data = data.replace(old, new)
            after.writestr(entry.filename, data)


if __name__ == "__main__":
    write(Path(sys.argv[1]))

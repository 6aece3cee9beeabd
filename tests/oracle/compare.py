"""Comparisons of an engine with the references, whatever drives the engine.

An engine is a callable `run(source, sequences, **options)` that returns one item for each
sequence, with `item[name]` an array, `item.error` and `item.warnings`.
"""

from __future__ import annotations

import numpy as np
from references import Reference

ALL_OUTPUTS = "mean,bos,per_residue,logits,contacts"


def distance(got: np.ndarray, expected: np.ndarray) -> float:
    """Norm of the difference over the norm of the expected."""
    assert got.shape == expected.shape, (got.shape, expected.shape)
    return float(np.linalg.norm(got - expected) / np.linalg.norm(expected))


def assert_agrees(item, reference: Reference, tolerance: float):
    """All outputs of `item`, run with every layer, against `reference`."""
    assert item.error is None, item.error
    for layer, states in enumerate(reference.states):
        pairs = {
            f"per_residue.{layer}": states,
            f"mean.{layer}": states.mean(axis=0),
            f"bos.{layer}": reference.bos[layer],
        }
        for name, expected in pairs.items():
            assert distance(item[name], expected) <= tolerance, (
                name,
                distance(item[name], expected),
            )
    for name, expected in {"logits": reference.logits, "contacts": reference.contacts}.items():
        assert distance(item[name], expected) <= tolerance, (name, distance(item[name], expected))


def every_layer(reference: Reference) -> str:
    return ",".join(str(layer) for layer in range(len(reference.states)))


def sequences(lengths: list[int], seed: int = 0) -> list[str]:
    """Random sequences of the twenty amino acids."""
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list("LAGVSERTIDPKQNFYMHWC"), length)) for length in lengths]

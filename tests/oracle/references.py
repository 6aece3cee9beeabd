"""The reference implementations: fair-esm 2.0.0 and transformers, on random weights."""

from __future__ import annotations

import re
from dataclasses import dataclass

import esm
import numpy as np
import torch
from transformers import EsmConfig, EsmForMaskedLM
from transformers import logging as transformers_logging

transformers_logging.set_verbosity_error()
transformers_logging.disable_progress_bar()

LETTERS = "LAGVSERTIDPKQNFYMHWCXBUZO.-"
UNKNOWN, MASK = 3, 32


@dataclass
class Reference:
    """What a reference implementation gives for one sequence; residues only, fp32.

    states: [layers + 1, residues, width], bos: [layers + 1, width], logits: [residues, 33],
    contacts: [residues, residues].
    """

    states: np.ndarray
    bos: np.ndarray
    logits: np.ndarray
    contacts: np.ndarray


def tokens(sequence: str) -> torch.Tensor:
    """BOS, one token for every letter or `<mask>`, EOS: [1, residues + 2]."""
    letters = re.findall(r"<mask>|.", sequence, flags=re.DOTALL)
    known = {letter: 4 + i for i, letter in enumerate(LETTERS)} | {"<mask>": MASK}
    return torch.tensor([[0] + [known.get(letter, UNKNOWN) for letter in letters] + [2]])


def with_transformers(model: EsmForMaskedLM, sequence: str) -> Reference:
    ids = tokens(sequence)
    mask = torch.ones_like(ids)
    with torch.inference_mode():
        out = model(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        contacts = model.predict_contacts(ids, mask)[0]
    states = torch.stack(out.hidden_states)[:, 0]
    return Reference(
        states[:, 1:-1].numpy(), states[:, 0].numpy(), out.logits[0, 1:-1].numpy(), contacts.numpy()
    )


def with_fair_esm(model: esm.ESM2, sequence: str) -> Reference:
    layers = list(range(model.num_layers + 1))
    with torch.inference_mode():
        out = model(tokens(sequence), repr_layers=layers, return_contacts=True)
    states = torch.stack([out["representations"][layer][0] for layer in layers])
    return Reference(
        states[:, 1:-1].numpy(),
        states[:, 0].numpy(),
        out["logits"][0, 1:-1].numpy(),
        out["contacts"][0].numpy(),
    )


def random_transformers(layers: int, width: int, heads: int, seed: int) -> EsmForMaskedLM:
    """An ESM-2 of transformers whose every parameter, biases and norms too, is random."""
    config = EsmConfig(
        vocab_size=33,
        mask_token_id=32,
        pad_token_id=1,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        position_embedding_type="rotary",
        token_dropout=True,
        layer_norm_eps=1e-5,
        emb_layer_norm_before=False,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        attn_implementation="eager",
    )
    model = EsmForMaskedLM(config).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if "regression" in name:
                parameter.copy_(noise * (20.0 / parameter.shape[-1] ** 0.5))
            elif parameter.ndim == 2:
                gain = 1.3 if "query" in name or "key" in name else 0.9
                embedding = "embeddings" in name or "decoder" in name
                parameter.copy_(noise * (1.0 if embedding else gain / parameter.shape[1] ** 0.5))
            elif "norm" in name.lower() and name.endswith("weight"):
                parameter.copy_(1.0 + 0.1 * noise)
            else:
                parameter.copy_(0.1 * noise)
    rotary = model.esm.rotary_embeddings
    rotary.inv_freq.copy_(rotary.inv_freq.half().float())
    return model


def as_fair_esm(model: EsmForMaskedLM) -> esm.ESM2:
    """fair-esm's ESM-2 with the weights of `model`."""
    config = model.config
    fair = esm.ESM2(
        num_layers=config.num_hidden_layers,
        embed_dim=config.hidden_size,
        attention_heads=config.num_attention_heads,
    ).eval()
    fair.load_state_dict(fair_names(model))
    return fair


def fair_names(model: EsmForMaskedLM) -> dict[str, torch.Tensor]:
    """The weights of `model` under fair-esm's names."""
    parts = {
        "attention.self.query": "self_attn.q_proj",
        "attention.self.key": "self_attn.k_proj",
        "attention.self.value": "self_attn.v_proj",
        "attention.output.dense": "self_attn.out_proj",
        "attention.LayerNorm": "self_attn_layer_norm",
        "intermediate.dense": "fc1",
        "output.dense": "fc2",
        "LayerNorm": "final_layer_norm",
    }
    frequencies = model.esm.rotary_embeddings.inv_freq
    embedding = model.esm.embeddings.word_embeddings.weight
    weights = {"embed_tokens.weight": embedding, "lm_head.weight": embedding}
    for name, tensor in model.state_dict().items():
        name = name.removeprefix("esm.")
        if match := re.fullmatch(r"encoder\.layer\.(\d+)\.(.+)\.(weight|bias)", name):
            weights[f"layers.{match[1]}.{parts[match[2]]}.{match[3]}"] = tensor
        elif name.startswith("encoder.emb_layer_norm_after"):
            weights[name.removeprefix("encoder.")] = tensor
        elif name.startswith(("contact_head", "lm_head")) and "decoder" not in name:
            weights[name] = tensor
    for layer in range(model.config.num_hidden_layers):
        weights[f"layers.{layer}.self_attn.rot_emb.inv_freq"] = frequencies
    return {name: tensor.detach().clone() for name, tensor in weights.items()}

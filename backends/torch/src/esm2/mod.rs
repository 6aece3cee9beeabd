//! ESM-2 (Lin et al. 2023, "Evolutionary-scale prediction of atomic-level protein structure with a language model").
//!
//! Outputs of one protein of n residues, all fp32, in a model of width d:
//!
//! | output | shape | what |
//! | --- | --- | --- |
//! | `mean` | \[d\] | mean of the hidden states of the residues (BOS and EOS left out) |
//! | `bos` | \[d\] | hidden state of the BOS token |
//! | `per_residue` | \[n, d\] | hidden states of the residues |
//! | `logits` | \[n, 33\] | language-model logits of the residues, in the order of the alphabet's tokens |
//! | `contacts` | \[n, n\] | probability that two residues are in contact |
//!
//! Hidden states are those of the layers in option `layers`: with one layer the outputs carry their plain names, with
//! several each is called `mean.6`, `mean.12` and so on, by layer. Layer 0 is the scaled embedding, the last layer is
//! taken after the final layer norm, as in fair-esm and transformers.

use crate::error::Result;
use tch::Tensor;

pub mod alphabet;
pub mod batch;
pub mod checkpoint;
pub mod config;
mod contacts;
mod cpu;
mod gpu;
#[cfg(test)]
mod gpu_tests;
mod heads;
pub mod hub;
#[cfg(test)]
mod memory_tests;
pub mod names;
pub mod options;
mod share;
pub mod tool;

/// A number for an operation on tensors. Not by tch's `f_*_scalar`: when the operation fails, they panic over its error
/// as they free theirs.
fn number(value: f32) -> Result<Tensor> {
    Ok(Tensor::f_from_slice(&[value])?.f_squeeze()?)
}

#[cfg(test)]
#[path = "../../examples/make_checkpoint/random.rs"]
mod random;

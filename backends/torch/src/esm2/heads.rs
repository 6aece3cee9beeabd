//! What follows the encoder on any device: pooling of hidden states and the language-model head.

use super::batch::{Hidden, Request};
use super::checkpoint::Checkpoint;
use crate::error::Result;
use crate::shared::Shared;
use tch::{Device, Kind, Tensor};

/// Takes what `request` wants from the hidden states of `layer`, \[tokens, d\] on any device.
///
/// `segments` are the lengths of [`super::batch::Batch::segments`] on that device; `to_host` copies a tensor there.
pub fn take_hidden(
    states: &Tensor,
    layer: usize,
    request: &Request,
    segments: &Tensor,
    to_host: impl Fn(&Tensor) -> Result<Tensor>,
) -> Result<Hidden> {
    let states = states.f_to_kind(Kind::Float)?;
    let pooled = match request.outputs.mean || request.outputs.bos {
        true => {
            let none = None::<&Tensor>;
            let pooled = Tensor::f_segment_reduce(
                &states,
                "mean",
                Some(segments),
                none,
                none,
                0,
                true,
                0.0,
            )?;
            Some(to_host(&pooled)?)
        }
        false => None,
    };
    let rows = match request.outputs.per_residue {
        true => Some(to_host(&states)?),
        false => None,
    };
    Ok(Hidden {
        layer,
        pooled,
        rows,
    })
}

/// dense → GELU → layer norm → tied embedding + bias.
pub struct LmHead {
    dense: Shared,
    dense_bias: Shared,
    norm: Shared,
    norm_bias: Shared,
    decoder: Shared,
    bias: Shared,
    eps: f64,
}

impl LmHead {
    /// The head of `checkpoint` on `device` in `kind`; None where it has none.
    pub fn load(checkpoint: &Checkpoint, device: Device, kind: Kind) -> Result<Option<Self>> {
        if !checkpoint.has_lm_head() {
            return Ok(None);
        }
        let tensor = |name: &str| -> Result<Shared> {
            Ok(Shared::new(
                checkpoint
                    .tensor(name)?
                    .f_to_device(device)?
                    .f_to_kind(kind)?,
            ))
        };
        Ok(Some(LmHead {
            dense: tensor("lm_head.dense.weight")?,
            dense_bias: tensor("lm_head.dense.bias")?,
            norm: tensor("lm_head.layer_norm.weight")?,
            norm_bias: tensor("lm_head.layer_norm.bias")?,
            decoder: tensor("embeddings.word_embeddings.weight")?,
            bias: tensor("lm_head.bias")?,
            eps: checkpoint.config.layer_norm_eps,
        }))
    }

    /// Bytes of its weights on their device.
    pub fn bytes(&self) -> u64 {
        [
            &self.dense,
            &self.dense_bias,
            &self.norm,
            &self.norm_bias,
            &self.decoder,
            &self.bias,
        ]
        .map(Shared::bytes)
        .iter()
        .sum()
    }

    /// Logits \[rows, 33\] in fp32 of hidden states \[rows, d\] after the last layer norm.
    pub fn forward(&self, states: &Tensor) -> Result<Tensor> {
        let width = states.size()[1];
        let x = states
            .f_to_kind(self.dense.kind())?
            .f_linear(&self.dense, Some(&*self.dense_bias))?
            .f_gelu("none")?
            .f_layer_norm(
                [width],
                Some(&*self.norm),
                Some(&*self.norm_bias),
                self.eps,
                true,
            )?;
        Ok(x.f_linear(&self.decoder, Some(&*self.bias))?
            .f_to_kind(Kind::Float)?)
    }
}

/// Logistic regression over attention maps: a weight for every head of every layer, and a bias.
pub struct ContactHead {
    weights: Vec<f32>,
    heads: usize,
    pub bias: f32,
}

impl ContactHead {
    /// The head of `checkpoint`; None where it has none.
    pub fn load(checkpoint: &Checkpoint) -> Result<Option<Self>> {
        if !checkpoint.has_contact_head() {
            return Ok(None);
        }
        Ok(Some(ContactHead {
            weights: checkpoint.values("contact_head.regression.weight")?,
            heads: checkpoint.config.heads,
            bias: checkpoint.values("contact_head.regression.bias")?[0],
        }))
    }

    /// Bytes of its weights, which are in the host's memory.
    pub fn bytes(&self) -> u64 {
        size_of_val(&*self.weights) as u64
    }

    /// Weights of the heads of `layer`, counted from 0.
    pub fn layer(&self, layer: usize) -> &[f32] {
        &self.weights[layer * self.heads..][..self.heads]
    }
}

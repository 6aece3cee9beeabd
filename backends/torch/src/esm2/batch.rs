//! A batch of sequences with their tokens one after the other, without padding.

use super::alphabet::{BOS, EOS, MASK};
use super::options::Outputs;
use crate::shim::Event;
use std::ops::Range;
use tch::Tensor;

/// Share of residues that training masked (0.15) times the share of those shown as `<mask>` (0.8); fair-esm's
/// `mask_ratio_train`.
const MASKED_IN_TRAINING: f32 = 0.15 * 0.8;

/// Packed tokens: BOS, residues, EOS of the first sequence, then of the second, and so on.
#[derive(Default)]
pub struct Batch {
    /// Tokens of all sequences.
    pub tokens: Vec<i64>,
    /// Factor of each token's embedding: token dropout, 0 for masks.
    pub scales: Vec<f32>,
    /// First token of each sequence, and at the end the number of tokens.
    pub starts: Vec<usize>,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Batch {
            starts: vec![0],
            ..Batch::default()
        }
    }

    /// Appends a sequence of residue tokens.
    pub fn push(&mut self, residues: &[u8], token_dropout: bool) {
        let length = residues.len() + 2;
        let masks = residues.iter().filter(|&&token| token == MASK).count();
        let scale = match token_dropout {
            true => (1.0 - MASKED_IN_TRAINING) / (1.0 - masks as f32 / length as f32),
            false => 1.0,
        };
        for token in std::iter::once(BOS)
            .chain(residues.iter().copied())
            .chain([EOS])
        {
            self.tokens.push(token as i64);
            self.scales.push(if token_dropout && token == MASK {
                0.0
            } else {
                scale
            });
        }
        self.starts.push(self.tokens.len());
    }

    /// Number of sequences.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether there is no sequence.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tokens of sequence `i`, BOS and EOS included.
    pub fn range(&self, i: usize) -> Range<usize> {
        self.starts[i]..self.starts[i + 1]
    }

    /// Residues of sequence `i`: its tokens without BOS and EOS.
    pub fn residues(&self, i: usize) -> Range<usize> {
        self.starts[i] + 1..self.starts[i + 1] - 1
    }

    /// Tokens of the longest sequence.
    pub fn longest(&self) -> usize {
        (0..self.len())
            .map(|i| self.range(i).len())
            .max()
            .unwrap_or(0)
    }

    /// Lengths of the segments BOS, residues, EOS of every sequence: 3 for each.
    pub fn segments(&self) -> Vec<i64> {
        (0..self.len())
            .flat_map(|i| [1, self.residues(i).len() as i64, 1])
            .collect()
    }
}

/// What is wanted of a batch.
#[derive(Debug, Clone)]
pub struct Request {
    pub outputs: Outputs,
    /// Layers to take hidden states from, ascending; 0 is the embedding.
    pub layers: Vec<usize>,
}

impl Request {
    /// Whether hidden states of `layer` are wanted.
    pub fn wants(&self, layer: usize) -> bool {
        self.outputs.any_hidden() && self.layers.contains(&layer)
    }

    /// The last layer, of `layers`, that has to be computed.
    pub fn depth(&self, layers: usize) -> usize {
        match self.outputs.logits || self.outputs.contacts {
            true => layers,
            false => self.layers.last().copied().unwrap_or(layers),
        }
    }
}

/// What was taken from the hidden states of one layer.
pub struct Hidden {
    pub layer: usize,
    /// \[3·sequences, d\], fp32: BOS, mean over residues, EOS of each sequence.
    pub pooled: Option<Tensor>,
    /// \[tokens, d\], fp32.
    pub rows: Option<Tensor>,
}

/// All that was computed for a batch, in host memory.
#[derive(Default)]
pub struct Results {
    pub hidden: Vec<Hidden>,
    /// \[tokens, 33\], fp32.
    pub logits: Option<Tensor>,
    /// For each sequence \[residues, residues\], fp32.
    pub contacts: Vec<Tensor>,
    /// Reached when the tensors above hold their values; None: they do.
    pub ready: Option<Event>,
}

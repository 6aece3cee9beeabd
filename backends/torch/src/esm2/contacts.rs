//! Contact maps on the CPU (Rao et al. 2021, "Transformer protein language models are unsupervised structure
//! learners"): attention maps without BOS and EOS, symmetrised, with the average product correction (APC), weighted
//! and summed. The sum is kept for one half, A, and symmetrised at the end: A + Aᵀ.

use super::number;
use crate::error::Result;
use tch::Tensor;

/// Unsymmetrised sum of the weighted maps of one sequence, residues × residues.
pub struct ContactSum {
    residues: usize,
    sum: Vec<f32>,
}

impl ContactSum {
    /// Zero, for a sequence of `residues`.
    pub fn new(residues: usize) -> Result<Self> {
        let mut sum = Vec::new();
        sum.try_reserve_exact(residues * residues)?;
        sum.resize(residues * residues, 0.0);
        Ok(ContactSum { residues, sum })
    }

    /// Adds one head's softmax weights `map`, \[residues + 2, residues + 2\], times `weight`.
    pub fn add(&mut self, map: &[f32], weight: f32) {
        let n = self.residues;
        let inner = |i: usize| &map[(i + 1) * (n + 2) + 1..][..n];
        let mut margins = vec![0.0f32; n];
        for i in 0..n {
            let row = inner(i);
            margins[i] += row.iter().sum::<f32>();
            margins
                .iter_mut()
                .zip(row)
                .for_each(|(margin, a)| *margin += a);
        }
        let half = 0.5 * weight / margins.iter().sum::<f32>();
        for (i, sums) in self.sum.chunks_exact_mut(n).enumerate() {
            let correction = half * margins[i];
            for ((sum, a), margin) in sums.iter_mut().zip(inner(i)).zip(&margins) {
                *sum += weight * a - correction * margin;
            }
        }
    }

    /// Probabilities of contact, \[residues, residues\].
    pub fn finish(&self, bias: f32) -> Result<Tensor> {
        let n = self.residues as i64;
        let sum = Tensor::f_from_slice(&self.sum)?.f_view([n, n])?;
        Ok((sum.f_add(&sum.f_tr()?)?)
            .f_add(&number(bias)?)?
            .f_sigmoid()?)
    }
}

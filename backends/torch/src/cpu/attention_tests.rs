//! The attention kernel against attention written out in double precision.

use super::attention::{Head, Scratch, attend, attend_portable, attention_map};
use super::rotary::RotaryTable;
use super::simd::SLACK;

const HEADS: usize = 2;

/// Rows of queries, keys and values with a bias, and the frequencies of their positions.
struct Case {
    width: usize,
    tokens: usize,
    qkv: Vec<f32>,
    bias: Vec<f32>,
    rotary: RotaryTable,
    frequencies: Vec<f32>,
}

/// Numbers in [-1, 1) that look random.
fn noise(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

impl Case {
    fn new(width: usize, tokens: usize, spread: f32) -> Self {
        let d = HEADS * width;
        let frequencies: Vec<f32> = (0..width / 2).map(|i| 0.9f32.powi(i as i32)).collect();
        let mut rotary = RotaryTable::new(frequencies.clone());
        rotary.reach(tokens / 2);
        rotary.reach(tokens);
        let mut qkv: Vec<f32> = noise(tokens * 3 * d, 7 + tokens as u64)
            .iter()
            .map(|x| x * spread)
            .collect();
        qkv.resize(qkv.len() + SLACK, f32::NAN);
        let mut bias = noise(3 * d, 3);
        bias.resize(bias.len() + SLACK, f32::NAN);
        Case {
            width,
            tokens,
            qkv,
            bias,
            rotary,
            frequencies,
        }
    }

    fn head<'a>(&'a self, number: usize, out: *mut f32) -> Head<'a> {
        Head {
            qkv: self.qkv.as_ptr(),
            bias: &self.bias,
            out,
            d: HEADS * self.width,
            column: number * self.width,
            width: self.width,
            tokens: self.tokens,
            rotary: &self.rotary,
        }
    }

    /// Row `token` of part 0 (queries), 1 (keys) or 2 (values) of a head, bias added.
    fn row(&self, part: usize, head: usize, token: usize) -> Vec<f64> {
        let d = HEADS * self.width;
        let column = part * d + head * self.width;
        (column..column + self.width)
            .map(|c| (self.qkv[token * 3 * d + c] + self.bias[c]) as f64)
            .collect()
    }

    fn rotated(&self, part: usize, head: usize, token: usize) -> Vec<f64> {
        let row = self.row(part, head, token);
        let half = self.width / 2;
        (0..self.width)
            .map(|c| {
                let angle = token as f64 * self.frequencies[c % half] as f64;
                let other = if c < half {
                    -row[c + half]
                } else {
                    row[c - half]
                };
                row[c] * angle.cos() + other * angle.sin()
            })
            .collect()
    }

    /// Softmax weights, tokens × tokens.
    fn map(&self, head: usize) -> Vec<Vec<f64>> {
        let keys: Vec<Vec<f64>> = (0..self.tokens).map(|t| self.rotated(1, head, t)).collect();
        (0..self.tokens)
            .map(|t| {
                let query = self.rotated(0, head, t);
                let dot = |key: &Vec<f64>| query.iter().zip(key).map(|(q, k)| q * k).sum::<f64>();
                let scores: Vec<f64> = keys
                    .iter()
                    .map(|k| dot(k) / (self.width as f64).sqrt())
                    .collect();
                let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let total: f64 = scores.iter().map(|s| (s - largest).exp()).sum();
                scores.iter().map(|s| (s - largest).exp() / total).collect()
            })
            .collect()
    }

    fn check(&self, attend: unsafe fn(&Head, &mut Scratch), scratch: &mut Scratch, tolerance: f64) {
        let d = HEADS * self.width;
        let mut out = vec![f32::NAN; self.tokens * d];
        for head in 0..HEADS {
            // SAFETY: rows, bias and slack are as long as the kernel asks for.
            unsafe { attend(&self.head(head, out.as_mut_ptr()), scratch) };
        }
        for head in 0..HEADS {
            let values: Vec<Vec<f64>> = (0..self.tokens).map(|t| self.row(2, head, t)).collect();
            for (token, weights) in self.map(head).iter().enumerate() {
                for c in 0..self.width {
                    let expected: f64 = weights.iter().zip(&values).map(|(w, v)| w * v[c]).sum();
                    let got = out[token * d + head * self.width + c] as f64;
                    assert!(
                        (got - expected).abs() < tolerance * (1.0 + expected.abs()),
                        "width {}, {} tokens, head {head}, token {token}, column {c}: {got}, not {expected}",
                        self.width,
                        self.tokens
                    );
                }
            }
        }
    }
}

#[test]
fn agrees_with_brute_force_at_every_length_and_width() {
    let mut scratch = Scratch::default();
    for width in [16, 20, 24, 32, 64, 128] {
        for tokens in 1..=70 {
            Case::new(width, tokens, 1.0).check(attend, &mut scratch, 2e-5);
        }
    }
}

#[test]
fn portable_code_agrees_with_brute_force() {
    let mut scratch = Scratch::default();
    for width in [16, 20, 24, 64] {
        for tokens in [1, 2, 15, 16, 17, 33, 70] {
            Case::new(width, tokens, 1.0).check(attend_portable, &mut scratch, 2e-5);
        }
    }
}

#[test]
fn long_sequences_cross_blocks_of_keys() {
    let mut scratch = Scratch::default();
    for tokens in [511, 512, 513, 1030] {
        Case::new(16, tokens, 1.0).check(attend, &mut scratch, 2e-5);
    }
}

#[test]
fn large_scores_neither_overflow_nor_vanish() {
    let mut scratch = Scratch::default();
    // Scores near 1,000 keep only 4 digits behind the point in single precision.
    Case::new(16, 40, 15.0).check(attend, &mut scratch, 1e-3);
    let mut case = Case::new(16, 5, 1.0);
    // Every score far below zero: padding keys, whose score is 0, must not set the maximum.
    for token in 0..5 {
        for c in 0..HEADS * 16 {
            case.qkv[token * 96 + c] = 12.0;
            case.qkv[token * 96 + 32 + c] = -12.0;
        }
    }
    case.check(attend, &mut scratch, 1e-3);
}

#[test]
fn maps_are_the_softmax_weights() {
    let mut scratch = Scratch::default();
    for (width, tokens) in [(16, 1), (20, 3), (16, 17), (24, 50), (64, 600)] {
        let case = Case::new(width, tokens, 1.0);
        let mut map = vec![f32::NAN; tokens * tokens];
        let head = case.head(1, std::ptr::null_mut());
        // SAFETY: rows, bias and slack are as long as the kernel asks for.
        unsafe { attention_map(&head, &mut scratch, &mut map) };
        for (got, expected) in map.iter().zip(case.map(1).concat()) {
            assert!(
                (*got as f64 - expected).abs() < 1e-5,
                "{got}, not {expected}"
            );
        }
    }
}

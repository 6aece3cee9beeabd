//! Softmax attention of one head of one sequence, with the rotary embedding and the biases fused in.
//!
//! Written for the short, many heads of ESM-2 (widths 16 to 128), where general attention kernels spend their time
//! around the arithmetic. Keys are packed in panels that a register tile of `ROWS` queries × 2 vectors of keys reads
//! in order, values row by row; the softmax runs over blocks of `BLOCK` keys with a running maximum and sum
//! (Milakov and Gimelshein 2018, "Online normalizer calculation for softmax"). Exponentials are taken to base 2, the
//! factor log₂e being part of the scale of the queries.

// Register tiles read better in index notation.
#![allow(clippy::needless_range_loop)]

use super::rotary::RotaryTable;
use super::simd::{self, SLACK, Simd};

/// Queries in a register tile: with 2 vectors of keys each, 12 accumulators of AVX2's 16 registers.
const ROWS: usize = 6;
/// Keys whose scores are held at a time: ROWS·BLOCK·4 bytes, 12 KiB of the first-level cache.
const BLOCK: usize = 512;

/// One head of one sequence, as it lies in the packed rows of a batch.
///
/// `qkv` points to the sequence's first row; a row has `3·d` numbers, queries, keys and values of all heads; the
/// head's part of each begins at `column`, `d + column` and `2·d + column`. `bias` has `3·d` numbers, to be added to
/// every row. `out` points to the sequence's first row of `d` numbers, of which `width` at `column` are written.
#[derive(Clone, Copy)]
pub struct Head<'a> {
    pub qkv: *const f32,
    pub bias: &'a [f32],
    pub out: *mut f32,
    pub d: usize,
    pub column: usize,
    pub width: usize,
    pub tokens: usize,
    pub rotary: &'a RotaryTable,
}

/// Memory of one thread for [`attend`], reused from call to call.
#[derive(Default)]
pub struct Scratch {
    /// Keys or queries after the rotary embedding, row by row.
    rotated: Vec<f32>,
    /// Keys in panels: for each 2·LANES keys, `width` rows of 2·LANES numbers.
    keys: Vec<f32>,
    /// Values, row by row, padded to whole vectors.
    values: Vec<f32>,
    /// ROWS queries, transposed.
    queries: Vec<f32>,
    /// Scores of ROWS queries, then their exponentials; a row has as many numbers as keys are held at a time.
    scores: Vec<f32>,
    /// Sums of values of ROWS queries.
    sums: Vec<f32>,
}

/// What becomes of the softmax weights.
enum Target<'a> {
    /// Weighted sums of the values, to `Head::out`.
    Output,
    /// The weights themselves, tokens × tokens, row by row.
    Map(&'a mut [f32]),
}

/// Attention of one head: `out = softmax(q·kᵀ/√width)·v`, queries and keys rotated by their positions.
///
/// # Safety
/// `head.qkv` is readable for `tokens` rows of `3·d` numbers and SLACK beyond, `head.bias` for SLACK numbers beyond
/// its `3·d` (its slice includes them), `head.out` writable for `tokens` rows of `d`, by this call alone as far as
/// this head's columns go. The rotary table reaches `tokens` positions.
pub unsafe fn attend(head: &Head, scratch: &mut Scratch) {
    // SAFETY: the caller's.
    unsafe { dispatch(head, scratch, Target::Output) }
}

/// The softmax weights of one head, tokens × tokens, into `map`, row by row (a row for each query).
///
/// # Safety
/// As [`attend`]; `head.out` is not used.
pub unsafe fn attention_map(head: &Head, scratch: &mut Scratch, map: &mut [f32]) {
    assert_eq!(map.len(), head.tokens * head.tokens);
    // SAFETY: the caller's.
    unsafe { dispatch(head, scratch, Target::Map(map)) }
}

unsafe fn dispatch(head: &Head, scratch: &mut Scratch, target: Target) {
    assert!(head.bias.len() >= 3 * head.d + SLACK);
    assert!(head.rotary.cos.len() >= head.tokens * head.rotary.stride);
    assert_eq!(head.rotary.frequencies.len() * 2, head.width);
    // SAFETY: the instructions are there, the rest is the caller's.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        {
            if std::arch::is_x86_feature_detected!("avx512f") {
                return avx512(head, scratch, target);
            }
            if std::arch::is_x86_feature_detected!("avx2")
                && std::arch::is_x86_feature_detected!("fma")
            {
                return avx2(head, scratch, target);
            }
        }
        run::<simd::Portable>(head, scratch, target);
    }
}

/// As [`attend`], in portable Rust whatever the processor has.
#[cfg(test)]
pub unsafe fn attend_portable(head: &Head, scratch: &mut Scratch) {
    // SAFETY: the caller's.
    unsafe { run::<simd::Portable>(head, scratch, Target::Output) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2(head: &Head, scratch: &mut Scratch, target: Target) {
    // SAFETY: the caller's.
    unsafe { run::<simd::Avx2>(head, scratch, target) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn avx512(head: &Head, scratch: &mut Scratch, target: Target) {
    // SAFETY: the caller's.
    unsafe { run::<simd::Avx512>(head, scratch, target) }
}

#[inline(always)]
unsafe fn run<S: Simd>(head: &Head, scratch: &mut Scratch, target: Target) {
    // SAFETY: the caller's.
    unsafe {
        pack_keys::<S>(head, scratch);
        match target {
            Target::Output => {
                pack_values::<S>(head, scratch);
                for first in (0..head.tokens).step_by(ROWS) {
                    attend_rows::<S>(head, scratch, first);
                }
            }
            Target::Map(map) => {
                for first in (0..head.tokens).step_by(ROWS) {
                    map_rows::<S>(head, scratch, first, map);
                }
            }
        }
    }
}

/// Grows `buffer` to at least `len` numbers; what it holds is of no interest.
fn reserve(buffer: &mut Vec<f32>, len: usize) {
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
}

/// Numbers between two rotated rows: their width, and room for the last vector of each half.
fn rotated_stride<S: Simd>(width: usize) -> usize {
    width.next_multiple_of(S::LANES) + S::LANES
}

/// Writes rotate(row + bias)·scale to `to`, whole vectors, so that up to LANES numbers behind it are overwritten.
#[inline(always)]
unsafe fn rotate<S: Simd>(head: &Head, part: usize, token: usize, scale: f32, to: *mut f32) {
    // SAFETY: reads stay within the row and SLACK, writes within the stride of a rotated row.
    unsafe {
        let half = head.width / 2;
        let column = part * head.d + head.column;
        let row = head.qkv.add(token * 3 * head.d + column);
        let bias = head.bias.as_ptr().add(column);
        let cos = head.rotary.cos.as_ptr().add(token * head.rotary.stride);
        let sin = head.rotary.sin.as_ptr().add(token * head.rotary.stride);
        let scale = S::splat(scale);
        let scaled = |c: usize| S::mul(scale, S::add(S::load(row.add(c)), S::load(bias.add(c))));
        for c in (0..half).step_by(S::LANES) {
            let (cos, sin) = (S::load(cos.add(c)), S::load(sin.add(c)));
            S::store(
                to.add(c),
                S::sub(S::mul(scaled(c), cos), S::mul(scaled(half + c), sin)),
            );
        }
        for c in (0..half).step_by(S::LANES) {
            let (cos, sin) = (S::load(cos.add(c)), S::load(sin.add(c)));
            S::store(
                to.add(half + c),
                S::fma(scaled(half + c), cos, S::mul(scaled(c), sin)),
            );
        }
    }
}

#[inline(always)]
unsafe fn pack_keys<S: Simd>(head: &Head, scratch: &mut Scratch) {
    let panel = 2 * S::LANES;
    let stride = rotated_stride::<S>(head.width);
    let panels = head.tokens.div_ceil(panel);
    reserve(&mut scratch.rotated, panel * stride);
    reserve(&mut scratch.keys, panels * panel * head.width);
    for p in 0..panels {
        let here = panel.min(head.tokens - p * panel);
        scratch.rotated[here * stride..panel * stride].fill(0.0);
        // SAFETY: the buffers were just made long enough; the rest is the caller's.
        unsafe {
            let rotated = scratch.rotated.as_mut_ptr();
            for j in 0..here {
                rotate::<S>(head, 1, p * panel + j, 1.0, rotated.add(j * stride));
            }
            let keys = scratch.keys.as_mut_ptr().add(p * panel * head.width);
            let whole = head.width - head.width % S::LANES;
            for c in (0..whole).step_by(S::LANES) {
                for j in [0, S::LANES] {
                    S::transpose(
                        rotated.add(j * stride + c),
                        stride,
                        keys.add(c * panel + j),
                        panel,
                    );
                }
            }
            for c in whole..head.width {
                for j in 0..panel {
                    *keys.add(c * panel + j) = *rotated.add(j * stride + c);
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn pack_values<S: Simd>(head: &Head, scratch: &mut Scratch) {
    let padded = head.width.next_multiple_of(S::LANES);
    reserve(&mut scratch.values, head.tokens * padded);
    for token in 0..head.tokens {
        // SAFETY: reads stay within the rows and SLACK, writes within `values`. What is read beyond the head's width
        // ends in columns of the sums that are not written out.
        unsafe {
            let row = head.qkv.add(token * 3 * head.d + 2 * head.d + head.column);
            let to = scratch.values.as_mut_ptr().add(token * padded);
            for c in (0..padded).step_by(S::LANES) {
                S::store(to.add(c), S::load(row.add(c)));
            }
        }
    }
}

/// ROWS queries from `first` on, rotated, scaled and transposed; rows beyond the sequence repeat the last one.
#[inline(always)]
unsafe fn pack_queries<S: Simd>(head: &Head, scratch: &mut Scratch, first: usize) {
    let stride = rotated_stride::<S>(head.width);
    let scale = std::f32::consts::LOG2_E / (head.width as f32).sqrt();
    reserve(&mut scratch.rotated, ROWS * stride);
    reserve(&mut scratch.queries, ROWS * head.width);
    // SAFETY: the buffers were just made long enough; the rest is the caller's.
    unsafe {
        let rotated = scratch.rotated.as_mut_ptr();
        let queries = scratch.queries.as_mut_ptr();
        for i in 0..ROWS {
            rotate::<S>(
                head,
                0,
                (first + i).min(head.tokens - 1),
                scale,
                rotated.add(i * stride),
            );
        }
        for c in 0..head.width {
            for i in 0..ROWS {
                *queries.add(c * ROWS + i) = *rotated.add(i * stride + c);
            }
        }
    }
}

/// Scores of ROWS queries and one panel of keys, stored to rows of `stride` numbers and taken into `maxima`; scores
/// of keys from `valid` on become -∞.
#[inline(always)]
unsafe fn score_panel<S: Simd>(
    queries: *const f32,
    keys: *const f32,
    width: usize,
    scores: *mut f32,
    stride: usize,
    valid: usize,
    maxima: &mut [S::V; ROWS],
) {
    // SAFETY: `queries` has width·ROWS numbers, `keys` width·2·LANES, every row of `scores` 2·LANES.
    unsafe {
        let mut tile = [[S::splat(0.0); 2]; ROWS];
        for c in 0..width {
            let key = [
                S::load(keys.add(c * 2 * S::LANES)),
                S::load(keys.add((c * 2 + 1) * S::LANES)),
            ];
            for i in 0..ROWS {
                let query = S::splat(*queries.add(c * ROWS + i));
                tile[i][0] = S::fma(query, key[0], tile[i][0]);
                tile[i][1] = S::fma(query, key[1], tile[i][1]);
            }
        }
        for i in 0..ROWS {
            let row = scores.add(i * stride);
            S::store(row, tile[i][0]);
            S::store(row.add(S::LANES), tile[i][1]);
            if valid < 2 * S::LANES {
                for j in valid..2 * S::LANES {
                    *row.add(j) = f32::NEG_INFINITY;
                }
                tile[i] = [S::load(row), S::load(row.add(S::LANES))];
            }
            maxima[i] = S::max(maxima[i], S::max(tile[i][0], tile[i][1]));
        }
    }
}

/// Scores of ROWS queries and keys `begin` to `end` (whole panels but for the last), and their row maxima.
#[inline(always)]
unsafe fn score_rows<S: Simd>(
    head: &Head,
    scratch: &mut Scratch,
    begin: usize,
    end: usize,
    stride: usize,
) -> [f32; ROWS] {
    let panel = 2 * S::LANES;
    // SAFETY: `begin` is a multiple of the panel; keys, queries and scores were made long enough.
    unsafe {
        let mut maxima = [S::splat(f32::NEG_INFINITY); ROWS];
        for key in (begin..end).step_by(panel) {
            score_panel::<S>(
                scratch.queries.as_ptr(),
                scratch.keys.as_ptr().add(key * head.width),
                head.width,
                scratch.scores.as_mut_ptr().add(key - begin),
                stride,
                (end - key).min(panel),
                &mut maxima,
            );
        }
        let mut largest = [0.0; ROWS];
        for i in 0..ROWS {
            largest[i] = S::largest(maxima[i]);
        }
        largest
    }
}

/// Replaces `n` scores (a multiple of 2·LANES) by 2^(score - maximum) and returns their sum.
#[inline(always)]
unsafe fn exponentials<S: Simd>(scores: *mut f32, n: usize, maximum: f32) -> f32 {
    // SAFETY: `scores` has n numbers.
    unsafe {
        let maximum = S::splat(maximum);
        let (mut even, mut odd) = (S::splat(0.0), S::splat(0.0));
        for j in (0..n).step_by(2 * S::LANES) {
            let a = simd::exp2::<S>(S::sub(S::load(scores.add(j)), maximum));
            let b = simd::exp2::<S>(S::sub(S::load(scores.add(j + S::LANES)), maximum));
            S::store(scores.add(j), a);
            S::store(scores.add(j + S::LANES), b);
            even = S::add(even, a);
            odd = S::add(odd, b);
        }
        S::sum(S::add(even, odd))
    }
}

/// `sums = sums·factor + weights·values` for ROWS queries and VECTORS vectors of columns; all rows of `weights` are
/// BLOCK apart.
#[inline(always)]
unsafe fn add_values<S: Simd, const VECTORS: usize>(
    weights: *const f32,
    values: *const f32,
    n: usize,
    padded: usize,
    sums: *mut f32,
    factors: &[f32; ROWS],
) {
    // SAFETY: every row of `weights` has n numbers; `values` n rows, `sums` ROWS rows, of `padded` numbers each.
    unsafe {
        let mut tile = [[S::splat(0.0); VECTORS]; ROWS];
        for i in 0..ROWS {
            let factor = S::splat(factors[i]);
            for v in 0..VECTORS {
                tile[i][v] = S::mul(factor, S::load(sums.add(i * padded + v * S::LANES)));
            }
        }
        for j in 0..n {
            let mut value = [S::splat(0.0); VECTORS];
            for v in 0..VECTORS {
                value[v] = S::load(values.add(j * padded + v * S::LANES));
            }
            for i in 0..ROWS {
                let weight = S::splat(*weights.add(i * BLOCK + j));
                for v in 0..VECTORS {
                    tile[i][v] = S::fma(weight, value[v], tile[i][v]);
                }
            }
        }
        for i in 0..ROWS {
            for v in 0..VECTORS {
                S::store(sums.add(i * padded + v * S::LANES), tile[i][v]);
            }
        }
    }
}

#[inline(always)]
unsafe fn attend_rows<S: Simd>(head: &Head, scratch: &mut Scratch, first: usize) {
    let padded = head.width.next_multiple_of(S::LANES);
    reserve(&mut scratch.scores, ROWS * BLOCK);
    reserve(&mut scratch.sums, ROWS * padded);
    let mut maxima = [f32::NEG_INFINITY; ROWS];
    let mut totals = [0.0; ROWS];
    scratch.sums.fill(0.0);
    // SAFETY: the buffers were made long enough; the rest is the caller's.
    unsafe {
        pack_queries::<S>(head, scratch, first);
        for begin in (0..head.tokens).step_by(BLOCK) {
            let end = head.tokens.min(begin + BLOCK);
            let largest = score_rows::<S>(head, scratch, begin, end, BLOCK);
            let mut factors = [0.0; ROWS];
            for i in 0..ROWS {
                let maximum = maxima[i].max(largest[i]);
                let row = scratch.scores.as_mut_ptr().add(i * BLOCK);
                let total =
                    exponentials::<S>(row, (end - begin).next_multiple_of(2 * S::LANES), maximum);
                factors[i] = (maxima[i] - maximum).exp2();
                totals[i] = totals[i] * factors[i] + total;
                maxima[i] = maximum;
            }
            let weights = scratch.scores.as_ptr();
            let values = scratch.values.as_ptr().add(begin * padded);
            let sums = scratch.sums.as_mut_ptr();
            let mut c = 0;
            while c + 2 * S::LANES <= padded {
                add_values::<S, 2>(
                    weights,
                    values.add(c),
                    end - begin,
                    padded,
                    sums.add(c),
                    &factors,
                );
                c += 2 * S::LANES;
            }
            if c < padded {
                add_values::<S, 1>(
                    weights,
                    values.add(c),
                    end - begin,
                    padded,
                    sums.add(c),
                    &factors,
                );
            }
        }
        for i in 0..ROWS.min(head.tokens - first) {
            write_row::<S>(
                head,
                first + i,
                scratch.sums.as_ptr().add(i * padded),
                1.0 / totals[i],
            );
        }
    }
}

/// `out = sums·factor + bias` for one token; the weights sum to 1, so that the values' bias is added here.
#[inline(always)]
unsafe fn write_row<S: Simd>(head: &Head, token: usize, sums: *const f32, factor: f32) {
    // SAFETY: vectors are written where they are whole; other heads' columns begin behind them.
    unsafe {
        let out = head.out.add(token * head.d + head.column);
        let bias = head.bias.as_ptr().add(2 * head.d + head.column);
        let whole = head.width - head.width % S::LANES;
        for c in (0..whole).step_by(S::LANES) {
            let sum = S::fma(S::load(sums.add(c)), S::splat(factor), S::load(bias.add(c)));
            S::store(out.add(c), sum);
        }
        for c in whole..head.width {
            *out.add(c) = *sums.add(c) * factor + *bias.add(c);
        }
    }
}

#[inline(always)]
unsafe fn map_rows<S: Simd>(head: &Head, scratch: &mut Scratch, first: usize, map: &mut [f32]) {
    let padded = head.tokens.next_multiple_of(2 * S::LANES);
    reserve(&mut scratch.scores, ROWS * padded);
    // SAFETY: the buffers were made long enough; the rest is the caller's.
    unsafe {
        pack_queries::<S>(head, scratch, first);
        let largest = score_rows::<S>(head, scratch, 0, head.tokens, padded);
        for i in 0..ROWS.min(head.tokens - first) {
            let row = scratch.scores.as_mut_ptr().add(i * padded);
            let inverse = 1.0 / exponentials::<S>(row, padded, largest[i]);
            let to = &mut map[(first + i) * head.tokens..][..head.tokens];
            for (j, weight) in to.iter_mut().enumerate() {
                *weight = *row.add(j) * inverse;
            }
        }
    }
}

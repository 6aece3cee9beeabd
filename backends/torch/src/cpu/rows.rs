//! Row-wise kernels around the linear layers: layer norm with the bias of the layer before, and bias with GELU.

use super::simd::{self, Simd};

/// Learnt scale and shift of a layer norm, each of the rows' width.
pub struct Norm {
    pub weight: Vec<f32>,
    pub bias: Vec<f32>,
    pub eps: f32,
}

impl Norm {
    /// Bytes of both.
    pub fn bytes(&self) -> u64 {
        (size_of_val(&*self.weight) + size_of_val(&*self.bias)) as u64
    }
}

/// Calls `$body` with the widest vectors that the processor has.
macro_rules! widest {
    ($avx512:ident, $avx2:ident, $generic:ident, ($($name:ident: $type:ty),*)) => {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f")]
        unsafe fn $avx512($($name: $type),*) {
            // SAFETY: the instructions are enabled here.
            unsafe { $generic::<simd::Avx512>($($name),*) }
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma")]
        unsafe fn $avx2($($name: $type),*) {
            // SAFETY: the instructions are enabled here.
            unsafe { $generic::<simd::Avx2>($($name),*) }
        }
    };
}

macro_rules! dispatch {
    ($avx512:ident, $avx2:ident, $generic:ident, ($($argument:expr),*)) => {
        // SAFETY: the instructions were found on this processor.
        unsafe {
            #[cfg(target_arch = "x86_64")]
            {
                if std::arch::is_x86_feature_detected!("avx512f") {
                    return $avx512($($argument),*);
                }
                if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
                    return $avx2($($argument),*);
                }
            }
            $generic::<simd::Portable>($($argument),*)
        }
    };
}

widest!(norm_avx512, norm_avx2, norm_rows, (x: &mut [f32], add: Option<&[f32]>, norm: &Norm, y: &mut [f32]));
widest!(gelu_avx512, gelu_avx2, gelu_rows, (x: &mut [f32], bias: &[f32]));

/// `x += add` (where given), then `y = layer_norm(x)`, row by row; `x` and `y` hold rows of the norm's width.
pub fn layer_norm(x: &mut [f32], add: Option<&[f32]>, norm: &Norm, y: &mut [f32]) {
    let width = norm.weight.len();
    assert!(norm.bias.len() == width && add.is_none_or(|a| a.len() == width));
    assert!(x.len() == y.len() && x.len().is_multiple_of(width));
    dispatch!(norm_avx512, norm_avx2, norm_rows, (x, add, norm, y))
}

/// `x = gelu(x + bias)`, row by row.
pub fn bias_gelu(x: &mut [f32], bias: &[f32]) {
    assert!(x.len().is_multiple_of(bias.len()));
    dispatch!(gelu_avx512, gelu_avx2, gelu_rows, (x, bias))
}

/// `x += bias`, row by row.
pub fn add_bias(x: &mut [f32], bias: &[f32]) {
    for row in x.chunks_exact_mut(bias.len()) {
        row.iter_mut().zip(bias).for_each(|(x, b)| *x += b);
    }
}

#[inline(always)]
unsafe fn norm_rows<S: Simd>(x: &mut [f32], add: Option<&[f32]>, norm: &Norm, y: &mut [f32]) {
    let width = norm.weight.len();
    for (x, y) in x.chunks_exact_mut(width).zip(y.chunks_exact_mut(width)) {
        if let Some(add) = add {
            x.iter_mut().zip(add).for_each(|(x, a)| *x += a);
        }
        // SAFETY: the caller's.
        unsafe { norm_row::<S>(x, norm, y) }
    }
}

/// Two passes, mean before variance, so that a large mean costs no digits.
#[inline(always)]
unsafe fn norm_row<S: Simd>(x: &[f32], norm: &Norm, y: &mut [f32]) {
    let width = x.len();
    let whole = width - width % S::LANES;
    // SAFETY: vectors end at `whole`, the rest is done one by one; all slices have `width` numbers.
    unsafe {
        let mut sum = S::splat(0.0);
        for c in (0..whole).step_by(S::LANES) {
            sum = S::add(sum, S::load(x.as_ptr().add(c)));
        }
        let mean = (S::sum(sum) + x[whole..].iter().sum::<f32>()) / width as f32;
        let mean_of = S::splat(mean);
        let mut squares = S::splat(0.0);
        for c in (0..whole).step_by(S::LANES) {
            let deviation = S::sub(S::load(x.as_ptr().add(c)), mean_of);
            squares = S::fma(deviation, deviation, squares);
        }
        let rest: f32 = x[whole..].iter().map(|x| (x - mean) * (x - mean)).sum();
        let inverse = 1.0 / ((S::sum(squares) + rest) / width as f32 + norm.eps).sqrt();
        let inverse_of = S::splat(inverse);
        for c in (0..whole).step_by(S::LANES) {
            let normal = S::mul(S::sub(S::load(x.as_ptr().add(c)), mean_of), inverse_of);
            let scaled = S::fma(
                normal,
                S::load(norm.weight.as_ptr().add(c)),
                S::load(norm.bias.as_ptr().add(c)),
            );
            S::store(y.as_mut_ptr().add(c), scaled);
        }
        for c in whole..width {
            y[c] = (x[c] - mean) * inverse * norm.weight[c] + norm.bias[c];
        }
    }
}

#[inline(always)]
unsafe fn gelu_rows<S: Simd>(x: &mut [f32], bias: &[f32]) {
    let whole = bias.len() - bias.len() % S::LANES;
    for row in x.chunks_exact_mut(bias.len()) {
        // SAFETY: vectors end at `whole`; the rest goes through a vector of its own.
        unsafe {
            for c in (0..whole).step_by(S::LANES) {
                let at = row.as_mut_ptr().add(c);
                S::store(
                    at,
                    simd::gelu::<S>(S::add(S::load(at), S::load(bias.as_ptr().add(c)))),
                );
            }
            for c in whole..bias.len() {
                let mut lanes = [0.0; 16];
                S::store(
                    lanes.as_mut_ptr(),
                    simd::gelu::<S>(S::splat(row[c] + bias[c])),
                );
                row[c] = lanes[0];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Φ by Simpson's rule in double precision.
    fn gelu_reference(x: f64) -> f64 {
        let density = |t: f64| (-t * t / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let n = 2000;
        let h = x / n as f64;
        let inner: f64 = (1..n)
            .map(|i| density(i as f64 * h) * if i % 2 == 1 { 4.0 } else { 2.0 })
            .sum();
        x * (0.5 + (density(0.0) + inner + density(x)) * h / 3.0)
    }

    #[test]
    fn gelu_agrees_with_the_integral() {
        let bias: Vec<f32> = (0..37).map(|i| i as f32 * 0.01).collect();
        let before: Vec<f32> = (0..37 * 20).map(|i| (i as f32 - 370.0) * 0.025).collect();
        let mut x = before.clone();
        bias_gelu(&mut x, &bias);
        for (i, (&before, &after)) in before.iter().zip(&x).enumerate() {
            let expected = gelu_reference((before + bias[i % 37]) as f64);
            assert!(
                (after as f64 - expected).abs() < 2e-6,
                "gelu({before}) = {after}, not {expected}"
            );
        }
    }

    #[test]
    fn gelu_keeps_large_numbers_and_drops_large_negative_ones() {
        let mut x = [100.0, -100.0];
        bias_gelu(&mut x, &[0.0, 0.0]);
        assert!((x[0] - 100.0).abs() < 1e-4);
        assert!(x[1].abs() < 1e-4);
    }

    #[test]
    fn layer_norm_agrees_with_double_precision_at_odd_widths() {
        for width in [1, 7, 8, 20, 33, 320] {
            let norm = Norm {
                weight: (0..width).map(|i| 0.5 + i as f32 * 0.1).collect(),
                bias: (0..width).map(|i| i as f32 * -0.2).collect(),
                eps: 1e-5,
            };
            let add: Vec<f32> = (0..width).map(|i| (i as f32).cos()).collect();
            let before: Vec<f32> = (0..3 * width)
                .map(|i| 5.0 + (i as f32 * 1.7).sin())
                .collect();
            let (mut x, mut y) = (before.clone(), vec![0.0; 3 * width]);
            layer_norm(&mut x, Some(&add), &norm, &mut y);
            for row in 0..3 {
                let sums: Vec<f64> = (0..width)
                    .map(|c| (before[row * width + c] + add[c]) as f64)
                    .collect();
                let mean = sums.iter().sum::<f64>() / width as f64;
                let variance = sums.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / width as f64;
                for c in 0..width {
                    let normal = (sums[c] - mean) / (variance + 1e-5).sqrt();
                    let expected = normal * norm.weight[c] as f64 + norm.bias[c] as f64;
                    let got = y[row * width + c] as f64;
                    assert!(
                        (got - expected).abs() < 1e-4 * (1.0 + expected.abs()),
                        "width {width}: {got}, not {expected}"
                    );
                    assert_eq!(x[row * width + c] as f64, sums[c]);
                }
            }
        }
    }
}

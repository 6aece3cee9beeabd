//! The vector operations that the kernels are written in, for AVX-512, AVX2 and portable Rust.

/// Numbers that kernels may read beyond the last one of their rows: the lanes of the widest vector.
pub const SLACK: usize = 16;

/// A vector of `LANES` single-precision numbers and what can be done with it.
///
/// # Safety
/// Every method may be called only where the processor has the instructions of the implementing type; `load` and
/// `store` need `LANES` readable or writable numbers at the pointer, with no alignment.
pub trait Simd {
    const LANES: usize;
    type V: Copy;

    unsafe fn splat(x: f32) -> Self::V;
    unsafe fn load(from: *const f32) -> Self::V;
    unsafe fn store(to: *mut f32, v: Self::V);
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn div(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V;
    /// a·b + c
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// p·2ⁿ, where n is what the low bits of `shifted` (n + [`ROUND`]) hold; the result must be a normal number.
    unsafe fn scale(p: Self::V, shifted: Self::V) -> Self::V;
    unsafe fn sum(v: Self::V) -> f32;
    unsafe fn largest(v: Self::V) -> f32;

    /// Transposes LANES × LANES numbers: `to[c·to_stride + j] = from[j·from_stride + c]`.
    #[inline(always)]
    unsafe fn transpose(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
        // SAFETY: the caller vouches for both blocks.
        unsafe {
            for j in 0..Self::LANES {
                for c in 0..Self::LANES {
                    *to.add(c * to_stride + j) = *from.add(j * from_stride + c);
                }
            }
        }
    }
}

/// 1.5·2²³: added to a number below 2²², it leaves the nearest whole number in the low bits of the mantissa.
pub const ROUND: f32 = 12_582_912.0;

/// 2ˣ for x ≤ 0, with a relative error below 3e-7; 2⁻¹²⁶ below -126.
///
/// x is split into its nearest whole number and a rest in [-½, ½], for which a polynomial was fitted.
///
/// # Safety
/// As [`Simd`].
#[inline(always)]
pub unsafe fn exp2<S: Simd>(x: S::V) -> S::V {
    const C: [f32; 6] = [
        1.0000001,
        0.69314694,
        0.24022122,
        0.055507425,
        0.009675469,
        0.001326698,
    ];
    // SAFETY: the caller vouches for the processor.
    unsafe {
        let x = S::max(x, S::splat(-126.0));
        let shifted = S::add(x, S::splat(ROUND));
        let f = S::sub(x, S::sub(shifted, S::splat(ROUND)));
        let mut p = S::splat(C[5]);
        p = S::fma(p, f, S::splat(C[4]));
        p = S::fma(p, f, S::splat(C[3]));
        p = S::fma(p, f, S::splat(C[2]));
        p = S::fma(p, f, S::splat(C[1]));
        p = S::fma(p, f, S::splat(C[0]));
        S::scale(p, shifted)
    }
}

/// GELU, x·Φ(x) = x/2·(1 + erf(x/√2)), with an absolute error of Φ below 2e-7.
///
/// erf(x/√2) is x·P(x²)/Q(x²), fitted on |x| ≤ 5.4, beyond which it is ±1 in single precision.
///
/// # Safety
/// As [`Simd`].
#[inline(always)]
pub unsafe fn gelu<S: Simd>(x: S::V) -> S::V {
    const P: [f32; 6] = [
        0.79788446,
        0.066743925,
        0.009301667,
        0.00032863754,
        1.2719965e-05,
        4.6773692e-08,
    ];
    const Q: [f32; 6] = [
        1.0,
        0.2503172,
        0.028378531,
        0.0018589651,
        7.239915e-05,
        1.2165914e-06,
    ];
    // SAFETY: the caller vouches for the processor.
    unsafe {
        let z = S::min(S::max(x, S::splat(-5.4)), S::splat(5.4));
        let u = S::mul(z, z);
        let mut p = S::splat(P[5]);
        let mut q = S::splat(Q[5]);
        p = S::fma(p, u, S::splat(P[4]));
        q = S::fma(q, u, S::splat(Q[4]));
        p = S::fma(p, u, S::splat(P[3]));
        q = S::fma(q, u, S::splat(Q[3]));
        p = S::fma(p, u, S::splat(P[2]));
        q = S::fma(q, u, S::splat(Q[2]));
        p = S::fma(p, u, S::splat(P[1]));
        q = S::fma(q, u, S::splat(Q[1]));
        p = S::fma(p, u, S::splat(P[0]));
        q = S::fma(q, u, S::splat(Q[0]));
        let erf = S::div(S::mul(z, p), q);
        let half = S::mul(x, S::splat(0.5));
        S::fma(half, erf, half)
    }
}

/// Plain Rust, for processors without the instructions below; the compiler turns it into what there is.
pub struct Portable;

// SAFETY (of the blocks below): pointers are valid for LANES numbers, as the trait demands.
impl Simd for Portable {
    const LANES: usize = 8;
    type V = [f32; 8];

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::V {
        [x; 8]
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::V {
        // SAFETY: the trait's contract.
        unsafe { from.cast::<[f32; 8]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, v: Self::V) {
        // SAFETY: the trait's contract.
        unsafe { to.cast::<[f32; 8]>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] + b[i])
    }
    #[inline(always)]
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] - b[i])
    }
    #[inline(always)]
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] * b[i])
    }
    #[inline(always)]
    unsafe fn div(a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] / b[i])
    }
    #[inline(always)]
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| if a[i] < b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] * b[i] + c[i])
    }
    #[inline(always)]
    unsafe fn scale(p: Self::V, shifted: Self::V) -> Self::V {
        std::array::from_fn(|i| {
            f32::from_bits(p[i].to_bits().wrapping_add(shifted[i].to_bits() << 23))
        })
    }
    #[inline(always)]
    unsafe fn sum(v: Self::V) -> f32 {
        v.iter().sum()
    }
    #[inline(always)]
    unsafe fn largest(v: Self::V) -> f32 {
        v.iter().copied().fold(f32::NEG_INFINITY, f32::max)
    }
}

#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Simd;
    use std::arch::x86_64::*;

    /// AVX2 with FMA: 8 lanes.
    pub struct Avx2;

    // SAFETY (of every block below): the trait's contract gives the instructions and the pointers.
    impl Simd for Avx2 {
        const LANES: usize = 8;
        type V = __m256;

        #[inline(always)]
        unsafe fn splat(x: f32) -> Self::V {
            // SAFETY: the trait's contract.
            unsafe { _mm256_set1_ps(x) }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self::V {
            // SAFETY: the trait's contract.
            unsafe { _mm256_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn store(to: *mut f32, v: Self::V) {
            // SAFETY: the trait's contract.
            unsafe { _mm256_storeu_ps(to, v) }
        }
        #[inline(always)]
        unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
            // SAFETY: the trait's contract.
            unsafe { _mm256_add_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn sub(a: Self::V, b: Self::V) -> Self::V {
            // SAFETY: the trait's contract.
            unsafe { _mm256_sub_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn mul(a: Self::V, b: Self::V) -> Self::V {
            // SAFETY: the trait's contract.
            unsafe { _mm256_mul_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn div(a: Self::V, b: Self::V) -> Self::V {
            // SAFETY: the trait's contract.
            unsafe { _mm256_div_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn max(a: Self::V, b: Self::V) -> Self::V {
            // SAFETY: the trait's contract.
            unsafe { _mm256_max_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn min(a: Self::V, b: Self::V) -> Self::V {
            // SAFETY: the trait's contract.
            unsafe { _mm256_min_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
            // SAFETY: the trait's contract.
            unsafe { _mm256_fmadd_ps(a, b, c) }
        }
        #[inline(always)]
        unsafe fn scale(p: Self::V, shifted: Self::V) -> Self::V {
            // SAFETY: the trait's contract.
            unsafe {
                let exponent = _mm256_slli_epi32::<23>(_mm256_castps_si256(shifted));
                _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), exponent))
            }
        }
        #[inline(always)]
        unsafe fn sum(v: Self::V) -> f32 {
            // SAFETY: the trait's contract.
            unsafe {
                let four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
                let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
                _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
            }
        }
        #[inline(always)]
        unsafe fn largest(v: Self::V) -> f32 {
            // SAFETY: the trait's contract.
            unsafe {
                let four = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
                let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
                _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)))
            }
        }
        #[inline(always)]
        unsafe fn transpose(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
            // SAFETY: the trait's contract.
            unsafe {
                let row = |j: usize| _mm256_loadu_ps(from.add(j * from_stride));
                // Pairs of rows interleaved, then fours, within each half of the vectors.
                let pair = |j: usize| {
                    let (a, b) = (row(j), row(j + 1));
                    [_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b)]
                };
                let four = |j: usize| {
                    let ([a, b], [c, d]) = (pair(j), pair(j + 2));
                    [
                        _mm256_shuffle_ps::<0x44>(a, c),
                        _mm256_shuffle_ps::<0xee>(a, c),
                        _mm256_shuffle_ps::<0x44>(b, d),
                        _mm256_shuffle_ps::<0xee>(b, d),
                    ]
                };
                let (upper, lower) = (four(0), four(4));
                for c in 0..4 {
                    let (u, l) = (upper[c], lower[c]);
                    _mm256_storeu_ps(to.add(c * to_stride), _mm256_permute2f128_ps::<0x20>(u, l));
                    _mm256_storeu_ps(
                        to.add((c + 4) * to_stride),
                        _mm256_permute2f128_ps::<0x31>(u, l),
                    );
                }
            }
        }
    }

    /// AVX-512F: 16 lanes.
    pub struct Avx512;

    // SAFETY (of every block below): the trait's contract gives the instructions and the pointers.
    impl Simd for Avx512 {
        const LANES: usize = 16;
        type V = __m512;

        #[inline(always)]
        unsafe fn splat(x: f32) -> Self::V {
            // SAFETY: the trait's contract.
            unsafe { _mm512_set1_ps(x) }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self::V {
            // SAFETY: the trait's contract.
            unsafe { _mm512_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn store(to: *mut f32, v: Self::V) {
            // SAFETY: the trait's contract.
            unsafe { _mm512_storeu_ps(to, v) }
        }
        #[inline(always)]
        unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
            // SAFETY: the trait's contract.
            unsafe { _mm512_add_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn sub(a: Self::V, b: Self::V) -> Self::V {
            // SAFETY: the trait's contract.
            unsafe { _mm512_sub_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn mul(a: Self::V, b: Self::V) -> Self::V {
            // SAFETY: the trait's contract.
            unsafe { _mm512_mul_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn div(a: Self::V, b: Self::V) -> Self::V {
            // SAFETY: the trait's contract.
            unsafe { _mm512_div_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn max(a: Self::V, b: Self::V) -> Self::V {
            // SAFETY: the trait's contract.
            unsafe { _mm512_max_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn min(a: Self::V, b: Self::V) -> Self::V {
            // SAFETY: the trait's contract.
            unsafe { _mm512_min_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
            // SAFETY: the trait's contract.
            unsafe { _mm512_fmadd_ps(a, b, c) }
        }
        #[inline(always)]
        unsafe fn scale(p: Self::V, shifted: Self::V) -> Self::V {
            // SAFETY: the trait's contract.
            unsafe {
                let exponent = _mm512_slli_epi32::<23>(_mm512_castps_si512(shifted));
                _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p), exponent))
            }
        }
        #[inline(always)]
        unsafe fn sum(v: Self::V) -> f32 {
            // SAFETY: the trait's contract.
            unsafe { _mm512_reduce_add_ps(v) }
        }
        #[inline(always)]
        unsafe fn largest(v: Self::V) -> f32 {
            // SAFETY: the trait's contract.
            unsafe { _mm512_reduce_max_ps(v) }
        }
    }
}

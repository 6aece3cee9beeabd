//! Kernels for the CPU, in single precision, and what its threads share.

pub mod attention;
pub mod matrix;
pub mod rows;
mod simd;
pub mod team;

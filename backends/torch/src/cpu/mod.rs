//! Kernels for the CPU, in single precision, and what its threads share.

pub mod attention;
#[cfg(test)]
mod attention_tests;
pub mod matrix;
pub mod rotary;
pub mod rows;
pub mod simd;
pub mod team;

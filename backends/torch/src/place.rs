//! Where a worker works.

use crate::error::{Error, Result};
use crate::shim;
use tch::Device;

/// The device that a worker is told to work on.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    pub device: Device,
    /// CPU threads.
    pub threads: usize,
    /// CUDA compute capability.
    pub capability: (i32, i32),
}

/// Makes libtorch ready for CUDA device `index`, which is this worker thread's from now on.
pub fn prepare(index: usize) -> Result<()> {
    let devices = shim::load_cuda().map_err(|e| {
        Error::Device(format!(
            "cuda:{index} cannot be used: {e}; open the pool with \"cpu*2\" to run on the CPU"
        ))
    })?;
    match index < devices {
        true => shim::set_device(index),
        false => Err(Error::Device(format!(
            "there is no cuda:{index}: libtorch sees {devices} CUDA devices"
        ))),
    }
}

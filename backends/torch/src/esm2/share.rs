//! Weights in memory once for each device and dtype, however many workers use them.

use super::checkpoint::Checkpoint;
use super::{cpu, gpu};
use crate::error::Result;
use crate::shelf::Shelf;
use std::path::PathBuf;
use std::sync::Arc;
use tch::{Device, Kind};

/// Weights on one device.
pub enum Weights {
    Cpu(Arc<cpu::Weights>),
    Gpu(Arc<gpu::Weights>),
}

/// A directory, a device, a type.
type Key = (PathBuf, Device, Kind);

static ON_CPU: Shelf<Key, cpu::Weights> = Shelf::new();
static ON_GPU: Shelf<Key, gpu::Weights> = Shelf::new();

/// The weights of the checkpoint in `directory` on `device` in `kind`.
pub fn weights(directory: PathBuf, device: Device, kind: Kind) -> Result<Weights> {
    let checkpoint = || Checkpoint::open(&directory);
    let key = (directory.clone(), device, kind);
    Ok(match device {
        Device::Cpu => Weights::Cpu(ON_CPU.get(key, || cpu::Weights::load(&checkpoint()?, kind))?),
        _ => Weights::Gpu(ON_GPU.get(key, || gpu::Weights::load(&checkpoint()?, device, kind))?),
    })
}

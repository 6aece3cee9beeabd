//! Weights in memory once for each device and dtype, however many workers use them.

use super::checkpoint::Checkpoint;
use super::{cpu, gpu};
use crate::error::Result;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use tch::{Device, Kind};

/// Weights on one device.
#[derive(Clone)]
pub enum Weights {
    Cpu(Arc<cpu::Weights>),
    Gpu(Arc<gpu::Weights>),
}

impl Weights {
    fn downgrade(&self) -> WeakWeights {
        match self {
            Weights::Cpu(weights) => WeakWeights::Cpu(Arc::downgrade(weights)),
            Weights::Gpu(weights) => WeakWeights::Gpu(Arc::downgrade(weights)),
        }
    }
}

enum WeakWeights {
    Cpu(Weak<cpu::Weights>),
    Gpu(Weak<gpu::Weights>),
}

impl WeakWeights {
    fn upgrade(&self) -> Option<Weights> {
        match self {
            WeakWeights::Cpu(weights) => weights.upgrade().map(Weights::Cpu),
            WeakWeights::Gpu(weights) => weights.upgrade().map(Weights::Gpu),
        }
    }
}

#[derive(PartialEq, Eq, Hash)]
struct Key {
    directory: PathBuf,
    device: Device,
    kind: Kind,
}

type Place = Arc<Mutex<Option<WeakWeights>>>;

static LOADED: LazyLock<Mutex<HashMap<Key, Place>>> = LazyLock::new(Mutex::default);

/// The weights of the checkpoint in `directory` on `device` in `kind`: loaded by the first caller, while others that
/// want the same wait; freed when the last worker lets go.
pub fn weights(directory: PathBuf, device: Device, kind: Kind) -> Result<Weights> {
    let place = {
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.retain(|_, place| Arc::strong_count(place) > 1 || holds_weights(place));
        Arc::clone(
            loaded
                .entry(Key {
                    directory: directory.clone(),
                    device,
                    kind,
                })
                .or_default(),
        )
    };
    let mut held = place.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(weights) = held.as_ref().and_then(WeakWeights::upgrade) {
        return Ok(weights);
    }
    let checkpoint = Checkpoint::open(&directory)?;
    let weights = match device {
        Device::Cpu => Weights::Cpu(Arc::new(cpu::Weights::load(&checkpoint, kind)?)),
        _ => Weights::Gpu(Arc::new(gpu::Weights::load(&checkpoint, device, kind)?)),
    };
    *held = Some(weights.downgrade());
    Ok(weights)
}

fn holds_weights(place: &Place) -> bool {
    place
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .as_ref()
        .is_some_and(|weak| weak.upgrade().is_some())
}

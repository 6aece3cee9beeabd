//! How the GPUs are: memory, temperature, utilisation, by NVML.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use nvml_wrapper::Nvml;
use nvml_wrapper::enum_wrappers::device::TemperatureSensor;
use toolpool::device::Slot;

/// From one reading to the next.
const EVERY: Duration = Duration::from_secs(1);

/// How a GPU is now; what NVML does not say (of a MIG instance, the utilisation) is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reading {
    /// Bytes in use, by every process, and in all.
    pub memory: Option<(u64, u64)>,
    /// Degrees Celsius.
    pub temperature: Option<u32>,
    /// Percent of the time in which a kernel ran.
    pub utilisation: Option<u32>,
}

/// The GPUs of a pool, read on a thread of their own: a driver that takes its time keeps nobody from working.
pub struct Gpus {
    /// The last of each slot.
    readings: Arc<Mutex<Vec<Reading>>>,
    /// The thread ends when this is gone.
    _reader: Sender<()>,
}

impl Gpus {
    #[must_use]
    pub fn of(slots: &[Slot]) -> Self {
        let uuids: Vec<String> = slots.iter().map(|slot| slot.device.uuid.clone()).collect();
        let readings = Arc::new(Mutex::new(vec![Reading::default(); uuids.len()]));
        let (reader, gone) = channel();
        if uuids.iter().any(|uuid| !uuid.is_empty()) {
            let readings = Arc::clone(&readings);
            let named = thread::Builder::new().name("toolpool-gpus".to_owned());
            // Without the thread nothing is known of the GPUs, and all else goes on.
            let _ = named.spawn(move || keep_reading(&uuids, &readings, &gone));
        }
        Self {
            readings,
            _reader: reader,
        }
    }

    /// How the device of a slot was lately.
    #[must_use]
    pub fn reading(&self, slot: usize) -> Reading {
        let readings = self.readings.lock();
        let readings = readings.unwrap_or_else(PoisonError::into_inner);
        readings.get(slot).copied().unwrap_or_default()
    }
}

fn keep_reading(uuids: &[String], readings: &Mutex<Vec<Reading>>, gone: &Receiver<()>) {
    let Ok(nvml) = Nvml::init() else {
        return;
    };
    loop {
        let now = uuids.iter().map(|uuid| read(&nvml, uuid)).collect();
        *readings.lock().unwrap_or_else(PoisonError::into_inner) = now;
        if gone.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

/// Of the GPU of this UUID; of the CPU, whose is empty, nothing.
fn read(nvml: &Nvml, uuid: &str) -> Reading {
    let Ok(device) = nvml.device_by_uuid(uuid) else {
        return Reading::default();
    };
    let memory = device.memory_info().ok();
    Reading {
        memory: memory.map(|memory| (memory.used, memory.total)),
        temperature: device.temperature(TemperatureSensor::Gpu).ok(),
        utilisation: device.utilization_rates().ok().map(|rates| rates.gpu),
    }
}

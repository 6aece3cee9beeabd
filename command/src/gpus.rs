//! How the GPUs are: memory, temperature, utilisation, by NVML.

use nvml_wrapper::Nvml;
use nvml_wrapper::enum_wrappers::device::TemperatureSensor;
use toolpool::device::Slot;

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

/// The GPUs of a pool.
pub struct Gpus {
    /// `None` where no slot is on a GPU, or NVML does not start.
    nvml: Option<Nvml>,
    /// The UUID of each slot's GPU; empty for the CPU.
    uuids: Vec<String>,
}

impl Gpus {
    #[must_use]
    pub fn of(slots: &[Slot]) -> Self {
        let uuids: Vec<String> = slots.iter().map(|slot| slot.device.uuid.clone()).collect();
        let any = uuids.iter().any(|uuid| !uuid.is_empty());
        Self {
            nvml: any.then(|| Nvml::init().ok()).flatten(),
            uuids,
        }
    }

    /// How the device of a slot is.
    #[must_use]
    pub fn read(&self, slot: usize) -> Reading {
        let uuid = self.uuids[slot].as_str();
        let Some(device) = self
            .nvml
            .as_ref()
            .and_then(|nvml| nvml.device_by_uuid(uuid).ok())
        else {
            return Reading::default();
        };
        Reading {
            memory: device
                .memory_info()
                .ok()
                .map(|memory| (memory.used, memory.total)),
            temperature: device.temperature(TemperatureSensor::Gpu).ok(),
            utilisation: device.utilization_rates().ok().map(|rates| rates.gpu),
        }
    }
}

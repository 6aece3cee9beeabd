//! GPUs as NVML lists them, and the numbers that CUDA gives them.

use std::env;

use nvml_wrapper::Nvml;
use nvml_wrapper::enum_wrappers::device::Clock;
use nvml_wrapper::error::NvmlError;

use super::{Device, Kind};

/// A GPU of the machine.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    /// Its index is not yet known.
    pub device: Device,
    /// Domain, bus, device: CUDA's order by PCI.
    pub pci: (u32, u32, u32),
    /// Cores × clock rate in MHz: what CUDA's order by speed goes by, as far as is known; 0 if unknown.
    pub speed: u64,
    /// Its MIG instances, where it is partitioned: CUDA then sees these in its place.
    pub mig: Option<Vec<Device>>,
}

/// The variables that decide what CUDA sees.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Environment {
    /// `CUDA_VISIBLE_DEVICES`
    pub visible_devices: Option<String>,
    /// `CUDA_DEVICE_ORDER`
    pub device_order: Option<String>,
}

impl Environment {
    pub fn read() -> Self {
        let read = |name| env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        Self {
            visible_devices: read("CUDA_VISIBLE_DEVICES"),
            device_order: read("CUDA_DEVICE_ORDER"),
        }
    }
}

/// All GPUs of the machine, or why they cannot be listed.
pub(super) fn list() -> Result<Vec<Found>, String> {
    let failed = |error: NvmlError| match error {
        NvmlError::LibloadingError(_) => {
            "NVML (libnvidia-ml.so.1) is not there: no NVIDIA driver is installed".to_owned()
        }
        error => format!("NVML cannot list GPUs: {error}"),
    };
    let nvml = Nvml::init().map_err(failed)?;
    let driver = nvml.sys_driver_version().unwrap_or_default();
    let count = nvml.device_count().map_err(failed)?;
    // A GPU that has fallen off the bus has no handle, and is none to CUDA either.
    let handles = (0..count).filter_map(|index| nvml.device_by_index(index).ok());
    handles
        .map(|gpu| found(&gpu, &driver).map_err(failed))
        .collect()
}

fn found(gpu: &nvml_wrapper::Device, driver: &str) -> Result<Found, NvmlError> {
    let capability = gpu
        .cuda_compute_capability()
        .map_or((0, 0), |capability| (capability.major, capability.minor));
    let pci = gpu.pci_info()?;
    let clock = gpu.max_clock_info(Clock::SM).unwrap_or(0);
    Ok(Found {
        device: device(gpu, driver, capability)?,
        pci: (pci.domain, pci.bus, pci.device),
        speed: u64::from(gpu.num_cores().unwrap_or(0)) * u64::from(clock),
        mig: mig_instances(gpu, driver, capability)?,
    })
}

fn device(
    handle: &nvml_wrapper::Device,
    driver: &str,
    capability: (i32, i32),
) -> Result<Device, NvmlError> {
    let (memory_total, memory_free) = handle
        .memory_info()
        .map_or((0, 0), |memory| (memory.total, memory.free));
    Ok(Device {
        kind: Kind::Cuda,
        index: 0,
        name: handle.name()?,
        memory_total,
        memory_free,
        capability,
        uuid: handle.uuid()?,
        driver: driver.to_owned(),
    })
}

/// The MIG instances of a GPU in MIG mode; `None` for one that is not, or cannot be.
fn mig_instances(
    gpu: &nvml_wrapper::Device,
    driver: &str,
    capability: (i32, i32),
) -> Result<Option<Vec<Device>>, NvmlError> {
    const ENABLED: u32 = 1;
    if !gpu.mig_mode().is_ok_and(|mode| mode.current == ENABLED) {
        return Ok(None);
    }
    let most = gpu.mig_device_count().unwrap_or(0);
    // Numbers without an instance are gaps.
    let instances = (0..most).filter_map(|index| gpu.mig_device_by_index(index).ok());
    let devices = instances.map(|instance| device(&instance, driver, capability));
    devices.collect::<Result<_, _>>().map(Some)
}

/// The GPUs that CUDA will see, in its order and with its numbers.
///
/// These are CUDA's rules (CUDA C++ Programming Guide, "CUDA Environment Variables"; NVIDIA MIG User Guide, "Device
/// Enumeration"): entries of `CUDA_VISIBLE_DEVICES` are numbers in CUDA's order, or beginnings of UUIDs that fit one
/// device; the first that is neither hides itself and all after it; one that repeats hides everything. A process sees
/// whole GPUs or a single MIG instance, so a list that begins with an instance ends there, and where the variable is not
/// set and every GPU is partitioned, the first instance is the one device.
pub(super) fn number(mut found: Vec<Found>, environment: &Environment) -> Vec<Device> {
    found.sort_by_key(|gpu| gpu.pci);
    if environment.device_order.as_deref() != Some("PCI_BUS_ID") {
        found.sort_by_key(|gpu| std::cmp::Reverse(gpu.speed));
    }
    let mut devices = match &environment.visible_devices {
        None => unrestricted(&found),
        Some(list) => selected(list, &found),
    };
    for (index, device) in (0..).zip(&mut devices) {
        device.index = index;
    }
    devices
}

fn unrestricted(found: &[Found]) -> Vec<Device> {
    let whole: Vec<Device> = whole(found).cloned().collect();
    if whole.is_empty() {
        instances(found).take(1).cloned().collect()
    } else {
        whole
    }
}

fn selected(list: &str, found: &[Found]) -> Vec<Device> {
    let mut chosen: Vec<Device> = Vec::new();
    for entry in list.split(',').map(str::trim) {
        let Some(device) = entry_device(entry, found) else {
            break;
        };
        if chosen.iter().any(|earlier| earlier.uuid == device.uuid) {
            return Vec::new();
        }
        let is_instance = instances(found).any(|instance| instance.uuid == device.uuid);
        if is_instance && !chosen.is_empty() {
            break;
        }
        chosen.push(device.clone());
        if is_instance {
            break;
        }
    }
    chosen
}

/// The device that one entry of `CUDA_VISIBLE_DEVICES` names.
fn entry_device<'a>(entry: &str, found: &'a [Found]) -> Option<&'a Device> {
    if entry.starts_with("MIG-") {
        return only(instances(found).filter(|device| device.uuid.starts_with(entry)));
    }
    if entry.starts_with("GPU-") {
        return only(whole(found).filter(|device| device.uuid.starts_with(entry)));
    }
    let gpu = found.get(entry.parse::<usize>().ok()?)?;
    match &gpu.mig {
        None => Some(&gpu.device),
        Some(instances) => instances.first(),
    }
}

fn whole(found: &[Found]) -> impl Iterator<Item = &Device> {
    let whole = found.iter().filter(|gpu| gpu.mig.is_none());
    whole.map(|gpu| &gpu.device)
}

fn instances(found: &[Found]) -> impl Iterator<Item = &Device> {
    found.iter().flat_map(|gpu| gpu.mig.iter().flatten())
}

/// The one element of an iterator that has one.
fn only<T>(mut of: impl Iterator<Item = T>) -> Option<T> {
    let first = of.next()?;
    of.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(uuid: &str) -> Device {
        Device {
            kind: Kind::Cuda,
            index: 0,
            name: "GPU".into(),
            memory_total: 80 << 30,
            memory_free: 79 << 30,
            capability: (9, 0),
            uuid: uuid.into(),
            driver: "580.1".into(),
        }
    }

    fn gpu(bus: u32, uuid: &str, speed: u64) -> Found {
        Found {
            device: device(uuid),
            pci: (0, bus, 0),
            speed,
            mig: None,
        }
    }

    fn partitioned(bus: u32, uuid: &str, instances: &[&str]) -> Found {
        Found {
            mig: Some(instances.iter().map(|uuid| device(uuid)).collect()),
            ..gpu(bus, uuid, 5)
        }
    }

    /// UUIDs in the order of their numbers, after checking the numbers.
    fn uuids(found: Vec<Found>, visible: Option<&str>, order: Option<&str>) -> Vec<String> {
        let environment = Environment {
            visible_devices: visible.map(Into::into),
            device_order: order.map(Into::into),
        };
        let devices = number(found, &environment);
        let indices: Vec<u32> = devices.iter().map(|device| device.index).collect();
        assert_eq!(indices, (0..).take(devices.len()).collect::<Vec<u32>>());
        devices.into_iter().map(|device| device.uuid).collect()
    }

    fn four() -> Vec<Found> {
        vec![
            gpu(1, "GPU-aa11", 5),
            gpu(2, "GPU-aa22", 5),
            gpu(3, "GPU-bb33", 5),
            gpu(4, "GPU-cc44", 5),
        ]
    }

    #[test]
    fn equal_gpus_are_numbered_by_bus_in_either_order() {
        let mut shuffled = four();
        shuffled.swap(0, 3);
        for order in [None, Some("FASTEST_FIRST"), Some("PCI_BUS_ID")] {
            assert_eq!(
                uuids(shuffled.clone(), None, order),
                ["GPU-aa11", "GPU-aa22", "GPU-bb33", "GPU-cc44"]
            );
        }
    }

    #[test]
    fn the_fastest_gpu_comes_first_unless_the_order_is_by_bus() {
        let found = vec![gpu(1, "GPU-slow", 5), gpu(2, "GPU-fast", 9)];
        assert_eq!(uuids(found.clone(), None, None), ["GPU-fast", "GPU-slow"]);
        assert_eq!(uuids(found.clone(), Some("0"), None), ["GPU-fast"]);
        let by_bus = Some("PCI_BUS_ID");
        assert_eq!(uuids(found.clone(), None, by_bus), ["GPU-slow", "GPU-fast"]);
        assert_eq!(uuids(found, Some("0"), by_bus), ["GPU-slow"]);
    }

    #[test]
    fn visible_devices_are_renumbered_in_the_order_of_the_list() {
        let cases: [(&str, &[&str]); 14] = [
            ("2,0", &["GPU-bb33", "GPU-aa11"]),
            (" 3 , 1 ", &["GPU-cc44", "GPU-aa22"]),
            ("GPU-bb,GPU-aa11", &["GPU-bb33", "GPU-aa11"]),
            ("GPU-cc44,1", &["GPU-cc44", "GPU-aa22"]),
            ("", &[]),
            ("-1", &[]),
            ("NoDevFiles", &[]),
            ("0,-1,2", &["GPU-aa11"]),
            ("1,4,2", &["GPU-aa22"]),
            ("1,GPU-dd,2", &["GPU-aa22"]),
            ("GPU-aa", &[]),
            ("0,0", &[]),
            ("0,GPU-aa11", &[]),
            ("0,99999999999999999999", &["GPU-aa11"]),
        ];
        for (list, expected) in cases {
            assert_eq!(uuids(four(), Some(list), None), expected, "{list:?}");
        }
    }

    #[test]
    fn a_process_sees_whole_gpus_or_one_mig_instance() {
        let found = vec![
            partitioned(1, "GPU-aa11", &["MIG-1a", "MIG-1b"]),
            gpu(2, "GPU-bb22", 5),
        ];
        let cases: [(Option<&str>, &[&str]); 8] = [
            (None, &["GPU-bb22"]),
            (Some("MIG-1b"), &["MIG-1b"]),
            (Some("MIG-1b,MIG-1a"), &["MIG-1b"]),
            (Some("MIG-1"), &[]),
            (Some("0"), &["MIG-1a"]),
            (Some("1,0"), &["GPU-bb22"]),
            (Some("GPU-aa11"), &[]),
            (Some("GPU-bb22"), &["GPU-bb22"]),
        ];
        for (list, expected) in cases {
            assert_eq!(uuids(found.clone(), list, None), expected, "{list:?}");
        }
        let all = vec![partitioned(1, "GPU-aa11", &["MIG-1a", "MIG-1b"])];
        assert_eq!(uuids(all, None, None), ["MIG-1a"]);
        assert!(uuids(vec![partitioned(1, "GPU-aa11", &[])], None, None).is_empty());
    }

    #[test]
    fn no_gpus_are_no_devices_whatever_the_variable_says() {
        assert!(uuids(vec![], None, None).is_empty());
        assert!(uuids(vec![], Some("0,1"), None).is_empty());
    }
}

//! Devices: what this process can see, and which slots a device string asks for.
//!
//! GPUs are listed through NVML and never through CUDA, whose initialisation would cost a context, fix
//! `CUDA_VISIBLE_DEVICES` for good, and break CUDA in forked children. `visible` maps NVML's list, which knows no
//! environment variables, to the numbers that CUDA will give the same devices.

mod cuda;
mod spec;

use std::fmt;
use std::fs;

pub use spec::parse;

/// What a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The CPU.
    Cpu,
    /// An NVIDIA GPU, or a MIG instance of one.
    Cuda,
}

/// A physical device.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    /// What it is.
    pub kind: Kind,
    /// Number among the devices of its kind that this process sees: N of `cuda:N`; 0 for the CPU.
    pub index: u32,
    /// Name of the product; empty if unknown.
    pub name: String,
    /// Bytes of memory: of the device, or of the machine for the CPU; 0 if unknown.
    pub memory_total: u64,
    /// Bytes of memory not in use when the device was listed; 0 if unknown.
    pub memory_free: u64,
    /// CUDA compute capability, as in (9, 0); (0, 0) for the CPU.
    pub capability: (i32, i32),
    /// UUID as NVML gives it (`GPU-…`, `MIG-…`); empty for the CPU.
    pub uuid: String,
    /// Version of the driver; empty for the CPU.
    pub driver: String,
}

/// Where one worker works: a device, or a share of the CPU's cores.
#[derive(Debug, Clone, PartialEq)]
pub struct Slot {
    /// Number among the slots of the pool, from 0.
    pub number: usize,
    /// The device; several slots may have the same.
    pub device: Device,
    /// CPU threads that the worker may use for computing; at least 1.
    pub threads: usize,
}

/// The devices that this process can use.
#[derive(Debug, Clone, PartialEq)]
pub struct Inventory {
    /// GPUs, in CUDA's order: `gpus[N]` is `cuda:N`.
    pub gpus: Vec<Device>,
    /// The CPU.
    pub cpu: Device,
    /// Cores that this process may use, by its affinity mask and its cgroup's quota.
    pub cores: usize,
    /// Why no GPU could be listed, where NVML itself failed.
    pub gpus_unknown: Option<String>,
    /// The value of `CUDA_VISIBLE_DEVICES`.
    pub cuda_visible_devices: Option<String>,
}

/// Lists the devices that this process can use, without touching CUDA.
///
/// Never fails: a machine without NVIDIA's driver has no GPUs, and [`Inventory::gpus_unknown`] says why. Reads
/// `CUDA_VISIBLE_DEVICES` and `CUDA_DEVICE_ORDER`. Takes some 20 ms where a driver is, as NVML starts.
///
/// # What is known without CUDA
/// With `CUDA_DEVICE_ORDER=PCI_BUS_ID`, and with GPUs that are all alike, the numbers are CUDA's. CUDA's default order is
/// by its own unpublished guess at speed; of different GPUs the one with most cores × clock rate is listed first, which
/// may not be what CUDA does. Set `CUDA_DEVICE_ORDER=PCI_BUS_ID` on such machines.
#[must_use]
pub fn visible() -> Inventory {
    let environment = cuda::Environment::read();
    let (gpus, gpus_unknown) = match cuda::list() {
        Ok(found) => (cuda::number(found, &environment), None),
        Err(reason) => (Vec::new(), Some(reason)),
    };
    Inventory {
        gpus,
        cpu: cpu(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        gpus_unknown,
        cuda_visible_devices: environment.visible_devices,
    }
}

fn cpu() -> Device {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let memory = read("/proc/meminfo");
    Device {
        kind: Kind::Cpu,
        index: 0,
        name: after_label(&read("/proc/cpuinfo"), "model name")
            .unwrap_or("CPU")
            .to_owned(),
        memory_total: kibibytes(&memory, "MemTotal"),
        memory_free: kibibytes(&memory, "MemAvailable"),
        capability: (0, 0),
        uuid: String::new(),
        driver: String::new(),
    }
}

/// The text after `label:` in one of the kernel's tables.
fn after_label<'a>(table: &'a str, label: &str) -> Option<&'a str> {
    table.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == label).then(|| value.trim())
    })
}

/// Bytes in a row of `/proc/meminfo`; 0 if it is not there.
fn kibibytes(table: &str, label: &str) -> u64 {
    let number = after_label(table, label).and_then(|value| value.strip_suffix("kB"));
    number
        .and_then(|number| number.trim().parse::<u64>().ok())
        .map_or(0, |number| number.saturating_mul(1024))
}

/// As messages name it.
impl fmt::Display for Slot {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "slot {} ({})", self.number, self.device)
    }
}

/// As it is written in a device string.
impl fmt::Display for Device {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Cpu => out.write_str("cpu"),
            Kind::Cuda => write!(out, "cuda:{}", self.index),
        }
    }
}

/// What is visible, for an error message.
impl fmt::Display for Inventory {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("visible: ")?;
        for gpu in &self.gpus {
            let gibibytes = gpu.memory_total as f64 / f64::from(1 << 30);
            write!(out, "{gpu} ({}, {gibibytes:.0} GiB), ", gpu.name)?;
        }
        write!(out, "cpu ({} cores); {}", self.cores, self.visibility())
    }
}

impl Inventory {
    /// What decides which GPUs are visible.
    fn visibility(&self) -> String {
        let variable = match &self.cuda_visible_devices {
            Some(value) => format!("CUDA_VISIBLE_DEVICES='{value}'"),
            None => "CUDA_VISIBLE_DEVICES is not set".to_owned(),
        };
        match &self.gpus_unknown {
            Some(reason) => format!("{variable}; {reason}"),
            None => variable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_cpu_with_cores_and_memory() {
        let inventory = visible();
        assert!(inventory.cores >= 1);
        assert!(!inventory.cpu.name.is_empty());
        assert!(inventory.cpu.memory_total > 1 << 20);
        assert!(inventory.cpu.memory_free <= inventory.cpu.memory_total);
    }

    #[test]
    fn tables_of_the_kernel_are_read_by_label() {
        let table = "MemTotal:       16 kB\nMemAvailable:    4 kB\nOdd: x kB\n";
        assert_eq!(kibibytes(table, "MemTotal"), 16384);
        assert_eq!(kibibytes(table, "MemAvailable"), 4096);
        assert_eq!(kibibytes(table, "Mem"), 0);
        assert_eq!(kibibytes(table, "Odd"), 0);
    }
}

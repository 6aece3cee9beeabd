//! Device strings: `auto`, `all`, `2`, `cuda:0,cuda:2`, `cuda:0*2`, `cpu*4`.

use super::{Device, Inventory, Kind, Slot};
use crate::error::{Error, Result, Status};

/// The most slots of a pool.
const MAX_SLOTS: usize = 1024;

/// The most CPU workers of `auto`. Each keeps buffers of its own, and beyond this many the cores gain more as threads
/// of one worker than they cost.
const AUTO_WORKERS: usize = 16;

const SYNTAX: &str = "known are \"auto\", \"all\", a number of GPUs, and lists such as \"cuda:0,cuda:2\", \
     \"cuda:0*2\" (two workers on one GPU), \"cpu*4\" (four workers)";

/// The slots that a device string asks for; `None` is `auto`.
///
/// | string | slots |
/// | --- | --- |
/// | `auto` | every visible GPU; without any, CPU workers of one thread each, one a core (on more than 16 cores fewer workers, with more threads each) |
/// | `all` | every visible GPU |
/// | `N` | the first N visible GPUs |
/// | `cuda:N`, `cuda:N*M` | one slot, or M, on that GPU |
/// | `cpu`, `cpu*M` | one CPU worker, or M that share the cores evenly |
///
/// Entries of the last two rows may be listed, separated by commas; spaces are ignored. CPU workers share the cores that
/// GPU slots, with one each, leave; every slot has at least one thread.
///
/// # Errors
/// [`Status::Device`]: the string cannot be read, names a device that is not visible, or names one twice. The message
/// says what is visible.
pub fn parse(spec: Option<&str>, inventory: &Inventory) -> Result<Vec<Slot>> {
    let devices = devices(spec.unwrap_or("auto").trim(), inventory)?;
    let threads = Threads::of(&devices, inventory.cores);
    let slots = devices
        .into_iter()
        .enumerate()
        .map(|(number, device)| Slot {
            number,
            threads: match device.kind {
                Kind::Cpu => threads.cpu,
                Kind::Cuda => threads.cuda,
            },
            device,
        });
    Ok(slots.collect())
}

/// The device of each slot.
fn devices(spec: &str, inventory: &Inventory) -> Result<Vec<Device>> {
    match spec {
        "auto" if inventory.gpus.is_empty() => {
            Ok(vec![inventory.cpu.clone(); auto_workers(inventory.cores)])
        }
        "auto" => Ok(inventory.gpus.clone()),
        "all" => first_gpus(inventory.gpus.len().max(1), inventory),
        number if is_number(number) => match parse_number(number) {
            Some(0) => refuse(
                inventory,
                "\"0\" GPUs leave nothing to work on; open with \"cpu*2\" to run on the CPU",
            ),
            count => first_gpus(count.unwrap_or(usize::MAX), inventory),
        },
        list => listed(list, inventory),
    }
}

fn auto_workers(cores: usize) -> usize {
    cores / cores.div_ceil(AUTO_WORKERS)
}

fn first_gpus(count: usize, inventory: &Inventory) -> Result<Vec<Device>> {
    match inventory.gpus.len() {
        0 => Err(no_gpu(inventory)),
        visible if count > visible => refuse(
            inventory,
            &format!("{count} GPUs are asked for, and {visible} are visible"),
        ),
        _ => Ok(inventory.gpus[..count].to_vec()),
    }
}

fn listed(list: &str, inventory: &Inventory) -> Result<Vec<Device>> {
    let mut devices: Vec<Device> = Vec::new();
    for entry in list.split(',').map(str::trim) {
        let (device, count) = entry_devices(entry, inventory)?;
        if devices.contains(device) {
            return refuse(
                inventory,
                &format!("{device} is listed twice; write \"{device}*2\" for two workers on it"),
            );
        }
        if devices.len() + count > MAX_SLOTS {
            return refuse(
                inventory,
                &format!("\"{list}\" asks for more than {MAX_SLOTS} workers"),
            );
        }
        devices.extend(vec![device.clone(); count]);
    }
    Ok(devices)
}

/// The device of one entry of a list, and the number of slots on it.
fn entry_devices<'a>(entry: &str, inventory: &'a Inventory) -> Result<(&'a Device, usize)> {
    let (name, count) = match entry.split_once('*') {
        Some((name, count)) => (name.trim(), slot_count(entry, count.trim(), inventory)?),
        None => (entry, 1),
    };
    if name == "cpu" {
        return Ok((&inventory.cpu, count));
    }
    match name.strip_prefix("cuda:") {
        Some(number) if is_number(number) => Ok((gpu(number, inventory)?, count)),
        _ => refuse(inventory, &format!("\"{entry}\" is no device; {SYNTAX}")),
    }
}

fn slot_count(entry: &str, count: &str, inventory: &Inventory) -> Result<usize> {
    let number = if is_number(count) {
        parse_number(count)
    } else {
        None
    };
    match number {
        Some(number @ 1..=MAX_SLOTS) => Ok(number),
        _ => refuse(
            inventory,
            &format!("the number of workers in \"{entry}\" is not one from 1 to {MAX_SLOTS}"),
        ),
    }
}

fn gpu<'a>(number: &str, inventory: &'a Inventory) -> Result<&'a Device> {
    if inventory.gpus.is_empty() {
        return Err(no_gpu(inventory));
    }
    match parse_number(number).and_then(|index| inventory.gpus.get(index)) {
        Some(gpu) => Ok(gpu),
        None => refuse(inventory, &format!("cuda:{number} is not visible")),
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `None` for a number too large to count anything.
fn parse_number(digits: &str) -> Option<usize> {
    digits.parse().ok()
}

fn no_gpu(inventory: &Inventory) -> Error {
    let why = inventory.visibility();
    Error::new(
        Status::Device,
        format!("no CUDA device is visible ({why}); open with \"cpu*2\" to run on the CPU"),
    )
}

fn refuse<T>(inventory: &Inventory, reason: &str) -> Result<T> {
    Err(Error::new(
        Status::Device,
        format!("{reason} ({inventory})"),
    ))
}

/// Threads of each slot, by the kind of its device.
struct Threads {
    cpu: usize,
    cuda: usize,
}

impl Threads {
    fn of(devices: &[Device], cores: usize) -> Self {
        let slots = devices.len().max(1);
        let gpu_slots = devices
            .iter()
            .filter(|device| device.kind == Kind::Cuda)
            .count();
        let workers = (devices.len() - gpu_slots).max(1);
        Self {
            cpu: (cores.saturating_sub(gpu_slots) / workers).max(1),
            cuda: (cores / slots).max(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inventory(gpus: u32, cores: usize) -> Inventory {
        let device = |kind, index, name: &str| Device {
            kind,
            index,
            name: name.into(),
            memory_total: 80 << 30,
            memory_free: 79 << 30,
            capability: (0, 0),
            uuid: String::new(),
            driver: String::new(),
        };
        let gpu = |index| device(Kind::Cuda, index, "NVIDIA H200");
        Inventory {
            gpus: (0..gpus).map(gpu).collect(),
            cpu: device(Kind::Cpu, 0, "CPU"),
            cores,
            gpus_unknown: None,
            cuda_visible_devices: Some("".into()),
        }
    }

    /// Slots as `device:threads`, after checking their numbers.
    fn slots(spec: Option<&str>, gpus: u32, cores: usize) -> Vec<String> {
        let slots = parse(spec, &inventory(gpus, cores)).unwrap();
        assert!(slots.iter().enumerate().all(|(i, slot)| slot.number == i));
        let text = |slot: &Slot| format!("{}/{}", slot.device, slot.threads);
        slots.iter().map(text).collect()
    }

    fn message(spec: &str, gpus: u32) -> String {
        let error = parse(Some(spec), &inventory(gpus, 8)).unwrap_err();
        assert_eq!(error.status(), Status::Device);
        error.to_string()
    }

    #[test]
    fn auto_takes_every_gpu() {
        for spec in [None, Some("auto"), Some(" auto "), Some("all")] {
            assert_eq!(slots(spec, 3, 8), ["cuda:0/2", "cuda:1/2", "cuda:2/2"]);
        }
    }

    #[test]
    fn auto_without_a_gpu_puts_a_worker_on_each_core() {
        assert_eq!(slots(None, 0, 2), ["cpu/1", "cpu/1"]);
        for (cores, workers, threads) in
            [(1, 1, 1), (16, 16, 1), (17, 8, 2), (24, 12, 2), (96, 16, 6)]
        {
            assert_eq!(
                slots(Some("auto"), 0, cores),
                vec![format!("cpu/{threads}"); workers],
                "{cores} cores"
            );
        }
    }

    #[test]
    fn a_number_takes_the_first_gpus() {
        assert_eq!(slots(Some("2"), 3, 8), ["cuda:0/4", "cuda:1/4"]);
        assert_eq!(
            slots(Some("03"), 3, 2),
            ["cuda:0/1", "cuda:1/1", "cuda:2/1"]
        );
    }

    #[test]
    fn lists_keep_their_order_and_repeat_by_a_factor() {
        assert_eq!(slots(Some("cuda:2,cuda:0"), 3, 8), ["cuda:2/4", "cuda:0/4"]);
        assert_eq!(
            slots(Some(" cuda:0 * 2 , cuda:1 "), 3, 9),
            ["cuda:0/3", "cuda:0/3", "cuda:1/3"]
        );
    }

    #[test]
    fn cpu_workers_share_the_cores_evenly() {
        assert_eq!(slots(Some("cpu"), 1, 8), ["cpu/8"]);
        assert_eq!(slots(Some("cpu*3"), 0, 8), ["cpu/2"; 3]);
        assert_eq!(slots(Some("cpu*16"), 0, 8), ["cpu/1"; 16]);
        assert_eq!(slots(Some("cpu*1024"), 0, 2).len(), 1024);
    }

    #[test]
    fn cpu_workers_beside_gpus_leave_them_a_core_each() {
        assert_eq!(
            slots(Some("cuda:0,cpu*2"), 1, 8),
            ["cuda:0/2", "cpu/3", "cpu/3"]
        );
        assert_eq!(slots(Some("cpu,cuda:0*3"), 1, 2)[0], "cpu/1");
    }

    #[test]
    fn a_gpu_where_none_is_visible_is_refused_with_the_way_out() {
        for spec in [
            "all",
            "1",
            "99999999999999999999999",
            "cuda:0",
            "cuda:0*2",
            "cpu,cuda:7",
        ] {
            assert_eq!(
                message(spec, 0),
                "no CUDA device is visible (CUDA_VISIBLE_DEVICES=''); open with \"cpu*2\" to run on the CPU",
                "{spec}"
            );
        }
    }

    #[test]
    fn the_reason_why_gpus_are_unknown_is_given() {
        let inventory = Inventory {
            gpus_unknown: Some("no driver".into()),
            cuda_visible_devices: None,
            ..inventory(0, 2)
        };
        let error = parse(Some("all"), &inventory).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("(CUDA_VISIBLE_DEVICES is not set; no driver)")
        );
    }

    #[test]
    fn refusals_say_what_is_wrong_and_what_is_visible() {
        let visible = "(visible: cuda:0 (NVIDIA H200, 80 GiB), cuda:1 (NVIDIA H200, 80 GiB), \
             cpu (8 cores); CUDA_VISIBLE_DEVICES='')";
        for (spec, reason) in [
            ("3", "3 GPUs are asked for, and 2 are visible"),
            ("0", "\"cpu*2\""),
            ("00", "\"cpu*2\""),
            ("cuda:2", "cuda:2 is not visible"),
            (
                "cuda:99999999999999999999",
                "cuda:99999999999999999999 is not visible",
            ),
            ("cuda:0,cuda:0", "write \"cuda:0*2\""),
            ("cuda:0*2,cuda:0", "cuda:0 is listed twice"),
            ("cuda:00,cuda:0", "cuda:0 is listed twice"),
            ("cpu*2,cpu", "write \"cpu*2\""),
            (
                "cpu*0",
                "the number of workers in \"cpu*0\" is not one from 1 to 1024",
            ),
            ("cpu*-1", "from 1 to 1024"),
            ("cpu*+1", "from 1 to 1024"),
            ("cpu*", "from 1 to 1024"),
            ("cpu*1025", "from 1 to 1024"),
            ("cpu*99999999999999999999", "from 1 to 1024"),
            ("cpu*2*2", "from 1 to 1024"),
            ("cuda:0*1024,cpu", "more than 1024 workers"),
            ("", "\"\" is no device; known are"),
            (",", "\"\" is no device"),
            ("cuda:0,", "\"\" is no device"),
            ("cuda", "\"cuda\" is no device"),
            ("cuda:", "\"cuda:\" is no device"),
            ("cuda:-1", "\"cuda:-1\" is no device"),
            ("cuda:x", "is no device"),
            ("-1", "\"-1\" is no device"),
            ("1.5", "is no device"),
            ("CPU", "is no device"),
            ("cpu:0", "is no device"),
            ("auto,cpu", "\"auto\" is no device"),
            ("all*2", "is no device"),
            ("2,cpu", "\"2\" is no device"),
            ("gpu:0", "is no device"),
            ("cuda:٣", "is no device"),
        ] {
            let message = message(spec, 2);
            assert!(message.contains(reason), "{spec:?}: {message}");
            assert!(message.ends_with(visible), "{spec:?}: {message}");
        }
    }
}

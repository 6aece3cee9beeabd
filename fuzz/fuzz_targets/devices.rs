//! Device strings against any machine.
//!
//! An input is text: the number of GPUs and of cores as a digit each, the device string behind them, and on lines of
//! their own the GPUs' name, their UUID, `CUDA_VISIBLE_DEVICES`, and why GPUs are unknown.
#![no_main]

use libfuzzer_sys::fuzz_target;
use toolpool::device::{Device, Inventory, Kind, Slot, parse};
use toolpool::error::Status;
use toolpool::tools::describe;

/// What a pool may have at most.
const MOST_SLOTS: usize = 1024;

fn inventory<'a>(gpus: u8, cores: u8, mut lines: impl Iterator<Item = &'a str>) -> Inventory {
    let (name, uuid) = (
        lines.next().unwrap_or("GPU"),
        lines.next().unwrap_or("GPU-0"),
    );
    let device = |kind, index| Device {
        kind,
        index,
        name: name.to_owned(),
        memory_total: u64::from(cores) << 55,
        memory_free: 0,
        capability: (9, 0),
        uuid: uuid.to_owned(),
        driver: name.to_owned(),
    };
    Inventory {
        gpus: (0..gpus.into())
            .map(|index| device(Kind::Cuda, index))
            .collect(),
        cpu: device(Kind::Cpu, 0),
        cores: usize::from(cores).max(1),
        cuda_visible_devices: lines.next().map(str::to_owned),
        gpus_unknown: lines.next().map(str::to_owned),
    }
}

fuzz_target!(|input: &[u8]| {
    let (Some(&[gpus, cores]), Ok(text)) = (
        input.first_chunk(),
        str::from_utf8(input.get(2..).unwrap_or_default()),
    ) else {
        return;
    };
    let mut lines = text.split('\n');
    let spec = lines.next();
    let inventory = inventory(gpus.wrapping_sub(b'0'), cores.wrapping_sub(b'0'), lines);
    match parse(spec, &inventory) {
        Ok(slots) => {
            check_slots(&slots, &inventory);
            let spelt = spell(&slots);
            assert_eq!(parse(Some(&spelt), &inventory), Ok(slots), "{spelt}");
        }
        Err(error) => {
            assert_eq!(error.status(), Status::Device);
            let way_out = ["visible: ", "no CUDA device is visible"];
            assert!(
                way_out.iter().any(|words| error.message().contains(words)),
                "{error}"
            );
        }
    }
});

fn check_slots(slots: &[Slot], inventory: &Inventory) {
    assert!((1..=MOST_SLOTS).contains(&slots.len()));
    for (number, slot) in slots.iter().enumerate() {
        assert_eq!(slot.number, number);
        assert!(slot.threads >= 1 && slot.threads <= inventory.cores);
        assert!(slot.device == inventory.cpu || inventory.gpus.contains(&slot.device));
        check_description(slot);
    }
}

/// The C struct says the same, in text that ends within its room and is cut at no character's middle.
fn check_description(slot: &Slot) {
    let described = describe(&slot.device, Some(slot));
    assert_eq!(described.slot as usize, slot.number);
    assert_eq!(described.threads as usize, slot.threads);
    check_text(&described.name, &slot.device.name);
    check_text(&described.uuid, &slot.device.uuid);
    check_text(&described.driver, &slot.device.driver);
}

fn check_text(room: &[std::ffi::c_char], text: &str) {
    let bytes: Vec<u8> = room.iter().map(|&byte| byte as u8).collect();
    assert_eq!(bytes.last(), Some(&0));
    let kept = (0..=text.len().min(room.len() - 1))
        .rev()
        .find(|&end| text.is_char_boundary(end))
        .unwrap_or(0);
    assert_eq!(&bytes[..kept], &text.as_bytes()[..kept]);
    assert!(bytes[kept..].iter().all(|&byte| byte == 0));
}

/// The slots as a list with one entry for each device.
fn spell(slots: &[Slot]) -> String {
    let runs = slots.chunk_by(|a, b| a.device == b.device);
    let entries = runs.map(|run| format!("{}*{}", run[0].device, run.len()));
    entries.collect::<Vec<_>>().join(",")
}

//! `toolpool devices`.

use serde_json::json;
use toolpool::device::{self, Device, Inventory, Kind};

use crate::args::Devices;

/// What would join a pool, as a table or as JSON.
#[must_use]
pub fn table(arguments: &Devices) -> String {
    let inventory = device::visible();
    if arguments.json {
        as_json(&inventory)
    } else {
        as_text(&inventory)
    }
}

fn as_json(inventory: &Inventory) -> String {
    let devices: Vec<_> = all(inventory)
        .map(|device| {
            json!({
                "device": device.to_string(),
                "auto": is_auto(device, inventory),
                "name": device.name,
                "memory_total": device.memory_total,
                "memory_free": device.memory_free,
                "capability": capability(device),
                "uuid": device.uuid,
                "driver": device.driver,
            })
        })
        .collect();
    let document = json!({
        "devices": devices,
        "cores": inventory.cores,
        "gpus_unknown": inventory.gpus_unknown,
        "cuda_visible_devices": inventory.cuda_visible_devices,
    });
    format!("{document:#}")
}

fn as_text(inventory: &Inventory) -> String {
    let mut rows = vec![
        [
            "device",
            "auto",
            "name",
            "memory",
            "free",
            "capability",
            "driver",
        ]
        .map(str::to_owned),
    ];
    rows.extend(all(inventory).map(|device| row(device, inventory)));
    let mut text = aligned(&rows);
    if let Some(reason) = &inventory.gpus_unknown {
        text.push_str(&format!("\nno GPU is listed: {reason}\n"));
    } else if inventory.gpus.is_empty() {
        text.push_str("\nno GPU is visible");
        if let Some(list) = &inventory.cuda_visible_devices {
            text.push_str(&format!(" (CUDA_VISIBLE_DEVICES='{list}')"));
        }
        text.push('\n');
    }
    text
}

fn all(inventory: &Inventory) -> impl Iterator<Item = &Device> {
    inventory.gpus.iter().chain([&inventory.cpu])
}

/// Whether `--devices auto` takes it.
fn is_auto(device: &Device, inventory: &Inventory) -> bool {
    let slots = device::parse(Some("auto"), inventory);
    slots.is_ok_and(|slots| slots.iter().any(|slot| slot.device == *device))
}

fn row(device: &Device, inventory: &Inventory) -> [String; 7] {
    let name = match device.kind {
        Kind::Cpu => format!("{} ({} cores)", device.name, inventory.cores),
        Kind::Cuda => device.name.clone(),
    };
    let auto = match is_auto(device, inventory) {
        true => "yes",
        false => "no",
    };
    [
        device.to_string(),
        auto.to_owned(),
        name,
        gibibytes(device.memory_total),
        gibibytes(device.memory_free),
        capability(device).unwrap_or_default(),
        device.driver.clone(),
    ]
}

fn capability(device: &Device) -> Option<String> {
    let (major, minor) = device.capability;
    (device.kind == Kind::Cuda).then(|| format!("{major}.{minor}"))
}

/// Bytes as people read them.
#[must_use]
pub fn gibibytes(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}

/// Rows with their columns below each other.
#[must_use]
pub fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |row: &[String; N]| {
        let cells: Vec<String> = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_below_each_other() {
        let rows = [["a", "bb"], ["ccc", "é"], ["", "x"]].map(|row| row.map(str::to_owned));
        assert_eq!(aligned(&rows), "a    bb\nccc  é\n     x\n");
    }

    #[test]
    fn json_names_every_device_of_this_machine() {
        let document: serde_json::Value =
            serde_json::from_str(&table(&Devices { json: true })).unwrap();
        let devices = document["devices"].as_array().unwrap();
        assert_eq!(devices.last().unwrap()["device"], "cpu");
        assert_eq!(devices.last().unwrap()["auto"], devices.len() == 1);
        assert!(document["cores"].as_u64().unwrap() >= 1);
    }
}

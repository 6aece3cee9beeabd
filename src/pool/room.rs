//! Room for loaded tools in the memory of a device.

use std::sync::Arc;

use super::seat::{Seat, Warm};
use crate::device::{Kind, Slot};
use crate::error::{Error, Status};

/// What a worker that wants to load a tool is told.
pub enum Room {
    /// It may.
    Granted,
    /// It is to unload these first, by the keys of their identities, and ask again.
    Unload(Vec<Arc<str>>),
    /// The tool does not fit.
    TooLarge(Error),
}

/// [`Room`], or that others are about to make it.
pub enum Answer {
    Room(Room),
    Wait,
}

/// Whether two slots are on one GPU.
pub fn one_gpu(a: &Slot, b: &Slot) -> bool {
    a.device.kind == Kind::Cuda && same_device(a, b)
}

fn same_device(a: &Slot, b: &Slot) -> bool {
    (a.device.kind, a.device.index) == (b.device.kind, b.device.index)
}

/// Whether a tool of so many bytes fits beside what is loaded on the device of a slot.
pub fn fits(seats: &[Seat], slot: usize, bytes: u64, limit: Option<u64>) -> bool {
    let most = limit.unwrap_or(seats[slot].slot.device.memory_total);
    most == 0 || sum(&loaded(seats, slot)).saturating_add(bytes) <= most
}

/// Asks for `bytes` for the tool `key` on the device of a slot. States of one tool on one device are counted once. The
/// tools that were not used for longest and that no batch is under way for are unloaded until it fits; those on other
/// slots of the device are asked to be.
pub fn ask(
    seats: &mut [Seat],
    slot: usize,
    key: &Arc<str>,
    bytes: u64,
    limit: Option<u64>,
    uses: u64,
) -> Answer {
    let device = &seats[slot].slot.device;
    let most = limit.unwrap_or(device.memory_total);
    if most == 0 || bytes == 0 {
        return grant(&mut seats[slot], key, bytes, uses);
    }
    if bytes > most {
        return Answer::Room(Room::TooLarge(too_large(
            &seats[slot].slot,
            bytes,
            most,
            limit,
        )));
    }
    let mut there = loaded(seats, slot);
    there.retain(|tool| tool.key != *key);
    let mut excess = sum(&there).saturating_add(bytes).saturating_sub(most);
    if excess == 0 {
        return grant(&mut seats[slot], key, bytes, uses);
    }
    let stuck = there.iter().find_map(|tool| tool.stuck.clone());
    there.retain(|tool| !tool.flies && tool.stuck.is_none() && tool.bytes > 0);
    there.sort_by_key(|tool| tool.used);
    let mut mine = Vec::new();
    for tool in there {
        if excess == 0 {
            break;
        }
        excess = excess.saturating_sub(tool.bytes);
        for number in tool.slots {
            if number == slot {
                mine.push(Arc::clone(&tool.key));
            } else if !seats[number].unload.contains(&tool.key) {
                seats[number].unload.push(Arc::clone(&tool.key));
            }
        }
    }
    match stuck {
        Some(error) if excess > 0 => {
            Answer::Room(Room::TooLarge(held(&seats[slot].slot, bytes, &error)))
        }
        _ if mine.is_empty() => Answer::Wait,
        _ => Answer::Room(Room::Unload(mine)),
    }
}

/// A tool on a device.
struct Tool {
    key: Arc<str>,
    bytes: u64,
    used: u64,
    /// A batch of it is under way.
    flies: bool,
    /// Why a worker that has it does not come back.
    stuck: Option<Error>,
    slots: Vec<usize>,
}

/// What they take together, by what they say.
fn sum(tools: &[Tool]) -> u64 {
    let bytes = tools.iter().map(|tool| tool.bytes);
    bytes.fold(0, u64::saturating_add)
}

/// The tools on the device of a slot.
fn loaded(seats: &[Seat], slot: usize) -> Vec<Tool> {
    let mut tools: Vec<Tool> = Vec::new();
    for (number, seat) in seats.iter().enumerate() {
        if !same_device(&seat.slot, &seats[slot].slot) {
            continue;
        }
        for warm in &seat.warm {
            let (flies, stuck) = (seat.flies(&warm.key), seat.trouble().cloned());
            match tools.iter_mut().find(|tool| tool.key == warm.key) {
                Some(tool) => {
                    tool.bytes = tool.bytes.max(warm.bytes);
                    tool.used = tool.used.max(warm.used);
                    tool.flies |= flies;
                    tool.stuck = tool.stuck.take().or(stuck);
                    tool.slots.push(number);
                }
                None => tools.push(Tool {
                    key: Arc::clone(&warm.key),
                    bytes: warm.bytes,
                    used: warm.used,
                    flies,
                    stuck,
                    slots: vec![number],
                }),
            }
        }
    }
    tools
}

fn grant(seat: &mut Seat, key: &Arc<str>, bytes: u64, used: u64) -> Answer {
    seat.warm.retain(|warm| warm.key != *key);
    seat.warm.push(Warm {
        key: Arc::clone(key),
        bytes,
        used,
    });
    Answer::Room(Room::Granted)
}

fn too_large(slot: &Slot, bytes: u64, most: u64, limit: Option<u64>) -> Error {
    let whose = match limit {
        Some(_) => "which this pool may use there (memory_limit)",
        None => "which the device has",
    };
    Error::new(
        Status::OutOfMemory,
        format_args!(
            "{slot}: the tool needs {} of memory to load, more than the {} {whose}; use a smaller model, a shorter \
             dtype or a larger device",
            size(bytes),
            size(most)
        ),
    )
}

fn held(slot: &Slot, bytes: u64, stuck: &Error) -> Error {
    Error::new(
        Status::OutOfMemory,
        format_args!(
            "{slot}: the tool needs {} of memory to load, and a tool on this device holds it that does not return: {}",
            size(bytes),
            stuck.message()
        ),
    )
}

/// Bytes as people read them.
fn size(bytes: u64) -> String {
    let gibibytes = bytes as f64 / f64::from(1 << 30);
    if gibibytes >= 1.0 {
        format!("{gibibytes:.1} GiB")
    } else {
        format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
    }
}

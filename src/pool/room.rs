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
    /// It can not.
    Refused(Error),
}

/// What a worker wants room for.
pub struct Need {
    /// The key of the tool's identity.
    pub key: Arc<str>,
    /// Bytes of the device's memory; 0 if unknown.
    pub bytes: u64,
    /// Whether its states on one device share nothing.
    pub apart: bool,
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
    most == 0 || bytes == 0 || sum(&loaded(seats, slot)).saturating_add(bytes) <= most
}

/// Asks for room on the device of a slot. Tools are unloaded until there is enough, those first that were not used for
/// longest and that no batch is under way for; then the others, once theirs have ended. Those on other slots of the device
/// are asked to be.
pub fn ask(seats: &mut [Seat], slot: usize, need: &Need, limit: Option<u64>, uses: u64) -> Answer {
    let most = limit.unwrap_or(seats[slot].slot.device.memory_total);
    let bytes = need.bytes;
    if most == 0 || bytes == 0 {
        return grant(&mut seats[slot], need, uses);
    }
    if bytes > most {
        return refuse(too_large(bytes, most, limit));
    }
    let mut there = loaded(seats, slot);
    let copies = |tool: &Tool| tool.key == need.key;
    // A copy that is shared takes nothing; of one that is not, others may stay, and this slot does without.
    there.retain(|tool| !copies(tool) || need.apart);
    let mut excess = sum(&there).saturating_add(bytes).saturating_sub(most);
    if excess == 0 {
        return grant(&mut seats[slot], need, uses);
    }
    let copied: u64 = there
        .iter()
        .filter(|tool| copies(tool))
        .map(|tool| tool.bytes)
        .sum();
    if copied.saturating_add(bytes) > most {
        return refuse(no_second_copy(bytes, most));
    }
    let stuck = there.iter().find_map(|tool| tool.stuck.clone());
    there.retain(|tool| !copies(tool) && !tool.fresh && tool.stuck.is_none() && tool.bytes > 0);
    there.sort_by_key(|tool| (tool.flies, tool.used));
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
        Some(error) if excess > 0 => refuse(held(bytes, &error)),
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
    /// It is being loaded, or has been for what comes next.
    fresh: bool,
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
                    tool.bytes = if warm.apart {
                        tool.bytes.saturating_add(warm.bytes)
                    } else {
                        tool.bytes.max(warm.bytes)
                    };
                    tool.used = tool.used.max(warm.used);
                    tool.flies |= flies;
                    tool.fresh |= warm.fresh;
                    tool.stuck = tool.stuck.take().or(stuck);
                    tool.slots.push(number);
                }
                None => tools.push(Tool {
                    key: Arc::clone(&warm.key),
                    bytes: warm.bytes,
                    used: warm.used,
                    flies,
                    fresh: warm.fresh,
                    stuck,
                    slots: vec![number],
                }),
            }
        }
    }
    tools
}

fn grant(seat: &mut Seat, need: &Need, used: u64) -> Answer {
    seat.warm.retain(|warm| warm.key != need.key);
    seat.warm.push(Warm {
        key: Arc::clone(&need.key),
        bytes: need.bytes,
        used,
        apart: need.apart,
        fresh: true,
    });
    Answer::Room(Room::Granted)
}

fn refuse(error: Error) -> Answer {
    Answer::Room(Room::Refused(error))
}

fn no_second_copy(bytes: u64, most: u64) -> Error {
    Error::new(
        Status::OutOfMemory,
        format_args!(
            "of this tool each slot needs {} of memory for itself, and the {} of the device are taken up by other \
             slots of it",
            size(bytes),
            size(most)
        ),
    )
}

fn too_large(bytes: u64, most: u64, limit: Option<u64>) -> Error {
    let whose = match limit {
        Some(_) => "which this pool may use there (memory_limit)",
        None => "which the device has",
    };
    Error::new(
        Status::OutOfMemory,
        format_args!(
            "the tool needs {} of memory to load, more than the {} {whose}; use a smaller model, a shorter \
             dtype or a larger device",
            size(bytes),
            size(most)
        ),
    )
}

fn held(bytes: u64, stuck: &Error) -> Error {
    Error::new(
        Status::OutOfMemory,
        format_args!(
            "the tool needs {} of memory to load, and a tool on this device holds it that does not return: {}",
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

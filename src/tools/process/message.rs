//! What a worker and its child tell each other.

use std::path::PathBuf;

use crate::device::{Device, Kind, Slot};
use crate::error::{Error, Result, Status};
use crate::wire::{Reader, Writer};

/// What a child must say it is, to be of the same build as its parent. To be raised with each change of the messages.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "/2");

/// What another process opens a tool from.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// Its kind.
    pub kind: String,
    /// Its source; a library by the file that was loaded.
    pub source: String,
    /// What was set, in order.
    pub options: Vec<(String, String)>,
    /// The directory that relative paths start from; empty if unknown.
    pub directory: PathBuf,
}

/// From a worker to its child.
#[derive(Debug, PartialEq)]
pub enum Order {
    /// A segment for inputs comes with this, in place of the one of that number.
    Region { id: u32, size: usize },
    /// From now on `tool` is what this recipe makes.
    Open { tool: u64, recipe: Recipe },
    /// No more batches of `tool` come.
    Forget { tool: u64 },
    /// To load it. Answered by [`Answer::Loaded`] or [`Answer::Failed`].
    Load { tool: u64, slot: Slot },
    /// To run a batch. Answered by [`Answer::Done`] or [`Answer::Failed`], in the order of batches.
    Run(Run),
}

/// A batch whose items lie in a region.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Run {
    /// With the options of its job.
    pub tool: u64,
    /// The region of its items.
    pub region: u32,
    /// How many items there are.
    pub items: usize,
    /// Where in the region the table of the fields starts and ends.
    pub table: (usize, usize),
    /// Whether the parent has let go of all outputs in the segment of small blocks.
    pub rewind: bool,
}

/// From a child to its worker.
#[derive(Debug, PartialEq)]
pub enum Answer<'a> {
    /// The first message: which build it is of.
    Hello { version: &'a str },
    /// A segment for outputs comes with this.
    Segment { id: u32, size: usize },
    /// The tool is loaded.
    Loaded { depth: usize, memory: u64 },
    /// A batch is done; `outputs` is what `Outputs::hand_over` wrote, `live` the segments that are still in use.
    Done { live: Vec<u32>, outputs: &'a [u8] },
    /// A batch, or the load, failed.
    Failed { live: Vec<u32>, error: Error },
}

impl Order {
    /// As bytes.
    pub fn put(&self) -> Writer {
        let mut to = Writer::default();
        match self {
            Self::Region { id, size } => {
                to.u32(0);
                to.u32(*id);
                to.size(*size);
            }
            Self::Open { tool, recipe } => {
                to.u32(1);
                to.u64(*tool);
                recipe.put(&mut to);
            }
            Self::Forget { tool } => {
                to.u32(2);
                to.u64(*tool);
            }
            Self::Load { tool, slot } => {
                to.u32(3);
                to.u64(*tool);
                put_slot(slot, &mut to);
            }
            Self::Run(run) => {
                to.u32(4);
                to.u64(run.tool);
                to.u32(run.region);
                to.size(run.items);
                to.size(run.table.0);
                to.size(run.table.1);
                to.u32(run.rewind.into());
            }
        }
        to
    }

    /// From bytes.
    pub fn take(bytes: &[u8]) -> Option<Self> {
        let mut from = Reader::new(bytes);
        Some(match from.u32()? {
            0 => Self::Region {
                id: from.u32()?,
                size: from.size()?,
            },
            1 => Self::Open {
                tool: from.u64()?,
                recipe: Recipe::take(&mut from)?,
            },
            2 => Self::Forget { tool: from.u64()? },
            3 => Self::Load {
                tool: from.u64()?,
                slot: take_slot(&mut from)?,
            },
            4 => Self::Run(Run {
                tool: from.u64()?,
                region: from.u32()?,
                items: from.size()?,
                table: (from.size()?, from.size()?),
                rewind: from.u32()? != 0,
            }),
            _ => return None,
        })
    }
}

/// An order must fit into a socket while the child still computes, or both could wait for each other.
const MOST_OF_A_RECIPE: usize = 1 << 16;

impl Recipe {
    /// Refuses one that is too long to be sent.
    pub fn check_size(&self) -> Result<()> {
        let mut written = Writer::default();
        self.put(&mut written);
        let size = written.bytes().len();
        if size <= MOST_OF_A_RECIPE {
            return Ok(());
        }
        Err(Error::new(
            Status::Option,
            format_args!(
                "the source and the options of an isolated tool take {size} bytes; at most {MOST_OF_A_RECIPE} are possible"
            ),
        ))
    }

    fn put(&self, to: &mut Writer) {
        to.text(&self.kind);
        to.text(&self.source);
        to.text(&self.directory.to_string_lossy());
        to.size(self.options.len());
        for (key, value) in &self.options {
            to.text(key);
            to.text(value);
        }
    }

    fn take(from: &mut Reader) -> Option<Self> {
        Some(Self {
            kind: from.text()?.to_owned(),
            source: from.text()?.to_owned(),
            directory: from.text()?.into(),
            options: (0..from.count(2)?)
                .map(|_| Some((from.text()?.to_owned(), from.text()?.to_owned())))
                .collect::<Option<_>>()?,
        })
    }
}

impl<'a> Answer<'a> {
    /// As bytes.
    pub fn put(&self) -> Writer {
        let mut to = Writer::default();
        match self {
            Self::Hello { version } => {
                to.u32(0);
                to.text(version);
            }
            Self::Segment { id, size } => {
                to.u32(1);
                to.u32(*id);
                to.size(*size);
            }
            Self::Loaded { depth, memory } => {
                to.u32(2);
                to.size(*depth);
                to.u64(*memory);
            }
            Self::Done { live, outputs } => {
                to.u32(3);
                put_live(live, &mut to);
                to.raw(outputs);
            }
            Self::Failed { live, error } => {
                to.u32(4);
                put_live(live, &mut to);
                error.put(&mut to);
            }
        }
        to
    }

    /// From bytes.
    pub fn take(bytes: &'a [u8]) -> Option<Self> {
        let mut from = Reader::new(bytes);
        Some(match from.u32()? {
            0 => Self::Hello {
                version: from.text()?,
            },
            1 => Self::Segment {
                id: from.u32()?,
                size: from.size()?,
            },
            2 => Self::Loaded {
                depth: from.size()?,
                memory: from.u64()?,
            },
            3 => Self::Done {
                live: take_live(&mut from)?,
                outputs: from.rest(),
            },
            4 => Self::Failed {
                live: take_live(&mut from)?,
                error: Error::take(&mut from)?,
            },
            _ => return None,
        })
    }
}

fn put_live(live: &[u32], to: &mut Writer) {
    to.size(live.len());
    live.iter().for_each(|&id| to.u32(id));
}

fn take_live(from: &mut Reader) -> Option<Vec<u32>> {
    (0..from.count(4)?).map(|_| from.u32()).collect()
}

fn put_slot(slot: &Slot, to: &mut Writer) {
    let device = &slot.device;
    to.size(slot.number);
    to.size(slot.threads);
    to.u32(match device.kind {
        Kind::Cpu => 0,
        Kind::Cuda => 1,
    });
    to.u32(device.index);
    to.text(&device.name);
    to.u64(device.memory_total);
    to.u64(device.memory_free);
    to.i64(device.capability.0.into());
    to.i64(device.capability.1.into());
    to.text(&device.uuid);
    to.text(&device.driver);
}

fn take_slot(from: &mut Reader) -> Option<Slot> {
    let (number, threads) = (from.size()?, from.size()?);
    let kind = match from.u32()? {
        0 => Kind::Cpu,
        1 => Kind::Cuda,
        _ => return None,
    };
    let device = Device {
        kind,
        index: from.u32()?,
        name: from.text()?.to_owned(),
        memory_total: from.u64()?,
        memory_free: from.u64()?,
        capability: (from.i64()?.try_into().ok()?, from.i64()?.try_into().ok()?),
        uuid: from.text()?.to_owned(),
        driver: from.text()?.to_owned(),
    };
    Some(Slot {
        number,
        device,
        threads,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_arrive_as_they_were_given() {
        let gpu = Device {
            kind: Kind::Cuda,
            index: 3,
            name: "H200".into(),
            memory_total: 1 << 37,
            memory_free: 5,
            capability: (9, 0),
            uuid: "GPU-1".into(),
            driver: "580".into(),
        };
        let recipe = Recipe {
            kind: "esm2".into(),
            source: "/m".into(),
            options: vec![("dtype".into(), "bf16".into())],
            directory: "/home".into(),
        };
        let run = Run {
            tool: 5,
            region: 1,
            items: 32,
            table: (100, 140),
            rewind: true,
        };
        let slot = Slot {
            number: 2,
            device: gpu,
            threads: 4,
        };
        for order in [
            Order::Region { id: 1, size: 9 },
            Order::Open { tool: 5, recipe },
            Order::Forget { tool: 5 },
            Order::Load { tool: 5, slot },
            Order::Run(run),
        ] {
            let written = order.put();
            let bytes = written.bytes();
            assert_eq!(Order::take(bytes), Some(order));
            for end in 0..bytes.len() {
                assert_eq!(Order::take(&bytes[..end]), None);
            }
        }
    }

    #[test]
    fn answers_arrive_as_they_were_given() {
        let error = Error::new(Status::Model, "no weights").at(3);
        let live = vec![4, 7];
        for answer in [
            Answer::Hello { version: VERSION },
            Answer::Segment {
                id: 4,
                size: 1 << 40,
            },
            Answer::Loaded {
                depth: 2,
                memory: 77,
            },
            Answer::Done {
                live: live.clone(),
                outputs: b"columns",
            },
            Answer::Failed { live, error },
        ] {
            let written = answer.put();
            assert_eq!(Answer::take(written.bytes()), Some(answer));
        }
        assert_eq!(Answer::take(&[9, 0, 0, 0]), None);
    }
}

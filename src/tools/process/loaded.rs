//! A tool that is loaded in a child process, as its worker sees it.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::Isolated;
use super::child::Child;
use super::inputs::Layout;
use super::message::{Answer, Order, Recipe, Run};
use crate::device::Slot;
use crate::error::{Error, Result, Status};
use crate::log::{Level, log};
use crate::mem::{Segment, Segments};
use crate::tool::{Batch, Killer, Loaded, Work};
use crate::wire::Reader;

/// The most batches in the child, and regions for their items.
const DEPTH: usize = 2;

/// Regions are not made smaller than this.
const LEAST_REGION: usize = 1 << 16;

/// So many tools of one identity, each with options of its own, the child keeps open.
const TOOLS: usize = 16;

/// A tool in a child process.
pub struct LoadedInChild {
    name: String,
    slot: Slot,
    /// What a child loads.
    tool: u64,
    recipe: Arc<Recipe>,
    /// Absent after the child died, until all batches that it had are collected and another begins.
    session: Option<Session>,
    /// What the killer ends.
    child: Arc<Mutex<Weak<Child>>>,
    /// How many batches are in flight.
    flying: usize,
    depth: usize,
    memory: u64,
}

/// What one child knows and has in hand.
struct Session {
    child: Arc<Child>,
    /// Tools that are open in it, oldest first.
    tools: VecDeque<u64>,
    /// The items of each batch in flight, taken in turn: `turn` is the next.
    regions: [Option<Segment>; DEPTH],
    turn: usize,
    /// Where outputs may lie.
    segments: Segments,
}

impl LoadedInChild {
    /// Starts a child and has it load a tool, unless the killer that `watch` is given ends that.
    pub fn new(isolated: &Isolated, slot: &Slot, watch: &dyn Fn(Killer)) -> Result<Self> {
        let mut loaded = Self {
            name: isolated.plain.name().to_owned(),
            slot: slot.clone(),
            tool: isolated.id,
            recipe: Arc::clone(&isolated.recipe),
            session: None,
            child: Arc::default(),
            flying: 0,
            depth: 1,
            memory: 0,
        };
        loaded.begin_session(|killer| killer.into_iter().for_each(watch))?;
        Ok(loaded)
    }

    /// Starts a child and loads the tool in it. `started` is called in between, with what ends that.
    fn begin_session(&mut self, started: impl FnOnce(Option<Killer>)) -> Result<()> {
        let child = Arc::new(Child::start(&self.name, &self.slot)?);
        *self.child.lock() = Arc::downgrade(&child);
        let (slot, name, id) = (&self.slot, &self.name, child.id());
        log(Level::Info, &format!("{slot}: process {id} serves {name}"));
        self.session = Some(Session {
            child,
            tools: VecDeque::new(),
            regions: [None, None],
            turn: 0,
            segments: Segments::default(),
        });
        started(self.killer());
        let loaded = self.load();
        if loaded.is_err() {
            self.session = None;
        }
        loaded
    }

    fn load(&mut self) -> Result<()> {
        let (tool, recipe, slot) = (self.tool, &self.recipe, self.slot.clone());
        let told = self.session.as_mut().map(|session| {
            session.open(tool, recipe)?;
            session.child.tell(&Order::Load { tool, slot }, None)
        });
        if told.is_none_or(|told| told.is_err()) {
            return Err(self.died());
        }
        match self.hear()? {
            Heard::Loaded { depth, memory } => {
                self.depth = depth.clamp(1, DEPTH);
                self.memory = memory;
                Ok(())
            }
            Heard::Failed(error) => Err(error),
            Heard::Done(_) => Err(self.babble()),
        }
    }

    /// What the child answers, after the segments that it tells of.
    fn hear(&mut self) -> Result<Heard> {
        let Some(session) = &mut self.session else {
            return Err(self.another_died());
        };
        let mut unmapped = None;
        loop {
            let Ok(Some(message)) = session.child.hear() else {
                return Err(self.died());
            };
            match (Answer::take(&message.bytes), message.fd) {
                (Some(Answer::Segment { id, size }), Some(fd)) => {
                    let opened = session.segments.open(id, &fd, size);
                    unmapped = unmapped.or(opened.err());
                }
                (Some(Answer::Loaded { depth, memory }), None) => {
                    return Ok(Heard::Loaded { depth, memory });
                }
                (Some(Answer::Done { live, outputs }), None) => {
                    let outputs = outputs.to_vec();
                    return Ok(match unmapped {
                        None => Heard::Done(Done { live, outputs }),
                        Some(error) => Heard::Failed(error),
                    });
                }
                (Some(Answer::Failed { live, error }), None) => {
                    session.segments.keep(&live);
                    return match error.status() {
                        Status::DeviceLost => Err(self.device_lost(&error)),
                        _ => Ok(Heard::Failed(error)),
                    };
                }
                _ => return Err(self.babble()),
            }
        }
    }

    /// The child has died, or is beyond trust: what of.
    fn died(&mut self) -> Error {
        let Some(session) = self.session.take() else {
            return self.another_died();
        };
        let (name, how) = (&self.name, session.child.death());
        Error::new(Status::Crashed, format_args!("the process of {name} {how}"))
    }

    /// The child has said what no worker says.
    fn babble(&mut self) -> Error {
        self.end_session();
        let name = &self.name;
        Error::new(
            Status::Crashed,
            format_args!("the process of {name} overwrote what it tells toolpool, and was ended"),
        )
    }

    /// The device is lost to the child, and to it alone.
    fn device_lost(&mut self, error: &Error) -> Error {
        self.end_session();
        Error::new(
            Status::Crashed,
            format_args!("{error}; the process was ended, and the next one has the device anew"),
        )
    }

    fn end_session(&mut self) {
        if let Some(session) = self.session.take() {
            session.child.kill();
        }
    }

    fn another_died(&self) -> Error {
        let name = &self.name;
        Error::new(
            Status::Crashed,
            format_args!("the process of {name} died over another batch"),
        )
    }
}

impl Loaded for LoadedInChild {
    fn depth(&self) -> usize {
        self.depth
    }

    fn start(&mut self, work: &mut Work) -> Result<()> {
        let tool: &dyn std::any::Any = work.batch.tool();
        let (Some(isolated), true) = (tool.downcast_ref::<Isolated>(), self.flying < DEPTH) else {
            return Err(Error::new(
                Status::Internal,
                "an isolated tool got a batch of another, or too many",
            ));
        };
        let idle = self.flying == 0;
        // A child that died with nothing to do is nobody's fault.
        if idle && self.session.as_ref().is_some_and(|s| s.child.gone()) {
            let (slot, death) = (self.slot.to_string(), self.died());
            log(
                Level::Warning,
                &format!("{slot}: idle, {death}; another is started"),
            );
        }
        if idle && self.session.is_none() {
            self.begin_session(|_| {})?;
        }
        let Some(session) = &mut self.session else {
            return Err(self.another_died());
        };
        match session.run(isolated, &work.batch, idle) {
            Ok(()) => {
                self.flying += 1;
                Ok(())
            }
            Err(Trouble::Line) => Err(self.died()),
            Err(Trouble::Ours(error)) => Err(error),
        }
    }

    fn collect(&mut self, work: &mut Work) -> Result<()> {
        self.flying = self.flying.saturating_sub(1);
        match self.hear()? {
            Heard::Done(Done { live, outputs }) => {
                let taken = self.session.as_mut().and_then(|session| {
                    let mut from = Reader::new(&outputs);
                    work.outputs.take_over(&mut from, &session.segments)?;
                    session.segments.keep(&live);
                    Some(())
                });
                taken.ok_or_else(|| self.babble())
            }
            Heard::Failed(error) => Err(error),
            Heard::Loaded { .. } => Err(self.babble()),
        }
    }

    fn leak(mut self: Box<Self>) {
        self.end_session();
    }

    fn memory(&self) -> u64 {
        self.memory
    }

    fn killer(&self) -> Option<Killer> {
        let child = Arc::clone(&self.child);
        Some(Arc::new(move || {
            if let Some(child) = child.lock().upgrade() {
                child.kill();
            }
        }))
    }
}

/// What a child answered.
enum Heard {
    Loaded { depth: usize, memory: u64 },
    Done(Done),
    Failed(Error),
}

struct Done {
    live: Vec<u32>,
    outputs: Vec<u8>,
}

/// Why a batch could not be begun.
enum Trouble {
    /// The child does not listen.
    Line,
    Ours(Error),
}

impl From<io::Error> for Trouble {
    fn from(_: io::Error) -> Self {
        Self::Line
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Ours(error)
    }
}

impl Session {
    /// Has the child begin a batch; `idle` if it has none.
    fn run(&mut self, tool: &Isolated, batch: &Batch, idle: bool) -> Result<(), Trouble> {
        let layout = Layout::of(batch);
        self.open(tool.id, &tool.recipe)?;
        let region = self.region(layout.size())?;
        // SAFETY: `start` sees that fewer than `DEPTH` batches are in the child, so the last one of this region has ended.
        unsafe { layout.write(region) };
        let run = Run {
            tool: tool.id,
            region: region.id(),
            items: batch.len(),
            table: layout.table(),
            rewind: idle && self.segments.unused(),
        };
        self.child.tell(&Order::Run(run), None)?;
        self.turn = (self.turn + 1) % DEPTH;
        Ok(())
    }

    /// The region in turn, with room for `needed` bytes, and not so much more that memory is wasted.
    fn region(&mut self, needed: usize) -> Result<&Segment, Trouble> {
        let region = &mut self.regions[self.turn];
        let fits = |size: usize| needed <= size && size / 16 <= needed.max(LEAST_REGION);
        let kept = region.take().filter(|region| fits(region.size()));
        let kept = match kept {
            Some(region) => region,
            None => {
                let size = needed.max(LEAST_REGION).next_power_of_two();
                let id = self.turn as u32;
                let (segment, fd) = Segment::create(id, size)?;
                let order = Order::Region { id, size };
                self.child.tell(&order, Some(fd.as_fd()))?;
                segment
            }
        };
        Ok(region.insert(kept))
    }

    /// Sees that the child knows a tool.
    fn open(&mut self, tool: u64, recipe: &Recipe) -> io::Result<()> {
        if self.tools.contains(&tool) {
            return Ok(());
        }
        if self.tools.len() == TOOLS
            && let Some(tool) = self.tools.pop_front()
        {
            self.child.tell(&Order::Forget { tool }, None)?;
        }
        self.tools.push_back(tool);
        let recipe = recipe.clone();
        self.child.tell(&Order::Open { tool, recipe }, None)
    }
}

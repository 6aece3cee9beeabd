//! The tools that a worker has loaded: how they come, how they make room for each other, how they go.

use std::sync::{Arc, Weak};
use std::time::Instant;

use super::{Next, Worker, guarded};
use crate::error::{Error, Result, Status};
use crate::log::{Level, log};
use crate::pool::job::Job;
use crate::pool::room::{Need, Room};
use crate::pool::turns::Turns;
use crate::pool::warm::WarmUp;
use crate::tool::{Loaded, Tool};

/// A tool on this slot.
pub(super) struct Warm {
    pub(super) loaded: Box<dyn Loaded>,
    /// Dead once nobody can ask for it again.
    owner: Option<Weak<()>>,
}

impl Worker<'_> {
    /// Loads the tool of a job, unless that fails; the job goes on while some slot has it. A load that nobody waits for any
    /// more does not keep the job and its items.
    pub(super) fn load_for(&mut self, job: Arc<Job>) -> Next {
        let (id, tool) = (job.id(), Arc::clone(job.tool()));
        let waits = Arc::downgrade(&job);
        drop(job);
        let (began, outcome) = self.ensure(&tool, &|turns| turns.waits(id));
        let lost = lost_in(&outcome);
        let job = waits.upgrade();
        self.queue
            .loaded(job.as_deref(), self.slot.number, began, outcome);
        if let Some(job) = job {
            self.queue.retire(&job);
        }
        self.let_go_of(tool);
        self.go_on_unless(lost)
    }

    /// Lets go of a tool that may not have been loaded here. Whoever looked for orphans meanwhile took it for one in use.
    fn let_go_of(&self, tool: Arc<dyn Tool>) {
        let owner = tool.identity().owner();
        drop(tool);
        if owner.is_some_and(|owner| owner.strong_count() == 0) {
            self.queue.sweep();
        }
    }

    pub(super) fn warm_up(&mut self, warm_up: Arc<WarmUp>) -> Next {
        let (_, outcome) = self.ensure(warm_up.tool(), &|_| !warm_up.over());
        let lost = lost_in(&outcome);
        warm_up.done(self.slot.number, outcome);
        self.queue.warmed_up(self.slot.number);
        let tool = Arc::clone(warm_up.tool());
        drop(warm_up);
        self.let_go_of(tool);
        self.go_on_unless(lost)
    }

    /// Loads a tool if it is not, and as long as that is `wanted`. When the loading began, room found for it.
    fn ensure(
        &mut self,
        tool: &Arc<dyn Tool>,
        wanted: &dyn Fn(&Turns) -> bool,
    ) -> (Instant, Result<()>) {
        let mut began = Instant::now();
        if self.warm.contains_key(tool.identity().key()) {
            return (began, Ok(()));
        }
        let made = self.make_room_for(tool, wanted);
        began = Instant::now();
        let outcome = made.and_then(|needed| self.load(tool, needed));
        let outcome = outcome.and_then(|loaded| {
            if self.queue.survived(self.slot.number) {
                return Ok(loaded);
            }
            let _ = guarded(tool.name(), || {
                drop(loaded);
                Ok(())
            });
            Err(Error::new(
                Status::Crashed,
                "was ended when it had just loaded",
            ))
        });
        let outcome = match outcome {
            Ok(loaded) => {
                let (slot, name, took) = (self.slot, tool.name(), began.elapsed());
                log(Level::Info, &format!("{slot}: loaded {name} in {took:.1?}"));
                self.keep_warm(tool, loaded);
                Ok(())
            }
            Err(error) => {
                let key = Arc::clone(tool.identity().key());
                self.queue.unloaded(self.slot.number, &[key]);
                Err(error.within(self.slot))
            }
        };
        (began, outcome)
    }

    fn keep_warm(&mut self, tool: &Arc<dyn Tool>, loaded: Box<dyn Loaded>) {
        let warm = Warm {
            loaded,
            owner: tool.identity().owner(),
        };
        self.warm.insert(Arc::clone(tool.identity().key()), warm);
    }

    /// Waits for room for a tool, unloading what is to make it: the bytes that it needs.
    fn make_room_for(
        &mut self,
        tool: &Arc<dyn Tool>,
        wanted: &dyn Fn(&Turns) -> bool,
    ) -> Result<u64> {
        let slot = self.slot;
        let need = guarded(tool.name(), || {
            Ok(Need {
                key: Arc::clone(tool.identity().key()),
                bytes: tool.memory(slot),
                apart: tool.memory_apart(),
            })
        })?;
        loop {
            match self.queue.room(slot.number, &need, wanted) {
                Room::Granted => return Ok(need.bytes),
                Room::Unload(keys) => self.unload(&keys),
                Room::Refused(error) => return Err(error),
            }
        }
    }

    /// Loads a tool that there is room for.
    fn load(&mut self, tool: &Arc<dyn Tool>, needed: u64) -> Result<Box<dyn Loaded>> {
        let (key, slot, queue) = (tool.identity().key(), self.slot, self.queue);
        let watch = |killer| queue.arm_load(slot.number, killer);
        let load = || guarded(tool.name(), || tool.load(slot, &watch));
        let loaded = match load() {
            Err(error) if error.status() == Status::OutOfMemory && self.relieve(key) => load(),
            other => other,
        }?;
        let took = guarded(tool.name(), || Ok(loaded.memory()))?;
        let bytes = if took == 0 { needed } else { took };
        self.queue.warmed(slot.number, key, bytes);
        Ok(loaded)
    }

    /// Unloads what it was asked to, once no batch needs it.
    pub(super) fn make_room(&mut self, keys: &[Arc<str>]) -> Next {
        if let Next::End = self.collect_all() {
            return Next::End;
        }
        self.unload(keys);
        self.queue.idle(self.slot.number);
        Next::Task
    }

    /// Unloads the tools that no batch is in flight on, but for one: whether there were any.
    pub(super) fn relieve(&mut self, but: &Arc<str>) -> bool {
        let flies = |key: &Arc<str>| {
            let mut flying = self.flying.iter();
            flying.any(|flight| flight.tool.identity().key() == key)
        };
        let idle: Vec<_> = self
            .warm
            .keys()
            .filter(|&key| key != but && !flies(key))
            .cloned()
            .collect();
        self.unload(&idle);
        !idle.is_empty()
    }

    pub(super) fn unload(&mut self, keys: &[Arc<str>]) {
        for key in keys {
            // A panic on the way out concerns nobody any more.
            let warm = self.warm.remove(key);
            let _ = guarded(key, || {
                drop(warm);
                Ok(())
            });
        }
        self.queue.unloaded(self.slot.number, keys);
    }

    /// Unloads the tools that nobody can ask for again, and has the other workers look for theirs.
    pub(super) fn sweep(&mut self) {
        let dead = |warm: &Warm| {
            let owner = warm.owner.as_ref();
            owner.is_some_and(|owner| owner.strong_count() == 0)
        };
        let orphans: Vec<_> = self
            .warm
            .iter()
            .filter(|(_, warm)| dead(warm))
            .map(|(key, _)| Arc::clone(key))
            .collect();
        if !orphans.is_empty() {
            self.unload(&orphans);
            self.queue.sweep();
        }
    }

    fn go_on_unless(&mut self, lost: Option<Error>) -> Next {
        let Some(error) = lost else {
            return Next::Task;
        };
        self.lose(&error);
        Next::End
    }
}

/// Why the device is lost, if a load found that it is.
fn lost_in(outcome: &Result<()>) -> Option<Error> {
    let error = outcome.as_ref().err()?;
    (error.status() == Status::DeviceLost).then(|| error.clone())
}

//! What the queue knows of a slot and its worker.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::job::Job;
use super::state::Planned;
use crate::device::Slot;
use crate::error::Error;
use crate::mem::Part;
use crate::plan::batch::amount;
use crate::tool::Killer;

/// A slot, as the queue sees it.
pub struct Seat {
    pub slot: Slot,
    pub standing: Standing,
    /// Its worker waits for a task.
    pub waiting: bool,
    /// Its worker left work to faster slots when it last asked, or waits for its device to be empty.
    pub declined: bool,
    /// Its worker has an item that must have the device to itself: the others on it begin nothing.
    pub wants_device: bool,
    /// What its worker loads.
    pub loading: Option<Loading>,
    /// So many times somebody is about to end from outside what its worker calls: until then it does not go on.
    pub kills: usize,
    /// Its worker is inside a tool.
    pub inside: bool,
    /// Its worker has ended.
    pub gone: bool,
    /// Its worker begins the newest of the batches under way; else it works on the oldest.
    pub starting: bool,
    /// Batches under way, oldest first.
    pub flights: VecDeque<Flight>,
    /// Batches that its worker has begun and that nobody waits for any more, oldest first.
    pub ghosts: VecDeque<Ghost>,
    /// When the last batch ended.
    pub landed: Instant,
    pub warm: Vec<Warm>,
    /// What its worker is asked to unload, for something else to fit.
    pub unload: Vec<Arc<str>>,
}

/// Whether a slot can be given work.
#[derive(Clone)]
pub enum Standing {
    /// It can.
    Live,
    /// It will: it is inside a batch whose job ran out of time, and which nobody waits for any more. After `until` nobody
    /// believes so, for `reason`.
    Late {
        until: Option<Instant>,
        reason: Error,
    },
    /// Not before the tool returns from a batch that has taken longer than it may.
    Stuck(Error),
    /// Its device is gone.
    Lost(Error),
}

/// A batch under way.
pub struct Flight {
    pub ticket: u64,
    pub job: Arc<Job>,
    pub planned: Arc<Vec<Planned>>,
    pub cost: f64,
    pub extent: u64,
    pub begin: Instant,
    /// Seconds it is expected to take once its turn has come, if anybody can say.
    pub expected: Option<f64>,
    /// Nothing else may be under way on the device beside it.
    pub alone: bool,
    /// Something else was under way on the device beside it.
    pub crowded: bool,
    /// What ends it from outside, if anything can.
    pub killer: Option<Killer>,
    /// What it runs in was ended from outside for the sake of another batch.
    pub struck: bool,
}

/// A load under way.
pub struct Loading {
    /// The number of the job that it is for; `None` for a warm-up.
    pub job: Option<u64>,
    pub begin: Instant,
    /// When the job runs out of time: it may be gone by then, and the load still not done.
    pub until: Option<Instant>,
    /// What the tool is called.
    pub tool: String,
    /// Seconds that it is expected to take, or 0.
    pub expected: f64,
    /// What ends it from outside, if anything can.
    pub killer: Option<Killer>,
    /// It has taken longer than it may, and nothing ends it from outside.
    pub given_up: bool,
    /// It was ended from outside, though it may not know yet.
    pub killed: bool,
}

/// A batch that was given up while its worker is inside of it or comes to it yet.
pub struct Ghost {
    ticket: u64,
    /// The key of the tool's identity.
    key: Arc<str>,
    job: Weak<Job>,
    planned: Arc<Vec<Planned>>,
    /// It was ended from outside, though it may not know yet.
    killed: bool,
    /// How long it may take before the slot is not counted on.
    limit: Option<Duration>,
    /// Why not, then.
    reason: Error,
}

/// What a worker comes back with.
pub enum Landed {
    Flight(Flight),
    Ghost(Option<Ghost>),
}

/// A tool loaded on a slot, or being loaded.
pub struct Warm {
    pub key: Arc<str>,
    /// Bytes of the device's memory; 0 if unknown.
    pub bytes: u64,
    /// The count of the queue's clock when it was last used.
    pub used: u64,
    /// Its states on other slots of the device share nothing with it.
    pub apart: bool,
    /// It has been loaded for work that its worker comes to next: until then nobody unloads it.
    pub fresh: bool,
}

impl Seat {
    pub fn new(slot: Slot) -> Self {
        Self {
            slot,
            standing: Standing::Live,
            waiting: false,
            declined: false,
            wants_device: false,
            loading: None,
            kills: 0,
            inside: false,
            gone: false,
            starting: false,
            flights: VecDeque::new(),
            ghosts: VecDeque::new(),
            landed: Instant::now(),
            warm: Vec::new(),
            unload: Vec::new(),
        }
    }

    /// Whether it can be given work, now or soon.
    pub fn works(&self) -> bool {
        matches!(self.standing, Standing::Live | Standing::Late { .. })
    }

    /// Whether it can be given work now: not if its worker still has to come back from what nobody waits for.
    pub fn ready(&self) -> bool {
        self.works() && self.ghosts.is_empty() && !matches!(self.standing, Standing::Late { .. })
    }

    /// Changes how it stands. What is lost stays lost, whatever its worker still comes back with.
    pub fn stand(&mut self, standing: Standing) {
        if !matches!(self.standing, Standing::Lost(_)) {
            self.standing = standing;
        }
    }

    /// Why it can not be given work.
    pub fn trouble(&self) -> Option<&Error> {
        match &self.standing {
            Standing::Live | Standing::Late { .. } => None,
            Standing::Stuck(error) | Standing::Lost(error) => Some(error),
        }
    }

    /// Why its worker may not come back for long.
    pub fn late(&self) -> Option<&Error> {
        match &self.standing {
            Standing::Late { reason, .. } => Some(reason),
            Standing::Live => self.ghosts.front().map(|ghost| &ghost.reason),
            Standing::Stuck(_) | Standing::Lost(_) => None,
        }
    }

    pub fn has(&self, key: &str) -> bool {
        self.warm.iter().any(|warm| &*warm.key == key)
    }

    /// What a tool takes of the device's memory; 0 if unknown.
    pub fn bytes(&self, key: &str) -> u64 {
        let tool = self.warm.iter().find(|warm| &*warm.key == key);
        tool.map_or(0, |warm| warm.bytes)
    }

    /// Its worker has come to what it loaded tools for, or to something else.
    pub fn settle(&mut self) {
        self.warm.iter_mut().for_each(|warm| warm.fresh = false);
    }

    /// Whether a batch of this tool is under way, also one that nobody waits for.
    pub fn flies(&self, key: &str) -> bool {
        let same = |flight: &Flight| &**flight.job.tool().identity().key() == key;
        self.flights.iter().any(same) || self.ghosts.iter().any(|ghost| *ghost.key == *key)
    }

    /// The batch that its worker is inside of.
    pub fn current(&self) -> Option<&Flight> {
        if self.starting {
            self.flights.back()
        } else {
            self.flights.front()
        }
    }

    /// Whether its worker is still inside something that nobody waits for, and may come back.
    pub fn haunted(&self) -> bool {
        self.works() && !self.ghosts.is_empty()
    }

    /// Whether its worker has nothing begun, also nothing that nobody waits for.
    pub fn empty(&self) -> bool {
        self.flights.is_empty() && self.ghosts.is_empty()
    }

    /// Nobody waits for these batches under way any more; its worker still comes to them.
    pub fn give_up(&mut self, which: impl FnMut(&Flight) -> bool) -> VecDeque<Flight> {
        let newest = |flights: &VecDeque<Flight>| flights.back().map(|flight| flight.ticket);
        let before = newest(&self.flights);
        let (taken, kept): (VecDeque<_>, _) = std::mem::take(&mut self.flights)
            .into_iter()
            .partition(which);
        self.flights = kept;
        self.starting &= newest(&self.flights) == before;
        self.ghosts.extend(taken.iter().map(|flight| Ghost {
            ticket: flight.ticket,
            key: Arc::clone(flight.job.tool().identity().key()),
            job: Arc::downgrade(&flight.job),
            planned: Arc::clone(&flight.planned),
            killed: false,
            limit: flight.job.options().batch_time_limit,
            reason: flight.job.overdue(&self.slot),
        }));
        taken
    }

    /// The killers of batches that have been given up, which are to be called once the queue is let go of. Batches beside
    /// them that run in the same place are not to blame for their end.
    pub fn doom(&mut self, taken: &mut VecDeque<Flight>) -> Vec<Killer> {
        let mut killers = Vec::new();
        for flight in taken {
            let Some(killer) = flight.killer.take() else {
                continue;
            };
            let ghost = |ghost: &&mut Ghost| ghost.ticket == flight.ticket;
            if let Some(ghost) = self.ghosts.iter_mut().find(ghost) {
                ghost.killed = true;
            }
            let key = flight.job.tool().identity().key();
            let beside = self.flights.iter_mut();
            beside
                .filter(|beside| beside.job.tool().identity().key() == key)
                .for_each(|beside| beside.struck = true);
            killers.push(killer);
        }
        self.kills += killers.len();
        killers
    }

    /// What waits behind a batch is for other slots now. The jobs hear of these ghosts before the worker can come back
    /// with one. Who waits for every worker to let go of borrowed items must wait for this one too.
    pub fn give_up_behind(&mut self) -> VecDeque<Flight> {
        let behind = self.give_up(|flight| !flight.job.lent());
        for flight in &behind {
            flight.job.ghost_comes(&flight.planned);
        }
        behind
    }

    /// Its worker comes back with a batch, and goes on with the next.
    pub fn land(&mut self, ticket: u64, now: Instant) -> Landed {
        let flight = |flight: &Flight| flight.ticket == ticket;
        let landed = if let Some(place) = self.flights.iter().position(flight) {
            self.starting &= place + 1 < self.flights.len();
            self.flights.remove(place).map(Landed::Flight)
        } else {
            self.starting = false;
            None
        };
        let landed = landed.unwrap_or_else(|| {
            let ghost = |ghost: &Ghost| ghost.ticket == ticket;
            let place = self.ghosts.iter().position(ghost);
            Landed::Ghost(place.and_then(|place| self.ghosts.remove(place)))
        });
        self.go_on(now);
        landed
    }

    /// How it stands now that its worker turns to the oldest batch.
    pub fn go_on(&mut self, now: Instant) {
        let flight = self.flights.front().map(|flight| flight.ticket);
        let ghost = self.ghosts.front();
        let ghost = ghost.filter(|ghost| flight.is_none_or(|flight| ghost.ticket < flight));
        self.stand(match ghost {
            Some(ghost) => Standing::Late {
                until: ghost.limit.and_then(|limit| now.checked_add(limit)),
                reason: ghost.reason.clone(),
            },
            None => Standing::Live,
        });
    }

    /// Whether its worker ends, once the pool is closed, in a time that anybody knows.
    pub fn ends(&self) -> bool {
        match self.standing {
            Standing::Live => true,
            Standing::Late { .. } | Standing::Stuck(_) => false,
            Standing::Lost(_) => {
                self.ghosts.is_empty() && !self.loading.as_ref().is_some_and(|load| load.given_up)
            }
        }
    }

    /// Seconds until what it has is done. What takes longer than expected is thought to take as long again.
    pub fn free_in(&self, now: Instant) -> f64 {
        let Some(first) = self.flights.front() else {
            return self.loading.as_ref().map_or(0.0, |load| {
                let since = now.saturating_duration_since(load.begin).as_secs_f64();
                (load.expected - since).abs()
            });
        };
        let ahead: f64 = self
            .flights
            .iter()
            .filter_map(|flight| flight.expected)
            .sum();
        let since = now
            .saturating_duration_since(first.begin.max(self.landed))
            .as_secs_f64();
        (ahead - since).abs()
    }

    /// When the batch that is being worked on must be done.
    pub fn deadline(&self) -> Option<Instant> {
        if let Standing::Late { until, .. } = self.standing {
            return until;
        }
        let current = self.current()?;
        let limit = current.job.options().batch_time_limit?;
        current.begin.max(self.landed).checked_add(limit)
    }
}

impl Flight {
    /// The cost of its items that succeeded.
    pub fn cost_done(&self, part: &Part) -> f64 {
        if part.failures() == 0 {
            return self.cost;
        }
        let items = self.planned.iter().enumerate();
        let done = items.filter(|&(row, _)| part.error(row).is_none());
        done.map(|(_, item)| amount(item.cost)).sum()
    }
}

impl Ghost {
    /// Whether what it ran in was ended from outside.
    pub fn killed(&self) -> bool {
        self.killed
    }

    /// Tells its job what became of it.
    pub fn tell(self, lost: bool) {
        if let Some(job) = self.job.upgrade() {
            job.ghost_gone(&self.planned, lost);
        }
    }
}

/// How a batch ended, for its job.
pub struct Landing<'a> {
    pub slot: &'a Slot,
    pub begin: Instant,
    pub end: Instant,
    /// Time that no batch before it had.
    pub busy: Duration,
    pub cost: f64,
    pub extent: u64,
    /// Memory was freed on the slot, so that what did not fit may fit now.
    pub relieved: bool,
    /// Something else was under way on the device.
    pub crowded: bool,
    /// Some slot that works has more memory.
    pub larger: bool,
    /// The other slots that could do it as well.
    pub others: Vec<usize>,
    /// The budget of the slot's next batch.
    pub budget: u64,
}

//! Who works next on what: the jobs in fair turns, and what each slot is given of them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::job::{Job, Offer};
use super::learnt::{Learnt, Speed, load_time};
use super::room;
use super::seat::{Flight, Loading, Seat, Standing};
use super::state::{Planned, Taken};
use super::terms::{Other, Terms};
use super::warm::WarmUp;
use crate::error::{Error, Result, Status};
use crate::mem::Part;
use crate::plan::balance::{Peer, share};
use crate::plan::batch::amount;

pub struct Turns {
    /// Unfinished jobs, by their numbers.
    pub jobs: HashMap<u64, Entry>,
    /// The same, by the time that slots have spent on them: whoever had least comes first.
    pub turns: BTreeSet<(u64, u64)>,
    /// The time that the job that was served last had had.
    pub turn: u64,
    pub seats: Vec<Seat>,
    pub learnt: Learnt,
    pub warm_ups: Vec<Arc<WarmUp>>,
    /// Bytes that tools may take on one device, if that is limited.
    pub memory: Option<u64>,
    /// Counts batches and loads: which tool was used last.
    pub uses: u64,
    pub tickets: u64,
    /// Counts calls of `sweep`.
    pub sweeps: u64,
    /// Until when nobody needs to look at time limits; `None` if there are none.
    pub watched: Option<Instant>,
    pub phase: Phase,
}

/// An unfinished job.
pub struct Entry {
    pub job: Arc<Job>,
    /// Nanoseconds that slots have spent on it, counted from where the others were when it came.
    pub served: u64,
    /// When it runs out of time.
    pub deadline: Option<Instant>,
    /// It waited for its results to be taken when somebody last looked.
    pub paused: bool,
    /// Speeds by slot, for a job whose costs are in a unit of its own.
    pub speeds: Option<Vec<Speed>>,
}

/// Whether there is work to be had.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Open,
    /// The process ends: workers stay where they are, for nothing must be unloaded any more.
    Resting,
    Closed,
}

/// What a worker is to do next.
pub enum Task {
    /// Run these distinct items of a job.
    Run(Ticket),
    /// Load the tool of a job, which has items for this slot.
    Load(Arc<Job>),
    /// Load a tool because somebody asked for it.
    WarmUp(Arc<WarmUp>),
    /// Unload tools, by the keys of their identities, for something else to fit.
    Unload(Vec<Arc<str>>),
    /// Look for states that nobody can ask for again; so many times were called for.
    Sweep(u64),
    /// The device is lost, as another slot on it found out.
    Leave(Error),
    /// End.
    Stop,
}

/// A batch handed to a worker, to be given back by its number.
pub struct Ticket {
    pub number: u64,
    pub job: Arc<Job>,
    pub planned: Arc<Vec<Planned>>,
}

/// What to do about a worker that has nothing to do.
pub enum Idle {
    /// It waits to be called.
    Wait,
    /// It looks again after this time, for others may be slower than expected.
    LookAgain(Duration),
}

/// How often a worker that left work to faster slots looks again.
pub const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A worker changes to a job whose tool it must load once that job is behind by so many times the load.
const LOADS_BEHIND: f64 = 1.0;
/// The same where another tool must be unloaded for it, and perhaps loaded again.
const SWAPS_BEHIND: f64 = 4.0;
/// What a load counts for when it begins, so that the next worker looks at the other jobs first.
pub const LOAD_BEGUN: Duration = Duration::from_millis(1);

impl Turns {
    pub fn check_open(&self) -> Result<()> {
        if self.phase != Phase::Open {
            return Err(Error::new(Status::Closed, "the pool is closed"));
        }
        let trouble = self.seats.iter().find_map(Seat::trouble);
        match trouble {
            Some(error) if !self.working().contains(&true) => Err(error
                .clone()
                .within("every slot of the pool is lost or stuck; open a new one, or wait until the tool has returned")),
            _ => Ok(()),
        }
    }

    /// Whether a job still waits for anything.
    pub fn waits(&self, job: u64) -> bool {
        let entry = self.jobs.get(&job);
        entry.is_some_and(|entry| !entry.job.over())
    }

    /// Which slots can be given work.
    pub fn working(&self) -> Vec<bool> {
        self.seats.iter().map(Seat::works).collect()
    }

    /// The slots that are lost with this one: all of its GPU.
    pub fn on_device(&self, slot: usize) -> Vec<usize> {
        let same = |other: &usize| {
            *other == slot || room::one_gpu(&self.seats[slot].slot, &self.seats[*other].slot)
        };
        (0..self.seats.len()).filter(same).collect()
    }

    /// A slot can not be given work any more: who waits for it hears why, and the jobs that none is left for give up.
    pub fn note_trouble(&self, slot: usize, error: &Error) {
        for warm_up in &self.warm_ups {
            warm_up.done(slot, Err(error.clone()));
        }
        let works = self.working();
        for entry in self.jobs.values() {
            entry.job.note_trouble(slot, error);
            entry.job.check_slots(&works, error);
        }
    }

    /// Keeps what a batch taught about the tool on the slot; `relieved` if it ran out of memory and some was freed since.
    /// The budget of the next.
    pub fn learn(
        &mut self,
        slot: usize,
        flight: &Flight,
        busy: Duration,
        outcome: &Result<Part>,
        relieved: bool,
    ) -> u64 {
        let seconds = busy.as_secs_f64();
        let facts = &mut self.learnt.of(&flight.job)[slot];
        match outcome {
            // Refusing items takes no time: what mostly did that says nothing of the others.
            Ok(part) if 2 * part.failures() > flight.planned.len() => {}
            Ok(part) => {
                let cost = flight.cost_done(part);
                facts.budget.done(flight.extent, cost, seconds);
                let own = self
                    .jobs
                    .get_mut(&flight.job.id())
                    .and_then(|entry| entry.speeds.as_mut());
                match own {
                    Some(speeds) => speeds[slot].done(cost, seconds),
                    None if flight.job.own_costs() => {}
                    None => facts.speed.done(cost, seconds),
                }
            }
            // An item that does not fit alone may be an odd one, and batches of one can not be made smaller.
            Err(error) if error.status() == Status::OutOfMemory => {
                if flight.planned.len() > 1 && !relieved {
                    facts.budget.out_of_memory(flight.extent);
                }
            }
            Err(_) => {}
        }
        facts.budget.now()
    }

    /// A slot has spent time on a job, of which `expected` seconds had been counted before.
    pub fn serve(&mut self, id: u64, spent: Duration, expected: Option<f64>) {
        let Some(entry) = self.jobs.get_mut(&id) else {
            return;
        };
        let before = (entry.served, id);
        let counted = Duration::try_from_secs_f64(expected.unwrap_or(0.0)).unwrap_or_default();
        entry.served = entry
            .served
            .saturating_add(spent.as_nanos() as u64)
            .saturating_sub(counted.as_nanos() as u64);
        let after = (entry.served, id);
        self.turns.remove(&before);
        self.turns.insert(after);
    }

    /// Which other slots could do the job now, and whether one that could do it later has more memory.
    pub fn others(&self, slot: usize, job: &Job) -> (Vec<usize>, bool) {
        let unfit = job.unfit();
        let seat = |number: usize| &self.seats[number];
        let memory = |number: usize| seat(number).slot.device.memory_total;
        let fit = |&other: &usize| other != slot && seat(other).works() && !unfit.contains(&other);
        let mut others: Vec<usize> = (0..self.seats.len()).filter(fit).collect();
        let larger = others.iter().any(|&other| memory(other) > memory(slot));
        others.retain(|&other| seat(other).ready());
        (others, larger)
    }

    pub fn task(&mut self, slot: usize, sweeps: u64) -> Result<Task, Idle> {
        match self.phase {
            Phase::Open => {}
            Phase::Resting => return Err(Idle::Wait),
            Phase::Closed => return Ok(Task::Stop),
        }
        if let Standing::Lost(error) = &self.seats[slot].standing {
            return Ok(Task::Leave(error.clone()));
        }
        if sweeps < self.sweeps {
            return Ok(Task::Sweep(self.sweeps));
        }
        if !self.seats[slot].unload.is_empty() {
            return Ok(Task::Unload(std::mem::take(&mut self.seats[slot].unload)));
        }
        if let Some(warm_up) = self.warm_ups.iter().find(|warm_up| warm_up.opens(slot)) {
            return if self.seats[slot].empty() && warm_up.take(slot) {
                // What was loaded before may have to go for it.
                self.seats[slot].settle();
                self.seats[slot].loading = Some(Loading {
                    job: None,
                    begin: Instant::now(),
                    until: None,
                    tool: warm_up.tool().name().to_owned(),
                    expected: 0.0,
                    killer: None,
                    given_up: false,
                    killed: false,
                });
                Ok(Task::WarmUp(Arc::clone(warm_up)))
            } else {
                Err(Idle::Wait)
            };
        }
        let task = self.serve_next(slot);
        self.seats[slot].settle();
        task
    }

    /// Work of the job whose turn it is, among those that have some for the slot.
    fn serve_next(&mut self, slot: usize) -> Result<Task, Idle> {
        let now = Instant::now();
        let mut passed_over = Vec::new();
        let mut left_to_others = 0.0;
        let mut idle = Idle::Wait;
        self.seats[slot].declined = false;
        self.seats[slot].wants_device = false;
        let seat = &self.seats[slot];
        // What nobody waits for may still cost the device: nothing new is begun beside it.
        if !seat.ghosts.is_empty() || seat.flights.iter().any(|flight| flight.alone) {
            return Err(idle);
        }
        let device = self.on_device(slot);
        let kept = |&other: &usize| {
            let seat = &self.seats[other];
            seat.wants_device && seat.ready() || seat.flights.iter().any(|flight| flight.alone)
        };
        if device.iter().any(kept) {
            self.seats[slot].declined = true;
            return Err(Idle::LookAgain(LOOK_AGAIN));
        }
        while let Some(id) = self.whose_turn(slot, &passed_over) {
            match self.offer(slot, id, now, &mut left_to_others) {
                (job, Offer::Run(taken)) => {
                    let ticket = self.depart(slot, job, taken, now);
                    return Ok(Task::Run(ticket));
                }
                (job, Offer::Load) => {
                    self.turn = self.turn.max(self.jobs[&id].served);
                    self.serve(id, LOAD_BEGUN, None);
                    self.seats[slot].loading = Some(Loading {
                        job: Some(id),
                        begin: now,
                        until: self.jobs[&id].deadline,
                        tool: job.tool().name().to_owned(),
                        expected: load_time(self.learnt.of(&job), slot),
                        killer: None,
                        given_up: false,
                        killed: false,
                    });
                    return Ok(Task::Load(job));
                }
                (_, Offer::Declined(_)) => {
                    self.seats[slot].declined = true;
                    idle = Idle::LookAgain(LOOK_AGAIN);
                }
                (_, Offer::LoadWhenEmpty) => return Err(Idle::Wait),
                (_, Offer::RunWhenAlone) => {
                    self.seats[slot].wants_device = true;
                    self.seats[slot].declined = true;
                    return Err(Idle::LookAgain(LOOK_AGAIN));
                }
                (_, Offer::Nothing) => {}
            }
            passed_over.push(id);
        }
        Err(idle)
    }

    /// The job that slots have spent least time on, where a tool that must be loaded first counts against it: a worker
    /// stays with what it has loaded until another job is behind by what the load costs.
    fn whose_turn(&mut self, slot: usize, passed_over: &[u64]) -> Option<u64> {
        let mut best: Option<(u64, u64)> = None;
        let mut changed = Vec::new();
        for &(served, id) in &self.turns {
            if best.is_some_and(|(score, _)| served >= score) {
                break;
            }
            let Entry { job, paused, .. } = &self.jobs[&id];
            if job.paused() != *paused {
                changed.push(id);
            }
            if passed_over.contains(&id) || !job.waits_for(slot) {
                continue;
            }
            let fact = &self.learnt.of(job)[slot];
            let key = job.tool().identity().key();
            let behind = if self.seats[slot].has(key) || self.seats[slot].warm.is_empty() {
                0.0
            } else if room::fits(&self.seats, slot, fact.bytes, self.memory) {
                LOADS_BEHIND
            } else {
                SWAPS_BEHIND
            };
            let behind = behind * load_time(self.learnt.of(job), slot);
            let score = served.saturating_add((behind * 1e9) as u64);
            if best.is_none_or(|(least, _)| score < least) {
                best = Some((score, id));
            }
        }
        if changed.is_empty() {
            return best.map(|(_, id)| id);
        }
        changed.into_iter().for_each(|id| self.pause_or_resume(id));
        self.whose_turn(slot, passed_over)
    }

    /// Notes that a job pauses, or goes on: from where the others are, for it is not owed for the time.
    fn pause_or_resume(&mut self, id: u64) {
        let turn = self.turn;
        let Some(entry) = self.jobs.get_mut(&id) else {
            return;
        };
        entry.paused = !entry.paused;
        if !entry.paused && entry.served < turn {
            self.turns.remove(&(entry.served, id));
            entry.served = turn;
            self.turns.insert((turn, id));
        }
    }

    /// What a job has for a slot. `left_to_others`: seconds of work of other jobs that this slot has just left to the other
    /// slots; they come to this job's work after that.
    fn offer(
        &mut self,
        slot: usize,
        id: u64,
        now: Instant,
        left_to_others: &mut f64,
    ) -> (Arc<Job>, Offer) {
        let device = self.on_device(slot);
        let on_device = || device.iter().map(|&other| &self.seats[other]);
        let device_empty = on_device().all(|seat| seat.flights.is_empty());
        let haunted = on_device().any(Seat::haunted);
        let entry = &self.jobs[&id];
        let job = Arc::clone(&entry.job);
        let own = entry.speeds.clone();
        let key = job.tool().identity().key();
        let unfit = job.unfit();
        let facts = self.learnt.of(&job);
        let (mut speeds, mut peers, mut own_place) = (Vec::new(), Vec::new(), 0);
        let mut others = Vec::new();
        let speed = |number: usize| match &own {
            Some(speeds) => speeds[number].get(),
            None => facts[number].speed.get(),
        };
        for (number, seat) in self.seats.iter().enumerate() {
            if !seat.works() || unfit.contains(&number) {
                continue;
            }
            if number != slot {
                others.push(Other {
                    slot: number,
                    memory: seat.slot.device.memory_total,
                    ready: seat.ready(),
                });
                if !seat.ready() {
                    continue;
                }
            }
            if number == slot {
                own_place = speeds.len();
            } else if let Some(speed) = speed(number) {
                let load = if seat.has(key) {
                    0.0
                } else {
                    load_time(facts, number)
                };
                peers.push(Peer {
                    free_in: seat.free_in(now) + *left_to_others + load,
                    speed,
                });
            }
            speeds.push(speed(number));
        }
        let seat = &self.seats[slot];
        let warm = seat.has(key);
        let like_others = || {
            let sum = peers.iter().map(|peer| peer.speed).sum::<f64>();
            (!warm && !peers.is_empty()).then(|| sum / peers.len() as f64)
        };
        let load_time = load_time(facts, slot);
        let terms = Terms {
            slot,
            now,
            others: &others,
            memory: seat.slot.device.memory_total,
            load_time,
            warm,
            budget: facts[slot].budget.now(),
            share: share(&speeds, own_place),
            speed: speed(slot).or_else(like_others),
            delay: if warm { 0.0 } else { load_time },
            peers: &peers,
            empty: seat.flights.is_empty(),
            device_empty,
            haunted,
        };
        let offer = job.offer(&terms);
        if let Offer::Declined(cost) = offer
            && !peers.is_empty()
        {
            *left_to_others += cost / peers.iter().map(|peer| peer.speed).sum::<f64>();
        }
        (job, offer)
    }

    /// Notes a batch that a worker takes.
    fn depart(&mut self, slot: usize, job: Arc<Job>, taken: Taken, now: Instant) -> Ticket {
        let (id, planned) = (job.id(), taken.batch);
        let cost = planned.iter().map(|item| amount(item.cost)).sum::<f64>();
        let extent = planned
            .iter()
            .fold(0, |sum, item| u64::saturating_add(sum, item.extent));
        let speed = match self.jobs[&id].speeds.as_ref() {
            Some(speeds) => speeds[slot].get(),
            None => self.learnt.of(&job)[slot].speed.get(),
        };
        let expected = speed.map(|speed| cost / speed);
        self.turn = self.turn.max(self.jobs[&id].served);
        if let Some(seconds) = expected {
            let spent = Duration::try_from_secs_f64(seconds).unwrap_or_default();
            self.serve(id, spent, None);
        }
        self.tickets += 1;
        self.uses += 1;
        let (number, uses, planned) = (self.tickets, self.uses, Arc::new(planned));
        let device = self.on_device(slot);
        let mut seats = device.iter().map(|&other| &self.seats[other]);
        let crowded = seats.any(|seat| !seat.flights.is_empty() || seat.haunted());
        for &other in &device {
            let flights = self.seats[other].flights.iter_mut();
            flights.for_each(|flight| flight.crowded = true);
        }
        let seat = &mut self.seats[slot];
        let key = job.tool().identity().key();
        if let Some(warm) = seat.warm.iter_mut().find(|warm| warm.key == *key) {
            warm.used = uses;
        }
        seat.flights.push_back(Flight {
            ticket: number,
            job: Arc::clone(&job),
            planned: Arc::clone(&planned),
            cost,
            extent,
            begin: now,
            expected,
            alone: taken.alone,
            crowded,
            killer: None,
            struck: false,
        });
        Ticket {
            number,
            job,
            planned,
        }
    }
}

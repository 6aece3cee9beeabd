//! What a job still has to do, and what it has done.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Instant;

use super::doubt::{Doubt, SUSPICIOUS, Trust};
use super::faults::Streak;
use super::loads::Loads;
use super::tally::Tally;
use super::terms::Terms;
use crate::callback::Inside;
use crate::device::Slot;
use crate::error::{Error, Result, Status};
use crate::mem::{Finished, Items};
use crate::plan::balance::first_worth_taking;
use crate::plan::batch::{Cut, Remaining, amount};
use crate::plan::dedup::Dedup;
use crate::plan::order;
use crate::tool::Tool;

/// Whether a job goes on.
pub enum Verdict {
    /// It does, or it has ended by itself.
    Running,
    /// It was stopped: items that were not done have this error, the others their results.
    Stopped(Error),
    /// It failed as a whole.
    Failed(Error),
}

impl Verdict {
    /// Why items were not done.
    pub fn error(&self) -> Option<&Error> {
        match self {
            Self::Running => None,
            Self::Stopped(error) | Self::Failed(error) => Some(error),
        }
    }
}

/// How far a job is, in distinct items unless said otherwise.
pub struct State {
    /// Distinct items that no worker has had, longest first.
    fresh: VecDeque<Planned>,
    pub remaining: Remaining,
    /// Batches that come back from a failure, the latest last.
    again: Vec<Vec<Planned>>,
    /// Batches to be tried again after everything fresh, and not before their time.
    pub later: VecDeque<(Instant, Vec<Planned>)>,
    /// Items that ran out of memory alone; for the slot with most, with its device to themselves.
    pub large: Vec<Planned>,
    /// Items that failed alone: another slot is asked before they are believed to be to blame.
    elsewhere: Vec<Planned>,
    /// Distinct items that were among those once, and are not done.
    pub doubted: HashMap<u32, Doubt>,
    /// By slot.
    pub trust: Vec<Trust>,
    /// Items that were picked to be tried alone, to see whether the tool works at all, and have not failed yet.
    probes: Option<HashSet<u32>>,
    /// Items that may have cost a device or a process; they run last, and alone.
    suspects: Vec<Planned>,
    /// Distinct items that were among those once: they stay so, by whatever way they come back.
    suspected: HashSet<u32>,
    /// Distinct items that were there once when a device, a process or time was lost, and which: the next time they fail.
    pub blamed: HashMap<u32, Status>,
    /// Distinct items that are in a batch that was given up, on a worker that comes to it yet.
    pub ghosts: HashSet<u32>,
    /// How often items were tried again for errors that pass.
    pub tries: HashMap<u32, u32>,
    /// Batches under way.
    pub flights: usize,
    pub running: usize,
    /// Loads of the tool for this job.
    pub loads: Loads,
    /// Slots that could not load the tool, and why.
    pub unfit: Vec<(usize, Error)>,
    pub finished: Vec<Finished>,
    pub unread_bytes: u64,
    pub done: u64,
    pub failed: u64,
    pub streak: Streak,
    pub verdict: Verdict,
    /// Items that will never be done, once the job has been stopped.
    pub undone: Vec<u32>,
    /// Somebody waits for the whole job, so there is no use in pausing.
    pub unlimited: bool,
    pub tally: Tally,
    /// Called when items have finished, and at the end.
    pub notify: Option<Notify>,
}

/// Tells a caller who does not wait that there is something to take.
pub type Notify = Box<dyn Fn() + Send>;

/// A distinct item.
#[derive(Debug, Clone, Copy)]
pub struct Planned {
    pub cost: f64,
    pub extent: u64,
    pub unique: u32,
}

/// What there is for a slot that asks.
pub enum Take {
    Batch(Taken),
    /// An item that must have the device to itself, once it has.
    WhenAlone,
    /// Nothing now.
    Nothing,
}

/// A batch for a slot.
pub struct Taken {
    pub batch: Vec<Planned>,
    /// Nothing else may be under way on the device: the item may cost it, or needs all of its memory.
    pub alone: bool,
}

impl Take {
    fn beside_others(batch: Vec<Planned>) -> Self {
        Self::Batch(Taken {
            batch,
            alone: false,
        })
    }
}

impl State {
    /// All of `items` are left to do.
    pub fn of(tool: &dyn Tool, items: &Items, dedup: &Dedup, slots: &[Slot]) -> Result<Self> {
        let (fresh, cost_saved) = plan(tool, items, dedup)?;
        let mut remaining = Remaining::default();
        fresh.iter().for_each(|item| remaining.add(item.cost));
        let costs = fresh.iter().map(|item| amount(item.cost));
        let longest = costs.fold(0.0, f64::max);
        Ok(Self {
            tally: Tally::new(slots, remaining.cost(), cost_saved, longest),
            fresh,
            remaining,
            again: Vec::new(),
            later: VecDeque::new(),
            large: Vec::new(),
            elsewhere: Vec::new(),
            doubted: HashMap::new(),
            trust: vec![Trust::default(); slots.len()],
            probes: None,
            suspects: Vec::new(),
            suspected: HashSet::new(),
            blamed: HashMap::new(),
            ghosts: HashSet::new(),
            tries: HashMap::new(),
            flights: 0,
            running: 0,
            loads: Loads::new(slots.len()),
            unfit: Vec::new(),
            finished: Vec::new(),
            unread_bytes: 0,
            done: 0,
            failed: 0,
            streak: Streak::default(),
            verdict: Verdict::Running,
            undone: Vec::new(),
            unlimited: false,
            notify: None,
        })
    }

    /// Tells whoever asked for it that something has finished, or everything has.
    pub fn tell(&self) {
        if let Some(notify) = &self.notify {
            let _inside = Inside::enter();
            notify();
        }
    }

    /// Whether nothing more will happen.
    pub fn over(&self) -> bool {
        self.flights == 0 && !self.has_work()
    }

    /// Whether items wait for a worker.
    pub fn has_work(&self) -> bool {
        self.left() > 0
    }

    /// How many distinct items wait.
    pub fn left(&self) -> usize {
        self.fresh.len() + self.back() + self.large.len() + self.suspects.len()
    }

    /// How many of them have been with a worker before.
    fn back(&self) -> usize {
        let later = self.later.iter().map(|(_, batch)| batch);
        let batches = self.again.iter().chain(later);
        batches.map(Vec::len).sum::<usize>() + self.elsewhere.len()
    }

    /// Whether the slot should begin with something, or leave all to faster ones. Looks at fresh items only.
    fn worth(&self, terms: &Terms) -> Option<usize> {
        let Some(speed) = terms.speed.filter(|_| self.remaining.cost() > 0.0) else {
            return Some(0);
        };
        first_worth_taking(
            |place| self.fresh[place].cost,
            self.fresh.len(),
            self.remaining.cost(),
            terms.delay,
            speed,
            terms.peers,
        )
    }

    /// Whether there is anything that the slot should begin with.
    pub fn suits(&self, terms: &Terms) -> bool {
        let large = self.place_of_large(terms).is_some();
        let old = self.back() + self.suspects.len() > 0;
        large || old || (!self.fresh.is_empty() && self.worth(terms).is_some())
    }

    /// Has items run last and alone.
    pub fn suspect(&mut self, items: Vec<Planned>) {
        let numbers = items.iter().map(|item| item.unique);
        self.suspected.extend(numbers);
        self.suspects.extend(items);
    }

    /// Has a batch be tried again at once; suspects in their turn.
    pub fn try_again(&mut self, batch: Vec<Planned>) {
        if self.of_suspects(&batch) {
            self.suspects.extend(batch);
        } else {
            self.again.push(batch);
        }
    }

    /// Has an item be tried on another slot.
    pub fn try_elsewhere(&mut self, item: Vec<Planned>) {
        if self.of_suspects(&item) {
            self.suspects.extend(item);
        } else {
            self.elsewhere.extend(item);
        }
    }

    fn of_suspects(&self, batch: &[Planned]) -> bool {
        let mut items = batch.iter();
        items.any(|item| self.suspected.contains(&item.unique))
    }

    /// The next batch for a slot: what failed on another, what comes back from failures, then the longest fresh items that
    /// the slot should have, then what is to be tried later, then suspects one by one.
    pub fn take(&mut self, limits: Cut, in_order: bool, terms: &Terms) -> Take {
        if let Some(place) = self.place(&self.elsewhere, terms) {
            return Take::beside_others(vec![self.elsewhere.swap_remove(place)]);
        }
        if self.elsewhere.len() >= SUSPICIOUS && self.waits_for_others(terms) {
            return Take::Nothing;
        }
        if let Some(batch) = self.take_again(terms) {
            return Take::beside_others(batch);
        }
        if !self.fresh.is_empty()
            && let Some(from) = self.worth(terms)
            && (from == 0 || !in_order)
        {
            return Take::beside_others(self.cut(from, limits, terms.share));
        }
        if let Some(place) = self.place_of_large(terms) {
            return Self::take_alone(&mut self.large, place, terms);
        }
        if !self.fresh.is_empty() {
            return Take::Nothing;
        }
        if let Some(batch) = self.take_later(terms) {
            return Take::beside_others(batch);
        }
        if let Some(place) = self.place(&self.suspects, terms) {
            return Self::take_alone(&mut self.suspects, place, terms);
        }
        Take::Nothing
    }

    fn take_alone(items: &mut Vec<Planned>, place: usize, terms: &Terms) -> Take {
        if terms.haunted {
            return Take::Nothing;
        }
        if !terms.device_empty {
            return Take::WhenAlone;
        }
        let batch = vec![items.swap_remove(place)];
        Take::Batch(Taken { batch, alone: true })
    }

    /// What speaks for trying an item on one slot and not on another.
    pub fn doubt(&mut self, unique: u32) -> &mut Doubt {
        self.doubted.entry(unique).or_default()
    }

    /// The last of some items that the slot may have.
    fn place(&self, items: &[Planned], terms: &Terms) -> Option<usize> {
        let mut items = items.iter();
        items.rposition(|item| self.may_have(item, terms))
    }

    fn may_have(&self, item: &Planned, terms: &Terms) -> bool {
        terms.may_have(self.doubted.get(&item.unique))
    }

    fn place_of_large(&self, terms: &Terms) -> Option<usize> {
        let mut items = self.large.iter();
        items.rposition(|item| terms.may_have_large(self.doubted.get(&item.unique)))
    }

    /// Whether so many items have failed alone on a slot that others are to try those first.
    fn waits_for_others(&self, terms: &Terms) -> bool {
        let items = self.elsewhere.iter();
        let failed = items.filter(|item| !self.may_have(item, terms));
        failed.count() >= SUSPICIOUS
    }

    /// What comes back from a failure.
    fn take_again(&mut self, terms: &Terms) -> Option<Vec<Planned>> {
        let mut batches = self.again.iter();
        let place = batches.rposition(|batch| self.all_for(batch, terms))?;
        Some(self.again.remove(place))
    }

    /// A batch whose time to be tried again has come.
    fn take_later(&mut self, terms: &Terms) -> Option<Vec<Planned>> {
        loop {
            let mut batches = self.later.iter();
            let place = batches
                .position(|(from, batch)| *from <= terms.now && self.all_for(batch, terms))?;
            let (_, batch) = self.later.remove(place)?;
            if !self.of_suspects(&batch) {
                return Some(batch);
            }
            self.suspects.extend(batch);
        }
    }

    fn all_for(&self, batch: &[Planned], terms: &Terms) -> bool {
        let mut items = batch.iter();
        self.doubted.is_empty() || items.all(|item| self.may_have(item, terms))
    }

    /// Those of the probes that have not failed. The first time, brings so many forward, from the longest fresh item to
    /// the cheapest, each to be tried alone.
    pub fn probes(&mut self, most: usize) -> &HashSet<u32> {
        if self.probes.is_none() {
            let picked = self.pick(most);
            self.probes = Some(picked.iter().map(|item| item.unique).collect());
            self.again.extend(picked.into_iter().map(|item| vec![item]));
        }
        self.probes.get_or_insert_default()
    }

    /// An item has failed.
    pub fn probed(&mut self, item: &Planned) {
        if let Some(probes) = &mut self.probes {
            probes.remove(&item.unique);
        }
    }

    /// Takes so many items, or all, out of the fresh ones at equal distances; the last is among them.
    fn pick(&mut self, most: usize) -> Vec<Planned> {
        let fresh = std::mem::take(&mut self.fresh);
        let (len, n) = (fresh.len(), most.min(fresh.len()));
        let is_picked = |place: usize| (place + 1) * n / len > place * n / len;
        let mut picked = Vec::with_capacity(n);
        for (place, item) in fresh.into_iter().enumerate() {
            if is_picked(place) {
                self.remaining.remove(item.cost);
                picked.push(item);
            } else {
                self.fresh.push_back(item);
            }
        }
        picked
    }

    fn cut(&mut self, from: usize, limits: Cut, share: f64) -> Vec<Planned> {
        let queue = self.fresh.range(from..);
        let queue = queue.map(|item| (item.cost, item.extent));
        let count = limits.next_batch(queue, &self.remaining, share);
        let batch: Vec<_> = self.fresh.drain(from..from + count).collect();
        batch
            .iter()
            .for_each(|item| self.remaining.remove(item.cost));
        batch
    }

    /// Nothing can be done any more: what succeeded is kept; where nothing did, the job fails as a whole.
    pub fn give_up(&mut self, error: Error) {
        self.stop(if self.done > self.failed {
            Verdict::Stopped(error)
        } else {
            Verdict::Failed(error)
        });
    }

    /// An item has succeeded: so the job has not failed as a whole, if that had been said already.
    pub fn keep_what_is_done(&mut self) {
        if let Verdict::Failed(error) = &self.verdict {
            self.verdict = Verdict::Stopped(error.clone());
        }
    }

    /// Takes everything out of the queue. The first reason to stop counts.
    pub fn stop(&mut self, verdict: Verdict) {
        if !matches!(self.verdict, Verdict::Running) {
            return;
        }
        self.verdict = verdict;
        self.remaining = Remaining::default();
        let fresh = std::mem::take(&mut self.fresh).into_iter();
        let later = self.later.drain(..).map(|(_, batch)| batch);
        let back = self.again.drain(..).chain(later).flatten();
        let alone = self.large.drain(..).chain(self.suspects.drain(..));
        let undone = fresh
            .chain(back)
            .chain(self.elsewhere.drain(..))
            .chain(alone);
        self.undone.extend(undone.map(|item| item.unique));
    }

    /// Takes what nobody has taken.
    pub fn take_finished(&mut self) -> Vec<Finished> {
        self.unread_bytes = 0;
        std::mem::take(&mut self.finished)
    }
}

/// The distinct items of a job, longest first, and the sum of the finite costs of all others.
fn plan(tool: &dyn Tool, items: &Items, dedup: &Dedup) -> Result<(VecDeque<Planned>, f64)> {
    let given = items.costs();
    let mut costs = Vec::with_capacity(dedup.uniques());
    let mut extents = Vec::with_capacity(dedup.uniques());
    for unique in 0..dedup.uniques() {
        let position = dedup.first(unique);
        let (estimate, extent) = tool.measure(items, position);
        let cost = given.map_or(estimate, |given| given[position]);
        order::check_cost(position, cost)?;
        costs.push(cost);
        extents.push(extent);
    }
    let planned = order::longest_first(&costs)
        .into_iter()
        .map(|unique| Planned {
            cost: costs[unique as usize],
            extent: extents[unique as usize],
            unique,
        });
    Ok((planned.collect(), saved(&costs, dedup)))
}

/// The sum of the finite costs of items that equal earlier ones; `costs` is of the distinct ones.
fn saved(costs: &[f64], dedup: &Dedup) -> f64 {
    if dedup.uniques() == dedup.positions() {
        return 0.0;
    }
    let of = |unique: usize| amount(costs[unique]);
    let copies = (0..dedup.positions()).filter(|&position| {
        let unique = dedup.unique_of(position);
        dedup.first(unique) != position
    });
    copies.map(|position| of(dedup.unique_of(position))).sum()
}

//! The run itself: a thread that reads, windows that the pool computes, a thread that writes.
//!
//! Reading is ahead of computing by a window, two windows are in flight so that no slot idles at the end of one, and
//! writing is behind it by a window. A disk that cannot keep up holds computing back; nothing else does.

use std::collections::VecDeque;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use toolpool::pool::{JobOptions, Pool, Progress};
use toolpool::report::words::count;
use toolpool::report::{Report, SlotReport};

use super::flight::{Flight, residues};
use super::ledger::Ledger;
use super::model::Model;
use super::reader::{Reader, Task};
use super::sizing::Sizing;
use crate::error::{Error, Result};
use crate::output::{Directory, Written};
use crate::progress::{self, SlotNow, Snapshot};
use crate::rows::{Outcome, Rows};
use crate::stop::Stop;
use crate::terminal;
use crate::tool;

/// Windows that the pool has at a time.
const IN_FLIGHT: usize = 2;
/// How long to wait for something to happen before looking at everything again.
const PATIENCE: Duration = Duration::from_millis(20);

/// What a run runs on.
pub struct Flow<'a> {
    pub model: &'a Model,
    pub pool: &'a Pool,
    pub options: JobOptions,
    pub sizing: Arc<Sizing>,
    pub stop: &'a Stop,
    pub bytes_total: Option<u64>,
}

/// Windows on their way.
struct Way<'a> {
    flow: &'a Flow<'a>,
    ledger: &'a mut Ledger,
    progress: &'a mut progress::Progress,
    names: Vec<String>,
    /// Windows to be done; `None` once there are no more.
    tasks: Option<Receiver<Result<Task>>>,
    flights: VecDeque<Flight>,
    /// A window that is over and waits for the writer.
    ready: Option<Rows>,
    /// Of the bytes of the input: from where this session's first window begins to where the last that is over ends.
    bytes: Option<Range<u64>>,
    /// The user wants it to end, and has been told what that takes.
    heeded: bool,
    /// That was before the input had ended.
    stopped: bool,
}

impl Flow<'_> {
    /// Does all windows of `reader`; what is in flight when the user stops it is written all the same.
    pub fn run(
        &self,
        reader: Reader,
        directory: &mut Directory,
        ledger: &mut Ledger,
        progress: &mut progress::Progress,
    ) -> Result<()> {
        let mut way = Way {
            flow: self,
            ledger,
            progress,
            names: self
                .model
                .outputs
                .iter()
                .map(|output| output.name.clone())
                .collect(),
            tasks: Some(read(reader)?),
            flights: VecDeque::new(),
            ready: None,
            bytes: None,
            heeded: false,
            stopped: false,
        };
        thread::scope(|scope| {
            // No room in between: what is on its way to the disk is counted in `ready`, and by the writer itself.
            let (rows, to_write) = sync_channel(0);
            let (written, tell) = sync_channel(IN_FLIGHT);
            let writer = scope.spawn(move || write(directory, &to_write, &written));
            let ended = way.go(rows, tell);
            way.flights.iter().for_each(Flight::cancel);
            finish(writer, ended)
        })
    }
}

/// The writer's error came first, where there is one: the other is that it had gone.
fn finish(writer: ScopedJoinHandle<'_, Result<()>>, ended: Result<()>) -> Result<()> {
    match writer.join() {
        Ok(written) => written.and(ended),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Reads on a thread of its own, which nobody waits for: standard input may never end.
fn read(mut reader: Reader) -> Result<Receiver<Result<Task>>> {
    let (send, tasks) = sync_channel(1);
    let work = move || {
        while let Some(task) = next(&mut reader).transpose() {
            let last = task.is_err();
            if send.send(task).is_err() || last {
                return;
            }
        }
    };
    let thread = thread::Builder::new()
        .name("toolpool-read".to_owned())
        .spawn(work);
    thread.map_err(|reason| Error::new(format!("cannot start the thread that reads: {reason}")))?;
    Ok(tasks)
}

/// The next window; a panic of a reader must not pass for the end of the input.
fn next(reader: &mut Reader) -> Result<Option<Task>> {
    catch_unwind(AssertUnwindSafe(|| reader.next())).unwrap_or_else(|_| {
        Err(Error::new(
            "the thread that reads the input panicked; this is an error in toolpool",
        ))
    })
}

/// Writes windows until none can come any more.
fn write(
    directory: &mut Directory,
    windows: &Receiver<Rows>,
    written: &SyncSender<Written>,
) -> Result<()> {
    while let Ok(rows) = windows.recv() {
        // Nobody may be there to be told.
        let _ = written.send(directory.write(&rows)?);
    }
    Ok(())
}

impl Way<'_> {
    /// Until everything is with the writer.
    fn go(&mut self, writer: SyncSender<Rows>, written: Receiver<Written>) -> Result<()> {
        let mut read_error = None;
        loop {
            written
                .try_iter()
                .for_each(|written| self.ledger.written(written));
            self.heed_stop();
            let mut moved = false;
            if self.flights.len() < IN_FLIGHT {
                match self.next_task() {
                    Ok(Some(task)) => {
                        self.begin(task)?;
                        moved = true;
                    }
                    Ok(None) => {}
                    // What was read before is done first.
                    Err(error) => read_error = Some(error),
                }
            }
            moved |= self.land()?;
            moved |= self.hand_over(&writer)?;
            if self.tasks.is_none() && self.flights.is_empty() && self.ready.is_none() {
                break;
            }
            let Self {
                flow,
                ledger,
                flights,
                bytes,
                ..
            } = self;
            self.progress
                .tick(|| snapshot(flow, ledger, flights, bytes.as_ref()));
            if !moved {
                self.wait();
            }
        }
        drop(writer);
        written
            .iter()
            .for_each(|written| self.ledger.written(written));
        match read_error {
            Some(error) => Err(error),
            None if self.stopped => Err(Error::Interrupted),
            None => Ok(()),
        }
    }

    /// Once the user wants it to end, nothing new is begun.
    fn heed_stop(&mut self) {
        if self.heeded || !self.flow.stop.asked() {
            return;
        }
        self.heeded = true;
        self.stopped = self.tasks.take().is_some();
        if !self.flights.is_empty() {
            terminal::note(&format!(
                "finishing {} in flight, of up to a minute each; once more to stop at once, without",
                count(self.flights.len() as u64, "window")
            ));
        }
    }

    fn next_task(&mut self) -> Result<Option<Task>> {
        let Some(tasks) = &self.tasks else {
            return Ok(None);
        };
        match tasks.try_recv() {
            Ok(Ok(task)) => Ok(Some(task)),
            Ok(Err(error)) => {
                self.tasks = None;
                Err(error)
            }
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => {
                self.tasks = None;
                Ok(None)
            }
        }
    }

    fn begin(&mut self, task: Task) -> Result<()> {
        let begin = task.bytes.start;
        self.bytes.get_or_insert(begin..begin);
        let flight = Flight::begin(task, self.flow.model, self.flow.pool, &self.flow.options)?;
        self.flights.push_back(flight);
        Ok(())
    }

    /// Takes the oldest window if it is over. Whether it was.
    fn land(&mut self) -> Result<bool> {
        let over = |flight: &Flight| flight.wait(Duration::ZERO);
        if self.ready.is_some() || !self.flights.front().is_some_and(over) {
            return Ok(false);
        }
        let Some(flight) = self.flights.pop_front() else {
            return Ok(false);
        };
        if let Some(bytes) = &mut self.bytes {
            bytes.end = flight.bytes().end;
        }
        let progress = flight.progress();
        self.ledger.counts.saved += progress.total - progress.unique;
        for report in flight.reports() {
            self.ledger.add_report(report, flight.began);
        }
        let mut landed = flight.land(self.flow.model, &self.names)?;
        in_own_words(&mut landed.rows);
        self.ledger.add(&landed);
        self.flow
            .sizing
            .learn(self.ledger.lengths.residues(), self.ledger.began.elapsed());
        self.ready = Some(landed.rows);
        Ok(true)
    }

    /// Gives the writer what waits for it, if it has time. Whether it had.
    fn hand_over(&mut self, writer: &SyncSender<Rows>) -> Result<bool> {
        let Some(rows) = self.ready.take() else {
            return Ok(false);
        };
        match writer.try_send(rows) {
            Ok(()) => Ok(true),
            Err(TrySendError::Full(rows)) => {
                self.ready = Some(rows);
                Ok(false)
            }
            Err(TrySendError::Disconnected(_)) => {
                Err(Error::new("the thread that writes has ended"))
            }
        }
    }

    /// Waits a little for what is likely to happen next.
    fn wait(&mut self) {
        match (self.flights.front(), &self.ready) {
            (Some(oldest), None) => {
                let _ = oldest.wait(PATIENCE);
            }
            _ => thread::sleep(PATIENCE / 10),
        }
    }
}

/// Says why records failed, and what the tool remarked, as a user of the command understands it.
fn in_own_words(rows: &mut Rows) {
    for outcome in &mut rows.outcomes {
        if let Outcome::Failed(reason) = outcome {
            *reason = tool::in_own_words(reason);
        }
    }
    for remark in &mut rows.remarks {
        remark.text = tool::in_own_words(&remark.text);
    }
}

fn snapshot(
    flow: &Flow,
    ledger: &Ledger,
    flights: &VecDeque<Flight>,
    bytes: Option<&Range<u64>>,
) -> Snapshot {
    let reports: Vec<Report> = flights.iter().flat_map(Flight::reports).collect();
    let progress: Vec<Progress> = flights.iter().map(Flight::progress).collect();
    let sum = |of: fn(&Progress) -> u64| progress.iter().map(of).sum::<u64>();
    let slots = flow.pool.slots().iter().map(|slot| {
        let now = reports
            .iter()
            .filter_map(|report| report.slots.get(slot.number));
        let now: Vec<&SlotReport> = now.collect();
        let before = ledger.slots().get(slot.number);
        let parts = || before.into_iter().chain(now.iter().copied());
        SlotNow {
            device: slot.device.to_string(),
            items: parts().map(|part| part.items).sum(),
            residues: ledger.residues(slot.number)
                + now.iter().map(|part| computed(part)).sum::<u64>(),
            lost: parts().find_map(|part| part.lost.as_ref().map(ToString::to_string)),
        }
    });
    let counts = &ledger.counts;
    let elapsed = ledger.began.elapsed();
    let way = bytes
        .zip(flow.bytes_total)
        .map(|(bytes, total)| (bytes, progressed(bytes, flights), total as f64));
    Snapshot {
        slots: slots.collect(),
        records: counts.resumed + counts.records + sum(|job| job.done),
        saved: counts.saved + sum(|job| job.total - job.unique),
        failed: ledger.failed_before + counts.failed + sum(|job| job.failed),
        share: way.as_ref().map(|(_, done, total)| (done / total).min(1.0)),
        elapsed,
        remaining: way.and_then(|(bytes, done, total)| {
            let passed = done - bytes.start as f64;
            let left = (total - done).max(0.0);
            Duration::try_from_secs_f64(elapsed.as_secs_f64() * left / passed).ok()
        }),
    }
}

/// Residues that a slot computed of a window in flight, about: how many of its items failed is known, which of them only
/// when the window is over.
fn computed(slot: &SlotReport) -> u64 {
    let done = slot.items - slot.failed;
    residues(slot) * done / slot.items.max(1)
}

/// Bytes of the input that are done, those of windows in flight in part.
fn progressed(bytes: &Range<u64>, flights: &VecDeque<Flight>) -> f64 {
    let part =
        |flight: &Flight| flight.share() * (flight.bytes().end - flight.bytes().start) as f64;
    bytes.end as f64 + flights.iter().map(part).sum::<f64>()
}

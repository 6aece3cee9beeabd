//! `toolpool embed`: from files of sequences to a directory of embeddings, again and again until it is whole.

mod deal;
mod flight;
mod flow;
mod histogram;
mod ledger;
mod long;
mod model;
mod reader;
mod seen;
mod sizing;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use toolpool::device::{Kind, Slot};
use toolpool::pool::{JobOptions, Pool};
use toolpool::report::words::{count, whole};

use crate::args::{Embed, LogLevel};
use crate::error::{Error, Result};
use crate::input::{self, Input};
use crate::output::{Directory, Named, Run, Summary, Totals, WINDOW_OF_PARTS, Watch};
use crate::progress::Progress;
use crate::stop::Stop;
use crate::terminal::{self, Ending, Work};
use crate::tool;
use deal::Deal;
use flow::Flow;
use ledger::Ledger;
use model::Model;
use reader::Reader;
use sizing::Sizing;

/// Records of a window where windows must not depend on the machine.
const FIXED_WINDOW: u32 = 1024;

/// Embeds the input, or what is left of it.
pub fn embed(arguments: &Embed, level: LogLevel) -> Result<Work<'_>> {
    let mut input = open_input(arguments)?;
    let model = Model::open(arguments)?;
    let pool = tool::pool(&arguments.computing.devices)?;
    input.begin()?;
    let directory = Directory::open(
        &arguments.output,
        &description(arguments, &model, &pool),
        arguments.force,
    )?;
    let ready = Ready {
        input,
        model,
        pool,
        directory,
    };
    Ok(Box::new(move || go_on(arguments, level, ready)))
}

/// What a run needs.
struct Ready {
    input: Input,
    model: Model,
    pool: Pool,
    directory: Directory,
}

/// Does what is not done.
fn go_on(arguments: &Embed, level: LogLevel, ready: Ready) -> Result<Ending> {
    let Ready {
        input,
        model,
        pool,
        mut directory,
    } = ready;
    // Until now a signal ended the process at once: nothing was under way.
    let stop = Stop::on_signals()?;
    directory
        .notes()
        .iter()
        .for_each(|note| terminal::warn(note));
    if arguments.retry_failed {
        directory.forget_failed()?;
    }
    let had_ended = directory.has_ended();
    let resumed = directory.finished().iter().map(|line| line.count).sum();
    if resumed > 0 && !had_ended {
        terminal::note(&format!("going on after {}", count(resumed, "record")));
    }
    let mut progress = Progress::new(pool.slots(), level);
    let mut session = Session {
        arguments,
        ledger: Ledger::new(resumed, directory.totals().failed),
        flow: Flow {
            options: JobOptions {
                deterministic: arguments.deterministic,
                ..JobOptions::default()
            },
            sizing: Arc::new(sizing(arguments, &model, &pool)),
            bytes_total: input.bytes_total(),
            stop: &stop,
            model: &model,
            pool: &pool,
        },
        directory,
        had_ended,
    };
    let worked = session.work(input, &mut progress);
    drop(progress);
    match worked {
        Ok(totals) => Ok(session.end(totals)),
        Err(Error::Interrupted) => session.pause(),
        Err(error) => Err(error),
    }
}

/// A run from one start of the command to its end.
struct Session<'a> {
    arguments: &'a Embed,
    flow: Flow<'a>,
    directory: Directory,
    ledger: Ledger,
    /// Whether the run had ended before.
    had_ended: bool,
}

impl Session<'_> {
    /// Does all that is left of the run, and makes the directory whole.
    fn work(&mut self, input: Input, progress: &mut Progress) -> Result<Totals> {
        self.compute(input, None, progress)?;
        let stop = self.flow.stop;
        let alike = self
            .directory
            .duplicates(&mut Onlooker { progress, stop })?;
        if !alike.is_empty() {
            let again = open_again(self.arguments, alike.len())?;
            self.compute(again, Some(alike), progress)?;
        }
        let watch = &mut Onlooker { progress, stop };
        if self.arguments.sort {
            self.directory.sort(watch)?;
        }
        let summary = self.summary(true);
        self.directory.finish(&summary, watch)
    }

    fn compute(
        &mut self,
        input: Input,
        only: Option<Vec<u64>>,
        progress: &mut Progress,
    ) -> Result<()> {
        let reader = reader(self.arguments, &self.flow, input, &self.directory, only);
        self.flow
            .run(reader, &mut self.directory, &mut self.ledger, progress)
    }

    /// Whether it has more to say than the session that ended the run, that there was nothing left to do.
    fn is_news(&self) -> bool {
        !self.had_ended || self.ledger.counts.windows > 0
    }

    /// What it leaves in the directory; where it is no news, what is there stays.
    fn summary(&self, whole: bool) -> Summary {
        match self.is_news() {
            true => self.ledger.summary(self.directory.totals(), whole),
            false => Summary::new(),
        }
    }

    /// Says what is in the directory, which is whole.
    fn end(&self, totals: Totals) -> Ending {
        remark(&self.arguments.output, totals);
        self.print(totals, true);
        Ending::of(totals)
    }

    /// Says how far it is, here and in the directory, and how to go on.
    fn pause(&self) -> Result<Ending> {
        let totals = self.directory.pause(&self.summary(false))?;
        terminal::note(&format!(
            "stopped with {} done; the same command goes on from there",
            count(totals.rows + totals.failed, "record")
        ));
        self.print(totals, false);
        Ok(Ending::Interrupted)
    }

    /// Prints what it did.
    fn print(&self, totals: Totals, whole: bool) {
        if self.arguments.json {
            let earlier = (!self.is_news()).then(|| earlier_report(self.arguments));
            let now = || format!("{:#}", self.ledger.json(totals, whole));
            terminal::print_of_work(&earlier.flatten().unwrap_or_else(now));
        } else if self.ledger.counts.windows > 0 {
            terminal::print_of_work(&self.ledger.table());
        }
    }
}

/// Shows what takes long after all is computed, until the user wants it to end.
struct Onlooker<'a> {
    progress: &'a mut Progress,
    stop: &'a Stop,
}

impl Watch for Onlooker<'_> {
    fn look(&mut self, doing: &'static str, done: usize, of: usize) -> bool {
        self.progress.tick_work(doing, done, of);
        !self.stop.asked()
    }
}

/// The summary of the session that did the last of a run.
fn earlier_report(arguments: &Embed) -> Option<String> {
    fs::read_to_string(arguments.output.join("report.json")).ok()
}

/// What the user should know of the rows in a directory, beside that they are there.
pub fn remark(directory: &Path, totals: Totals) {
    let place = directory.display();
    if totals.remarked > 0 {
        terminal::warn(&format!(
            "there are remarks on {}; {place}/remarks.tsv says which, and what",
            count(totals.remarked, "record")
        ));
    }
    if totals.not_finite > 0 {
        terminal::warn(&format!(
            "{} hold values that are not finite; {place}/remarks.tsv says which: the model is damaged, or its \
             activations are beyond the range of --dtype",
            count(totals.not_finite, "record")
        ));
    }
    if totals.overflowed > 0 {
        terminal::warn(&format!(
            "{} beyond 65504 became infinite in fp16; use --output-dtype fp32 to keep them",
            count(totals.overflowed, "value")
        ));
    }
    if totals.failed > 0 {
        terminal::warn(&format!(
            "{} failed; {place}/failures.tsv says which, and why",
            count(totals.failed, "record")
        ));
    }
    terminal::note(&format!("{} rows in {place}", whole(totals.rows)));
}

fn open_input(arguments: &Embed) -> Result<Input> {
    let options = input::Options {
        format: arguments.input_format.map(Into::into),
        column: arguments.column.clone(),
        id_column: arguments.id_column.clone(),
    };
    Input::open(&arguments.inputs, &options)
}

/// For sequences that were taken for duplicates and are none.
fn open_again(arguments: &Embed, sequences: usize) -> Result<Input> {
    if arguments.inputs.iter().any(|input| input == "-") {
        return Err(Error::new(format!(
            "{} share a 64-bit hash with others that differ, and have to be read again, which standard input cannot be; \
             give the same command with a file",
            count(sequences as u64, "sequence")
        )));
    }
    open_input(arguments)
}

fn reader(
    arguments: &Embed,
    flow: &Flow,
    input: Input,
    directory: &Directory,
    only: Option<Vec<u64>>,
) -> Reader {
    let reader = Reader::new(input, Arc::clone(&flow.sizing), directory);
    let reader = match arguments.shard {
        Some(part) => reader.dealing(Deal::new(part), Arc::clone(&flow.model.tool)),
        None => reader,
    };
    match only {
        Some(positions) => reader.only(positions),
        None => reader,
    }
}

/// Records of a window, where it must be the same for everyone who does a part of the run, or does it again.
fn fixed_window(arguments: &Embed) -> Option<u32> {
    let shards = arguments.shard.map(|part| part.count);
    let must = arguments.deterministic || shards.is_some();
    arguments
        .window
        .or_else(|| must.then(|| FIXED_WINDOW.saturating_mul(shards.unwrap_or(1))))
}

fn sizing(arguments: &Embed, model: &Model, pool: &Pool) -> Sizing {
    match fixed_window(arguments) {
        Some(records) => Sizing::fixed(records as usize, model.sizes),
        None => {
            let budget = usize::try_from(model.tool.limits().budget).unwrap_or(usize::MAX);
            Sizing::learnt(model.sizes, budget.saturating_mul(pool.slots().len()))
        }
    }
}

/// What is computed with: that of `auto` is each device's own choice, so that rows of one run do not mix them unseen.
fn dtypes(arguments: &Embed, slots: &[Slot]) -> String {
    match arguments.computing.dtype.as_deref() {
        None | Some("auto") => {
            let bf16 =
                |slot: &Slot| slot.device.kind == Kind::Cuda && slot.device.capability >= (8, 0);
            let types: BTreeSet<_> = slots
                .iter()
                .map(|slot| if bf16(slot) { "bf16" } else { "fp32" })
                .collect();
            types.into_iter().collect::<Vec<_>>().join(" and ")
        }
        Some(dtype) => dtype.to_owned(),
    }
}

/// As people read it; letters that are not of UTF-8 are replaced.
fn shown(path: &OsString) -> String {
    path.display().to_string()
}

fn description(arguments: &Embed, model: &Model, pool: &Pool) -> Run {
    let mut settings = model.settings.clone();
    settings.insert("dtype".to_owned(), dtypes(arguments, pool.slots()));
    let name = match arguments.deterministic {
        true => Some("window"),
        false => arguments.shard.map(|_| WINDOW_OF_PARTS),
    };
    if let (Some(name), Some(window)) = (name, fixed_window(arguments)) {
        settings.insert(name.to_owned(), window.to_string());
    }
    Run {
        outputs: model.outputs.clone(),
        values: arguments.output_dtype.into(),
        format: arguments.format.into(),
        shard: arguments.shard,
        settings,
        named: Named {
            model: arguments.model.clone(),
            inputs: arguments.inputs.iter().map(shown).collect(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_goes_on_until_the_user_wants_it_to_end() {
        for (stop, goes_on) in [(Stop::default(), true), (Stop::already(), false)] {
            let mut progress = Progress::new(&[], LogLevel::Error);
            let mut watch = Onlooker {
                progress: &mut progress,
                stop: &stop,
            };
            assert_eq!(watch.look("sorting", 1, 2), goes_on);
        }
    }
}

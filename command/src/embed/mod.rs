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
use std::fs;
use std::sync::Arc;

use toolpool::device::{Kind, Slot};
use toolpool::pool::{JobOptions, Pool};
use toolpool::report::words::{count, whole};

use crate::args::{Embed, LogLevel};
use crate::error::{Error, Result};
use crate::input::{self, Input};
use crate::output::{Directory, Named, Run, Summary, Totals};
use crate::progress::Progress;
use crate::stop::Stop;
use crate::terminal::{self, Ending, Work};
use crate::tool;
use deal::Deal;
use flow::Flow;
use ledger::Ledger;
use model::Model;
use reader::Reader;
use sizing::{Sizes, Sizing};

/// Records of a window where windows must not depend on the machine.
const FIXED_WINDOW: u32 = 1024;

/// Embeds the input, or what is left of it.
pub fn embed(arguments: &Embed, level: LogLevel) -> Result<Work<'_>> {
    let stop = Stop::on_signals()?;
    let input = open_input(arguments)?;
    let model = Model::open(arguments)?;
    let pool = tool::pool(&arguments.computing.devices)?;
    let directory = Directory::open(
        &arguments.output,
        &description(arguments, &model, &pool),
        arguments.force,
    )?;
    let ready = Ready {
        stop,
        input,
        model,
        pool,
        directory,
    };
    Ok(Box::new(move || go_on(arguments, level, ready)))
}

/// What a run needs.
struct Ready {
    stop: Stop,
    input: Input,
    model: Model,
    pool: Pool,
    directory: Directory,
}

/// Does what is not done.
fn go_on(arguments: &Embed, level: LogLevel, ready: Ready) -> Result<Ending> {
    let Ready {
        stop,
        input,
        model,
        pool,
        mut directory,
    } = ready;
    directory
        .notes()
        .iter()
        .for_each(|note| terminal::warn(note));
    let had_ended = directory.has_ended();
    let resumed = directory.finished().iter().map(|line| line.count).sum();
    if resumed > 0 && !had_ended {
        terminal::note(&format!("going on after {}", count(resumed, "record")));
    }

    let mut ledger = Ledger::new(resumed);
    let mut progress = Progress::new(pool.slots(), level);
    let flow = Flow {
        options: JobOptions {
            deterministic: arguments.deterministic,
            ..JobOptions::default()
        },
        sizing: Arc::new(sizing(arguments, &model, &pool)),
        bytes_total: input.bytes_total(),
        stop: &stop,
        model: &model,
        pool: &pool,
    };
    let mut run = |input: Input, directory: &mut Directory, only: Option<Vec<u64>>| {
        let reader = reader(arguments, &flow, input, directory, only);
        flow.run(reader, directory, &mut ledger, &mut progress)
    };
    let mut complete = run(input, &mut directory, None)?;
    if complete {
        let alike = directory.duplicates()?;
        if !alike.is_empty() {
            complete = run(
                open_again(arguments, alike.len())?,
                &mut directory,
                Some(alike),
            )?;
        }
    }
    drop(progress);
    if !complete {
        let done = directory.totals();
        terminal::note(&format!(
            "stopped with {} done; the same command goes on from there",
            count(done.rows + done.failed, "record")
        ));
        return Ok(Ending::Interrupted);
    }
    // What the session said that ended the run says more than that there was nothing left to do.
    let is_news = !had_ended || ledger.counts.windows > 0;
    end(arguments, directory, &ledger, is_news)
}

/// Makes the directory whole, and says what it holds; where that is no news, the summary that is there stays.
fn end(
    arguments: &Embed,
    mut directory: Directory,
    ledger: &Ledger,
    is_news: bool,
) -> Result<Ending> {
    if arguments.sort {
        directory.sort()?;
    }
    let totals = directory.totals();
    let summary = match is_news {
        true => ledger.summary(totals),
        false => Summary::new(),
    };
    let totals = directory.finish(&summary)?;
    remark(arguments, totals);
    if arguments.json {
        let earlier = (!is_news).then(|| earlier_report(arguments));
        let now = || format!("{:#}", ledger.json(totals));
        terminal::print(&earlier.flatten().unwrap_or_else(now))?;
    } else if ledger.counts.windows > 0 {
        terminal::print(&ledger.table())?;
    }
    Ok(Ending::of(totals))
}

/// The summary of the session that did the last of a run.
fn earlier_report(arguments: &Embed) -> Option<String> {
    fs::read_to_string(arguments.output.join("report.json")).ok()
}

/// What the user should know of the rows, beside that they are there.
fn remark(arguments: &Embed, totals: Totals) {
    let place = arguments.output.display();
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
    let finished = directory.finished().to_vec();
    let reader = Reader::new(input, Arc::clone(&flow.sizing), finished);
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
    let sizes = Sizes {
        record: model.record_bytes,
        residue: model.residue_bytes,
    };
    match fixed_window(arguments) {
        Some(records) => Sizing::fixed(records as usize, sizes),
        None => {
            let budget = usize::try_from(model.tool.limits().budget).unwrap_or(usize::MAX);
            Sizing::learnt(sizes, budget.saturating_mul(pool.slots().len()))
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

fn description(arguments: &Embed, model: &Model, pool: &Pool) -> Run {
    let mut settings = model.settings.clone();
    settings.insert("dtype".to_owned(), dtypes(arguments, pool.slots()));
    if arguments.deterministic || arguments.shard.is_some() {
        let window = fixed_window(arguments).unwrap_or_default();
        settings.insert("window".to_owned(), window.to_string());
    }
    Run {
        outputs: model.outputs.clone(),
        values: arguments.output_dtype.into(),
        format: arguments.format.into(),
        shard: arguments.shard,
        settings,
        named: Named {
            model: arguments.model.clone(),
            inputs: arguments.inputs.clone(),
        },
    }
}

//! The `toolpool` command.

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use clap_complete::Shell;
use toolpool_command::args::{Command, Merge, Toolpool, Verify};
use toolpool_command::error::{Error, Result};
use toolpool_command::terminal::{self, Ending, Work};
use toolpool_command::{bench, devices, embed, fetch, output, run, stop, version};

fn main() -> ExitCode {
    let arguments = Toolpool::parse();
    terminal::listen(arguments.log_level);
    let ended = |error: Error, ending: fn(&Error) -> Ending| {
        terminal::report(&error);
        ending(&error)
    };
    let ending = match prepare(&arguments) {
        Ok(work) => work().unwrap_or_else(|error| ended(error, Ending::amid)),
        Err(error) => ended(error, Ending::before),
    };
    ending.into()
}

/// Looks at everything that can be wrong before the work begins.
fn prepare(arguments: &Toolpool) -> Result<Work<'_>> {
    stop::outlive_file_limits()?;
    if arguments.version {
        return Ok(Box::new(|| terminal::print(&version::text())));
    }
    Ok(match &arguments.command {
        None => Box::new(|| terminal::print(&Toolpool::command().render_help().to_string())),
        Some(Command::Devices(devices)) => Box::new(|| terminal::print(&devices::table(devices))),
        Some(Command::Embed(embed)) => embed::embed(embed, arguments.log_level)?,
        Some(Command::Run(run)) => run::run(run)?,
        Some(Command::Fetch(fetch)) => fetch::fetch(fetch)?,
        Some(Command::Merge(merge)) => join(merge)?,
        Some(Command::Verify(verify)) => look_through(verify)?,
        Some(Command::Bench(bench)) => bench::bench(bench)?,
        Some(Command::Completions { shell }) => Box::new(|| complete(*shell)),
    })
}

fn complete(shell: Shell) -> Result<Ending> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Toolpool::command(), "toolpool", &mut script);
    terminal::print(&String::from_utf8_lossy(&script))
}

fn join(arguments: &Merge) -> Result<Work<'_>> {
    let merge = output::merge(&arguments.parts, &arguments.output)?;
    Ok(Box::new(move || {
        let totals = merge()?;
        if arguments.sort {
            output::sort(&arguments.output)?;
        }
        embed::remark(&arguments.output, totals);
        Ok(Ending::of(totals))
    }))
}

fn look_through(arguments: &Verify) -> Result<Work<'_>> {
    let directory = &arguments.directory;
    output::has_ended(directory)?;
    Ok(Box::new(move || {
        let mut damaged = match arguments.repair {
            true => output::repair(directory)?,
            false => output::verify(directory)?,
        };
        if !output::has_ended(directory)? {
            damaged.push("the run has not ended; give its command again".to_owned());
        }
        if damaged.is_empty() {
            terminal::note(&format!("{} is whole", directory.display()));
            return Ok(Ending::Whole);
        }
        terminal::print(&damaged.join("\n"))?;
        Ok(Ending::Failed)
    }))
}

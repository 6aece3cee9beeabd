//! The `toolpool` command.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use toolpool_command::args::{Command, Merge, Toolpool};
use toolpool_command::error::{Error, Result};
use toolpool_command::terminal::{self, Ending};
use toolpool_command::{bench, devices, embed, fetch, output, run, version};

fn main() -> ExitCode {
    let arguments = Toolpool::parse();
    terminal::listen(arguments.log_level);
    let ending = dispatch(&arguments);
    match ending {
        Ok(ending) => ending.into(),
        Err(error) => {
            terminal::report(&error);
            match error {
                Error::Usage(_) => Ending::Usage.into(),
                _ => Ending::Failed.into(),
            }
        }
    }
}

fn dispatch(arguments: &Toolpool) -> Result<Ending> {
    if arguments.version {
        return terminal::print(&version::text());
    }
    match &arguments.command {
        None => terminal::print(&Toolpool::command().render_help().to_string()),
        Some(Command::Devices(devices)) => terminal::print(&devices::table(devices)),
        Some(Command::Embed(embed)) => embed::embed(embed, arguments.log_level),
        Some(Command::Run(run)) => run::run(run),
        Some(Command::Fetch(fetch)) => fetch::fetch(fetch),
        Some(Command::Merge(merge)) => join(merge),
        Some(Command::Verify { directory }) => verify(directory),
        Some(Command::Bench(bench)) => bench::bench(bench),
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Toolpool::command(), "toolpool", &mut script);
            io::stdout()
                .write_all(&script)
                .map_err(terminal::cannot_print)?;
            Ok(Ending::Whole)
        }
    }
}

fn join(arguments: &Merge) -> Result<Ending> {
    let totals = output::merge(&arguments.parts, &arguments.output)?;
    if arguments.sort {
        output::sort(&arguments.output)?;
    }
    let place = arguments.output.display();
    terminal::note(&format!("{} rows in {place}", totals.rows));
    Ok(Ending::of(totals))
}

fn verify(directory: &Path) -> Result<Ending> {
    let mut damaged = output::verify(directory)?;
    if !output::has_ended(directory)? {
        damaged.push("the run has not ended; give its command again".to_owned());
    }
    if damaged.is_empty() {
        terminal::note(&format!("{} is whole", directory.display()));
        return Ok(Ending::Whole);
    }
    terminal::print(&damaged.join("\n"))?;
    Ok(Ending::Failed)
}

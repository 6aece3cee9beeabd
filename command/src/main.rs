//! The `toolpool` command.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use toolpool_command::args::{Command, Toolpool};
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
        Some(Command::Merge(merge)) => output::merge(&merge.parts, &merge.output).and_then(|totals| {
            if merge.sort {
                output::sort(&merge.output)?;
            }
            terminal::note(&format!("{} rows in {}", totals.rows, merge.output.display()));
            Ok(Ending::of(totals))
        }),
        Some(Command::Bench(bench)) => bench::bench(bench),
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Toolpool::command(), "toolpool", &mut script);
            io::stdout().write_all(&script).map_err(terminal::cannot_print)?;
            Ok(Ending::Whole)
        }
    }
}

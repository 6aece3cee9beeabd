//! What the user sees on standard output and standard error, and the exit codes.

use std::collections::HashSet;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use console::style;
use indicatif::MultiProgress;
use toolpool::log::{Level, log, set_sink};

use crate::args::LogLevel;
use crate::error::{Error, Result};
use crate::output::Totals;

/// What a command does once nothing speaks against it. Until then it has begun nothing.
pub type Work<'a> = Box<dyn FnOnce() -> Result<Ending> + 'a>;

/// How a command ended; its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Whole,
    Failed,
    Usage,
    Partial,
    InUse,
    Interrupted,
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> Self {
        Self::from(match ending {
            Ending::Whole => 0,
            Ending::Failed => 1,
            Ending::Usage => 2,
            Ending::Partial => 3,
            Ending::InUse => 4,
            Ending::Interrupted => 130,
        })
    }
}

impl Ending {
    /// That of a directory that is finished.
    #[must_use]
    pub fn of(totals: Totals) -> Self {
        match totals.failed {
            0 => Self::Whole,
            _ => Self::Partial,
        }
    }

    /// That of a command which an error kept from beginning. Another command line mends that, but for a full disk and a
    /// directory that another process has.
    #[must_use]
    pub fn before(error: &Error) -> Self {
        match error {
            Error::InUse(_) => Self::InUse,
            _ if error.is_full() => Self::Failed,
            _ => Self::Usage,
        }
    }

    /// That of work which an error ended.
    #[must_use]
    pub fn amid(error: &Error) -> Self {
        match error {
            Error::Usage(_) => Self::Usage,
            Error::InUse(_) => Self::InUse,
            Error::Interrupted => Self::Interrupted,
            Error::Failed(_) | Error::File { .. } => Self::Failed,
        }
    }
}

/// Sends what the library and the command log to standard error.
pub fn listen(level: LogLevel) {
    let said = Said::default();
    let sink = move |level, line: &str| {
        if said.is_new(level, line) {
            say(&dressed(level, line));
        }
    };
    set_sink(Some((most(level), Box::new(sink))));
}

/// The same, above progress that is being drawn, until [`listen`] is called again.
pub fn listen_above(level: LogLevel, bars: MultiProgress) {
    let said = Said::default();
    let sink = move |level, line: &str| {
        if said.is_new(level, line) {
            // Progress that is not drawn any more has no lines above it.
            let _ = bars.println(dressed(level, line));
        }
    };
    set_sink(Some((most(level), Box::new(sink))));
}

/// Warnings that were said: the same one says nothing more. A batch that fails is split, and each part fails alike.
#[derive(Default)]
struct Said(Mutex<HashSet<String>>);

impl Said {
    /// As many are remembered.
    const MOST: usize = 1000;

    fn is_new(&self, level: Level, line: &str) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if level != Level::Warning || said.len() == Self::MOST {
            return true;
        }
        said.insert(line.to_owned())
    }
}

fn most(level: LogLevel) -> Level {
    match level {
        LogLevel::Error => Level::Error,
        LogLevel::Warning => Level::Warning,
        LogLevel::Info => Level::Info,
    }
}

fn dressed(level: Level, line: &str) -> String {
    let label = match level {
        Level::Error => style("error: ").for_stderr().red().bold(),
        Level::Warning => style("warning: ").for_stderr().yellow(),
        Level::Info => style("").for_stderr(),
    };
    format!("toolpool: {label}{line}")
}

/// A line that tells what happened.
pub fn note(line: &str) {
    log(Level::Info, line);
}

/// A line about something that the user may not want.
pub fn warn(line: &str) {
    log(Level::Warning, line);
}

/// Why the command failed: shown whatever the level.
pub fn report(error: &Error) {
    say(&dressed(Level::Error, &error.to_string()));
}

/// A line on standard error; where that is full or gone, nobody is left to be told, and the work goes on.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Prints what was asked for on standard output. Who closes that early has read enough.
pub fn print(text: &str) -> Result<Ending> {
    let mut out = io::stdout();
    let printed = writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush());
    match printed {
        Err(reason) if reason.kind() != io::ErrorKind::BrokenPipe => Err(Error::new(format!(
            "cannot write to standard output: {reason}"
        ))),
        _ => Ok(Ending::Whole),
    }
}

/// As [`print()`], of work that is done, whether anybody can read of it or not.
pub fn print_of_work(text: &str) {
    if let Err(error) = print(text) {
        warn(&error.to_string());
    }
}

//! Opening tools and pools as the command line says.

use toolpool::device;
use toolpool::error::{Error as Refusal, Status};
use toolpool::ffi::batch::HOST;
use toolpool::pool::Pool;
use toolpool::tools::Opened;

use crate::args::{Computing, Isolation};
use crate::error::{Error, Result};

/// Opens a tool and sets its options: those of the command line, then `more`, of which each is an option of the command by
/// the same name, then each `--set`.
pub fn open(
    kind: &str,
    source: &str,
    computing: &Computing,
    more: &[(&str, Option<String>)],
) -> Result<Opened> {
    let mut tool = Opened::open(kind, source, &HOST).map_err(refused)?;
    let mut set = |key: &str, value: &str| tool.set(key, value).map_err(refused);
    if let Some(dtype) = &computing.dtype {
        set("dtype", dtype)?;
    }
    for (key, value) in more {
        if let Some(value) = value {
            set(key, value)?;
        }
    }
    for (key, value) in &computing.set {
        let own = ["dtype", "isolation"].into_iter();
        if own
            .chain(more.iter().map(|(key, _)| *key))
            .any(|own| own == key)
        {
            return Err(Error::usage(format!(
                "--set {key} would go past an option of this command; give --{}",
                key.replace('_', "-")
            )));
        }
        set(key, value)?;
    }
    if computing.isolation == Isolation::Process {
        set("isolation", "process")?;
    }
    Ok(tool)
}

/// Starts a worker on each slot that `devices` names.
pub fn pool(devices: &str) -> Result<Pool> {
    let slots = device::parse(Some(devices), &device::visible()).map_err(refused)?;
    Pool::open(slots).map_err(refused)
}

/// The library's refusal, in its own words.
#[must_use]
pub fn refused(refusal: Refusal) -> Error {
    match refusal.status() {
        Status::Argument | Status::Device | Status::Option | Status::Tool | Status::Model => {
            Error::usage(refusal.to_string())
        }
        _ => Error::new(refusal.to_string()),
    }
}

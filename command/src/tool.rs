//! Opening tools and pools as the command line says.

use toolpool::device;
use toolpool::error::{Error as Refusal, Status};
use toolpool::ffi::batch::HOST;
use toolpool::mem::{Field, Items};
use toolpool::pool::Pool;
use toolpool::tool::Tool;
use toolpool::tools::Opened;

use crate::args::{Computing, Isolation};
use crate::error::{Error, Result};

/// Opens a tool and sets its options: those of the command line, then `more`, of which each is an option of the command
/// by the same name, then each `--set`.
pub fn open(
    kind: &str,
    source: &str,
    computing: &Computing,
    more: &[(&str, Option<String>)],
) -> Result<Opened> {
    let mut tool = Opened::open(kind, source, &HOST).map_err(refused)?;
    let mut own = vec![("dtype", computing.dtype.clone())];
    own.extend_from_slice(more);
    for (key, value) in &own {
        if let Some(value) = value {
            tool.set(key, value)
                .map_err(|refusal| refused_option(key, &refusal))?;
        }
    }
    for (key, value) in &computing.set {
        if key == "isolation" || own.iter().any(|(own, _)| own == key) {
            return Err(Error::usage(format!(
                "--set {key} would go past an option of this command; give {}",
                on_command_line(key)
            )));
        }
        tool.set(key, value).map_err(refused)?;
    }
    if computing.isolation == Isolation::Process {
        tool.set("isolation", "process").map_err(refused)?;
    }
    Ok(tool)
}

/// Cost and extent of each sequence, as the tool measures items.
pub fn measure<'a>(
    tool: &dyn Tool,
    sequences: impl ExactSizeIterator<Item = &'a [u8]> + Clone,
) -> Result<Vec<(f64, u64)>> {
    let count = sequences.len();
    let field = Field::copied("sequence", sequences).map_err(refused)?;
    let items = Items::new(field);
    Ok((0..count).map(|item| tool.measure(&items, item)).collect())
}

/// Starts a worker on each slot that `devices` names.
pub fn pool(devices: &str) -> Result<Pool> {
    let slots = device::parse(Some(devices), &device::visible()).map_err(refused)?;
    Pool::open(slots).map_err(refused)
}

/// A tool's message, in which options are called as on the command line: those that are no words of another kind.
#[must_use]
pub fn in_own_words(message: &str) -> String {
    let options = ["on_long", "max_length", "tokens_per_batch"];
    options.iter().fold(message.to_owned(), |text, option| {
        let own = on_command_line(option);
        text.replace(&format!("{option}="), &format!("{own} "))
            .replace(option, &own)
    })
}

/// That an option of the command cannot be what it was given.
fn refused_option(key: &str, refusal: &Refusal) -> Error {
    let said = refusal.to_string();
    Error::usage(said.replacen(key, &on_command_line(key), 1))
}

fn on_command_line(key: &str) -> String {
    format!("--{}", key.replace('_', "-"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_called_as_on_the_command_line() {
        assert_eq!(
            in_own_words("above max_length (9); set on_long to whole (on_long=error)"),
            "above --max-length (9); set --on-long to whole (--on-long error)"
        );
    }
}

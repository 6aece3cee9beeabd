//! Which columns of a table hold ids and sequences.

use super::Options;
use crate::error::{Error, Result};

/// The columns that are read, by position.
pub struct Columns {
    pub id: usize,
    pub sequence: usize,
}

impl Columns {
    /// Those that the options name, else those called as usual. `table` is for messages.
    pub fn find(names: &[String], options: &Options, table: &str) -> Result<Self> {
        let find = |what, option, wanted: &Option<String>, usual: &[&str]| {
            let column = match wanted {
                Some(wanted) => only(names, |name| name == wanted),
                None => usual
                    .iter()
                    .find_map(|usual| only(names, |name| name.eq_ignore_ascii_case(usual))),
            };
            column.ok_or_else(|| {
                let wanted = wanted.as_ref().map_or_else(|| usual.join(" or "), |wanted| format!("`{wanted}`"));
                Error::usage(format!(
                    "{table} has no column of {what}, one that is called {wanted}; name it by {option}; there are: {}",
                    names.join(", ")
                ))
            })
        };
        Ok(Self {
            id: find("ids", "--id-column", &options.id_column, &["id", "name"])?,
            sequence: find(
                "sequences",
                "--column",
                &options.column,
                &["sequence", "seq"],
            )?,
        })
    }
}

impl Options {
    /// Refuses what is said of columns where there are none.
    pub fn must_name_no_columns(&self, file: &str) -> Result<()> {
        let given = [("--column", &self.column), ("--id-column", &self.id_column)];
        match given.iter().find(|(_, name)| name.is_some()) {
            None => Ok(()),
            Some((option, _)) => Err(Error::usage(format!(
                "{option} is for tables, and {file} is a FASTA: leave it out, or say what the file is by \
                 --input-format csv|tsv|parquet"
            ))),
        }
    }
}

/// The position of the only name that is as asked for.
fn only(names: &[String], is_it: impl Fn(&str) -> bool) -> Option<usize> {
    let mut positions = (0..names.len()).filter(|&position| is_it(&names[position]));
    positions.next().filter(|_| positions.next().is_none())
}

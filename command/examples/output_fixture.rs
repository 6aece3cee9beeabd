//! Writes small output directories whose content is known, for the tests of the readers in docs/output.md.
//! Usage: output_fixture DIRECTORY, which becomes `parquet/`, `halves/` and `npy/`.

#[path = "../tests/made/mod.rs"]
mod made;

use std::path::PathBuf;

use made::{Made, run};
use toolpool_command::error::Result;
use toolpool_command::output::{Directory, Format, Run, Unwatched, ValueType};

fn main() -> Result<()> {
    let Some(directory) = std::env::args_os().nth(1).map(PathBuf::from) else {
        return Err(toolpool_command::error::Error::usage(
            "usage: output_fixture DIRECTORY",
        ));
    };
    let made = Made::new(600, 250);
    for (name, format, values) in [
        ("parquet", Format::Parquet, ValueType::Float32),
        ("halves", Format::Parquet, ValueType::Float16),
        ("npy", Format::Npy, ValueType::Float32),
    ] {
        let run = Run {
            format,
            values,
            ..run()
        };
        let mut output = Directory::open(&directory.join(name), &run, false)?;
        made.write_all(&mut output)?;
        output.duplicates(&mut Unwatched)?;
        output.finish(&Vec::new(), &mut Unwatched)?;
    }
    Ok(())
}

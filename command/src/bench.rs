//! `toolpool bench`: this machine's figures, one table.
use crate::args::Bench;
use crate::error::Result;
use crate::terminal::Ending;

pub fn bench(_arguments: &Bench) -> Result<Ending> {
    todo!()
}

//! What takes long, before the eyes of whoever waits for it.

use crate::error::{Error, Result};

/// Looks on while a directory does what takes long, between its steps.
pub trait Watch {
    /// So many of so many steps of what `doing` names are done. Whether to go on: if not, what is done so far stays, and
    /// the work ends in [`Error::Interrupted`].
    fn look(&mut self, doing: &'static str, done: usize, of: usize) -> bool;
}

/// Nobody looks on.
pub struct Unwatched;

impl Watch for Unwatched {
    fn look(&mut self, _doing: &'static str, _done: usize, _of: usize) -> bool {
        true
    }
}

/// The steps of one work.
pub struct Steps<'a> {
    watch: &'a mut dyn Watch,
    doing: &'static str,
    of: usize,
}

impl<'a> Steps<'a> {
    pub fn new(watch: &'a mut dyn Watch, doing: &'static str, of: usize) -> Self {
        Self { watch, doing, of }
    }

    /// So many are done; an error where that is to be all.
    pub fn done(&mut self, done: usize) -> Result<()> {
        match self.watch.look(self.doing, done, self.of) {
            true => Ok(()),
            false => Err(Error::Interrupted),
        }
    }
}

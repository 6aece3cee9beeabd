//! What the records of a window came to.

use crate::window::Window;

/// What became of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It has its outputs.
    Done,
    /// It has none, for this reason.
    Failed(String),
    /// It has the outputs of an earlier record, by position in the whole input, whose sequence is the same. That record is
    /// of the same directory, done or failed.
    Same(u64),
    /// It is another directory's: of another shard of the run, or already there.
    Elsewhere,
}

/// What is to be said of a record that has its outputs: that it was cut, or holds letters that the model does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// Of the window.
    pub record: usize,
    pub text: String,
}

/// A window that is done.
pub struct Rows {
    pub window: Window,
    /// A digest of its ids and sequences (XXH3, 128 bits): whether an input has changed.
    pub digest: u128,
    /// One each record.
    pub outcomes: Vec<Outcome>,
    /// On records that are [`Outcome::Done`], in ascending order of these; a record may have several.
    pub remarks: Vec<Remark>,
    pub values: Box<dyn Values>,
}

/// The outputs of the records of a window.
pub trait Values: Send {
    /// The names of the outputs: the same for every record and window of a run.
    fn names(&self) -> Vec<String>;

    /// The shape and the values, in row-major order, of an output of a record that is [`Outcome::Done`].
    fn get(&self, record: usize, name: &str) -> (&[usize], &[f32]);
}

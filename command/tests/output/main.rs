//! Output directories: what they promise when runs are cut off, disks are full, files are damaged, and parts are
//! joined.
//!
//! What the files say is judged by other readers, in tests/command/test_output.py; here, that they are the same bytes
//! as those of a run that nothing happened to.

mod copies;
mod folders;
mod interrupted;
#[path = "../made/mod.rs"]
mod made;
mod opened;
mod parts;
mod places;

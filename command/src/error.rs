//! What goes wrong, in words for the user.

use std::io;
use std::path::{Path, PathBuf};

/// Names the thing, the reason and the way out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What was asked for does not go with what is there, whenever that is found: another command line mends it.
    #[error("{0}")]
    Usage(String),
    /// Another process has what was asked for, for as long as it lives.
    #[error("{0}")]
    InUse(String),
    /// The user, or the machine's scheduler, wanted it to end.
    #[error("interrupted")]
    Interrupted,
    /// It could not be done.
    #[error("{0}")]
    Failed(String),
    /// A file or folder, what was done to it, and why that failed.
    #[error("cannot {doing} {}: {source}{}", path.display(), way_out(source))]
    File {
        doing: &'static str,
        path: PathBuf,
        source: io::Error,
    },
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Something failed; most errors are of this kind.
    pub fn new(message: impl Into<String>) -> Self {
        Self::Failed(message.into())
    }

    /// What was asked for does not go with what is there.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    /// For `map_err` of what is done to a file: `doing` completes "cannot … PATH", as in "write".
    pub fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File {
            doing,
            path: path.to_owned(),
            source,
        }
    }

    /// Whether the disk, or the user's share of it, is full.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::File { source, .. } if is_full(source))
    }
}

fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

fn way_out(error: &io::Error) -> &'static str {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    match error.kind() {
        _ if is_full(error) => "; make space and give the same command again: it goes on from here",
        PermissionDenied | ReadOnlyFilesystem => {
            "; choose another place, or change who may write there"
        }
        _ => "",
    }
}

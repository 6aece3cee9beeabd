//! One process a directory.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::Path;

use crate::error::{Error, Result};

/// The name of the file whose lock is held; its text says by whom.
pub const NAME: &str = "lock";

/// A directory that is this process's alone until this is dropped, or the process ends in whatever way.
pub struct Lock {
    _file: File,
}

impl Lock {
    pub fn take(directory: &Path) -> Result<Self> {
        let path = directory.join(NAME);
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(Error::file("create", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(directory, &path)),
            Err(TryLockError::Error(error)) => return Err(Error::file("lock", &path)(error)),
        }
        file.set_len(0)
            .and_then(|()| write!(file, "process {} on {}", std::process::id(), host()))
            .map_err(Error::file("write", &path))?;
        Ok(Self { _file: file })
    }
}

fn in_use(directory: &Path, lock: &Path) -> Error {
    let holder = fs::read_to_string(lock).unwrap_or_default();
    let holder = if holder.is_empty() {
        "another process"
    } else {
        &holder
    };
    Error::InUse(format!(
        "{} is in use by {holder}; wait for it to end, or choose another directory",
        directory.display()
    ))
}

fn host() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "this machine".into(), |name| name.trim().into())
}

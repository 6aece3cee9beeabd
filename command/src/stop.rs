//! Ctrl-C: the first asks the run to end well, the second ends it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag;

use crate::error::{Error, Result};

/// From now on a write beyond the limit of a file's size (`ulimit -f`) fails, as one to a full disk does, and does not
/// end the process.
pub fn outlive_file_limits() -> Result<()> {
    // A handler that nobody asks: the signal is neither ignored nor fatal then, and what is started has it as it was.
    flag::register(SIGXFSZ, Arc::default())
        .map(drop)
        .map_err(refused)
}

fn refused(reason: std::io::Error) -> Error {
    Error::new(format!("cannot handle signals: {reason}"))
}

/// Whether the user, or the machine's scheduler, wants the run to end.
#[derive(Clone, Default)]
pub struct Stop {
    asked: Arc<AtomicBool>,
}

impl Stop {
    /// From now on SIGINT and SIGTERM only ask; one that comes when another has asked ends the process at once.
    pub fn on_signals() -> Result<Self> {
        let stop = Self::default();
        for signal in [SIGINT, SIGTERM] {
            // In this order: a signal sees what those before it have asked.
            flag::register_conditional_default(signal, Arc::clone(&stop.asked))
                .and_then(|_| flag::register(signal, Arc::clone(&stop.asked)))
                .map_err(refused)?;
        }
        Ok(stop)
    }

    /// One that was asked already.
    #[cfg(test)]
    pub fn already() -> Self {
        Self {
            asked: Arc::new(AtomicBool::new(true)),
        }
    }

    #[must_use]
    pub fn asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

//! Ctrl-C: the first asks the run to end well, the second ends it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::error::{Error, Result};

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
                .map_err(|reason| Error::new(format!("cannot handle signals: {reason}")))?;
        }
        Ok(stop)
    }

    #[must_use]
    pub fn asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

//! How much goes into a window.

use std::sync::Mutex;
use std::time::Duration;

use crate::input::Limit;

/// A window is about so much work: what a crash costs, at most, for each window in flight.
const WORK: Duration = Duration::from_secs(60);
const FEWEST_RECORDS: usize = 256;
const MOST_RECORDS: usize = 32_768;
const MOST_RESIDUES: usize = 8 << 20;
/// What the outputs of a window may take; several windows are in memory at a time.
const MOST_BYTES: usize = 48 << 20;
/// Batches that each slot finds in a window, whatever their outputs take.
const BATCHES: usize = 8;

/// What the outputs of a record and of a residue take, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    pub record: usize,
    pub residue: usize,
}

/// The sizes of windows.
pub enum Sizing {
    /// All alike, whatever the machine: for runs that must be cut alike.
    Fixed(Limit),
    /// By the speed so far; until it is known, a batch for each slot, however slow it is.
    Learnt {
        first: Limit,
        most: Limit,
        speed: Mutex<Option<f64>>,
    },
}

impl Sizing {
    /// Windows of at most `records`, whatever the machine.
    #[must_use]
    pub fn fixed(records: usize, sizes: Sizes) -> Self {
        let residues = (2 * MOST_BYTES / sizes.residue.max(1)).clamp(64 << 10, MOST_RESIDUES);
        Self::Fixed(Limit { records, residues })
    }

    /// Windows of about a minute, for slots whose batches together hold so many residues.
    #[must_use]
    pub fn learnt(sizes: Sizes, batches: usize) -> Self {
        let enough = batches.saturating_mul(BATCHES);
        let most = Limit {
            records: (MOST_BYTES / sizes.record.max(1)).clamp(FEWEST_RECORDS, MOST_RECORDS),
            residues: (MOST_BYTES / sizes.residue.max(1))
                .min(MOST_RESIDUES)
                .max(enough),
        };
        Self::Learnt {
            first: Limit {
                residues: batches.min(most.residues),
                ..most
            },
            most,
            speed: Mutex::default(),
        }
    }

    /// The slots have done so many residues in so much time, since the run began.
    pub fn learn(&self, residues: u64, time: Duration) {
        if let Self::Learnt { speed, .. } = self
            && let Ok(mut speed) = speed.lock()
        {
            *speed = Some(residues as f64 / time.as_secs_f64()).filter(|speed| speed.is_finite());
        }
    }

    /// How much the next window may hold.
    #[must_use]
    pub fn limit(&self) -> Limit {
        match self {
            Self::Fixed(limit) => *limit,
            Self::Learnt { first, most, speed } => match speed.lock().ok().and_then(|speed| *speed)
            {
                None => *first,
                Some(speed) => Limit {
                    residues: ((speed * WORK.as_secs_f64()) as usize).clamp(1, most.residues),
                    ..*most
                },
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEANS: Sizes = Sizes {
        record: 1280,
        residue: 0,
    };

    #[test]
    fn the_first_window_is_a_batch_a_slot_and_the_next_a_minute_of_work() {
        let sizing = Sizing::learnt(MEANS, 8192);
        assert_eq!(sizing.limit().residues, 8192);
        sizing.learn(60_000, Duration::from_secs(2));
        assert_eq!(sizing.limit().residues, 1_800_000);
        sizing.learn(u64::MAX, Duration::from_secs(1));
        assert_eq!(sizing.limit().residues, MOST_RESIDUES);
    }

    #[test]
    fn wide_outputs_make_windows_small_but_leave_every_slot_its_batches() {
        let wide = Sizes {
            record: 0,
            residue: 5120,
        };
        let limit = |batches| {
            let sizing = Sizing::learnt(wide, batches);
            sizing.learn(u64::MAX, Duration::from_secs(1));
            sizing.limit().residues
        };
        assert_eq!(limit(100), MOST_BYTES / 5120);
        assert_eq!(limit(32_768), BATCHES * 32_768);
    }

    #[test]
    fn fixed_windows_learn_nothing() {
        let sizing = Sizing::fixed(1024, MEANS);
        let before = sizing.limit();
        sizing.learn(1, Duration::from_secs(9));
        assert_eq!((sizing.limit(), before.records), (before, 1024));
    }
}

//! What a caller can say about a job.

use std::time::Duration;

/// What a caller can say about a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobOptions {
    /// Whether items of equal content are computed once.
    pub dedup: bool,
    /// Workers pause while finished outputs that nobody has taken are larger than this, in bytes.
    pub pending_bytes: u64,
    /// The job ends so long after its submission, with what is done by then.
    pub time_limit: Option<Duration>,
    /// A batch that takes longer is given up, and its slot until the tool returns.
    pub batch_time_limit: Option<Duration>,
    /// How often an item is tried again when the tool calls its error transient.
    pub retries: u32,
    /// Whether batches are formed from the items alone, so that results do not depend on the slots.
    pub deterministic: bool,
    /// What becomes of the job when a device is lost.
    pub on_device_lost: OnDeviceLost,
}

/// What becomes of a job that loses a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDeviceLost {
    /// The other slots do its work.
    Continue,
    /// It fails, or keeps what is done.
    Fail,
}

impl Default for JobOptions {
    fn default() -> Self {
        Self {
            dedup: true,
            pending_bytes: u64::MAX,
            time_limit: None,
            batch_time_limit: None,
            retries: 3,
            deterministic: false,
            on_device_lost: OnDeviceLost::Continue,
        }
    }
}

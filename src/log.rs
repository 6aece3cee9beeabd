//! Log lines, for whoever asks for them.

use std::sync::Arc;

use parking_lot::RwLock;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i32)]
pub enum Level {
    Error = 1,
    Warning = 2,
    Info = 3,
}

type Sink = Arc<dyn Fn(Level, &str) + Send + Sync>;

static SINK: RwLock<Option<(Level, Sink)>> = RwLock::new(None);

/// Sends lines of at most `level` to `sink`, from whichever thread they come; `None`: nowhere.
pub fn set_sink(sink: Option<(Level, Sink)>) {
    *SINK.write() = sink;
}

/// Logs a line, if somebody listens.
pub fn log(level: Level, message: &str) {
    let sink = SINK.read().clone();
    if let Some((most, sink)) = sink
        && level <= most
    {
        sink(level, message);
    }
}

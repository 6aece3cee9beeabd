//! Log lines, for whoever asks for them.

use parking_lot::RwLock;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i32)]
pub enum Level {
    Error = 1,
    Warning = 2,
    Info = 3,
}

type Sink = Box<dyn Fn(Level, &str) + Send + Sync>;

static SINK: RwLock<Option<(Level, Sink)>> = RwLock::new(None);

/// Sends lines of at most `level` to `sink`, from whichever thread they come; `None`: nowhere. No line goes to the sink
/// before once this returns, so it must not be called by a sink.
pub fn set_sink(sink: Option<(Level, Sink)>) {
    let before = std::mem::replace(&mut *SINK.write(), sink);
    drop(before);
}

/// Logs a line, if somebody listens.
pub fn log(level: Level, message: &str) {
    if let Some((most, sink)) = &*SINK.read()
        && level <= *most
    {
        sink(level, message);
    }
}

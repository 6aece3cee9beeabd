//! Log lines, for whoever asks for them.

use std::panic::{AssertUnwindSafe, catch_unwind};

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

/// Logs a line, if somebody listens. A sink that panics loses the line: workers log, and one that unwound would never
/// end.
pub fn log(level: Level, message: &str) {
    if let Some((most, sink)) = &*SINK.read()
        && level <= *most
    {
        let _ = catch_unwind(AssertUnwindSafe(|| sink(level, message)));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_sink_that_panics_loses_its_line_and_nothing_else() {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let sink = move |_: Level, line: &str| {
            if line == "for the sink that panics" {
                counted.fetch_add(1, Ordering::Relaxed);
                panic!("the sink's own");
            }
        };
        set_sink(Some((Level::Info, Box::new(sink))));
        for _ in 0..2 {
            log(Level::Info, "for the sink that panics");
        }
        set_sink(None);
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }
}

//! A line now and then, for logs.

use std::time::Duration;

use super::line::Line;
use super::{Snapshot, clock};
use crate::terminal;

pub struct Plain;

impl Plain {
    pub const EVERY: Duration = Duration::from_secs(10);

    pub fn print(&self, now: &Snapshot, total: &Line) {
        terminal::note(&line(now, &total.whole()));
    }
}

/// `0:01:00  42 %  0:01:23 left  1,234 records  …`
fn line(now: &Snapshot, total: &str) -> String {
    let mut line = clock(now.elapsed);
    if let Some(share) = now.share {
        line.push_str(&format!("  {:.0} %", (100.0 * share).floor()));
    }
    format!("{line}  {total}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_the_time_and_how_much_is_done_where_it_is_known() {
        let now = Snapshot {
            elapsed: Duration::from_secs(60),
            ..Snapshot::default()
        };
        assert_eq!(line(&now, "3 records"), "0:01:00  3 records");
        let now = Snapshot {
            share: Some(0.999),
            ..now
        };
        assert_eq!(line(&now, "3 records"), "0:01:00  99 %  3 records");
    }
}

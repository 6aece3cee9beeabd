//! A line now and then, for logs.

use std::time::Duration;

use super::clock;
use super::line::Line;
use crate::terminal;

pub struct Plain;

impl Plain {
    pub const EVERY: Duration = Duration::from_secs(10);

    pub fn print(&self, elapsed: Duration, share: Option<f64>, total: &Line) {
        terminal::note(&line(elapsed, share, &total.whole()));
    }
}

/// `0:01:00  42 %  0:01:23 left  1,234 records  …`
fn line(elapsed: Duration, share: Option<f64>, total: &str) -> String {
    let mut line = clock(elapsed);
    if let Some(share) = share {
        line.push_str(&format!("  {:.0} %", (100.0 * share).floor()));
    }
    format!("{line}  {total}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_the_time_and_how_much_is_done_where_it_is_known() {
        let minute = Duration::from_secs(60);
        assert_eq!(line(minute, None, "3 records"), "0:01:00  3 records");
        assert_eq!(
            line(minute, Some(0.999), "3 records"),
            "0:01:00  99 %  3 records"
        );
    }
}

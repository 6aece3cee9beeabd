//! Figures as people read them.

use std::time::Duration;

use super::{Span, What};
use crate::error::Status;

/// Three digits of a time, in the unit that suits it: `1.25 s`, `37.1 ms`, `5 µs`.
pub fn time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    // What rounds to 1,000 of a unit is 1 of the next.
    let (amount, unit) = match seconds {
        _ if seconds < 999.5e-9 => return format!("{} ns", time.as_nanos()),
        _ if seconds < 999.5e-6 => (seconds * 1e6, "µs"),
        _ if seconds < 999.5e-3 => (seconds * 1e3, "ms"),
        _ => (seconds, "s"),
    };
    let digits = match amount {
        _ if amount < 9.995 => 2,
        _ if amount < 99.95 => 1,
        _ => 0,
    };
    format!("{amount:.digits$} {unit}")
}

/// A whole number with commas between its thousands.
pub fn whole(number: u64) -> String {
    let digits = number.to_string();
    let head = digits.len() % 3;
    let mut text = digits[..head].to_owned();
    for thousand in digits.as_bytes()[head..].chunks(3) {
        if !text.is_empty() {
            text.push(',');
        }
        text.extend(thousand.iter().map(|&digit| char::from(digit)));
    }
    text
}

/// `1 item`, `2,000 items`.
pub fn count(number: u64, noun: &str) -> String {
    let end = match (number, noun) {
        (1, _) => "",
        (_, "batch") => "es",
        _ => "s",
    };
    format!("{} {noun}{end}", whole(number))
}

/// `out of memory` for [`Status::OutOfMemory`].
pub fn status(status: Status) -> String {
    let mut words = String::new();
    for letter in format!("{status:?}").chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}

/// What a span is called: `batch`, `load`, `failed batch`, `failed load`.
pub fn span(span: &Span) -> &'static str {
    match (span.what, span.failure.is_some()) {
        (What::Load, false) => "load",
        (What::Load, true) => "failed load",
        (What::Batch, false) => "batch",
        (What::Batch, true) => "failed batch",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits_and_the_unit_that_suits_them() {
        let cases = [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.00 µs"),
            (999_400, "999 µs"),
            (999_600, "1.00 ms"),
            (37_140_000, "37.1 ms"),
            (1_250_000_000, "1.25 s"),
            (9_999_000_000, "10.0 s"),
            (99_960_000_000, "100 s"),
            (3_600_000_000_000, "3600 s"),
        ];
        for (nanoseconds, text) in cases {
            assert_eq!(time(Duration::from_nanos(nanoseconds)), text);
        }
    }

    #[test]
    fn thousands_have_commas() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (130_000, "130,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(whole(number), text);
        }
        assert_eq!(count(1, "item"), "1 item");
        assert_eq!(count(2, "batch"), "2 batches");
    }

    #[test]
    fn a_status_reads_as_words() {
        assert_eq!(status(Status::OutOfMemory), "out of memory");
        assert_eq!(status(Status::Failed), "failed");
    }
}

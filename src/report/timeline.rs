//! A job's loads and batches as an SVG: one row a slot, time from left to right.
//!
//! It carries its own colours for light and dark viewers and needs no script; what a mark stands for is said in its
//! `<title>`, which viewers show as a tooltip and screen readers read. What is narrower than a mark can be is drawn together
//! with its neighbours, so that its size depends on the slots and not on the items.

use std::fmt::Write;
use std::time::Duration;

use super::lanes::lanes;
use super::svg::{Anchor, Svg};
use super::words::{count, time, whole};
use super::{Report, Span, What, words};
use crate::error::Status;

const WIDTH: f64 = 1000.0;
/// Where time 0 is; names of slots are left of it.
const LEFT: f64 = 150.0;
/// Where the end is.
const RIGHT: f64 = 980.0;
/// Where the rows begin; title, figures and the names of the lines are above.
const TOP: f64 = 92.0;
const ROW: f64 = 26.0;
const PITCH: f64 = 34.0;
/// Axis and legend, below the rows.
const BOTTOM: f64 = 64.0;
/// The side of a square of the legend.
const LEGEND: f64 = 12.0;
/// The narrowest mark.
const NARROWEST: f64 = 1.0;
/// What parts a mark from the next, where it is wide enough.
const GAP: f64 = 0.5;

impl Report {
    /// The timeline as an SVG document of one view box, 1,000 wide.
    #[must_use]
    pub fn timeline(&self) -> String {
        self.timeline_above(0.0, |_, _| ())
    }

    /// The same with more below it: `height` pixels, into which `draw` draws from the given y on.
    #[must_use]
    pub fn timeline_above(&self, height: f64, draw: impl FnOnce(&mut Svg, f64)) -> String {
        let bottom = TOP + PITCH * self.slots.len() as f64;
        let (headline, figures) = (self.headline(), self.figures());
        let end = bottom + BOTTOM;
        let mut svg = Svg::begin((WIDTH, end + height), &headline, &figures);
        svg.text("title", (20.0, 28.0), Anchor::Start, &headline);
        svg.text("faint", (20.0, 48.0), Anchor::Start, &figures);
        let scale = Scale::of(self);
        for slot in 0..self.slots.len() {
            self.draw_row(&mut svg, &scale, slot);
        }
        scale.draw(&mut svg, bottom);
        self.draw_lines(&mut svg, &scale, bottom);
        draw_legend(&mut svg, bottom + 38.0);
        draw(&mut svg, end);
        svg.end()
    }

    fn headline(&self) -> String {
        let items = match self.done == self.total {
            true => count(self.total, "item"),
            false => format!("{} of {}", whole(self.done), count(self.total, "item")),
        };
        format!("{}: {items} in {}", self.tool, time(self.elapsed))
    }

    fn figures(&self) -> String {
        let mut figures = vec![
            count(self.slots.len() as u64, "slot"),
            format!("{:.1} items/s", self.items_per_s()),
            format!("makespan {}", time(self.makespan())),
        ];
        if let Some(ratio) = self.over_bound() {
            figures.push(format!("{ratio:.3} × its bound of {}", time(self.bound())));
        }
        if self.saved() > 0 {
            figures.push(format!("{} saved", count(self.saved(), "duplicate")));
        }
        if self.failed > 0 {
            figures.push(format!("{} failed", whole(self.failed)));
        }
        if let Some(error) = &self.stopped {
            figures.push(format!("stopped: {error}"));
        }
        figures.join(" · ")
    }

    fn draw_row(&self, svg: &mut Svg, scale: &Scale, slot: usize) {
        let y = TOP + PITCH * slot as f64;
        let about = &self.slots[slot];
        let name = format!("slot {slot} · {}", about.device);
        let busy = 100.0 * self.busy_share(about);
        let (state, class) = match &about.lost {
            Some(_) => ("lost".to_owned(), "failed"),
            None => (format!("busy {busy:.1} %"), "faint"),
        };
        svg.rect("row", (LEFT, y), (RIGHT - LEFT, ROW), &self.summary(slot));
        svg.text("", (LEFT - 8.0, y + 11.0), Anchor::End, &name);
        svg.text(class, (LEFT - 8.0, y + 24.0), Anchor::End, &state);
        let lanes = lanes(&self.spans, slot);
        let height = ROW / lanes.len().max(1) as f64;
        for (number, lane) in lanes.iter().enumerate() {
            let y = y + height * number as f64;
            for mark in marks(lane, scale) {
                let (place, size) = ((mark.left, y), (mark.width(), height));
                svg.rect(mark.kind.class(), place, size, &mark.title());
            }
        }
    }

    /// What a slot did, in one line.
    fn summary(&self, slot: usize) -> String {
        let about = &self.slots[slot];
        let mut summary = format!(
            "slot {slot} ({}): {} in {}, {} failed; busy {}, load {}, idle {}; {}, {}, {} out of memory",
            about.device,
            count(about.items, "item"),
            count(about.batches, "batch"),
            whole(about.failed),
            time(about.busy),
            time(about.load),
            time(self.idle(about)),
            count(about.splits, "split"),
            match about.retries {
                1 => "1 retry".to_owned(),
                many => format!("{} retries", whole(many)),
            },
            whole(about.out_of_memory),
        );
        if let Some(error) = &about.lost {
            let _ = write!(summary, "; lost: {error}");
        }
        summary
    }

    /// Where the makespan ends, and where its bound would have it end.
    fn draw_lines(&self, svg: &mut Svg, scale: &Scale, bottom: f64) {
        let Some(begin) = self.spans.iter().map(|span| span.begin).min() else {
            return;
        };
        let lines = [
            ("line bound", self.bound(), "bound", 84.0),
            ("line", self.makespan(), "makespan", 69.0),
        ];
        for (class, length, name, y) in lines {
            let x = scale.x(begin + length);
            svg.line(class, (x, y + 4.0), (x, bottom - PITCH + ROW));
            svg.text(
                "",
                (x - 5.0, y),
                Anchor::End,
                &format!("{name} {}", time(length)),
            );
        }
    }
}

/// Time on the plot: from the submission to the end, or to now.
struct Scale {
    end: Duration,
}

impl Scale {
    fn of(report: &Report) -> Self {
        let last = report.spans.iter().map(|span| span.end).max();
        let end = last.unwrap_or_default().max(report.elapsed);
        Self {
            end: end.max(Duration::from_nanos(1)),
        }
    }

    fn x(&self, time: Duration) -> f64 {
        LEFT + (RIGHT - LEFT) * (time.as_secs_f64() / self.end.as_secs_f64()).min(1.0)
    }

    /// The axis below the rows.
    fn draw(&self, svg: &mut Svg, y: f64) {
        svg.line("tick", (LEFT, y), (RIGHT, y));
        let step = step(self.end.as_secs_f64());
        let (unit, seconds) = match step {
            _ if step >= 1.0 => ("s", 1.0),
            _ if step >= 1e-3 => ("ms", 1e-3),
            _ if step >= 1e-6 => ("µs", 1e-6),
            _ => ("ns", 1e-9),
        };
        for number in 0_u32.. {
            let at = f64::from(number) * step;
            if at > self.end.as_secs_f64() {
                break;
            }
            let x = LEFT + (RIGHT - LEFT) * at / self.end.as_secs_f64();
            svg.line("tick", (x, y), (x, y + 5.0));
            let label = format!("{:.0} {unit}", at / seconds);
            svg.text("faint", (x, y + 19.0), Anchor::Middle, &label);
        }
    }
}

/// What one tick stands for: 1, 2 or 5 times a power of ten, so that there are 5 to 12 of them.
fn step(length: f64) -> f64 {
    let power = 10_f64.powf((length / 5.0).log10().floor());
    let steps = [5.0, 2.0, 1.0].map(|digit| digit * power);
    steps
        .into_iter()
        .find(|step| step * 5.0 <= length)
        .unwrap_or(power)
}

/// What a mark stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Load,
    Batch,
    Failed,
}

impl Kind {
    /// In the order in which they are drawn: a failure is never hidden by its neighbours.
    const ALL: [Self; 3] = [Self::Load, Self::Batch, Self::Failed];

    fn of(span: &Span) -> Self {
        match (span.failure, span.what) {
            (Some(_), _) => Self::Failed,
            (None, What::Load) => Self::Load,
            (None, What::Batch) => Self::Batch,
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Batch => "batch",
            Self::Failed => "failed",
        }
    }
}

/// A rectangle: one span, or neighbours of one kind that are too narrow to be seen alone.
struct Mark {
    kind: Kind,
    left: f64,
    right: f64,
    /// Whether its spans are too narrow.
    crowd: bool,
    spans: u64,
    first: Span,
    end: Duration,
    items: u64,
    extent: u64,
    /// `None` also where the spans failed for several reasons.
    failure: Option<Status>,
}

/// The marks of a lane; of each kind no more than two for each pixel.
fn marks(lane: &[Span], scale: &Scale) -> Vec<Mark> {
    let mut marks: Vec<Mark> = Vec::new();
    for kind in Kind::ALL {
        for span in lane.iter().filter(|span| Kind::of(span) == kind) {
            let mark = Mark::of(span, scale);
            match marks.last_mut() {
                Some(last) if last.touches(&mark) => last.join(&mark),
                _ => marks.push(mark),
            }
        }
    }
    marks
}

impl Mark {
    fn of(span: &Span, scale: &Scale) -> Self {
        let (left, right) = (scale.x(span.begin), scale.x(span.end));
        Self {
            kind: Kind::of(span),
            left,
            right,
            crowd: right - left < NARROWEST,
            spans: 1,
            first: *span,
            end: span.end,
            items: span.items.into(),
            extent: span.extent,
            failure: span.failure,
        }
    }

    fn touches(&self, next: &Self) -> bool {
        let same = self.kind == next.kind && self.crowd && next.crowd;
        same && next.left - self.right < NARROWEST
    }

    fn join(&mut self, next: &Self) {
        self.right = next.right;
        self.end = next.end;
        self.spans += next.spans;
        self.items += next.items;
        self.extent = self.extent.saturating_add(next.extent);
        if self.failure != next.failure {
            self.failure = None;
        }
    }

    fn width(&self) -> f64 {
        let width = self.right - self.left;
        if width > 8.0 * GAP {
            width - GAP
        } else {
            width.max(NARROWEST)
        }
    }

    fn title(&self) -> String {
        let mut title = match (self.spans, self.kind) {
            (1, _) => words::span(&self.first).to_owned(),
            (many, Kind::Load) => count(many, "load"),
            (many, Kind::Batch) => count(many, "batch"),
            (many, Kind::Failed) => count(many, "failure"),
        };
        if self.items > 0 {
            let (items, extent) = (count(self.items, "item"), whole(self.extent));
            let _ = write!(title, " of {items}, extent {extent}");
        }
        if let Some(failure) = self.failure {
            let _ = write!(title, ": {}", words::status(failure));
        }
        let begin = self.first.begin;
        let length = time(self.end.saturating_sub(begin));
        let _ = write!(title, "; {} to {}, {length}", time(begin), time(self.end));
        title
    }
}

fn draw_legend(svg: &mut Svg, y: f64) {
    let entries = [
        (Kind::Batch, "batch"),
        (Kind::Load, "loading the tool"),
        (Kind::Failed, "failed: split, or tried again"),
    ];
    let mut x = LEFT;
    for (kind, meaning) in entries {
        svg.rect(kind.class(), (x, y), (LEGEND, LEGEND), meaning);
        svg.text("", (x + 18.0, y + 10.5), Anchor::Start, meaning);
        x += 60.0 + 7.0 * meaning.len() as f64;
    }
}

#[cfg(test)]
mod tests {
    use roxmltree::{Document, Node};

    use super::super::sample::{batch, two_slots};
    use super::*;
    use crate::error::Error;

    /// The rectangles of a class, without that of the legend.
    fn rects<'a>(document: &'a Document<'a>, class: &str) -> Vec<Node<'a, 'a>> {
        let mut rects: Vec<_> = document
            .descendants()
            .filter(|node| node.has_tag_name("rect") && node.attribute("class") == Some(class))
            .collect();
        rects.retain(|node| number(node, "width") != LEGEND);
        rects
    }

    fn number(node: &Node, name: &str) -> f64 {
        node.attribute(name).unwrap().parse().unwrap()
    }

    fn title<'a>(node: &Node<'a, 'a>) -> &'a str {
        let title = node.children().find(|node| node.has_tag_name("title"));
        title.unwrap().text().unwrap()
    }

    /// The plot is 830 wide and 8 seconds long.
    #[test]
    fn marks_are_where_their_time_is() {
        let svg = two_slots().timeline();
        let document = Document::parse(&svg).unwrap();
        let place = |node: &Node| ["x", "y", "width", "height"].map(|name| number(node, name));
        let places = |class| -> Vec<_> { rects(&document, class).iter().map(place).collect() };
        assert_eq!(
            places("row"),
            [[150.0, 92.0, 830.0, 26.0], [150.0, 126.0, 830.0, 26.0]]
        );
        assert_eq!(places("load"), [[253.75, 92.0, 103.25, 13.0]]);
        assert_eq!(places("failed"), [[253.75, 126.0, 103.25, 26.0]]);
        assert_eq!(
            places("batch"),
            [
                [357.5, 92.0, 310.75, 13.0],
                [461.25, 105.0, 310.75, 13.0],
                [357.5, 126.0, 155.12, 26.0],
                [513.12, 126.0, 155.12, 26.0],
            ]
        );
        assert_eq!(
            title(&rects(&document, "failed")[0]),
            "failed batch of 4 items, extent 40: out of memory; 1.00 s to 2.00 s, 1.00 s"
        );
        assert_eq!(
            title(&rects(&document, "load")[0]),
            "load; 1.00 s to 2.00 s, 1.00 s"
        );
    }

    #[test]
    fn title_figures_names_and_lines_are_written_out() {
        let mut report = two_slots();
        report.tool = "<b>&\"tool\"\u{1}".into();
        report.slots[1].lost = Some(Error::new(Status::DeviceLost, "<gone>"));
        let svg = report.timeline();
        let document = Document::parse(&svg).unwrap();
        let texts: Vec<_> = document
            .descendants()
            .filter(|node| node.has_tag_name("text"))
            .map(|node| node.text().unwrap())
            .collect();
        for text in [
            "<b>&\"tool\"\u{fffd}: 12 items in 8.00 s",
            "2 slots · 1.5 items/s · makespan 5.00 s · 1.250 × its bound of 4.00 s · 2 duplicates saved · 1 failed",
            "slot 0 · cuda:0",
            "busy 80.0 %",
            "slot 1 · cpu",
            "lost",
            "bound 4.00 s",
            "makespan 5.00 s",
            "0 s",
            "8 s",
            "failed: split, or tried again",
        ] {
            assert!(texts.contains(&text), "no {text:?} in {texts:?}");
        }
        let rows = rects(&document, "row");
        assert!(title(&rows[1]).ends_with("1 split, 0 retries, 1 out of memory; lost: <gone>"));
        let is_line = |node: &Node| {
            let class = node.attribute("class");
            class.is_some_and(|class| class.starts_with("line"))
        };
        let lines = document.descendants().filter(is_line);
        let ends: Vec<f64> = lines.map(|node| number(&node, "x1")).collect();
        assert_eq!(ends, [668.75, 772.5], "seconds 5 and 6");
    }

    fn every_kind_in_turn(number: usize) -> Option<Status> {
        [None, Some(Status::OutOfMemory), Some(Status::Failed)][number % 3]
    }

    fn many(spans: usize, length: impl Fn(usize) -> f64) -> Report {
        let span = |number: usize| {
            let begin = 8.0 * number as f64 / spans as f64;
            Span {
                failure: every_kind_in_turn(number),
                ..batch(0, begin, begin + length(number), 2, 1.0)
            }
        };
        Report {
            spans: (0..spans).map(span).collect(),
            ..two_slots()
        }
    }

    #[test]
    fn what_is_too_narrow_is_drawn_together() {
        let svg = many(300_000, |_| 1e-5).timeline();
        assert!(svg.len() < 10_000, "{} bytes", svg.len());
        let document = Document::parse(&svg).unwrap();
        let [batches, failed] = ["batch", "failed"].map(|class| rects(&document, class));
        assert_eq!((batches.len(), failed.len()), (1, 1));
        assert_eq!(
            title(&batches[0]),
            "100,000 batches of 200,000 items, extent 2,000,000; 0 ns to 8.00 s, 8.00 s"
        );
        assert_eq!(
            title(&failed[0]),
            "200,000 failures of 400,000 items, extent 4,000,000; 26.7 µs to 8.00 s, 8.00 s"
        );
    }

    #[test]
    fn its_size_depends_on_the_pixels_and_not_on_the_batches() {
        let wide_ones_between = |number| if number % 26 == 0 { 0.0098 } else { 1e-6 };
        let report = many(10_000, wide_ones_between);
        let svg = report.timeline();
        let document = Document::parse(&svg).unwrap();
        let marks = ["batch", "failed"].map(|class| rects(&document, class).len());
        let most = 2 * 830 * lanes(&report.spans, 0).len();
        assert!(
            marks.iter().all(|&marks| (100..most).contains(&marks)),
            "{marks:?} of {most}"
        );
    }

    #[test]
    fn a_mark_can_be_seen_and_a_gap_stays_one() {
        let report = Report {
            spans: [1.0, 2.0]
                .map(|at| batch(0, at, at + 1e-6, 1, 1.0))
                .to_vec(),
            ..two_slots()
        };
        let svg = report.timeline();
        let document = Document::parse(&svg).unwrap();
        let widths: Vec<_> = rects(&document, "batch")
            .iter()
            .map(|mark| number(mark, "width"))
            .collect();
        assert_eq!(widths, [NARROWEST; 2]);
    }

    #[test]
    fn a_job_without_work_or_slots_has_its_picture() {
        let elapsed = |elapsed| Report {
            elapsed,
            ..two_slots()
        };
        let idle = Report {
            spans: Vec::new(),
            ..two_slots()
        };
        for report in [
            Report::default(),
            idle,
            elapsed(Duration::ZERO),
            elapsed(Duration::MAX),
        ] {
            let svg = report.timeline();
            let document = Document::parse(&svg).unwrap();
            assert!(svg.len() < 10_000 && !svg.contains("NaN"));
            assert_eq!(rects(&document, "row").len(), report.slots.len());
        }
    }

    #[test]
    fn ticks_are_round_and_five_to_twelve() {
        for (length, wanted) in [
            (8.0, 1.0),
            (5.0, 1.0),
            (9.9, 1.0),
            (10.0, 2.0),
            (25.0, 5.0),
            (0.037, 0.005),
            (3600.0, 500.0),
        ] {
            let step = step(length);
            assert!((step / wanted - 1.0).abs() < 1e-9, "{length}: {step}");
        }
    }
}

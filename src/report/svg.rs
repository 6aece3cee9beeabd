//! The little of SVG that a timeline needs.

use std::fmt::{self, Display};

/// Colours that any colour vision tells apart (M. Okabe, K. Ito, Color Universal Design, 2008), for light viewers and for
/// dark ones; without custom properties, which not every viewer knows.
const STYLE: &str = "
text{font:12px system-ui,sans-serif;fill:#1b1f24}.title{font-size:16px;font-weight:600}
.page{fill:#fff}.row{fill:#eaeef2}.faint{fill:#57606a}.tick{stroke:#57606a}.line{stroke:#1b1f24}
.bound{stroke-dasharray:4 3}.batch{fill:#0072b2}.load{fill:#e69f00}.failed{fill:#d55e00}
@media(prefers-color-scheme:dark){
text{fill:#e6edf3}.page{fill:#0d1117}.row{fill:#21262d}.faint{fill:#9198a1}.tick{stroke:#9198a1}.line{stroke:#e6edf3}
.batch{fill:#56b4e9}.load{fill:#f0c040}.failed{fill:#ff7b54}}
";

/// A document in the making. Lengths are pixels where it is shown at its own size.
pub struct Svg {
    document: String,
}

/// Which end of a text is where it is put.
#[derive(Clone, Copy)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

impl Svg {
    /// A page of this size; what it is called and what is on it, for those who cannot see it.
    pub fn begin((width, height): (f64, f64), title: &str, description: &str) -> Self {
        let mut svg = Self {
            document: String::new(),
        };
        svg.add(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" role=\"img\" aria-labelledby=\"title description\">\n\
             <title id=\"title\">{}</title>\n<desc id=\"description\">{}</desc>\n<style>{STYLE}</style>\n\
             <rect class=\"page\" width=\"{width}\" height=\"{height}\"/>",
            Escaped(title),
            Escaped(description),
        ));
        svg
    }

    /// A filled rectangle with a tooltip.
    pub fn rect(
        &mut self,
        class: &str,
        (x, y): (f64, f64),
        (width, height): (f64, f64),
        title: &str,
    ) {
        self.add(format_args!(
            "<rect class=\"{class}\" x=\"{x:.2}\" y=\"{y:.2}\" width=\"{width:.2}\" height=\"{height:.2}\">\
             <title>{}</title></rect>",
            Escaped(title)
        ));
    }

    /// Text on one line.
    pub fn text(&mut self, class: &str, (x, y): (f64, f64), anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        self.add(format_args!(
            "<text class=\"{class}\" x=\"{x:.2}\" y=\"{y:.2}\" text-anchor=\"{anchor}\">{}</text>",
            Escaped(text)
        ));
    }

    /// A straight line.
    pub fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        self.add(format_args!(
            "<line class=\"{class}\" x1=\"{x1:.2}\" y1=\"{y1:.2}\" x2=\"{x2:.2}\" y2=\"{y2:.2}\"/>"
        ));
    }

    /// The document.
    pub fn end(mut self) -> String {
        self.document.push_str("</svg>\n");
        self.document
    }

    fn add(&mut self, element: fmt::Arguments<'_>) {
        self.document.push_str(&element.to_string());
        self.document.push('\n');
    }
}

/// Any text as XML text or attribute. Characters that XML 1.0 cannot hold become U+FFFD.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|letter| match letter {
            '&' => out.write_str("&amp;"),
            '<' => out.write_str("&lt;"),
            '>' => out.write_str("&gt;"),
            '"' => out.write_str("&quot;"),
            '\t' | '\n' | '\r' => out.write_str(" "),
            '\0'..' ' | '\u{fffe}' | '\u{ffff}' => out.write_str("\u{fffd}"),
            _ => write!(out, "{letter}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_comes_back_from_the_document() {
        let text = "<a href=\"x\">&amp; ü 漢 ]]> '\u{1}\u{ffff}\n";
        let mut svg = Svg::begin((10.0, 10.0), text, text);
        svg.rect("row", (1.0, 2.0), (3.0, 4.0), text);
        svg.text("", (0.0, 0.0), Anchor::Start, text);
        let svg = svg.end();
        let document = roxmltree::Document::parse(&svg).unwrap();
        let read = "<a href=\"x\">&amp; ü 漢 ]]> '\u{fffd}\u{fffd} ";
        for name in ["title", "desc", "text"] {
            let found: Vec<_> = document
                .descendants()
                .filter(|node| node.has_tag_name(name))
                .map(|node| node.text().unwrap())
                .collect();
            assert!(
                !found.is_empty() && found.iter().all(|text| *text == read),
                "{name}: {found:?}"
            );
        }
    }
}

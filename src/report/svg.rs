//! A [`Scene`] → SVG text.
//!
//! In: a scene. Out: either a fragment for a page that has the palette's style sheet, or a whole
//! file that brings it along. Invariant: the text of labels is escaped, and no `style` attribute is
//! used, so that a strict content security policy holds.

use std::fmt::Write;

use super::palette;
use super::scene::{Anchor, Item, Scene, Text};

/// A whole SVG file.
pub fn document(scene: &Scene, title: &str) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let (width, height) = (Px(scene.width), Px(scene.height));
    put(
        &mut out,
        format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\" font-family=\"{FONTS}\">\n\
             <title>{}</title>\n<style>{}</style>\n",
            escaped(title),
            palette::style_sheet(),
        ),
    );
    put_items(&mut out, &scene.items);
    out.push_str("</svg>\n");
    out
}

/// An `svg` element for a page; `class` picks it by style sheet, `label` names it to readers who
/// can't see it.
pub fn fragment(scene: &Scene, class: &str, label: &str) -> String {
    let mut out = String::new();
    let [left, top, width, height] = scene.plot.map(Px);
    put(
        &mut out,
        format_args!(
            "<svg class=\"{class}\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\" \
             data-plot=\"{left} {top} {width} {height}\">",
            Px(scene.width),
            Px(scene.height),
            escaped(label),
        ),
    );
    put_items(&mut out, &scene.items);
    out.push_str("</svg>");
    out
}

const FONTS: &str = "system-ui, 'DejaVu Sans', sans-serif";

/// Pixels with at most one decimal: a tenth of a pixel can't be seen.
struct Px(f64);

impl std::fmt::Display for Px {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tenths = (self.0 * 10.0).round() / 10.0;
        if tenths == 0.0 { f.write_str("0") } else { write!(f, "{tenths}") }
    }
}

fn put(out: &mut String, arguments: std::fmt::Arguments) {
    let _infallible = out.write_fmt(arguments);
}

fn put_items(out: &mut String, items: &[Item]) {
    for item in items {
        put_item(out, item);
    }
}

fn put_item(out: &mut String, item: &Item) {
    match item {
        Item::Line { points, tone, width, dash } => {
            out.push_str("<path d=\"");
            put_path(out, points);
            let (class, width) = (tone.class(), Px(*width));
            put(
                out,
                format_args!(
                    "\" class=\"{class}\" fill=\"none\" stroke=\"currentColor\" \
                     stroke-width=\"{width}\" stroke-linejoin=\"round\""
                ),
            );
            if let Some([on, off]) = dash {
                put(out, format_args!(" stroke-dasharray=\"{on} {off}\""));
            }
            out.push_str("/>");
        }
        Item::Area { points, tone, alpha } => {
            out.push_str("<path d=\"");
            put_path(out, points);
            let class = tone.class();
            put(
                out,
                format_args!(
                    "Z\" class=\"{class}\" fill=\"currentColor\" fill-opacity=\"{alpha}\"/>"
                ),
            );
        }
        Item::Box { at: [x, y], size: [width, height], tone, alpha } => {
            let (x, y, width, height) = (Px(*x), Px(*y), Px(*width), Px(*height));
            let class = tone.class();
            put(
                out,
                format_args!(
                    "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" \
                     class=\"{class}\" fill=\"currentColor\" \
                     fill-opacity=\"{alpha}\"/>"
                ),
            );
        }
        Item::Dots { points, tone, radius, alpha } => {
            // Lines of no length with round ends: a tenth of the bytes of as many circles.
            out.push_str("<path d=\"");
            for [x, y] in points {
                put(out, format_args!("M{} {}h0", Px(*x), Px(*y)));
            }
            let (class, width) = (tone.class(), Px(radius * 2.0));
            put(
                out,
                format_args!(
                    "\" class=\"{class}\" stroke=\"currentColor\" stroke-linecap=\"round\" \
                     stroke-width=\"{width}\" stroke-opacity=\"{alpha}\"/>"
                ),
            );
        }
        Item::Crosses { points, tone, radius } => {
            out.push_str("<path d=\"");
            let (side, back) = (Px(radius * 2.0), Px(radius * -2.0));
            for [x, y] in points {
                let (left, top) = (Px(x - radius), Px(y - radius));
                put(out, format_args!("M{left} {top}l{side} {side}m{back} 0l{side} {back}"));
            }
            let class = tone.class();
            put(
                out,
                format_args!(
                    "\" class=\"{class}\" fill=\"none\" stroke=\"currentColor\" \
                     stroke-width=\"1.6\"/>"
                ),
            );
        }
        Item::Text(text) => put_text(out, text),
        Item::Series { number, items } => {
            put(out, format_args!("<g data-series=\"{number}\">"));
            put_items(out, items);
            out.push_str("</g>");
        }
    }
}

fn put_path(out: &mut String, points: &[[f64; 2]]) {
    for (number, [x, y]) in points.iter().enumerate() {
        let command = if number == 0 { 'M' } else { 'L' };
        put(out, format_args!("{command}{} {}", Px(*x), Px(*y)));
    }
}

fn put_text(out: &mut String, text: &Text) {
    let Text { at: [x, y], text, size, anchor, tone, bold } = text;
    let anchor = match anchor {
        Anchor::Start => "",
        Anchor::Middle => " text-anchor=\"middle\"",
        Anchor::End => " text-anchor=\"end\"",
    };
    let weight = if *bold { " font-weight=\"600\"" } else { "" };
    put(
        out,
        format_args!(
            "<text x=\"{}\" y=\"{}\" class=\"{}\" fill=\"currentColor\" \
             font-size=\"{size}\"{anchor}{weight}>{}</text>",
            Px(*x),
            Px(*y),
            tone.class(),
            escaped(text),
        ),
    );
}

/// `text` for use in markup, as content or in a quoted attribute; characters that XML forbids
/// become the replacement character.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | '\n' | '\r' => out.push(' '),
            '\u{0}'..='\u{1f}' | '\u{7f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::chart::{Axis, Chart, Shape, Tone};
    use crate::report::draw::{Frame, draw};

    #[test]
    fn hostile_labels_stay_text() {
        let hostile = "</svg><script>alert(1)</script>\u{1b}[31m\"'&";
        let mut chart = Chart::new(
            hostile,
            Axis::rows(vec![hostile.into()]),
            Axis::linear(hostile, "ms", 0.0, 1.0),
        );
        chart.add(hostile, Shape::Dots, Tone::Series(0), vec![[0.0, 0.5]]);
        chart.add(hostile, Shape::Line, Tone::Series(1), vec![[0.0, 0.5], [1.0, 0.2]]);
        let scene = draw(&chart, Frame { width: 400.0, height: 300.0, titled: true, left: 0.0 });
        let svg = document(&scene, hostile);
        assert!(!svg.contains("<script") && !svg.contains('\u{1b}'), "{svg}");
        assert_eq!(svg.matches("</svg>").count(), 1);
        assert!(svg.contains("&lt;script&gt;") && !svg.contains(" style="));
    }

    #[test]
    fn whole_pixels_have_no_decimals() {
        assert_eq!(format!("{} {} {}", Px(12.0), Px(0.04), Px(-3.25)), "12 0 -3.3");
    }
}

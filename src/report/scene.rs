//! A drawn picture: lines, dots and text at places, in pixels from the top left.
//!
//! In: what [`draw`](super::draw) places. Out: the same picture as SVG or PNG. Invariant: a scene
//! names roles of colours ([`Tone`]), never colours.

use super::chart::Tone;

/// A picture of a given size.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    /// Width in pixels.
    pub width: f64,
    /// Height in pixels.
    pub height: f64,
    /// Where the plot lies within it: left, top, width, height.
    pub plot: [f64; 4],
    /// What is drawn, first at the back.
    pub items: Vec<Item>,
}

/// One thing drawn.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// An open line.
    Line {
        /// The points it goes through.
        points: Vec<[f64; 2]>,
        /// In which colour.
        tone: Tone,
        /// Its thickness.
        width: f64,
        /// Lengths of dash and gap; unbroken when absent.
        dash: Option<[f64; 2]>,
    },
    /// A filled outline.
    Area {
        /// Its corners.
        points: Vec<[f64; 2]>,
        /// In which colour.
        tone: Tone,
        /// How opaque, 0 to 1.
        alpha: f64,
    },
    /// A filled box.
    Box {
        /// Its top left corner.
        at: [f64; 2],
        /// Width and height.
        size: [f64; 2],
        /// In which colour.
        tone: Tone,
        /// How opaque, 0 to 1.
        alpha: f64,
    },
    /// Dots of one size.
    Dots {
        /// Their middles.
        points: Vec<[f64; 2]>,
        /// In which colour.
        tone: Tone,
        /// Their radius.
        radius: f64,
        /// How opaque, 0 to 1.
        alpha: f64,
    },
    /// Diagonal crosses of one size.
    Crosses {
        /// Their middles.
        points: Vec<[f64; 2]>,
        /// In which colour.
        tone: Tone,
        /// Half their width.
        radius: f64,
    },
    /// A word or a line of text.
    Text(Text),
    /// Everything of one series.
    Series {
        /// Its number in the chart.
        number: usize,
        /// What it is made of.
        items: Vec<Item>,
    },
}

/// A piece of text; `at` lies on its baseline.
#[derive(Debug, Clone, PartialEq)]
pub struct Text {
    /// Where.
    pub at: [f64; 2],
    /// The text.
    pub text: String,
    /// Height of the font in pixels.
    pub size: f64,
    /// Which end of the text stands at `at`.
    pub anchor: Anchor,
    /// In which colour.
    pub tone: Tone,
    /// Set in bold type.
    pub bold: bool,
}

/// Which end of a text stands at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// Its left end.
    Start,
    /// Its middle.
    Middle,
    /// Its right end.
    End,
}

impl Scene {
    /// Puts scenes side by side in `columns` columns under a headline and a line of small print.
    pub fn sheet(headline: &str, small_print: &str, scenes: Vec<Self>, columns: usize) -> Self {
        const MARGIN: f64 = 24.0;
        const HEAD: f64 = 64.0;
        let columns = columns.clamp(1, scenes.len().max(1));
        let cell = |side: fn(&Self) -> f64| scenes.iter().map(side).fold(0.0, f64::max) + MARGIN;
        let (cell_width, cell_height) = (cell(|scene| scene.width), cell(|scene| scene.height));
        let rows = scenes.len().div_ceil(columns);
        let width = MARGIN + cell_width * columns as f64;
        let height = MARGIN + HEAD + cell_height * rows as f64;
        let mut items = vec![Item::Box {
            at: [0.0, 0.0],
            size: [width, height],
            tone: Tone::Paper,
            alpha: 1.0,
        }];
        let head = |y, text: &str, size: f64, tone, bold| {
            let text = fitted(text, size, width - 2.0 * MARGIN);
            Item::Text(Text { at: [MARGIN, y], text, size, anchor: Anchor::Start, tone, bold })
        };
        items.push(head(MARGIN + 16.0, headline, 17.0, Tone::Ink, true));
        items.push(head(MARGIN + 38.0, small_print, 12.0, Tone::Muted, false));
        for (number, scene) in scenes.into_iter().enumerate() {
            let x = MARGIN + cell_width * (number % columns) as f64;
            let y = MARGIN + HEAD + cell_height * (number / columns) as f64;
            items.extend(scene.items.into_iter().map(|item| item.moved(x, y)));
        }
        Self { width, height, plot: [0.0; 4], items }
    }
}

impl Item {
    /// The same item further right and down.
    fn moved(mut self, dx: f64, dy: f64) -> Self {
        let shift = |at: &mut [f64; 2]| *at = [at[0] + dx, at[1] + dy];
        match &mut self {
            Self::Line { points, .. }
            | Self::Area { points, .. }
            | Self::Dots { points, .. }
            | Self::Crosses { points, .. } => points.iter_mut().for_each(shift),
            Self::Box { at, .. } => shift(at),
            Self::Text(text) => shift(&mut text.at),
            Self::Series { items, .. } => {
                *items = std::mem::take(items).into_iter().map(|item| item.moved(dx, dy)).collect();
            }
        }
        self
    }
}

/// About how wide `text` is, in pixels: a little more than in most fonts.
pub fn text_width(text: &str, size: f64) -> f64 {
    text.chars().map(|letter| relative_width(letter) * size).sum()
}

/// `text`, cut with an ellipsis to fit into `width` pixels.
pub fn fitted(text: &str, size: f64, width: f64) -> String {
    if text_width(text, size) <= width {
        return text.to_owned();
    }
    let mut used = relative_width('…') * size;
    let fits = |letter: &char| {
        used += relative_width(*letter) * size;
        used <= width
    };
    let mut cut: String = text.chars().take_while(fits).collect();
    cut.push('…');
    cut
}

fn relative_width(letter: char) -> f64 {
    match letter {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' => 0.30,
        ' ' | 'f' | 't' | 'r' | 'I' | '(' | ')' | '[' | ']' | '/' | '-' => 0.36,
        'm' | 'w' | 'M' | 'W' | '@' | '%' | '…' | '—' | '→' => 0.86,
        'A'..='Z' | '×' | '±' | '≤' | '≥' | '<' | '>' | '=' | '+' => 0.66,
        letter if letter.is_ascii() || letter.len_utf8() == 2 => 0.56,
        _ => 0.90,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_to_fit() {
        assert_eq!(fitted("warm", 12.0, 100.0), "warm");
        let cut = fitted(&"wide words ".repeat(20), 12.0, 100.0);
        assert!(cut.ends_with('…') && text_width(&cut, 12.0) <= 100.0, "{cut}");
    }
}

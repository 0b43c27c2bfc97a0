//! A [`Scene`] → PNG bytes: the only file that knows the rasteriser and the fonts.
//!
//! In: a scene. Out: a PNG in light colours, twice as many pixels as the scene for sharp text.
//! Invariant: nothing of the machine is used (no font of its own, no library in C), so a picture
//! is the same everywhere.
//!
//! tiny-skia draws, and ttf-parser reads the outlines of an embedded subset of a font (Latin, Greek,
//! Cyrillic; licence in `assets/DejaVu-LICENSE.txt`). Together they build in a fifth of resvg's time
//! (7.6 against 38.8 CPU seconds, measured), and a scene needs none of its SVG.

use tiny_skia::{
    Color, FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, Rect, Stroke, StrokeDash,
    Transform,
};
use ttf_parser::{Face, OutlineBuilder};

use super::chart::Tone;
use super::palette;
use super::scene::{Anchor, Item, Scene, Text};

const REGULAR: &[u8] = include_bytes!("assets/DejaVuSansCondensed.subset.ttf");
const BOLD: &[u8] = include_bytes!("assets/DejaVuSansCondensed-Bold.subset.ttf");
/// Pixels of the picture per pixel of the scene.
const SCALE: f32 = 2.0;

/// Why a picture can't be made.
#[derive(Debug, thiserror::Error)]
pub enum PngError {
    /// The scene has no size, or one beyond what fits into memory.
    #[error("a picture of {0} × {1} pixels can't be made")]
    Size(f64, f64),
    /// The embedded font can't be read.
    #[error("the embedded font can't be read: {0}")]
    Font(#[from] ttf_parser::FaceParsingError),
    /// The picture can't be encoded.
    #[error("the picture can't be encoded: {0}")]
    Encode(String),
}

/// The scene as a PNG file.
pub fn document(scene: &Scene) -> Result<Vec<u8>, PngError> {
    let (width, height) = (pixels(scene.width), pixels(scene.height));
    let pixmap = Pixmap::new(width, height).ok_or(PngError::Size(scene.width, scene.height))?;
    let fonts = Fonts { regular: Face::parse(REGULAR, 0)?, bold: Face::parse(BOLD, 0)? };
    let mut canvas = Canvas { pixmap, fonts };
    canvas.pixmap.fill(colour(Tone::Paper, 1.0));
    canvas.items(&scene.items);
    canvas.pixmap.encode_png().map_err(|error| PngError::Encode(error.to_string()))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to a size that any picture has"
)]
fn pixels(length: f64) -> u32 {
    (length * f64::from(SCALE)).ceil().clamp(0.0, 20_000.0) as u32
}

#[expect(clippy::cast_possible_truncation, reason = "places in a picture need no double precision")]
fn px(value: f64) -> f32 {
    value as f32
}

fn colour(tone: Tone, alpha: f64) -> Color {
    let (light, _) = palette::colours(tone);
    let channel =
        |at: usize| light.get(at..at + 2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
    let channel = |at: usize| f32::from(channel(at).unwrap_or(0)) / 255.0;
    let alpha = px(alpha.clamp(0.0, 1.0));
    Color::from_rgba(channel(1), channel(3), channel(5), alpha).unwrap_or(Color::BLACK)
}

fn paint(tone: Tone, alpha: f64) -> Paint<'static> {
    let mut paint = Paint { anti_alias: true, ..Paint::default() };
    paint.set_color(colour(tone, alpha));
    paint
}

struct Fonts {
    regular: Face<'static>,
    bold: Face<'static>,
}

struct Canvas {
    pixmap: Pixmap,
    fonts: Fonts,
}

impl Canvas {
    fn items(&mut self, items: &[Item]) {
        for item in items {
            self.item(item);
        }
    }

    fn item(&mut self, item: &Item) {
        match item {
            Item::Line { points, tone, width, dash } => {
                let dash = dash.and_then(|[on, off]| StrokeDash::new(vec![px(on), px(off)], 0.0));
                let line_join = LineJoin::Round;
                let stroke = Stroke { width: px(*width), line_join, dash, ..Stroke::default() };
                self.stroke(outline(points, false), &stroke, *tone, 1.0);
            }
            Item::Area { points, tone, alpha } => self.fill(outline(points, true), *tone, *alpha),
            Item::Box { at: [x, y], size: [width, height], tone, alpha } => {
                let rect = Rect::from_xywh(px(*x), px(*y), px(*width), px(*height));
                self.fill(rect.map(PathBuilder::from_rect), *tone, *alpha);
            }
            Item::Dots { points, tone, radius, alpha } => {
                for [x, y] in points {
                    let dot = PathBuilder::from_circle(px(*x), px(*y), px(*radius));
                    self.fill(dot, *tone, *alpha);
                }
            }
            Item::Crosses { points, tone, radius } => {
                let line_cap = LineCap::Butt;
                let stroke = Stroke { width: 1.6, line_cap, ..Stroke::default() };
                for [x, y] in points {
                    for side in [*radius, -radius] {
                        let stroke_of_x = [[x - radius, y - side], [x + radius, y + side]];
                        self.stroke(outline(&stroke_of_x, false), &stroke, *tone, 1.0);
                    }
                }
            }
            Item::Text(text) => self.text(text),
            Item::Series { items, .. } => self.items(items),
        }
    }

    fn text(&mut self, text: &Text) {
        let face = if text.bold { &self.fonts.bold } else { &self.fonts.regular };
        let scale = px(text.size) / f32::from(face.units_per_em().max(1));
        let glyph = |letter| face.glyph_index(letter).unwrap_or_default();
        let advance =
            |letter| f32::from(face.glyph_hor_advance(glyph(letter)).unwrap_or(0)) * scale;
        let width: f32 = text.text.chars().map(advance).sum();
        let mut x = px(text.at[0])
            - match text.anchor {
                Anchor::Start => 0.0,
                Anchor::Middle => width / 2.0,
                Anchor::End => width,
            };
        let mut pen = GlyphPen { path: PathBuilder::new(), x, y: px(text.at[1]), scale };
        for letter in text.text.chars() {
            pen.x = x;
            face.outline_glyph(glyph(letter), &mut pen);
            x += advance(letter);
        }
        self.fill(pen.path.finish(), text.tone, 1.0);
    }

    fn fill(&mut self, path: Option<Path>, tone: Tone, alpha: f64) {
        if let Some(path) = path {
            let (paint, at) = (paint(tone, alpha), Transform::from_scale(SCALE, SCALE));
            self.pixmap.fill_path(&path, &paint, FillRule::Winding, at, None);
        }
    }

    fn stroke(&mut self, path: Option<Path>, stroke: &Stroke, tone: Tone, alpha: f64) {
        if let Some(path) = path {
            let (paint, at) = (paint(tone, alpha), Transform::from_scale(SCALE, SCALE));
            self.pixmap.stroke_path(&path, &paint, stroke, at, None);
        }
    }
}

fn outline(points: &[[f64; 2]], closed: bool) -> Option<Path> {
    let mut path = PathBuilder::new();
    for (number, [x, y]) in points.iter().enumerate() {
        match number {
            0 => path.move_to(px(*x), px(*y)),
            _ => path.line_to(px(*x), px(*y)),
        }
    }
    if closed {
        path.close();
    }
    path.finish()
}

/// Puts a glyph's outline (font units, y upwards) into a path (pixels, y downwards).
struct GlyphPen {
    path: PathBuilder,
    x: f32,
    y: f32,
    scale: f32,
}

impl GlyphPen {
    fn at(&self, x: f32, y: f32) -> (f32, f32) {
        (self.x + x * self.scale, self.y - y * self.scale)
    }
}

impl OutlineBuilder for GlyphPen {
    fn move_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.line_to(x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let ((x1, y1), (x, y)) = (self.at(x1, y1), self.at(x, y));
        self.path.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let ((x1, y1), (x2, y2), (x, y)) = (self.at(x1, y1), self.at(x2, y2), self.at(x, y));
        self.path.cubic_to(x1, y1, x2, y2, x, y);
    }

    fn close(&mut self) {
        self.path.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::chart::{Axis, Chart, Shape};
    use crate::report::draw::{Frame, draw};

    #[test]
    fn a_chart_becomes_a_picture_with_ink_in_it() {
        let mut chart = Chart::new(
            "TTFT, µs",
            Axis::linear("x", "", 0.0, 1.0),
            Axis::linear("y", "ms", 0.0, 1.0),
        );
        chart.add("one", Shape::LineDots, Tone::Series(0), vec![[0.0, 0.0], [1.0, 1.0]]);
        let scene = draw(&chart, Frame { width: 300.0, height: 200.0, titled: true, left: 0.0 });
        let png = document(&scene).expect("a picture");
        let picture = Pixmap::decode_png(&png).expect("a PNG");
        assert_eq!((picture.width(), picture.height()), (600, 400));
        let paper = colour(Tone::Paper, 1.0).premultiply().to_color_u8();
        let inked = picture.pixels().iter().filter(|pixel| **pixel != paper).count();
        assert!(inked > 2_000, "{inked}");
    }

    #[test]
    fn a_scene_without_size_is_refused() {
        let scene = Scene { width: 0.0, height: 10.0, plot: [0.0; 4], items: Vec::new() };
        assert!(matches!(document(&scene), Err(PngError::Size(..))));
    }

    #[test]
    fn the_embedded_fonts_have_every_sign_that_charts_use() {
        for font in [REGULAR, BOLD] {
            let face = Face::parse(font, 0).expect("a font");
            for letter in "azAZ09 %·×±µ≤≥–—…→Δéßжλ".chars() {
                assert!(face.glyph_index(letter).is_some(), "{letter}");
            }
        }
    }
}

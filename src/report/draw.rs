//! A [`Chart`] → a [`Scene`]: margins, grid, labels, lines.
//!
//! In: a chart and a size. Out: every line and word at its place. Invariants: nothing is drawn
//! outside of the size; labels that would overlap are left out or moved apart.

use super::chart::{Axis, Band, Chart, Mark, Range, Series, Shape, Tone};
use super::scene::{Anchor, Item, Scene, Text, fitted, text_width};
use super::ticks::{Ticks, ticks};

/// Font size of labels, in pixels.
const LABEL: f64 = 12.0;
/// Font size of the numbers at an axis, in pixels.
const TICK: f64 = 11.5;

/// Height of the row above a plot that names its marks, in pixels.
const MARK_ROW: f64 = 14.0;

/// How a chart is framed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Frame {
    /// Width in pixels.
    pub width: f64,
    /// Height in pixels.
    pub height: f64,
    /// Draw the title and the key too (a page sets them itself).
    pub titled: bool,
    /// Least room left of the plot, so that charts one below the other line up.
    pub left: f64,
}

/// Draws `chart` into `frame`.
pub fn draw(chart: &Chart, frame: Frame) -> Scene {
    let pen = Pen::new(chart, frame);
    let mut items = Vec::new();
    if frame.titled {
        pen.head(&mut items);
    }
    pen.bands(&mut items);
    pen.grid(&mut items);
    for (number, series) in chart.series.iter().enumerate() {
        items.push(Item::Series { number, items: pen.series(series) });
    }
    pen.ranges(&mut items);
    pen.marks(&mut items);
    if chart.direct_labels {
        pen.direct_labels(&mut items);
    }
    Scene { width: frame.width, height: frame.height, plot: pen.plot, items }
}

/// A chart with the place of its plot.
struct Pen<'a> {
    chart: &'a Chart,
    frame: Frame,
    x: Ticks,
    y: Ticks,
    /// Left, top, width, height.
    plot: [f64; 4],
}

impl<'a> Pen<'a> {
    fn new(chart: &'a Chart, frame: Frame) -> Self {
        let y = ticks(&chart.y, fitting(frame.height, 52.0));
        let x = ticks(&chart.x, fitting(frame.width, 74.0));
        let rows = &chart.y.categories;
        let widest = |labels: &mut dyn Iterator<Item = &String>| {
            labels.map(|label| text_width(label, TICK)).fold(0.0, f64::max)
        };
        let left = if rows.is_empty() {
            widest(&mut y.labels.iter().map(|(_, label)| label)) + 12.0
        } else {
            let figures = chart.ranges.iter().map(|range| &range.label);
            (widest(&mut rows.iter().chain(figures)) + 18.0).min(frame.width * 0.3)
        };
        let left = left.max(frame.left);
        let head = if frame.titled { 26.0 + key_height(chart, frame.width) } else { 0.0 };
        let has_y_title = rows.is_empty() && !axis_title(&chart.y, &y).is_empty();
        let mut above = if has_y_title { 20.0 } else { 6.0 };
        if !chart.marks.is_empty() {
            // A row of its own, so that no mark's name meets the axis' title.
            above += MARK_ROW;
        }
        let band = if chart.bands.is_empty() { 0.0 } else { 18.0 };
        let top = head + above + band;
        let mut right = 14.0;
        if chart.direct_labels {
            right += widest(&mut chart.series.iter().map(|series| &series.name));
        }
        let bottom = if axis_title(&chart.x, &x).is_empty() { 22.0 } else { 40.0 };
        let plot = [
            left,
            top,
            (frame.width - left - right).max(20.0),
            (frame.height - top - bottom).max(20.0),
        ];
        Self { chart, frame, x, y, plot }
    }

    fn at_x(&self, value: f64) -> f64 {
        self.plot[0] + self.plot[2] * self.chart.x.place(value)
    }

    fn at_y(&self, value: f64) -> f64 {
        let share = self.chart.y.place(value);
        // Rows are counted from the top, numbers from the bottom.
        let share = if self.chart.y.categories.is_empty() { 1.0 - share } else { share };
        self.plot[1] + self.plot[3] * share
    }

    fn points(&self, series: &Series) -> Vec<[f64; 2]> {
        series.points.iter().map(|[x, y]| [self.at_x(*x), self.at_y(*y)]).collect()
    }

    fn head(&self, items: &mut Vec<Item>) {
        let title = fitted(&self.chart.title, 14.0, self.frame.width - 4.0);
        items.push(text([2.0, 15.0], title, 14.0, Anchor::Start, Tone::Ink, true));
        if key_height(self.chart, self.frame.width) == 0.0 {
            return;
        }
        for (series, [x, y]) in
            self.chart.series.iter().zip(key_places(self.chart, self.frame.width))
        {
            let at = [x, y + 32.0];
            items.push(swatch(series, at));
            let label = [at[0] + 20.0, at[1] + 4.0];
            items.push(text(label, series.name.clone(), LABEL, Anchor::Start, Tone::Ink, false));
        }
    }

    fn bands(&self, items: &mut Vec<Item>) {
        let [_, top, _, height] = self.plot;
        for (number, Band { from, to, label }) in self.chart.bands.iter().enumerate() {
            let (left, right) = (self.at_x(*from), self.at_x(*to));
            let width = (right - left).max(0.5);
            let alpha = if number % 2 == 0 { 0.55 } else { 0.22 };
            let (at, size) = ([left, top - 18.0], [width, height + 18.0]);
            items.push(Item::Box { at, size, tone: Tone::Grid, alpha });
            let label = fitted(label, 11.0, width - 8.0);
            // A letter or two of a name say nothing.
            let says = label.chars().count() > 3 || label == self.chart.bands[number].label;
            if says && text_width(&label, 11.0) <= width - 4.0 {
                let at = [left + 4.0, top - 5.0];
                items.push(text(at, label, 11.0, Anchor::Start, Tone::Muted, false));
            }
        }
    }

    fn grid(&self, items: &mut Vec<Item>) {
        let [left, top, width, height] = self.plot;
        let (right, bottom) = (left + width, top + height);
        let line =
            |from, to, tone, width| Item::Line { points: vec![from, to], tone, width, dash: None };
        let rows = &self.chart.y.categories;
        if rows.is_empty() {
            for (value, label) in &self.y.labels {
                let y = self.at_y(*value);
                items.push(line([left, y], [right, y], Tone::Grid, 1.0));
                let at = [left - 7.0, y + 4.0];
                items.push(text(at, label.clone(), TICK, Anchor::End, Tone::Muted, false));
            }
            let band = if self.chart.bands.is_empty() { 0.0 } else { 18.0 };
            let marks = if self.chart.marks.is_empty() { 0.0 } else { MARK_ROW };
            let at = [2.0, top - 8.0 - band - marks];
            let title = fitted(&axis_title(&self.chart.y, &self.y), LABEL, self.frame.width - 4.0);
            items.push(text(at, title, LABEL, Anchor::Start, Tone::Muted, false));
        }
        for (number, name) in rows.iter().enumerate() {
            let y = self.at_y(number as f64 + 0.5);
            let name = fitted(name, TICK, left - 12.0);
            let figure = self.chart.ranges.iter().find(|range| range.row == number);
            let up = if figure.is_some() { 4.0 } else { -4.0 };
            items.push(text([left - 12.0, y - up], name, TICK, Anchor::End, Tone::Ink, false));
            if let Some(range) = figure {
                let (at, label) = ([left - 12.0, y + 12.0], range.label.clone());
                items.push(text(at, label, LABEL, Anchor::End, range.tone, true));
            }
        }
        let mut taken = f64::NEG_INFINITY;
        for (value, label) in &self.x.labels {
            let x = self.at_x(*value);
            let half = text_width(label, TICK) / 2.0;
            let middle = x.clamp(half + 1.0, self.frame.width - half - 1.0);
            if middle - half > taken {
                taken = middle + half + 6.0;
                if !rows.is_empty() {
                    items.push(line([x, top], [x, bottom], Tone::Grid, 1.0));
                }
                items.push(line([x, bottom], [x, bottom + 4.0], Tone::Muted, 1.0));
                let at = [middle, bottom + 17.0];
                items.push(text(at, label.clone(), TICK, Anchor::Middle, Tone::Muted, false));
            }
        }
        items.push(line([left, bottom], [right, bottom], Tone::Muted, 1.0));
        let title = axis_title(&self.chart.x, &self.x);
        if !title.is_empty() {
            let at = [left + width / 2.0, bottom + 35.0];
            items.push(text(at, title, LABEL, Anchor::Middle, Tone::Muted, false));
        }
    }

    fn series(&self, series: &Series) -> Vec<Item> {
        let (points, tone) = (self.points(series), series.tone);
        let line = |points, width, dash| Item::Line { points, tone, width, dash };
        match series.shape {
            Shape::Line => vec![line(points, 1.8, None)],
            Shape::Guide => vec![line(points, 1.2, Some([4.0, 4.0]))],
            Shape::Steps => vec![line(steps(&points), 1.8, None)],
            Shape::LineDots => {
                let (radius, alpha) = (3.2, 1.0);
                vec![line(points.clone(), 2.0, None), Item::Dots { points, tone, radius, alpha }]
            }
            Shape::Area => {
                let base = self.plot[1] + self.plot[3];
                let mut outline = points.clone();
                if let (Some(first), Some(last)) = (points.first(), points.last()) {
                    outline.extend([[last[0], base], [first[0], base]]);
                }
                vec![Item::Area { points: outline, tone, alpha: 0.18 }, line(points, 1.4, None)]
            }
            Shape::Dots => {
                let many = points.len() > 400;
                let (radius, alpha) = if many { (1.7, 0.6) } else { (2.4, 0.65) };
                vec![Item::Dots { points, tone, radius, alpha }]
            }
            Shape::Crosses => vec![Item::Crosses { points, tone, radius: 3.2 }],
        }
    }

    fn ranges(&self, items: &mut Vec<Item>) {
        let row_height = self.plot[3] / self.chart.y.categories.len().max(1) as f64;
        let half = (row_height * 0.34).min(18.0);
        for Range { row, tone, value, interval, .. } in &self.chart.ranges {
            let (x, y) = (self.at_x(*value), self.at_y(*row as f64 + 0.5));
            if let Some([low, high]) = interval {
                let (low, high) = (self.at_x(*low), self.at_x(*high));
                let (at, size) = ([low, y - half], [(high - low).max(1.0), half * 2.0]);
                items.push(Item::Box { at, size, tone: *tone, alpha: 0.25 });
            }
            let points = vec![[x, y - half], [x, y + half]];
            items.push(Item::Line { points, tone: *tone, width: 2.6, dash: None });
        }
    }

    fn marks(&self, items: &mut Vec<Item>) {
        let [left, top, width, height] = self.plot;
        for Mark { at, label } in &self.chart.marks {
            let x = self.at_x(*at);
            let points = vec![[x, top], [x, top + height]];
            items.push(Item::Line { points, tone: Tone::Ink, width: 1.2, dash: Some([2.0, 3.0]) });
            let label = fitted(label, 11.0, width);
            let half = text_width(&label, 11.0) / 2.0;
            let middle = x.max(left + half).min(left + width - half);
            let at = [middle, top - 6.0];
            items.push(text(at, label, 11.0, Anchor::Middle, Tone::Ink, false));
        }
    }

    /// Names at the right ends of lines, moved apart where they would overlap.
    fn direct_labels(&self, items: &mut Vec<Item>) {
        let ends = self.chart.series.iter().filter_map(|series| {
            let [x, y] = series.points.last()?;
            Some((self.at_y(*y), self.at_x(*x), series))
        });
        let mut ends: Vec<_> = ends.collect();
        ends.sort_by(|left, right| left.0.total_cmp(&right.0));
        let (top, bottom) = (self.plot[1], self.plot[1] + self.plot[3]);
        let mut next = top;
        let room = |ends: usize| bottom - 13.0 * (ends as f64 - 1.0);
        let count = ends.len();
        for (number, (y, x, series)) in ends.into_iter().enumerate() {
            let y = y.max(next).min(room(count - number).max(next));
            next = y + 13.0;
            let at = [x + 7.0, y + 4.0];
            items.push(text(at, series.name.clone(), 11.0, Anchor::Start, series.tone, true));
        }
    }
}

/// How many labels fit along a side when each takes `each` pixels.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 2..=14")]
fn fitting(side: f64, each: f64) -> usize {
    (side / each).clamp(2.0, 14.0).round() as usize
}

/// What stands at an axis: its label and, unless every number names it, the unit.
fn axis_title(axis: &Axis, ticks: &Ticks) -> String {
    match (axis.label.is_empty(), ticks.unit) {
        (_, "") => axis.label.clone(),
        (true, unit) => unit.to_owned(),
        (false, unit) => format!("{} ({unit})", axis.label),
    }
    .replace(" ()", "")
}

/// Level until the next point.
fn steps(points: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let mut steps = Vec::with_capacity(points.len() * 2);
    for pair in points.windows(2) {
        steps.extend([pair[0], [pair[1][0], pair[0][1]]]);
    }
    steps.extend(points.last());
    steps
}

/// Where each series stands in the key above the plot, and from there how high the key is.
fn key_places(chart: &Chart, width: f64) -> Vec<[f64; 2]> {
    let (mut x, mut y) = (2.0, 0.0);
    let place = |series: &Series| {
        let needed = text_width(&series.name, LABEL) + 34.0;
        if x + needed > width && x > 2.0 {
            (x, y) = (2.0, y + 17.0);
        }
        let place = [x, y];
        x += needed;
        place
    };
    chart.series.iter().map(place).collect()
}

fn key_height(chart: &Chart, width: f64) -> f64 {
    if chart.series.len() < 2 || chart.direct_labels || !chart.ranges.is_empty() {
        return 0.0;
    }
    key_places(chart, width).last().map_or(0.0, |[_, y]| y + 18.0)
}

fn swatch(series: &Series, [x, y]: [f64; 2]) -> Item {
    let tone = series.tone;
    match series.shape {
        Shape::Dots => Item::Dots { points: vec![[x + 7.0, y]], tone, radius: 3.5, alpha: 1.0 },
        Shape::Crosses => Item::Crosses { points: vec![[x + 7.0, y]], tone, radius: 3.5 },
        Shape::Guide => {
            let points = vec![[x, y], [x + 15.0, y]];
            Item::Line { points, tone, width: 1.2, dash: Some([4.0, 4.0]) }
        }
        Shape::Line | Shape::LineDots | Shape::Steps | Shape::Area => {
            Item::Line { points: vec![[x, y], [x + 15.0, y]], tone, width: 2.4, dash: None }
        }
    }
}

fn text(at: [f64; 2], text: String, size: f64, anchor: Anchor, tone: Tone, bold: bool) -> Item {
    Item::Text(Text { at, text, size, anchor, tone, bold })
}

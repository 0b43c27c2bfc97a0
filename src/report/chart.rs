//! What a picture shows, free of any drawing library.
//!
//! In: numbers in their metric's own unit. Out: a [`Chart`] that [`draw`](super::draw) places and
//! the page's script reads. Invariant: a chart holds plain finite numbers; how they look (pixels,
//! colours, fonts) is decided elsewhere.

use serde::Serialize;

/// One picture: two axes and what lies between them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Chart {
    /// What it shows, in a few words.
    pub title: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// What is drawn, first at the back.
    pub series: Vec<Series>,
    /// Labelled lines across the whole plot.
    pub marks: Vec<Mark>,
    /// Labelled stretches of the horizontal axis.
    pub bands: Vec<Band>,
    /// Figures with an interval, one per category of the vertical axis.
    pub ranges: Vec<Range>,
    /// Write the names of lines at their right ends instead of in a key.
    pub direct_labels: bool,
}

/// One axis.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Axis {
    /// What is measured along it.
    pub label: String,
    /// The unit of its numbers: one of the metric catalogue's, `s` for time of the run, or nothing.
    pub unit: &'static str,
    /// How numbers become places.
    pub scale: Scale,
    /// The number at its start.
    pub min: f64,
    /// The number at its end.
    pub max: f64,
    /// Names of its rows, the first at the top; an axis of numbers has none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<String>,
    /// Numbers that must be labelled, such as the rungs of a ladder; chosen freely when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stops: Vec<f64>,
}

/// How numbers become places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Equal differences are equally long.
    Linear,
    /// Equal ratios are equally long.
    Log,
}

/// Numbers drawn alike.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Series {
    /// Its name in keys and read-outs.
    pub name: String,
    /// How it is drawn.
    pub shape: Shape,
    /// In which colour.
    pub tone: Tone,
    /// Its points, x first.
    pub points: Vec<[f64; 2]>,
}

/// How a series is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// A line with a dot at every point.
    LineDots,
    /// A bare line.
    Line,
    /// A line that stays level until the next point (a distribution's steps).
    Steps,
    /// A filled outline from zero.
    Area,
    /// Dots that stand for single requests.
    Dots,
    /// Crosses that stand for failed requests.
    Crosses,
    /// A thin dashed line to compare with.
    Guide,
}

/// The role of a colour; light, dark and print each give it their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    /// One of the colours that everybody can tell apart.
    Series(u8),
    /// A step of a light-to-dark ramp, for ordered things.
    Ramp(u8),
    /// Text and axes.
    Ink,
    /// Secondary text.
    Muted,
    /// Grid lines and backgrounds of bands.
    Grid,
    /// Something is wrong here.
    Bad,
    /// The page itself.
    Paper,
}

/// How many series colours and ramp steps there are.
pub const TONES: usize = 8;

impl Tone {
    /// The name that style sheets know it by.
    pub fn class(self) -> &'static str {
        const SERIES: [&str; TONES] = ["s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7"];
        const RAMP: [&str; TONES] = ["r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7"];
        match self {
            Self::Series(number) => SERIES[usize::from(number) % TONES],
            Self::Ramp(step) => RAMP[usize::from(step) % TONES],
            Self::Ink => "ink",
            Self::Muted => "muted",
            Self::Grid => "grid",
            Self::Bad => "bad",
            Self::Paper => "paper",
        }
    }
}

/// A labelled line across the plot, at a number of the horizontal axis.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mark {
    /// Where.
    pub at: f64,
    /// What it means.
    pub label: String,
}

/// A labelled stretch of the horizontal axis.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Band {
    /// Its start.
    pub from: f64,
    /// Its end.
    pub to: f64,
    /// Its name.
    pub label: String,
}

/// A figure with its interval, on one row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Range {
    /// The row's number.
    pub row: usize,
    /// In which colour.
    pub tone: Tone,
    /// The figure.
    pub value: f64,
    /// The interval's ends, where one is known.
    pub interval: Option<[f64; 2]>,
    /// The figure in words.
    pub label: String,
}

impl Axis {
    /// A linear axis from `min` to `max`.
    pub fn linear(label: &str, unit: &'static str, min: f64, max: f64) -> Self {
        Self {
            label: label.to_owned(),
            unit,
            scale: Scale::Linear,
            min,
            max: if max > min { max } else { min + 1.0 },
            categories: Vec::new(),
            stops: Vec::new(),
        }
    }

    /// An axis that holds all `values`: logarithmic when they span more than a factor of `ratio`
    /// (and none is zero), else linear from zero.
    pub fn around(
        label: &str,
        unit: &'static str,
        values: impl Iterator<Item = f64>,
        ratio: f64,
    ) -> Self {
        let (mut min, mut max) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|value| value.is_finite()) {
            min = min.min(value);
            max = max.max(value);
        }
        if min > 0.0 && max / min > ratio {
            let mut axis = Self::linear(label, unit, min / 1.12, max * 1.12);
            axis.scale = Scale::Log;
            return axis;
        }
        Self::linear(label, unit, 0.0, if max > 0.0 { max * 1.06 } else { 1.0 })
    }

    /// An axis of places rather than lengths, such as a distribution's: as [`Axis::around`], but a
    /// linear one need not start at zero when all values are far from it.
    pub fn spanning(unit: &'static str, values: &[f64], ratio: f64) -> Self {
        let mut axis = Self::around("", unit, values.iter().copied(), ratio);
        let min = values.iter().copied().fold(f64::INFINITY, f64::min);
        if axis.scale == Scale::Linear && min.is_finite() && min > axis.max * 0.4 {
            axis.min = min * 0.85;
        }
        axis
    }

    /// A row for each of `names`, the first at the top.
    pub fn rows(names: Vec<String>) -> Self {
        let rows = names.len().max(1) as f64;
        Self { categories: names, ..Self::linear("", "", 0.0, rows) }
    }

    /// The place of `value` along the axis: 0 at its start, 1 at its end, clamped to them.
    pub fn place(&self, value: f64) -> f64 {
        let share = match self.scale {
            Scale::Linear => (value - self.min) / (self.max - self.min),
            Scale::Log => (value / self.min).ln() / (self.max / self.min).ln(),
        };
        if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) }
    }
}

impl Chart {
    /// An empty chart between two axes.
    pub fn new(title: &str, x: Axis, y: Axis) -> Self {
        Self {
            title: title.to_owned(),
            x,
            y,
            series: Vec::new(),
            marks: Vec::new(),
            bands: Vec::new(),
            ranges: Vec::new(),
            direct_labels: false,
        }
    }

    /// Adds a series; one without points is left out.
    pub fn add(&mut self, name: &str, shape: Shape, tone: Tone, points: Vec<[f64; 2]>) {
        if !points.is_empty() {
            self.series.push(Series { name: name.to_owned(), shape, tone, points });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_spans_get_a_logarithmic_axis_and_narrow_ones_start_at_zero() {
        let wide = Axis::around("TTFT", "ms", [10.0, 900.0].into_iter(), 10.0);
        assert_eq!(wide.scale, Scale::Log);
        assert!((wide.place(wide.min), wide.place(wide.max)) == (0.0, 1.0));
        let narrow = Axis::around("TTFT", "ms", [10.0, 30.0].into_iter(), 10.0);
        assert_eq!((narrow.scale, narrow.min), (Scale::Linear, 0.0));
        let with_zero = Axis::around("errors", "", [0.0, 900.0].into_iter(), 10.0);
        assert_eq!(with_zero.scale, Scale::Linear);
    }

    #[test]
    fn no_values_and_impossible_ones_still_give_places() {
        for values in [vec![], vec![f64::NAN], vec![0.0], vec![-1.0]] {
            let axis = Axis::around("", "", values.into_iter(), 10.0);
            for value in [0.0, 1.0, -5.0, f64::NAN, f64::INFINITY] {
                assert!((0.0..=1.0).contains(&axis.place(value)));
            }
        }
    }
}

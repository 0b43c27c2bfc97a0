//! Where an axis is labelled, and with what.
//!
//! In: an [`Axis`] and how many labels fit. Out: [`Ticks`]. Invariant: labels are round numbers in
//! one unit that a person would pick; a logarithmic axis names the unit at each.

use super::chart::{Axis, Scale};
use crate::metrics::quantity::{grouped, show};

/// The labels of an axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Ticks {
    /// The unit of all labels, when they do not name it themselves.
    pub unit: &'static str,
    /// Values and their labels, in rising order.
    pub labels: Vec<(f64, String)>,
}

/// About `wanted` labels for `axis`.
pub fn ticks(axis: &Axis, wanted: usize) -> Ticks {
    if !axis.stops.is_empty() {
        return stops(axis, wanted);
    }
    match axis.scale {
        Scale::Linear => linear(axis, wanted),
        Scale::Log => logarithmic(axis, wanted),
    }
}

/// `value` of `unit` as a person would say it; `s` means time of the run.
pub fn say(value: f64, unit: &str) -> String {
    match unit {
        "s" => {
            let (factor, unit) = display(unit, value.abs());
            format!("{} {unit}", plain(value / factor, 3))
        }
        "" => plain(value, 3),
        _ => show(value, unit),
    }
}

/// The factor and name of the unit in which numbers up to `max` are best read.
fn display(unit: &'_ str, max: f64) -> (f64, &'static str) {
    match unit {
        "ms" if max >= 1_000.0 => (1_000.0, "s"),
        "ms" if max < 1.0 => (0.001, "µs"),
        "ms" => (1.0, "ms"),
        "s" if max >= 7_200.0 => (3_600.0, "h"),
        "s" if max >= 240.0 => (60.0, "min"),
        "s" if max < 1.0 => (0.001, "ms"),
        "s" => (1.0, "s"),
        "share" => (0.01, "%"),
        "tokens/s" => (1.0, "tokens/s"),
        "requests/s" => (1.0, "requests/s"),
        "tokens" => (1.0, "tokens"),
        _ => (1.0, ""),
    }
}

fn linear(axis: &Axis, wanted: usize) -> Ticks {
    let (factor, unit) = display(axis.unit, axis.max.abs().max(axis.min.abs()));
    let (min, max) = (axis.min / factor, axis.max / factor);
    let step = nice_step((max - min) / wanted.max(1) as f64);
    let first = (min / step).ceil();
    let labels = (0..=wanted * 3 + 2)
        .map(|number| (first + number as f64) * step)
        .take_while(|value| *value <= max + step * 1e-9)
        .map(|value| (value * factor, decimals(value, step)))
        .collect();
    Ticks { unit, labels }
}

/// The next of 1, 2, 5, 10, … at or above `rough`.
fn nice_step(rough: f64) -> f64 {
    if !(rough.is_finite() && rough > 0.0) {
        return 1.0;
    }
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().find(|step| step * power >= rough * 0.999_999);
    step.unwrap_or(10.0) * power
}

fn logarithmic(axis: &Axis, wanted: usize) -> Ticks {
    let (low, high) = (axis.min.log10().floor(), axis.max.log10().ceil());
    let powers = (0..40).map(|number| low + f64::from(number)).take_while(|power| *power <= high);
    let powers: Vec<f64> = powers.map(|power| 10_f64.powf(power)).collect();
    let inside = |steps: &[f64]| -> Vec<f64> {
        let values = powers.iter().flat_map(|power| steps.iter().map(move |step| step * power));
        values.filter(|value| *value >= axis.min && *value <= axis.max).collect()
    };
    let finest: &[&[f64]] = &[&[1.0, 2.0, 3.0, 5.0], &[1.0, 2.0, 5.0], &[1.0, 3.0], &[1.0]];
    let fitting = finest.iter().map(|steps| inside(steps)).find(|values| values.len() <= wanted);
    let values = fitting.unwrap_or_else(|| {
        let every = inside(&[1.0]);
        every.iter().step_by(every.len().div_ceil(wanted.max(1)).max(1)).copied().collect()
    });
    // Less than a decade between two round numbers: equal steps read better than one label.
    if values.len() < 2 {
        return linear(axis, wanted);
    }
    // Times change their unit along the axis; other numbers share one.
    let timed = matches!(axis.unit, "ms" | "s");
    let label = |value| if timed { say(value, axis.unit) } else { plain(value, 3) };
    let labels = values.into_iter().map(|value| (value, label(value))).collect();
    Ticks { unit: if timed { "" } else { display(axis.unit, axis.max).1 }, labels }
}

/// The given numbers, or every second, third, … when there are far too many; whoever draws them
/// leaves out those that would overlap.
fn stops(axis: &Axis, wanted: usize) -> Ticks {
    let every = axis.stops.len().div_ceil(wanted.max(1) * 4).max(1);
    let labels = axis.stops.iter().step_by(every).map(|stop| (*stop, plain(*stop, 3))).collect();
    Ticks { unit: display(axis.unit, 1.0).1, labels }
}

fn decimals(value: f64, step: f64) -> String {
    let digits = (0..9).find(|digits| {
        let scaled = step * 10_f64.powi(*digits);
        (scaled - scaled.round()).abs() < 1e-6 * scaled
    });
    let digits = usize::try_from(digits.unwrap_or(9)).unwrap_or(9);
    thousands(format!("{:.digits$}", if value == 0.0 { 0.0 } else { value }))
}

/// A number with about `digits` significant digits and no zeros that say nothing.
pub fn plain(value: f64, digits: usize) -> String {
    let text = crate::metrics::quantity::significant(value, digits);
    if text.contains('.') {
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    thousands(text)
}

fn thousands(text: String) -> String {
    match text.parse::<u64>() {
        Ok(whole) if whole >= 10_000 => grouped(whole),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis, wanted: usize) -> (String, &'static str) {
        let ticks = ticks(axis, wanted);
        let labels: Vec<String> = ticks.labels.into_iter().map(|(_, label)| label).collect();
        (labels.join(" "), ticks.unit)
    }

    #[test]
    fn linear_labels_are_round_numbers_in_a_fitting_unit() {
        let axis = |max, unit| Axis::linear("", unit, 0.0, max);
        assert_eq!(labels(&axis(980.0, "ms"), 5), ("0 200 400 600 800".into(), "ms"));
        assert_eq!(labels(&axis(1_600.0, "ms"), 5), ("0.0 0.5 1.0 1.5".into(), "s"));
        assert_eq!(labels(&axis(1.0, "share"), 5), ("0 20 40 60 80 100".into(), "%"));
        assert_eq!(labels(&axis(0.5, ""), 5), ("0.0 0.1 0.2 0.3 0.4 0.5".into(), ""));
        assert_eq!(labels(&axis(600.0, "s"), 5), ("0 2 4 6 8 10".into(), "min"));
        assert_eq!(labels(&axis(45_000.0, "tokens/s"), 5).0, "0 10,000 20,000 30,000 40,000");
    }

    #[test]
    fn logarithmic_labels_name_their_unit() {
        let axis = Axis { scale: Scale::Log, ..Axis::linear("", "ms", 8.0, 3_000.0) };
        assert_eq!(labels(&axis, 4).0, "10 ms 100 ms 1 s");
        let narrow = Axis { scale: Scale::Log, ..Axis::linear("", "ms", 80.0, 950.0) };
        assert_eq!(labels(&narrow, 5).0, "100 ms 200 ms 300 ms 500 ms");
    }

    #[test]
    fn rungs_are_labelled_as_they_are() {
        let mut axis = Axis::linear("", "requests/s", 0.0, 16.0);
        axis.stops = vec![1.0, 2.0, 4.0, 8.0, 16.0];
        assert_eq!(labels(&axis, 2).0, "1 2 4 8 16");
        assert_eq!(labels(&axis, 1).0, "1 4 16");
    }

    #[test]
    fn no_axis_gives_endless_or_no_labels() {
        for (min, max) in [(0.0, 1e-12), (0.0, 1e300), (-5.0, 5.0), (1e15, 1e15 + 1.0)] {
            let count = ticks(&Axis::linear("", "", min, max), 5).labels.len();
            assert!((1..=20).contains(&count), "{min}..{max}: {count}");
        }
        let axis = Axis { scale: Scale::Log, ..Axis::linear("", "ms", 1e-6, 1e9) };
        assert!((2..=6).contains(&ticks(&axis, 5).labels.len()));
    }
}

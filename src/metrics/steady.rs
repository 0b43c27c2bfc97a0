//! Which part of a stage is in steady state.
//!
//! In: latencies over time, and when requests were sent and ended. Out: a [`Span`] of the stage, or
//! why it has none. Invariant: the whole stage is never thrown away for its steady part: both are
//! reported, so a span only says which samples count twice.
//!
//! | file | what it turns into what |
//! |---|---|
//! | here | a series → its plateau |
//! | [`part`] | the records of a stage → the figures of its steady part |

use serde::{Deserialize, Serialize};

pub mod part;

/// A stretch of a stage, in nanoseconds from its start; `end_ns` is not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Span {
    /// Its beginning.
    pub start_ns: u64,
    /// Its end.
    pub end_ns: u64,
}

impl Span {
    /// Whether `at_ns` lies in it.
    pub fn holds(&self, at_ns: u64) -> bool {
        (self.start_ns..self.end_ns).contains(&at_ns)
    }

    /// Its length in seconds.
    pub fn seconds(&self) -> f64 {
        self.end_ns.saturating_sub(self.start_ns) as f64 / 1e9
    }

    /// What is left of it without `head_ns` at its beginning and `tail_ns` at its end; `None` when
    /// nothing is.
    pub fn trimmed(&self, head_ns: u64, tail_ns: u64) -> Option<Self> {
        let start_ns = self.start_ns.saturating_add(head_ns);
        let end_ns = self.end_ns.saturating_sub(tail_ns);
        (start_ns < end_ns).then_some(Self { start_ns, end_ns })
    }
}

/// A value at a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Nanoseconds from the stage's start.
    pub at_ns: u64,
    /// The value.
    pub value: f64,
}

/// Why a series has no plateau.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsteady {
    /// Too few points to tell.
    TooFew,
    /// It rose to its end.
    Rising,
    /// It fell to its end.
    Falling,
}

/// Fewest points in a batch: the median of some tells a trend from a slow answer.
const MIN_BATCH: usize = 5;
/// Fewest batches a plateau is looked for in.
const MIN_BATCHES: usize = 10;
/// Most batches that samples are put into, so that the search stays quick.
const MAX_BATCHES: usize = 400;
/// Fewest points a plateau is looked for in.
pub const MIN_POINTS: usize = MIN_BATCH * MIN_BATCHES;
/// A plateau changes over half of the series by at most this share of its mean…
const DRIFT: f64 = 0.1;
/// …or by what chance explains: a slope of this many standard errors.
const DRIFT_ERRORS: f64 = 3.0;

/// The settled part of `span`, by the `points` in it (in order of time): its head and its tail are
/// cut off where that makes the mean of the rest most certain (the MSER rule over batch medians, from
/// either end, of at most half of the batches), if they differ from the rest by more than chance and
/// by more than a tenth. What still drifts then has no steady state to speak of.
pub fn plateau(points: &[Point], span: Span) -> Result<Span, Unsteady> {
    let size = points.len().div_ceil(MAX_BATCHES).max(MIN_BATCH);
    let batches: Vec<&[Point]> = points.chunks_exact(size).collect();
    let levels: Vec<f64> = batches.iter().map(|batch| typical(batch)).collect();
    if levels.len() < MIN_BATCHES || levels.iter().any(|mean| !mean.is_finite()) {
        return Err(Unsteady::TooFew);
    }
    let cut = |values: &[f64]| {
        let (head, rest) = values.split_at(truncation(values));
        if differ(head, rest) { head.len() } else { 0 }
    };
    let head = cut(&levels);
    let backwards: Vec<f64> = levels[head..].iter().rev().copied().collect();
    let last = levels.len() - cut(&backwards);
    if let Some(trend) = drift(&levels[head..last], levels.len()) {
        return Err(trend);
    }
    // An end that was not cut is the span's own: the first point comes a moment later.
    let start = batches.get(head).and_then(|batch| batch.first()).filter(|_| head > 0);
    let end = batches.get(last).and_then(|batch| batch.first()).filter(|_| last < levels.len());
    Ok(Span {
        start_ns: start.map_or(span.start_ns, |point| point.at_ns),
        end_ns: end.map_or(span.end_ns, |point| point.at_ns),
    })
}

/// How many values to cut off the front: the marginal standard error rule (White 1997) picks the
/// cut after which (sum of squared deviations) / n² is least. At most half is cut.
fn truncation(values: &[f64]) -> usize {
    // From the back, so that each longer tail adds one value to sums already known.
    let mut best = (f64::INFINITY, 0);
    let (mut count, mut mean, mut squares) = (0.0, 0.0, 0.0);
    for (at, value) in values.iter().enumerate().rev() {
        count += 1.0;
        let delta = value - mean;
        mean += delta / count;
        squares += delta * (value - mean);
        // On a tie the longer tail: a constant series loses nothing.
        if at <= values.len() / 2 && squares / (count * count) <= best.0 {
            best = (squares / (count * count), at);
        }
    }
    best.1
}

/// Whether the means of two parts differ by more than chance and by more than [`DRIFT`].
fn differ(one: &[f64], other: &[f64]) -> bool {
    if one.is_empty() || other.is_empty() {
        return false;
    }
    let (before, after) = (mean(one.iter().copied()), mean(other.iter().copied()));
    let error = (variance_of_mean(one) + variance_of_mean(other)).sqrt();
    let difference = (after - before).abs();
    difference > DRIFT * after.abs() && difference > DRIFT_ERRORS * error
}

/// Which way a series still goes, if it does. `of` is the length of the series that it was cut from:
/// the middle of a slow rise must not pass for a plateau because it is short.
fn drift(values: &[f64], of: usize) -> Option<Unsteady> {
    let n = values.len() as f64;
    let (middle, level) = ((n - 1.0) / 2.0, mean(values.iter().copied()));
    let at = |number: usize| number as f64 - middle;
    let moments = values.iter().enumerate();
    let (products, squares) = moments.fold((0.0, 0.0), |(products, squares), (number, value)| {
        (products + at(number) * (value - level), squares + at(number) * at(number))
    });
    let slope = products / squares;
    let residuals: Vec<f64> =
        (0..values.len()).map(|number| values[number] - level - slope * at(number)).collect();
    let noise = residuals.iter().map(|it| it * it).sum::<f64>();
    // What waits in a queue hangs together: neighbours are alike, and chance explains more.
    let alike = residuals.windows(2).map(|pair| pair[0] * pair[1]).sum::<f64>() / noise;
    let alike = if alike.is_finite() { alike.clamp(0.0, 0.99) } else { 0.0 };
    let error = (noise / (n - 2.0).max(1.0) / squares * (1.0 + alike) / (1.0 - alike)).sqrt();
    let change = slope * of as f64 / 2.0;
    let is_drift = change.abs() > DRIFT * level.abs() && slope.abs() > DRIFT_ERRORS * error;
    is_drift.then_some(if slope > 0.0 { Unsteady::Rising } else { Unsteady::Falling })
}

/// The median: one slow answer neither cuts nor tilts.
fn typical(batch: &[Point]) -> f64 {
    let mut values: Vec<f64> = batch.iter().map(|point| point.value).collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn variance_of_mean(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    if n < 2.0 {
        return 0.0;
    }
    let mean = mean(values.iter().copied());
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0) / n
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    if count > 0.0 { sum / count } else { 0.0 }
}

/// When the opening burst of a closed loop is over: the end of the last of its first `users`
/// requests, if they were sent as a burst (all within a tenth of their median duration). `None`
/// when the starts were spread. `requests` are (sent, end) in nanoseconds, in any order.
pub fn burst_end(requests: &[(u64, u64)], users: usize) -> Option<u64> {
    let mut first: Vec<(u64, u64)> = requests.to_vec();
    first.sort_unstable();
    first.truncate(users);
    let (opened, closed) = (first.first()?.0, first.last()?.0);
    let mut durations: Vec<u64> =
        first.iter().map(|(sent, end)| end.saturating_sub(*sent)).collect();
    durations.sort_unstable();
    let median = *durations.get(durations.len() / 2)?;
    let burst = first.len() > 1 && closed - opened <= median / 10;
    burst.then(|| first.iter().map(|(_, end)| *end).max()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A series with some wobble that does not depend on luck.
    fn points(values: impl IntoIterator<Item = f64>) -> Vec<Point> {
        let wobble = [0.3, -0.2, 0.1, -0.4, 0.2, 0.0, -0.1, 0.4, -0.3];
        (0_u64..)
            .zip(values)
            .map(|(at, value)| Point {
                at_ns: at * 1_000,
                value: value + wobble[usize::try_from(at % 9).expect("small")],
            })
            .collect()
    }

    fn found(points: &[Point]) -> Result<Span, Unsteady> {
        plateau(points, Span { start_ns: 0, end_ns: points.len() as u64 * 1_000 })
    }

    fn ramp_up_hold_ramp_down(up: usize, hold: usize, down: usize) -> Vec<Point> {
        let share = |n: usize, of: usize| 50.0 * n as f64 / of as f64;
        points(
            (0..up)
                .map(|n| share(n, up))
                .chain(std::iter::repeat_n(50.0, hold))
                .chain((0..down).rev().map(|n| share(n, down))),
        )
    }

    #[test]
    fn ramps_at_both_ends_are_cut_off() {
        for (up, hold, down) in [(100, 800, 100), (300, 1_500, 0), (0, 600, 200), (40, 120, 20)] {
            let span = found(&ramp_up_hold_ramp_down(up, hold, down)).expect("a plateau");
            let edge = (up + hold + down) as u64 * 1_000 / 10;
            let (start, end) = (up as u64 * 1_000, (up + hold) as u64 * 1_000);
            assert!(span.start_ns.abs_diff(start) <= edge, "{up} {hold} {down}: {span:?}");
            assert!(span.end_ns.abs_diff(end) <= edge, "{up} {hold} {down}: {span:?}");
        }
    }

    #[test]
    fn a_steady_series_is_kept_whole() {
        let whole = Span { start_ns: 0, end_ns: 900_000 };
        assert_eq!(found(&points(std::iter::repeat_n(7.0, 900))), Ok(whole));
        let flat: Vec<Point> = (0..50).map(|at_ns| Point { at_ns, value: 1.0 }).collect();
        let span = Span { start_ns: 0, end_ns: 60 };
        assert_eq!(plateau(&flat, span), Ok(span));
    }

    #[test]
    fn one_slow_answer_neither_cuts_nor_tilts() {
        for at in [3, 200, 450, 899] {
            let mut series = points(std::iter::repeat_n(7.0, 900));
            series[at].value = 500.0;
            assert_eq!(found(&series), Ok(Span { start_ns: 0, end_ns: 900_000 }), "at {at}");
        }
    }

    #[test]
    fn a_queue_that_comes_and_goes_is_no_drift() {
        // Waves of latency, as of a server at nine tenths of its capacity.
        let waves = (0..4_000).map(|n| 10.0 + 6.0 * (f64::from(n) / 130.0).sin());
        assert!(found(&points(waves)).is_ok());
    }

    #[test]
    fn what_never_settles_has_no_plateau() {
        assert_eq!(found(&points((0..1_000).map(f64::from))), Err(Unsteady::Rising));
        // A rise by half, of which the middle alone looks almost flat.
        let slow = (0..2_000).map(|n| 100.0 + f64::from(n) / 40.0);
        assert_eq!(found(&points(slow)), Err(Unsteady::Rising));
        assert_eq!(found(&points((0..1_000).rev().map(f64::from))), Err(Unsteady::Falling));
        assert_eq!(found(&points(std::iter::repeat_n(7.0, 49))), Err(Unsteady::TooFew));
        assert_eq!(found(&[]), Err(Unsteady::TooFew));
        assert_eq!(found(&points(std::iter::repeat_n(f64::NAN, 100))), Err(Unsteady::TooFew));
    }

    #[test]
    fn head_and_tail_leave_the_middle() {
        let whole = Span { start_ns: 5, end_ns: 105 };
        assert_eq!(whole.trimmed(10, 20), Some(Span { start_ns: 15, end_ns: 85 }));
        assert_eq!(whole.trimmed(60, 40), None);
        let middle = whole.trimmed(10, 20).expect("something is left");
        assert!(middle.holds(15) && middle.holds(84) && !middle.holds(85) && !middle.holds(14));
    }

    #[test]
    fn an_opening_burst_ends_with_its_slowest_answer() {
        let burst = [(0, 1_000), (1, 1_500), (2, 900), (900, 1_800), (1_000, 2_000)];
        assert_eq!(burst_end(&burst, 3), Some(1_500));
        let spread = [(0, 1_000), (400, 1_500), (800, 1_900)];
        assert_eq!(burst_end(&spread, 3), None);
        assert_eq!(burst_end(&[(0, 10)], 1), None, "one user is no burst");
        assert_eq!(burst_end(&[], 4), None);
    }
}

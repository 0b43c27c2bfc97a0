//! Which part of a stage is in steady state.
//!
//! In: samples over time (values such as requests in flight or latencies, or when requests were sent
//! and ended). Out: a [`Span`] of the stage. Invariant: the whole stage is never thrown away
//! for its steady part: both are reported, so a span only says which samples count twice.

use serde::{Deserialize, Serialize};

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

    /// What is left of it without `settle_ns` at its head and `cooldown_ns` at its tail; `None`
    /// when nothing is.
    pub fn trimmed(&self, settle_ns: u64, cooldown_ns: u64) -> Option<Self> {
        let start_ns = self.start_ns.saturating_add(settle_ns);
        let end_ns = self.end_ns.saturating_sub(cooldown_ns);
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

/// Fewest batches a plateau is looked for in.
const MIN_BATCHES: usize = 10;
/// Most batches that samples are averaged into, so that the search stays quick.
const MAX_BATCHES: usize = 400;
/// The halves of a plateau differ by at most this share of its mean…
const DRIFT: f64 = 0.1;
/// …or by what chance explains: this many standard errors.
const DRIFT_ERRORS: f64 = 3.0;

/// The longest-settled middle of `points` (in order of time): warm-up and cool-down are cut off
/// where that makes the mean of the rest most certain (the MSER rule over batch means, from either
/// end, of at most half of the samples). `None` with too few samples, or when what is left still
/// drifts: then there is no steady state to speak of.
pub fn plateau(points: &[Point]) -> Option<Span> {
    let size = points.len().div_ceil(MAX_BATCHES).max(1);
    let batches: Vec<&[Point]> = points.chunks_exact(size).collect();
    let means: Vec<f64> = batches.iter().map(|batch| mean(batch.iter().map(|p| p.value))).collect();
    if means.len() < MIN_BATCHES || means.iter().any(|mean| !mean.is_finite()) {
        return None;
    }
    let head = truncation(means.iter());
    let tail = truncation(means[head..].iter().rev());
    let last = means.len() - tail;
    if drifts(&means[head..last]) {
        return None;
    }
    let start_ns = batches.get(head)?.first()?.at_ns;
    let end_ns = batches.get(last.checked_sub(1)?)?.last()?.at_ns.saturating_add(1);
    Some(Span { start_ns, end_ns })
}

/// How many values to cut off the front: the marginal standard error rule (White 1997) picks the
/// cut after which (sum of squared deviations) / n² is least. At most half is cut.
fn truncation<'a>(values: impl DoubleEndedIterator<Item = &'a f64>) -> usize {
    // From the back, so that each longer tail adds one value to sums already known.
    let values: Vec<f64> = values.copied().collect();
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

/// Whether the two halves of a series differ by more than chance and by more than [`DRIFT`].
fn drifts(values: &[f64]) -> bool {
    let (early, late) = values.split_at(values.len() / 2);
    let (before, after) = (mean(early.iter().copied()), mean(late.iter().copied()));
    let error = (variance_of_mean(early) + variance_of_mean(late)).sqrt();
    let difference = (after - before).abs();
    difference > DRIFT * mean(values.iter().copied()).abs() && difference > DRIFT_ERRORS * error
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

/// The stretch in which every user of a closed loop was busy: from the moment the last one sent
/// its first request until the first one had nothing left to send. `users` are (first sent, last
/// end) of each, in nanoseconds.
pub fn full_load(users: &[(u64, u64)]) -> Option<Span> {
    let start_ns = users.iter().map(|(first, _)| *first).max()?;
    let end_ns = users.iter().map(|(_, last)| *last).min()?;
    (start_ns < end_ns).then_some(Span { start_ns, end_ns })
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
        for (up, hold, down) in [(100, 800, 100), (300, 1_500, 0), (0, 600, 200), (20, 60, 10)] {
            let span = plateau(&ramp_up_hold_ramp_down(up, hold, down)).expect("a plateau");
            let edge = (up + hold + down) as u64 * 1_000 / 10;
            let (start, end) = (up as u64 * 1_000, (up + hold) as u64 * 1_000);
            assert!(span.start_ns.abs_diff(start) <= edge, "{up} {hold} {down}: {span:?}");
            assert!(span.end_ns.abs_diff(end) <= edge, "{up} {hold} {down}: {span:?}");
        }
    }

    #[test]
    fn a_steady_series_is_kept_almost_whole() {
        let span = plateau(&points(std::iter::repeat_n(7.0, 900))).expect("a plateau");
        assert!(span.seconds() * 1e6 > 700.0, "{span:?}");
        let flat: Vec<Point> = (0..50).map(|at_ns| Point { at_ns, value: 1.0 }).collect();
        assert_eq!(plateau(&flat), Some(Span { start_ns: 0, end_ns: 50 }));
    }

    #[test]
    fn what_never_settles_has_no_plateau() {
        assert_eq!(plateau(&points((0..1_000).map(f64::from))), None);
        assert_eq!(plateau(&points(std::iter::repeat_n(7.0, 5))), None, "too few samples");
        assert_eq!(plateau(&[]), None);
        assert_eq!(plateau(&points(std::iter::repeat_n(f64::NAN, 100))), None);
    }

    #[test]
    fn settle_and_cooldown_leave_the_middle() {
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

    #[test]
    fn full_load_lasts_while_every_user_is_busy() {
        let users = [(0, 900), (50, 1_000), (20, 800)];
        assert_eq!(full_load(&users), Some(Span { start_ns: 50, end_ns: 800 }));
        assert_eq!(full_load(&[(0, 10), (20, 30)]), None);
        assert_eq!(full_load(&[]), None);
    }
}

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

use super::effective::memory;

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
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Unsteady {
    /// Too few points to tell, or too much chance in them.
    TooFew,
    /// It was at one level, and then at another.
    Stepped {
        /// The first level.
        from: f64,
        /// The second one.
        to: f64,
        /// Where the second one begins.
        at_ns: u64,
    },
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
/// …or by this, in milliseconds…
const LEAST: f64 = 2.0;
/// …or by what chance explains: a slope of this many standard errors.
const DRIFT_ERRORS: f64 = 3.0;
/// A trend is named from so many on: what waits in a queue goes up and down for longer than a short series
/// shows, so that its error is estimated too small.
const NAMED_ERRORS: f64 = 4.0;
/// A step is so many times what either of its levels goes up and down by itself.
const STEP_SWINGS: f64 = 3.0;
/// The place of a step is chosen among many, so a step takes more.
const STEP_ERRORS: f64 = 4.5;
/// Fewest batches at either side of a step.
const MIN_LEVEL: usize = 5;
/// A plateau is one where a change by this share of its level can be ruled out (two standard errors).
const UNSURE: f64 = 0.5;

/// The settled part of `span`, by the `points` in it (in order of time). A step is named. Else its head
/// and its tail are cut off where that makes the mean of the rest most certain (the MSER rule over batch
/// medians, from either end, of at most half of the batches), if they differ from the rest by more than
/// chance and by more than a tenth. What still drifts then has no steady state to speak of, and no more
/// has a part that may go on with the trend of the whole: half of a slow rise looks almost flat.
pub fn plateau(points: &[Point], span: Span) -> Result<Span, Unsteady> {
    let size = points.len().div_ceil(MAX_BATCHES).max(MIN_BATCH);
    let batches: Vec<&[Point]> = points.chunks_exact(size).collect();
    let levels: Vec<f64> = batches.iter().map(|batch| typical(batch)).collect();
    if levels.len() < MIN_BATCHES || levels.iter().any(|mean| !mean.is_finite()) {
        return Err(Unsteady::TooFew);
    }
    if let Some(place) = step(&levels) {
        let (before, after) = levels.split_at(place);
        let mean = |values: &[f64]| mean(values.iter().copied());
        let at_ns = batches.get(place).and_then(|batch| batch.first()).map_or(0, |it| it.at_ns);
        // A beginning that is slower than all that follows is a warm-up, which is cut off.
        let is_warm_up = place * 4 <= levels.len() && mean(after) < mean(before);
        if !is_warm_up {
            return Err(Unsteady::Stepped { from: mean(before), to: mean(after), at_ns });
        }
    }
    let cut = |values: &[f64]| {
        let (head, rest) = values.split_at(truncation(values));
        if differ(head, rest) { head.len() } else { 0 }
    };
    let head = cut(&levels);
    let backwards: Vec<f64> = levels[head..].iter().rev().copied().collect();
    let last = levels.len() - cut(&backwards);
    let (whole, rest) = (Line::through(&levels), Line::through(&levels[head..last]));
    if rest.drifts(levels.len()) {
        return Err(rest.direction());
    }
    // A part that is flat contradicts the trend of the whole: it has not even half of its slope.
    let up = whole.slope.signum();
    let goes_on = up * rest.slope + DRIFT_ERRORS * rest.error > up * whole.slope / 2.0
        || last - head <= MIN_BATCHES;
    if rest.values < whole.values && goes_on && whole.drifts(levels.len()) {
        return Err(whole.direction());
    }
    let at_most = (rest.slope.abs() + 2.0 * rest.error) * rest.values;
    if at_most > (UNSURE * rest.level.abs()).max(LEAST) {
        return Err(Unsteady::TooFew);
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
    // A handful of values says little of how far it spreads itself.
    let like_other = variance_of_mean(other) * other.len() as f64 / one.len() as f64;
    let error = (variance_of_mean(one).max(like_other) + variance_of_mean(other)).sqrt();
    let difference = (after - before).abs();
    difference > DRIFT * after.abs() && difference > DRIFT_ERRORS * error
}

/// The straight line through a series, by least squares.
struct Line {
    values: f64,
    level: f64,
    slope: f64,
    /// Standard error of the slope: what waits in a queue hangs together, so that chance explains more.
    error: f64,
    /// What the line leaves unexplained.
    squares: f64,
}

impl Line {
    fn through(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let (middle, level) = ((n - 1.0) / 2.0, mean(values.iter().copied()));
        let at = |number: usize| number as f64 - middle;
        let moments = values.iter().enumerate();
        let (products, spread) = moments.fold((0.0, 0.0), |(products, spread), (number, value)| {
            (products + at(number) * (value - level), spread + at(number) * at(number))
        });
        let slope = if spread > 0.0 { products / spread } else { 0.0 };
        let rest: Vec<f64> =
            (0..values.len()).map(|number| values[number] - level - slope * at(number)).collect();
        let squares = rest.iter().map(|it| it * it).sum::<f64>();
        let error = (squares * memory(&rest) / (n - 2.0).max(1.0) / spread.max(1.0)).sqrt();
        Self { values: n, level, slope, error, squares }
    }

    /// Whether it goes up or down by more than chance, and by more than a little over half of the series
    /// `of` so many values that it was cut from.
    fn drifts(&self, of: usize) -> bool {
        let change = (self.slope * of as f64 / 2.0).abs();
        change > (DRIFT * self.level.abs()).max(LEAST)
            && self.slope.abs() > DRIFT_ERRORS * self.error
    }

    /// What a drift is called.
    fn direction(&self) -> Unsteady {
        if self.slope.abs() <= NAMED_ERRORS * self.error {
            Unsteady::TooFew
        } else if self.slope > 0.0 {
            Unsteady::Rising
        } else {
            Unsteady::Falling
        }
    }
}

/// Where a series steps from one level to another: two levels that explain it better than a line does,
/// neither of which drifts, and which differ by more than chance, by more than a little, and by more than
/// three times what either goes up and down by itself, as what waits in a queue does.
fn step(values: &[f64]) -> Option<usize> {
    let least = MIN_LEVEL.max(values.len() / 20);
    let squares = |part: &[f64]| {
        let level = mean(part.iter().copied());
        part.iter().map(|value| (value - level).powi(2)).sum::<f64>()
    };
    let places = least..(values.len() + 1).saturating_sub(least);
    let left = |place: usize| squares(&values[..place]) + squares(&values[place..]);
    let place = places.min_by(|one, other| left(*one).total_cmp(&left(*other)))?;
    let (before, after) = values.split_at(place);
    let (from, to) = (mean(before.iter().copied()), mean(after.iter().copied()));
    let rest: Vec<f64> =
        before.iter().map(|it| it - from).chain(after.iter().map(|it| it - to)).collect();
    let variance = left(place) / (values.len() - 2).max(1) as f64 * memory(&rest);
    let error = (variance * (1.0 / before.len() as f64 + 1.0 / after.len() as f64)).sqrt();
    let size = (to - from).abs();
    let is_step = size > (DRIFT * from.min(to).abs()).max(LEAST)
        && size > STEP_ERRORS * error
        && left(place) < Line::through(values).squares
        && ![before, after].iter().any(|part| {
            Line::through(part).drifts(2 * part.len()) || STEP_SWINGS * swing(part) > size
        });
    is_step.then_some(place)
}

/// How far apart the levels of the thirds of a series lie.
fn swing(values: &[f64]) -> f64 {
    let thirds = values.chunks(values.len().div_ceil(3)).map(|third| mean(third.iter().copied()));
    let (low, high) = thirds
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), it| (low.min(it), high.max(it)));
    high - low
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
        assert!(matches!(found(&points(waves)), Ok(_) | Err(Unsteady::TooFew)));
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
    fn a_step_is_named() {
        let series = points((0..600).map(|n| if n < 400 { 80.0 } else { 120.0 }));
        let Err(Unsteady::Stepped { from, to, at_ns }) = found(&series) else {
            panic!("{:?}", found(&series))
        };
        assert!((from - 80.0).abs() < 0.1 && (to - 120.0).abs() < 0.1, "{from} {to}");
        assert_eq!(at_ns, 400_000);
        // A slow beginning is a warm-up.
        let warm = points((0..600).map(|n| if n < 60 { 200.0 } else { 120.0 }));
        assert_eq!(found(&warm).map(|span| span.start_ns), Ok(60_000));
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

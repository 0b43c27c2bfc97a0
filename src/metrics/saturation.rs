//! Where an endpoint saturates, and what to run it at.
//!
//! In: one [`Rung`] per level of a ladder or ramp. Out: a [`Saturation`]: its capacity, the highest
//! sustainable level, the level of best throughput, where errors and tail latency rise. What may be said
//! of it is for [`claims`](super::claims). Invariants: a rung on which the generator was the bottleneck,
//! or whose level never came about, counts neither for nor against the endpoint; a ladder that was not
//! run to its end, or was never answered, has no figures; there is no recommendation without a limit.

use serde::{Deserialize, Serialize};

mod stages;

pub use stages::of_stages;

/// What a ladder raises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Axis {
    /// Requests per second.
    Rate,
    /// Requests in flight.
    Concurrency,
}

/// One level's figures, of its steady part where there is one.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rung {
    /// The rate asked for, or the concurrency.
    pub level: f64,
    /// Complete answers per second. On a rate ladder take the time in which requests came due plus the
    /// drain, else answers that trail in count for nothing.
    pub achieved: f64,
    /// On a rate ladder, the share of what came due that was answered as fast as it came.
    pub kept_up: Option<f64>,
    /// ok / (ok + errors), 0 to 1; `None` when nothing ended.
    pub success_rate: Option<f64>,
    /// Median latency in milliseconds.
    pub p50_ms: Option<f64>,
    /// 99th percentile of latency in milliseconds.
    pub p99_ms: Option<f64>,
    /// Median time to first token in milliseconds.
    pub ttft_p50_ms: Option<f64>,
    /// Generated tokens per second.
    pub output_tokens_per_second: Option<f64>,
    /// Whether the stage's thresholds held, if it has any.
    pub thresholds_held: Option<bool>,
    /// True when the generator was the bottleneck: the rung says nothing about the endpoint.
    pub generator_limited: bool,
    /// True when fewer requests were under way than the level asks for: it says nothing of that level.
    pub not_reached: bool,
}

/// What counts as saturated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Least success rate of a sustainable level.
    pub min_success: f64,
    /// Least share of the asked rate that must be achieved.
    pub min_achieved: f64,
    /// p99 has risen when it is this many times that of the lowest level.
    pub p99_factor: f64,
    /// A higher concurrency is worth it only when it achieves this many times the throughput …
    pub least_gain: f64,
    /// … and at least this share more for each doubling of the median latency (of E2E or TTFT,
    /// whichever grows more).
    pub gain_per_doubling: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            min_success: 0.99,
            min_achieved: 0.95,
            p99_factor: 3.0,
            least_gain: 1.05,
            gain_per_doubling: 0.1,
        }
    }
}

/// Why a level is not sustainable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// Too many requests failed.
    Errors,
    /// The endpoint did not keep up with the asked rate.
    Throughput,
    /// p99 latency rose.
    Latency,
    /// A threshold of the plan failed.
    Threshold,
    /// Throughput stopped growing with concurrency.
    Flat,
}

/// What a ladder or ramp found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Saturation {
    /// What was raised.
    pub axis: Axis,
    /// The lowest level that is saturated; absent when none was.
    pub saturated_at: Option<f64>,
    /// How that showed.
    pub signs: Vec<Sign>,
    /// The highest level below it that holds up; absent when not even the lowest does.
    pub sustainable: Option<f64>,
    /// Complete answers per second at best: the endpoint's capacity when `saturated_at` is there,
    /// else only what it was asked for.
    pub best_requests_per_second: Option<f64>,
    /// The level that achieved them.
    pub best_at: Option<f64>,
    /// Generated tokens per second at best.
    pub best_output_tokens_per_second: Option<f64>,
    /// Levels above `saturated_at` that held up nevertheless: what was seen in between may be a
    /// disturbance and not the endpoint's limit. On rate ladders only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held_above: Vec<f64>,
    /// The lowest level with a success rate under the limit.
    pub errors_rise_at: Option<f64>,
    /// The lowest level whose p99 is far above that of the lowest level.
    pub p99_rises_at: Option<f64>,
    /// 70 to 80 % of the sustainable level, where production may run with headroom; absent unless
    /// `saturated_at` is there.
    pub recommended: Option<(f64, f64)>,
    /// Levels at which the generator was the bottleneck.
    pub generator_limited: Vec<f64>,
    /// Levels of concurrency at which fewer requests were under way than they ask for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_reached: Vec<f64>,
    /// True when levels were not run to their end, so that there are no figures.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub incomplete: bool,
    /// Why there are no figures though levels were run: the run as a whole cannot be trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withheld: Option<String>,
}

impl Saturation {
    /// Takes its figures away, for that reason; what is no figure of the endpoint stays.
    pub(super) fn withhold(&mut self, why: &str) {
        *self = Self {
            generator_limited: std::mem::take(&mut self.generator_limited),
            not_reached: std::mem::take(&mut self.not_reached),
            incomplete: self.incomplete,
            withheld: Some(why.to_owned()),
            ..Self::unknown(self.axis)
        };
    }

    /// Nothing is known.
    fn unknown(axis: Axis) -> Self {
        Self {
            axis,
            saturated_at: None,
            signs: Vec::new(),
            sustainable: None,
            best_requests_per_second: None,
            best_at: None,
            best_output_tokens_per_second: None,
            held_above: Vec::new(),
            errors_rise_at: None,
            p99_rises_at: None,
            recommended: None,
            generator_limited: Vec::new(),
            not_reached: Vec::new(),
            incomplete: false,
            withheld: None,
        }
    }
}

/// Shares of the sustainable level that leave headroom for bursts and for a lost replica.
pub const HEADROOM: (f64, f64) = (0.7, 0.8);

/// Reads `rungs` (in any order).
pub fn saturation(axis: Axis, rungs: &[Rung], limits: &Limits) -> Saturation {
    let levels = |of: fn(&Rung) -> bool| -> Vec<f64> {
        rungs.iter().filter(|rung| of(rung)).map(|rung| rung.level).collect()
    };
    let unknown = Saturation {
        generator_limited: levels(|rung| rung.generator_limited),
        not_reached: levels(|rung| rung.not_reached),
        ..Saturation::unknown(axis)
    };
    let mut judged: Vec<Rung> =
        rungs.iter().copied().filter(|rung| !rung.generator_limited && !rung.not_reached).collect();
    judged.sort_by(|a, b| a.level.total_cmp(&b.level));
    // Where nothing is ever answered, load is not what fails.
    if judged.iter().all(|rung| rung.achieved <= 0.0) {
        return unknown;
    }
    // On equal throughput the lower level is the better one.
    let best = judged
        .iter()
        .copied()
        .reduce(|best, rung| if rung.achieved > best.achieved { rung } else { best });
    let signs: Vec<Vec<Sign>> =
        judged.iter().map(|rung| signs(axis, rung, &judged, limits)).collect();
    let first_bad = signs.iter().position(|signs| !signs.is_empty());
    let held = &judged[..first_bad.unwrap_or(judged.len())];
    // Throughput grows by less than it should well before it stops, so on a ramp the knee is the
    // lowest level beyond which none is worth what it costs; the levels after it mostly queue.
    let is_worth_it =
        |higher: &Rung, lower: &Rung| higher.level > lower.level && worth_it(lower, higher, limits);
    let knee = held
        .iter()
        .filter(|_| axis == Axis::Concurrency)
        .find(|lower| !judged.iter().any(|higher| is_worth_it(higher, lower)))
        .copied();
    let flat = knee.filter(|knee| judged.last().is_some_and(|last| last.level > knee.level));
    let sustainable = knee.or(held.last().copied()).map(|rung| rung.level);
    let (saturated_at, its_signs) = match (flat, first_bad) {
        (Some(knee), _) => (Some(knee.level), vec![Sign::Flat]),
        (None, Some(at)) => (Some(judged[at].level), signs[at].clone()),
        (None, None) => (None, Vec::new()),
    };
    let rises = |sign: Sign| {
        let risen = judged.iter().find(|rung| has(sign, rung, &judged, limits));
        risen.map(|rung| rung.level)
    };
    Saturation {
        saturated_at,
        signs: its_signs,
        sustainable,
        best_requests_per_second: best.map(|rung| rung.achieved),
        best_at: best.map(|rung| rung.level),
        best_output_tokens_per_second: judged
            .iter()
            .filter_map(|rung| rung.output_tokens_per_second)
            .reduce(f64::max),
        held_above: first_bad.filter(|_| axis == Axis::Rate).map_or_else(Vec::new, |bad| {
            let above = judged.iter().zip(&signs).skip(bad + 1);
            above.filter(|(_, signs)| signs.is_empty()).map(|(rung, _)| rung.level).collect()
        }),
        errors_rise_at: rises(Sign::Errors),
        p99_rises_at: rises(Sign::Latency),
        recommended: sustainable
            .filter(|_| saturated_at.is_some())
            .map(|level| (HEADROOM.0 * level, HEADROOM.1 * level)),
        ..unknown
    }
}

/// Whether a higher concurrency brings more than it costs.
fn worth_it(lower: &Rung, higher: &Rung, limits: &Limits) -> bool {
    let gain = higher.achieved / lower.achieved;
    let growth = |of: fn(&Rung) -> Option<f64>| match (of(higher), of(lower)) {
        (Some(high), Some(low)) if low > 0.0 => high / low,
        _ => 1.0,
    };
    let cost = growth(|rung| rung.p50_ms).max(growth(|rung| rung.ttft_p50_ms));
    gain >= limits.least_gain && gain - 1.0 >= limits.gain_per_doubling * cost.log2()
}

/// What speaks against a level being sustainable. Latency alone does not, on a ramp: there it
/// grows with concurrency by nature.
fn signs(axis: Axis, rung: &Rung, all: &[Rung], limits: &Limits) -> Vec<Sign> {
    let relevant: &[Sign] = match axis {
        Axis::Rate => &[Sign::Errors, Sign::Throughput, Sign::Latency, Sign::Threshold],
        Axis::Concurrency => &[Sign::Errors, Sign::Threshold],
    };
    relevant.iter().copied().filter(|sign| has(*sign, rung, all, limits)).collect()
}

fn has(sign: Sign, rung: &Rung, all: &[Rung], limits: &Limits) -> bool {
    match sign {
        Sign::Errors => rung.success_rate.is_none_or(|rate| rate < limits.min_success),
        Sign::Throughput => rung.kept_up.is_some_and(|share| share < limits.min_achieved),
        Sign::Latency => {
            let lowest = all.iter().find_map(|rung| rung.p99_ms);
            lowest.zip(rung.p99_ms).is_some_and(|(base, p99)| p99 > limits.p99_factor * base)
        }
        Sign::Threshold => rung.thresholds_held == Some(false),
        Sign::Flat => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rung(level: f64, achieved: f64, success: f64, p99: f64) -> Rung {
        Rung {
            level,
            achieved,
            kept_up: Some(achieved / level),
            success_rate: Some(success),
            p50_ms: Some(p99 / 2.0),
            p99_ms: Some(p99),
            output_tokens_per_second: Some(achieved * 100.0),
            ..Rung::default()
        }
    }

    /// The third seed's sample table: 1, 5, 10 and 20 requests per second.
    fn seed_ladder() -> [Rung; 4] {
        [
            rung(1.0, 1.0, 1.0, 3_000.0),
            rung(5.0, 4.98, 1.0, 3_600.0),
            rung(10.0, 9.95, 0.985, 5_200.0),
            rung(20.0, 17.0, 0.852, 12_000.0),
        ]
    }

    #[test]
    fn a_ladder_names_saturation_capacity_and_headroom() {
        let found = saturation(Axis::Rate, &seed_ladder(), &Limits::default());
        assert_eq!((found.saturated_at, found.sustainable), (Some(10.0), Some(5.0)));
        assert_eq!(found.signs, [Sign::Errors]);
        assert_eq!((found.errors_rise_at, found.p99_rises_at), (Some(10.0), Some(20.0)));
        assert_eq!((found.best_requests_per_second, found.best_at), (Some(17.0), Some(20.0)));
        assert_eq!(found.recommended, Some((3.5, 4.0)));
        let lenient = Limits { min_success: 0.95, ..Limits::default() };
        let found = saturation(Axis::Rate, &seed_ladder(), &lenient);
        assert_eq!((found.saturated_at, found.sustainable), (Some(20.0), Some(10.0)));
        assert_eq!(found.signs, [Sign::Errors, Sign::Throughput, Sign::Latency]);
        assert_eq!(found.recommended, Some((7.0, 8.0)));
    }

    #[test]
    fn a_ladder_that_never_saturates_says_at_least() {
        let found = saturation(Axis::Rate, &seed_ladder()[..2], &Limits::default());
        assert_eq!((found.saturated_at, found.sustainable), (None, Some(5.0)));
        assert_eq!(found.recommended, None);
    }

    #[test]
    fn a_generator_at_its_limit_is_no_evidence() {
        let mut ladder = seed_ladder();
        ladder[2].generator_limited = true;
        ladder[3].generator_limited = true;
        let found = saturation(Axis::Rate, &ladder, &Limits::default());
        assert_eq!((found.saturated_at, found.sustainable), (None, Some(5.0)));
        assert_eq!(found.generator_limited, [10.0, 20.0]);
    }

    #[test]
    fn a_ramps_knee_is_the_lowest_level_near_the_best_throughput() {
        // Capacity 10/s reached at 8 users; after that latency doubles with the users.
        let ramp = [
            rung(16.0, 10.0, 1.0, 1_600.0),
            rung(1.0, 2.0, 1.0, 500.0),
            rung(4.0, 7.0, 1.0, 570.0),
            rung(8.0, 9.8, 1.0, 820.0),
            rung(32.0, 9.9, 0.9, 3_300.0),
        ];
        let found = saturation(Axis::Concurrency, &ramp, &Limits::default());
        assert_eq!((found.saturated_at, found.sustainable), (Some(8.0), Some(8.0)));
        assert_eq!(found.signs, [Sign::Flat]);
        assert_eq!((found.best_at, found.best_requests_per_second), (Some(16.0), Some(10.0)));
        assert_eq!((found.errors_rise_at, found.p99_rises_at), (Some(32.0), Some(16.0)));
    }

    #[test]
    fn a_ramp_still_growing_at_its_end_is_not_saturated() {
        let ramp = [rung(1.0, 2.0, 1.0, 500.0), rung(2.0, 3.9, 1.0, 510.0)];
        let found = saturation(Axis::Concurrency, &ramp, &Limits::default());
        assert_eq!((found.saturated_at, found.sustainable), (None, Some(2.0)));
    }

    #[test]
    fn a_little_throughput_for_much_latency_is_past_the_knee() {
        let at = |level: f64, achieved: f64, ttft: f64| Rung {
            ttft_p50_ms: Some(ttft),
            ..rung(level, achieved, 1.0, 1_000.0)
        };
        // 93 % of the best at 16; 64 users add 3 % over 32 and wait 17 times as long.
        let ramp = [
            at(8.0, 60.0, 50.0),
            at(16.0, 93.0, 55.0),
            at(32.0, 97.0, 60.0),
            at(64.0, 100.0, 1_020.0),
        ];
        let found = saturation(Axis::Concurrency, &ramp, &Limits::default());
        assert_eq!((found.saturated_at, found.sustainable), (Some(16.0), Some(16.0)));
        assert_eq!(found.signs, [Sign::Flat]);
        // A third more throughput for a little more latency is worth it.
        let ramp = [at(8.0, 60.0, 50.0), at(16.0, 80.0, 75.0)];
        let found = saturation(Axis::Concurrency, &ramp, &Limits::default());
        assert_eq!((found.saturated_at, found.sustainable), (None, Some(16.0)));
    }

    #[test]
    fn a_level_that_never_came_about_is_no_evidence() {
        let mut ramp = [rung(8.0, 39.0, 1.0, 130.0), rung(64.0, 78.0, 1.0, 130.0)];
        ramp[1].not_reached = true;
        let found = saturation(Axis::Concurrency, &ramp, &Limits::default());
        assert_eq!((found.saturated_at, found.sustainable), (None, Some(8.0)));
        assert_eq!((found.recommended, found.not_reached), (None, vec![64.0]));
    }

    #[test]
    fn a_level_above_that_holds_up_again_is_told() {
        let mut ladder = seed_ladder();
        (ladder[1].achieved, ladder[1].kept_up) = (3.0, Some(0.6));
        ladder[2] = rung(10.0, 9.95, 1.0, 5_200.0);
        let found = saturation(Axis::Rate, &ladder, &Limits::default());
        assert_eq!((found.saturated_at, found.sustainable), (Some(5.0), Some(1.0)));
        assert_eq!(found.held_above, [10.0]);
        assert!(saturation(Axis::Rate, &seed_ladder(), &Limits::default()).held_above.is_empty());
    }

    #[test]
    fn thresholds_of_the_plan_count() {
        let mut ladder = seed_ladder();
        ladder[1].thresholds_held = Some(false);
        let found = saturation(Axis::Rate, &ladder, &Limits::default());
        assert_eq!((found.saturated_at, found.sustainable), (Some(5.0), Some(1.0)));
        assert_eq!(found.signs, [Sign::Threshold]);
    }

    #[test]
    fn nothing_at_all_gives_no_numbers() {
        for axis in [Axis::Rate, Axis::Concurrency] {
            let none = saturation(axis, &[], &Limits::default());
            assert_eq!((none.sustainable, none.best_at, none.recommended), (None, None, None));
            let dead = Rung { level: 1.0, ..Rung::default() };
            let dead = saturation(axis, &[dead], &Limits::default());
            assert_eq!((dead.saturated_at, dead.sustainable), (None, None));
        }
    }
}

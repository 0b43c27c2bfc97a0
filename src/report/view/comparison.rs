//! TTFT of stages against each other: what the cache buys, and whether it is gone after a flush.
//!
//! In: stages with their numbers. Out: [`Comparison`]s. Invariant: a difference is only claimed when
//! its 95 % interval leaves out "no difference".

use super::Group;
use crate::metrics::estimate::{Estimate, MIN_SAMPLES};
use crate::metrics::quantity::significant;
use crate::metrics::summary::Distribution;
use crate::record::CacheState;
use crate::report::ticks::plain;

/// TTFT of one stage against an earlier one.
pub(super) struct Comparison {
    /// The later stage, by its place among the groups.
    pub(super) later: usize,
    /// The name of the earlier stage.
    earlier: String,
    what: What,
    /// How many times the slow side's median is the fast side's.
    ratio: f64,
    /// With its interval, when there are samples enough.
    pub(super) estimate: Option<Estimate>,
}

/// Which question a [`Comparison`] answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    /// What does the cache buy?
    WarmAgainstCold,
    /// Is what it bought gone after the flush?
    ColdAgainstWarm,
    /// Is it as slow as it was at first?
    ColdAgainstCold,
}

impl Comparison {
    /// Whether it says what the cache buys.
    pub(super) fn is_speed_up(&self) -> bool {
        self.what == What::WarmAgainstCold
    }

    /// The ratio, such as `10.2×`.
    pub(super) fn figure(&self) -> String {
        format!("{}×", plain(self.ratio, 3))
    }

    /// Its interval, in brackets.
    fn interval(&self) -> String {
        match self.estimate {
            Some(Estimate { low, high, .. }) => {
                format!("(95 % CI {}–{})", significant(low, 3), significant(high, 3))
            }
            None => format!("(fewer than {MIN_SAMPLES} samples, no interval)"),
        }
    }

    /// What it says, in a sentence of the later stage's story.
    pub(super) fn sentence(&self) -> String {
        let (figure, interval, earlier) = (self.figure(), self.interval(), &self.earlier);
        match self.what {
            What::WarmAgainstCold => {
                format!("{}.", self.claim("Its TTFT", &format!("in {earlier}")))
            }
            What::ColdAgainstWarm if self.clear() && self.ratio > 1.0 => format!(
                "What the cache bought is gone: the first token takes {figure} as long as in \
                 {earlier} {interval}."
            ),
            What::ColdAgainstWarm => {
                format!("It is no slower than {earlier}: {figure} its TTFT {interval}.")
            }
            What::ColdAgainstCold => {
                format!("The first token takes {figure} as long as in {earlier} {interval}.")
            }
        }
    }

    /// That `fast` is faster than `slow`, or why that can't be said.
    pub(super) fn claim(&self, fast: &str, slow: &str) -> String {
        let (figure, interval) = (self.figure(), self.interval());
        match (self.clear(), self.ratio > 1.0) {
            (true, true) => format!("{fast} is {figure} faster than {slow} {interval}"),
            (true, false) => {
                format!("{fast} is not faster than {slow}: {figure} as fast {interval}")
            }
            (false, _) => {
                format!("{fast} does not differ clearly from {slow}: {figure} {interval}")
            }
        }
    }

    /// Whether the interval leaves out "no difference".
    fn clear(&self) -> bool {
        match self.estimate {
            Some(Estimate { low, high, .. }) => low > 1.0 || high < 1.0,
            None => !(0.8..=1.25).contains(&self.ratio),
        }
    }
}

/// Every comparison that the cache states of the stages ask for.
pub(super) fn compare(groups: &[Group]) -> Vec<Comparison> {
    let mut found = Vec::new();
    for (later, group) in groups.iter().enumerate() {
        let same_cell = |earlier: &usize| groups[*earlier].first().cell == group.first().cell;
        let before: Vec<usize> = (0..later).rev().filter(same_cell).collect();
        let alike = |number: &usize| groups[*number].first().has_prompts_like(group.first());
        let last = |wanted| {
            let mut those =
                before.iter().copied().filter(|number| expects(&groups[*number], wanted));
            those.find(alike)
        };
        let is_cold = |number: &usize| expects(&groups[*number], CacheState::Cold);
        let first_cold = before.iter().rev().copied().filter(is_cold).find(alike);
        let asked: [(What, Option<usize>); 2] = if expects(group, CacheState::Warm) {
            [(What::WarmAgainstCold, last(CacheState::Cold)), (What::ColdAgainstCold, None)]
        } else if expects(group, CacheState::Cold) {
            let warm = last(CacheState::Warm);
            [(What::ColdAgainstWarm, warm), (What::ColdAgainstCold, warm.and(first_cold))]
        } else {
            continue;
        };
        for (what, earlier) in asked {
            found.extend(earlier.and_then(|earlier| compare_two(groups, what, later, earlier)));
        }
    }
    found
}

fn compare_two(groups: &[Group], what: What, later: usize, earlier: usize) -> Option<Comparison> {
    let (slow, fast) = match what {
        What::WarmAgainstCold => (&groups[earlier], &groups[later]),
        What::ColdAgainstWarm | What::ColdAgainstCold => (&groups[later], &groups[earlier]),
    };
    let (slow, fast) = (ttft(slow)?, ttft(fast)?);
    let ratio = slow.p50 / fast.p50;
    let estimate = Estimate::ratio_of_medians(slow, fast);
    let earlier = groups[earlier].name();
    ratio.is_finite().then_some(Comparison { later, earlier, what, ratio, estimate })
}

fn expects(group: &Group, wanted: CacheState) -> bool {
    group.ladder.is_none() && group.first().cache.expected == Some(wanted)
}

/// The times to first token of the group's (first) stage.
pub(super) fn ttft<'a>(group: &Group<'a>) -> Option<&'a Distribution> {
    group.first().metrics.get("ttft").filter(|ttft| ttft.p50 > 0.0)
}

//! The search for the highest level that passes.
//!
//! In: verdicts on the levels probed so far. Out: the next level to probe, or the result.
//! Invariant: what comes next is a pure function of settings and history, so a search resumes from
//! its log, and a summary rebuilt from the log says what the search itself found; it ends, at the
//! latest when its probes or requests are spent.
//!
//! | file | what it turns into what |
//! |---|---|
//! | [`judge`] | the numbers of a probe → its verdict |
//! | `limit` | how the backlog grew in all probes → the rate that is just kept up with, and how sure |
//! | [`found`](SearchFound) | the probes of a run → what each search found |
//!
//! First the level is doubled until it fails (bracketing). Where a threshold failed, the bracket is
//! narrowed by halving it (bisection), and when it is as narrow as asked, both of its ends are probed
//! again until enough probes agree. Where the endpoint fell behind, all probes together say where its
//! limit lies: just below it levels are probed until enough of them hold, and above it (where the server
//! is busy all the time and shows what it can answer) until the limit is known as closely as asked, or
//! for so many probes that more would tell little. So no single lucky or unlucky probe decides.

use serde::{Deserialize, Serialize};

use self::limit::Limit;
use super::pace::{Growth, KeepingUp};
use crate::record::SearchLine;

mod found;
mod judge;
mod limit;

pub use found::{SearchFound, gate, of_stages};
pub use judge::{ProbeSummary, judge, probe};

/// What a probe showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every threshold held.
    Pass,
    /// One did not.
    Fail,
    /// It can't be told: no data, or the generator was the bottleneck.
    Inconclusive,
}

/// One probe.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Probe {
    /// The level probed.
    pub level: f64,
    /// What its thresholds, and the requests that failed, showed.
    pub verdict: Verdict,
    /// The requests it took.
    pub requests: u64,
    /// On a schedule, whether it was kept up with.
    pub keeping_up: Option<KeepingUp>,
    /// How the backlog grew, where that says something of the level.
    pub backlog: Option<Growth>,
    /// True when the endpoint fell behind, which explains whatever else failed.
    pub fell_behind: bool,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Probe this level.
    Probe(f64),
    /// It is over.
    Done(Outcome),
}

/// How a search ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The highest level known to pass, if any.
    pub best: Option<f64>,
    /// The lowest level above it known to fail, if any.
    pub failed_at: Option<f64>,
    /// The lowest level above it that was probed and of which it can't be told whether it passes, if any.
    pub unclear_at: Option<f64>,
    /// Why it ended.
    pub reason: Reason,
    /// Where the highest level that passes lies: of a rate that is kept up with, with 95 % confidence;
    /// else between the probes that agree.
    pub interval: Option<(f64, f64)>,
    /// Probes made.
    pub probes: u64,
    /// Requests they took.
    pub requests: u64,
}

/// Why a search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The bracket is as narrow as asked and both ends are confirmed.
    Converged,
    /// Even the highest level allowed passes: the answer is "at least".
    AllPass,
    /// Even the lowest level fails.
    AllFail,
    /// The level above `best` can't be judged: the answer is "at least", limited by the
    /// generator or by too few samples.
    Inconclusive,
    /// Its probes or requests were spent; the bracket stands as far as it got.
    Spent,
    /// Its probes are too short to tell the limit as closely as asked; `interval` says how closely.
    Wide,
    /// Its probes are too short to tell whether the levels that its thresholds allow are kept up with.
    Unclear,
}

/// Settings of a search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// The first level, above 0.
    pub low: f64,
    /// The highest level that may be probed.
    pub high: Option<f64>,
    /// Relative width of the final bracket, above 0.
    pub tolerance: f64,
    /// Agreeing probes wanted at either end, at least 1.
    pub confirmations: u64,
    /// Most probes.
    pub max_probes: u64,
    /// Most requests; no probe is started once they are spent.
    pub max_requests: Option<u64>,
    /// Levels are whole numbers.
    pub whole: bool,
}

impl From<&SearchLine> for Settings {
    fn from(line: &SearchLine) -> Self {
        Self {
            low: line.from,
            high: line.to,
            tolerance: line.tolerance,
            confirmations: line.confirmations,
            max_probes: line.max_probes,
            max_requests: line.max_requests,
            whole: line.whole,
        }
    }
}

/// Inconclusive probes of a level before it is given up.
const PATIENCE: u64 = 2;

/// A search under way.
#[derive(Debug, Clone)]
pub struct Search {
    settings: Settings,
    history: Vec<Probe>,
}

impl Search {
    /// A search that goes on after `history` (empty for a new one).
    pub fn new(settings: Settings, history: Vec<Probe>) -> Self {
        Self { settings, history }
    }

    /// What to do next.
    pub fn next(&self) -> Step {
        let bracket = self.bracket();
        let (level, reason) = self.wanted(&bracket);
        match level {
            None => Step::Done(self.outcome(&bracket, reason)),
            Some(_) if self.spent() => Step::Done(self.outcome(&bracket, Reason::Spent)),
            Some(level) => Step::Probe(level),
        }
    }

    /// How far it came, for one that was cut short.
    pub fn so_far(&self) -> Outcome {
        self.outcome(&self.bracket(), Reason::Spent)
    }

    /// Takes down what a probe showed.
    pub fn observe(&mut self, probe: Probe) {
        self.history.push(probe);
    }

    /// All probes so far, to resume from.
    pub fn history(&self) -> &[Probe] {
        &self.history
    }

    /// The level to probe, or why there is none left.
    fn wanted(&self, bracket: &Bracket) -> (Option<f64>, Reason) {
        let (low, high) = (self.round(self.settings.low), self.settings.high.unwrap_or(f64::MAX));
        match (bracket.pass, bracket.stop) {
            (None, None) => (Some(low), Reason::Spent),
            (None, Some(stop)) if stop.votes.level > low => (Some(low), Reason::Spent),
            (None, Some(stop)) => match self.unconfirmed(&stop) {
                Some(level) => (Some(level), Reason::Spent),
                None if stop.given_up() => (None, Reason::Inconclusive),
                None => (None, Reason::AllFail),
            },
            (Some(pass), None) if pass.level >= high => {
                let is_told = self.kept_up_to() >= pass.level;
                let reason = if is_told { Reason::AllPass } else { Reason::Unclear };
                (self.unconfirmed_votes(&pass), reason)
            }
            (Some(pass), None) => (Some(self.round(pass.level * 2.0).min(high)), Reason::Spent),
            (Some(pass), Some(Stop { limit: Some(limit), .. })) => self.around(&pass, &limit),
            (Some(pass), Some(stop)) => {
                let (below, above) = (pass.level, stop.votes.level);
                let middle = self.round((below * above).sqrt());
                let narrow = above <= below * (1.0 + self.settings.tolerance)
                    || (self.settings.whole && above - below <= 1.0)
                    || middle <= below
                    || middle >= above;
                if !narrow {
                    return (Some(middle), Reason::Spent);
                }
                let reason = match stop.given_up() {
                    true => Reason::Inconclusive,
                    false if self.kept_up_to() >= below => Reason::Converged,
                    false => Reason::Unclear,
                };
                // The end with fewer votes first: it is the likelier one to move.
                let pass_first = pass.lead() <= stop.votes.lead();
                let (one, other) = (self.unconfirmed_votes(&pass), self.unconfirmed(&stop));
                (if pass_first { one.or(other) } else { other.or(one) }, reason)
            }
        }
    }

    /// The ends of the search so far: the lowest level that stops it, and the highest pass below.
    fn bracket(&self) -> Bracket {
        let mut levels: Vec<Votes> = Vec::new();
        for probe in &self.history {
            let at = levels.iter().position(|votes| same(votes.level, probe.level));
            let at = at.unwrap_or_else(|| {
                levels.push(Votes { level: probe.level, ..Votes::default() });
                levels.len() - 1
            });
            match probe.verdict {
                _ if probe.fell_behind => levels[at].behind += 1,
                Verdict::Pass => levels[at].passes += 1,
                Verdict::Fail => levels[at].fails += 1,
                Verdict::Inconclusive => levels[at].unclear += 1,
            }
        }
        levels.sort_by(|a, b| a.level.total_cmp(&b.level));
        let limit = Limit::of(&self.history);
        let mut bracket = Bracket { pass: None, stop: None };
        for votes in levels {
            let above = limit.filter(|limit| votes.level > limit.middle);
            if above.is_some() && votes.behind + votes.fails > 0 {
                bracket.stop = Some(Stop { votes, limit: above });
                break;
            } else if above.is_none() && votes.passes > votes.fails {
                bracket.pass = Some(votes);
            } else if votes.fails > 0 || votes.unclear > 0 {
                bracket.stop = Some(Stop { votes, limit: None });
                break;
            }
        }
        bracket
    }

    /// The level of this end while it needs more votes.
    fn unconfirmed(&self, stop: &Stop) -> Option<f64> {
        if stop.given_up() { None } else { self.unconfirmed_votes(&stop.votes) }
    }

    fn unconfirmed_votes(&self, votes: &Votes) -> Option<f64> {
        (votes.lead() < self.settings.confirmations.max(1)).then_some(votes.level)
    }

    fn spent(&self) -> bool {
        self.history.len() as u64 >= self.settings.max_probes
            || self.settings.max_requests.is_some_and(|most| self.requests() >= most)
    }

    fn requests(&self) -> u64 {
        self.history.iter().map(|probe| probe.requests).sum()
    }

    /// The highest level of which a probe shows by itself that it is kept up with, and so are lower ones.
    fn kept_up_to(&self) -> f64 {
        let tells = |probe: &&Probe| {
            let is_unclear = probe.keeping_up == Some(KeepingUp::Unclear);
            probe.verdict != Verdict::Inconclusive && !probe.fell_behind && !is_unclear
        };
        self.history.iter().filter(tells).map(|probe| probe.level).fold(0.0, f64::max)
    }

    fn outcome(&self, bracket: &Bracket, reason: Reason) -> Outcome {
        // Where the endpoint fell behind, all probes together say what is kept up with.
        let is_joint = bracket.stop.is_some_and(|stop| stop.limit.is_some());
        let kept_up_to = if is_joint { f64::INFINITY } else { self.kept_up_to() };
        let highest = bracket.pass.map_or(0.0, |votes| votes.level);
        let passed = || {
            let held = self.history.iter().filter(|it| it.verdict == Verdict::Pass);
            held.filter(|it| !it.fell_behind && it.level <= highest).map(|it| it.level)
        };
        let stop = bracket.stop.map(|stop| (stop.votes.level, stop.is_failed()));
        Outcome {
            best: passed().filter(|level| *level <= kept_up_to).reduce(f64::max),
            failed_at: stop.filter(|(_, failed)| *failed).map(|(level, _)| level),
            unclear_at: passed()
                .filter(|level| *level > kept_up_to)
                .chain(stop.filter(|(_, failed)| !failed).map(|(level, _)| level))
                .reduce(f64::min),
            reason,
            interval: self.interval(bracket),
            probes: self.history.len() as u64,
            requests: self.requests(),
        }
    }

    /// Whole where it must be, else four significant digits, so that people can read it.
    fn round(&self, level: f64) -> f64 {
        if self.settings.whole {
            return level.round().max(1.0);
        }
        if !(level.is_finite() && level > 0.0) {
            return level;
        }
        let unit = 10_f64.powf(level.log10().floor() - 3.0);
        let units = (level / unit).round();
        // Dividing by a whole power of ten gives 11.31 where multiplying gives 11.310000000000002.
        if unit < 1.0 { units / (1.0 / unit).round() } else { units * unit }
    }
}

/// The votes on one level.
#[derive(Debug, Clone, Copy, Default)]
struct Votes {
    level: f64,
    passes: u64,
    fails: u64,
    unclear: u64,
    /// Probes in which the endpoint fell behind.
    behind: u64,
}

impl Votes {
    fn lead(&self) -> u64 {
        self.passes.abs_diff(self.fails + self.behind)
    }
}

/// A level at which the search does not go up any more.
#[derive(Debug, Clone, Copy)]
struct Stop {
    votes: Votes,
    /// Of what is kept up with, where that is why.
    limit: Option<Limit>,
}

impl Stop {
    /// More probes failed there than passed, or all probes together say that it is too much.
    fn is_failed(&self) -> bool {
        self.limit.is_some() || self.votes.fails + self.votes.behind > self.votes.passes
    }

    /// It was inconclusive too often to be tried again.
    fn given_up(&self) -> bool {
        self.votes.unclear > PATIENCE && self.votes.fails + self.votes.behind <= self.votes.passes
    }
}

#[derive(Debug, Clone, Copy)]
struct Bracket {
    pass: Option<Votes>,
    stop: Option<Stop>,
}

fn same(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs()
}

#[cfg(test)]
mod tests;

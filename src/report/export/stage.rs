//! A stage as exports see it: its requests and the load that was asked of it.
//!
//! In: a stage's line and its records. Out: its requests by how they ended, its length, and what was
//! asked for in the words that other tools have. Invariant: what was not asked is `None`, never a guess.

use serde_json::Value;

use super::Evidence;
use crate::metrics::definitions::Sums;
use crate::record::{ArrivalLine, OutcomeKind, Record, StageStart};

/// A stage (or rung) and its requests.
#[derive(Debug)]
pub struct StageEvidence {
    /// What it set out to do.
    pub start: StageStart,
    /// Its requests in the order in which they ended.
    pub records: Vec<Record>,
    /// Beginning and end of its rounds, in nanoseconds of the run; empty where it has one.
    pub rounds: Vec<(u64, u64)>,
    slug: String,
}

/// How requests were asked to arrive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Asked {
    /// So many under way at a time; the answers decide when the next is sent.
    Users(u64),
    /// So many a second, spaced like this.
    Rate(f64, ArrivalLine),
    /// At times that no single number tells: those of a log, or a rate that changes.
    Schedule,
}

impl StageEvidence {
    /// A stage without requests; `slug` is its name in files, which no other stage has.
    pub(super) fn new(start: StageStart, slug: String) -> Self {
        Self { start, records: Vec::new(), rounds: Vec::new(), slug }
    }

    /// Its name in files: `ladder-8`.
    pub(super) fn slug(&self) -> &str {
        &self.slug
    }

    /// The complete answers.
    pub(super) fn ok(&self) -> impl Iterator<Item = &Record> {
        let is_ok =
            |record: &&Record| record.outcome == OutcomeKind::Ok && record.sent_ns.is_some();
        self.records.iter().filter(is_ok)
    }

    /// Requests that failed.
    pub(super) fn failed(&self) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(|record| record.outcome.is_error())
    }

    /// Requests that were sent and cut, or never sent.
    pub(super) fn incomplete(&self) -> impl Iterator<Item = &Record> {
        let is_it =
            |record: &&Record| record.outcome != OutcomeKind::Ok && !record.outcome.is_error();
        self.records.iter().filter(is_it)
    }

    /// Its sums.
    pub(super) fn sums(&self) -> Sums {
        Sums::of(&self.records)
    }

    /// From its first request to its last answer, in nanoseconds of the run.
    pub(super) fn span(&self) -> (u64, u64) {
        self.sums().span().unwrap_or((self.start.at_ns, self.start.at_ns))
    }

    /// The length of that, in seconds.
    pub(super) fn seconds(&self) -> f64 {
        let (from, to) = self.span();
        to.saturating_sub(from) as f64 / 1e9
    }

    /// The model asked for, or nothing.
    pub(super) fn model(&self) -> &str {
        self.start.model.as_deref().unwrap_or_default()
    }

    /// What the tool calls the API that was asked by: the word beside its name among `words`, else
    /// that name, for which the tool has no word; null in logs that do not say it.
    pub(super) fn api(&self, words: &[(&str, &'static str)]) -> Value {
        let Some(api) = self.start.api.as_deref() else { return Value::Null };
        words.iter().find(|(name, _)| *name == api).map_or(api, |(_, word)| word).into()
    }

    /// The load that was asked for.
    pub(super) fn asked(&self) -> Asked {
        let load = self.start.load.as_deref();
        let arrival = load.and_then(|load| load.arrival);
        match (self.target_rate(), self.users()) {
            // Older logs do not say how arrivals were spaced.
            (Some(rate), _) => Asked::Rate(rate, arrival.unwrap_or(ArrivalLine::Constant)),
            (None, Some(users)) if arrival.is_none() => Asked::Users(users),
            (None, _) => Asked::Schedule,
        }
    }

    /// Requests per second asked for, where the clock decides.
    pub(super) fn target_rate(&self) -> Option<f64> {
        let load = self.start.load.as_ref().and_then(|load| load.target_rate);
        // A rung of a ladder of rates is a rate, also in records that do not say so elsewhere.
        load.or(self.start.rung.filter(|_| self.start.kind == "qps_ladder"))
    }

    /// Most requests under way at a time, where that was asked for.
    pub(super) fn users(&self) -> Option<u64> {
        let steady = || self.start.load.as_ref()?.steady?.users;
        // Older logs say it by the level alone.
        let rung = || self.start.rung.filter(|_| self.target_rate().is_none()).map(whole);
        self.start.concurrency.or_else(steady).or_else(rung)
    }

    /// Seconds of sending that the plan asks for.
    pub(super) fn asked_seconds(&self) -> Option<f64> {
        self.start.load.as_ref()?.duration_ms.map(|ms| ms / 1e3)
    }
}

/// A level that counts users.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number of users from the plan, at least 1; the cast saturates"
)]
fn whole(level: f64) -> u64 {
    level as u64
}

/// The stages that make one curve: the levels of a ladder, ramp or search; loads of one kind of
/// arrival; else those of one kind.
pub(super) struct Curve<'e> {
    /// A folder for it, where there are several.
    pub folder: String,
    /// Its levels, as they ran.
    pub stages: Vec<&'e StageEvidence>,
}

/// The curves of the stages that `takes` lets in. One alone has no folder.
pub(super) fn curves(evidence: &Evidence, takes: fn(&StageEvidence) -> bool) -> Vec<Curve<'_>> {
    let mut curves: Vec<Curve<'_>> = Vec::new();
    for stage in evidence.stages.iter().filter(|stage| takes(stage)) {
        match curves.iter_mut().find(|curve| is_one_curve(curve.stages[0], stage)) {
            Some(curve) => curve.stages.push(stage),
            None => curves.push(Curve { folder: String::new(), stages: vec![stage] }),
        }
    }
    if curves.len() > 1 {
        for curve in &mut curves {
            // The name of its first level, without the level.
            let slug = curve.stages[0].slug();
            let rung = curve.stages[0].start.rung.map(|rung| format!("-{rung}"));
            let name = rung.and_then(|rung| slug.strip_suffix(&rung)).unwrap_or(slug);
            curve.folder = format!("{name}/");
        }
    }
    curves
}

fn is_one_curve(left: &StageEvidence, right: &StageEvidence) -> bool {
    let (one, other) = (&left.start, &right.start);
    let process = |stage: &StageEvidence| match stage.asked() {
        Asked::Users(_) => None,
        Asked::Rate(_, arrival) => Some(arrival),
        Asked::Schedule => Some(ArrivalLine::Log),
    };
    let levels = one.rung.is_some() || other.rung.is_some();
    one.kind == other.kind
        && one.cell == other.cell
        && (one.stage == other.stage || !levels)
        && process(left) == process(right)
}

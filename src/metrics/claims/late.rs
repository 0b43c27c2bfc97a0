//! What was held back, what a closed loop did not see (coordinated omission), and when nobody was there.

use super::{Claim, ClaimFigure, ClaimKind};
use crate::metrics::due::differs;
use crate::metrics::quantity::{plural, show};
use crate::metrics::summary::{Distribution, StageSummary, Summary};
use crate::plan::metric::Origin;

/// What is to be said of every stage of load; of a ladder, of the level where it weighs most.
pub(super) fn claims(summary: &Summary) -> Vec<Claim> {
    let reported: Vec<&StageSummary> = summary.stages.iter().filter(|it| it.reported).collect();
    let mut keys: Vec<String> = reported.iter().map(|stage| stage.key()).collect();
    keys.dedup();
    let worst = |key: &String, claim: fn(&StageSummary) -> Option<(f64, Claim)>| {
        let found = reported.iter().filter(|stage| stage.key() == *key);
        let found = found.filter_map(|stage| claim(stage));
        found.max_by(|one, other| one.0.total_cmp(&other.0)).map(|(_, claim)| claim)
    };
    let of = |key| [worst(key, from_due), worst(key, unseen), worst(key, unreachable)];
    keys.iter().flat_map(of).flatten().collect()
}

/// The times that a stage is known by: to the first token, of whole answers to their end.
fn times(stage: &StageSummary) -> Option<(&'static str, &'static str)> {
    let names = [("TTFT", "ttft"), ("E2E", "e2e")];
    names.into_iter().find(|(_, metric)| stage.metrics.contains_key(*metric))
}

fn p99(of: &Distribution) -> ClaimFigure {
    ClaimFigure::tail(of, 99.0, of.p99)
}

fn about(kind: ClaimKind, stage: &StageSummary, text: &str) -> Claim {
    let claim = Claim::new(kind, format!("{}: {text}", stage.label())).about(stage);
    match stage.rung {
        Some(rung) => claim.at(rung),
        None => claim,
    }
}

/// A percentile: its name, its value, its figure.
type Percentile = (&'static str, fn(&Distribution) -> f64, fn(&Distribution) -> ClaimFigure);

/// What may be told of a time, the slowest first.
const PERCENTILES: [Percentile; 4] = [
    ("p99", |of| of.p99, p99),
    ("p95", |of| of.p95, |of| ClaimFigure::tail(of, 95.0, of.p95)),
    ("p90", |of| of.p90, |of| ClaimFigure::tail(of, 90.0, of.p90)),
    ("p50", |of| of.p50, ClaimFigure::median),
];

/// Times count from due, and how far off one would be from sent; how late requests left comes first.
fn from_due(stage: &StageSummary) -> Option<(f64, Claim)> {
    if stage.times_from != Origin::Due {
        return None;
    }
    let (name, metric) = times(stage)?;
    let (lag, due, sent) =
        (stage.metrics.get("schedule_lag")?, stage.shown(metric)?, stage.metrics.get(metric)?);
    let waits = stage.load.is_some_and(|load| load.max_lag_ms.is_none());
    let why = if waits { ", waiting for a place in flight (`max_in_flight`)" } else { "" };
    let tells = |(_, of, _): &&Percentile| differs(of(sent), of(due));
    let (percentile, of, figure) = PERCENTILES.iter().find(tells).unwrap_or(&PERCENTILES[0]);
    let text = format!(
        "requests left up to {} after they were due (p99){why}, so times count from due: {name} \
         {percentile} is {}, where from sent it would read {}.",
        show(lag.p99, "ms"),
        show(of(due), "ms"),
        show(of(sent), "ms"),
    );
    let claim = about(ClaimKind::TimesFromDue, stage, &text)
        .with("lag_p99", ClaimFigure::of(lag.p99, "ms", lag.count))
        .with(&format!("{metric}_{percentile}"), figure(due))
        .with(&format!("{metric}_{percentile}_sent"), figure(sent));
    Some((lag.p99, claim))
}

/// What users would have met had they gone on asking; how long that is comes first.
fn unseen(stage: &StageSummary) -> Option<(f64, Claim)> {
    let paced = stage.load?.paced?;
    let met = stage.shown("ttft")?;
    let text = format!(
        "its users wait for an answer before they ask again, so a stall holds back the requests that \
         would show it: TTFT p99 is {}; had each user gone on asking every {}, it would be {}. Ask at a \
         `rate` to measure that.",
        show(met.p99, "ms"),
        show(paced.every_ms, "ms"),
        show(paced.p99_ms, "ms"),
    );
    let claim = about(ClaimKind::UnseenByUsers, stage, &text)
        .with("ttft_p99", p99(met))
        .with("every", ClaimFigure::new(paced.every_ms, "ms"))
        .with("ttft_p99_paced", ClaimFigure::of(paced.p99_ms, "ms", met.count));
    Some((paced.p99_ms, claim))
}

/// The endpoint was away; by how many requests met that.
fn unreachable(stage: &StageSummary) -> Option<(f64, Claim)> {
    let away = stage.unreachable?;
    let requests = plural(away.requests, "request");
    let times = if away.times == 1 { String::new() } else { plural(away.times, "time") + ", " };
    let recovery = away.recovery_s.map(|seconds| seconds * 1e3);
    let longest = if away.times == 1 { "" } else { " at most" };
    let end = match (recovery, away.to_the_end) {
        (Some(ms), false) => format!("it answered again after{longest} {}", show(ms, "ms")),
        (Some(ms), true) => format!(
            "it answered again after{longest} {}, but no request that was sent after the last time",
            show(ms, "ms")
        ),
        (None, true) => "no request that was sent later was answered".to_owned(),
        (None, false) => "requests that were sent later were answered".to_owned(),
    };
    let text = format!("the endpoint took no connections ({times}{requests} failed by it); {end}.");
    let claim = about(ClaimKind::Unreachable, stage, &text)
        .with("requests", ClaimFigure::count(away.requests, "requests"))
        .with("times", ClaimFigure::count(away.times, "times"))
        .with_some("recovery", recovery.map(|ms| ClaimFigure::new(ms, "ms")));
    Some((away.requests as f64, claim))
}

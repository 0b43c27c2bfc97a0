//! The QPS benchmark's files: `metadata.json`, `benchmark_qps_results.json` and `benchmark_qps.png`.
//!
//! In: a run with stages that have a rate. Out: its fields and formulas, in seconds: percentiles are
//! the nearest rank above (no interpolation), 0 without a sample, as it writes them; tokens per second
//! are the tokens over the whole response. The picture has its three rows of two.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::figures::{RESPONSE, TTFT};
use super::{Evidence, File, StageEvidence};
use crate::metrics::claims::{Claim, ClaimKind};
use crate::metrics::saturation;
use crate::record::Record;
use crate::report::chart::{Axis, Chart, Shape, Tone};
use crate::report::draw::{Frame, draw};
use crate::report::scene::Scene;

/// Size of one of the six pictures.
const FRAME: Frame = Frame { width: 920.0, height: 300.0, titled: true, left: 0.0 };
const PERCENTS: [usize; 4] = [50, 90, 95, 99];
/// The share of answers, in percent, that the tool draws a line at.
const SUSTAINED: f64 = 95.0;

/// One level.
struct Level {
    target: f64,
    actual: f64,
    success: f64,
    ttft: [f64; 4],
    e2e: [f64; 4],
    speed: [f64; 4],
    document: Value,
}

/// Three files; two in a build without pictures.
pub(super) fn files(evidence: &Evidence) -> Result<Vec<File>, String> {
    let of = |stage: &StageEvidence| stage.target_rate().map(|rate| level(stage, rate));
    let levels: Vec<Level> = evidence.stages.iter().filter_map(of).collect();
    if levels.is_empty() {
        return Err("no stage of the run has a rate (`qps_ladder`, or `load` with `rate`)".into());
    }
    let results = levels.iter().map(|level| level.document.clone()).collect();
    let mut files = vec![
        File::json("metadata.json", &metadata(evidence, &levels))?,
        File::json("benchmark_qps_results.json", &results)?,
    ];
    files.extend(picture(&scene(evidence, &levels))?);
    Ok(files)
}

#[cfg(feature = "plots")]
fn picture(scene: &Scene) -> Result<Option<File>, String> {
    let bytes = crate::report::png::document(scene).map_err(|error| error.to_string())?;
    Ok(Some(File { name: "benchmark_qps.png".to_owned(), bytes }))
}

#[cfg(not(feature = "plots"))]
#[expect(clippy::unnecessary_wraps, reason = "a build with pictures can fail")]
fn picture(_scene: &Scene) -> Result<Option<File>, String> {
    Ok(None)
}

fn metadata(evidence: &Evidence, levels: &[Level]) -> Value {
    let stage = evidence.stages.iter().find(|stage| stage.target_rate().is_some());
    json!({
        "timestamp": evidence.run.started_at,
        "endpoint": stage.map(|stage| evidence.url(stage)),
        "model": stage.map(StageEvidence::model),
        "dataset": evidence.planned("/prompt/dataset"),
        "qps_levels": levels.iter().map(|level| level.target).collect::<Vec<_>>(),
        "duration": stage.map(StageEvidence::seconds),
        "max_tokens": evidence.planned("/prompt/max_tokens"),
        "temperature": evidence.planned("/prompt/temperature"),
        "percentiles": [50, 95, 99],
        "show_tokens": true,
    })
}

fn level(stage: &StageEvidence, target: f64) -> Level {
    let ok = stage.ok();
    let seconds = stage.seconds();
    // Only what was sent counts; the tool knows nothing of requests that were not.
    let sent: Vec<&Record> =
        stage.records.iter().filter(|record| record.sent_ns.is_some()).collect();
    let actual = if seconds > 0.0 { sent.len() as f64 / seconds } else { 0.0 };
    let success = 100.0 * ok.len() as f64 / sent.len().max(1) as f64;
    let percents = |numbers: Vec<f64>| PERCENTS.map(|percent| rank(&numbers, percent));
    let ttft = percents(sorted(ok.iter().filter_map(TTFT)));
    let e2e = percents(sorted(ok.iter().map(RESPONSE)));
    let speed = percents(sorted(ok.iter().filter_map(|sample| {
        let seconds = sample.response();
        (seconds > 0.0).then_some(sample.output()? as f64 / seconds)
    })));
    let mut errors: BTreeMap<String, u64> = BTreeMap::new();
    let mut statuses: BTreeMap<String, u64> = BTreeMap::new();
    for record in &sent {
        if let Some(status) = record.http_status {
            *statuses.entry(status.to_string()).or_default() += 1;
        }
        if let Some(error) = &record.error {
            let what = match record.http_status {
                Some(status) if status != 200 => format!("HTTP {status}"),
                _ => error.class.clone(),
            };
            *errors.entry(what).or_default() += 1;
        }
    }
    let named = |figures: [f64; 4]| json!({ "p50": figures[0], "p90": figures[1], "p95": figures[2], "p99": figures[3] });
    let document = json!({
        "qps_target": target,
        "actual_qps": actual,
        "duration": seconds,
        "total_requests": sent.len(),
        "successful_requests": ok.len(),
        "failed_requests": sent.len() - ok.len(),
        "success_rate": success,
        "ttft": named(ttft),
        "e2e_latency": named(e2e),
        "tokens_per_sec": named(speed),
        "errors": errors,
        "status_codes": statuses,
    });
    Level { target, actual, success, ttft, e2e, speed, document }
}

fn sorted(numbers: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_unstable_by(f64::total_cmp);
    numbers
}

/// The number at rank n·p/100, counted from 0 and cut; 0 without numbers.
fn rank(sorted: &[f64], percent: usize) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((sorted.len() * percent / 100).min(last)).copied().unwrap_or(0.0)
}

fn scene(evidence: &Evidence, levels: &[Level]) -> Scene {
    let rates = levels.iter().flat_map(|level| [level.actual, level.target]);
    let mut rate = chart("Throughput", "requests/s", levels, rates);
    rate.add("Actual QPS", Shape::LineDots, Tone::Series(0), points(levels, |it| it.actual));
    rate.add("Target QPS", Shape::Guide, Tone::Muted, points(levels, |it| it.target));
    let mut success = chart("Success rate", "%", levels, [105.0].into_iter());
    success.add("Success rate", Shape::LineDots, Tone::Series(1), points(levels, |it| it.success));
    let line = levels.iter().map(|level| [level.target, SUSTAINED]).collect();
    success.add("95 % threshold", Shape::Guide, Tone::Muted, line);
    let of = |title, unit, take: fn(&Level) -> [f64; 4]| {
        let mut chart = chart(title, unit, levels, levels.iter().flat_map(take));
        for (at, percent) in PERCENTS.iter().enumerate() {
            let points = levels.iter().map(|level| [level.target, take(level)[at]]).collect();
            let tone = Tone::Series(u8::try_from(at).unwrap_or(0));
            chart.add(&format!("P{percent}"), Shape::LineDots, tone, points);
        }
        chart
    };
    let charts = [
        rate,
        success,
        of("Time to First Token (TTFT)", "s", |level| level.ttft),
        of("End-to-End Request Latency", "s", |level| level.e2e),
        of("Tokens per second", "tokens/s", |level| level.speed),
    ];
    let mut scenes: Vec<Scene> = charts.iter().map(|chart| draw(chart, FRAME)).collect();
    scenes.push(recommendation(evidence));
    let simulated = if evidence.run.simulated { "SIMULATED · " } else { "" };
    let small = format!("plan {} · run {}", evidence.run.plan, evidence.run.run_id);
    Scene::sheet(&format!("{simulated}QPS Benchmark Results"), &small, scenes, 2)
}

fn chart(
    title: &str,
    unit: &'static str,
    levels: &[Level],
    values: impl Iterator<Item = f64>,
) -> Chart {
    let mut x = Axis::around("Target QPS", "", levels.iter().map(|level| level.target), 50.0);
    x.stops = levels.iter().map(|level| level.target).collect();
    Chart::new(title, x, Axis::around(title, unit, values, 1000.0))
}

fn points(levels: &[Level], take: fn(&Level) -> f64) -> Vec<[f64; 2]> {
    levels.iter().map(|level| [level.target, take(level)]).collect()
}

/// `text` in lines of at most so many letters, where its words allow.
fn wrapped(text: &str, letters: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + word.chars().count() < letters => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The sixth picture: where it saturates and what to run it at, as every other report says it.
fn recommendation(evidence: &Evidence) -> Scene {
    use crate::report::scene::{Anchor, Item, Text};
    let is_ladder = |found: &&saturation::Saturation| found.axis == saturation::Axis::Rate;
    let ladder = evidence.summary.saturation.iter().find(|(_, found)| is_ladder(found));
    // What went wrong is said first, as in every other report.
    let opens = |claim: &&Claim| matches!(claim.kind, ClaimKind::Ended | ClaimKind::AllFailed);
    let claims = &evidence.summary.claims;
    let opening = claims.iter().take_while(opens);
    let said: Option<Vec<&Claim>> = ladder.map(|(name, _)| {
        let own = |claim: &&Claim| claim.subject().as_ref() == Some(name) && !opens(claim);
        opening.chain(claims.iter().filter(own).filter(|claim| !claim.kind.is_detail())).collect()
    });
    let mut lines = vec!["Summary and recommendations".to_owned()];
    match said {
        Some(said) => lines.extend(said.iter().flat_map(|claim| wrapped(&claim.text, 78))),
        None => {
            lines.push("One rate says nothing of saturation: run a ladder of rates.".to_owned());
        }
    }
    let text = |(row, text): (usize, String)| {
        Item::Text(Text {
            at: [16.0, 32.0 + 28.0 * row as f64],
            text,
            size: if row == 0 { 15.0 } else { 13.0 },
            anchor: Anchor::Start,
            tone: Tone::Ink,
            bold: row == 0,
        })
    };
    let items = lines.into_iter().enumerate().map(text).collect();
    Scene { width: FRAME.width, height: FRAME.height, plot: [0.0; 4], items }
}

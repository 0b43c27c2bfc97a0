//! The QPS benchmark's files: `metadata.json`, `benchmark_qps_results.json` and `benchmark_qps.png`.
//!
//! In: a run with stages that have a rate. Out: its fields and definitions, in seconds: percentiles are
//! the nearest rank above (no interpolation), 0 without a sample, as it writes them. The picture has its
//! three rows of two. Each curve stands by itself where a run has several.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::figures::{number, stats};
use super::stage::{Curve, curves};
use super::{Evidence, File, StageEvidence};
use crate::metrics::claims::{Claim, ClaimKind};
use crate::metrics::definitions::QPS_BENCHMARK;
use crate::record::OutcomeKind;
use crate::report::chart::{Axis, Chart, Shape, Tone};
use crate::report::draw::{Frame, draw};
use crate::report::marks;
use crate::report::scene::Scene;

/// Size of one of the six pictures.
const FRAME: Frame = Frame { width: 920.0, height: 300.0, titled: true, left: 0.0 };
const PERCENTS: [usize; 4] = [50, 90, 95, 99];
/// The share of answers, in percent, that the tool draws a line at.
const SUSTAINED: f64 = 95.0;
/// Letters of an error that it keeps.
const MOST_LETTERS: usize = 100;

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

/// Three files, two in a build without pictures; a folder of them for each curve where there are several.
pub(super) fn files(evidence: &Evidence) -> Result<Vec<File>, String> {
    let curves = curves(evidence, |stage| stage.target_rate().is_some());
    if curves.is_empty() {
        return Err("no stage of the run has a rate (`qps_ladder`, or `load` with `rate`)".into());
    }
    let mut files = Vec::new();
    for curve in &curves {
        let levels: Vec<Level> = curve.stages.iter().map(|stage| level(stage)).collect();
        let results = levels.iter().map(|level| level.document.clone()).collect();
        let mut of = vec![
            File::json("metadata.json", &metadata(evidence, curve, &levels))?,
            File::json("benchmark_qps_results.json", &results)?,
        ];
        of.extend(picture(&scene(evidence, curve, &levels))?);
        let named = |file: File| File { name: format!("{}{}", curve.folder, file.name), ..file };
        files.extend(of.into_iter().map(named));
    }
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

fn metadata(evidence: &Evidence, curve: &Curve<'_>, levels: &[Level]) -> Value {
    let stage = curve.stages[0];
    let chosen = &evidence.beside.percentiles;
    let percentiles: Vec<Value> = if chosen.is_empty() {
        [50, 95, 99].map(Value::from).to_vec()
    } else {
        chosen.iter().copied().map(number).collect()
    };
    json!({
        "timestamp": evidence.run.started_at,
        "endpoint": evidence.url(stage),
        "model": stage.model(),
        "dataset": dataset(&evidence.prompt(stage, "dataset")),
        "qps_levels": levels.iter().map(|level| level.target).collect::<Vec<_>>(),
        "duration": stage.asked_seconds().map(number),
        "max_tokens": evidence.prompt(stage, "max_tokens"),
        "temperature": evidence.prompt(stage, "temperature"),
        "percentiles": percentiles,
        "show_tokens": true,
    })
}

/// The path of a dataset, however the plan writes it; several in one text.
fn dataset(written: &Value) -> Value {
    let paths = written.get("path").unwrap_or(written);
    match paths.as_array() {
        None => paths.clone(),
        Some(paths) => {
            let paths: Vec<&str> = paths.iter().filter_map(Value::as_str).collect();
            Value::from(paths.join(","))
        }
    }
}

fn level(stage: &StageEvidence) -> Level {
    let target = stage.target_rate().unwrap_or(0.0);
    let sums = stage.sums();
    let total = |name| QPS_BENCHMARK.total(name, &sums).unwrap_or(0.0);
    let (actual, success) = (total("actual_qps"), total("success_rate"));
    let percents = |name| {
        let stats = stats(&QPS_BENCHMARK, name, stage.ok());
        PERCENTS.map(|percent| stats.as_ref().map_or(0.0, |stats| stats.at_rank(percent)))
    };
    let (ttft, e2e, speed) =
        (percents("ttft"), percents("e2e_latency"), percents("tokens_per_sec"));
    let mut errors: BTreeMap<String, u64> = BTreeMap::new();
    let mut statuses: BTreeMap<String, u64> = BTreeMap::new();
    // Only what was sent counts; the tool knows nothing of requests that were not.
    for record in stage.records.iter().filter(|record| record.sent_ns.is_some()) {
        if let Some(status) = record.http_status {
            *statuses.entry(status.to_string()).or_default() += 1;
        }
        if let Some(error) = &record.error {
            let what = match record.http_status {
                Some(status) if status != 200 => format!("HTTP {status}"),
                _ if record.outcome == OutcomeKind::Timeout => "Timeout".to_owned(),
                _ => error.message.chars().take(MOST_LETTERS).collect(),
            };
            *errors.entry(what).or_default() += 1;
        }
    }
    let named = |figures: [f64; 4]| json!({ "p50": figures[0], "p90": figures[1], "p95": figures[2], "p99": figures[3] });
    let document = json!({
        "qps_target": target,
        "actual_qps": actual,
        "duration": stage.seconds(),
        "total_requests": sums.sent,
        "successful_requests": sums.ok,
        "failed_requests": sums.sent - sums.ok,
        "success_rate": success,
        "ttft": named(ttft),
        "e2e_latency": named(e2e),
        "tokens_per_sec": named(speed),
        "errors": errors,
        "status_codes": statuses,
    });
    Level { target, actual, success, ttft, e2e, speed, document }
}

fn scene(evidence: &Evidence, curve: &Curve<'_>, levels: &[Level]) -> Scene {
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
    scenes.push(recommendation(evidence, curve));
    let mark = marks::prefix(evidence.run.simulated, evidence.run.insecure);
    let small = format!("plan {} · run {}", evidence.run.plan, evidence.run.run_id);
    Scene::sheet(&format!("{mark}QPS Benchmark Results"), &small, scenes, 2)
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
fn recommendation(evidence: &Evidence, curve: &Curve<'_>) -> Scene {
    use crate::report::scene::{Anchor, Item, Text};
    let start = &curve.stages[0].start;
    let id = match &start.cell {
        Some(cell) => format!("{}[{cell}]", start.stage),
        None => start.stage.clone(),
    };
    let ladder = evidence.summary.saturation.get_key_value(&id);
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

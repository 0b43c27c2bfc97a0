//! The calibration's run: plan, simulators, records against truth.
//!
//! In: [`Effort`]. Out: [`Calibration`]. Invariant: the plan is an ordinary one, so what is
//! measured is what a user's run does; its files are gone afterwards.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{
    Accuracy, CALIBRATION_VERSION, Calibration, CalibrationError, Ceiling, Effort, Punctuality,
    Spread,
};
use crate::executor::manifest::Host;
use crate::executor::progress::ProgressMode;
use crate::executor::{self, RunOptions};
use crate::graph::Graph;
use crate::metrics::distribution::percentile;
use crate::metrics::record_log;
use crate::metrics::summary::{StageSummary, Summary};
use crate::plan::{LoadOptions, SimulatorConfig};
use crate::record::{Line, OutcomeKind, Record};
use crate::simulator::{Simulator, Truth};

/// Until the first token of the answers whose stamps are checked.
const FIRST: Duration = Duration::from_millis(50);
/// Tokens per second of those answers.
const PACE: f64 = 100.0;

/// Measures this machine. Stages are told of on standard error as `progress` says.
pub async fn calibrate(
    effort: &Effort,
    progress: ProgressMode,
) -> Result<Calibration, CalibrationError> {
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let fast = Simulator::start(endless(Duration::ZERO, f64::INFINITY), free)?;
    let paced = Simulator::start(endless(FIRST, PACE), free)?;
    let folder = Folder::new()?;
    let file = folder.0.join("calibration.yaml");
    std::fs::write(&file, plan_text(effort, &fast.base_url(), &paced.base_url()))?;
    let loaded = crate::plan::load(&file, &LoadOptions::default()).map_err(Box::new)?;
    let mut plan = loaded.plan;
    plan.results = folder.0.join("results");
    let graph = Graph::build(&plan).map_err(|_| CalibrationError::Graph)?;
    let options =
        RunOptions { arguments: vec!["calibrate".to_owned()], progress, ..RunOptions::default() };
    let finished = executor::run(&plan, &graph, options).await?;

    let summary = &finished.summary;
    let ceilings = effort.levels.iter().map(|(streams, _)| ceiling(summary, *streams));
    let schedules = effort.rates.iter().map(|rate| punctuality(summary, *rate));
    let records = Records::read(&finished.directory, &paced)?;
    let accuracy = effort.accuracy.iter().map(|(streams, _)| records.accuracy(*streams));
    Ok(Calibration {
        calibration_version: CALIBRATION_VERSION,
        runner_version: env!("CARGO_PKG_VERSION").to_owned(),
        measured_at: summary.run.started_at.clone(),
        host: Host::this(),
        ceilings: ceilings.collect::<Result<_, _>>()?,
        schedules: schedules.collect::<Result<_, _>>()?,
        accuracy: accuracy.collect::<Result<_, _>>()?,
    })
}

/// A simulator that takes all comers and does nothing but keep time.
fn endless(overhead: Duration, decode_rate: f64) -> SimulatorConfig {
    SimulatorConfig {
        cache_tokens: 0,
        prefill_rate: f64::INFINITY,
        decode_rate,
        batch_cost: 0.0,
        max_num_seqs: 1 << 20,
        overhead,
        jitter: 0.0,
        ..SimulatorConfig::default()
    }
}

fn plan_text(effort: &Effort, fast: &str, paced: &str) -> String {
    let mut text = format!(
        "version: 1\nname: calibration\nseed: 1\nendpoints:\n  fast: {{ url: \"{fast}\", \
         tokenizer: estimate }}\n  paced: {{ url: \"{paced}\", tokenizer: estimate }}\n\
         endpoint: fast\nprompt: {{ text: Say something., max_tokens: 16 }}\nstages:\n"
    );
    // Writing into a string has no way to fail.
    for (streams, requests) in &effort.levels {
        let _written = writeln!(
            text,
            "  - {{ id: streams-{streams}, kind: load, concurrency: {streams}, \
             requests: {requests} }}"
        );
    }
    for rate in &effort.rates {
        let seconds = effort.rate_seconds;
        let _written = writeln!(
            text,
            "  - {{ id: rate-{rate}, kind: load, rate: {rate}/s, duration: {seconds}s, \
             max_lag: 60s }}"
        );
    }
    for (streams, requests) in &effort.accuracy {
        let _written = writeln!(
            text,
            "  - {{ id: accuracy-{streams}, kind: load, endpoint: paced, concurrency: {streams}, \
             requests: {requests}, prompt: {{ text: Say something., max_tokens: 32 }} }}"
        );
    }
    text
}

fn stage<'a>(summary: &'a Summary, id: &str) -> Result<&'a StageSummary, CalibrationError> {
    let found = summary.stages.iter().find(|stage| stage.id == id);
    let found =
        found.ok_or_else(|| CalibrationError::Empty(id.to_owned(), "it is not there".into()))?;
    if found.counts.ok == 0 {
        let why = found.reason.clone().unwrap_or_else(|| "no request succeeded".to_owned());
        return Err(CalibrationError::Empty(id.to_owned(), why));
    }
    Ok(found)
}

fn ceiling(summary: &Summary, streams: u64) -> Result<Ceiling, CalibrationError> {
    let stage = stage(summary, &format!("streams-{streams}"))?;
    let requests = stage.load.and_then(|load| load.achieved_rate);
    let requests = requests.or(stage.throughput.requests_per_second).unwrap_or_default();
    let ok = stage.counts.ok;
    Ok(Ceiling {
        streams,
        ok,
        failed: stage.counts.planned - ok.min(stage.counts.planned),
        requests_per_second: requests,
        events_per_second: requests * stage.client.token_events as f64 / ok as f64,
        cpu_us_per_request: stage.client.cpu_s.map(|cpu| cpu * 1e6 / ok as f64),
    })
}

fn punctuality(summary: &Summary, rate: f64) -> Result<Punctuality, CalibrationError> {
    let id = format!("rate-{rate}");
    let stage = stage(summary, &id)?;
    let lag = stage.metrics.get("schedule_lag");
    let lag = lag.ok_or_else(|| CalibrationError::Empty(id, "it has no lag".to_owned()))?;
    let sent = stage.load.and_then(|load| load.achieved_rate).unwrap_or_default();
    Ok(Punctuality {
        target_rate: rate,
        sent_rate: sent,
        lag_ms: Spread { p50: lag.p50, p99: lag.p99 },
    })
}

/// The records of the stages whose stamps are checked, each with its truth.
struct Records(Vec<(Record, Truth)>);

impl Records {
    fn read(directory: &Path, paced: &Simulator) -> Result<Self, CalibrationError> {
        let truths = paced.truth().into_iter().filter_map(|it| Some((it.request_id.clone()?, it)));
        let mut truths: HashMap<String, Truth> = truths.collect();
        let mut pairs = Vec::new();
        record_log::read(directory, |_, line| {
            if let Line::End(record) = line
                && record.outcome == OutcomeKind::Ok
                && let Some(truth) = truths.remove(&record.request_id)
            {
                pairs.push((*record, truth));
            }
        })?;
        Ok(Self(pairs))
    }

    fn accuracy(&self, streams: u64) -> Result<Accuracy, CalibrationError> {
        let id = format!("accuracy-{streams}");
        let (mut ttft, mut e2e) = (Vec::new(), Vec::new());
        let (mut said_gaps, mut true_gaps) = (Vec::new(), Vec::new());
        for (record, truth) in self.0.iter().filter(|(record, _)| record.stage == id) {
            said_gaps.extend(gaps(&record.token_ns));
            true_gaps.extend(gaps(&truth.token_ns));
            if record.connected_ns > record.sent_ns {
                continue;
            }
            let off = |said: Option<u64>, there: Option<&u64>| {
                let said = said?.checked_sub(record.sent_ns?)?;
                Some(ms(said) - ms(there?.checked_sub(truth.read_ns)?))
            };
            ttft.extend(off(record.first_token_ns, truth.token_ns.first()));
            e2e.extend(off(record.last_token_ns, truth.token_ns.last()));
        }
        let requests = ttft.len() as u64;
        let measured = spread(ttft).zip(spread(e2e)).zip(spread(said_gaps).zip(spread(true_gaps)));
        let ((ttft_ms, e2e_ms), (said, there)) =
            measured.ok_or_else(|| CalibrationError::Empty(id, "too few requests".to_owned()))?;
        let itl_ms = Spread { p50: said.p50 - there.p50, p99: said.p99 - there.p99 };
        Ok(Accuracy { streams, requests, ttft_ms, itl_ms, e2e_ms })
    }
}

fn gaps(stamps: &[u64]) -> impl Iterator<Item = f64> {
    stamps.windows(2).filter_map(|pair| pair[1].checked_sub(pair[0]).map(ms))
}

fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

fn spread(mut samples: Vec<f64>) -> Option<Spread> {
    samples.sort_unstable_by(f64::total_cmp);
    Some(Spread { p50: percentile(&samples, 50.0)?, p99: percentile(&samples, 99.0)? })
}

/// A folder of our own, gone with this.
struct Folder(PathBuf);

impl Folder {
    fn new() -> std::io::Result<Self> {
        let nanos = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| since.as_nanos());
        let name = format!("runner-calibration-{}-{nanos}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        // Fails when somebody has put it there before us.
        std::fs::create_dir(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _left_to_the_system = std::fs::remove_dir_all(&self.0);
    }
}

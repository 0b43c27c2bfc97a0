//! The server's own account of a stage, out of readings of its Prometheus page.
//!
//! In: pages, then [`ServerLine`]s in the order in which they were read. Out: a reading in our
//! words, whoever the server is; then a [`ServerSummary`]. Invariants: counters are told as what
//! they grew by between the first and the last reading of a stage, label set by label set, with
//! restarts found and bridged; a reading that lacks a counter leaves its last value as it is; what a
//! server does not say is absent, not zero.

mod names;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use self::names::{Fold, GPU, Kind, SERVER, Series};
use super::prometheus;
use super::quantity::plural;
use crate::record::ServerLine;

/// Values by name.
type Values = BTreeMap<String, f64>;

/// Most label sets of a counter that are followed. A counter of more is left out: its sum would
/// hide gaps and restarts of one of them.
const MOST_LABEL_SETS: usize = 1024;

/// What a page says.
#[derive(Debug, Default)]
pub struct Reading {
    /// What only grows. A counter of several label sets, or one that is the sum of several of the
    /// page's, is a value for each: `prefix_cache_hits{engine="0"}`.
    pub counters: Values,
    /// What goes up and down.
    pub gauges: Values,
    /// Counters of more label sets than are followed.
    pub left_out: BTreeSet<String>,
}

/// Counters and gauges of a page by the names of `table`, and those called `watched`, by their own.
pub fn read(page: &str, table: &[Series], watched: &[String]) -> Reading {
    let mut sums: BTreeMap<&str, (f64, u32)> = BTreeMap::new();
    let mut sets: BTreeMap<&str, Vec<(&str, f64)>> = BTreeMap::new();
    for sample in prometheus::samples(page).filter(|sample| sample.value.is_finite()) {
        let (sum, count) = sums.entry(sample.name).or_default();
        *sum += sample.value;
        *count += 1;
        let sets = sets.entry(sample.name).or_default();
        if sets.len() <= MOST_LABEL_SETS {
            sets.push((sample.labels(), sample.value));
        }
    }
    let Reading { mut counters, mut gauges, mut left_out } = Reading::default();
    let mut count = |name: &str, of: &str, is_one_of_several: bool| {
        let own = sets.get(of).map_or(&[][..], Vec::as_slice);
        if own.len() > MOST_LABEL_SETS {
            left_out.insert(name.to_owned());
        }
        for (labels, value) in own {
            let part = if is_one_of_several { of } else { "" };
            let between = if part.is_empty() || labels.is_empty() { "" } else { "," };
            let key = match (part, *labels) {
                ("", "") => name.to_owned(),
                _ => format!("{name}{{{part}{between}{labels}}}"),
            };
            *counters.entry(key).or_default() += value;
        }
    };
    for series in table {
        match series.kind {
            Kind::Counter => {
                let names = series.names(&sums).unwrap_or_default();
                for of in names {
                    count(series.name, of, names.len() > 1);
                }
            }
            Kind::Gauge(_) => {
                gauges.extend(series.value(&sums).map(|value| (series.name.to_owned(), value)));
            }
        }
    }
    gauges.extend(block_tokens(page).map(|tokens| (BLOCK_TOKENS.to_owned(), tokens)));
    if !watched.is_empty() {
        let types = prometheus::types(page);
        for name in watched {
            let Some((sum, _)) = sums.get(name.as_str()) else { continue };
            let grows = ["_total", "_sum", "_count"].iter().any(|end| name.ends_with(end))
                || types.get(name.as_str()) == Some(&"counter");
            if grows {
                count(name, name, false);
            } else {
                gauges.insert(name.clone(), *sum);
            }
        }
    }
    // One of several parts that can't be followed leaves the whole unknown.
    counters.retain(|key, _| !left_out.contains(counter_of(key)));
    Reading { counters, gauges, left_out }
}

/// The counter that a key is a label set of.
fn counter_of(key: &str) -> &str {
    key.split('{').next().unwrap_or(key)
}

/// The labels in a key, without the part of the counter that may stand before them: those of one
/// engine, which begin anew together.
fn labels_of(key: &str) -> &str {
    let inside = key.split_once('{').map_or("", |(_, inside)| inside.trim_end_matches('}'));
    match inside.split_once(',') {
        Some((part, labels)) if !part.contains('=') => labels,
        None if !inside.contains('=') => "",
        _ => inside,
    }
}

/// Our name for the size of the prefix cache's blocks, in tokens.
pub const BLOCK_TOKENS: &str = "cache_block_tokens";

/// The size of the cache's blocks, which servers tell in a label: vLLM's
/// `cache_config_info{block_size="16"}`, `SGLang`'s with `page_size`.
fn block_tokens(page: &str) -> Option<f64> {
    let mut samples = prometheus::samples(page);
    let info = samples.find(|sample| sample.name.ends_with(":cache_config_info"))?;
    let size = ["block_size", "page_size"].iter().find_map(|label| info.label(label))?;
    size.parse().ok().filter(|tokens: &f64| *tokens >= 1.0)
}

/// What the server said of itself while a stage ran.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ServerSummary {
    /// Readings that succeeded.
    pub readings: u64,
    /// Readings that failed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed: u64,
    /// How often counters began anew: the server, or one of its engines, was restarted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub resets: u64,
    /// Counters that could not be followed: the page has them under too many label sets.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub left_out: BTreeSet<String>,
    /// Share of the prompt tokens that the server found in its prefix cache; absent where it counted
    /// more hits than queries, which can't be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix_hit_share: Option<f64>,
    /// What counters grew by, from before the stage's first request to after its last answer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counters: BTreeMap<String, f64>,
    /// Mean times of the requests that the server ended meanwhile, in milliseconds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub mean_ms: BTreeMap<String, f64>,
    /// Gauges over the readings.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub gauges: BTreeMap<String, Gauge>,
}

impl ServerSummary {
    /// Why its figures of the stage of that name are to be doubted, one sentence each.
    pub fn doubts(&self, stage: &str) -> Vec<String> {
        let restarted = (self.resets > 0).then(|| {
            format!(
                "stage {stage}: the server's counters began anew {}: it was restarted while it was \
                 measured",
                plural(self.resets, "time")
            )
        });
        let counted = |name| self.counters.get(name).copied();
        let cache = counted("prefix_cache_hits").zip(counted("prefix_cache_queries"));
        let impossible = cache.filter(|(hits, queries)| hits > queries && *queries > 0.0);
        let impossible = impossible.map(|(hits, queries)| {
            format!(
                "stage {stage}: the server counted {hits} prompt tokens found in its prefix cache of \
                 {queries} looked up, which can't be: its counters say nothing of the cache here"
            )
        });
        let names: Vec<&str> = self.left_out.iter().map(String::as_str).collect();
        let left_out = (!names.is_empty()).then(|| {
            format!(
                "stage {stage}: the server counts {} under more than {MOST_LABEL_SETS} label sets \
                 each, which are not followed: what they grew by is not known",
                names.join(", ")
            )
        });
        restarted.into_iter().chain(impossible).chain(left_out).collect()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// A gauge over the readings of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Gauge {
    /// Mean of the readings.
    pub mean: f64,
    /// Largest reading.
    pub max: f64,
    /// Last reading.
    pub last: f64,
}

/// The times that a server sums up: our name, the counter of seconds and that of requests.
const MEANS: [(&str, &str, &str); 4] = [
    ("queue", "queue_seconds", "queue_requests"),
    ("prefill", "prefill_seconds", "prefill_requests"),
    ("decode", "decode_seconds", "decode_requests"),
    ("ttft", "ttft_seconds", "ttft_requests"),
];

/// The readings of a stage so far.
#[derive(Debug, Clone, Default)]
pub struct ServerTally {
    /// The last value of each label set that any reading had.
    last: Values,
    growth: Values,
    gauges: BTreeMap<String, (Gauge, u64)>,
    readings: u64,
    failed: u64,
    resets: u64,
    left_out: BTreeSet<String>,
}

impl ServerTally {
    /// Takes the next reading.
    pub fn take(&mut self, line: &ServerLine) {
        if line.error.is_some() {
            self.failed += 1;
            return;
        }
        self.readings += 1;
        self.left_out.extend(line.left_out.iter().cloned());
        let begun_anew: BTreeSet<&str> = line
            .counters
            .iter()
            .filter(|(key, now)| self.last.get(*key).is_some_and(|before| *now < before))
            .map(|(key, _)| labels_of(key))
            .collect();
        for (key, &now) in &line.counters {
            let grew = match self.last.insert(key.clone(), now) {
                Some(before) if now >= before => now - before,
                // It began anew, from nothing.
                Some(_) => now,
                // So did all that the same engine counts.
                None if begun_anew.contains(labels_of(key)) => now,
                // It may have counted long before this reading showed it.
                None => 0.0,
            };
            *self.growth.entry(counter_of(key).to_owned()).or_default() += grew;
        }
        self.resets += u64::from(!begun_anew.is_empty());
        for (name, &value) in &line.gauges {
            let first = (Gauge { mean: value, max: value, last: value }, 0);
            let (gauge, count) = self.gauges.entry(name.clone()).or_insert(first);
            *count += 1;
            gauge.mean += (value - gauge.mean) / *count as f64;
            gauge.max = gauge.max.max(value);
            gauge.last = value;
        }
    }

    /// What a counter grew by; `None` when fewer than two readings know it, or one left it out.
    pub fn growth(&self, counter: &str) -> Option<f64> {
        let is_told = self.readings > 1 && !self.left_out.contains(counter);
        self.growth.get(counter).copied().filter(|_| is_told)
    }

    /// Prompt tokens that the server found in its prefix cache, and all that it looked up; an error
    /// when it says that it found more than it looked up. `None` where it says nothing.
    pub fn prefix_cache(&self) -> Option<Result<(f64, f64), (f64, f64)>> {
        let hits = self.growth("prefix_cache_hits")?;
        let queries = self.growth("prefix_cache_queries").filter(|queries| *queries > 0.0)?;
        Some(if hits <= queries { Ok((hits, queries)) } else { Err((hits, queries)) })
    }

    /// How often counters began anew.
    pub fn resets(&self) -> u64 {
        self.resets
    }

    /// Everything in one; `None` without any reading.
    pub fn summary(&self) -> Option<ServerSummary> {
        if self.readings + self.failed == 0 {
            return None;
        }
        let share = self.prefix_cache().and_then(Result::ok);
        let share = share.map(|(hits, queries)| hits / queries);
        let means = MEANS.iter().filter_map(|(name, seconds, requests)| {
            let count = self.growth(requests).filter(|count| *count > 0.0)?;
            Some(((*name).to_owned(), self.growth(seconds)? * 1000.0 / count))
        });
        Some(ServerSummary {
            readings: self.readings,
            failed: self.failed,
            resets: self.resets,
            prefix_hit_share: share,
            left_out: self.left_out.clone(),
            counters: (self.growth.keys())
                .filter_map(|name| Some((name.clone(), self.growth(name)?)))
                .collect(),
            mean_ms: means.collect(),
            gauges: self.gauges.iter().map(|(name, (gauge, _))| (name.clone(), *gauge)).collect(),
        })
    }
}

#[cfg(test)]
mod tests;

//! The server's own account of a stage, out of readings of its Prometheus page.
//!
//! In: pages, then [`ServerLine`]s in the order in which they were read. Out: a reading in our
//! words, whoever the server is; then a [`ServerSummary`]. Invariants: counters are told as what
//! they grew by between the first and the last reading of a stage, with restarts of the server
//! found and bridged; what a server does not say is absent, not zero.

mod names;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::names::{Fold, GPU, Kind, SERVER, Series};
use super::prometheus;
use crate::record::ServerLine;

/// Values by name.
type Values = BTreeMap<String, f64>;

/// Counters and gauges of a page by the names of `table`, and those called `watched`, by their own.
pub fn read(page: &str, table: &[Series], watched: &[String]) -> (Values, Values) {
    let mut sums: BTreeMap<&str, (f64, u32)> = BTreeMap::new();
    for sample in prometheus::samples(page).filter(|sample| sample.value.is_finite()) {
        let (sum, count) = sums.entry(sample.name).or_default();
        *sum += sample.value;
        *count += 1;
    }
    let (mut counters, mut gauges) = (Values::new(), Values::new());
    for series in table {
        if let Some(value) = series.value(&sums) {
            match series.kind {
                Kind::Counter => counters.insert(series.name.to_owned(), value),
                Kind::Gauge(_) => gauges.insert(series.name.to_owned(), value),
            };
        }
    }
    gauges.extend(block_tokens(page).map(|tokens| (BLOCK_TOKENS.to_owned(), tokens)));
    if !watched.is_empty() {
        let types = prometheus::types(page);
        for name in watched {
            let Some((sum, _)) = sums.get(name.as_str()) else { continue };
            let grows = ["_total", "_sum", "_count"].iter().any(|end| name.ends_with(end))
                || types.get(name.as_str()) == Some(&"counter");
            (if grows { &mut counters } else { &mut gauges }).insert(name.clone(), *sum);
        }
    }
    (counters, gauges)
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ServerSummary {
    /// Readings that succeeded.
    pub readings: u64,
    /// Readings that failed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed: u64,
    /// How often counters began anew: the server was restarted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub resets: u64,
    /// Share of the prompt tokens that the server found in its prefix cache.
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
    last: Option<Values>,
    growth: Values,
    gauges: BTreeMap<String, (Gauge, u64)>,
    readings: u64,
    failed: u64,
    resets: u64,
}

impl ServerTally {
    /// Takes the next reading.
    pub fn take(&mut self, line: &ServerLine) {
        if line.error.is_some() {
            self.failed += 1;
            return;
        }
        self.readings += 1;
        if let Some(last) = &self.last {
            let mut has_reset = false;
            for (name, now) in &line.counters {
                // A counter with labels is not on the page before there is something to count.
                let before = last.get(name).copied().unwrap_or(0.0);
                has_reset |= *now < before;
                let grew = if *now < before { *now } else { now - before };
                *self.growth.entry(name.clone()).or_default() += grew;
            }
            self.resets += u64::from(has_reset);
        } else {
            self.growth = line.counters.keys().map(|name| (name.clone(), 0.0)).collect();
        }
        self.last = Some(line.counters.clone());
        for (name, &value) in &line.gauges {
            let first = (Gauge { mean: value, max: value, last: value }, 0);
            let (gauge, count) = self.gauges.entry(name.clone()).or_insert(first);
            *count += 1;
            gauge.mean += (value - gauge.mean) / *count as f64;
            gauge.max = gauge.max.max(value);
            gauge.last = value;
        }
    }

    /// What a counter grew by; `None` when fewer than two readings know it.
    pub fn growth(&self, counter: &str) -> Option<f64> {
        (self.readings > 1).then(|| self.growth.get(counter).copied()).flatten()
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
        let share = self
            .growth("prefix_cache_hits")
            .zip(self.growth("prefix_cache_queries"))
            .filter(|(_, queries)| *queries > 0.0)
            .map(|(hits, queries)| (hits / queries).clamp(0.0, 1.0));
        let means = MEANS.iter().filter_map(|(name, seconds, requests)| {
            let count = self.growth(requests).filter(|count| *count > 0.0)?;
            Some(((*name).to_owned(), self.growth(seconds)? * 1000.0 / count))
        });
        Some(ServerSummary {
            readings: self.readings,
            failed: self.failed,
            resets: self.resets,
            prefix_hit_share: share,
            counters: if self.readings > 1 { self.growth.clone() } else { Values::new() },
            mean_ms: means.collect(),
            gauges: self.gauges.iter().map(|(name, (gauge, _))| (name.clone(), *gauge)).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(counters: &[(&str, f64)], gauges: &[(&str, f64)]) -> ServerLine {
        let values = |list: &[(&str, f64)]| {
            list.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
        };
        ServerLine {
            endpoint: "e".into(),
            at_ns: 0,
            counters: values(counters),
            gauges: values(gauges),
            error: None,
        }
    }

    /// Values by name.
    type Named = &'static [(&'static str, f64)];

    /// Whether a counter or share is what it should be.
    fn is(value: f64, expected: f64) -> bool {
        (value - expected).abs() < 1e-9
    }

    #[test]
    fn the_size_of_blocks_is_read_from_a_label() {
        let read = |page: &str| read(page, SERVER, &[]).1.get(BLOCK_TOKENS).copied();
        let vllm = "vllm:cache_config_info{block_size=\"32\",cache_dtype=\"auto\"} 1.0\n";
        assert_eq!(read(vllm), Some(32.0));
        assert_eq!(read("sglang:cache_config_info{page_size=\"1\"} 1\n"), Some(1.0));
        assert_eq!(read("vllm:cache_config_info{block_size=\"None\"} 1\n"), None);
        assert_eq!(read("vllm:num_requests_running 1\n"), None);
    }

    #[test]
    fn old_and_new_names_of_every_server_are_read_in_our_words() {
        let rows: [(&str, Named, Named); 5] = [
            (
                "vllm:prefix_cache_queries_total{engine=\"0\"} 100\n\
                 vllm:prefix_cache_queries_total{engine=\"1\"} 50\n\
                 vllm:prefix_cache_hits_total{engine=\"0\"} 30\n\
                 vllm:num_requests_running 2\nvllm:num_requests_waiting 1\n\
                 vllm:kv_cache_usage_perc{engine=\"0\"} 0.5\n\
                 vllm:kv_cache_usage_perc{engine=\"1\"} 0.1\nvllm:num_preemptions_total 4\n\
                 vllm:request_queue_time_seconds_sum 1.5\nvllm:request_queue_time_seconds_count 3\n",
                &[
                    ("prefix_cache_queries", 150.0),
                    ("prefix_cache_hits", 30.0),
                    ("preemptions", 4.0),
                    ("queue_seconds", 1.5),
                    ("queue_requests", 3.0),
                ],
                &[("running", 2.0), ("waiting", 1.0), ("kv_usage", 0.3)],
            ),
            (
                "vllm:gpu_prefix_cache_queries 9\nvllm:gpu_prefix_cache_hits 8\n\
                 vllm:gpu_cache_usage_perc 0.25\n",
                &[("prefix_cache_queries", 9.0), ("prefix_cache_hits", 8.0)],
                &[("kv_usage", 0.25)],
            ),
            (
                "sglang:num_running_reqs 3\nsglang:num_queue_reqs 4\nsglang:token_usage 0.5\n\
                 sglang:prompt_tokens_total 100\n\
                 sglang:cached_tokens_total{cache_source=\"device\"} 40\n\
                 sglang:evicted_tokens_total 7\n",
                &[
                    ("prefix_cache_queries", 100.0),
                    ("prefix_cache_hits", 40.0),
                    ("prompt_tokens", 100.0),
                    ("evicted_tokens", 7.0),
                ],
                &[("running", 3.0), ("waiting", 4.0), ("kv_usage", 0.5)],
            ),
            (
                "llamacpp:prompt_tokens_total 60\nllamacpp:prompt_tokens_cached_total 40\n\
                 llamacpp:prompt_seconds_total 1.5\nllamacpp:requests_processing 1\n\
                 llamacpp:requests_deferred 0\nllamacpp:tokens_predicted_total 5\n",
                &[
                    ("prefix_cache_queries", 100.0),
                    ("prefix_cache_hits", 40.0),
                    ("prompt_tokens", 100.0),
                    ("prefill_seconds", 1.5),
                    ("generation_tokens", 5.0),
                ],
                &[("running", 1.0), ("waiting", 0.0)],
            ),
            (
                "tgi_queue_size 2\ntgi_batch_current_size 3\ntgi_request_success 5\n\
                 tgi_request_queue_duration_sum 0.5\ntgi_request_queue_duration_count 5\n",
                &[("requests", 5.0), ("queue_seconds", 0.5), ("queue_requests", 5.0)],
                &[("running", 3.0), ("waiting", 2.0)],
            ),
        ];
        for (page, counters, gauges) in rows {
            let (read_counters, read_gauges) = read(page, SERVER, &[]);
            for (name, value) in counters {
                assert_eq!(read_counters.get(*name), Some(value), "{name} of {page}");
            }
            for (name, value) in gauges {
                assert_eq!(read_gauges.get(*name), Some(value), "{name} of {page}");
            }
        }
        // An older llama.cpp says nothing of cached tokens: what it counts is not the whole prompt.
        let (counters, _) = read("llamacpp:prompt_tokens_total 60\n", SERVER, &[]);
        assert_eq!(counters.get("prefix_cache_queries"), None);
        assert_eq!(counters.get("prompt_tokens"), None);
    }

    #[test]
    fn any_other_metric_is_read_by_its_name() {
        let page = "# TYPE app_hits counter\napp_hits{a=\"1\"} 2\napp_hits{a=\"2\"} 3\n\
                    app_depth 7\napp_sum_sum 1\n";
        let watched = ["app_hits", "app_depth", "app_sum_sum", "gone"].map(str::to_owned);
        let (counters, gauges) = read(page, SERVER, &watched);
        assert_eq!(counters, [("app_hits".into(), 5.0), ("app_sum_sum".into(), 1.0)].into());
        assert_eq!(gauges, [("app_depth".into(), 7.0)].into());
    }

    #[test]
    fn counters_are_told_by_growth_and_restarts_are_bridged() {
        let mut tally = ServerTally::default();
        assert_eq!(tally.summary(), None);
        let hits = |at, of| [("prefix_cache_hits", at), ("prefix_cache_queries", of)];
        tally.take(&line(&hits(100.0, 1000.0), &[("running", 0.0)]));
        assert_eq!(tally.growth("prefix_cache_hits"), None, "one reading is no growth");
        tally.take(&line(&hits(150.0, 1100.0), &[("running", 4.0)]));
        tally.take(&line(&hits(10.0, 40.0), &[("running", 2.0)]));
        tally.take(&line(&[("preemptions", 2.0), ("prefix_cache_hits", 10.0)], &[]));
        let summary = tally.summary().unwrap();
        assert_eq!((summary.readings, summary.resets), (4, 1));
        assert!(is(summary.counters["prefix_cache_hits"], 60.0));
        assert!(is(summary.counters["prefix_cache_queries"], 140.0));
        assert!(is(summary.counters["preemptions"], 2.0), "a counter that came later began at 0");
        assert_eq!(summary.gauges["running"], Gauge { mean: 2.0, max: 4.0, last: 2.0 });
        let share = summary.prefix_hit_share.unwrap();
        assert!(is(share, 60.0 / 140.0));
    }

    #[test]
    fn a_reading_that_failed_is_counted_and_changes_nothing() {
        let mut tally = ServerTally::default();
        tally.take(&line(&[("requests", 1.0)], &[]));
        let error = Some("HTTP 500".to_owned());
        tally.take(&ServerLine { error, ..line(&[], &[]) });
        tally.take(&line(&[("requests", 3.0)], &[]));
        let summary = tally.summary().unwrap();
        assert_eq!((summary.readings, summary.failed), (2, 1));
        assert!(is(summary.counters["requests"], 2.0));
    }
}

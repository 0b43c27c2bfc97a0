//! The batching and caching MWE's `results.json`.
//!
//! In: a run. Out: a document for each curve's stage, with its fields and formulas in milliseconds:
//! percentiles are the nearest rank above (no interpolation), 0 without a sample, as it writes them.

use serde_json::{Value, json};

use super::figures::{Stats, stats};
use super::{Evidence, File, StageEvidence};
use crate::metrics::definitions::BATCHING_CACHE;

/// One file; one in a folder for each stage where there are several.
pub(super) fn files(evidence: &Evidence) -> Result<Vec<File>, String> {
    let alone = evidence.stages.len() == 1;
    let of = |stage: &StageEvidence| {
        let folder = if alone { String::new() } else { format!("{}/", stage.slug()) };
        File::json(format!("{folder}results.json"), &document(stage))
    };
    evidence.stages.iter().map(of).collect()
}

fn document(stage: &StageEvidence) -> Value {
    let sums = stage.sums();
    let failed = stage.failed().count();
    let of = |name| stats(&BATCHING_CACHE, name, stage.ok());
    let mean = |stats: Option<Stats>| stats.map_or(0.0, |stats| stats.mean);
    let ttft = of("ttft_ms");
    let rank = |percent| ttft.as_ref().map_or(0.0, |stats| stats.at_rank(percent));
    let total = |name| BATCHING_CACHE.total(name, &sums).unwrap_or(0.0);
    json!({
        "total_requests": sums.ok + failed as u64,
        "successful_requests": sums.ok,
        "failed_requests": failed,
        "ttft_p50_ms": rank(50),
        "ttft_p95_ms": rank(95),
        "ttft_p99_ms": rank(99),
        "tpot_avg_ms": mean(of("tpot_ms")),
        "throughput_tokens_per_sec": total("throughput_tokens_per_sec"),
        "cache_hit_rate": total("cache_hit_rate"),
        "avg_latency_ms": mean(of("latency_ms")),
        "total_time_sec": total("total_time_sec"),
    })
}

//! The TTFT cache benchmark's `benchmark.jsonl`: `run_index`, `context_tokens`, `ttft_seconds`.
//!
//! In: a run. Out: a line per complete answer in the order of the run. `run_index` counts how often
//! the same prompt was asked, so 1 is the baseline; `context_tokens` are the prompt's tokens by the best
//! source known, template and question included.

use std::collections::BTreeMap;

use serde_json::json;

use super::figures::Sample;
use super::{Evidence, File};

/// One file.
#[expect(clippy::unnecessary_wraps, reason = "the shape of `Format::write`")]
pub(super) fn files(evidence: &Evidence) -> Result<Vec<File>, String> {
    let mut samples: Vec<Sample<'_>> =
        evidence.stages.iter().flat_map(super::StageEvidence::ok).collect();
    samples.sort_by_key(|sample| sample.record.sent_ns);
    let mut asked: BTreeMap<String, u64> = BTreeMap::new();
    let lines = samples.iter().filter_map(|sample| {
        let record = sample.record;
        let prompt = record.prompt_hash.clone().unwrap_or_else(|| record.index.to_string());
        let index = asked.entry(prompt).or_default();
        *index += 1;
        Some(json!({
            "run_index": *index,
            "context_tokens": sample.input(),
            "ttft_seconds": sample.ttft()?,
        }))
    });
    Ok(vec![File::json_lines("benchmark.jsonl", lines)])
}

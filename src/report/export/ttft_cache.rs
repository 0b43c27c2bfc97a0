//! The TTFT cache benchmark's `benchmark.jsonl`: `run_index`, `context_tokens`, `ttft_seconds`.
//!
//! In: a run. Out: a line per complete answer in the order of the run. `run_index` counts how often
//! the same prompt was asked, so 1 is the baseline; `context_tokens` are the prompt's tokens by the best
//! source known, template and question included.

use std::collections::BTreeMap;

use serde_json::json;

use super::figures::{input, sample};
use super::{Evidence, File, StageEvidence};
use crate::metrics::definitions::TTFT_CACHE;
use crate::record::Record;

/// One file.
#[expect(clippy::unnecessary_wraps, reason = "the shape of `Format::write`")]
pub(super) fn files(evidence: &Evidence) -> Result<Vec<File>, String> {
    let mut records: Vec<&Record> = evidence.stages.iter().flat_map(StageEvidence::ok).collect();
    records.sort_by_key(|record| record.sent_ns);
    let mut asked: BTreeMap<String, u64> = BTreeMap::new();
    let lines = records.into_iter().filter_map(|record| {
        let prompt = record.prompt_hash.clone().unwrap_or_else(|| record.index.to_string());
        let index = asked.entry(prompt).or_default();
        *index += 1;
        Some(json!({
            "run_index": *index,
            "context_tokens": input(record),
            "ttft_seconds": sample(&TTFT_CACHE, "ttft_seconds", record)?,
        }))
    });
    Ok(vec![File::json_lines("benchmark.jsonl", lines)])
}

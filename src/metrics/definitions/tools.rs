//! Every tool whose definitions are known, and what their tables are made of.
//!
//! Out: [`TOOLS`]. The tables themselves stand in `peers.rs` and `small_tools.rs`.

use super::take::Take;
use super::{Figure, Sums, Tool, Total, Whose, peers, small_tools};

/// A figure of complete answers.
pub(super) const fn figure(
    name: &'static str,
    unit: &'static str,
    take: Take,
    formula: &'static str,
) -> Figure {
    Figure { name, unit, formula, take, whose: Whose::Answers }
}

/// A figure of a whole stage.
pub(super) const fn total(
    name: &'static str,
    unit: &'static str,
    take: fn(&Sums) -> Option<f64>,
    formula: &'static str,
) -> Total {
    Total { name, unit, formula, take }
}

/// Answers over the time from the first request to the last answer.
pub(super) const fn requests(name: &'static str) -> Total {
    let formula = "ok / (last end - first sent)";
    total(name, "requests/s", |sums| sums.per_second(sums.ok), formula)
}

/// Requests sent over that time.
pub(super) const fn sent(name: &'static str) -> Total {
    let formula = "requests sent / (last end - first sent)";
    total(name, "requests/s", |sums| sums.per_second(sums.sent), formula)
}

/// Generated tokens over that time.
pub(super) const fn output(name: &'static str) -> Total {
    let formula = "Σ output tokens / (last end - first sent)";
    total(name, "tokens/s", |sums| sums.per_second(sums.output), formula)
}

/// Generated tokens over that time, by the client's tokenizer.
pub(super) const fn retokenized(name: &'static str) -> Total {
    let formula = "Σ output tokens by the client's tokenizer, else as the server says \
                   / (last end - first sent)";
    total(name, "tokens/s", |sums| sums.per_second(sums.retokenized), formula)
}

/// Answers among the requests that were sent, in percent.
pub(super) const fn success(name: &'static str) -> Total {
    let take = |sums: &Sums| (sums.sent > 0).then(|| 100.0 * sums.ok as f64 / sums.sent as f64);
    total(name, "%", take, "100 * ok / requests sent")
}

/// Every tool whose definitions are known.
pub const TOOLS: &[Tool] = &[
    peers::VLLM,
    peers::SGLANG,
    peers::AIPERF,
    peers::GENAI_PERF,
    peers::GUIDELLM,
    peers::INFERENCE_PERF,
    peers::LLMPERF,
    peers::EVALSCOPE,
    small_tools::TTFT_CACHE,
    small_tools::BATCHING_CACHE,
    small_tools::QPS_BENCHMARK,
    small_tools::CHAT_REPLAY,
    small_tools::BENCH_PACK,
];

/// The tool of that word, which may be the word of its export.
pub fn find(word: &str) -> Option<&'static Tool> {
    TOOLS.iter().find(|tool| tool.word == word || tool.export == Some(word))
}

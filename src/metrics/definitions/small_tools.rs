//! The definitions of five small tools, as their code reckons: the TTFT cache benchmark, the batching
//! and caching MWE, the QPS benchmark, the chat replay benchmark, the `OpenAI` bench pack.
//!
//! Out: a [`Tool`] each. Invariant: what a tool does is kept, also where it surprises; the formula
//! says so.

use super::take::Count::{ContentEvents, Estimated, Output};
use super::take::Stamp::{End, FirstChunk, FirstContent, Headers};
use super::take::Take::{PerLaterToken, Speed, Tokens, Until};
use super::tools::{figure, sent, success, total};
use super::{Figure, Sums, Tool, Whose};

/// The TTFT cache benchmark.
pub const TTFT_CACHE: Tool = Tool {
    word: "ttft-cache",
    export: None,
    name: "the TTFT cache benchmark (openai_chat_completion_client.py)",
    figures: &[figure(
        "ttft_seconds",
        "s",
        Until(FirstContent),
        "first chunk with content - sent; reasoning is not seen, so it counts as waiting",
    )],
    totals: &[total("runs", "", |sums| Some(sums.ok as f64), "answered requests")],
};

/// The batching and caching MWE.
pub const BATCHING_CACHE: Tool = Tool {
    word: "batching-cache",
    export: None,
    name: "the batching and caching MWE (main.py)",
    figures: &[
        figure(
            "ttft_ms",
            "ms",
            Until(Headers),
            "headers of the response - sent: it reads no stream",
        ),
        figure(
            "tpot_ms",
            "ms",
            PerLaterToken(Headers, End, Estimated),
            "(latency - ttft) / (output tokens - 1), four characters to a token",
        ),
        figure("latency_ms", "ms", Until(End), "end of the response - sent"),
        figure("output_tokens", "tokens", Tokens(Estimated), "characters of the answer / 4"),
    ],
    totals: &[
        total(
            "throughput_tokens_per_sec",
            "tokens/s",
            |sums| sums.per_second(sums.estimated),
            "Σ output tokens, four characters to a token / (last end - first sent)",
        ),
        total(
            "cache_hit_rate",
            "share",
            |sums| (sums.ok > 0).then(|| sums.hits as f64 / sums.ok as f64),
            "answers from the cache / answers; one that does not say counts as a miss",
        ),
        total("total_time_sec", "s", Sums::elapsed_s, "last end - first sent"),
    ],
};

/// The QPS benchmark.
pub const QPS_BENCHMARK: Tool = Tool {
    word: "qps-benchmark",
    export: None,
    name: "the QPS benchmark (benchmark.py)",
    figures: &[
        figure(
            "ttft",
            "s",
            Until(FirstChunk),
            "first event of the stream, whatever it holds - sent: a chunk with only a role counts",
        ),
        figure("e2e_latency", "s", Until(End), "end of the response - sent"),
        figure(
            "tokens_per_sec",
            "tokens/s",
            Speed(End, ContentEvents),
            "chunks with content / e2e_latency: each counts as one token",
        ),
    ],
    totals: &[sent("actual_qps"), success("success_rate")],
};

/// The chat replay benchmark.
pub const CHAT_REPLAY: Tool = Tool {
    word: "chat-replay",
    export: Some("replay-rounds"),
    name: "the chat replay benchmark (online_replay.py)",
    figures: &[
        figure("TTFT", "s", Until(FirstContent), "first chunk with content - sent"),
        figure("Latency", "s", Until(End), "end of the stream - sent"),
        figure(
            "TPOT",
            "ms",
            PerLaterToken(FirstContent, End, Output),
            "(Latency - TTFT) / (tokens_out - 1)",
        ),
        figure("Throughput", "tokens/s", Speed(End, Output), "tokens_out / Latency"),
    ],
    totals: &[sent("actual_qps"), success("success_rate")],
};

/// The `OpenAI` bench pack.
pub const BENCH_PACK: Tool = Tool {
    word: "bench-pack",
    export: None,
    name: "the OpenAI bench pack (llm_bench.py)",
    figures: &[
        Figure {
            whose: Whose::Ended,
            ..figure(
                "latency",
                "s",
                Until(End),
                "end of the response - sent; failed requests are among them",
            )
        },
        figure("ttft", "s", Until(FirstChunk), "first stream event, whatever it holds - sent"),
    ],
    totals: &[
        total("qps", "requests/s", |sums| sums.per_second(sums.ok), "ok / (last end - first sent)"),
        total(
            "tps",
            "tokens/s",
            |sums| (sums.generating_s > 0.0).then(|| sums.output as f64 / sums.generating_s),
            "Σ completion tokens / Σ (latency - ttft), failed requests with all their latency: \
             tokens per second of one stream, not of the server",
        ),
    ],
};

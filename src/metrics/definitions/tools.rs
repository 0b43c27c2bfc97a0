//! The definitions, tool by tool: a table of figures.
//!
//! Out: [`TOOLS`]. Where a tool stamps a chunk that records do not keep apart (the one with the
//! finish reason), the closest stamp stands in and the formula says which.

use super::take::Count::{self, Output, Retokenized};
use super::take::Events::{All, Content, FirstTwo, Tokens};
use super::take::Stamp::{End, FirstChunk, FirstContent, FirstToken, LastChunk, LastToken};
use super::take::Take::{self, Gaps, PerLaterToken, PerToken, Speed, Until};
use super::{Figure, Sums, Tool, Total};

const fn figure(
    name: &'static str,
    unit: &'static str,
    take: Take,
    formula: &'static str,
) -> Figure {
    Figure { name, unit, formula, take }
}

/// A rate over the time from the first request to the last answer.
const fn span(
    name: &'static str,
    unit: &'static str,
    take: fn(&Sums) -> Option<f64>,
    formula: &'static str,
) -> Total {
    Total { name, unit, formula, take }
}

/// Answers over that time.
const fn requests(name: &'static str) -> Total {
    let formula = "ok / (last end - first sent)";
    span(name, "requests/s", |sums| sums.per_span(sums.ok), formula)
}

/// Generated tokens over that time.
const fn output(name: &'static str) -> Total {
    let formula = "Σ output tokens / (last end - first sent)";
    span(name, "tokens/s", |sums| sums.per_span(sums.output), formula)
}

/// Answers over the stage's time.
const fn per_stage(name: &'static str) -> Total {
    span(name, "requests/s", |sums| sums.per_stage(sums.ok), "ok / the stage's time")
}

/// Every tool whose definitions are known.
pub const TOOLS: &[Tool] = &[
    Tool {
        word: "vllm",
        name: "vLLM `vllm bench serve` (vllm/benchmarks/lib/endpoint_request_func.py)",
        figures: &[
            figure(
                "ttft_ms",
                "ms",
                Until(FirstChunk),
                "first chunk - sent; a chunk with only a role counts",
            ),
            figure(
                "tpot_ms",
                "ms",
                PerLaterToken(FirstChunk, LastToken, Output),
                "(e2el - ttft) / (output tokens - 1)",
            ),
            figure("itl_ms", "ms", Gaps(All), "gaps between chunks, the role's included, pooled"),
            figure(
                "e2el_ms",
                "ms",
                Until(LastToken),
                "last chunk - sent; the last token stands in for the chunk that ends the answer",
            ),
        ],
        totals: &[
            requests("request_throughput"),
            output("output_throughput"),
            span(
                "total_token_throughput",
                "tokens/s",
                |sums| sums.per_span(sums.input + sums.output),
                "Σ (input + output tokens) / (last end - first sent)",
            ),
        ],
    },
    Tool {
        word: "sglang",
        name: "SGLang `bench_serving` (python/sglang/bench_serving.py)",
        figures: &[
            figure("ttft_ms", "ms", Until(FirstToken), "first chunk with text - sent"),
            figure(
                "tpot_ms",
                "ms",
                PerLaterToken(FirstToken, End, Output),
                "(e2e_latency - ttft) / (output tokens - 1)",
            ),
            figure("itl_ms", "ms", Gaps(Tokens), "gaps between chunks with text, pooled"),
            figure(
                "e2e_latency_ms",
                "ms",
                Until(End),
                "end of the response ([DONE] included) - sent",
            ),
        ],
        totals: &[requests("request_throughput"), output("output_throughput")],
    },
    Tool {
        word: "aiperf",
        name: "AIPerf (docs/metrics-reference.md)",
        figures: &[
            figure(
                "time_to_first_token",
                "ms",
                Until(FirstToken),
                "first non-empty content, reasoning included - sent",
            ),
            figure("time_to_second_token", "ms", Gaps(FirstTwo), "second token event - first"),
            figure(
                "time_to_first_output_token",
                "ms",
                Until(FirstContent),
                "first non-reasoning - sent",
            ),
            figure(
                "inter_token_latency",
                "ms",
                PerLaterToken(FirstToken, LastToken, Retokenized),
                "(request_latency - time_to_first_token) / (output_sequence_length - 1)",
            ),
            figure("inter_chunk_latency", "ms", Gaps(Tokens), "gaps between token events, pooled"),
            figure("request_latency", "ms", Until(LastToken), "last content - sent"),
            figure(
                "output_sequence_length",
                "tokens",
                Take::Tokens(Retokenized),
                "content and reasoning by the client's tokenizer, else as the server says",
            ),
        ],
        totals: &[requests("request_throughput"), output("output_token_throughput")],
    },
    Tool {
        word: "guidellm",
        name: "GuideLLM (src/guidellm/schemas/request_stats.py)",
        figures: &[
            figure("request_latency", "s", Until(End), "end of the response - sent"),
            figure(
                "time_to_first_token_ms",
                "ms",
                Until(FirstToken),
                "first content, reasoning or tool call - sent",
            ),
            figure(
                "time_to_first_output_token_ms",
                "ms",
                Until(FirstContent),
                "first non-reasoning - sent",
            ),
            figure(
                "time_per_output_token_ms",
                "ms",
                PerToken(LastToken, Output),
                "(last token - sent) / output tokens: the first token's time is in it",
            ),
            figure(
                "inter_token_latency_ms",
                "ms",
                PerLaterToken(FirstToken, LastToken, Output),
                "(last token - first token) / (output tokens - 1)",
            ),
        ],
        totals: &[requests("requests_per_second"), output("output_tokens_per_second")],
    },
    Tool {
        word: "inference-perf",
        name: "inference-perf (inference_perf/reportgen/base.py)",
        figures: &[
            figure("request_latency", "s", Until(End), "end of the body - sent"),
            figure(
                "time_to_first_token",
                "s",
                Until(FirstContent),
                "first content - sent; reasoning is not seen, so it counts as waiting",
            ),
            figure(
                "time_per_output_token",
                "s",
                PerLaterToken(FirstContent, End, Retokenized),
                "(request_latency - time_to_first_token) / (output tokens - 1), tokens by the client",
            ),
            figure(
                "normalized_time_per_output_token",
                "s",
                PerToken(End, Retokenized),
                "request_latency / output tokens",
            ),
            figure(
                "inter_token_latency",
                "s",
                Gaps(Content),
                "gaps between content events, pooled",
            ),
        ],
        totals: &[requests("requests_per_sec"), output("output_tokens_per_sec")],
    },
    Tool {
        word: "llmperf",
        name: "LLMPerf (src/llmperf/ray_clients/openai_chat_completions_client.py)",
        figures: &[
            figure("ttft_s", "s", Until(FirstContent), "first content - sent"),
            figure(
                "inter_token_latency_s",
                "s",
                PerToken(LastToken, Count::Events),
                "mean of the gaps with the first token's time among them: (last token - sent) / events",
            ),
            figure("end_to_end_latency_s", "s", Until(End), "end of the stream - sent"),
        ],
        totals: &[span(
            "num_completed_requests_per_min",
            "requests/min",
            |sums| sums.per_span(sums.ok).map(|rate| rate * 60.0),
            "ok / (last end - first sent)",
        )],
    },
    Tool {
        word: "evalscope",
        name: "evalscope perf (evalscope/perf/plugin/api/default_api.py)",
        figures: &[
            figure(
                "first_chunk_latency",
                "s",
                Until(FirstChunk),
                "first chunk - sent; a role counts",
            ),
            figure(
                "latency",
                "s",
                Until(LastChunk),
                "last message, that with the usage included - sent",
            ),
            figure(
                "time_per_output_token",
                "s",
                PerLaterToken(FirstChunk, LastChunk, Output),
                "(latency - first_chunk_latency) / (output tokens - 1)",
            ),
        ],
        totals: &[requests("request_throughput"), output("output_throughput")],
    },
    Tool {
        word: "ttft-cache",
        name: "the TTFT cache benchmark (the first seed)",
        figures: &[figure("ttft_seconds", "s", Until(FirstToken), "first streamed token - sent")],
        totals: &[span("runs", "", |sums| Some(sums.ok as f64), "answered requests")],
    },
    Tool {
        word: "qps-benchmark",
        name: "the QPS benchmark (the third seed)",
        figures: &[
            figure("ttft", "s", Until(FirstToken), "first token - sent"),
            figure("e2e_latency", "s", Until(End), "end of the response - sent"),
            figure("tokens_per_sec", "tokens/s", Speed(End, Output), "output tokens / e2e_latency"),
        ],
        totals: &[per_stage("actual_qps")],
    },
    Tool {
        word: "chat-replay",
        name: "the chat replay benchmark (the fourth seed)",
        figures: &[
            figure("TTFT", "s", Until(FirstContent), "first chunk with content - sent"),
            figure("Latency", "s", Until(End), "end of the stream - sent"),
            figure(
                "TPOT",
                "s",
                PerLaterToken(FirstContent, End, Output),
                "(Latency - TTFT) / (tokens_out - 1)",
            ),
            figure("Throughput", "tokens/s", Speed(End, Output), "tokens_out / Latency"),
        ],
        totals: &[requests("actual_qps")],
    },
    Tool {
        word: "bench-pack",
        name: "the OpenAI bench pack (the fifth seed)",
        figures: &[
            figure("latency", "s", Until(End), "complete response - sent"),
            figure("ttft", "s", Until(FirstChunk), "first stream event, whatever it holds - sent"),
        ],
        totals: &[
            per_stage("qps"),
            span(
                "tps",
                "tokens/s",
                |sums| (sums.generating_s > 0.0).then(|| sums.output as f64 / sums.generating_s),
                "Σ completion tokens / Σ (latency - ttft): tokens per second of one stream, not of the server",
            ),
        ],
    },
];

/// The tool of that word.
pub fn find(word: &str) -> Option<&'static Tool> {
    TOOLS.iter().find(|tool| tool.word == word)
}

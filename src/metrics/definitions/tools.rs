//! The definitions, tool by tool.
//!
//! Out: [`TOOLS`]. Where a tool stamps a chunk that records do not keep apart (the one with the
//! finish reason), the closest stamp stands in and the formula says which.

use super::{Answer, Figure, Sums, Tool, Total};

const fn figure(
    name: &'static str,
    unit: &'static str,
    formula: &'static str,
    take: fn(&Answer, &mut Vec<f64>),
) -> Figure {
    Figure { name, unit, formula, take }
}

const fn total(
    name: &'static str,
    unit: &'static str,
    formula: &'static str,
    take: fn(&Sums) -> Option<f64>,
) -> Total {
    Total { name, unit, formula, take }
}

/// Seconds → milliseconds, appended.
fn ms(seconds: Option<f64>, out: &mut Vec<f64>) {
    out.extend(seconds.map(|seconds| seconds * 1e3));
}

/// Gaps between stamps, in milliseconds.
fn gaps_ms(stamps: impl Iterator<Item = u64>, out: &mut Vec<f64>) {
    let mut before = None;
    for stamp in stamps {
        if let Some(before) = before.replace(stamp) {
            out.push(stamp.saturating_sub(before) as f64 / 1e6);
        }
    }
}

/// The first event that is no token (a role), then every token-bearing event.
fn all_chunks<'a>(answer: &Answer<'a>) -> impl Iterator<Item = u64> + use<'a> {
    let record = answer.record;
    let role =
        record.first_event_ns.filter(|first| Some(*first) < record.token_ns.first().copied());
    role.into_iter().chain(record.token_ns.iter().copied())
}

fn first_chunk(answer: &Answer) -> Option<f64> {
    answer.after(answer.record.first_event_ns.or(answer.record.first_token_ns))
}

fn first_token(answer: &Answer) -> Option<f64> {
    answer.after(answer.record.first_token_ns)
}

fn first_content(answer: &Answer) -> Option<f64> {
    answer.after(answer.record.first_content_ns)
}

fn last_token(answer: &Answer) -> Option<f64> {
    answer.after(answer.record.last_token_ns.or(answer.record.end_ns))
}

fn end(answer: &Answer) -> Option<f64> {
    answer.after(answer.record.end_ns)
}

/// With the usage chunk, where there is one.
fn last_chunk(answer: &Answer) -> Option<f64> {
    let record = answer.record;
    answer.after(record.usage_ns.max(record.last_token_ns).or(record.end_ns))
}

fn less(whole: Option<f64>, part: Option<f64>) -> Option<f64> {
    Some(whole? - part?)
}

const REQUESTS_SPAN: Total =
    total("request_throughput", "requests/s", "ok / (last end - first sent)", |sums| {
        sums.per_span(sums.ok)
    });
const OUTPUT_SPAN: Total =
    total("output_throughput", "tokens/s", "Σ output tokens / (last end - first sent)", |sums| {
        sums.per_span(sums.output)
    });
const TOTAL_SPAN: Total = total(
    "total_token_throughput",
    "tokens/s",
    "Σ (input + output tokens) / (last end - first sent)",
    |sums| sums.per_span(sums.input + sums.output),
);

/// Every tool whose definitions are known.
pub const TOOLS: &[Tool] = &[
    Tool {
        word: "vllm",
        name: "vLLM `vllm bench serve` (vllm/benchmarks/lib/endpoint_request_func.py)",
        figures: &[
            figure(
                "ttft_ms",
                "ms",
                "first chunk - sent; a chunk with only a role counts",
                |answer, out| ms(first_chunk(answer), out),
            ),
            figure("tpot_ms", "ms", "(e2el - ttft) / (output tokens - 1)", |answer, out| {
                let rest = less(last_token(answer), first_chunk(answer));
                ms(Answer::per_later_token(rest, answer.output_tokens()), out);
            }),
            figure(
                "itl_ms",
                "ms",
                "gaps between chunks, the role's included, pooled",
                |answer, out| {
                    gaps_ms(all_chunks(answer), out);
                },
            ),
            figure(
                "e2el_ms",
                "ms",
                "last chunk - sent; the last token stands in for the chunk that ends the answer",
                |answer, out| ms(last_token(answer), out),
            ),
        ],
        totals: &[REQUESTS_SPAN, OUTPUT_SPAN, TOTAL_SPAN],
    },
    Tool {
        word: "sglang",
        name: "SGLang `bench_serving` (python/sglang/bench_serving.py)",
        figures: &[
            figure("ttft_ms", "ms", "first chunk with text - sent", |answer, out| {
                ms(first_token(answer), out);
            }),
            figure("tpot_ms", "ms", "(e2e_latency - ttft) / (output tokens - 1)", |answer, out| {
                let rest = less(end(answer), first_token(answer));
                ms(Answer::per_later_token(rest, answer.output_tokens()), out);
            }),
            figure("itl_ms", "ms", "gaps between chunks with text, pooled", |answer, out| {
                gaps_ms(answer.record.token_ns.iter().copied(), out);
            }),
            figure(
                "e2e_latency_ms",
                "ms",
                "end of the response ([DONE] included) - sent",
                |answer, out| {
                    ms(end(answer), out);
                },
            ),
        ],
        totals: &[REQUESTS_SPAN, OUTPUT_SPAN],
    },
    Tool {
        word: "aiperf",
        name: "AIPerf (docs/metrics-reference.md)",
        figures: &[
            figure(
                "time_to_first_token",
                "ms",
                "first non-empty content, reasoning included - sent",
                |answer, out| ms(first_token(answer), out),
            ),
            figure("time_to_second_token", "ms", "second token event - first", |answer, out| {
                gaps_ms(answer.record.token_ns.iter().copied().take(2), out);
            }),
            figure(
                "time_to_first_output_token",
                "ms",
                "first non-reasoning - sent",
                |answer, out| {
                    ms(first_content(answer), out);
                },
            ),
            figure(
                "inter_token_latency",
                "ms",
                "(request_latency - time_to_first_token) / (output_sequence_length - 1)",
                |answer, out| {
                    let rest = less(last_token(answer), first_token(answer));
                    ms(Answer::per_later_token(rest, answer.retokenized()), out);
                },
            ),
            figure(
                "inter_chunk_latency",
                "ms",
                "gaps between token events, pooled",
                |answer, out| {
                    gaps_ms(answer.record.token_ns.iter().copied(), out);
                },
            ),
            figure("request_latency", "ms", "last content - sent", |answer, out| {
                ms(last_token(answer), out);
            }),
            figure(
                "output_sequence_length",
                "tokens",
                "content and reasoning by the client's tokenizer, else as the server says",
                |answer, out| out.extend(answer.retokenized().map(|count| count as f64)),
            ),
        ],
        totals: &[
            total(
                "request_throughput",
                "requests/s",
                "ok / (last response - first request)",
                |sums| sums.per_span(sums.ok),
            ),
            total(
                "output_token_throughput",
                "tokens/s",
                "Σ output tokens / (last response - first request)",
                |sums| sums.per_span(sums.output),
            ),
        ],
    },
    Tool {
        word: "guidellm",
        name: "GuideLLM (src/guidellm/schemas/request_stats.py)",
        figures: &[
            figure("request_latency", "s", "end of the response - sent", |answer, out| {
                out.extend(end(answer));
            }),
            figure(
                "time_to_first_token_ms",
                "ms",
                "first content, reasoning or tool call - sent",
                |answer, out| ms(first_token(answer), out),
            ),
            figure(
                "time_to_first_output_token_ms",
                "ms",
                "first non-reasoning - sent",
                |answer, out| {
                    ms(first_content(answer), out);
                },
            ),
            figure(
                "time_per_output_token_ms",
                "ms",
                "(last token - sent) / output tokens: the first token's time is in it",
                |answer, out| {
                    let count = answer.output_tokens().filter(|count| *count > 0);
                    ms(last_token(answer).zip(count).map(|(time, count)| time / count as f64), out);
                },
            ),
            figure(
                "inter_token_latency_ms",
                "ms",
                "(last token - first token) / (output tokens - 1)",
                |answer, out| {
                    let rest = less(last_token(answer), first_token(answer));
                    ms(Answer::per_later_token(rest, answer.output_tokens()), out);
                },
            ),
        ],
        totals: &[
            total("requests_per_second", "requests/s", "ok / (last end - first sent)", |sums| {
                sums.per_span(sums.ok)
            }),
            total(
                "output_tokens_per_second",
                "tokens/s",
                "Σ output tokens / (last end - first sent)",
                |sums| sums.per_span(sums.output),
            ),
        ],
    },
    Tool {
        word: "inference-perf",
        name: "inference-perf (inference_perf/reportgen/base.py)",
        figures: &[
            figure("request_latency", "s", "end of the body - sent", |answer, out| {
                out.extend(end(answer));
            }),
            figure(
                "time_to_first_token",
                "s",
                "first content - sent; reasoning is not seen, so it counts as waiting",
                |answer, out| out.extend(first_content(answer)),
            ),
            figure(
                "time_per_output_token",
                "s",
                "(request_latency - time_to_first_token) / (output tokens - 1), tokens by the client",
                |answer, out| {
                    let rest = less(end(answer), first_content(answer));
                    out.extend(Answer::per_later_token(rest, answer.retokenized()));
                },
            ),
            figure(
                "normalized_time_per_output_token",
                "s",
                "request_latency / output tokens",
                |answer, out| {
                    let count = answer.retokenized().filter(|count| *count > 0);
                    out.extend(end(answer).zip(count).map(|(time, count)| time / count as f64));
                },
            ),
            figure(
                "inter_token_latency",
                "s",
                "gaps between content events, pooled",
                |answer, out| {
                    let from = answer.record.first_content_ns.unwrap_or(u64::MAX);
                    let content = answer.record.token_ns.iter().copied().filter(|at| *at >= from);
                    let before = out.len();
                    gaps_ms(content, out);
                    out[before..].iter_mut().for_each(|gap| *gap /= 1e3);
                },
            ),
        ],
        totals: &[
            total("requests_per_sec", "requests/s", "ok / (last end - first sent)", |sums| {
                sums.per_span(sums.ok)
            }),
            total(
                "output_tokens_per_sec",
                "tokens/s",
                "Σ output tokens / (last end - first sent)",
                |sums| sums.per_span(sums.output),
            ),
        ],
    },
    Tool {
        word: "llmperf",
        name: "LLMPerf (src/llmperf/ray_clients/openai_chat_completions_client.py)",
        figures: &[
            figure("ttft_s", "s", "first content - sent", |answer, out| {
                out.extend(first_content(answer));
            }),
            figure(
                "inter_token_latency_s",
                "s",
                "mean of the gaps with the first token's time among them: (last token - sent) / events",
                |answer, out| {
                    let events = answer.record.token_ns.len();
                    let count = Some(events as f64).filter(|_| events > 0);
                    out.extend(last_token(answer).zip(count).map(|(time, count)| time / count));
                },
            ),
            figure("end_to_end_latency_s", "s", "end of the stream - sent", |answer, out| {
                out.extend(end(answer));
            }),
        ],
        totals: &[total(
            "num_completed_requests_per_min",
            "requests/min",
            "ok / (last end - first sent)",
            |sums| sums.per_span(sums.ok).map(|rate| rate * 60.0),
        )],
    },
    Tool {
        word: "evalscope",
        name: "evalscope perf (evalscope/perf/plugin/api/default_api.py)",
        figures: &[
            figure(
                "first_chunk_latency",
                "s",
                "first chunk - sent; a role counts",
                |answer, out| {
                    out.extend(first_chunk(answer));
                },
            ),
            figure(
                "latency",
                "s",
                "last message, that with the usage included - sent",
                |answer, out| {
                    out.extend(last_chunk(answer));
                },
            ),
            figure(
                "time_per_output_token",
                "s",
                "(latency - first_chunk_latency) / (output tokens - 1)",
                |answer, out| {
                    let rest = less(last_chunk(answer), first_chunk(answer));
                    out.extend(Answer::per_later_token(rest, answer.output_tokens()));
                },
            ),
        ],
        totals: &[
            total("request_throughput", "requests/s", "ok / (last end - first start)", |sums| {
                sums.per_span(sums.ok)
            }),
            total(
                "output_throughput",
                "tokens/s",
                "Σ output tokens / (last end - first start)",
                |sums| sums.per_span(sums.output),
            ),
        ],
    },
    Tool {
        word: "ttft-cache",
        name: "the TTFT cache benchmark (the first seed)",
        figures: &[figure("ttft_seconds", "s", "first streamed token - sent", |answer, out| {
            out.extend(first_token(answer));
        })],
        totals: &[total("runs", "", "answered requests", |sums| Some(sums.ok as f64))],
    },
    Tool {
        word: "qps-benchmark",
        name: "the QPS benchmark (the third seed)",
        figures: &[
            figure("ttft", "s", "first token - sent", |answer, out| {
                out.extend(first_token(answer));
            }),
            figure("e2e_latency", "s", "end of the response - sent", |answer, out| {
                out.extend(end(answer));
            }),
            figure("tokens_per_sec", "tokens/s", "output tokens / e2e_latency", |answer, out| {
                let time = end(answer).filter(|time| *time > 0.0);
                out.extend(
                    answer.output_tokens().zip(time).map(|(count, time)| count as f64 / time),
                );
            }),
        ],
        totals: &[total("actual_qps", "requests/s", "ok / the stage's time", |sums| {
            sums.per_stage(sums.ok)
        })],
    },
    Tool {
        word: "chat-replay",
        name: "the chat replay benchmark (the fourth seed)",
        figures: &[
            figure("TTFT", "s", "first chunk with content - sent", |answer, out| {
                out.extend(first_content(answer));
            }),
            figure("Latency", "s", "end of the stream - sent", |answer, out| {
                out.extend(end(answer));
            }),
            figure("TPOT", "s", "(Latency - TTFT) / (tokens_out - 1)", |answer, out| {
                let rest = less(end(answer), first_content(answer));
                out.extend(Answer::per_later_token(rest, answer.output_tokens()));
            }),
            figure("Throughput", "tokens/s", "tokens_out / Latency", |answer, out| {
                let time = end(answer).filter(|time| *time > 0.0);
                out.extend(
                    answer.output_tokens().zip(time).map(|(count, time)| count as f64 / time),
                );
            }),
        ],
        totals: &[total("actual_qps", "requests/s", "ok / (last end - first sent)", |sums| {
            sums.per_span(sums.ok)
        })],
    },
    Tool {
        word: "bench-pack",
        name: "the OpenAI bench pack (the fifth seed)",
        figures: &[
            figure("latency", "s", "complete response - sent", |answer, out| {
                out.extend(end(answer));
            }),
            figure("ttft", "s", "first stream event, whatever it holds - sent", |answer, out| {
                out.extend(first_chunk(answer));
            }),
        ],
        totals: &[
            total("qps", "requests/s", "ok / the stage's time", |sums| sums.per_stage(sums.ok)),
            total(
                "tps",
                "tokens/s",
                "Σ completion tokens / Σ (latency - ttft): tokens per second of one stream, not of the server",
                |sums| (sums.generating_s > 0.0).then(|| sums.output as f64 / sums.generating_s),
            ),
        ],
    },
];

/// The tool of that word.
pub fn find(word: &str) -> Option<&'static Tool> {
    TOOLS.iter().find(|tool| tool.word == word)
}

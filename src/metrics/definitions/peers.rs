//! The definitions of the larger tools: vLLM, `SGLang`, `AIPerf`, genai-perf, `GuideLLM`,
//! inference-perf, `LLMPerf`, evalscope.
//!
//! Out: a [`Tool`] each. Where a tool stamps a chunk that records do not keep apart (the one with the
//! finish reason), the closest stamp stands in and the formula says which.

use super::Tool;
use super::take::Count::{self, Output, Retokenized};
use super::take::Events::{All, Content, FirstTwo, Tokens};
use super::take::Stamp::{End, FirstChunk, FirstContent, FirstToken, LastChunk, LastToken};
use super::take::Take::{self, Gaps, PerLaterToken, PerToken, Until};
use super::tools::{figure, output, requests, retokenized, total};

/// vLLM.
pub const VLLM: Tool = Tool {
    word: "vllm",
    export: Some("vllm-bench"),
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
        total(
            "total_token_throughput",
            "tokens/s",
            |sums| sums.per_second(sums.input + sums.output),
            "Σ (input + output tokens) / (last end - first sent)",
        ),
    ],
};

/// `SGLang`.
pub const SGLANG: Tool = Tool {
    word: "sglang",
    export: None,
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
        figure("e2e_latency_ms", "ms", Until(End), "end of the response ([DONE] included) - sent"),
    ],
    totals: &[requests("request_throughput"), output("output_throughput")],
};

/// `AIPerf`.
pub const AIPERF: Tool = Tool {
    word: "aiperf",
    export: None,
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
    totals: &[requests("request_throughput"), retokenized("output_token_throughput")],
};

/// genai-perf.
pub const GENAI_PERF: Tool = Tool {
    word: "genai-perf",
    name: "genai-perf (genai_perf/profile_data_parser/llm_profile_data_parser.py)",
    figures: &[
        AIPERF.figures[0],
        AIPERF.figures[1],
        AIPERF.figures[3],
        AIPERF.figures[5],
        AIPERF.figures[6],
    ],
    ..AIPERF
};

/// `GuideLLM`.
pub const GUIDELLM: Tool = Tool {
    word: "guidellm",
    export: None,
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
};

/// inference-perf.
pub const INFERENCE_PERF: Tool = Tool {
    word: "inference-perf",
    export: None,
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
        figure("inter_token_latency", "s", Gaps(Content), "gaps between content events, pooled"),
    ],
    totals: &[requests("requests_per_sec"), retokenized("output_tokens_per_sec")],
};

/// `LLMPerf`.
pub const LLMPERF: Tool = Tool {
    word: "llmperf",
    export: None,
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
    totals: &[total(
        "num_completed_requests_per_min",
        "requests/min",
        |sums| sums.per_second(sums.ok).map(|rate| rate * 60.0),
        "ok / (last end - first sent)",
    )],
};

/// evalscope.
pub const EVALSCOPE: Tool = Tool {
    word: "evalscope",
    export: None,
    name: "evalscope perf (evalscope/perf/plugin/api/default_api.py)",
    figures: &[
        figure("first_chunk_latency", "s", Until(FirstChunk), "first chunk - sent; a role counts"),
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
};

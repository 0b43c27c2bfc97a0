//! What servers call the things that they count and measure.
//!
//! In: sums over all label sets of a page, by the server's names. Out: values by ours. To add a
//! server: its names in the rows below; a row's first alternative that the page has is taken.

use std::collections::BTreeMap;

/// Something that servers count or measure.
#[derive(Debug, Clone, Copy)]
pub struct Series {
    /// Our name for it.
    pub name: &'static str,
    /// Whether it only grows.
    pub kind: Kind,
    /// Alternatives; each is a list of names that must all be there and are added up.
    sources: &'static [&'static [&'static str]],
}

/// Whether a series only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It grows until the server restarts.
    Counter,
    /// It goes up and down.
    Gauge(Fold),
}

/// What becomes of a gauge that a page has several times (one for each engine, replica or GPU).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fold {
    /// They are added up.
    Sum,
    /// Their mean is taken: they are shares.
    Mean,
}

impl Series {
    /// The server's names that it is made of, by the first alternative that `sums` has all of.
    pub(super) fn names(
        &self,
        sums: &BTreeMap<&str, (f64, u32)>,
    ) -> Option<&'static [&'static str]> {
        let is_there = |names: &&[&str]| names.iter().all(|name| sums.contains_key(name));
        self.sources.iter().copied().find(is_there)
    }

    /// Its value out of (sum, number of label sets) by the server's names.
    pub(super) fn value(&self, sums: &BTreeMap<&str, (f64, u32)>) -> Option<f64> {
        let parts = self.names(sums)?.iter().filter_map(|name| sums.get(name).copied());
        let add = |(sum, sets): (f64, u32), (one, count): (f64, u32)| (sum + one, sets + count);
        let (sum, sets) = parts.fold((0.0, 0), add);
        Some(match self.kind {
            Kind::Gauge(Fold::Mean) => sum / f64::from(sets.max(1)),
            Kind::Counter | Kind::Gauge(Fold::Sum) => sum,
        })
    }
}

const fn counter(name: &'static str, sources: &'static [&'static [&'static str]]) -> Series {
    Series { name, kind: Kind::Counter, sources }
}

const fn gauge(
    name: &'static str,
    fold: Fold,
    sources: &'static [&'static [&'static str]],
) -> Series {
    Series { name, kind: Kind::Gauge(fold), sources }
}

/// llama.cpp counts computed and cached prompt tokens apart; the whole is their sum.
const LLAMA_PROMPT: &[&str] =
    &["llamacpp:prompt_tokens_total", "llamacpp:prompt_tokens_cached_total"];

/// What inference servers say: vLLM (new and old names), `SGLang`, llama.cpp, TGI.
pub const SERVER: &[Series] = &[
    counter(
        "prefix_cache_queries",
        &[
            &["vllm:prefix_cache_queries_total"],
            &["vllm:prefix_cache_queries"],
            &["vllm:gpu_prefix_cache_queries_total"],
            &["vllm:gpu_prefix_cache_queries"],
            &["sglang:prompt_tokens_total"],
            LLAMA_PROMPT,
        ],
    ),
    counter(
        "prefix_cache_hits",
        &[
            &["vllm:prefix_cache_hits_total"],
            &["vllm:prefix_cache_hits"],
            &["vllm:gpu_prefix_cache_hits_total"],
            &["vllm:gpu_prefix_cache_hits"],
            &["sglang:cached_tokens_total"],
            &["llamacpp:prompt_tokens_cached_total"],
        ],
    ),
    counter(
        "prompt_tokens",
        &[
            &["vllm:prompt_tokens_total"],
            &["vllm:prompt_tokens"],
            &["sglang:prompt_tokens_total"],
            LLAMA_PROMPT,
            &["tgi_request_input_length_sum"],
        ],
    ),
    counter(
        "generation_tokens",
        &[
            &["vllm:generation_tokens_total"],
            &["vllm:generation_tokens"],
            &["sglang:generation_tokens_total"],
            &["llamacpp:tokens_predicted_total"],
            &["tgi_request_generated_tokens_sum"],
        ],
    ),
    counter(
        "requests",
        &[
            &["vllm:request_success_total"],
            &["vllm:request_success"],
            &["sglang:num_requests_total"],
            &["tgi_request_success"],
            &["tgi_request_success_total"],
        ],
    ),
    counter(
        "preemptions",
        &[
            &["vllm:num_preemptions_total"],
            &["vllm:num_preemptions"],
            &["sglang:num_retracted_requests_total"],
        ],
    ),
    counter("evicted_tokens", &[&["sglang:evicted_tokens_total"]]),
    counter(
        "queue_seconds",
        &[
            &["vllm:request_queue_time_seconds_sum"],
            &["sglang:queue_time_seconds_sum"],
            &["tgi_request_queue_duration_sum"],
        ],
    ),
    counter(
        "queue_requests",
        &[
            &["vllm:request_queue_time_seconds_count"],
            &["sglang:queue_time_seconds_count"],
            &["tgi_request_queue_duration_count"],
        ],
    ),
    counter(
        "prefill_seconds",
        &[&["vllm:request_prefill_time_seconds_sum"], &["llamacpp:prompt_seconds_total"]],
    ),
    counter("prefill_requests", &[&["vllm:request_prefill_time_seconds_count"]]),
    counter(
        "decode_seconds",
        &[
            &["vllm:request_decode_time_seconds_sum"],
            &["llamacpp:tokens_predicted_seconds_total"],
            &["tgi_request_inference_duration_sum"],
        ],
    ),
    counter(
        "decode_requests",
        &[&["vllm:request_decode_time_seconds_count"], &["tgi_request_inference_duration_count"]],
    ),
    counter(
        "ttft_seconds",
        &[&["vllm:time_to_first_token_seconds_sum"], &["sglang:time_to_first_token_seconds_sum"]],
    ),
    counter(
        "ttft_requests",
        &[
            &["vllm:time_to_first_token_seconds_count"],
            &["sglang:time_to_first_token_seconds_count"],
        ],
    ),
    gauge(
        "running",
        Fold::Sum,
        &[
            &["vllm:num_requests_running"],
            &["sglang:num_running_reqs"],
            &["llamacpp:requests_processing"],
            &["tgi_batch_current_size"],
        ],
    ),
    gauge(
        "waiting",
        Fold::Sum,
        &[
            &["vllm:num_requests_waiting"],
            &["sglang:num_queue_reqs"],
            &["llamacpp:requests_deferred"],
            &["tgi_queue_size"],
        ],
    ),
    gauge(
        "kv_usage",
        Fold::Mean,
        &[
            &["vllm:kv_cache_usage_perc"],
            &["vllm:gpu_cache_usage_perc"],
            &["sglang:token_usage"],
            &["llamacpp:kv_cache_usage_ratio"],
        ],
    ),
];

/// What NVIDIA's DCGM exporter says of the GPUs.
pub const GPU: &[Series] = &[
    gauge("gpu_utilisation_percent", Fold::Mean, &[&["DCGM_FI_DEV_GPU_UTIL"]]),
    gauge("gpu_memory_used_mib", Fold::Sum, &[&["DCGM_FI_DEV_FB_USED"]]),
    gauge("gpu_power_watts", Fold::Sum, &[&["DCGM_FI_DEV_POWER_USAGE"]]),
    gauge("gpu_temperature_celsius", Fold::Mean, &[&["DCGM_FI_DEV_GPU_TEMP"]]),
];

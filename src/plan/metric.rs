//! The names that thresholds, summaries, sinks and reports use, with unit, direction and definition.
//!
//! It stands on the plan's floor so that a threshold's names are checked before any load; how each
//! number is taken from records is `metrics/catalogue.rs`.

use serde::{Deserialize, Serialize};

/// One row of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name in plans, summaries and reports.
    pub name: &'static str,
    /// `ms`, `tokens`, `tokens/s`, `requests/s`, `share` (0 to 1) or `verdict`.
    pub unit: &'static str,
    /// True when a distribution stands behind it, so that a threshold must name an aggregate.
    pub distribution: bool,
    /// Whether less is better (`None`: neither).
    pub lower_is_better: Option<bool>,
    /// What it is, in one line.
    pub definition: &'static str,
}

const fn time(name: &'static str, definition: &'static str) -> Metric {
    Metric { name, unit: "ms", distribution: true, lower_is_better: Some(true), definition }
}

const fn count(name: &'static str, definition: &'static str) -> Metric {
    Metric { name, unit: "tokens", distribution: true, lower_is_better: None, definition }
}

const fn rate(name: &'static str, unit: &'static str, definition: &'static str) -> Metric {
    Metric { name, unit, distribution: false, lower_is_better: Some(false), definition }
}

/// Every metric, in the order in which reports show them.
pub const METRICS: &[Metric] = &[
    time("ttft", "time to first token: first content, reasoning or tool-call delta, from sent"),
    time("ttft_due", "time to first token, from when the request was due"),
    time("ttfo", "time to first output: first non-reasoning delta, from sent"),
    time("ttfo_due", "time to first output, from when the request was due"),
    time("e2e", "last token, from sent; the end of an answer that came whole"),
    time("e2e_due", "the same, from when the request was due"),
    time("response_end", "end of the response, from sent"),
    time("response_end_due", "end of the response, from when the request was due"),
    time(
        "tpot",
        "time per output token: (last_token - first_token) / (output_tokens - 1), without tokens of \
         reasoning that are not streamed; none of answers in a few events of many tokens each",
    ),
    time("itl", "inter-token latency: gaps between token-bearing events, pooled over requests"),
    time("connect", "a new connection ready, from sent; requests on open connections have none"),
    time("schedule_lag", "sent, from when the request was due"),
    Metric {
        name: "tokens_per_second",
        unit: "tokens/s",
        distribution: true,
        lower_is_better: Some(false),
        definition: "output_tokens / e2e of each request",
    },
    count(
        "input_tokens",
        "prompt tokens of each request, by the server's count, else the tokenizer's",
    ),
    count(
        "output_tokens",
        "generated tokens of each request, by the server's count, else the tokenizer's",
    ),
    count("cached_tokens", "prompt tokens served from the cache, where the server says so"),
    time("server_queue", "waiting in the server, by its own account of the request"),
    time("server_prefill", "prompt processing, by the server's own account of the request"),
    time("server_decode", "generation, by the server's own account of the request"),
    time("server_total", "the whole request, by the server's own account of it"),
    rate("success_rate", "share", "ok / (ok + errors)"),
    Metric {
        name: "error_rate",
        unit: "share",
        distribution: false,
        lower_is_better: Some(true),
        definition: "errors / (ok + errors)",
    },
    rate(
        "requests_per_second",
        "requests/s",
        "ok requests per second: the achieved rate of a load, else over the stage's wall time",
    ),
    rate(
        "output_tokens_per_second",
        "tokens/s",
        "generated tokens of ok requests, over the same time as requests_per_second",
    ),
    rate(
        "input_tokens_per_second",
        "tokens/s",
        "prompt tokens of ok requests, over the same time as requests_per_second",
    ),
    rate(
        "goodput",
        "requests/s",
        "requests per second that kept every limit that the stage's thresholds set on percentiles \
         from the 90th on",
    ),
    rate("goodput_share", "share", "those requests as a share of the planned ones"),
    Metric {
        name: "cached_share",
        unit: "share",
        distribution: false,
        lower_is_better: None,
        definition: "cached / prompt tokens, summed over the requests for which both are known",
    },
    Metric {
        name: "cache_hit_rate",
        unit: "share",
        distribution: false,
        lower_is_better: None,
        definition: "requests served from the cache, wholly or in good part, as a share of those \
                     that say whether they were",
    },
    Metric {
        name: "cache",
        unit: "verdict",
        distribution: false,
        lower_is_better: None,
        definition: "the stage's cache verdict: cold, warm, mixed or unknown",
    },
];

/// The metric of that name.
pub fn find(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.name == name)
}

/// Since when the latency of a request counts.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// Since it was sent.
    #[default]
    Sent,
    /// Since it was due, so that what held it back counts.
    Due,
}

/// Latencies from sent, and the same from due.
pub const LATENCIES: [(&str, &str); 4] = [
    ("ttft", "ttft_due"),
    ("ttfo", "ttfo_due"),
    ("e2e", "e2e_due"),
    ("response_end", "response_end_due"),
];

impl Origin {
    /// The metric that counts from there; itself for one that is no latency from sent.
    pub fn of(self, name: &str) -> &str {
        match self {
            Self::Sent => name,
            Self::Due => from_due(name).unwrap_or(name),
        }
    }

    /// True for the usual one.
    pub fn is_sent(&self) -> bool {
        *self == Self::Sent
    }
}

/// The metric that counts a latency from due; `None` for all but latencies from sent.
pub fn from_due(name: &str) -> Option<&'static str> {
    LATENCIES.iter().find(|(sent, _)| *sent == name).map(|(_, due)| *due)
}

//! The written form of a `replay` stage.
//!
//! In: a bound tree. Out: one struct with places. Which keys go together is for lowering to check.

use schemars::JsonSchema;
use serde::Deserialize;

use super::load_parts::load_keys;
use super::scalar::{Count, PerSecond, Ratio, Share, Span};
use super::stage::{Common, LiveFile};
use super::{DatasetFile, EndpointFile, PromptFile, ThresholdFile};
use crate::plan::SampleHash;
use crate::plan::bind::Spanned;
use crate::plan::workload::History;

load_keys! {
    /// Sends the requests of a log again, at the times of the log or at a `rate`. Turns of one
    /// conversation wait for each other; after a turn that failed, the rest of its conversation is
    /// not sent.
    ReplayKeys: arrivals pacing counting steady {
        /// The log: a path or pattern, or a map as under `prompt.dataset`. Default: the prompt's
        /// dataset.
        log: Option<Spanned<DatasetFile>>,
        /// Requests per second, in the order of the log: `8`, `8/s`, `30/min`. Default: the times
        /// of the log.
        rate: Option<Spanned<PerSecond>>,
        /// How fast the time of the log passes: 2 sends twice as much in the same time. Default: 1.
        speed: Option<Spanned<Ratio>>,
        /// Whether requests whose timestamps have whole seconds only are spread at random over
        /// their second. If false, all of them are sent at its start. Default: true.
        spread_seconds: Option<Spanned<bool>>,
        /// Which conversations to replay: a share such as `10%`, chosen by the MD5 of their ids, or
        /// a map. A request without a conversation counts as one of its own. Default: all.
        sample: Option<Spanned<SampleFile>>,
        /// Whether to send a turn when it is due even if the turn before has not been answered.
        /// Default: false.
        overlap: Option<Spanned<bool>>,
        /// Which answers later turns contain as history: `recorded` (those of the log, so that
        /// every run sends the same; the default) or `live` (this run's answers).
        history: Option<Spanned<History>>,
        /// The stage ends after this many requests. Default: the end of the log.
        requests: Option<Spanned<Count>>,
        /// The stage ends after this time, whatever the `speed`. Default: the end of the log.
        duration: Option<Spanned<Span>>,
        /// Whether to restart from the beginning of the log when it is exhausted, until `requests`
        /// or `duration` ends the stage. Default: false.
        cycle: Option<Spanned<bool>>,
        /// Number of requests to send before anything else, one after another. They are not
        /// measured. Default: none.
        warmup_requests: Option<Spanned<Count>>,
        /// Also report figures for each time window of this length: requests, latencies, tokens per
        /// minute in and out. Default: none.
        window: Option<Spanned<Span>>,
        /// How to send the rows of the log: `max_tokens`, `temperature`, `body` and so on. Without
        /// `log`, the `dataset` of this prompt is the log. Default: the plan's prompt.
        prompt: Option<Spanned<PromptFile>>,
    }
}

/// A share of the conversations, or a range of them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "by shape", rename_all = "lowercase")]
#[schemars(rename = "Sample", untagged)]
pub(crate) enum SampleFile {
    /// A share such as `10%`.
    Text(Spanned<Share>),
    /// A range, so that several stages or machines take different parts.
    Map(SampleKeys),
}

/// A range of conversations: those whose hash, as a number from 0 to 1, lies in it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SampleKeys {
    /// Start of the range: `20%` or `0.2`. Default: 0.
    pub(crate) from: Option<Spanned<Share>>,
    /// End of the range, which is not part of it. Default: 100%.
    pub(crate) to: Option<Spanned<Share>>,
    /// The hash: `md5` of the conversation's id (the same conversations in every run, whatever the
    /// seed; the default) or `seed` (other conversations with another seed).
    pub(crate) by: Option<Spanned<SampleHash>>,
}

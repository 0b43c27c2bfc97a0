//! The written form of a `replay` stage.
//!
//! In: a bound tree. Out: one struct with places. Which keys go together is for lowering to check.

use schemars::JsonSchema;
use serde::Deserialize;

use super::load_parts::load_keys;
use super::scalar::{Count, PerSecond, Ratio, Share, Span};
use super::stage::{Common, LiveFile};
use super::{DatasetFile, EndpointFile, HistoryWord, PromptFile, ThresholdFile};
use crate::plan::bind::Spanned;

load_keys! {
    /// What a log says was asked, again: with the spacing of its own stamps, or at a `rate`. Turns of
    /// one conversation wait for each other, and those after one that failed are never sent.
    ReplayKeys: arrivals pacing counting steady {
        /// The log: a path or pattern, or a map as under `prompt.dataset`; the prompt's dataset unless
        /// given.
        log: Option<Spanned<DatasetFile>>,
        /// Requests per second, in the log's order: `8`, `8/s`, `30/min`; as the log's stamps have it
        /// unless given.
        rate: Option<Spanned<PerSecond>>,
        /// How fast the log's time passes: 2 sends twice as much in the same time; 1 unless given.
        speed: Option<Spanned<Ratio>>,
        /// False sends all requests of a second at its start, where the log's stamps name no more than
        /// a second; they are spread over it at random unless given.
        spread_seconds: Option<Spanned<bool>>,
        /// Which conversations are replayed: a share such as `10%`, by the MD5 of their ids, or a map.
        /// A request without a conversation is one of its own. All of them unless given.
        sample: Option<Spanned<SampleFile>>,
        /// True sends a turn when it is due, whatever became of the one before; false unless given.
        overlap: Option<Spanned<bool>>,
        /// What later turns say about earlier answers: `recorded` (as the log has it, the default, so
        /// that every run sends the same) or `live` (what the endpoint answered).
        history: Option<Spanned<HistoryWord>>,
        /// Ends after this many requests; with the log unless given.
        requests: Option<Spanned<Count>>,
        /// Ends after this long, whatever the `speed`; with the log unless given.
        duration: Option<Spanned<Span>>,
        /// True begins the log anew after its last request, until `requests` or `duration` ends the
        /// stage; false unless given.
        cycle: Option<Spanned<bool>>,
        /// Requests sent before anything else, one after another, and left out of every number;
        /// none unless given.
        warmup_requests: Option<Spanned<Count>>,
        /// Keeps statistics of each such stretch of the stage, too: requests, latencies, tokens per
        /// minute in and out. None unless given.
        window: Option<Spanned<Span>>,
        /// How the log's rows are asked: `max_tokens`, `temperature`, `body` and the like; without
        /// `log` a prompt whose `dataset` is the log. The plan's prompt unless given.
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
    /// Where it begins: `20%` or `0.2`; 0 unless given.
    pub(crate) from: Option<Spanned<Share>>,
    /// Where it ends, not within it; 100 % unless given.
    pub(crate) to: Option<Spanned<Share>>,
    /// The hash: `md5` of the conversation's id (the default: the same conversations in every run,
    /// whatever the seed) or `seed` (others with another seed).
    pub(crate) by: Option<Spanned<HashWord>>,
}

/// What picks the conversations of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum HashWord {
    /// The MD5 of their ids.
    Md5,
    /// Their ids and the plan's seed.
    Seed,
}

//! The written form of a `conversation` stage.
//!
//! In: a bound tree. Out: one struct with places. Which keys go together is for lowering to check.

use schemars::JsonSchema;
use serde::Deserialize;

use super::scalar::{Count, Ratio, Span};
use super::stage::{Common, LiveFile, stage_keys};
use super::{EndpointFile, PromptFile, ThresholdFile};
use crate::plan::bind::Spanned;

stage_keys! {
    /// Sessions of several turns, each turn after the answer to the one before. Sessions are those of
    /// the prompt's `dataset`: rows of one session, or the turns of a recorded chat.
    ConversationKeys {
        /// Sessions at a time; 1 unless given. When one is over, the next joins.
        concurrency: Option<Spanned<Count>>,
        /// Time between two sessions joining; those for which there is room join at once unless
        /// given.
        join_every: Option<Spanned<Span>>,
        /// How many sessions in all, going round the dataset if it has fewer; each of the dataset
        /// once unless given.
        sessions: Option<Spanned<Count>>,
        /// No session joins after this long; those under way go on to their ends.
        duration: Option<Spanned<Span>>,
        /// A session leaves after so many turns; at its end unless given.
        turns: Option<Spanned<Count>>,
        /// What later turns say about earlier answers: `live` (what the endpoint answered, the
        /// default, so that its cache sees its own tokens again) or `recorded` (what the dataset
        /// holds, so that every run sends the same).
        history: Option<Spanned<HistoryWord>>,
        /// The pause between an answer and the next turn: a duration, or `recorded` (as in the
        /// dataset); none unless given.
        think: Option<Spanned<String>>,
        /// Recorded pauses are divided by this: 2 is twice as fast; 1 unless given.
        speed: Option<Spanned<Ratio>>,
        /// Longest recorded pause; 60s unless given.
        think_max: Option<Spanned<Span>>,
        /// System message of sessions that have none, the same for all.
        system: Option<Spanned<String>>,
        /// What is asked: a prompt with a `dataset`; the plan's prompt unless given.
        prompt: Option<Spanned<PromptFile>>,
    }
}

/// What stands in a later turn for an earlier answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum HistoryWord {
    /// What the endpoint answered.
    Live,
    /// What the dataset recorded.
    Recorded,
}

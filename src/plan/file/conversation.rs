//! The written form of a `conversation` stage.
//!
//! In: a bound tree. Out: one struct with places. Which keys go together is for lowering to check.

use schemars::JsonSchema;
use serde::Deserialize;

use super::scalar::{Count, Ratio, Span};
use super::stage::{Common, LiveFile, stage_keys};
use super::{EndpointFile, PromptFile, ThresholdFile};
use crate::plan::bind::Spanned;
use crate::plan::workload::History;

stage_keys! {
    /// Sessions of several turns; each turn is sent after the answer to the one before. The
    /// sessions come from the prompt's `dataset`: the rows of one session, or the turns of a
    /// recorded chat.
    ConversationKeys {
        /// Sessions at a time. When one ends, the next one starts. Default: 1.
        concurrency: Option<Spanned<Count>>,
        /// Time between the starts of two sessions. By default, as many as there is room for start
        /// at once.
        join_every: Option<Spanned<Span>>,
        /// Total number of sessions; the dataset is repeated if it has fewer. Default: each session
        /// of the dataset once.
        sessions: Option<Spanned<Count>>,
        /// No session starts after this time; those that have started are completed.
        duration: Option<Spanned<Span>>,
        /// A session ends after this many turns. Default: all of its turns.
        turns: Option<Spanned<Count>>,
        /// Which answers later turns contain as history: `live` (this run's answers, so that the
        /// endpoint's cache sees its own tokens again; the default) or `recorded` (those of the
        /// dataset, so that every run sends the same).
        history: Option<Spanned<History>>,
        /// Pause between an answer and the next turn: a duration, or `recorded` (as in the
        /// dataset). Default: none.
        think: Option<Spanned<String>>,
        /// Divides recorded pauses: 2 is twice as fast. Default: 1.
        speed: Option<Spanned<Ratio>>,
        /// Longer recorded pauses are cut to this. Default: 60s.
        think_max: Option<Spanned<Span>>,
        /// System message for sessions that have none; the same for all.
        system: Option<Spanned<String>>,
        /// The prompt of this stage, which needs a `dataset`. Default: the plan's prompt.
        prompt: Option<Spanned<PromptFile>>,
    }
}

//! Sessions of several turns: how they join, go on and leave.
//!
//! In: what lowering made of a `conversation` stage. Out: plain values with every default filled in.

use crate::plan::model::words::words;
use std::time::Duration;

use crate::plan::Think;

/// Sessions of several turns.
#[derive(Debug, Clone, PartialEq)]
pub struct ConversationConfig {
    /// What later turns say about earlier answers.
    pub history: History,
    /// Time between an answer's end and the next turn.
    pub delay: TurnDelay,
    /// A system message for sessions that have none; equal for all sessions.
    pub system: Option<String>,
    /// Sessions under way at a time; as many as arrive when `None`.
    pub concurrency: Option<u64>,
    /// Time between two sessions joining; all that have room join at once when zero.
    pub join_every: Duration,
    /// A session leaves after so many turns.
    pub max_turns: Option<u64>,
    /// Whether finished sessions are replaced by the next of the dataset, over and over.
    pub cycle: bool,
}

impl Default for ConversationConfig {
    fn default() -> Self {
        Self {
            history: History::Live,
            delay: TurnDelay::Think(Think::None),
            system: None,
            concurrency: None,
            join_every: Duration::ZERO,
            max_turns: None,
            cycle: false,
        }
    }
}

words! {
    /// Which answers later turns contain as history.
    #[derive(Default)]
    pub enum History {
        /// This run's answers, so that the endpoint's cache sees its own tokens again.
        #[default]
        Live = "live",
        /// The answers in the dataset, so that every run sends the same prompts.
        Recorded = "recorded",
    }
}

/// Time between an answer's end and the next turn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TurnDelay {
    /// As a user thinks.
    Think(Think),
    /// As recorded in the dataset (its delays, or the gaps between its timestamps), times a
    /// factor; none where it says nothing.
    Recorded {
        /// 0.5 = half as long.
        factor: f64,
        /// Longest.
        max: Duration,
    },
}

//! Whose counts a stage's figures of tokens are, and which of them can't be told.
//!
//! In: how many answers (or prompts) each source counted. Out: a [`TokenBasis`], and the metrics without
//! a figure, with the reason. Invariant: events and characters are never told as tokens.

use serde::{Deserialize, Serialize};

use super::{TokenAccount, TokenSide};
use crate::metrics::quantity::grouped;

/// From this share of answers on whose tokens were counted, figures of tokens are told.
const TOLD_SHARE: f64 = 0.99;
/// Why counts that came are left out.
pub(in crate::metrics) const IMPOSSIBLE_COUNTS: &str = "the server's counts of tokens can't be (0, more cached than the prompt has, or past all measure)";
/// Metrics of prompt tokens.
const INPUT_METRICS: [&str; 2] = ["input_tokens", "input_tokens_per_second"];
/// Metrics of generated tokens.
pub(super) const OUTPUT_METRICS: [&str; 4] =
    ["tpot", "tokens_per_second", "output_tokens", "output_tokens_per_second"];

/// Whose counts a stage's figures of tokens are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum TokenBasis {
    /// The server's.
    #[serde(rename = "server")]
    Server,
    /// The tokenizer's.
    #[serde(rename = "tokenizer")]
    Tokenizer,
    /// The server's where it counted, else the tokenizer's.
    #[serde(rename = "server + tokenizer")]
    Both,
    /// Nobody counted tokens: figures are of events.
    #[serde(rename = "events")]
    Events,
    /// Nobody counted anything: lengths are estimates by characters.
    #[serde(rename = "estimate")]
    Estimate,
}

impl TokenBasis {
    /// Its word in reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Tokenizer => "tokenizer",
            Self::Both => "server + tokenizer",
            Self::Events => "events",
            Self::Estimate => "estimate",
        }
    }

    /// Whether somebody counted tokens, so that figures of tokens may be told.
    pub fn is_count(self) -> bool {
        !matches!(self, Self::Events | Self::Estimate)
    }
}

impl TokenAccount {
    /// The metrics that cannot be told because nobody counted their tokens, with the reason.
    pub fn untold(&self) -> impl Iterator<Item = (&'static str, String)> {
        let all = [
            (self.input.untold("prompts"), &INPUT_METRICS[..]),
            (self.output.untold("answers"), &OUTPUT_METRICS[..]),
        ];
        all.into_iter()
            .filter_map(|(why, metrics)| Some((why?, metrics)))
            .flat_map(|(why, metrics)| metrics.iter().map(move |metric| (*metric, why.clone())))
    }

    /// Whose counts a metric of the catalogue rests on; `None` for one that is not of tokens.
    pub fn source_of(&self, metric: &str) -> Option<TokenBasis> {
        if INPUT_METRICS.contains(&metric) {
            self.input.source
        } else if OUTPUT_METRICS.contains(&metric) {
            self.output.source
        } else {
            None
        }
    }
}

impl TokenSide {
    pub(super) fn basis(&self) -> Option<TokenBasis> {
        let counted = self.counted() as f64;
        let basis = match (self.by_server, self.by_tokenizer, self.sums.events) {
            _ if self.requests == 0 => return None,
            (_, 0, _) if counted >= TOLD_SHARE * self.requests as f64 => TokenBasis::Server,
            (0, _, _) if counted >= TOLD_SHARE * self.requests as f64 => TokenBasis::Tokenizer,
            _ if counted >= TOLD_SHARE * self.requests as f64 => TokenBasis::Both,
            (_, _, Some(_)) => TokenBasis::Events,
            (_, _, None) => TokenBasis::Estimate,
        };
        Some(basis)
    }

    /// Why figures of these tokens are not told, if so.
    fn untold(&self, what: &str) -> Option<String> {
        self.source.filter(|source| !source.is_count()).map(|_| {
            format!(
                "tokens of {} of {} {what} were not counted: {} and there is no exact tokenizer \
                 (neither events nor characters are tokens)",
                grouped(self.uncounted()),
                grouped(self.requests),
                self.silence()
            )
        })
    }

    /// Why there is no count by the server.
    pub(super) fn silence(&self) -> &'static str {
        match self.impossible {
            0 => "the server sends no usage for them",
            all if all >= self.requests - self.by_server => IMPOSSIBLE_COUNTS,
            _ => "the server sends no usage for them, or counts that can't be",
        }
    }
}

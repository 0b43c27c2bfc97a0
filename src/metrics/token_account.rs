//! How many tokens a stage's prompts and answers have, by everyone who counted.
//!
//! In: the records of complete answers. Out: a [`TokenAccount`]: sums by source, how far they lie
//! apart, and a warning where that is too far. Invariants: two sources are held against each other
//! only over the requests that both counted; who did not count is absent, not zero; estimates are
//! shown and held against nobody.

use serde::{Deserialize, Serialize};

mod advice;
mod basis;

pub use self::advice::warnings;
pub(super) use self::basis::IMPOSSIBLE_COUNTS;
pub use self::basis::TokenBasis;
use super::quantity::{grouped, plural, significant};
use super::summary::StageSummary;
use crate::record::{IMPOSSIBLE_USAGE, Record, TokenCounts};

/// From this share on a divergence is warned about.
pub const LARGE_SHARE: f64 = 0.10;
/// Tokens of a request that a chat template may add to the texts that a tokenizer counts.
const TEMPLATE_TOKENS: u64 = 64;
/// Tokens of an answer that may come without an event of their own: an end mark, half a character.
const SILENT_TOKENS: u64 = 2;

/// Who counted tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenSource {
    /// The server, in its `usage`.
    Server,
    /// The endpoint's `tokenizer`.
    Tokenizer,
    /// The client: events that bore tokens.
    Events,
}

impl TokenSource {
    /// Its word in reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Tokenizer => "tokenizer",
            Self::Events => "events",
        }
    }

    fn phrase(self) -> &'static str {
        match self {
            Self::Server => "the server",
            Self::Tokenizer => "the tokenizer",
            Self::Events => "events",
        }
    }

    fn of(self, counts: &TokenCounts) -> Option<u64> {
        match self {
            Self::Server => counts.server,
            Self::Tokenizer => counts.tokenizer,
            Self::Events => counts.events,
        }
    }
}

/// Who is held against whom: the first against the second.
const PAIRS: [(TokenSource, TokenSource); 3] = [
    (TokenSource::Tokenizer, TokenSource::Server),
    (TokenSource::Events, TokenSource::Server),
    (TokenSource::Events, TokenSource::Tokenizer),
];

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Tokens of the complete answers of a stage and of their prompts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TokenAccount {
    /// Of the prompts.
    pub input: TokenSide,
    /// Of the answers.
    pub output: TokenSide,
}

/// Tokens of all prompts, or of all answers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TokenSide {
    /// Whose counts the figures are; absent without answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<TokenBasis>,
    /// Complete answers, or their prompts.
    #[serde(default)]
    pub requests: u64,
    /// Those whose tokens the server counted.
    #[serde(default)]
    pub by_server: u64,
    /// Those whose tokens the tokenizer counted and the server did not.
    #[serde(default)]
    pub by_tokenizer: u64,
    /// Those without a count by the server because what it said can't be, and is left out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub impossible: u64,
    /// Sums over the requests that each source counted.
    pub sums: TokenCounts,
    /// How far the sources lie apart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub divergence: Vec<Divergence>,
}

/// How far two sources lie apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Divergence {
    /// Whose count is held against another's.
    pub source: TokenSource,
    /// The other's.
    pub against: TokenSource,
    /// Requests that both counted.
    pub requests: u64,
    /// Their tokens by `source`.
    pub tokens: u64,
    /// Their tokens by `against`.
    pub against_tokens: u64,
    /// `tokens / against_tokens - 1`: below 0 where `source` counts less.
    pub share: f64,
    /// Whether it is more than 10 %, and more than a chat template around a prompt or an end mark
    /// behind an answer explains.
    pub is_large: bool,
}

impl TokenAccount {
    /// Takes a complete answer.
    pub fn take(&mut self, record: &Record) {
        let impossible = record.flags.iter().any(|flag| flag == IMPOSSIBLE_USAGE);
        self.input.take(&record.input_tokens, Side::Input, impossible);
        self.output.take(&record.output_tokens, Side::Output, impossible);
    }

    /// Both together.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        self.input.add(&other.input, Side::Input);
        self.output.add(&other.output, Side::Output);
        self
    }

    fn sides(&self) -> [(Side, &TokenSide); 2] {
        [(Side::Input, &self.input), (Side::Output, &self.output)]
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Input,
    Output,
}

impl TokenSide {
    fn take(&mut self, counts: &TokenCounts, side: Side, impossible: bool) {
        add_counts(&mut self.sums, counts);
        self.requests += 1;
        self.impossible += u64::from(impossible && counts.server.is_none());
        self.by_server += u64::from(counts.server.is_some());
        self.by_tokenizer += u64::from(counts.server.is_none() && counts.tokenizer.is_some());
        self.source = self.basis();
        for (source, against) in PAIRS {
            if let (Some(tokens), Some(against_tokens)) = (source.of(counts), against.of(counts)) {
                self.hold(Held { source, against, requests: 1, tokens, against_tokens }, side);
            }
        }
    }

    fn add(&mut self, other: &Self, side: Side) {
        add_counts(&mut self.sums, &other.sums);
        self.requests += other.requests;
        self.by_server += other.by_server;
        self.by_tokenizer += other.by_tokenizer;
        self.impossible += other.impossible;
        self.source = self.basis();
        for it in &other.divergence {
            let Divergence { source, against, requests, tokens, against_tokens, .. } = *it;
            self.hold(Held { source, against, requests, tokens, against_tokens }, side);
        }
    }

    /// Answers, or prompts, whose tokens the server or the tokenizer counted.
    pub fn counted(&self) -> u64 {
        self.by_server + self.by_tokenizer
    }

    /// Answers, or prompts, whose tokens nobody counted.
    pub fn uncounted(&self) -> u64 {
        self.requests.saturating_sub(self.counted())
    }

    /// Adds what both of a pair counted.
    fn hold(&mut self, held: Held, side: Side) {
        let same = |it: &&mut Divergence| it.source == held.source && it.against == held.against;
        match self.divergence.iter_mut().find(same) {
            Some(known) => {
                let sum = Held {
                    requests: known.requests + held.requests,
                    tokens: known.tokens + held.tokens,
                    against_tokens: known.against_tokens + held.against_tokens,
                    ..held
                };
                *known = sum.divergence(side);
            }
            None => self.divergence.push(held.divergence(side)),
        }
    }

    /// Whether the other side of a pair counted requests that this one left out, so that their sums
    /// must not be read side by side.
    fn is_part(&self, pair: &Divergence) -> bool {
        pair.against.of(&self.sums).is_some_and(|sum| sum > pair.against_tokens)
    }

    /// What is held against the source that counts for figures: the server's, else the tokenizer's.
    fn telling(&self) -> impl Iterator<Item = &Divergence> {
        let counts =
            if self.sums.server.is_some() { TokenSource::Server } else { TokenSource::Tokenizer };
        self.divergence.iter().filter(move |it| it.against == counts)
    }

    /// The counts side by side, such as `server 128, tokenizer 120 (6.3 % fewer), events 128`; where
    /// a source counted a part only, `tokenizer 30 of 4 requests (server 32 there, 6.3 % fewer)`.
    /// Where nobody counted tokens, that and what there is instead. `None` where one counted alone.
    pub fn in_words(&self) -> Option<String> {
        let TokenCounts { server, tokenizer, events, estimate } = self.sums;
        if self.source.is_some_and(|source| !source.is_count()) {
            let events = events.map(|events| format!("events {}", grouped(events)));
            let estimate = estimate.map(|sum| format!("by characters about {}", grouped(sum)));
            let uncounted = format!("not counted in {} of {}", self.uncounted(), self.requests);
            let parts = [Some(uncounted), events, estimate];
            return Some(parts.into_iter().flatten().collect::<Vec<_>>().join(", "));
        }
        let counted = [
            (TokenSource::Server, server),
            (TokenSource::Tokenizer, tokenizer),
            (TokenSource::Events, events),
        ];
        let counted: Vec<_> =
            counted.into_iter().filter_map(|(source, sum)| Some((source, sum?))).collect();
        if counted.len() < 2 {
            return None;
        }
        let word = |(source, sum): &(TokenSource, u64)| {
            let apart = self.telling().find(|it| it.source == *source);
            if let Some(part) = apart.filter(|it| self.is_part(it)) {
                return format!("{} {}", source.word(), part.of_a_part());
            }
            let apart = apart.filter(|it| it.tokens != it.against_tokens);
            let apart = apart.map_or_else(String::new, |it| format!(" ({})", it.in_words()));
            format!("{} {}{apart}", source.word(), grouped(*sum))
        };
        Some(counted.iter().map(word).collect::<Vec<_>>().join(", "))
    }
}

/// What a pair of sources counted.
#[derive(Clone, Copy)]
struct Held {
    source: TokenSource,
    against: TokenSource,
    requests: u64,
    tokens: u64,
    against_tokens: u64,
}

impl Held {
    fn divergence(&self, side: Side) -> Divergence {
        let Self { source, against, requests, tokens, against_tokens } = *self;
        let share = tokens as f64 / (against_tokens.max(1) as f64) - 1.0;
        let explained = match side {
            // A template only ever adds to what the texts have.
            Side::Input if tokens < against_tokens => TEMPLATE_TOKENS,
            Side::Input => 0,
            Side::Output => SILENT_TOKENS,
        };
        let is_large = share.abs() > LARGE_SHARE
            && tokens.abs_diff(against_tokens) > explained.saturating_mul(requests);
        Divergence { source, against, requests, tokens, against_tokens, share, is_large }
    }
}

impl Divergence {
    /// `12 % fewer`.
    fn in_words(&self) -> String {
        if self.against_tokens == 0 {
            return format!("{} counts none", self.against.word());
        }
        let word = if self.share < 0.0 { "fewer" } else { "more" };
        let percent =
            100.0 * self.tokens.abs_diff(self.against_tokens) as f64 / self.against_tokens as f64;
        format!("{} % {word}", significant(percent, 2))
    }

    /// `30 of 4 requests (server 32 there, 6.3 % fewer)`.
    fn of_a_part(&self) -> String {
        let requests = plural(self.requests, "request");
        let there = format!("{} {} there", self.against.word(), grouped(self.against_tokens));
        let apart = if self.tokens == self.against_tokens {
            String::new()
        } else {
            format!(", {}", self.in_words())
        };
        format!("{} of {requests} ({there}{apart})", grouped(self.tokens))
    }
}

fn add_counts(sums: &mut TokenCounts, counts: &TokenCounts) {
    for (sum, count) in [
        (&mut sums.server, counts.server),
        (&mut sums.tokenizer, counts.tokenizer),
        (&mut sums.events, counts.events),
        (&mut sums.estimate, counts.estimate),
    ] {
        if let Some(count) = count {
            *sum = Some(sum.unwrap_or(0) + count);
        }
    }
}

/// Stages with the account of all their rungs together, in order; those without one are left out.
pub fn by_stage<'s>(
    stages: impl IntoIterator<Item = &'s StageSummary>,
) -> Vec<(String, TokenAccount)> {
    let mut accounts: Vec<(String, TokenAccount)> = Vec::new();
    for stage in stages {
        let Some(account) = &stage.tokens else { continue };
        let cell = stage.cell.as_ref().map(|cell| format!("[{cell}]")).unwrap_or_default();
        let name = format!("{}{cell}", stage.id);
        match accounts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = std::mem::take(known).plus(account),
            None => accounts.push((name, account.clone())),
        }
    }
    accounts
}

#[cfg(test)]
mod tests;

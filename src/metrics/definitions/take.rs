//! How a tool's figure is taken from an answer: spans between stamps, over tokens or not.
//!
//! In: an [`Answer`]. Out: samples in the figure's unit. Invariants: figures are derived from raw
//! stamps, never from ours; a stamp that is missing gives no sample.

use super::seconds;
use crate::record::Record;

/// A complete answer with the stamps that every tool needs.
pub(super) struct Answer<'r> {
    pub(super) record: &'r Record,
    pub(super) sent: u64,
}

/// A moment of an answer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stamp {
    /// The headers of the response.
    Headers,
    /// The first event, even when it holds nothing but a role.
    FirstChunk,
    /// The first token of any sort.
    FirstToken,
    /// The first token that is no reasoning.
    FirstContent,
    /// The last token; the end where no token was seen.
    LastToken,
    /// The last event, that with the usage included.
    LastChunk,
    /// The end of the response.
    End,
}

/// What is counted as tokens.
#[derive(Debug, Clone, Copy)]
pub(super) enum Count {
    /// By usage, else by tokenizer, else by events.
    Output,
    /// By tokenizer, as tools that count for themselves do, else as above.
    Retokenized,
    /// Events that bear tokens.
    Events,
    /// Events that bear tokens, from the first content on.
    ContentEvents,
    /// Four characters to a token, as tools without a tokenizer count.
    Estimated,
}

/// Which events have gaps between them.
#[derive(Debug, Clone, Copy)]
pub(super) enum Events {
    /// All, the first included when it only holds a role.
    All,
    /// Those that bear tokens.
    Tokens,
    /// Those from the first content on.
    Content,
    /// The first two that bear tokens.
    FirstTwo,
}

/// How the samples of a figure are made.
#[derive(Debug, Clone, Copy)]
pub(super) enum Take {
    /// A moment − sent.
    Until(Stamp),
    /// (second − first) / (tokens − 1).
    PerLaterToken(Stamp, Stamp, Count),
    /// (moment − sent) / tokens.
    PerToken(Stamp, Count),
    /// Tokens / (moment − sent), per second.
    Speed(Stamp, Count),
    /// Gaps between events, pooled.
    Gaps(Events),
    /// The number of tokens.
    Tokens(Count),
}

impl Take {
    /// Appends the samples of an answer; times in seconds × `scale`.
    pub(super) fn samples(self, answer: &Answer, scale: f64, out: &mut Vec<f64>) {
        let some = |count: Option<u64>| count.filter(|count| *count > 0).map(|count| count as f64);
        let sample = match self {
            Self::Until(to) => answer.at(to).map(|time| time * scale),
            Self::PerLaterToken(from, to, count) => {
                let gaps = some(answer.count(count).and_then(|tokens| tokens.checked_sub(1)));
                let time = answer.at(to).zip(answer.at(from)).map(|(to, from)| to - from);
                time.zip(gaps).map(|(time, gaps)| time * scale / gaps)
            }
            Self::PerToken(to, count) => {
                let tokens = some(answer.count(count));
                answer.at(to).zip(tokens).map(|(time, tokens)| time * scale / tokens)
            }
            Self::Speed(to, count) => {
                let time = answer.at(to).filter(|time| *time > 0.0);
                answer.count(count).zip(time).map(|(tokens, time)| tokens as f64 / time)
            }
            Self::Tokens(count) => answer.count(count).map(|tokens| tokens as f64),
            Self::Gaps(events) => return answer.gaps(events, scale, out),
        };
        out.extend(sample);
    }
}

impl Answer<'_> {
    /// Seconds from sent to a moment.
    fn at(&self, stamp: Stamp) -> Option<f64> {
        let record = self.record;
        let at = match stamp {
            Stamp::Headers => record.headers_ns,
            Stamp::FirstChunk => record.first_event_ns.or(record.first_token_ns),
            Stamp::FirstToken => record.first_token_ns,
            Stamp::FirstContent => record.first_content_ns,
            Stamp::LastToken => record.last_token_ns.or(record.end_ns),
            Stamp::LastChunk => record.usage_ns.max(record.last_token_ns).or(record.end_ns),
            Stamp::End => record.end_ns,
        };
        seconds(Some(self.sent), at)
    }

    /// Tokens of the answer.
    pub(super) fn count(&self, count: Count) -> Option<u64> {
        let tokens = &self.record.output_tokens;
        let best = || tokens.best().map(|(count, _)| count);
        match count {
            Count::Output => best(),
            Count::Retokenized => tokens.tokenizer.or_else(best),
            Count::Events => Some(self.record.token_ns.len() as u64),
            Count::ContentEvents => {
                let from = self.record.first_content_ns?;
                Some(self.record.token_ns.iter().filter(|at| **at >= from).count() as u64)
            }
            Count::Estimated => tokens.estimate.or_else(best),
        }
    }

    fn gaps(&self, events: Events, scale: f64, out: &mut Vec<f64>) {
        let tokens = &self.record.token_ns;
        let role = self.record.first_event_ns;
        let role = role.filter(|first| Some(*first) < tokens.first().copied());
        let (before, from, most) = match events {
            Events::All => (role, 0, usize::MAX),
            Events::Tokens => (None, 0, usize::MAX),
            Events::Content => (None, self.record.first_content_ns.unwrap_or(u64::MAX), usize::MAX),
            Events::FirstTwo => (None, 0, 2),
        };
        let mut last = before;
        for stamp in tokens.iter().copied().filter(|at| *at >= from).take(most) {
            if let Some(last) = last.replace(stamp) {
                out.push(stamp.saturating_sub(last) as f64 / 1e9 * scale);
            }
        }
    }
}

//! What the totals of a stage are made of.
//!
//! In: records. Out: [`Sums`]: counts, tokens by every way of counting, and the time from the first
//! request to the last answer. Invariant: only what was sent counts; nothing that never left does.

use super::seconds;
use super::take::{Answer, Count};
use crate::record::{CacheState, OutcomeKind, Record};

/// The flag of an answer that came from a cache, by a server that does not say how much of it.
const FROM_CACHE: &str = "from_cache";

/// Sums over the requests of a stage, or of a part of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sums {
    /// Requests that were sent.
    pub sent: u64,
    /// Complete answers.
    pub ok: u64,
    /// Complete answers from the server's cache, as far as it says so.
    pub hits: u64,
    /// Their prompt tokens.
    pub input: u64,
    /// Their generated tokens: by usage, else by tokenizer, else by events.
    pub output: u64,
    /// The same by tokenizer, else as above.
    pub retokenized: u64,
    /// The same by four characters to a token, else as above.
    pub estimated: u64,
    /// Σ(end − first event) of complete answers, and all the time of failed ones; in seconds.
    pub generating_s: f64,
    first_sent: Option<u64>,
    last_end: Option<u64>,
}

impl Sums {
    /// Of all `records`.
    pub fn of<'r>(records: impl IntoIterator<Item = &'r Record>) -> Self {
        let mut sums = Self::default();
        records.into_iter().for_each(|record| sums.add(record));
        sums
    }

    /// Adds a request; one that was never sent adds nothing.
    pub fn add(&mut self, record: &Record) {
        let Some(sent) = record.sent_ns else { return };
        self.sent += 1;
        self.first_sent = Some(self.first_sent.map_or(sent, |first| first.min(sent)));
        self.last_end = self.last_end.max(record.end_ns);
        if record.outcome.is_error() {
            self.generating_s += seconds(Some(sent), record.end_ns).unwrap_or(0.0);
        }
        if record.outcome != OutcomeKind::Ok {
            return;
        }
        let answer = Answer { record, sent };
        let tokens = |count| answer.count(count).unwrap_or(0);
        self.ok += 1;
        self.output += tokens(Count::Output);
        self.retokenized += tokens(Count::Retokenized);
        self.estimated += tokens(Count::Estimated);
        self.input += record.input_tokens.best().map_or(0, |(count, _)| count);
        let says_yes = record.flags.iter().any(|flag| flag == FROM_CACHE);
        self.hits += u64::from(says_yes || record.cache == CacheState::Warm);
        let first = record.first_event_ns.or(record.first_token_ns).or(Some(sent));
        self.generating_s += seconds(first, record.end_ns).unwrap_or(0.0);
    }

    /// From the first request to the last answer, in nanoseconds of the run.
    pub fn span(&self) -> Option<(u64, u64)> {
        self.first_sent.zip(self.last_end)
    }

    /// The same as a length, in seconds.
    pub fn elapsed_s(&self) -> Option<f64> {
        seconds(self.first_sent, self.last_end)
    }

    /// `count` over that time.
    pub fn per_second(&self, count: u64) -> Option<f64> {
        self.elapsed_s().filter(|seconds| *seconds > 0.0).map(|seconds| count as f64 / seconds)
    }
}

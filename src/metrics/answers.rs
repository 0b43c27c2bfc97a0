//! What answers say of themselves: why they ended, and what about them is not as asked.
//!
//! In: the records of a stage, in order. Out: [`AnswerSummary`], and a sentence for each thing that a
//! reader must know. Invariants: shares are over all that give a reason or
//! come whole without one; texts from outside
//! are kept for a few different ones only, the rest counts under one name.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::{Deserialize, Serialize};

use super::quantity::{grouped, plural};
use super::summary::StageSummary;
use crate::record::{IMPOSSIBLE_USAGE, NO_TEXT, NOT_STREAMED, OutcomeKind, READS_HIDDEN, Record};

/// Different reasons, remarks and models that are told apart.
const MOST_NAMES: usize = 16;
/// The name of all further ones.
const OTHERS: &str = "(others)";
/// The reason of complete answers that give none.
const NONE_GIVEN: &str = "(none given)";
/// Ids that are remembered: 8 bytes each.
const MOST_IDS: usize = 1 << 18;

/// Why answers ended, and what about them is not as asked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AnswerSummary {
    /// Answers by the reason that the server gave for their end, failed ones included; complete ones
    /// without a reason are `(none given)`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub finish_reasons: BTreeMap<String, FinishShare>,
    /// Remarks (`flags` of the records) on complete answers: how many have each.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub remarks: BTreeMap<String, u64>,
    /// Complete answers by models other than the one asked for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub other_models: BTreeMap<String, u64>,
    /// Complete answers with the id of an earlier answer of the run, within its first 262,144 ids.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub repeated_ids: u64,
    /// The counts of the first complete answer that came with some that can't be, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub impossible: BTreeMap<String, u64>,
}

/// The answers that ended for one reason.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FinishShare {
    /// How many.
    pub answers: u64,
    /// Their share of all that are counted by reason.
    pub share: f64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The answers of a stage so far.
#[derive(Debug, Clone, Default)]
pub(super) struct AnswerTally {
    reasons: BTreeMap<String, u64>,
    without_reason: u64,
    remarks: BTreeMap<String, u64>,
    models: BTreeMap<String, u64>,
    repeated: u64,
    impossible: BTreeMap<String, u64>,
}

impl AnswerTally {
    /// A request ended.
    pub(super) fn take(&mut self, record: &Record) {
        match &record.finish_reason {
            Some(reason) => count(&mut self.reasons, reason),
            None => self.without_reason += u64::from(record.outcome == OutcomeKind::Ok),
        }
        if record.outcome == OutcomeKind::Ok {
            record.flags.iter().for_each(|flag| count(&mut self.remarks, flag));
            if self.impossible.is_empty() {
                let counts =
                    record.impossible.iter().map(|(name, count)| (name.to_string(), *count));
                self.impossible = counts.collect();
            }
            if let Some(model) = &record.other_model {
                count(&mut self.models, model);
            }
        }
    }

    /// Whether all of `ok` complete answers came whole.
    pub(super) fn all_whole(&self, ok: u64) -> bool {
        ok > 0 && self.remarks.get(NOT_STREAMED) == Some(&ok)
    }

    /// Whether what shares a read of the socket does not always show.
    pub(super) fn hides_reads(&self) -> bool {
        self.remarks.contains_key(READS_HIDDEN)
    }

    /// An answer came under the id of an earlier one.
    pub(super) fn repeated(&mut self) {
        self.repeated += 1;
    }

    /// `None` where answers say nothing.
    pub(super) fn finish(mut self) -> Option<AnswerSummary> {
        if self.without_reason > 0 {
            *self.reasons.entry(NONE_GIVEN.to_owned()).or_default() += self.without_reason;
        }
        let summary = AnswerSummary {
            finish_reasons: shares(self.reasons),
            remarks: self.remarks,
            other_models: self.models,
            repeated_ids: self.repeated,
            impossible: self.impossible,
        };
        (summary != AnswerSummary::default()).then_some(summary)
    }
}

fn shares(reasons: BTreeMap<String, u64>) -> BTreeMap<String, FinishShare> {
    let all: u64 = reasons.values().sum();
    let share = |answers: u64| FinishShare { answers, share: answers as f64 / all as f64 };
    reasons.into_iter().map(|(reason, answers)| (reason, share(answers))).collect()
}

fn count(counts: &mut BTreeMap<String, u64>, name: &str) {
    let has_room = counts.len() < MOST_NAMES;
    match counts.get_mut(name) {
        Some(count) => *count += 1,
        None if has_room => drop(counts.insert(name.to_owned(), 1)),
        None => *counts.entry(OTHERS.to_owned()).or_default() += 1,
    }
}

/// The ids of a run's answers.
#[derive(Debug, Default)]
pub(super) struct AnswerIds {
    seen: HashSet<u64>,
}

impl AnswerIds {
    /// Whether a complete answer has the id of an earlier one of `endpoint`: servers that count their
    /// answers give the same ids.
    pub(super) fn is_repeated(&mut self, record: &Record, endpoint: &str) -> bool {
        let Some(id) = record.response_id.as_ref().filter(|_| record.outcome == OutcomeKind::Ok)
        else {
            return false;
        };
        let mut hasher = DefaultHasher::new();
        (endpoint, id).hash(&mut hasher);
        let hash = hasher.finish();
        self.seen.contains(&hash) || (self.seen.len() < MOST_IDS && !self.seen.insert(hash))
    }
}

impl AnswerSummary {
    /// Those of several stages as one.
    pub fn together<'a>(all: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut sum = Self::default();
        let mut reasons = BTreeMap::new();
        for it in all {
            for (reason, share) in &it.finish_reasons {
                *reasons.entry(reason.clone()).or_default() += share.answers;
            }
            for (sums, counts) in
                [(&mut sum.remarks, &it.remarks), (&mut sum.other_models, &it.other_models)]
            {
                for (name, count) in counts {
                    *sums.entry(name.clone()).or_default() += count;
                }
            }
            sum.repeated_ids += it.repeated_ids;
            if sum.impossible.is_empty() {
                sum.impossible.clone_from(&it.impossible);
            }
        }
        Self { finish_reasons: shares(reasons), ..sum }
    }

    /// Whether what shares a read of the socket does not always show.
    pub fn hides_reads(&self) -> bool {
        self.remarks.contains_key(READS_HIDDEN)
    }

    /// `stop 75 %, length 25 %`, the most frequent first; `None` where no answer gave one.
    pub fn reasons_in_words(&self) -> Option<String> {
        if self.finish_reasons.keys().all(|reason| reason == NONE_GIVEN) {
            return None;
        }
        let mut reasons: Vec<_> = self.finish_reasons.iter().collect();
        reasons.sort_by_key(|(_, it)| std::cmp::Reverse(it.answers));
        let word = |(reason, it): &(&String, &FinishShare)| {
            format!("{reason} {}", super::quantity::show(it.share, "share"))
        };
        Some(reasons.iter().map(word).collect::<Vec<_>>().join(", "))
    }

    fn first_impossible(&self) -> Option<String> {
        let counts =
            impossible_counts(self.impossible.iter().map(|(name, count)| (&**name, *count)));
        counts.map(|counts| format!(" (the first: {counts})"))
    }

    fn sentences(&self, asked: Option<&str>) -> Vec<String> {
        let known = REMARKS.iter().filter_map(|(flag, sentence)| {
            let answers = plural(*self.remarks.get(*flag)?, "answer");
            let first = if *flag == IMPOSSIBLE_USAGE { self.first_impossible() } else { None };
            Some(format!("{answers} {sentence}{}", first.unwrap_or_default()))
        });
        let others = self.other_models.iter().map(|(model, answers)| {
            let asked = match asked {
                Some(asked) => format!("not `{asked}`"),
                None => "which is not the model that was asked for".to_owned(),
            };
            format!(
                "{} came from `{model}`, {asked}, by the server's own word: a fallback or an alias \
                 (`require_model: same` makes that a failure)",
                plural(*answers, "answer")
            )
        });
        let repeated = (self.repeated_ids > 0).then(|| {
            format!(
                "{} came under the id of an earlier answer: a response cache before the server \
                 (then its times are those of that cache), or a server that gives no ids of their own",
                plural(self.repeated_ids, "answer")
            )
        });
        known.chain(others).chain(repeated).collect()
    }
}

/// `cached_tokens 9,000, input_tokens 100`, of counts that can't be; `None` without any.
pub fn impossible_counts<'a>(counts: impl Iterator<Item = (&'a str, u64)>) -> Option<String> {
    let word = |(name, count)| match count {
        u64::MAX => format!("{name} no count"),
        count => format!("{name} {}", grouped(count)),
    };
    let words: Vec<String> = counts.map(word).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

/// Remarks that a reader of the numbers must know.
const REMARKS: [(&str, &str); 4] = [
    (
        NO_TEXT,
        "had no text, by the server's own count of their tokens an end mark or less than a letter: \
         the model may have had nothing to say, or something swallowed it",
    ),
    (
        "reasoning_only",
        "had reasoning and nothing else: the limit on tokens may have cut them before the answer \
         began",
    ),
    (
        "over_max_tokens",
        "had more tokens than `max_tokens` allows, by the server's own count: it does not keep the \
         limit, or counts something else",
    ),
    (
        IMPOSSIBLE_USAGE,
        "came with counts of tokens that can't be (0 where there is text, more cached than the \
         prompt has, negative, or past all measure): they are left out",
    ),
];

/// What a reader must know of a stage's answers, one sentence each.
pub(super) fn notes(stage: &StageSummary) -> Vec<String> {
    let Some(answers) = &stage.answers else { return Vec::new() };
    let label = stage.label();
    // Where rows choose the model, several were asked for.
    let asked = stage.model.as_deref().filter(|_| stage.models.is_empty());
    let sentences = answers.sentences(asked);
    sentences.into_iter().map(|sentence| format!("stage {label}: {sentence}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tally::fixture::record;

    #[test]
    fn reasons_have_shares_and_few_names() {
        let mut tally = AnswerTally::default();
        for reason in ["stop", "stop", "length", "stop"] {
            tally.take(&Record { finish_reason: Some(reason.into()), ..record() });
        }
        tally.take(&Record { finish_reason: None, ..record() });
        // One that failed before its end could give none.
        let failed = OutcomeKind::Stream;
        tally.take(&Record { outcome: failed, finish_reason: None, ..record() });
        let found = tally.clone().finish().expect("reasons");
        let words = "stop 60 %, (none given) 20 %, length 20 %";
        assert_eq!(found.reasons_in_words().as_deref(), Some(words));
        for number in 0..100 {
            tally.take(&Record { finish_reason: Some(format!("why {number}")), ..record() });
        }
        let found = tally.finish().expect("reasons").finish_reasons;
        assert_eq!((found.len(), found[OTHERS].answers), (MOST_NAMES + 2, 86));
        assert_eq!(found[NONE_GIVEN].answers, 1);

        let mut silent = AnswerTally::default();
        silent.take(&Record { finish_reason: None, ..record() });
        let found = silent.finish().expect("a count");
        assert_eq!(found.finish_reasons[NONE_GIVEN], FinishShare { answers: 1, share: 1.0 });
        assert_eq!(found.reasons_in_words(), None);
    }

    #[test]
    fn an_id_is_repeated_from_its_second_answer_on() {
        let mut ids = AnswerIds::default();
        let with = |id: &str| Record { response_id: Some(id.into()), ..record() };
        let failed = Record { outcome: OutcomeKind::Stream, ..with("a") };
        let all = [failed, with("a"), with("b"), with("a"), with("a"), record()];
        assert_eq!(
            all.map(|record| ids.is_repeated(&record, "one")),
            [false, false, false, true, true, false]
        );
        assert_eq!([0; 2].map(|_| ids.is_repeated(&with("a"), "other")), [false, true]);
    }
}

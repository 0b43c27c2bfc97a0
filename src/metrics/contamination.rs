//! Whether a stage that claims a cold or a warm cache met the cache that it claims.
//!
//! In: the answers of a stage, and what the server counted meanwhile. Out: [`Contamination`]s:
//! tokens expected from the cache against tokens seen. Invariant: only what a server said is held
//! against a stage; silence contaminates nothing.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::{Deserialize, Serialize};

use super::cache_verdict::{COLD_SHARE, WARM_SHARE, cached_of_prompt, cached_tokens};
use super::quantity::{grouped, plural};
use super::server::ServerTally;
use crate::record::{CacheState, OutcomeKind, Record, StageStart};

/// Prompt tokens beyond ours that say nothing yet: templates, health checks.
const FOREIGN_TOKENS: f64 = 64.0;
/// Nor does this share of ours: servers count the same text a little differently.
const FOREIGN_SHARE: f64 = 0.05;

/// How a stage's cache was not what the stage claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ContaminationKind {
    /// A cold stage was served from the cache.
    UnexpectedHits,
    /// A warm stage was not.
    UnexpectedMisses,
    /// Somebody else used the server meanwhile, and its cache.
    ForeignTraffic,
}

/// Tokens expected against tokens seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Contamination {
    /// What is wrong.
    pub kind: ContaminationKind,
    /// Requests it is seen in; 0 when only the server's counters show it.
    pub requests: u64,
    /// The first of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<u64>,
    /// Misses: requests whose prompt failed in the cold stage and was not answered since.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed_before: u64,
    /// The cold stage in which the last of them failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_in: Option<String>,
    /// Hits: cached tokens at most; misses: cached tokens at least; foreign traffic: the prompt
    /// tokens of this stage.
    pub expected_tokens: u64,
    /// Cached tokens, or prompt tokens by the server's counter.
    pub seen_tokens: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Contamination {
    /// One sentence for people, about the stage of this name.
    pub fn sentence(&self, stage: &str) -> String {
        let (seen, expected) = (grouped(self.seen_tokens), grouped(self.expected_tokens));
        let requests = match (self.requests, self.first) {
            (0, _) => "by the server's counters".to_owned(),
            (1, Some(first)) => format!("in request {first}"),
            (count, Some(first)) => {
                format!("in {}, first in request {first}", plural(count, "request"))
            }
            (count, None) => format!("in {}", plural(count, "request")),
        };
        match self.kind {
            ContaminationKind::UnexpectedHits => format!(
                "stage {stage}: CONTAMINATED: cold was claimed, but {seen} prompt tokens came from \
                 the cache (at most {expected} expected) {requests}; flush the server, or send \
                 prompts it can't have seen"
            ),
            ContaminationKind::UnexpectedMisses => format!(
                "stage {stage}: CONTAMINATED: warm was claimed, but only {seen} prompt tokens came \
                 from the cache (at least {expected} expected) {requests}; {}",
                self.cause_of_misses()
            ),
            ContaminationKind::ForeignTraffic => format!(
                "stage {stage}: CONTAMINATED: the server read {seen} prompt tokens while this stage \
                 sent {expected}: somebody else uses it, and its cache"
            ),
        }
    }
}

impl Contamination {
    /// What the records show of the cause, and what else it may be.
    fn cause_of_misses(&self) -> String {
        const OTHERS: &str = "are prompts shorter than a block of the cache, is it too small, or did \
                              others use it meanwhile?";
        let Some(stage) = &self.failed_in else { return OTHERS.to_owned() };
        let (count, rest) = match self.requests.saturating_sub(self.failed_before) {
            0 => ("all".to_owned(), String::new()),
            _ => (grouped(self.failed_before), format!("; of the others: {OTHERS}")),
        };
        format!(
            "{count} of them repeat prompts that failed in {stage} and were not answered since, so \
             nobody can count on their being cached{rest}"
        )
    }
}

/// The prompts of a run's cold stages that failed and were not answered since.
#[derive(Debug, Default)]
pub struct Unanswered {
    /// The stage in which each failed, by endpoint and hash of the prompt.
    stages: HashMap<u64, String>,
}

impl Unanswered {
    /// Takes a request that ended. Returns the cold stage in which its prompt failed, where this is
    /// its first answer since.
    pub fn take(&mut self, record: &Record, stage: &StageStart) -> Option<String> {
        let prompt = record.prompt_hash.as_ref()?;
        let mut hasher = DefaultHasher::new();
        (&stage.endpoint, prompt).hash(&mut hasher);
        let key = hasher.finish();
        if record.outcome == OutcomeKind::Ok {
            return self.stages.remove(&key);
        }
        if record.outcome.is_error() && stage.expects == Some(CacheState::Cold) {
            self.stages.insert(key, stage.stage.clone());
        }
        None
    }
}

/// What is seen of contamination while a stage runs.
#[derive(Debug, Clone, Default)]
pub struct ContaminationTally {
    requests: u64,
    first: Option<u64>,
    failed_before: u64,
    failed_in: Option<String>,
    expected: f64,
    seen: u64,
    /// Prompt tokens of all answers, as the server counts them; `None` once one has no count.
    own: Option<f64>,
    answers: u64,
}

impl ContaminationTally {
    /// Takes a complete answer of a stage that claims `claim`.
    pub fn take(&mut self, record: &Record, claim: CacheState) {
        let own = if self.answers == 0 { Some(0.0) } else { self.own };
        self.answers += 1;
        let prompt = record.input_tokens.server;
        self.own = own.zip(prompt).map(|(sum, prompt)| sum + prompt as f64);
        let Some(cached) = cached_tokens(record) else { return };
        let whole = cached_of_prompt(record).map(|(_, prompt)| prompt).or(prompt);
        if !is_foul(record, claim) {
            return;
        }
        self.requests += 1;
        self.first = Some(self.first.map_or(record.index, |first| first.min(record.index)));
        self.seen += cached;
        self.expected += whole.unwrap_or(0) as f64 * share(claim);
    }

    /// The prompt of an answer that was taken had failed in that cold stage, and this was the first
    /// answer to it.
    pub fn failed_before(&mut self, record: &Record, claim: CacheState, stage: String) {
        if claim == CacheState::Warm && cached_tokens(record).is_some() && is_foul(record, claim) {
            self.failed_before += 1;
            self.failed_in = Some(stage);
        }
    }

    /// Everything that is wrong with a stage that claims `claim`. `knows_all` says whether the
    /// stage knows of every token that this run sent to the server meanwhile.
    pub fn found(
        &self,
        claim: CacheState,
        server: &ServerTally,
        knows_all: bool,
    ) -> Vec<Contamination> {
        let kind = match claim {
            CacheState::Cold => ContaminationKind::UnexpectedHits,
            _ => ContaminationKind::UnexpectedMisses,
        };
        let mut found = Vec::new();
        if self.requests > 0 {
            found.push(Contamination {
                kind,
                requests: self.requests,
                first: self.first,
                failed_before: self.failed_before,
                failed_in: self.failed_in.clone(),
                expected_tokens: tokens(self.expected),
                seen_tokens: self.seen,
            });
        }
        let counted = server.growth("prompt_tokens");
        let is_calm = server.resets() == 0 && server.growth("preemptions").unwrap_or(0.0) == 0.0;
        if let (Some(counted), Some(own), true) = (counted, self.own, is_calm && knows_all)
            && counted > own * (1.0 + FOREIGN_SHARE) + FOREIGN_TOKENS
        {
            found.push(Contamination {
                kind: ContaminationKind::ForeignTraffic,
                requests: 0,
                first: None,
                failed_before: 0,
                failed_in: None,
                expected_tokens: tokens(own),
                seen_tokens: tokens(counted),
            });
        }
        found
    }
}

/// What a stage's counters say of its cache, where its answers say nothing: the claim is judged by
/// the share of prompt tokens that were found.
pub fn by_counters(server: &ServerTally) -> Option<(u64, u64)> {
    let (hits, queries) = server.prefix_cache()?.ok()?;
    Some((tokens(hits), tokens(queries)))
}

fn is_foul(record: &Record, claim: CacheState) -> bool {
    record.cache != claim && record.cache != CacheState::Unknown
}

fn share(claim: CacheState) -> f64 {
    if claim == CacheState::Cold { COLD_SHARE } else { WARM_SHARE }
}

/// A sum of counts, which is whole and not negative.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates, and counters stay far below 2^53"
)]
fn tokens(sum: f64) -> u64 {
    sum.round().max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tally::fixture::record;
    use crate::record::ServerLine;

    fn answer(index: u64, cached: u64, cache: CacheState) -> Record {
        Record { index, cached_tokens: Some(cached), cache, ..record() }
    }

    fn counted(prompt_tokens: [f64; 2]) -> ServerTally {
        let mut tally = ServerTally::default();
        for count in prompt_tokens {
            tally.take(&ServerLine {
                endpoint: "e".into(),
                at_ns: 0,
                counters: [("prompt_tokens".to_owned(), count)].into(),
                ..ServerLine::default()
            });
        }
        tally
    }

    #[test]
    fn hits_in_a_cold_stage_and_misses_in_a_warm_one_are_named_with_their_tokens() {
        let mut cold = ContaminationTally::default();
        cold.take(&answer(0, 24, CacheState::Cold), CacheState::Cold);
        cold.take(&answer(1, 2000, CacheState::Warm), CacheState::Cold);
        cold.take(&answer(2, 0, CacheState::Unknown), CacheState::Cold);
        let found = cold.found(CacheState::Cold, &ServerTally::default(), true);
        assert_eq!(found.len(), 1);
        let one = &found[0];
        assert_eq!(one.kind, ContaminationKind::UnexpectedHits);
        assert_eq!((one.requests, one.first), (1, Some(1)));
        assert_eq!((one.expected_tokens, one.seen_tokens), (210, 2000));
        assert!(one.sentence("cold").contains("2,000 prompt tokens came from the cache"));

        let mut warm = ContaminationTally::default();
        warm.take(&answer(5, 100, CacheState::Mixed), CacheState::Warm);
        warm.take(&answer(4, 0, CacheState::Cold), CacheState::Warm);
        let found = warm.found(CacheState::Warm, &ServerTally::default(), true);
        assert_eq!((found[0].requests, found[0].first), (2, Some(4)));
        assert_eq!((found[0].expected_tokens, found[0].seen_tokens), (3150, 100));
    }

    #[test]
    fn foreign_traffic_shows_in_the_servers_counter_and_nowhere_else() {
        let mut tally = ContaminationTally::default();
        for index in 0..3 {
            tally.take(&answer(index, 0, CacheState::Cold), CacheState::Cold);
        }
        let found = |server: &ServerTally, all| tally.found(CacheState::Cold, server, all);
        assert!(found(&counted([50.0, 50.0 + 3.0 * 2100.0]), true).is_empty());
        let foreign = found(&counted([50.0, 50.0 + 4.0 * 2100.0]), true);
        assert_eq!(foreign[0].kind, ContaminationKind::ForeignTraffic);
        assert_eq!((foreign[0].expected_tokens, foreign[0].seen_tokens), (6300, 8400));
        assert!(found(&counted([50.0, 50.0 + 4.0 * 2100.0]), false).is_empty());
        assert!(found(&ServerTally::default(), true).is_empty());
    }
}

//! Levels of load whose capacity is no one figure.
//!
//! In: the levels of a ladder or the probes of a search. Out: [`Withheld`], and the sentence that stands
//! where their capacity would. Invariant: a server that says nothing of its cache, and prompts too short
//! to tell, set nothing apart.

use super::words::Load;
use super::{Claim, ClaimFigure, ClaimKind};
use crate::metrics::quantity::{grouped, plural, show};
use crate::metrics::summary::StageSummary;
use crate::record::{CacheState, NO_TEXT};

/// Shares of prompt tokens from the cache that are further apart than this are different work.
const MOST_APART: f64 = 0.1;
/// A larger share of answers without text is another work than the one asked for.
const MOST_EMPTY: f64 = 0.01;

/// Why nothing is said of what levels can sustain.
#[derive(Debug, Clone, Copy)]
pub(in crate::metrics) enum Withheld {
    /// The level that met the least of its prompts in the cache and the one that met the most: (level,
    /// share of prompt tokens, 0 to 1).
    Apart { least: (f64, f64), most: (f64, f64) },
    /// So many of the answers at a level had no text.
    NoText { level: f64, empty: u64, answers: u64 },
}

impl Withheld {
    pub(in crate::metrics) fn of(levels: &[&StageSummary]) -> Option<Self> {
        Self::apart(levels).or_else(|| levels.iter().find_map(|stage| Self::no_text(stage)))
    }

    fn apart(levels: &[&StageSummary]) -> Option<Self> {
        let share = |stage: &&StageSummary| {
            let cache = &stage.cache;
            let tells = stage.counts.ok > 0 && cache.verdict != CacheState::Unknown;
            let tokens = cache.cached_tokens.zip(cache.prompt_tokens).filter(|_| tells);
            let (cached, prompt) = tokens.filter(|(_, prompt)| *prompt > 0)?;
            Some((stage.rung?, cached as f64 / prompt as f64))
        };
        let shares = || levels.iter().filter_map(share);
        let least = shares().min_by(|a, b| a.1.total_cmp(&b.1))?;
        let most = shares().max_by(|a, b| a.1.total_cmp(&b.1))?;
        (most.1 - least.1 > MOST_APART).then_some(Self::Apart { least, most })
    }

    fn no_text(stage: &StageSummary) -> Option<Self> {
        let empty = *stage.answers.as_ref()?.remarks.get(NO_TEXT)?;
        let answers = stage.counts.ok;
        let level = stage.rung?;
        (empty as f64 > MOST_EMPTY * answers as f64).then_some(Self::NoText {
            level,
            empty,
            answers,
        })
    }

    /// In a few words.
    pub(in crate::metrics) fn why(self) -> &'static str {
        match self {
            Self::Apart { .. } => "its levels met different caches",
            Self::NoText { .. } => "answers had no text",
        }
    }

    /// Why nothing is said of what the stage `name`, whose levels these are, can sustain.
    pub(super) fn claim(self, name: &str, load: Load, about: &StageSummary) -> Claim {
        let claim = |text: String| Claim::new(ClaimKind::NotJudged, text).about(about);
        match self {
            Self::Apart { least, most } => claim(format!(
                "{name}: its levels met different caches, so what it can sustain is not known: {} of \
                 the prompt tokens came from the cache at {}, {} at {}. Give each level prompts of \
                 its own: `unique: request` does.",
                show(least.1, "share"),
                load.say(least.0),
                show(most.1, "share"),
                load.say(most.0),
            ))
            .with("least_cached", ClaimFigure::new(least.1, "share"))
            .with("least_at", load.figure(least.0))
            .with("most_cached", ClaimFigure::new(most.1, "share"))
            .with("most_at", load.figure(most.0)),
            Self::NoText { level, empty, answers } => claim(format!(
                "{name}: {} of {} at {} had no text, so what it can sustain is not known: they are \
                 less work than was asked for.",
                grouped(empty),
                plural(answers, "answer"),
                load.say(level),
            ))
            .at(level)
            .with("empty", ClaimFigure::count(empty, "answers"))
            .with("answers", ClaimFigure::count(answers, "answers"))
            .with("level", load.figure(level)),
        }
    }
}

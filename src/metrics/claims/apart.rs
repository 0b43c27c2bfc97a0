//! Levels of load that met different caches, which can't be held against each other.
//!
//! In: the levels of a ladder or the probes of a search. Out: [`Apart`], and the sentence that stands
//! where their capacity would. Invariant: a server that says nothing of its cache, and prompts too short
//! to tell, set nothing apart.

use super::words::Load;
use super::{Claim, ClaimFigure, ClaimKind};
use crate::metrics::quantity::show;
use crate::metrics::summary::StageSummary;
use crate::record::CacheState;

/// Shares of prompt tokens from the cache that are further apart than this are different work.
const MOST: f64 = 0.1;

/// The level that met the least of its prompts in the cache and the one that met the most: (level,
/// share of prompt tokens, 0 to 1).
#[derive(Debug, Clone, Copy)]
pub(in crate::metrics) struct Apart {
    least: (f64, f64),
    most: (f64, f64),
}

impl Apart {
    /// Why figures of capacity are withheld where levels are apart.
    pub(in crate::metrics) const WHY: &str = "its levels met different caches";

    pub(in crate::metrics) fn of(levels: &[&StageSummary]) -> Option<Self> {
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
        (most.1 - least.1 > MOST).then_some(Self { least, most })
    }

    /// Why nothing is said of what the stage `name`, whose levels these are, can sustain.
    pub(super) fn claim(self, name: &str, load: Load, about: &StageSummary) -> Claim {
        let text = format!(
            "{name}: its levels met different caches, so what it can sustain is not known: {} of the \
             prompt tokens came from the cache at {}, {} at {}. Give each level prompts of its own: \
             `unique: request` does.",
            show(self.least.1, "share"),
            load.say(self.least.0),
            show(self.most.1, "share"),
            load.say(self.most.0),
        );
        Claim::new(ClaimKind::NotJudged, text)
            .about(about)
            .with("least_cached", ClaimFigure::new(self.least.1, "share"))
            .with("least_at", load.figure(self.least.0))
            .with("most_cached", ClaimFigure::new(self.most.1, "share"))
            .with("most_at", load.figure(self.most.0))
    }
}

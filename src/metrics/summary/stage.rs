//! What a stage is called, and what it can be held against.

use super::{Distribution, StageSummary};
use crate::metrics::verdict;
use crate::plan::metric::METRICS;
use crate::record::{STOPPED, StageState};

impl StageSummary {
    /// A distribution as it is shown: a latency since when the stage's latencies count.
    pub fn shown(&self, metric: &str) -> Option<&Distribution> {
        self.metrics.get(self.times_from.of(metric))
    }

    /// Its id with its cell, by which ladders and searches are kept: `ladder[model=a]`.
    pub fn key(&self) -> String {
        match &self.cell {
            Some(cell) => format!("{}[{cell}]", self.id),
            None => self.id.clone(),
        }
    }

    /// Whether a check that can fail the run has no data here, so that nobody knows whether it holds.
    pub fn has_untold_check(&self) -> bool {
        self.thresholds.iter().any(|it| verdict::fails(it) && it.is_untold())
    }

    /// How many requests (or users, where those pause) were under way at once where the level asks
    /// for more; `None` when it was reached, or sets a rate.
    pub fn level_missed(&self) -> Option<u64> {
        let (level, load) = (self.rung?, self.load?);
        let sent = self.counts.planned - self.counts.never_started.min(self.counts.planned);
        let reached = if load.pauses { sent } else { load.peak_in_flight? };
        (load.target_rate.is_none() && (reached as f64) < level).then_some(reached)
    }

    /// Whether it was to measure, ran to its end, and has no answer: whether its requests failed, fell
    /// into what settles or never came. A probe bounds its search; what the plan's own `stop_when` left
    /// unsent, or ended over failed requests, is as the plan says.
    pub fn measured_nothing(&self) -> bool {
        let counts = &self.counts;
        let is_forgone = counts.planned > 0 && counts.never_started == counts.planned;
        let is_stopped = self.reason.is_some() && counts.errors > 0;
        let measures = self.reported && !matches!(self.kind.as_str(), "flush" | "pause");
        let is_over = self.state == StageState::Completed && self.probe.is_none();
        measures && is_over && counts.ok == 0 && !is_forgone && !is_stopped
    }

    /// Whether the plan's `stop_when` ended it, or kept it from beginning.
    pub fn was_stopped(&self) -> bool {
        let is_stopped = |reason: &String| reason.starts_with(STOPPED);
        self.state == StageState::Completed && self.reason.as_ref().is_some_and(is_stopped)
    }

    /// Whether counts of prompts, and of what of them was cached, came that can't be.
    pub fn has_impossible_prompts(&self) -> bool {
        self.tokens.as_ref().is_some_and(|tokens| tokens.input.impossible > 0)
    }

    /// Its id with cell and rung, for people: `ladder[model=a]@8`; with the number of a probe.
    pub fn label(&self) -> String {
        let cell = self.cell.as_ref().map(|cell| format!("[{cell}]")).unwrap_or_default();
        let rung = self.rung.map(|rung| format!("@{rung}")).unwrap_or_default();
        // A search may try one level several times.
        let probe = self.probe.as_ref().map(|it| format!("#{}", it.search.probe + 1));
        format!("{}{cell}{rung}{}", self.id, probe.unwrap_or_default())
    }

    /// What its checks are about, for people: those of a search judge what all of its probes found, and not
    /// the last of them, where they are kept.
    pub fn label_of_checks(&self) -> String {
        if self.probe.is_some() { self.key() } else { self.label() }
    }

    /// Whether its prompts are as long as those of `other`, to within a twentieth: times to first
    /// token of others say nothing about a cache. True where lengths are not known.
    pub fn has_prompts_like(&self, other: &Self) -> bool {
        // Estimates of uncounted prompts are alike wrong, so they can be held against each other.
        let estimate = |stage: &Self| {
            let prompts = &stage.tokens.as_ref()?.input;
            Some(prompts.sums.estimate? as f64 / prompts.requests.max(1) as f64)
        };
        let counted = |stage: &Self| stage.metrics.get("input_tokens").map(|it| it.mean);
        let has_counts = counted(self).is_some() && counted(other).is_some();
        let length = |stage: &Self| if has_counts { counted(stage) } else { estimate(stage) };
        let lengths = length(self).zip(length(other));
        lengths.is_none_or(|(ours, theirs)| (ours - theirs).abs() <= 0.05 * ours.max(theirs))
    }

    /// `, which has e2e, response_end`: its metrics of that unit, in words; nothing without any.
    pub fn which_has(&self, unit: &str) -> String {
        let alike = METRICS.iter().filter(|it| it.unit == unit);
        let names = alike.map(|it| it.name).filter(|name| self.metrics.contains_key(*name));
        let names: Vec<&str> = names.collect();
        if names.is_empty() { String::new() } else { format!(", which has {}", names.join(", ")) }
    }
}

//! `search`: what is raised, between which levels, and how it ends.
//!
//! In: a written stage. Out: a resolved one. Invariant: it raises either the rate or the concurrency,
//! and its levels go up.

use super::parts::{MOST_RATE, MOST_USERS, spread, think};
use crate::plan::bind::Spanned;
use crate::plan::diagnostic::{Code, Diagnostic};
use crate::plan::file::{OverWord, PerSecond, SearchKeys};
use crate::plan::lower::Lowering;
use crate::plan::lower::stage::{Draft, Shared};
use crate::plan::source::Span;
use crate::plan::{Action, Limit, Search, SearchAxis, Stage};

/// Relative distance between pass and failure at which a search is done, unless the plan says so.
const TOLERANCE: f64 = 0.05;

/// Probes that must agree at either end.
const CONFIRMATIONS: u64 = 2;

/// Most probes. Doubling from 1 to a million takes 20, and narrowing to 5 % about 5 more.
const PROBES: u64 = 40;

impl Lowering<'_> {
    pub(in crate::plan::lower::stage) fn search(
        &mut self,
        draft: &Draft,
        keys: &SearchKeys,
        shared: &Shared,
    ) -> Option<Search> {
        let over = keys.over.map(|over| over.value);
        let measure = self.measure(&keys.counting(), keys.max_lag, keys.step);
        let axis = match over {
            None => {
                if !self.found_bad(draft, &["over"]) {
                    let message = format!("the stage `{}` does not say what to raise", draft.id());
                    let help = "add `over: rate` or `over: concurrency`";
                    self.error(Code::Incomplete, draft.span, message, help);
                }
                None
            }
            Some(OverWord::Rate) => {
                for (key, at) in [
                    ("think", keys.think.as_ref().map(|it| it.at.span)),
                    ("spread", keys.spread.as_ref().map(|it| it.at.span)),
                ] {
                    self.without(key, at, "over: rate");
                }
                let arrival = self.arrival(&keys.arrivals(), draft.span);
                let pacing = self.pacing(&keys.pacing());
                arrival.map(|arrival| SearchAxis::Rate { arrival, pacing })
            }
            Some(OverWord::Concurrency) => {
                self.no_pacing(&keys.arrivals(), &keys.pacing(), "over: concurrency");
                Some(SearchAxis::Concurrency {
                    spread: spread(keys.spread, &measure),
                    think: think(keys.think),
                })
            }
        };
        let (low, high) = self.levels(keys, over);
        let at_least = keys.at_least.and_then(|level| {
            self.level("at_least", level, over);
            let outside = level.value.0 > high;
            if outside {
                let message = "`at_least` lies above `to`, so the search can never reach it";
                self.error(Code::Value, level.at.span, message, "raise `to`");
            }
            (!outside).then_some(level.value.0)
        });
        let tolerance = keys.tolerance.map_or(TOLERANCE, |share| {
            if !(0.001..=0.5).contains(&share.value.0) {
                let message = "`tolerance` must be from 0.1 % to 50 %";
                self.error(Code::Value, share.at.span, message, "5 % unless given");
            }
            share.value.0
        });
        let step = self.until(draft, keys.requests, ("step", keys.step));
        let traffic = self.traffic(draft, &keys.asking(), shared);
        Some(Search {
            traffic: traffic?,
            over: axis?,
            low,
            high,
            at_least: Some(at_least.unwrap_or(low)),
            tolerance,
            confirmations: self
                .positive("confirmations", keys.confirmations)
                .unwrap_or(CONFIRMATIONS),
            max_probes: self.positive("max_probes", keys.max_probes).unwrap_or(PROBES),
            max_requests: self.positive("max_requests", keys.max_requests),
            step: step?,
            measure,
        })
    }

    /// The lowest and the highest level.
    fn levels(&mut self, keys: &SearchKeys, over: Option<OverWord>) -> (f64, f64) {
        let most = most(over);
        let low = keys.from.map_or(1.0, |level| {
            self.level("from", level, over);
            level.value.0
        });
        let high = keys.to.map_or(most, |level| {
            self.level("to", level, over);
            level.value.0
        });
        if let Some(to) = keys.to.filter(|_| high <= low) {
            let message = "`to` must lie above `from`";
            self.error(Code::Value, to.at.span, message, &format!("`from` is {low}"));
        }
        (low, high)
    }

    /// Checks a level.
    fn level(&mut self, key: &str, level: Spanned<PerSecond>, over: Option<OverWord>) {
        let value = level.value.0;
        let (fine, what) = match over {
            Some(OverWord::Concurrency) => (
                (1.0..=MOST_USERS).contains(&value) && value.fract() == 0.0,
                format!("a whole number from 1 to {MOST_USERS}"),
            ),
            _ => (
                value > 0.0 && value <= MOST_RATE,
                "above 0 and at most 1,000,000 per second".to_owned(),
            ),
        };
        if !fine {
            self.error(Code::Value, level.at.span, format!("`{key}` must be {what}"), "");
        }
    }

    /// What can only be checked once all thresholds are known.
    pub(in crate::plan::lower::stage) fn searches(&mut self, stages: &[Option<Stage>]) {
        for stage in stages.iter().flatten() {
            let Action::Search(search) = &stage.action else { continue };
            let over_users = matches!(search.over, SearchAxis::Concurrency { .. });
            if over_users && stage.thresholds.is_empty() && !self.may_have_thresholds(stage) {
                let message =
                    format!("the stage `{}` does not say what a concurrency must hold", stage.id);
                self.push(
                    Diagnostic::error(Code::Incomplete, message)
                        .at(stage.location.clone())
                        .help("add `thresholds:`, such as `ttft.p95 < 800ms`"),
                );
            }
            for threshold in &stage.thresholds {
                if matches!(threshold.right, Limit::Baseline { .. }) {
                    let message = "a search is not judged level by level against a baseline";
                    self.push(
                        Diagnostic::error(Code::Threshold, message)
                            .at(threshold.location.clone())
                            .help("compare with a number or with another stage"),
                    );
                }
            }
        }
    }

    /// Whether a threshold was written that could not be read.
    fn may_have_thresholds(&self, stage: &Stage) -> bool {
        let of_plan = self.may_be_given(self.tree.at, &["thresholds"]);
        let items = self.tree.get("stages").map(|stages| &stages.value);
        let crate::plan::source::Value::List(items) = items.unwrap_or(&self.tree.value) else {
            return of_plan;
        };
        let is_it = |span: Span| self.location(span).line == stage.location.line;
        of_plan
            || items
                .iter()
                .filter(|item| item.entries().iter().any(|entry| is_it(entry.key_span)))
                .any(|item| self.may_be_given(item.at, &["thresholds"]))
    }
}

fn most(over: Option<OverWord>) -> f64 {
    match over {
        Some(OverWord::Concurrency) => MOST_USERS,
        _ => MOST_RATE,
    }
}

//! What checks say of rungs: `where:`, and stages of several rungs that are compared.
//!
//! In: checks as written, and the stages that came of the plan. Out: filters of rungs, and an error
//! for each check that could only ever fail for want of data. Invariant: a stage of several rungs has
//! a number for each, so whoever is compared with it needs the same rung.

use super::Lowering;
use crate::plan::bind::Spanned;
use crate::plan::diagnostic::{Code, Diagnostic};
use crate::plan::threshold;
use crate::plan::{Action, Limit, RungFilter, Stage, Threshold, suggest};

/// The names that the rungs of a stage kind go by.
fn rung_names(kind: &str) -> &'static [&'static str] {
    match kind {
        "qps_ladder" => &["rung", "rate"],
        "concurrency_ramp" => &["rung", "concurrency"],
        _ => &[],
    }
}

/// What a stage is measured in.
enum Rungs {
    /// One piece.
    Whole,
    /// A piece for each of these levels.
    Levels(Vec<f64>),
    /// A piece for each level that a search tries.
    Found,
}

impl Rungs {
    fn of(action: &Action) -> Self {
        match action {
            Action::QpsLadder(ladder) => Self::Levels(ladder.rates.clone()),
            Action::ConcurrencyRamp(ramp) => {
                Self::Levels(ramp.levels.iter().map(|level| *level as f64).collect())
            }
            Action::Search(_) => Self::Found,
            _ => Self::Whole,
        }
    }
}

impl Lowering<'_> {
    /// Reports checks that can't find the rungs they speak of.
    pub(super) fn rungs(&mut self, stages: &[Option<Stage>]) {
        for stage in stages.iter().flatten() {
            self.rungs_exist(stage);
            let live = stage.live.iter().map(|check| &check.when);
            for check in stage.thresholds.iter().chain(live) {
                self.rungs_match(check, stage, stages);
            }
        }
    }

    /// Reports checks whose `where` matches none of the rungs their stage will have: nothing would
    /// ever be judged by them. The levels of a search are only known as it goes.
    fn rungs_exist(&mut self, stage: &Stage) {
        let Rungs::Levels(levels) = Rungs::of(&stage.action) else { return };
        for check in stage.thresholds.iter().filter(|check| !check.allow_no_data) {
            let Some(filter) = &check.rungs else { continue };
            if levels.iter().any(|level| check.judges(Some(*level))) {
                continue;
            }
            let message = format!("`where: {}` matches no rung of `{}`", filter.text, stage.id);
            self.push(
                Diagnostic::error(Code::ThresholdStage, message)
                    .at(check.location.clone())
                    .help(format!("its rungs are {}", shown(&levels))),
            );
        }
    }

    /// Reports a check that reads another stage's rungs and has none of its own to match them.
    fn rungs_match(&mut self, check: &Threshold, own: &Stage, stages: &[Option<Stage>]) {
        if check.allow_no_data {
            return;
        }
        let right = match &check.right {
            Limit::Times { of, .. } => of.stage.as_deref(),
            Limit::Value(_) | Limit::Cache(_) | Limit::Baseline { .. } => None,
        };
        for id in check.left.stage.as_deref().into_iter().chain(right) {
            let Some(other) = stages.iter().flatten().find(|stage| stage.id == id) else {
                continue;
            };
            if other.id == own.id {
                continue;
            }
            let what = match Rungs::of(&other.action) {
                Rungs::Whole => continue,
                Rungs::Levels(levels) if levels.len() < 2 => continue,
                Rungs::Levels(levels) => {
                    let missing: Vec<f64> = match Rungs::of(&own.action) {
                        Rungs::Levels(own) => {
                            let judged = own.into_iter().filter(|it| check.judges(Some(*it)));
                            judged.filter(|it| !levels.contains(it)).collect()
                        }
                        Rungs::Whole | Rungs::Found => Vec::new(),
                    };
                    match Rungs::of(&own.action) {
                        Rungs::Levels(_) if missing.is_empty() => continue,
                        Rungs::Levels(_) => format!(
                            "`{id}` has the rungs {}, and not {} as `{}` has",
                            shown(&levels),
                            shown(&missing),
                            own.id
                        ),
                        Rungs::Whole | Rungs::Found => format!(
                            "`{id}` has a number for each of its rungs {}, and `{}` has no rung to match them",
                            shown(&levels),
                            own.id
                        ),
                    }
                }
                Rungs::Found => {
                    format!("`{id}` has a number for each level that it tries, and none for all")
                }
            };
            self
                .push(Diagnostic::error(Code::ThresholdStage, what).at(check.location.clone()).help(
                format!(
                    "compare with a stage that has one load, or put a check of its own on `{id}`"
                ),
            ));
        }
    }

    /// `where:` of a check on a stage of this kind.
    pub(super) fn rung_filter(
        &mut self,
        written: &Spanned<String>,
        kind: &str,
    ) -> Option<RungFilter> {
        let names = rung_names(kind);
        if names.is_empty() {
            let message = format!("a {kind} stage has no rungs to choose from");
            let help = "remove `where`; it belongs to stages that climb rates or concurrencies";
            self.error(Code::ThresholdStage, written.at.span, message, help);
            return None;
        }
        match threshold::rungs(&written.value, names) {
            Ok(filter) => Some(filter),
            Err(problem) => {
                self.refused(&written.value, written.at.span, problem);
                None
            }
        }
    }
}

fn shown(levels: &[f64]) -> String {
    let levels: Vec<String> = levels.iter().map(f64::to_string).collect();
    suggest::list(levels.iter().map(String::as_str))
}

//! `thresholds:` → [`Threshold`]s on their stages.
//!
//! In: checks as written. Out: checks attached to the stage they judge. Invariant: a cold stage is
//! judged to be cold even when nobody says so.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Lowering;
use super::stage::Draft;
use crate::plan::bind::Spanned;
use crate::plan::diagnostic::{Code, Diagnostic};
use crate::plan::file::{ThresholdFile, TimeSpan};
use crate::plan::metric::{self, Origin};
use crate::plan::source::Span;
use crate::plan::threshold::{self, Check};
use crate::plan::{CacheWord, Level, Limit, MetricRef, Op, Stage, Threshold};

/// The stage a check is written in.
pub(super) struct Judged<'j> {
    pub(super) id: &'j str,
    pub(super) kind: &'static str,
    pub(super) span: Span,
}

/// Where a check and its sides stand.
#[derive(Clone, Copy)]
pub(super) struct Places {
    pub(super) whole: Span,
    pub(super) left: Span,
    pub(super) right: Span,
}

/// Which stage runs when, as far as the text tells.
pub(super) struct Ranks {
    ids: Vec<String>,
    kinds: Vec<&'static str>,
    needs: BTreeMap<String, Vec<String>>,
}

impl Ranks {
    pub(super) fn new(drafts: &[Draft]) -> Self {
        let ids: Vec<String> = drafts.iter().map(|draft| draft.id().to_owned()).collect();
        let needs = drafts.iter().enumerate().map(|(index, draft)| {
            let needs = match draft.own_needs() {
                Some(needs) => needs.into_iter().map(str::to_owned).collect(),
                None => index.checked_sub(1).map(|it| ids[it].clone()).into_iter().collect(),
            };
            (draft.id().to_owned(), needs)
        });
        let needs = needs.collect();
        Self { kinds: drafts.iter().map(Draft::kind).collect(), needs, ids }
    }

    fn words(&self) -> Vec<&str> {
        self.ids.iter().map(String::as_str).collect()
    }

    fn kind(&self, id: &str) -> Option<&'static str> {
        let index = self.ids.iter().position(|it| it == id)?;
        self.kinds.get(index).copied()
    }

    /// Whether `first` is done when `later` is judged: it stands before it, or `later` waits for it.
    fn is_before(&self, first: &str, later: &str) -> bool {
        let index = |id: &str| self.ids.iter().position(|it| it == id);
        if index(first) < index(later) {
            return true;
        }
        let mut waiting = vec![later];
        let mut seen: Vec<&str> = Vec::new();
        while let Some(id) = waiting.pop() {
            if seen.contains(&id) {
                continue;
            }
            seen.push(id);
            let needs = self.needs.get(id).map_or(&[][..], Vec::as_slice);
            if needs.iter().any(|need| need == first) {
                return true;
            }
            waiting.extend(needs.iter().map(String::as_str));
        }
        false
    }
}

/// What is no distribution and can all the same be told of a part of a stage.
pub(super) const SHARES: [&str; 2] = ["error_rate", "success_rate"];

pub(super) fn sends(kind: &str) -> bool {
    matches!(
        kind,
        "cold"
            | "warm"
            | "load"
            | "qps_ladder"
            | "concurrency_ramp"
            | "search"
            | "conversation"
            | "replay"
    )
}

impl Lowering<'_> {
    /// The checks of one stage, the one that its kind brings along last.
    pub(super) fn thresholds(
        &mut self,
        judged: &Judged<'_>,
        written: &[Spanned<ThresholdFile>],
        ranks: &Ranks,
    ) -> Vec<Threshold> {
        if let (Some(first), false) = (written.first(), sends(judged.kind)) {
            let message = format!("a {} stage has no numbers to judge", judged.kind);
            let help = "put the check on a stage that sends requests";
            self.error(Code::ThresholdStage, first.at.span, message, help);
            return Vec::new();
        }
        let mut thresholds: Vec<Threshold> = written
            .iter()
            .filter_map(|written| {
                let (mut threshold, places) = self.threshold(written, judged.kind, ranks)?;
                // Its own id is no other stage.
                if threshold.left.stage.as_deref() == Some(judged.id) {
                    threshold.left.stage = None;
                }
                if let (Some(_), Some(other)) = (threshold.over_ms, &threshold.left.stage) {
                    let message = format!("a stretch of `{other}` is judged where `{other}` is");
                    let help = format!("move this check to `{other}`, or remove `over`");
                    self.error(Code::ThresholdStage, places.left, message, &help);
                    return None;
                }
                self.refers_back(&threshold, judged.id, places, ranks).then_some(threshold)
            })
            .collect();
        let says = |it: &Threshold| it.left.stage.is_none() && it.left.metric == "cache";
        if judged.kind == "cold" && !thresholds.iter().any(says) {
            thresholds.push(Threshold {
                check: "cache == cold".into(),
                left: MetricRef { stage: None, metric: "cache".into(), aggregate: None },
                op: Op::Eq,
                right: Limit::Cache(CacheWord::Cold),
                level: Level::Fail,
                min_samples: 1,
                rungs: None,
                over_ms: None,
                from: None,
                allow_no_data: false,
                implicit: true,
                location: self.location(judged.span),
            });
        }
        thresholds
    }

    /// The plan's own checks, each put on the stage that it names.
    pub(super) fn plan_thresholds(
        &mut self,
        written: &[Spanned<ThresholdFile>],
        ranks: &Ranks,
        stages: &mut [Option<Stage>],
    ) {
        for written in written {
            let kind = Self::kind_named(written, ranks);
            let Some((mut threshold, places)) = self.threshold(written, kind, ranks) else {
                continue;
            };
            let Some(id) = threshold.left.stage.take() else {
                let example = ranks.ids.first().map_or("cold", String::as_str);
                let help = format!(
                    "write `{example}.{}`, or move it to `thresholds` of a stage",
                    threshold.check
                );
                let message = "a threshold of the plan begins with a stage's id";
                self.error(Code::ThresholdStage, places.whole, message, &help);
                continue;
            };
            let kind = ranks.kind(&id).unwrap_or("cold");
            if !sends(kind) {
                let message = format!("`{id}` is a {kind} stage and has no numbers to judge");
                self.error(
                    Code::ThresholdStage,
                    places.left,
                    message,
                    "name a stage that sends requests",
                );
                continue;
            }
            if !self.refers_back(&threshold, &id, places, ranks) {
                continue;
            }
            let stage = stages.iter_mut().flatten().find(|stage| stage.id == id);
            if let Some(stage) = stage {
                if threshold.left.metric == "cache" {
                    stage.thresholds.retain(|other| !other.implicit);
                }
                stage.thresholds.push(threshold);
            }
        }
    }

    /// Whether what a check compares with is known by the time it is judged.
    pub(super) fn refers_back(
        &mut self,
        threshold: &Threshold,
        judged: &str,
        places: Places,
        ranks: &Ranks,
    ) -> bool {
        let right = match &threshold.right {
            Limit::Times { of, .. } => of.stage.as_deref(),
            Limit::Value(_) | Limit::Cache(_) | Limit::Baseline { .. } => None,
        };
        let mut fine = true;
        let sides = [(threshold.left.stage.as_deref(), places.left), (right, places.right)];
        for (other, span) in sides {
            let Some(other) = other else { continue };
            let kind = ranks.kind(other).unwrap_or("cold");
            let (message, help) = if !sends(kind) {
                let message = format!("`{other}` is a {kind} stage and has no numbers");
                (message, "name a stage that sends requests".to_owned())
            } else if other == judged && span == places.right {
                let message = format!("`{judged}` is compared with itself");
                (message, "name an earlier stage".to_owned())
            } else if other == judged || ranks.is_before(other, judged) {
                continue;
            } else {
                let message = format!("`{other}` has not run when `{judged}` is judged");
                let help = format!("move the check to `{other}`, or let `{judged}` need `{other}`");
                (message, help)
            };
            self.error(Code::ThresholdStage, span, message, &help);
            fine = false;
        }
        fine
    }

    fn threshold(
        &mut self,
        written: &Spanned<ThresholdFile>,
        kind: &str,
        ranks: &Ranks,
    ) -> Option<(Threshold, Places)> {
        let (check, keys) = match &written.value {
            ThresholdFile::Text(text) => (text, None),
            ThresholdFile::Map(keys) => (&keys.check, Some(keys)),
        };
        let level = keys.and_then(|keys| keys.level);
        let min_samples = self.positive("min_samples", keys.and_then(|keys| keys.min_samples));
        let rungs = keys.and_then(|keys| keys.rungs.as_ref());
        let rungs = rungs.map(|written| self.rung_filter(written, kind));
        let over = keys.and_then(|keys| keys.over);
        let over_ms = over.map(|over| self.over(over));
        let from = keys.and_then(|keys| keys.from);
        let (parsed, places) = self.parsed(check, ranks)?;
        let from = self.origin(&parsed, from);
        if let Some(over) = over {
            self.of_a_stretch(&parsed, over.at.span, places)?;
        }
        let span = places.whole;
        let Check { left, op, right, .. } = parsed;
        let rungs = match rungs {
            Some(filter) => Some(filter?),
            None => None,
        };
        let threshold = Threshold {
            check: check.value.trim().to_owned(),
            left,
            op,
            right,
            level: level.unwrap_or(Level::Fail),
            min_samples: min_samples.unwrap_or(1),
            rungs,
            over_ms,
            from,
            allow_no_data: keys.and_then(|keys| keys.allow_no_data).unwrap_or(false),
            implicit: false,
            location: self.location(span),
        };
        Some((threshold, places))
    }

    /// `over:` in milliseconds.
    pub(super) fn over(&mut self, over: Spanned<TimeSpan>) -> u64 {
        const MOST: Duration = Duration::from_secs(30 * 86_400);
        let length = over.value.0;
        if length < Duration::from_millis(1) || length > MOST {
            let help = "write the length of a stretch, such as `30s`";
            let message = "`over` must be at least 1ms and at most 30d";
            self.error(Code::Value, over.at.span, message, help);
        }
        u64::try_from(length.as_millis()).unwrap_or(u64::MAX).max(1)
    }

    /// Whether a check can be judged on a part of a stage.
    fn of_a_stretch(&mut self, check: &Check, over: Span, places: Places) -> Option<()> {
        let name = &check.left.metric;
        let is_distribution = metric::find(name).is_some_and(|it| it.distribution);
        if check.op == Op::Eq {
            let message = "`==` can't be judged `over` a part of the stage";
            let help = "remove `over`, or compare with `<`, `<=`, `>` or `>=`";
            self.error(Code::Threshold, over, message, help);
        } else if !is_distribution && !SHARES.contains(&name.as_str()) {
            let message = format!("`{name}` is known of a whole stage only");
            let help = "remove `over`, or check `error_rate`, `success_rate` or a distribution \
                        such as `ttft.p99`";
            self.error(Code::Metric, places.left, message, help);
        } else {
            return Some(());
        }
        None
    }

    /// `from:`; an error where the check is about no latency that has both.
    pub(super) fn origin(
        &mut self,
        check: &Check,
        from: Option<Spanned<Origin>>,
    ) -> Option<Origin> {
        let from = from?;
        if metric::from_due(&check.left.metric).is_some() {
            return Some(from.value);
        }
        let message =
            format!("`{}` is not one of the latencies that `from` is for", check.left.metric);
        let names: Vec<&str> = metric::LATENCIES.iter().map(|(sent, _)| *sent).collect();
        let help = format!("remove `from`, or check one of {}", names.join(", "));
        self.error(Code::Conflict, from.at.span, message, &help);
        None
    }

    /// Parses a check and finds the places of its sides.
    pub(super) fn parsed(
        &mut self,
        check: &Spanned<String>,
        ranks: &Ranks,
    ) -> Option<(Check, Places)> {
        let span = check.at.span;
        let parsed = match threshold::parse(&check.value, &ranks.words()) {
            Ok(parsed) => parsed,
            Err(problem) => {
                self.refused(&check.value, span, problem);
                return None;
            }
        };
        let place = |(from, len): (usize, usize)| match self.sources.slice(span).find(&check.value)
        {
            Some(at) => span.part(at + from, len),
            // The check came out of references: there is no place for its parts.
            None => span,
        };
        let places =
            Places { whole: span, left: place(parsed.left_at), right: place(parsed.right_at) };
        Some((parsed, places))
    }

    /// The kind of the stage that a check of the plan begins with, as far as it can be told.
    fn kind_named(written: &Spanned<ThresholdFile>, ranks: &Ranks) -> &'static str {
        let check = match &written.value {
            ThresholdFile::Text(text) => &text.value,
            ThresholdFile::Map(keys) => &keys.check.value,
        };
        let id = check.split('.').next().unwrap_or_default().trim();
        ranks.kind(id).unwrap_or("cold")
    }

    pub(super) fn refused(&mut self, check: &str, span: Span, problem: threshold::Problem) {
        // A name that may belong to a stage which binding refused.
        if problem.code == Code::ThresholdStage {
            let (from, len) = problem.at;
            if self.may_be_refused(check.get(from..from + len).unwrap_or_default()) {
                return;
            }
        }
        let shown = self.sources.slice(span);
        let place = shown.find(check).map_or(span, |at| span.part(at + problem.at.0, problem.at.1));
        let mut diagnostic = Diagnostic::error(problem.code, problem.message)
            .label(self.location(place), problem.label);
        if !shown.contains(check) {
            diagnostic = diagnostic.help(format!("the check reads `{check}`"));
        }
        self.push(if problem.help.is_empty() { diagnostic } else { diagnostic.help(problem.help) });
    }
}

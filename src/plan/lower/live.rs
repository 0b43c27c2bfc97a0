//! `abort:` and `stop_when:` → [`LiveCheck`]s.
//!
//! In: checks as written. Out: checks that can be answered while their stage runs. Invariant: they
//! speak of the stage's own metrics and plain numbers only, since nothing else is known by then.

use super::Lowering;
use super::threshold::{Judged, Ranks, sends};
use crate::plan::bind::Spanned;
use crate::plan::diagnostic::Code;
use crate::plan::file::{LiveFile, LiveKeys};
use crate::plan::metric;
use crate::plan::threshold::Check;
use crate::plan::{Ending, Level, Limit, LiveCheck, Threshold};

/// What a share of the requests so far can be told of.
const SHARES: [&str; 2] = ["error_rate", "success_rate"];

impl Lowering<'_> {
    /// The checks that end a stage early.
    pub(super) fn live(
        &mut self,
        judged: &Judged<'_>,
        ending: Ending,
        written: &[Spanned<LiveFile>],
        ranks: &Ranks,
    ) -> Vec<LiveCheck> {
        if let (Some(first), false) = (written.first(), sends(judged.kind)) {
            let key = key(ending);
            let message = format!("a {} stage has no numbers for `{key}`", judged.kind);
            let help = "put the check on a stage that sends requests";
            self.error(Code::ThresholdStage, first.at.span, message, help);
            return Vec::new();
        }
        written.iter().filter_map(|it| self.live_check(judged, ending, it, ranks)).collect()
    }

    fn live_check(
        &mut self,
        judged: &Judged<'_>,
        ending: Ending,
        written: &Spanned<LiveFile>,
        ranks: &Ranks,
    ) -> Option<LiveCheck> {
        let (check, over, min_samples) = match &written.value {
            LiveFile::Text(text) => (text, None, None),
            LiveFile::Map(LiveKeys { check, over, min_samples }) => (check, *over, *min_samples),
        };
        let min_samples = self.positive("min_samples", min_samples);
        if let Some(over) = over.filter(|over| over.value.0.is_zero()) {
            self.error(Code::Value, over.at.span, "`over` must be longer than nothing", "");
        }
        let (Check { mut left, op, right, .. }, places) = self.parsed(check, ranks)?;
        let key = key(ending);
        if left.stage.as_deref().is_some_and(|stage| stage != judged.id) {
            let message = format!("`{key}` watches its own stage, `{}`", judged.id);
            self.error(Code::ThresholdStage, places.left, message, "leave the other stage out");
            return None;
        }
        left.stage = None;
        if !matches!(right, Limit::Value(_)) {
            let message = format!("`{key}` compares with a plain number");
            let help = "write a check such as `error_rate > 20%` or `ttft.p99 > 5s`; comparisons \
                        with other stages and baselines belong to `thresholds`";
            self.error(Code::Threshold, places.right, message, help);
            return None;
        }
        let is_distribution = metric::find(&left.metric).is_some_and(|it| it.distribution);
        if !is_distribution && !SHARES.contains(&left.metric.as_str()) {
            let message = format!("`{}` is not known before the stage is over", left.metric);
            let help = "watch `error_rate`, `success_rate` or a distribution such as `ttft.p99`";
            self.error(Code::Metric, places.left, message, help);
            return None;
        }
        Some(LiveCheck {
            when: Threshold {
                check: check.value.trim().to_owned(),
                left,
                op,
                right,
                level: Level::Fail,
                min_samples: min_samples.unwrap_or(1),
                rungs: None,
                allow_no_data: false,
                implicit: false,
                location: self.location(places.whole),
            },
            over: over.map(|over| over.value.0),
            ending,
        })
    }
}

/// The plan's word for it.
fn key(ending: Ending) -> &'static str {
    match ending {
        Ending::Abort => "abort",
        Ending::Stop => "stop_when",
    }
}

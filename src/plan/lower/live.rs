//! `abort:` and `stop_when:` → [`LiveCheck`]s.
//!
//! In: checks as written. Out: checks that can be answered while their stage runs. Invariant: on the
//! left stands a metric of the stage itself that can be told before it ends; on the right a plain
//! number, what a summary keeps of a stage that is over by then, or a baseline.

use std::time::Duration;

use super::Lowering;
use super::threshold::{Judged, Places, Ranks, SHARES, sends};
use crate::plan::bind::Spanned;
use crate::plan::diagnostic::Code;
use crate::plan::file::{LiveFile, LiveKeys};
use crate::plan::metric;
use crate::plan::threshold::Check;
use crate::plan::{Aggregate, Ending, Level, Limit, LiveCheck, Threshold};

/// The percentiles that summaries keep.
const KEPT: [f64; 6] = [0.0, 50.0, 90.0, 95.0, 99.0, 100.0];

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
        let (check, over, min_samples, from) = match &written.value {
            LiveFile::Text(text) => (text, None, None, None),
            LiveFile::Map(LiveKeys { check, over, min_samples, from }) => {
                (check, *over, *min_samples, *from)
            }
        };
        let min_samples = self.positive("min_samples", min_samples);
        let over = over.map(|over| Duration::from_millis(self.over(over)));
        let (parsed, places) = self.parsed(check, ranks)?;
        let from = self.origin(&parsed, from);
        let Check { mut left, op, right, .. } = parsed;
        let key = key(ending);
        if left.stage.as_deref().is_some_and(|stage| stage != judged.id) {
            let message = format!("`{key}` watches its own stage, `{}`", judged.id);
            self.error(Code::ThresholdStage, places.left, message, "leave the other stage out");
            return None;
        }
        left.stage = None;
        self.known_at_the_start(key, judged, &right, places)?;
        let is_distribution = metric::find(&left.metric).is_some_and(|it| it.distribution);
        if !is_distribution && !SHARES.contains(&left.metric.as_str()) {
            let message = format!("`{}` is not known before the stage is over", left.metric);
            let help = "watch `error_rate`, `success_rate` or a distribution such as `ttft.p99`";
            self.error(Code::Metric, places.left, message, help);
            return None;
        }
        let live = LiveCheck {
            when: Threshold {
                check: check.value.trim().to_owned(),
                left,
                op,
                right,
                level: Level::Fail,
                min_samples: min_samples.unwrap_or(1),
                rungs: None,
                over_ms: None,
                from,
                allow_no_data: false,
                implicit: false,
                location: self.location(places.whole),
            },
            over,
            ending,
        };
        let earlier = self.refers_back(&live.when, judged.id, places, ranks);
        earlier.then_some(live)
    }

    /// Whether what a live check compares with can be known when its stage begins.
    fn known_at_the_start(
        &mut self,
        key: &str,
        judged: &Judged<'_>,
        right: &Limit,
        places: Places,
    ) -> Option<()> {
        let (message, help) = match right {
            Limit::Value(_) | Limit::Baseline { .. } => return Some(()),
            Limit::Cache(_) => (
                format!("`{key}` can't wait for a verdict, which is known at the end"),
                "put `cache == …` under `thresholds`",
            ),
            Limit::Times { of, .. } if of.stage.as_deref().is_none_or(|id| id == judged.id) => (
                format!("`{key}` compares `{}` with itself", judged.id),
                "compare with a number, with an earlier stage (`2 * cold.ttft.p50`) or with \
                 `baseline + 10%`",
            ),
            Limit::Times { of, .. } => match of.aggregate {
                Some(Aggregate::Percentile(percent)) if !KEPT.contains(&percent) => (
                    format!("of a stage that is over, p{percent} is not kept"),
                    "kept are mean, std, min, max, count, p50, p90, p95 and p99",
                ),
                _ => return Some(()),
            },
        };
        self.error(Code::Threshold, places.right, message, help);
        None
    }
}

/// The plan's word for it.
fn key(ending: Ending) -> &'static str {
    match ending {
        Ending::Abort => "abort",
        Ending::Stop => "stop_when",
    }
}

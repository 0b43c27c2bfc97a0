//! What the notes of a run say of stages that lost requests, or measured nothing.
//!
//! In: the stages of a run. Out: a sentence for each that has one.

use crate::metrics::quantity::plural;
use crate::metrics::summary::StageSummary;

/// How many requests are lost, if any.
pub(super) fn loss(stage: &StageSummary) -> Option<String> {
    let lost = stage.counts.lost_in_flight;
    (lost > 0).then(|| {
        format!(
            "stage {}: {} {} in flight when the record log ended (lines of the last moment may be \
             missing, so some of these may have ended, or some more have started)",
            stage.label(),
            plural(lost, "request"),
            if lost == 1 { "was" } else { "were" },
        )
    })
}

/// Why a stage measured nothing, if so.
pub(super) fn nothing(stage: &StageSummary, stages: &[StageSummary]) -> Option<String> {
    if !stage.measured_nothing() {
        return None;
    }
    let is_its_own = |other: &&StageSummary| {
        let same = (&other.cell, other.rung) == (&stage.cell, stage.rung);
        same && other.kind == "settle" && other.id.strip_prefix(&stage.id) == Some(".settle")
    };
    let settled = || stages.iter().filter(is_its_own).map(|other| other.counts.accounted()).sum();
    let requests = |count| plural(count, "request");
    let why = match (stage.counts.planned, stage.counts.errors) {
        (0, _) if settled() > 0 => format!(
            "all of its {} came within `settle` and none of them counts, so it measured nothing: ask \
             for more requests or a longer stage, or settle for less",
            requests(settled())
        ),
        (0, _) => {
            "no request came in its time, so it measured nothing: ask for a higher rate or a \
                   longer stage"
                .to_owned()
        }
        (_, 0) => format!(
            "none of its {} was answered before it was over, so it measured nothing: give it more time",
            requests(stage.counts.planned)
        ),
        (_, errors) => {
            format!("{} failed and none succeeded, so it measured nothing", requests(errors))
        }
    };
    Some(format!("incomplete: stage {}: {why}", stage.label()))
}

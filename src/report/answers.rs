//! Why answers ended, and whose they are, one line per stage.
//!
//! In: stages. Out: lines of text. Invariant: the rungs of a stage count together; reasons of failed
//! answers alone are told as such.

use std::collections::BTreeMap;

use super::escape::{named, printable};
use crate::metrics::answers::AnswerSummary;
use crate::metrics::quantity::show;
use crate::metrics::summary::StageSummary;

/// A line for each stage whose answers give reasons.
pub(super) fn lines(stages: &[&StageSummary]) -> Vec<String> {
    by_stage(stages, in_words)
}

/// A line for each stage whose rows name models that were asked.
pub(super) fn by_model(stages: &[&StageSummary]) -> Vec<String> {
    by_stage(stages, models)
}

/// A line for each stage of which something is to be said.
fn by_stage(
    stages: &[&StageSummary],
    words: fn(&[&StageSummary]) -> Option<String>,
) -> Vec<String> {
    let same = |a: &&StageSummary, b: &&StageSummary| a.id == b.id && a.cell == b.cell;
    let told: Vec<(String, String)> = stages
        .chunk_by(same)
        .filter_map(|rungs| {
            let first = rungs.first()?;
            let cell = first.cell.as_ref().map(|cell| format!("[{cell}]")).unwrap_or_default();
            let name = format!("{}{cell}", first.id);
            Some((printable(&name).into_owned(), words(rungs)?))
        })
        .collect();
    named(&told)
}

/// `finish reasons: stop 75 %, length 25 %; by model: lora-a 9 ok, TTFT p50 12 ms`, of all these stages
/// together.
pub(super) fn in_words(stages: &[&StageSummary]) -> Option<String> {
    let answers = stages.iter().filter_map(|stage| stage.answers.as_ref());
    let reasons = AnswerSummary::together(answers).reasons_in_words();
    let of = if stages.iter().any(|stage| stage.counts.ok > 0) {
        "finish reasons"
    } else {
        "finish reasons of failed answers"
    };
    let reasons = reasons.map(|words| format!("{of}: {words}"));
    let said: Vec<String> = reasons.into_iter().chain(models(stages)).collect();
    (!said.is_empty()).then(|| printable(&said.join("; ")).into_owned())
}

/// What requests came to by the model asked for because their row names one. Times of several rungs are no one figure.
fn models(stages: &[&StageSummary]) -> Option<String> {
    let mut counts: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for (name, model) in stages.iter().flat_map(|stage| &stage.models) {
        let (ok, errors) = counts.entry(name).or_default();
        (*ok, *errors) = (*ok + model.ok, *errors + model.errors);
    }
    let of = |(name, (ok, errors)): (&&str, &(u64, u64))| {
        let mut words = vec![format!("{name} {ok} ok")];
        words.extend((*errors > 0).then(|| format!("{errors} failed")));
        if let [stage] = stages {
            let times =
                [("ttft", "TTFT"), ("e2e", "E2E")].into_iter().filter_map(|(metric, word)| {
                    let figures = stage.models.get(*name)?.metrics.get(metric)?;
                    Some(format!("{word} p50 {}", show(figures.p50, &figures.unit)))
                });
            words.extend(times);
        }
        words.join(", ")
    };
    let words: Vec<String> = counts.iter().map(of).collect();
    (!words.is_empty()).then(|| printable(&format!("by model: {}", words.join(" · "))).into_owned())
}

//! A run's numbers and samples → its [`ReportView`].
//!
//! In: a [`Summary`], the [`RunSamples`] of the same lines, and a [`Background`]. Out: the view.
//! Invariant: rungs of one ladder are one group, and a stage keeps its colour in every chart.

use std::collections::BTreeSet;

use super::ladder::{Found, Ladder};
use super::{Background, Fact, ReportView, StageView, moments, pictures, story, tables, tiles};
use crate::metrics::claims::Claim;
use crate::metrics::summary::{Distribution, StageSummary, Summary};
use crate::metrics::token_account::by_stage;
use crate::report::chart::Tone;
use crate::report::escape::printable;
use crate::report::samples::{RunSamples, StageSamples};
use crate::report::{answers, client, course, server, tokens};

/// A stage (or a whole ladder) with all that is known of it.
pub(super) struct Group<'a> {
    /// Its colour in every chart.
    pub(super) tone: Tone,
    /// Its summaries: one, or one per rung.
    pub(super) stages: Vec<&'a StageSummary>,
    /// What was sampled of each.
    pub(super) samples: Vec<Option<&'a StageSamples>>,
    /// Set when it has rungs.
    pub(super) ladder: Option<Ladder<'a>>,
}

impl<'a> Group<'a> {
    /// The one stage, or the first rung.
    pub(super) fn first(&self) -> &'a StageSummary {
        self.stages[0]
    }

    /// Its id and cell, without rung.
    pub(super) fn name(&self) -> String {
        printable(&self.first().key()).into_owned()
    }

    /// The times to first token of its (first) stage.
    pub(super) fn ttft(&self) -> Option<&'a Distribution> {
        self.first().shown("ttft").filter(|ttft| ttft.p50 > 0.0)
    }
}

/// Puts together what is to be read of a run.
pub fn compose(summary: &Summary, samples: &RunSamples, background: &Background) -> ReportView {
    let groups = groups(summary, samples);
    let run = &summary.run;
    let (headline, findings) = story::findings(&summary.claims);
    ReportView {
        title: text(&run.plan),
        purpose: background.description.as_deref().map(text).unwrap_or_default(),
        headline,
        findings,
        verdict: story::verdict(summary),
        simulated: run.simulated,
        insecure: run.insecure,
        notes: run.notes.iter().map(|note| text(note)).collect(),
        facts: tables::run_facts(summary, samples),
        tiles: tiles::tiles(&summary.claims),
        thresholds: tables::checks(summary),
        overview: tables::overview(&groups),
        comparisons: pictures::comparisons(&groups),
        stages: stage_views(&groups, &summary.claims, run.simulated),
        timeline: moments::timeline(&groups, samples),
        redefined: None,
        errors: tables::errors(&groups),
        failures: tables::failures(&groups),
        plan: tables::plan(samples),
        params: background.params.iter().map(fact).collect(),
        environment: background.environment.iter().map(fact).collect(),
        definitions: tables::definitions(),
        method: story::method(&groups),
    }
}

fn groups<'a>(summary: &'a Summary, samples: &'a RunSamples) -> Vec<Group<'a>> {
    let mut groups: Vec<Group> = Vec::new();
    for stage in summary.stages.iter().filter(|stage| stage.reported) {
        let seen = samples.of_summary(stage);
        let same = |group: &&mut Group| {
            let first = group.first();
            first.id == stage.id && first.cell == stage.cell && stage.rung.is_some()
        };
        if let Some(group) = groups.iter_mut().find(same) {
            group.stages.push(stage);
            group.samples.push(seen);
        } else {
            let tone = Tone::Ink;
            groups.push(Group { tone, stages: vec![stage], samples: vec![seen], ladder: None });
        }
    }
    let mut next = 0;
    for group in &mut groups {
        // Only stages that sent something take a colour away.
        if group.first().counts.planned > 0 {
            group.tone = Tone::Series(next);
            next = next.wrapping_add(1);
        }
        let key = group.first().key();
        let searched = summary.searches.get(&key).map(Found::Search);
        let found = searched.or_else(|| summary.saturation.get(&key).map(Found::Saturation));
        group.ladder = Ladder::new(&group.stages, found);
    }
    groups
}

fn stage_views(groups: &[Group], claims: &[Claim], simulated: bool) -> Vec<StageView> {
    let mut anchors = BTreeSet::new();
    let view = |group: &Group| {
        let first = group.first();
        let anchor = anchor(&group.name(), &mut anchors);
        StageView {
            name: group.name(),
            kind: text(&first.kind),
            chips: story::chips(group),
            story: {
                let mut told = story::stage(group, claims);
                let steady = course::in_steady_state(first).filter(|_| group.ladder.is_none());
                told.extend(steady.map(|words| format!("Steady state: {words}.")));
                told.extend(client::sentence(&group.stages, simulated));
                let facts = server::facts(first);
                if !facts.is_empty() && group.ladder.is_none() {
                    told.push(format!("By the server's own account: {}.", facts.join(", ")));
                }
                let account = by_stage(group.stages.iter().copied()).pop();
                if let Some(words) = account.and_then(|(_, account)| tokens::in_words(&account)) {
                    told.push(format!("Tokens of {words}."));
                }
                told.extend(
                    answers::in_words(&group.stages).map(|words| format!("Answers: {words}.")),
                );
                told
            },
            metrics: tables::metrics(group),
            rungs: tables::rungs(group),
            attempts: tables::attempts(group),
            parts: tables::parts(group),
            windows: tables::windows(group),
            charts: pictures::stage(group, &anchor),
            anchor,
        }
    };
    groups.iter().map(view).collect()
}

/// Letters, digits and dashes of `name`, with a number when that is taken.
fn anchor(name: &str, taken: &mut BTreeSet<String>) -> String {
    let safe = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
    let base: String = name.chars().take(60).map(safe).collect();
    let mut anchor = base.clone();
    for number in 2.. {
        if taken.insert(anchor.clone()) {
            break;
        }
        anchor = format!("{base}-{number}");
    }
    anchor
}

/// Longest piece of text from elsewhere that a report shows, in characters.
const LONGEST: usize = 600;

/// Text from a plan or a server, made harmless and not endless.
pub(super) fn text(raw: &str) -> String {
    let mut letters = raw.chars();
    let short: String = letters.by_ref().take(LONGEST).collect();
    let more = if letters.next().is_some() { "…" } else { "" };
    format!("{}{more}", printable(&short))
}

fn fact(fact: &Fact) -> Fact {
    Fact { name: text(&fact.name), value: text(&fact.value), detail: text(&fact.detail) }
}

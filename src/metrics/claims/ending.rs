//! How the run ended, how its checks went, and whether anything was answered at all.

use super::{Claim, ClaimFigure, ClaimKind};
use crate::metrics::quantity::{grouped, plural};
use crate::metrics::summary::{Judgement, RunState, StageSummary, Summary};
use crate::metrics::verdict::{PASS, THRESHOLDS_FAILED};
use crate::record::StageState;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It has not.
    Running,
    /// By a signal.
    Interrupted,
    /// Its numbers must not be trusted.
    Invalid,
    /// Not everything in the plan was done.
    Incomplete,
    /// Checks failed.
    Fail,
    /// Checks were judged, and none failed.
    Pass,
    /// It is complete, and nothing was judged.
    Done,
}

impl Ending {
    /// How this run ended.
    pub fn of(summary: &Summary) -> Self {
        match (summary.run.state, summary.run.valid, summary.verdict.exit_code) {
            (RunState::Running, ..) => Self::Running,
            (RunState::Interrupted, ..) => Self::Interrupted,
            (_, false, _) => Self::Invalid,
            (.., THRESHOLDS_FAILED) => Self::Fail,
            (.., PASS) if Checks::of(summary).judged() == 0 => Self::Done,
            (.., PASS) => Self::Pass,
            _ => Self::Incomplete,
        }
    }

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Interrupted => "INTERRUPTED",
            Self::Invalid => "INVALID",
            Self::Incomplete => "INCOMPLETE",
            Self::Fail => "FAIL",
            Self::Pass => "PASS",
            Self::Done => "DONE",
        }
    }
}

/// Checks by how they went.
#[derive(Default)]
struct Checks {
    held: u64,
    failed: u64,
    warned: u64,
    not_made: u64,
}

impl Checks {
    fn of(summary: &Summary) -> Self {
        let mut checks = Self::default();
        for result in summary.stages.iter().flat_map(|stage| &stage.thresholds) {
            *match result.judgement() {
                Judgement::Held => &mut checks.held,
                Judgement::Failed => &mut checks.failed,
                Judgement::Warned => &mut checks.warned,
                Judgement::NotMade => &mut checks.not_made,
            } += 1;
        }
        checks
    }

    fn judged(&self) -> u64 {
        self.held + self.failed + self.warned
    }

    /// `; 1 warning; 2 were not made`
    fn rest(&self) -> String {
        let mut rest = String::new();
        if self.warned > 0 {
            rest = format!("; {}", plural(self.warned, "warning"));
        }
        match self.not_made {
            0 => {}
            1 => rest.push_str("; 1 more was not made"),
            more => rest = format!("{rest}; {} more were not made", grouped(more)),
        }
        rest
    }
}

/// How the run ended.
pub(super) fn ended(summary: &Summary) -> Claim {
    let ending = Ending::of(summary);
    let checks = Checks::of(summary);
    let judged = plural(checks.judged(), "check");
    let unfinished = unfinished(summary);
    let why = match ending {
        Ending::Running => "these are the numbers so far.".to_owned(),
        Ending::Interrupted => {
            let rest =
                if summary.run.valid { "" } else { " The run is also INVALID: the notes say why." };
            format!(
                "a signal ended the run; these are partial results, and all that was recorded is \
                 kept.{rest}"
            )
        }
        Ending::Invalid => {
            let never = match summary.run.state {
                RunState::Finished => "",
                _ => "the run never came to its end, and ",
            };
            format!("{never}these numbers must not be trusted; the notes say why.")
        }
        Ending::Incomplete => {
            format!("not everything in the plan was done{unfinished}.")
        }
        Ending::Fail => format!("{} of {judged} failed{}.", checks.failed, checks.rest()),
        Ending::Pass => format!("{judged}, none failed{}.", checks.rest()),
        Ending::Done if checks.not_made == 0 => {
            "the run is complete; the plan states no thresholds to judge it by.".to_owned()
        }
        Ending::Done => {
            let all = plural(checks.not_made, "check");
            format!("the run is complete, but nothing was judged: {all}, none could be made.")
        }
    };
    let claim = Claim::new(ClaimKind::Ended, format!("{}: {why}", ending.word()));
    let claim = if ending == Ending::Incomplete { claim.quoting(unfinished) } else { claim };
    claim
        .with("checks_judged", ClaimFigure::count(checks.judged(), "checks"))
        .with("checks_held", ClaimFigure::count(checks.held, "checks"))
        .with("checks_failed", ClaimFigure::count(checks.failed, "checks"))
        .with("checks_warned", ClaimFigure::count(checks.warned, "checks"))
        .with("checks_not_made", ClaimFigure::count(checks.not_made, "checks"))
        .with("exit_code", ClaimFigure::new(f64::from(summary.verdict.exit_code), ""))
}

/// `: warm failed (no request succeeded)`, by the first stage that did not complete, or measured nothing.
fn unfinished(summary: &Summary) -> String {
    let is_unfinished =
        |stage: &&StageSummary| stage.state != StageState::Completed || stage.measured_nothing();
    summary.stages.iter().find(is_unfinished).map_or_else(String::new, |stage| {
        if stage.measured_nothing() {
            return format!(": {} measured nothing", stage.label());
        }
        let why = stage.reason.as_deref().map(|why| format!(" ({why})")).unwrap_or_default();
        format!(": {} {}{why}", stage.label(), stage.state.word())
    })
}

/// What to say where nothing was answered: of the whole run, else of each stage that is so.
pub(super) fn all_failed(summary: &Summary) -> Vec<Claim> {
    let sent: Vec<&StageSummary> = summary
        .stages
        .iter()
        .filter(|stage| stage.reported && stage.counts.ok + stage.counts.errors > 0)
        .collect();
    if sent.iter().all(|stage| stage.counts.ok == 0) {
        return nothing_answered(&sent).into_iter().collect();
    }
    let mut claims = Vec::new();
    for stage in &sent {
        let alike: Vec<&StageSummary> =
            sent.iter().copied().filter(|it| it.key() == stage.key()).collect();
        let is_first = alike.first().is_some_and(|first| std::ptr::eq(*first, *stage));
        if is_first && alike.iter().all(|it| it.counts.ok == 0) {
            let claim = nothing_answered(&alike).map(|claim| claim.about(stage));
            claims.extend(
                claim.map(|claim| Claim {
                    text: format!("{}: {}", stage.key(), claim.text),
                    ..claim
                }),
            );
        }
    }
    claims
}

fn nothing_answered(stages: &[&StageSummary]) -> Option<Claim> {
    let failed: u64 = stages.iter().map(|stage| stage.counts.errors).sum();
    let classes = stages.iter().flat_map(|stage| &stage.errors);
    let (stage, class) = stages
        .iter()
        .flat_map(|stage| stage.errors.keys().map(move |class| (stage, class)))
        .max_by_key(|(_, class)| {
            classes.clone().filter(|(it, _)| it == class).map(|(_, n)| *n).sum::<u64>()
        })?;
    let all = match failed {
        1 => "the one request that was sent failed".to_owned(),
        _ => format!("all {} requests that were sent failed", grouped(failed)),
    };
    let kinds: std::collections::BTreeSet<&String> = classes.map(|(class, _)| class).collect();
    let most = if kinds.len() > 1 { "most with " } else { "" };
    let message = stage.error_samples.get(class);
    let message = message.map(|message| format!(": {message}")).unwrap_or_default();
    let error = format!("{class}{message}");
    let text = format!("No request was answered; {all} ({most}{error}).");
    let claim = Claim::new(ClaimKind::AllFailed, text).quoting(error);
    Some(claim.with("requests_failed", ClaimFigure::count(failed, "requests")))
}

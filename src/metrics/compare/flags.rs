//! What else differs between two runs, so that nobody takes it for the effect.
//!
//! In: two runs. Out: sentences. Invariant: nothing here changes a verdict; it says what a verdict
//! may rest on.

use super::evidence::Evidence;
use crate::metrics::summary::RunState;

/// What a reader must know of one run whose cells are compared.
pub(super) fn of_run(run: &Evidence) -> (Vec<String>, bool) {
    let mut flags: Vec<String> =
        broken(run).map(|why| format!("{} {why}", run.name)).into_iter().collect();
    let doubtful = !flags.is_empty();
    if run.stages.is_empty() {
        flags.push(format!("{} has no records at hand, so nothing can be tested", run.name));
    }
    (flags, doubtful)
}

/// What a reader must know, and whether either run is invalid or incomplete.
pub(super) fn between(base: &Evidence, new: &Evidence) -> (Vec<String>, bool) {
    let mut flags = Vec::new();
    let mut doubtful = false;
    for run in [base, new] {
        if let Some(why) = broken(run) {
            doubtful = true;
            flags.push(format!("{} {why}", run.name));
        }
        if run.stages.is_empty() && run.measured().next().is_some() {
            flags.push(format!(
                "{} has no records at hand, only a summary, so nothing can be tested",
                run.name
            ));
        }
    }
    let (left, right) = (&base.summary.run, &new.summary.run);
    if left.id == right.id && !left.id.is_empty() {
        flags.push("both are the same run".to_owned());
    }
    let mut differs = |what: &str, left: &str, right: &str| {
        if left != right {
            flags.push(format!("different {what}: {left}, then {right}"));
        }
    };
    differs("plans", &left.plan, &right.plan);
    let word = |simulated: bool| if simulated { "simulated" } else { "real" };
    differs("kinds of endpoint", word(left.simulated), word(right.simulated));
    differs("seeds (and so prompts)", &left.seed.to_string(), &right.seed.to_string());
    if let Some((left, right)) = base.run.as_ref().zip(new.run.as_ref()) {
        if base.summary.run.plan == new.summary.run.plan {
            differs("texts of the plan", short(&left.plan_hash), short(&right.plan_hash));
        }
        differs("versions of runner", &left.runner_version, &right.runner_version);
    }
    if let Some((left, right)) = base.machine.as_ref().zip(new.machine.as_ref()) {
        differs("machines", left, right);
    }
    let endpoint = |run: &Evidence| {
        let mut all: Vec<String> = run.measured().map(|stage| stage.endpoint.clone()).collect();
        all.dedup();
        all.join(", ")
    };
    differs("endpoints", &endpoint(base), &endpoint(new));
    (flags, doubtful)
}

fn broken(run: &Evidence) -> Option<&'static str> {
    if !run.summary.run.valid {
        return Some("is INVALID: its numbers must not be trusted");
    }
    match run.summary.run.state {
        RunState::Finished => None,
        RunState::Running => Some("still goes on: these are its numbers so far"),
        RunState::Aborted => Some("never came to its end"),
        RunState::Interrupted => Some("was interrupted: these are partial results"),
    }
}

fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

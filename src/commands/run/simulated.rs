//! Whether the embedded simulator may answer for an endpoint.
//!
//! In: a plan, its files, the flags and the environment. Out: why it may not, if so. Invariant: in CI a
//! run never passes on the simulator because a variable was empty or misspelt.

use crate::cli::RunArgs;
use crate::plan::{Loaded, Plan, SimulatorUse, Target};

/// Why the plan must not run as it is, and what to do.
pub(super) fn refusal(loaded: &Loaded, args: &RunArgs, is_ci: bool) -> Option<(String, String)> {
    let simulated = |plan: &Plan| {
        let stage =
            plan.stages.iter().find(|it| matches!(it.endpoint.target, Target::Simulator(_)));
        stage.map(|stage| (stage.id.clone(), stage.endpoint.name.clone()))
    };
    let plan = &loaded.plan;
    let (stage, name) = simulated(plan)?;
    if args.conditions.real {
        return Some((
            format!("--real: the endpoint of stage `{stage}` is the embedded simulator (`{name}`)"),
            "name a server by `--endpoint URL`, or leave out `--real`".into(),
        ));
    }
    let is_allowed = args.conditions.simulated || plan.simulator == SimulatorUse::Allowed;
    if !is_ci || is_allowed || args.inputs.endpoint.is_some() {
        return None;
    }
    let by_default = chosen_by_default(loaded, &name)?;
    Some((
        format!("CI is set, and the endpoint of stage `{stage}` is the embedded simulator because {by_default}"),
        "give the variable or param its value, or name a server by `--endpoint URL`; `--simulated` or \
         the plan's `simulator: allowed` runs on the simulator all the same"
            .into(),
    ))
}

/// What chose this profile without anybody having asked for it.
fn chosen_by_default(loaded: &Loaded, profile: &str) -> Option<String> {
    let by_param = loaded
        .plan
        .params
        .iter()
        .find(|param| param.source == "default" && param.value.as_str() == Some(profile));
    if let Some(param) = by_param {
        return Some(format!("the param `{}` was not set and has that default", param.name));
    }
    let fallback = format!(":-{profile}}}");
    // A variable that is set and names the profile itself was asked for.
    let stands_in = |before: &str| {
        let name = before.rsplit("${").next().and_then(|name| name.strip_prefix("env:"));
        name.is_none_or(|name| std::env::var_os(name).is_none_or(|value| value.is_empty()))
    };
    let is_written = loaded
        .sources
        .all()
        .any(|(_, text)| text.match_indices(&fallback).any(|(at, _)| stands_in(&text[..at])));
    is_written.then(|| format!("a variable of the plan was not set and `{fallback}` stands in"))
}

/// Whether this is a CI's job, as GitHub, GitLab and others say it.
pub(super) fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"))
}

//! What the record log and the summary do not hold: params, machine, endpoints.
//!
//! In: a plan. Out: a [`Background`]. Invariant: no user, password, key or secret param is in it.

use super::Fact;
use crate::plan::{Endpoint, Plan, Target};

/// What the record log and the summary do not hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Background {
    /// What the plan is for.
    pub description: Option<String>,
    /// Declared params (secret ones redacted): name, value, where it came from.
    pub params: Vec<Fact>,
    /// Machine, endpoints, command line: name and value.
    pub environment: Vec<Fact>,
}

impl Background {
    /// What a plan says of itself, and this machine.
    pub fn of(plan: &Plan) -> Self {
        let shown = |value: &serde_json::Value| match value {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let params = plan.params.iter().map(|param| Fact {
            name: param.name.clone(),
            value: if param.secret { "***".to_owned() } else { shown(&param.value) },
            detail: param.source.clone(),
        });
        let mut environment: Vec<Fact> = Vec::new();
        for stage in &plan.stages {
            let endpoint = endpoint(&stage.endpoint);
            if !environment.contains(&endpoint) {
                environment.push(endpoint);
            }
        }
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
        environment.push(Fact::new("machine", format!("{os} {arch}, {cores} cores")));
        environment.push(Fact::new("plan", plan.path.display().to_string()));
        environment.extend(plan.tags.iter().map(|(name, value)| Fact::new(name, value)));
        Self { description: plan.description.clone(), params: params.collect(), environment }
    }
}

/// An endpoint without user, password or key.
fn endpoint(endpoint: &Endpoint) -> Fact {
    let target = match &endpoint.target {
        Target::Url(url) => {
            let mut url = url.clone();
            // Both fail only for URLs that can't hold them.
            let _no_password = url.set_password(None);
            let _no_user = url.set_username("");
            url.to_string()
        }
        Target::Simulator(_) => "embedded simulator".to_owned(),
    };
    let insecure = if endpoint.insecure { "any certificate accepted" } else { "" };
    Fact { detail: insecure.to_owned(), ..Fact::new(format!("endpoint {}", endpoint.name), target) }
}

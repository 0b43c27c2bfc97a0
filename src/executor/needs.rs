//! What a plan needs of this machine beside time: open files, local ports, room for its records.
//!
//! In: a plan, and where its records go. Out: a sentence for each of which there is less than it needs.
//! Invariant: these are estimates and refuse nothing; of what the system does not say nothing is said.

use std::path::Path;

use crate::machine;
use crate::metrics::quantity::grouped;
use crate::plan::{Action, Plan, SearchAxis, Shape, Stage, Target};

/// Open files beside one for each stream: the log, sinks, side doors, what threads wait on.
const FILES: u64 = 64;
/// Bytes of a request's two lines in the log, without its tokens.
const LINES: u64 = 900;
/// Bytes of a token's stamp.
const STAMP: u64 = 12;

/// What is scarce, a sentence for each.
pub(super) fn warnings(plan: &Plan, records: &Path) -> Vec<String> {
    let widest = plan.stages.iter().filter_map(|stage| Some((streams(&stage.action)?, stage)));
    let widest = widest.max_by_key(|(streams, _)| *streams);
    let mut scarce = Vec::new();
    if let Some((streams, stage)) = widest {
        scarce.extend(files(streams, stage, machine::open_files()));
        scarce.extend(ports(streams, stage, machine::local_ports()));
    }
    scarce.extend(room(log_bytes(plan), machine::free_space(records)));
    scarce
}

/// The most requests that a stage has under way at a time, where the plan bounds them.
fn streams(action: &Action) -> Option<u64> {
    match action {
        Action::Load(load) => match &load.shape {
            Shape::Open(open) => open.pacing.max_in_flight,
            Shape::Closed(closed) => Some(closed.users),
        },
        Action::ConcurrencyRamp(ramp) => ramp.levels.iter().copied().max(),
        Action::Cold(repeat) | Action::Warm(repeat) => Some(repeat.concurrency),
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "levels are not negative, and the cast saturates"
        )]
        Action::Search(search) => match search.over {
            SearchAxis::Concurrency { .. } => Some(search.high as u64),
            SearchAxis::Rate { .. } => None,
        },
        _ => None,
    }
}

fn files(streams: u64, stage: &Stage, limit: Option<u64>) -> Option<String> {
    // The embedded simulator holds the other end of each.
    let ends = if matches!(stage.endpoint.target, Target::Simulator(_)) { 2 } else { 1 };
    let needed = streams.saturating_mul(ends).saturating_add(FILES);
    let limit = limit.filter(|limit| *limit < needed)?;
    Some(format!(
        "stage {}: {} requests at a time need about {} open files, and this process may have {}: raise \
         `ulimit -Hn`, or lower the concurrency",
        stage.id,
        grouped(streams),
        grouped(needed),
        grouped(limit)
    ))
}

fn ports(streams: u64, stage: &Stage, ports: Option<u64>) -> Option<String> {
    let ports = ports.filter(|ports| *ports < streams)?;
    Some(format!(
        "stage {}: {} requests at a time need as many local ports for each address of the endpoint, and this \
         machine has {}: widen `net.ipv4.ip_local_port_range`, or lower the concurrency",
        stage.id,
        grouped(streams),
        grouped(ports)
    ))
}

/// About how long the record log will be, where the plan says how many requests it has.
fn log_bytes(plan: &Plan) -> u64 {
    let of = |stage: &Stage| {
        let tokens = stage.action.prompt().and_then(|prompt| prompt.max_tokens).unwrap_or(0);
        let each = LINES.saturating_add(STAMP.saturating_mul(tokens));
        stage.action.planned().saturating_mul(each)
    };
    plan.stages.iter().map(of).fold(0, u64::saturating_add)
}

fn room(needed: u64, free: Option<u64>) -> Option<String> {
    let free = free.filter(|free| *free < needed)?;
    let mib = |bytes: u64| grouped(bytes >> 20);
    Some(format!(
        "the records will take about {} MiB, and the results' disk has {} MiB free: the run would end where it \
         is full; choose another folder with --results, or ask for less",
        mib(needed),
        mib(free)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(endpoint: &str, stage: &str) -> Plan {
        let text = format!(
            "version: 1\nendpoint: {endpoint}\nprompt: {{ text: hi, max_tokens: 100 }}\nstages: [{stage}]\n"
        );
        crate::plan::load_text("plan.yaml", &text, &crate::plan::LoadOptions::default())
            .expect("a plan")
            .plan
    }

    #[test]
    fn each_end_of_a_stream_is_a_file_and_each_stream_a_port() {
        let closed = "{ id: s, kind: load, requests: 5000, concurrency: 1000 }";
        for (endpoint, enough) in [("{ simulator: {} }", 2064), ("http://127.0.0.1:1/v1", 1064)] {
            let plan = plan(endpoint, closed);
            let stage = &plan.stages[0];
            assert_eq!(streams(&stage.action), Some(1000));
            assert_eq!(files(1000, stage, Some(enough)), None);
            assert_eq!(files(1000, stage, None), None);
            let said = files(1000, stage, Some(enough - 1)).expect("too few");
            assert!(said.contains("stage s: 1,000 requests at a time"), "{said}");
            assert!(
                ports(1000, stage, Some(999)).is_some() && ports(1000, stage, Some(1000)).is_none()
            );
        }
    }

    #[test]
    fn a_log_is_as_long_as_its_requests_and_their_tokens() {
        let plan =
            plan("{ simulator: {} }", "{ id: s, kind: load, requests: 1000000, concurrency: 8 }");
        let bytes = log_bytes(&plan);
        assert_eq!(bytes, 1_000_000 * (900 + 1200));
        assert_eq!(room(bytes, Some(bytes)), None);
        let said = room(bytes, Some(1 << 30)).expect("too little");
        assert!(said.contains("about 2,002 MiB") && said.contains("has 1,024 MiB free"), "{said}");
    }
}

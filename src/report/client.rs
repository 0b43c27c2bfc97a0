//! What the client itself did and took, so that a reader can tell whose limits were met.
//!
//! In: stages. Out: words. Invariant: where the embedded simulator answered, its share of the CPU is in
//! the figure and that is said.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::metrics::answers::AnswerSummary;
use crate::metrics::quantity::{plural, show};
use crate::metrics::summary::{AddressSummary, ClientSummary, StageSummary};

/// A line for a whole run: sums over its stages, and the stage that took most of a core; one for the
/// addresses, where there are several.
pub(super) fn line(stages: &[&StageSummary], simulated: bool) -> Vec<String> {
    let together = together(stages, simulated);
    together.into_iter().chain(addresses(stages)).map(|words| format!("  {words}")).collect()
}

/// The same of one stage, or of all rungs of a ladder, as a sentence.
pub(super) fn sentence(stages: &[&StageSummary], simulated: bool) -> Option<String> {
    let words = together(stages, simulated)?;
    let to = addresses(stages).map(|to| format!(" By address: {to}.")).unwrap_or_default();
    Some(format!("The client: {words}.{to}"))
}

/// `10.0.0.7: 4 connections opened, 31 requests · …`, where the host has several addresses.
fn addresses(stages: &[&StageSummary]) -> Option<String> {
    let mut all: BTreeMap<IpAddr, AddressSummary> = BTreeMap::new();
    for (address, part) in stages.iter().flat_map(|stage| &stage.addresses) {
        let sum = all.entry(*address).or_default();
        sum.connections += part.connections;
        sum.requests += part.requests;
    }
    let line = |(address, to): (&IpAddr, &AddressSummary)| {
        let connections = plural(to.connections, "connection");
        format!("{address}: {connections} opened, {}", plural(to.requests, "request"))
    };
    (!all.is_empty()).then(|| all.iter().map(line).collect::<Vec<_>>().join(" · "))
}

/// The larger of two figures, where there is one.
fn most(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    one.into_iter().chain(other).reduce(f64::max)
}

/// All of them together; nothing where nothing was sent.
fn together(stages: &[&StageSummary], simulated: bool) -> Option<String> {
    let sum = |all: ClientSummary, stage: &&StageSummary| ClientSummary {
        cpu_s: all.cpu_s.zip(stage.client.cpu_s).map(|(sum, cpu)| sum + cpu),
        cpu_share: all.cpu_share.zip(stage.client.cpu_share).map(|(most, it)| most.max(it)),
        connections_opened: all.connections_opened + stage.client.connections_opened,
        connections_reused: all.connections_reused + stage.client.connections_reused,
        bytes_in: all.bytes_in + stage.client.bytes_in,
        token_events: all.token_events + stage.client.token_events,
        posts: all.posts + stage.client.posts,
        resent: all.resent + stage.client.resent,
        peak_in_flight: all.peak_in_flight.max(stage.client.peak_in_flight),
        token_gaps: all.token_gaps + stage.client.token_gaps,
        shared_reads: all.shared_reads + stage.client.shared_reads,
        in_one_piece: all.in_one_piece + stage.client.in_one_piece,
        wake_moments: all.wake_moments + stage.client.wake_moments,
        wake_lag_p95_ms: most(all.wake_lag_p95_ms, stage.client.wake_lag_p95_ms),
    };
    let is_sent = |it: &ClientSummary| it.connections_opened + it.connections_reused > 0;
    let asked: Vec<_> = stages.iter().filter(|stage| is_sent(&stage.client)).collect();
    let nothing = ClientSummary { cpu_s: Some(0.0), cpu_share: Some(0.0), ..Default::default() };
    let all = asked.iter().fold(nothing, |all, stage| sum(all, stage));
    let most = if asked.len() > 1 { "at most " } else { "" };
    let mut answers = asked.iter().filter_map(|stage| stage.answers.as_ref());
    let hides_reads = answers.any(AnswerSummary::hides_reads);
    (!asked.is_empty()).then(|| words(&all, most, simulated, hides_reads))
}

fn words(client: &ClientSummary, most: &str, simulated: bool, hides_reads: bool) -> String {
    let mut facts = Vec::new();
    if let (Some(cpu), Some(share)) = (client.cpu_s, client.cpu_share) {
        let with = if simulated { ", the simulator's in it" } else { "" };
        let (cpu, share) = (show(cpu * 1e3, "ms"), show(share, "share"));
        facts.push(format!("{cpu} of CPU, {most}{share} of a core{with}"));
    }
    facts.push(format!(
        "{} opened, {} sent over an open one",
        plural(client.connections_opened, "connection"),
        plural(client.connections_reused, "request")
    ));
    if client.resent > 0 {
        let (resent, posts) = (plural(client.resent, "request"), plural(client.posts, "POST"));
        facts.push(format!("{resent} sent twice, {posts} in all"));
    } else {
        facts.push(format!("{} sent", plural(client.posts, "POST")));
    }
    facts.push(format!(
        "{} and {} read",
        bytes(client.bytes_in),
        plural(client.token_events, "token event")
    ));
    if client.token_gaps > 0 && (client.shared_reads > 0 || hides_reads) {
        let share = show(client.shared_reads as f64 / client.token_gaps as f64, "share");
        let what = "of the gaps between tokens inside one read";
        facts.push(if hides_reads {
            format!("at least {share} {what} (over TLS or a proxy not all of them show)")
        } else {
            format!("{share} {what}")
        });
    }
    if let Some(late) = client.wake_lag_p95_ms {
        facts.push(format!("what arrived was seen within {} (p95)", show(late, "ms")));
    }
    facts.join(" · ")
}

/// A size for people, in powers of ten.
fn bytes(count: u64) -> String {
    let value = count as f64;
    match count {
        0..1_000 => plural(count, "byte"),
        1_000..1_000_000 => show(value / 1e3, "kB"),
        1_000_000..1_000_000_000 => show(value / 1e6, "MB"),
        _ => show(value / 1e9, "GB"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_learns_what_the_client_took() {
        let client = ClientSummary {
            cpu_s: Some(0.31),
            cpu_share: Some(0.12),
            connections_opened: 64,
            connections_reused: 4_436,
            bytes_in: 2_100_000,
            token_events: 72_000,
            posts: 4_502,
            resent: 2,
            token_gaps: 1_000,
            shared_reads: 20,
            wake_lag_p95_ms: Some(1.3),
            ..ClientSummary::default()
        };
        assert_eq!(
            words(&client, "at most ", true, false),
            "310 ms of CPU, at most 12 % of a core, the simulator's in it · 64 connections opened, \
             4,436 requests sent over an open one · 2 requests sent twice, 4,502 POSTs in all · \
             2.1 MB and 72,000 token events read · 2 % of the gaps between tokens inside one read · \
             what arrived was seen within 1.3 ms (p95)"
        );
        let silent = ClientSummary { connections_opened: 1, ..ClientSummary::default() };
        assert_eq!(
            words(&silent, "", false, false),
            "1 connection opened, 0 requests sent over an open one · 0 POSTs sent · 0 bytes and 0 token \
             events read"
        );
    }
}

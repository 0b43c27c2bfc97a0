//! The servers' own account beside our figures, one line per stage, and one per search.
//!
//! In: stages. Out: lines of text. Invariant: what a server did not say is not there.

use super::escape::{named, printable};
use crate::metrics::quantity::{grouped, show};
use crate::metrics::server::ServerSummary;
use crate::metrics::summary::StageSummary;

/// Native times of requests, by their metric and for people.
const TIMES: [(&str, &str); 3] =
    [("server_queue", "queue"), ("server_prefill", "prefill"), ("server_decode", "decode")];

/// A line for each stage whose server said anything.
pub(super) fn lines(stages: &[&StageSummary]) -> Vec<String> {
    let is_one_search = |a: &&StageSummary, b: &&StageSummary| {
        a.probe.is_some() && b.probe.is_some() && a.key() == b.key()
    };
    let told = stages.chunk_by(is_one_search).filter_map(|alike| match alike {
        [stage] => Some((stage.label(), facts(stage))),
        probes => Some((probes.first()?.key(), of_search(probes))),
    });
    let told: Vec<(String, String)> = told
        .filter(|(_, facts)| !facts.is_empty())
        .map(|(name, facts)| (printable(&name).into_owned(), facts.join(" · ")))
        .collect();
    named(&told)
}

/// What the server said of all probes of a search: sums and highest values. Mean times of different
/// loads are none of theirs together.
fn of_search(probes: &[&StageSummary]) -> Vec<String> {
    let mut all = ServerSummary::default();
    for server in probes.iter().filter_map(|stage| stage.server.as_ref()) {
        all.readings += server.readings;
        all.failed += server.failed;
        for (name, count) in &server.counters {
            *all.counters.entry(name.clone()).or_default() += count;
        }
        for (name, gauge) in &server.gauges {
            let most = all.gauges.entry(name.clone()).or_insert(*gauge);
            most.max = most.max.max(gauge.max);
        }
    }
    let queries = all.counters.get("prefix_cache_queries").filter(|queries| **queries > 0.0);
    let hits = all.counters.get("prefix_cache_hits").zip(queries);
    all.prefix_hit_share = hits.map(|(hits, queries)| hits / queries).filter(|it| *it <= 1.0);
    // A mean over readings is none over searches.
    all.gauges.remove("gpu_utilisation_percent");
    by_page(&all)
}

/// What the server said of one stage.
pub(super) fn facts(stage: &StageSummary) -> Vec<String> {
    let mut facts = stage.server.as_ref().map(by_page).unwrap_or_default();
    let native: Vec<String> = TIMES
        .iter()
        .filter_map(|(metric, name)| {
            Some(format!("{name} {}", show(stage.metrics.get(*metric)?.p50, "ms")))
        })
        .collect();
    if !native.is_empty() {
        facts.push(format!("per request (p50): {}", native.join(", ")));
    }
    facts
}

fn by_page(server: &ServerSummary) -> Vec<String> {
    let mut facts = Vec::new();
    let count = |name: &str| server.counters.get(name).copied();
    let whole = |value: f64| format!("{value:.0}").parse().map_or_else(|_| "?".into(), grouped);
    if let (Some(share), Some(hits), Some(queries)) =
        (server.prefix_hit_share, count("prefix_cache_hits"), count("prefix_cache_queries"))
    {
        facts.push(format!(
            "prefix cache hit {:.1} % ({} of {} tokens)",
            share * 100.0,
            whole(hits),
            whole(queries)
        ));
    }
    // A stage that was over before it was looked at a third time says nothing of what went on in it.
    let is_seen = server.readings > 2;
    let most = |name: &str| {
        let most = server.gauges.get(name).map(|gauge| gauge.max);
        most.filter(|most| is_seen || *most > 0.0)
    };
    for word in ["running", "waiting"] {
        facts.extend(most(word).map(|most| match most {
            0.0 => format!("none {word} whenever it was read"),
            most => format!("at most {} {word}", whole(most)),
        }));
    }
    if let Some(usage) = most("kv_usage") {
        facts.push(match usage * 100.0 {
            percent if percent < 1.0 => "KV cache under 1 % full".to_owned(),
            percent => format!("KV cache at most {percent:.0} % full"),
        });
    }
    if !is_seen
        && ["running", "waiting", "kv_usage"].iter().any(|it| server.gauges.contains_key(*it))
    {
        facts.push("too short to be read while it ran".to_owned());
    }
    if let Some(usage) = server.gauges.get("gpu_utilisation_percent").filter(|_| is_seen) {
        facts.push(format!("GPU {:.0} % (mean)", usage.mean));
    }
    for (name, word) in [("preemptions", "preemptions"), ("evicted_tokens", "evicted tokens")] {
        if let Some(count) = count(name).filter(|count| *count > 0.0) {
            facts.push(format!("{} {word}", whole(count)));
        }
    }
    let means: Vec<String> =
        server.mean_ms.iter().map(|(name, ms)| format!("{name} {}", show(*ms, "ms"))).collect();
    if !means.is_empty() {
        facts.push(format!("mean {}", means.join(", ")));
    }
    if server.failed > 0 {
        let all = server.failed + server.readings;
        facts.push(format!("{} of {all} readings failed", server.failed));
    }
    facts
}

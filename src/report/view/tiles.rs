//! The few figures that sum a run up.
//!
//! In: the run's claims. Out: facts, each with what it is about. Invariant: a tile shows figures of a
//! claim, and names its stage where the claim does.

use super::{Fact, text};
use crate::metrics::claims::{Claim, ClaimFigure, ClaimKind};
use crate::metrics::quantity::{grouped, plural, show, significant};
use crate::report::ticks::{plain, say};

/// The tiles of a run.
pub(super) fn tiles(claims: &[Claim]) -> Vec<Fact> {
    let first = |kinds: &[ClaimKind]| {
        kinds.iter().find_map(|kind| claims.iter().find(|claim| claim.kind == *kind))
    };
    let mut tiles = Vec::new();
    let cache = [
        ClaimKind::CacheSpeedUpOverCells,
        ClaimKind::CacheSpeedUp,
        ClaimKind::CacheNoEffect,
        ClaimKind::WarmAgainstCold,
    ];
    tiles.extend(first(&cache).and_then(cache_tile));
    let load = [
        ClaimKind::SustainedOverCells,
        ClaimKind::Sustained,
        ClaimKind::Knee,
        ClaimKind::SearchFound,
        ClaimKind::NotSaturated,
        ClaimKind::LowestFails,
    ];
    tiles.extend(first(&load).and_then(load_tile));
    tiles.extend(first(&[ClaimKind::Ended]).and_then(checks_tile));
    tiles.extend(first(&[ClaimKind::Totals]).map(totals).unwrap_or_default());
    tiles
}

fn figure<'c>(claim: &'c Claim, name: &str) -> Option<&'c ClaimFigure> {
    claim.figures.get(name)
}

fn subject(claim: &Claim) -> String {
    claim.subject().map(|subject| text(&subject)).unwrap_or_default()
}

/// `over 4 cells`
fn over_cells(claim: &Claim, cells: f64) -> String {
    format!("{} in {} cells", subject(claim), plain(cells, 4))
}

fn cache_tile(claim: &Claim) -> Option<Fact> {
    let times = |value: f64| format!("{}×", plain(value, 3));
    if let (Some(low), Some(high)) = (figure(claim, "lowest"), figure(claim, "highest")) {
        let value = format!("{} – {}", times(low.value), times(high.value));
        let detail = over_cells(claim, claim.value("cells")?);
        return Some(Fact { name: "Cache speed-up".into(), value, detail });
    }
    let ratio = figure(claim, "ratio")?;
    let interval = match (ratio.low, ratio.high) {
        (Some(low), Some(high)) => {
            format!("95 % CI {}–{}", significant(low, 3), significant(high, 3))
        }
        _ => "too few answers for an interval".to_owned(),
    };
    // Without a cause it is a ratio of times and nothing more.
    let name = match claim.kind {
        ClaimKind::WarmAgainstCold => "TTFT, cold over warm",
        _ => "Cache speed-up",
    };
    let detail = format!("{}: {interval}", subject(claim));
    Some(Fact { name: name.into(), value: times(ratio.value), detail })
}

fn load_tile(claim: &Claim) -> Option<Fact> {
    if let (Some(low), Some(high)) = (figure(claim, "lowest"), figure(claim, "highest")) {
        let value =
            format!("{} – {} {}", plain(low.value, 4), plain(high.value, 4), short(&low.unit));
        let detail = over_cells(claim, claim.value("cells")?);
        return Some(Fact { name: "Sustained".into(), value, detail });
    }
    let (name, figure) = match claim.kind {
        ClaimKind::Knee => ("Best concurrency", figure(claim, "saturated_at")),
        ClaimKind::NotSaturated => ("Held up to", figure(claim, "sustainable")),
        _ => ("Sustained", figure(claim, "sustainable")),
    };
    let value = figure.map_or_else(
        || "none".to_owned(),
        |level| format!("{} {}", plain(level.value, 4), short(&level.unit)),
    );
    let level = |name| claim.value(name).map(|level| plain(level, 4));
    let detail = match claim.kind {
        ClaimKind::SearchFound => {
            let fails = level("fails_at").map(|at| format!("{at} does not"));
            let unclear = level("unclear_at").map(|at| format!("{at} can't be told"));
            unclear.or(fails).unwrap_or_default()
        }
        ClaimKind::NotSaturated => "not saturated".to_owned(),
        ClaimKind::LowestFails => format!("{} fails already", level("saturated_at")?),
        _ => format!("saturated at {}", level("saturated_at")?),
    };
    Some(Fact { name: name.into(), value, detail: format!("{}: {detail}", subject(claim)) })
}

/// A unit as short as a tile.
fn short(unit: &str) -> &str {
    match unit {
        "requests/s" => "req/s",
        "concurrent requests" => "at a time",
        other => other,
    }
}

fn checks_tile(claim: &Claim) -> Option<Fact> {
    let (held, judged) = (claim.value("checks_held")?, claim.value("checks_judged")?);
    let left_out = claim.value("checks_not_made").filter(|count| *count > 0.0);
    let detail = left_out.map_or_else(String::new, |count| format!("{} not made", plain(count, 4)));
    let value = format!("{} / {}", plain(held, 4), plain(judged, 4));
    (judged > 0.0 || !detail.is_empty()).then(|| Fact { name: "Checks held".into(), value, detail })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts")]
fn totals(claim: &Claim) -> Vec<Fact> {
    let count = |name| claim.value(name).unwrap_or_default() as u64;
    let (ok, planned) = (count("requests_ok"), count("requests_planned"));
    let failed = count("requests_failed");
    let share = show(ok as f64 / planned.max(1) as f64, "share");
    let detail = match (ok == planned, failed) {
        (true, _) => format!("all {}", grouped(planned)),
        (false, 0) => format!("{} of {}", grouped(ok), grouped(planned)),
        (false, _) => format!("{} of {} failed", grouped(failed), plural(planned, "request")),
    };
    let mut tiles = vec![Fact { name: "Requests answered".into(), value: share, detail }];
    if let Some(tokens) = figure(claim, "output_tokens").filter(|tokens| tokens.value > 0.0) {
        let by = tokens.source.as_deref().unwrap_or_default();
        let detail = format!("counted by {by}");
        tiles.push(Fact { name: "Tokens generated".into(), value: plain(tokens.value, 3), detail });
    }
    let seconds = claim.value("seconds").unwrap_or_default();
    let took = if seconds < 1.0 { show(seconds * 1e3, "ms") } else { say(seconds, "s") };
    tiles.push(Fact::new("Time in stages", took));
    tiles
}

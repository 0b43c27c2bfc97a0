//! What searches found.

use super::words::{Load, number, percents};
use super::{Claim, ClaimFigure, ClaimKind, Withheld, is_whole};
use crate::metrics::pace::KeepingUp;
use crate::metrics::quantity::{plural, show};
use crate::metrics::saturation::HEADROOM;
use crate::metrics::search::{Reason, SearchFound};
use crate::metrics::summary::{StageSummary, Summary};
use crate::record::StageState;

/// A search and what it found.
struct Search<'a> {
    probes: Vec<&'a StageSummary>,
    found: &'a SearchFound,
    load: Load,
    name: &'a str,
}

/// What is to be said of every search.
pub(super) fn claims(summary: &Summary) -> Vec<Claim> {
    let is_whole = is_whole(summary);
    let searches = summary.searches.iter().filter_map(|(name, found)| {
        let probes = summary.stages.iter().filter(|stage| stage.reported && stage.key() == *name);
        let probes: Vec<&StageSummary> = probes.collect();
        let load = Load::of(found.axis, &probes);
        (!probes.is_empty()).then_some(Search { probes, found, load, name })
    });
    searches.flat_map(|search| search.claims(is_whole)).collect()
}

impl Search<'_> {
    fn claims(&self, is_whole: bool) -> Vec<Claim> {
        if self.probes.iter().all(|stage| stage.counts.ok == 0) {
            return Vec::new();
        }
        if let Some(withheld) = Withheld::of(&self.probes).filter(|_| is_whole) {
            return vec![withheld.claim(self.name, self.load, self.probes[0])];
        }
        let is_cut = self.probes.iter().any(|stage| stage.state != StageState::Completed);
        let Some(reason) = self.found.reason.filter(|_| is_whole) else {
            if self.found.withheld.is_some() && !is_cut {
                return Vec::new(); // It came to its end; how the run ended is said.
            }
            let text = format!(
                "cut short with {} begun, so the highest level that holds is not known.",
                plural(self.found.probes, "probe")
            );
            let claim = self.claim(ClaimKind::SearchCutShort, &text);
            return vec![claim.with("probes", ClaimFigure::count(self.found.probes, "probes"))];
        };
        let mut claims = vec![self.verdict(reason)];
        claims.extend(self.limit());
        claims.extend(self.interval());
        claims.extend(self.throughput());
        claims.extend(self.production());
        claims
    }

    /// A claim of this search; its name opens the sentence.
    fn claim(&self, kind: ClaimKind, text: &str) -> Claim {
        Claim::new(kind, format!("{}: {text}", self.name)).about(self.probes[0])
    }

    fn verdict(&self, reason: Reason) -> Claim {
        let best = self.found.best.map(|best| self.load.say(best));
        let stop = self.found.failed_at.map(|level| self.load.say(level));
        let unclear = self.found.unclear_at.map(|level| self.load.say(level));
        let text = match (reason, best, stop, unclear) {
            (Reason::Converged, Some(best), Some(stop), _) => {
                format!("the highest level that holds is {best}; {stop} does not.")
            }
            (Reason::AllPass, Some(best), ..) => {
                format!(
                    "even the highest level allowed holds: {best}. Raise `to` to find its limit."
                )
            }
            (Reason::Wide, Some(best), Some(stop), _) => {
                format!("the highest level seen to hold is {best}; {stop} does not.")
            }
            (Reason::Unclear, best, _, Some(unclear)) => {
                let needed = self.found.needed_s.map(number);
                let needed =
                    needed.map(|needed| format!(": steps of {needed} s mostly would tell"));
                let needed = needed.unwrap_or_default();
                let holds = best.map(|best| format!("{best} holds; ")).unwrap_or_default();
                format!("{holds}whether {unclear} is kept up with can't be told{needed}.")
            }
            (Reason::Inconclusive, Some(best), _, Some(unclear)) => {
                format!("at least {best} holds; {unclear} could not be judged.")
            }
            (Reason::Inconclusive, None, _, Some(unclear)) => {
                format!("nothing could be judged, not even {unclear}.")
            }
            (Reason::AllFail, _, Some(stop), _) => {
                format!("not even the lowest level holds, {stop}. Lower `from`.")
            }
            (_, Some(best), Some(stop), None) => format!(
                "its probes or requests were spent: {best} held, {stop} did not, and the limit lies \
                 between."
            ),
            (_, Some(best), None, None) => {
                format!("its probes or requests were spent while {best} still held.")
            }
            (_, Some(best), _, Some(unclear)) => format!(
                "its probes or requests were spent: {best} held, and whether {unclear} does can't be \
                 told."
            ),
            (_, None, ..) => {
                "its probes or requests were spent before any level was known to hold.".to_owned()
            }
        };
        let figure = |level: Option<f64>| level.map(|level| self.load.figure(level));
        self.claim(ClaimKind::SearchFound, &text)
            .with_some("sustainable", figure(self.found.best))
            .with_some("fails_at", figure(self.found.failed_at))
            .with_some("unclear_at", figure(self.found.unclear_at))
            .with_some("needed_s", self.found.needed_s.map(|it| ClaimFigure::new(it, "s")))
    }

    fn limit(&self) -> Option<Claim> {
        // That probes are too short is said already.
        let is_said = self.found.reason == Some(Reason::Unclear);
        let unclear = self.found.unclear_at.filter(|_| !is_said);
        let level = self.found.failed_at.or(unclear)?;
        let why = self.found.failed_because.as_ref()?;
        let text = format!("at {}, {why}.", self.load.say(level));
        let claim = self.claim(ClaimKind::SearchLimit, &text).at(level).quoting(why);
        let claim = claim.with("level", self.load.figure(level));
        let at_level = self.probes.iter().rev().filter(|stage| stage.rung == Some(level));
        let mut checks =
            at_level.filter_map(|stage| stage.probe.as_ref()).flat_map(|it| &it.checks);
        let Some(check) = checks.find(|check| why.starts_with(&check.check)) else {
            return Some(claim);
        };
        let figure = |value: &Option<serde_json::Value>, n| {
            let value = value.as_ref()?.as_f64()?;
            Some(ClaimFigure { n, ..ClaimFigure::new(value, &check.unit) })
        };
        Some(
            claim
                .with_some("actual", figure(&check.actual, Some(check.samples)))
                .with_some("limit", figure(&check.limit, None)),
        )
    }

    /// Where the limit lies, and of what probes that is known.
    fn interval(&self) -> Option<Claim> {
        let (low, high) = self.found.interval?;
        let range = format!("{} and {}", number(low), number(high));
        let probes = plural(self.found.probes, "probe");
        let requests = plural(self.found.requests, "request");
        let known = if self.is_rate_kept_up_with() { " (95 % CI)" } else { "" };
        let mut text = format!(
            "the limit lies between {range} {}{known}, by {probes} of {requests} in all",
            self.load.unit()
        );
        let needed = self.found.needed_s.filter(|_| self.found.reason == Some(Reason::Wide));
        if let Some(needed) = needed {
            text =
                format!("{text}; steps of {} s would tell it as closely as asked", number(needed));
        }
        Some(
            self.claim(ClaimKind::SearchInterval, &format!("{text}."))
                .with("low", self.load.figure(low))
                .with("high", self.load.figure(high))
                .with("probes", ClaimFigure::count(self.found.probes, "probes"))
                .with("requests", ClaimFigure::count(self.found.requests, "requests"))
                .with_some("needed_s", needed.map(|seconds| ClaimFigure::new(seconds, "s"))),
        )
    }

    /// Whether it is falling behind that limits it, and no threshold.
    fn is_rate_kept_up_with(&self) -> bool {
        let at_limit = self.probes.iter().filter(|stage| stage.rung == self.found.failed_at);
        let mut loads = at_limit.filter_map(|stage| stage.load);
        loads.any(|load| load.keeping_up == Some(KeepingUp::FellBehind))
    }

    fn throughput(&self) -> Option<Claim> {
        let (best, rate) = self.found.best.zip(self.found.requests_per_second)?;
        let answers = self.probes.iter().rev().find(|stage| stage.rung == Some(best))?.counts.ok;
        let figure = |value: f64, unit| ClaimFigure::of(value, unit, answers);
        let mut text =
            format!("at {} it answered {}", self.load.say(best), show(rate, "requests/s"));
        if let Some(tokens) = self.found.output_tokens_per_second {
            text = format!("{text}, {}", show(tokens, "tokens/s"));
        }
        if let (Some(goodput), Some(share)) = (self.found.goodput, self.found.goodput_share) {
            let (goodput, share) = (show(goodput, "requests/s"), show(share, "share"));
            text = format!("{text}; goodput {goodput}, {share} of what was planned");
        }
        let tokens = self.found.output_tokens_per_second;
        Some(
            self.claim(ClaimKind::SearchThroughput, &format!("{text}."))
                .at(best)
                .with("requests_per_second", figure(rate, "requests/s"))
                .with_some("output_tokens_per_second", tokens.map(|it| figure(it, "tokens/s")))
                .with_some("goodput", self.found.goodput.map(|it| figure(it, "requests/s")))
                .with_some("goodput_share", self.found.goodput_share.map(|it| figure(it, "share"))),
        )
    }

    fn production(&self) -> Option<Claim> {
        let failed =
            |stage: &&&StageSummary| stage.rung.is_some() && stage.rung == self.found.failed_at;
        // Where the plan's own limit held requests back, the endpoint may take more.
        let is_capped = self
            .probes
            .iter()
            .filter(failed)
            .any(|stage| stage.load.is_some_and(|load| load.capped_at.is_some()));
        let range = self.found.recommended.filter(|_| !is_capped)?;
        let shares = self.load.shares(range)?;
        let of = range.1 / HEADROOM.1;
        let text = format!(
            "run production at {}, {} of {}, to leave headroom.",
            self.load.range(range),
            percents(shares),
            number(of)
        );
        let claim = self.claim(ClaimKind::Production, &text).with("of", self.load.figure(of));
        Some(self.load.advised(claim, range, shares))
    }
}

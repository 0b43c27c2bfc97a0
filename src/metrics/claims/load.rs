//! What ladders and ramps found.
//!
//! Capacity, sustained levels and what to run production at are claimed only of runs that are complete
//! and valid, of levels that were reached, and of a limit that was found.

use super::words::{Load, number, percents};
use super::{Claim, ClaimFigure, ClaimKind, Withheld, is_whole};
use crate::metrics::quantity::{plural, significant};
use crate::metrics::saturation::{Saturation, Sign};
use crate::metrics::summary::{StageSummary, Summary};
use crate::record::StageState;

/// A ladder with its rungs and what they found.
struct Ladder<'a> {
    rungs: Vec<&'a StageSummary>,
    found: &'a Saturation,
    load: Load,
    name: String,
}

/// What is to be said of every ladder and ramp.
pub(super) fn claims(summary: &Summary) -> Vec<Claim> {
    let is_whole = is_whole(summary);
    let ladders = summary.saturation.iter().filter_map(|(name, found)| {
        let rungs = summary.stages.iter().filter(|stage| stage.reported && stage.key() == *name);
        let rungs: Vec<&StageSummary> = rungs.collect();
        let load = Load::of(found.axis, &rungs);
        (!rungs.is_empty()).then(|| Ladder { rungs, found, load, name: name.clone() })
    });
    // In the order in which they ran, and not by name.
    let mut ladders: Vec<Ladder> = ladders.collect();
    let place = |ladder: &Ladder| {
        summary.stages.iter().position(|stage| std::ptr::eq(stage, ladder.rungs[0]))
    };
    ladders.sort_by_key(place);
    ladders.iter().flat_map(|ladder| ladder.claims(is_whole)).collect()
}

impl Ladder<'_> {
    fn claims(&self, is_whole: bool) -> Vec<Claim> {
        if self.rungs.iter().all(|stage| stage.counts.ok == 0) {
            // That nothing was answered is said where the run opens.
            return Vec::new();
        }
        let mut claims = Vec::new();
        if self.found.incomplete {
            claims.push(self.not_run());
        } else if let Some(withheld) = Withheld::of(&self.rungs).filter(|_| is_whole) {
            claims.push(withheld.claim(&self.name, self.load, self.rungs[0]));
        } else if is_whole {
            claims.push(self.verdict());
            claims.extend(self.stopped());
            claims.extend(self.held_above());
            claims.extend(self.best_throughput());
            claims.extend(self.production());
            claims.extend(self.rises());
        }
        claims.extend(self.unclear());
        claims.extend(self.generator_limited());
        claims.extend(self.not_reached());
        claims
    }

    /// A claim of this ladder; its name opens the sentence.
    fn claim(&self, kind: ClaimKind, text: &str) -> Claim {
        Claim::new(kind, format!("{}: {text}", self.name)).about(self.rungs[0])
    }

    fn not_run(&self) -> Claim {
        let run = self.levels_run();
        let all = self.rungs.len() as u64;
        let text = format!(
            "{run} of {} were run to their end, so what it can sustain is not known.",
            plural(all, "level")
        );
        self.claim(ClaimKind::LevelsNotRun, &text)
            .with("levels_run", ClaimFigure::count(run, "levels"))
            .with("levels", ClaimFigure::count(all, "levels"))
    }

    fn levels_run(&self) -> u64 {
        let ran =
            |stage: &&&StageSummary| stage.state == StageState::Completed && !stage.was_stopped();
        self.rungs.iter().filter(ran).count() as u64
    }

    /// Where the plan's `stop_when` ended it.
    fn stopped(&self) -> Option<Claim> {
        let was_begun = |stage: &&&StageSummary| stage.counts.ended_or_dropped() > 0;
        let stopped = || self.rungs.iter().filter(|stage| stage.was_stopped());
        let (run, all) = (self.levels_run(), self.rungs.len() as u64);
        let at = stopped().find(was_begun).or(stopped().next())?;
        let level = at.rung?;
        let text = format!(
            "`stop_when` ended it at {}: {run} of {} {}.",
            self.load.say(level),
            plural(all, "level"),
            if run == 1 { "was run to its end" } else { "were run to their end" }
        );
        Some(
            self.claim(ClaimKind::LevelsNotRun, &text)
                .at(level)
                .with("level", self.load.figure(level))
                .with("levels_run", ClaimFigure::count(run, "levels"))
                .with("levels", ClaimFigure::count(all, "levels")),
        )
    }

    fn verdict(&self) -> Claim {
        let (found, say) = (self.found, |level| self.load.say(level));
        let (kind, text) = match (found.saturated_at, found.sustainable) {
            (None, None) => (ClaimKind::NotJudged, "no level could be judged.".to_owned()),
            (None, Some(held)) => (
                ClaimKind::NotSaturated,
                format!(
                    "not saturated: it held up to {}, the highest level judged.{}",
                    say(held),
                    // Where `stop_when` ended it, higher levels were tried.
                    if self.rungs.iter().any(|it| it.was_stopped()) {
                        ""
                    } else {
                        " Try higher levels to find its capacity."
                    }
                ),
            ),
            (Some(at), None) => {
                let lowest = if found.unclear.iter().any(|level| *level < at) {
                    "no level that could be judged holds, the lowest of them"
                } else {
                    "not even the lowest level tried holds,"
                };
                let signs = self.signs();
                // There are none below one at a time, and what fails everywhere is not the load.
                let advice = match self.load {
                    _ if self.fails_everywhere() => {
                        " Requests fail at every level: that the load is the cause is not shown."
                    }
                    Load::Concurrency | Load::Users if at <= 1.0 => "",
                    _ => " Try lower levels.",
                };
                let text = format!("{lowest} {} ({signs}).{advice}", say(at));
                (ClaimKind::LowestFails, text)
            }
            (Some(at), Some(_)) if found.signs == [Sign::Flat] => (
                ClaimKind::Knee,
                format!(
                    "saturated at {}: more of them raise latency but hardly the throughput.",
                    say(at)
                ),
            ),
            (Some(at), Some(held)) => {
                let (held, at, signs) = (say(held), say(at), self.signs());
                let text = match self.cap() {
                    None => format!("sustains {held}; saturated at {at} ({signs})."),
                    Some(most) => format!(
                        "with at most {most} requests under way (`max_in_flight`) it sustains {held}, \
                         and not {at} ({signs}). The endpoint itself may take more: raise that limit \
                         to see."
                    ),
                };
                (ClaimKind::Sustained, text)
            }
        };
        let figure = |level: Option<f64>| level.map(|level| self.load.figure(level));
        self.claim(kind, &text)
            .with_some("sustainable", figure(found.sustainable))
            .with_some("saturated_at", figure(found.saturated_at))
            .with_some("max_in_flight", self.cap().map(|most| ClaimFigure::count(most, "requests")))
    }

    /// The plan's `max_in_flight`, where it held requests back at the level that did not hold.
    fn cap(&self) -> Option<u64> {
        self.at(self.found.saturated_at?)?.load?.capped_at
    }

    fn at(&self, level: f64) -> Option<&StageSummary> {
        self.rungs.iter().copied().find(|stage| stage.rung == Some(level))
    }

    /// Levels of which nobody can tell whether they hold, and what would tell.
    fn unclear(&self) -> Option<Claim> {
        let unclear = &self.found.unclear;
        let (lowest, highest) = (*unclear.first()?, *unclear.last()?);
        let untold = |level: &&f64| self.at(**level).is_some_and(StageSummary::has_untold_check);
        let untold = unclear.iter().filter(untold).count();
        let what = match self.load {
            _ if untold == unclear.len() => "whether its checks hold",
            _ if untold > 0 => "whether it holds",
            Load::Rate => "whether it keeps up",
            Load::Concurrency | Load::Users => "its throughput",
        };
        let of = if let [only] = unclear[..] {
            format!("at {} can't be told", self.load.say(only))
        } else {
            let levels = plural(unclear.len() as u64, "level");
            let range = format!("{} to {}", number(lowest), self.load.say(highest));
            format!("can't be told at {levels} from {range}")
        };
        let advice = match self.found.needed_s {
            Some(needed) => format!(
                "steps of {} s mostly would, unless a level is close to the limit",
                number(needed)
            ),
            None if self.load == Load::Rate => {
                "too little was seen to say what step would; longer ones may".to_owned()
            }
            None if untold > 0 => "checks have no data there".to_owned(),
            None => "longer steps would".to_owned(),
        };
        let text = format!("{what} {of}: {advice}.");
        let needed = self.found.needed_s.map(|seconds| ClaimFigure::new(seconds, "s"));
        Some(
            self.claim(ClaimKind::LevelUnclear, &text)
                .at(lowest)
                .with("lowest", self.load.figure(lowest))
                .with("highest", self.load.figure(highest))
                .with("levels", ClaimFigure::count(unclear.len() as u64, "levels"))
                .with_some("needed_s", needed),
        )
    }

    fn held_above(&self) -> Option<Claim> {
        let at = *self.found.held_above.last()?;
        let text = format!(
            "yet it held up at {}: what was seen below may be a disturbance and not its limit. Run \
             the ladder again, with longer steps.",
            self.load.say(at)
        );
        Some(self.claim(ClaimKind::HeldAbove, &text).at(at).with("level", self.load.figure(at)))
    }

    fn best_throughput(&self) -> Option<Claim> {
        let (best, at) = self.found.best_requests_per_second.zip(self.found.best_at)?;
        if self.found.saturated_at.is_none() || best <= 0.0 || self.fails_everywhere() {
            return None;
        }
        let (low, high) = self.found.best_interval.unzip();
        let between = self.found.best_interval.map_or_else(String::new, |(low, high)| {
            format!(" (95 % CI {} to {})", significant(low, 3), significant(high, 3))
        });
        let (answers, at_level) = (number(best), self.load.say(at));
        let text = format!("best throughput: {answers} requests/s{between}, at {at_level}.");
        let rung = self.rungs.iter().find(|stage| stage.rung == Some(at))?;
        let figure = ClaimFigure::of(best, "requests/s", rung.counts.ok);
        Some(
            self.claim(ClaimKind::BestThroughput, &text)
                .at(at)
                .with("requests_per_second", ClaimFigure { low, high, ..figure })
                .with("level", self.load.figure(at)),
        )
    }

    fn production(&self) -> Option<Claim> {
        let range = self.found.recommended.filter(|_| self.cap().is_none())?;
        let run = match self.load {
            Load::Rate => "run production at",
            Load::Concurrency | Load::Users => "limit production to",
        };
        let of = match self.found.signs.as_slice() {
            [Sign::Flat] => "the saturation point",
            _ => "what it sustains",
        };
        let shares = self.load.shares(range)?;
        let (range_said, share) = (self.load.range(range), percents(shares));
        let text = format!("{run} {range_said}, {share} of {of}, to leave headroom.");
        Some(self.load.advised(self.claim(ClaimKind::Production, &text), range, shares))
    }

    fn rises(&self) -> Vec<Claim> {
        let claim = |kind, at: Option<f64>, what: &str| {
            let at = at?;
            let claim = self.claim(kind, &format!("{what} {}.", self.load.say(at)));
            Some(claim.at(at).with("level", self.load.figure(at)))
        };
        let errors = if self.found.errors_rise_at.is_some_and(|at| self.only_drops(at)) {
            "requests are dropped at `max_in_flight`, unsent, at"
        } else {
            "requests fail, or are cut off unanswered, at"
        };
        let latency = "p99 latency rises steeply at";
        // Of what fails everywhere the verdict has said so.
        let rises_at = self.found.errors_rise_at.filter(|_| !self.fails_everywhere());
        let errors = claim(ClaimKind::ErrorsRise, rises_at, errors);
        let latency = claim(ClaimKind::LatencyRises, self.found.p99_rises_at, latency);
        errors.into_iter().chain(latency).collect()
    }

    fn generator_limited(&self) -> Option<Claim> {
        let limited = &self.found.generator_limited;
        let lowest = limited.first()?;
        let levels: Vec<String> = limited.iter().map(|at| number(*at)).collect();
        let text = format!(
            "at {} the load generator was the bottleneck, so these levels say nothing about the \
             endpoint: give it more cores, or run it from another machine.",
            levels.join(", ")
        );
        let claim = self.claim(ClaimKind::GeneratorLimited, &text).at(*lowest);
        let levels = (1..).zip(limited).map(|(nth, at)| (format!("level_{nth}"), *at));
        Some(levels.fold(claim, |claim, (name, at)| claim.with(&name, self.load.figure(at))))
    }

    fn not_reached(&self) -> Vec<Claim> {
        let missed = self.rungs.iter().filter_map(|stage| {
            let (level, reached) = (stage.rung?, stage.level_missed()?);
            let text = format!(
                "{} were asked for and at most {reached} were under way at once, so that level was \
                 not reached: give each level more requests, or time.",
                self.load.say(level)
            );
            Some(
                self.claim(ClaimKind::LevelNotReached, &text)
                    .at(level)
                    .with("asked", self.load.figure(level))
                    .with("reached", self.load.figure(reached as f64)),
            )
        });
        missed.collect()
    }

    /// Whether more than a hundredth of the requests failed at each of several levels.
    fn fails_everywhere(&self) -> bool {
        let fails = |rung: &&StageSummary| rung.success_rate.is_some_and(|rate| rate < 0.99);
        self.rungs.len() > 1 && self.rungs.iter().all(fails)
    }

    /// Whether all that went unanswered at a level was never sent, for the plan's own limit.
    fn only_drops(&self, level: f64) -> bool {
        self.at(level).is_some_and(|stage| {
            let counts = &stage.counts;
            counts.dropped_late > 0 && counts.errors == 0 && counts.cancelled == 0
        })
    }

    fn signs(&self) -> String {
        let drops = self.found.saturated_at.is_some_and(|at| self.only_drops(at));
        let word = |sign: &Sign| match sign {
            Sign::Errors if drops => "requests are dropped at that limit",
            Sign::Errors => "requests fail",
            Sign::Throughput => "its backlog grows",
            Sign::Threshold => "a threshold fails",
            Sign::Flat => "throughput stops growing",
        };
        self.found.signs.iter().map(word).collect::<Vec<_>>().join(", ")
    }
}

//! One level of load: a stage's only one, or a rung of a ladder or ramp.
//!
//! In: an [`Action`]. Out: its levels in the order in which they run, with their schedules and
//! prompts. Invariant: no two levels of a plan share prompts or random numbers.

use std::time::Duration;

use super::round::Round;
use crate::plan::{
    Action, ArrivalProcess, ClosedLoop, Measure, OpenLoop, Rate, Repeat, Replay, ReplayTiming,
    Sessions, Shape, Stage, Think, Traffic, Until, WhenFull,
};
use crate::record::{ArrivalLine, SearchLine, SteadyLine};
use crate::request::Request;
use crate::schedule::Schedule;
use crate::schedule::repeats::Repeats;
use crate::stage::StageContext;
use crate::stage::log::{Log, Turn};
use crate::workload::prompt::{PromptSettings, PromptWorkload};
use crate::workload::tokenizer::Tokenizer;
use crate::workload::{Workload, WorkloadError};

/// What is asked for on one level.
pub(in crate::stage) struct Level<'a> {
    /// Its rate or concurrency, on ladders and ramps.
    pub rung: Option<f64>,
    pub traffic: &'a Traffic,
    pub shape: Shape,
    pub until: Until,
    /// How often it is driven, at least once.
    pub repeats: u64,
    pub measure: Measure,
    /// Requests per second asked for, where the rate is constant.
    pub target_rate: Option<f64>,
    /// The search that it is a probe of.
    pub search: Option<SearchLine>,
    /// The log that it replays.
    pub replay: Option<&'a Replay>,
}

/// The levels of a stage of load; `None` for other kinds.
pub(in crate::stage) fn levels(stage: &Stage) -> Option<Vec<Level<'_>>> {
    Some(match &stage.action {
        Action::Load(load) => vec![Level {
            rung: None,
            traffic: &load.traffic,
            shape: load.shape.clone(),
            until: load.until,
            repeats: load.rounds,
            measure: load.measure,
            target_rate: match &load.shape {
                Shape::Open(OpenLoop { rate: Rate::Constant(rate), .. }) => Some(*rate),
                _ => None,
            },
            search: None,
            replay: None,
        }],
        Action::QpsLadder(ladder) => ladder
            .rates
            .iter()
            .map(|&rate| Level {
                rung: Some(rate),
                traffic: &ladder.traffic,
                shape: Shape::Open(OpenLoop {
                    arrival: ladder.arrival,
                    rate: Rate::Constant(rate),
                    pacing: ladder.pacing,
                }),
                until: ladder.step,
                repeats: 1,
                measure: ladder.measure,
                target_rate: Some(rate),
                search: None,
                replay: None,
            })
            .collect(),
        Action::ConcurrencyRamp(ramp) => ramp
            .levels
            .iter()
            .map(|&users| Level {
                rung: Some(users as f64),
                traffic: &ramp.traffic,
                shape: Shape::Closed(ClosedLoop {
                    users,
                    start_users: users,
                    ramp: Duration::ZERO,
                    spread: ramp.spread,
                    think: ramp.think,
                }),
                until: ramp.step,
                repeats: 1,
                measure: ramp.measure,
                target_rate: None,
                search: None,
                replay: None,
            })
            .collect(),
        Action::Cold(_)
        | Action::Warm(_)
        | Action::Flush(_)
        | Action::Pause(_)
        | Action::Search(_)
        | Action::Conversation(_) => return None,
        Action::Replay(replay) => vec![Level::of_replay(replay)],
    })
}

impl<'a> Level<'a> {
    fn of_replay(replay: &'a Replay) -> Self {
        let (arrival, rate) = match replay.timing {
            ReplayTiming::Rate { rate, arrival } => (arrival, rate),
            // The log says when; see [`Level::rounds`].
            ReplayTiming::Log { .. } => (ArrivalProcess::Constant, 0.0),
        };
        Level {
            rung: None,
            traffic: &replay.traffic,
            shape: Shape::Open(OpenLoop {
                arrival,
                rate: Rate::Constant(rate),
                pacing: replay.pacing,
            }),
            until: replay.until.unwrap_or(Until::Requests(0)),
            repeats: 1,
            measure: replay.measure,
            target_rate: (rate > 0.0).then_some(rate),
            search: None,
            replay: Some(replay),
        }
    }

    /// Names the level among all of the plan.
    pub(in crate::stage) fn key(&self, stage: &str) -> String {
        // No two probes of a search share prompts, or the second would find them cached.
        let probe = self.search.as_ref().map(|it| format!("#{}", it.probe)).unwrap_or_default();
        self.rung.map_or_else(|| stage.to_owned(), |rung| format!("{stage}@{rung}{probe}"))
    }

    /// Whether a level without any answer fails the stage: only at its first level does that mean
    /// that something is wrong with the endpoint; above it, it is what a search is after.
    pub(super) fn needs_answers(&self) -> bool {
        self.search.as_ref().is_none_or(|search| self.rung.is_some_and(|rung| rung <= search.from))
    }

    /// Its rounds, each with a schedule of its own: that of the log, where one is replayed.
    pub(super) fn rounds(
        &self,
        context: &StageContext<'_>,
        log: Option<&Log>,
    ) -> Result<Vec<Round>, String> {
        let key = self.key(&context.stage.key());
        let rounds = (0..self.repeats.max(1)).map(|number| {
            let Shape::Open(open) = &self.shape else {
                return Ok(Round::of_users(self.until.requests()));
            };
            let again = if number > 0 { format!("/{number}") } else { String::new() };
            let schedule = match log {
                Some(log) => log.schedule.clone(),
                None => Schedule::open(open, self.until, context.seed, &format!("{key}{again}"))
                    .map_err(|error| error.to_string())?,
            };
            Ok(Round::of_schedule(schedule, self.measure.settle, log.cloned()))
        });
        rounds.collect()
    }

    /// About how many due times have to be drawn to know how many requests it has; `None` where that is
    /// known without.
    pub(super) fn drawn(&self) -> Option<u64> {
        let Shape::Open(open) = &self.shape else { return None };
        self.until.duration()?;
        Some(open.rate.about(self.until).saturating_mul(self.repeats.max(1)))
    }

    /// Whether time ends it before all of its requests need have been sent.
    pub(super) fn is_timed(&self) -> bool {
        matches!(self.shape, Shape::Closed(_)) && self.until.duration().is_some()
    }

    /// What is known beforehand of its steady part; nothing of a probe, which is judged as it is.
    pub(super) fn steady(&self) -> Option<SteadyLine> {
        if self.search.is_some() {
            return None;
        }
        let Measure { settle, warmup, cooldown, .. } = self.measure;
        let ms = |length: Duration| length.as_secs_f64() * 1e3;
        let left =
            |length: Duration| Some(length.saturating_sub(settle)).filter(|it| !it.is_zero());
        let (climb, users) = match &self.shape {
            Shape::Closed(load) => (load.ramp.max(load.spread), Some(load.users)),
            Shape::Open(OpenLoop { rate: Rate::Pieces(pieces), .. }) => {
                (pieces.iter().map(|piece| piece.over).sum(), None)
            }
            Shape::Open(_) => (Duration::ZERO, None),
        };
        Some(SteadyLine {
            warmup_ms: warmup.map(ms),
            cooldown_ms: cooldown.map(ms),
            climb_ms: left(climb).map(ms),
            length_ms: self.until.duration().and_then(left).map(ms),
            users,
        })
    }

    /// How long each round sends once it has settled, where time decides and no number of requests;
    /// `planned` are those of all rounds, with those that settle them.
    pub(super) fn lasts(&self, planned: u64) -> Option<Duration> {
        let most = self.until.requests();
        let is_by_number = most.is_some_and(|most| planned >= most.saturating_mul(self.repeats));
        let length = self.until.duration().filter(|_| !is_by_number)?;
        Some(length.saturating_sub(self.measure.settle)).filter(|it| !it.is_zero())
    }

    /// Most requests under way at a time.
    pub(super) fn concurrency(&self) -> Option<u64> {
        match &self.shape {
            Shape::Closed(load) => Some(load.users),
            Shape::Open(load) => load.pacing.max_in_flight,
        }
    }

    /// How arrivals are spaced.
    pub(super) fn arrival(&self) -> Option<ArrivalLine> {
        let Shape::Open(load) = &self.shape else { return None };
        if self.replay.is_some_and(|replay| matches!(replay.timing, ReplayTiming::Log { .. })) {
            return Some(ArrivalLine::Log);
        }
        Some(match load.arrival {
            ArrivalProcess::Constant => ArrivalLine::Constant,
            ArrivalProcess::Poisson => ArrivalLine::Poisson,
            ArrivalProcess::Gamma { burstiness } => ArrivalLine::Gamma { burstiness },
            ArrivalProcess::Burst { size } => ArrivalLine::Burst { size },
        })
    }

    /// How turns of the log that it replays depend on each other.
    pub(super) fn sessions(&self) -> Sessions {
        self.replay.map_or(Sessions::Independent, |replay| replay.sessions)
    }

    /// The log that it replays, if it replays one.
    pub(super) fn log(&self, context: &StageContext<'_>) -> Result<Option<Log>, String> {
        let key = self.key(&context.stage.key());
        let of = |replay| Log::of(replay, context.store, context.seed, &key);
        self.replay.map(of).transpose()
    }

    /// Whether users pause before they ask again.
    pub(super) fn pauses(&self) -> bool {
        matches!(&self.shape, Shape::Closed(users) if !matches!(users.think, Think::None))
    }

    /// The limit on lag. Where requests queue for a place in flight, being late is what the plan asks
    /// for and says nothing of the generator. A user is due to ask as soon as the last answer came and
    /// was thought about, so what is late in a closed loop is the generator's turnaround.
    pub(super) fn max_lag(&self) -> Option<Duration> {
        match &self.shape {
            Shape::Open(open)
                if open.pacing.max_in_flight.is_none()
                    || open.pacing.when_full == WhenFull::Drop =>
            {
                Some(self.measure.max_lag)
            }
            Shape::Closed(_) => Some(self.measure.max_lag),
            Shape::Open(_) => None,
        }
    }
}

/// A level's prompts, some of which repeat earlier ones.
pub(super) struct Repeating {
    prompts: PromptWorkload,
    repeats: Repeats,
    /// Which row each request asks, where a log is replayed.
    log: Option<Log>,
}

impl Repeating {
    /// The prompts of the level (or a part of it) that `key` names.
    pub(super) fn new(
        context: &StageContext<'_>,
        level: &Level<'_>,
        key: &str,
        tokenizer: &Tokenizer,
    ) -> Result<Self, WorkloadError> {
        let settings = PromptSettings {
            stage: &context.stage.id,
            seed: context.seed,
            run_nonce: context.run_nonce,
            params: context.params,
            context_tokens: context.server.context_tokens,
            headers: &context.stage.endpoint.header_templates,
            is_load: true,
            api: &context.stage.endpoint.api,
        };
        let repeat = Repeat {
            requests: u64::MAX,
            distinct: u64::MAX,
            rows_of: None,
            concurrency: 1,
            prompt: level.traffic.prompt.clone(),
            like: None,
            nonce_key: key.to_owned(),
        };
        let log = level.log(context).map_err(WorkloadError)?;
        Ok(Self {
            log,
            prompts: PromptWorkload::new(
                &repeat,
                &settings,
                context.store,
                tokenizer.without_asking(),
            )?,
            repeats: Repeats::new(level.traffic.repeat_ratio, context.seed, key),
        })
    }
}

impl Repeating {
    /// The log that is replayed, if one is.
    pub(super) fn log(&self) -> Option<&Log> {
        self.log.as_ref()
    }
}

impl Workload for Repeating {
    fn request(&self, index: u64) -> Result<Request, WorkloadError> {
        if let Some(log) = &self.log {
            let Turn { row, conversation: (_, session), number } = log.turn(index);
            return self.prompts.request_of_row(row, (session, number.into()), index);
        }
        let request = self.prompts.request(self.repeats.source(index))?;
        Ok(Request { index, ..request })
    }
}

//! `load`, `qps_ladder`, `concurrency_ramp`: levels of load, one after another.
//!
//! In: the stage's levels. Out: a `stage_start` and a `stage_end` line for each, and between them
//! one `end` line for every request that was planned. Invariants: a level (and each round of one)
//! begins when nothing of the one before is in flight any more; warm-up and settling requests are recorded under ids of
//! their own that are not reported; after a level that could not be completed no other is sent; a
//! level that an earlier run has measured is told again and not sent.

pub(super) mod ahead;
mod closed;
mod lane;
mod level;
mod open;
mod replay;
mod round;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use self::ahead::Ahead;
use self::lane::{Ended, Lane};
use self::level::Repeating;
pub(super) use self::level::{Level, levels};
use super::exchange::Post;
use super::{
    SETTLE, SETTLE_SUFFIX, StageContext, StageOutcome, close_account, open_account, record_reading,
    unless_drained,
};
use crate::plan::{Sessions, Shape};
use crate::record::{Line, LoadLine, RoundLine, StageEnd, StageStart, StageState};
use crate::workload::tokenizer::Tokenizer;

/// From the moment when requests are ready until the first is due, so that the pacer's thread and
/// the first lines are there in time.
const LEAD: Duration = Duration::from_millis(5);

/// Due times that are drawn to count the requests of a level that will not run.
const MOST_DRAWN: u64 = 10_000_000;

/// Runs the levels.
pub(super) async fn run(context: &StageContext<'_>, levels: &[Level<'_>]) -> StageOutcome {
    let tokenizer = Arc::new(context.tokenizer.clone());
    let (done, mut ended) = match context.retell().await {
        Ok(done) => (done, StageOutcome::completed()),
        Err(reason) => (Vec::new(), StageOutcome::failed(reason)),
    };
    let mut interrupted = None;
    let mut is_warm = false;
    for level in levels.iter().filter(|level| !done.contains(&level.rung)) {
        if context.stop.drain.is_cancelled() && ended.state == StageState::Completed {
            // By a signal, or by a check of the plan: rungs that it forgoes are no failure.
            let outcome = context.early.explain(StageOutcome::interrupted());
            let reason = outcome.reason.as_deref().unwrap_or_default();
            skip(context, level, outcome.state, reason).await;
            interrupted = Some(outcome);
            continue;
        }
        if ended.state != StageState::Completed {
            let reason = "an earlier rung did not complete";
            let state = match ended.state {
                StageState::Interrupted => StageState::Interrupted,
                _ => StageState::Skipped,
            };
            skip(context, level, state, ended.reason.as_deref().unwrap_or(reason)).await;
            continue;
        }
        super::flush::wait_until_idle(context).await;
        if !is_warm && level.traffic.warmup_requests > 0 {
            warm_up(context, level, &tokenizer).await;
        }
        is_warm = true;
        ended = drive(context, level, &tokenizer).await;
    }
    interrupted.unwrap_or(ended)
}

/// Leaves the lines of a level that will not run: all it planned never started.
pub(super) async fn skip(
    context: &StageContext<'_>,
    level: &Level<'_>,
    state: StageState,
    reason: &str,
) {
    // Where time bounds a schedule, it has to be drawn to be counted.
    let is_long = level.drawn().is_some_and(|about| about > MOST_DRAWN);
    let rounds = || {
        let log = level.log(context).ok()?;
        round::planned(&level.rounds(context, log.as_ref()).ok()?)
    };
    let planned = if is_long { 0 } else { rounds().unwrap_or(0) };
    let uncounted = if is_long { "; its requests are too many to be counted" } else { "" };
    let phase = Phase::main(context, level);
    phase.start(planned, 0, context.clock.now_ns()).await;
    let post = post(context, level);
    post.never_made(0, planned).await;
    let outcome = StageOutcome { state, reason: Some(format!("{reason}{uncounted}")) };
    phase.end(&outcome, Some(planned), false).await;
}

/// Sends requests, one after another, that are not reported.
pub(super) async fn warm_up(context: &StageContext<'_>, level: &Level<'_>, tokenizer: &Tokenizer) {
    let requests = level.traffic.warmup_requests;
    let id = format!("{}.warmup", context.stage.id);
    let phase = Phase { context, level, id: id.clone(), kind: "warmup" };
    let post = Post::of(context, None).renamed(id.clone());
    phase.start(requests, 0, context.clock.now_ns()).await;
    let mut outcome = StageOutcome::completed();
    let key = format!("{}.warmup", context.stage.key());
    let workload = Repeating::new(context, level, &key, tokenizer);
    for index in 0..requests {
        let ready = match &workload {
            _ if context.stop.drain.is_cancelled() => Err(StageOutcome::interrupted()),
            Ok(workload) => {
                Ok(tokio::task::block_in_place(|| post.prepare(workload, tokenizer, index)))
            }
            Err(error) => Err(StageOutcome::failed(error.to_string())),
        };
        match ready {
            Ok(ready) => {
                post.send(ready, context.clock.now_ns(), tokenizer).await;
            }
            Err(why) => {
                post.never_made(index, 1).await;
                outcome = why;
            }
        }
    }
    phase.end(&outcome, None, false).await;
}

/// Runs one level from its first prepared request to the last answer, round by round. A round begins
/// when nothing of the one before is in flight any more; its requests go on where that one ended.
pub(super) async fn drive(
    context: &StageContext<'_>,
    level: &Level<'_>,
    tokenizer: &Arc<Tokenizer>,
) -> StageOutcome {
    let key = level.key(&context.stage.key());
    let made = Repeating::new(context, level, &key, tokenizer)
        .map_err(|error| error.to_string())
        .and_then(|workload| {
            let rounds = level.rounds(context, workload.log())?;
            Ok((workload, rounds))
        });
    let (workload, rounds) = match made {
        Ok(made) => made,
        Err(reason) => {
            skip(context, level, StageState::Failed, &reason).await;
            return StageOutcome::failed(reason);
        }
    };
    let all = round::planned(&rounds);
    let post = post(context, level);
    let making = post.clone().keeping_requests(level.sessions() == Sessions::Live);
    let mut ahead = match Ahead::start(&making, workload, Arc::clone(tokenizer), all) {
        Ok(ahead) => ahead,
        Err(error) => {
            let reason = format!("the system gives no thread to prepare requests: {error}");
            skip(context, level, StageState::Failed, &reason).await;
            return StageOutcome::failed(reason);
        }
    };
    unless_drained(context, ahead.fill()).await;

    let mut before = open_account(context).await;
    let ahead = Arc::new(Mutex::new(ahead));
    let (main, settling) = (Phase::main(context, level), Phase::settling(context, level));
    let settled: u64 = rounds.iter().map(|round| round.settled).sum();
    let settle = level.measure.settle;
    let (mut next, mut counted) = (0, 0);
    let (mut ended, mut note) = (Ended::Whole, None);
    // A probe that its plan aborts has failed; the search goes on.
    let is_aborted_probe = |outcome: &StageOutcome| {
        level.search.is_some() && outcome.state == StageState::Failed && context.early.has_aborted()
    };
    for (number, round) in rounds.iter().enumerate() {
        if number > 0 {
            super::flush::wait_until_idle(context).await;
        }
        if context.stop.drain.is_cancelled() && number > 0 || !ended.is_whole() {
            // What time would have ended, nobody can say the length of.
            let unsent = round.planned.filter(|_| !level.is_timed()).unwrap_or(0);
            post.never_made(next, unsent).await;
            (next, counted) = (next + unsent, counted + unsent);
            continue;
        }
        if let Shape::Closed(load) = &level.shape {
            closed::open_connections(context, load, level).await;
        }
        let start = Instant::now() + LEAD;
        let from_ns = context.clock.ns(start + settle);
        if !settle.is_zero() {
            settling.start(round.settled, 0, context.clock.ns(start)).await;
        }
        if number == 0 {
            main.start(all.unwrap_or(0).saturating_sub(settled), settled, from_ns).await;
            record_reading(context, before.take()).await;
        }
        let lane = Arc::new(Lane::new(context, level, post.clone(), tokenizer, start));
        let done = round::drive(context, level, &lane, round, next, &ahead).await;
        (next, counted) = (next + done.planned + done.settling, counted + done.planned);
        if !settle.is_zero() {
            let mut outcome = outcome(context, level, &done.ended);
            if is_aborted_probe(&outcome) {
                outcome.state = StageState::Completed;
            }
            settling.end(&outcome, Some(done.settling), false).await;
        }
        if rounds.len() > 1 && !context.stop.drain.is_cancelled() {
            let round = number as u64;
            main.round(round, done.planned, from_ns).await;
        }
        (ended, note) = (done.ended, done.note);
    }
    let mut outcome = outcome(context, level, &ended);
    if outcome.state == StageState::Completed && outcome.reason.is_none() {
        outcome.reason = note;
    }
    let aborted = is_aborted_probe(&outcome);
    if aborted {
        outcome.state = StageState::Completed;
    }
    let ended_ns = context.clock.now_ns();
    close_account(context).await;
    main.end_at(ended_ns, &outcome, Some(counted), aborted).await;
    outcome
}

/// What the end of a level, or of a round of it, comes to.
fn outcome(context: &StageContext<'_>, level: &Level<'_>, ended: &Ended) -> StageOutcome {
    context.early.explain(match ended {
        _ if context.stop.drain.is_cancelled() => StageOutcome::interrupted(),
        Ended::Failed(reason) => StageOutcome::failed(reason.clone()),
        Ended::Unanswered if level.needs_answers() => StageOutcome::failed("no request succeeded"),
        Ended::Unanswered | Ended::Whole => StageOutcome::completed(),
    })
}

/// Where a level's requests go.
fn post(context: &StageContext<'_>, level: &Level<'_>) -> Post {
    let post = Post::of(context, level.rung);
    match &level.search {
        Some(search) => post.of_probe(search.probe),
        None => post,
    }
}

/// A part of a level with lines of its own.
struct Phase<'a> {
    context: &'a StageContext<'a>,
    level: &'a Level<'a>,
    id: String,
    kind: &'static str,
}

impl<'a> Phase<'a> {
    /// The part that counts.
    fn main(context: &'a StageContext<'a>, level: &'a Level<'a>) -> Self {
        Self { context, level, id: context.stage.id.clone(), kind: context.stage.action.kind() }
    }

    /// The part before it.
    fn settling(context: &'a StageContext<'a>, level: &'a Level<'a>) -> Self {
        let id = format!("{}{SETTLE_SUFFIX}", context.stage.id);
        Self { context, level, id, kind: SETTLE }
    }

    fn is_main(&self) -> bool {
        self.id == self.context.stage.id
    }

    fn rung(&self) -> Option<f64> {
        self.level.rung.filter(|_| self.kind != "warmup")
    }

    async fn start(&self, planned: u64, settled: u64, at_ns: u64) {
        let Self { context, level, .. } = self;
        let stage = context.stage;
        let line = StageStart {
            stage: self.id.clone(),
            kind: self.kind.to_owned(),
            cell: stage.cell_id().map(str::to_owned),
            rung: self.rung(),
            endpoint: stage.endpoint.name.clone(),
            api: Some(stage.endpoint.api.name().to_owned()),
            model: Some(context.client.redactor().said(&context.server.model)),
            planned,
            expects: None,
            like: None,
            reported: stage.record && self.is_main(),
            concurrency: level.concurrency(),
            load: self.is_main().then(|| {
                Box::new(LoadLine {
                    rounds: (level.repeats > 1).then_some(level.repeats),
                    steady: level.steady(),
                    target_rate: level.target_rate,
                    arrival: level.arrival(),
                    duration_ms: level.lasts(planned + settled).map(|it| it.as_secs_f64() * 1e3),
                    pauses: level.pauses(),
                    max_lag_ms: level.max_lag().map(|lag| lag.as_secs_f64() * 1e3),
                    window_ms: level.measure.window.map(|window| window.as_secs_f64() * 1e3),
                    search: level.search.clone(),
                })
            }),
            thresholds: if self.is_main() { stage.thresholds.clone() } else { Vec::new() },
            at_ns,
        };
        context.records.send(Line::StageStart(line)).await;
    }

    /// A round that began at `from_ns` is over.
    async fn round(&self, round: u64, planned: u64, from_ns: u64) {
        let line = RoundLine {
            stage: self.id.clone(),
            cell: self.context.stage.cell_id().map(str::to_owned),
            round,
            planned,
            from_ns,
            at_ns: self.context.clock.now_ns(),
        };
        self.context.records.send(Line::Round(line)).await;
    }

    async fn end(&self, outcome: &StageOutcome, planned: Option<u64>, aborted: bool) {
        self.end_at(self.context.clock.now_ns(), outcome, planned, aborted).await;
    }

    async fn end_at(
        &self,
        at_ns: u64,
        outcome: &StageOutcome,
        planned: Option<u64>,
        aborted: bool,
    ) {
        let line = StageEnd {
            stage: self.id.clone(),
            cell: self.context.stage.cell_id().map(str::to_owned),
            rung: self.rung(),
            state: outcome.state,
            reason: outcome.reason.clone(),
            planned,
            aborted,
            cpu_ns: None,
            wake_lag: None,
            at_ns,
        };
        self.context.records.send(Line::StageEnd(line)).await;
    }
}

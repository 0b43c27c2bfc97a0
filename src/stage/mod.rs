//! Floor 4: what one node of the graph does; one file per stage kind.
//!
//! In: a checked [`Stage`] and a connected endpoint. Out: lines of the record log, through a
//! [`RecordSender`]. Invariant: every planned request gets exactly one `end` line or is
//! counted by a `never_started` line, whatever happens,
//! and a stage never knows which sinks exist. To add a kind: a file here, a variant of
//! [`Action`], an arm in [`run`].

mod cold_warm;
mod conversation;
mod earlier;
mod exchange;
mod flush;
pub mod flush_cost;
pub mod interleave;
mod load;
pub mod log;
mod search;
mod tokens;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;

use tokio_util::sync::CancellationToken;

pub use self::earlier::Earlier;
use crate::client::Client;
use crate::client::account::Account;
use crate::client::probe::Server;
use crate::metrics::summary::StageSummary;
use crate::plan::{Action, Ending, Stage};
use crate::record::{
    CacheState, Line, RecordSender, RunClock, STOPPED, ServerLine, StageEnd, StageStart, StageState,
};
use crate::workload::store::Store;
use crate::workload::tokenizer::Tokenizer;

/// Kind of the part of a stage or rung before its numbers count; its id is that of the stage with
/// [`SETTLE_SUFFIX`] behind it.
pub const SETTLE: &str = "settle";

/// What the id of a settling part ends with. No stage of a plan can have such an id.
pub const SETTLE_SUFFIX: &str = ".settle";

/// What a stage works with.
#[derive(Clone, Copy)]
pub struct StageContext<'a> {
    /// The stage itself.
    pub stage: &'a Stage,
    /// The plan's seed.
    pub seed: u64,
    /// What makes this run's prompts unlike those of other runs.
    pub run_nonce: &'a str,
    /// Values of the plan's params, for templates.
    pub params: &'a serde_json::Value,
    /// The way to the endpoint.
    pub client: &'a Client,
    /// What preflight learnt of it.
    pub server: &'a Server,
    /// How tokens are counted there.
    pub tokenizer: &'a Tokenizer,
    /// The files of the plan's prompts.
    pub store: &'a Store,
    /// The server's own account, where it gives one.
    pub account: Option<&'a Account>,
    /// Where lines go.
    pub records: &'a RecordSender,
    /// The run's clock.
    pub clock: RunClock,
    /// The two ways to end early.
    pub stop: &'a Stop,
    /// Why the plan itself ends the stage early, once it does.
    pub early: &'a EarlyEnd,
    /// What the recorder makes of its rungs, for a stage that decides by it.
    pub rungs: &'a MeasuredRungs,
    /// Its place among cells that take turns, where they do.
    pub turn: Option<&'a interleave::Turn>,
    /// The run that this one goes on with, if it does.
    pub earlier: Option<&'a Arc<Earlier>>,
}

impl StageContext<'_> {
    /// Tells again what an earlier run has measured of the stage, and waits until it is judged.
    /// Returns the rungs that are done. What is not recorded is there for its effect on the server, so
    /// it is done again.
    async fn retell(&self) -> Result<Vec<Option<f64>>, String> {
        let Some(earlier) = self.earlier.filter(|_| self.stage.record) else {
            return Ok(Vec::new());
        };
        let done = earlier.retell(self.stage, self.records).await?;
        self.records.caught_up().await;
        Ok(done)
    }
}

/// The two ways to end a run early.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// Send nothing new; what is in flight may finish.
    pub drain: CancellationToken,
    /// Cut what is in flight, too.
    pub cut: CancellationToken,
}

impl Stop {
    /// The same for one stage: pulled with this one, but not the other way round.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { drain: self.drain.child_token(), cut: self.cut.child_token() }
    }
}

/// What a check of the plan pulls to end its stage (or a probe of it) while it runs, and why.
#[derive(Debug, Clone)]
pub struct EarlyEnd(Arc<Mutex<Armed>>);

#[derive(Debug)]
struct Armed {
    stop: Stop,
    why: Option<(Ending, String)>,
}

impl EarlyEnd {
    /// One that pulls `stop`.
    pub fn new(stop: Stop) -> Self {
        Self(Arc::new(Mutex::new(Armed { stop, why: None })))
    }

    /// Ends what runs; only the first reason counts.
    pub fn pull(&self, ending: Ending, why: String) {
        let mut armed = self.armed();
        armed.why.get_or_insert((ending, why));
        armed.stop.drain.cancel();
        if ending == Ending::Abort {
            armed.stop.cut.cancel();
        }
    }

    /// Whether nothing new is sent any more.
    pub fn is_over(&self) -> bool {
        self.armed().stop.drain.is_cancelled()
    }

    /// From now on it pulls a stop of its own below `stop`, which is returned.
    fn arm(&self, stop: &Stop) -> Stop {
        let child = stop.child();
        *self.armed() = Armed { stop: child.clone(), why: None };
        child
    }

    /// Whether it has cut what ran.
    fn has_aborted(&self) -> bool {
        matches!(self.armed().why, Some((Ending::Abort, _)))
    }

    fn armed(&self) -> std::sync::MutexGuard<'_, Armed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the end of the stage comes to: a stage that was done anyway stays as it is.
    fn explain(&self, outcome: StageOutcome) -> StageOutcome {
        match &self.armed().why {
            Some((Ending::Abort, why)) if outcome.state == StageState::Interrupted => {
                StageOutcome::failed(format!("aborted: {why}"))
            }
            Some((Ending::Stop, why)) if outcome.state == StageState::Interrupted => StageOutcome {
                reason: Some(format!("{STOPPED}{why}")),
                ..StageOutcome::completed()
            },
            _ => outcome,
        }
    }
}

/// The summaries of a stage's own rungs, in order, as the recorder makes them.
#[derive(Debug, Clone)]
pub struct MeasuredRungs(Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<StageSummary>>>);

impl MeasuredRungs {
    /// The stage's end, and the recorder's.
    pub fn channel() -> (mpsc::UnboundedSender<StageSummary>, Self) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (sender, Self(Arc::new(tokio::sync::Mutex::new(receiver))))
    }

    /// The next one; `None` when the recorder is gone.
    async fn next(&self) -> Option<StageSummary> {
        self.0.lock().await.recv().await
    }
}

/// What names the requests of a stage, or of its first level: the key of their nonces, and what
/// stands between the run's nonce and their number in their ids.
pub fn first_keys(stage: &Stage) -> (String, String) {
    let key = stage.key();
    let first = match &stage.action {
        Action::Search(search) => Some(search::first_level(stage, search)),
        _ => load::levels(stage).and_then(|levels| levels.into_iter().next()),
    };
    let Some(level) = first else { return (key.clone(), key) };
    let probe = level.search.as_ref().map(|it| format!("#{}", it.probe)).unwrap_or_default();
    let rung = level.rung.map(|rung| format!("@{rung}")).unwrap_or_default();
    (level.key(&key), format!("{key}{probe}{rung}"))
}

/// How a stage ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageOutcome {
    /// Completed, failed, interrupted.
    pub state: StageState,
    /// Why, unless it completed.
    pub reason: Option<String>,
}

impl StageOutcome {
    fn completed() -> Self {
        Self { state: StageState::Completed, reason: None }
    }

    fn failed(reason: impl Into<String>) -> Self {
        Self { state: StageState::Failed, reason: Some(reason.into()) }
    }

    fn interrupted() -> Self {
        Self { state: StageState::Interrupted, reason: Some("interrupted by a signal".into()) }
    }
}

/// Waits for a call beside the measured requests; `None` when the run is cut meanwhile.
async fn unless_cut<T>(context: &StageContext<'_>, call: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        () = context.stop.cut.cancelled() => None,
        value = call => Some(value),
    }
}

/// Waits for something of ours; `None` when nothing new is to be sent any more.
async fn unless_drained<T>(context: &StageContext<'_>, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        () = context.stop.drain.cancelled() => None,
        value = work => Some(value),
    }
}

/// Leaves the lines of a stage that will not run: all it planned never started.
pub async fn skip(context: StageContext<'_>, state: StageState, reason: &str) {
    if let Some(levels) = load::levels(context.stage) {
        for level in &levels {
            load::skip(&context, level, state, reason).await;
        }
        return;
    }
    let planned = match &context.stage.action {
        // How many it would have come to is up to the answers.
        Action::Search(_) => 0,
        action => action.planned(),
    };
    context.records.send(Line::StageStart(start_line(&context, planned))).await;
    let post = exchange::Post::of(&context, None);
    post.never_made(0, planned).await;
    let outcome = StageOutcome { state, reason: Some(reason.to_owned()) };
    context.records.send(Line::StageEnd(end_line(&context, &outcome))).await;
}

/// Runs one stage from its `stage_start` line to its `stage_end` line; a stage with rungs has such
/// a pair for each.
pub async fn run(context: StageContext<'_>) -> StageOutcome {
    let stage = context.stage;
    if let Some(levels) = load::levels(stage) {
        return load::run(&context, &levels).await;
    }
    if let Action::Search(search) = &stage.action {
        return search::run(&context, search).await;
    }
    let planned = stage.action.planned();
    let before = open_account(&context).await;
    context.records.send(Line::StageStart(start_line(&context, planned))).await;
    record_reading(&context, before).await;
    let mut planned = None;
    let outcome = match &stage.action {
        Action::Conversation(it) => {
            let (outcome, turns) = conversation::run(&context, it).await;
            planned = Some(turns);
            outcome
        }
        Action::Cold(repeat) | Action::Warm(repeat) => cold_warm::run(&context, repeat).await,
        Action::Flush(flush) => flush::run(&context, flush).await,
        Action::Pause(length) => pause(&context, *length).await,
        // They have levels and were run above.
        Action::Load(_)
        | Action::QpsLadder(_)
        | Action::ConcurrencyRamp(_)
        | Action::Search(_)
        | Action::Replay(_) => StageOutcome::completed(),
    };
    let outcome = context.early.explain(outcome);
    let end = StageEnd { planned, ..end_line(&context, &outcome) };
    close_account(&context).await;
    context.records.send(Line::StageEnd(end)).await;
    outcome
}

/// The server's own account before a stage or rung sends anything; read on from now on.
async fn open_account(context: &StageContext<'_>) -> Option<ServerLine> {
    unless_cut(context, context.account?.open(context.records)).await.flatten()
}

/// The account after the last answer of a stage or rung.
async fn close_account(context: &StageContext<'_>) {
    let Some(account) = context.account else { return };
    let reading = unless_cut(context, account.close()).await.flatten();
    record_reading(context, reading).await;
}

async fn record_reading(context: &StageContext<'_>, reading: Option<ServerLine>) {
    if let Some(reading) = reading {
        context.records.send(Line::Server(reading)).await;
    }
}

fn end_line(context: &StageContext<'_>, outcome: &StageOutcome) -> StageEnd {
    StageEnd {
        stage: context.stage.id.clone(),
        cell: context.stage.cell_id().map(str::to_owned),
        rung: None,
        state: outcome.state,
        reason: outcome.reason.clone(),
        planned: None,
        aborted: false,
        cpu_ns: None,
        wake_lag: None,
        at_ns: context.clock.now_ns(),
    }
}

fn start_line(context: &StageContext<'_>, planned: u64) -> StageStart {
    let stage = context.stage;
    StageStart {
        stage: stage.id.clone(),
        kind: stage.action.kind().into(),
        cell: stage.cell_id().map(str::to_owned),
        rung: None,
        endpoint: stage.endpoint.name.clone(),
        api: Some(stage.endpoint.api.name().to_owned()),
        model: Some(context.client.redactor().said(&context.server.model)),
        planned,
        // What only warms up, outside of every report, claims nothing.
        expects: match &stage.action {
            Action::Cold(_) if stage.record => Some(CacheState::Cold),
            Action::Warm(_) if stage.record => Some(CacheState::Warm),
            Action::Cold(_)
            | Action::Warm(_)
            | Action::Flush(_)
            | Action::Pause(_)
            | Action::Load(_)
            | Action::QpsLadder(_)
            | Action::ConcurrencyRamp(_)
            | Action::Search(_)
            | Action::Conversation(_)
            | Action::Replay(_) => None,
        },
        like: match &stage.action {
            Action::Cold(repeat) | Action::Warm(repeat) => repeat.like.clone(),
            _ => None,
        },
        reported: stage.record,
        load: None,
        concurrency: match &stage.action {
            Action::Cold(repeat) | Action::Warm(repeat) => Some(repeat.concurrency),
            Action::Conversation(conversation) => conversation.config.concurrency,
            Action::Flush(_)
            | Action::Pause(_)
            | Action::Load(_)
            | Action::QpsLadder(_)
            | Action::ConcurrencyRamp(_)
            | Action::Search(_)
            | Action::Replay(_) => None,
        },
        thresholds: stage.thresholds.clone(),
        at_ns: context.clock.now_ns(),
    }
}

/// Waits; a signal ends the wait.
async fn pause(context: &StageContext<'_>, length: Duration) -> StageOutcome {
    tokio::select! {
        () = tokio::time::sleep(length) => StageOutcome::completed(),
        () = context.stop.drain.cancelled() => StageOutcome::interrupted(),
    }
}

//! The closed loop: users who wait for an answer before they ask again.
//!
//! In: users and requests that are ready. Out: each request sent as soon as its user is free.
//! Invariant: never more requests in flight than users.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::ahead::Ahead;
use super::lane::{Driven, Lane};
use super::level::Level;
use crate::plan::ClosedLoop;
use crate::record::{Outcome, RunClock};
use crate::schedule::closed::Users;
use crate::stage::{StageContext, unless_drained};

/// A user whose request could not be made asks the next after so long, or requests that cost nothing would
/// fail by the million.
const UNMADE: Duration = Duration::from_millis(10);

/// What the users share.
struct Crowd {
    lane: Arc<Lane>,
    users: Users,
    ahead: Arc<Mutex<Ahead>>,
    taken: AtomicU64,
    /// Most requests that they ask.
    most: u64,
    /// Nothing new is sent any more.
    over: CancellationToken,
    clock: RunClock,
}

/// Users who begin within so long have their connections opened ahead; later ones would find theirs
/// given up as idle.
const OPENED_AHEAD: Duration = Duration::from_secs(1);

/// A user for whom this machine had no port or file descriptor left asks again after so long.
const SHORT_OF: Duration = Duration::from_secs(1);

/// Opens the connections of the users who begin at once: made all together, they would hold up
/// each other's first answers.
pub(super) async fn open_connections(
    context: &StageContext<'_>,
    load: &ClosedLoop,
    level: &Level<'_>,
) {
    let users = Users::new(*load, context.seed, &level.key(&context.stage.key()));
    let begin_at_once =
        users.begun_by(OPENED_AHEAD).min(level.until.requests().unwrap_or(u64::MAX));
    let count = usize::try_from(begin_at_once).unwrap_or(usize::MAX);
    unless_drained(context, context.client.open_ahead(count)).await;
}

/// Lets the users ask until the level ends.
pub(super) async fn drive(
    context: &StageContext<'_>,
    lane: &Arc<Lane>,
    load: &ClosedLoop,
    level: &Level<'_>,
    ahead: &Arc<Mutex<Ahead>>,
) -> Driven {
    let crowd = Arc::new(Crowd {
        lane: Arc::clone(lane),
        users: Users::new(*load, context.seed, &level.key(&context.stage.key())),
        ahead: Arc::clone(ahead),
        taken: AtomicU64::new(0),
        most: level.until.requests().unwrap_or(u64::MAX),
        over: lane.drain.child_token(),
        clock: context.clock,
    });
    let mut in_flight = JoinSet::new();
    for user in 0..crowd.users.count() {
        let crowd = Arc::clone(&crowd);
        in_flight.spawn(async move { crowd.user(user).await });
    }
    let end = level.until.duration().map(|length| lane.start + length);
    tokio::select! {
        () = crowd.over.cancelled() => {}
        () = until(end) => crowd.over.cancel(),
    }
    lane.finish(&mut in_flight).await;
    Driven {
        ended: lane.ended(),
        taken: crowd.taken.load(Ordering::Relaxed),
        waiting: Vec::new(),
        note: None,
    }
}

impl Crowd {
    async fn user(&self, user: u64) {
        self.pause(self.lane.start + self.users.start_of(user)).await;
        while !self.over.is_cancelled() {
            tokio::select! {
                biased;
                () = self.lane.reachable() => {}
                () = self.over.cancelled() => return,
            }
            let due_ns = self.clock.now_ns();
            let next = {
                let mut ahead = self.ahead.lock().await;
                if self.over.is_cancelled() {
                    return;
                }
                if self.taken.load(Ordering::Relaxed) >= self.most {
                    self.over.cancel();
                    return;
                }
                let next = ahead.next().await;
                if next.is_some() {
                    self.taken.fetch_add(1, Ordering::Relaxed);
                }
                next
            };
            let Some(ready) = next else {
                self.over.cancel();
                return;
            };
            let index = ready.index;
            let outcome = self.lane.send(ready, due_ns).await;
            let short = match outcome {
                Outcome::Unmade => UNMADE,
                _ if outcome.is_local() => SHORT_OF,
                _ => Duration::ZERO,
            };
            let think = self.users.think_after(index).max(short);
            if think > Duration::ZERO {
                self.pause(Instant::now() + think).await;
            }
        }
    }

    /// Waits until `at`, or until nothing new is sent any more.
    async fn pause(&self, at: Instant) {
        tokio::select! {
            () = self.over.cancelled() => {}
            () = tokio::time::sleep_until(at.into()) => {}
        }
    }
}

/// Waits until `end`; for ever without one.
async fn until(end: Option<Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end.into()).await,
        None => std::future::pending().await,
    }
}

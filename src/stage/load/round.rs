//! One round of a level: from its first due request to its last answer.
//!
//! In: the round's schedule, or none where users ask, and the level's requests as they are made
//! ready. Out: an `end` line for each request that it planned. Invariant: its requests carry on where
//! the round before it ended, so that no two of a level share a number, a prompt or an id.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::ahead::Ahead;
use super::lane::{Driven, Ended, Lane};
use super::level::Level;
use super::{closed, open, replay};
use crate::plan::{Sessions, Shape};
use crate::schedule::Schedule;
use crate::stage::StageContext;
use crate::stage::log::Log;

/// A round that is to come.
pub(super) struct Round {
    /// When its requests are due; `None` in a closed loop.
    schedule: Option<Schedule>,
    /// The log that it replays.
    log: Option<Log>,
    /// How many requests it has at most; `None` where time alone ends it.
    pub planned: Option<u64>,
    /// Those of them that settle it, as far as the schedule tells.
    pub settled: u64,
}

impl Round {
    /// One of users, who ask at most so often.
    pub(super) fn of_users(planned: Option<u64>) -> Self {
        Self { schedule: None, log: None, planned, settled: 0 }
    }

    /// One of a schedule, the first stretch of which is to settle it.
    pub(super) fn of_schedule(schedule: Schedule, settle: Duration, log: Option<Log>) -> Self {
        let settle_ns = u64::try_from(settle.as_nanos()).unwrap_or(u64::MAX);
        let settles = schedule.iter().take_while(|arrival| arrival.offset_ns < settle_ns);
        let settled = settles.count() as u64;
        Self { planned: Some(schedule.planned()), settled, schedule: Some(schedule), log }
    }
}

/// What came of a round.
pub(super) struct Done {
    pub ended: Ended,
    /// Requests that count.
    pub planned: u64,
    /// Requests that settled it.
    pub settling: u64,
    /// What people should know of it, though it went as planned.
    pub note: Option<String>,
}

/// How many requests all rounds have at most.
pub(super) fn planned(rounds: &[Round]) -> Option<u64> {
    rounds.iter().try_fold(0_u64, |sum, round| Some(sum.saturating_add(round.planned?)))
}

/// Sends the requests of a round, the first of which is number `first` of its level, and records
/// those that were planned and not sent.
pub(super) async fn drive(
    context: &StageContext<'_>,
    level: &Level<'_>,
    lane: &Arc<Lane>,
    round: &Round,
    first: u64,
    ahead: &Arc<Mutex<Ahead>>,
) -> Done {
    let sessions = level.sessions();
    let driven = match (&level.shape, &round.schedule, &round.log) {
        (Shape::Closed(load), ..) => closed::drive(context, lane, load, level, ahead).await,
        (Shape::Open(load), _, Some(log)) if sessions != Sessions::Independent => {
            let log = (log, sessions == Sessions::Live);
            replay::drive(context, lane, &load.pacing, log, ahead).await
        }
        (Shape::Open(load), Some(schedule), _) => {
            open::drive(context, lane, &load.pacing, schedule, ahead).await
        }
        (Shape::Open(_), None, _) => Driven::none("there is no schedule"),
    };
    // Time ends some loads before all of their requests were sent; those were never planned.
    let planned =
        if level.is_timed() { driven.taken } else { round.planned.unwrap_or(driven.taken) };
    let mut unsent_settling = 0;
    for request in driven.waiting {
        let is_settling = request.index - first < round.settled;
        unsent_settling += u64::from(is_settling);
        lane.post(is_settling).never_started(request).await;
    }
    // Of those that were not even made, the first may have been there to settle the round.
    let settling = planned.min(round.settled).saturating_sub(driven.taken);
    unsent_settling += settling;
    lane.post(true).never_made(first + driven.taken, settling).await;
    let begun = driven.taken.max(round.settled.min(planned));
    lane.post(false).never_made(first + begun, planned.saturating_sub(begun)).await;
    let settling = lane.settling_count() + unsent_settling;
    let planned = planned.saturating_sub(settling);
    Done { ended: driven.ended, planned, settling, note: driven.note }
}

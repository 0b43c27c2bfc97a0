//! The open loop: requests at times of their own, whatever the server does.
//!
//! In: a schedule and requests that are ready. Out: each request sent when the pacer says it is
//! due, in a task of its own. Invariant: the latency counts from the schedule's due time, so
//! whatever holds a request up here shows in its `schedule_lag`.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::ahead::Ahead;
use super::lane::{Driven, Ended, Lane};
use crate::plan::{Late, Pacing};
use crate::schedule::Schedule;
use crate::schedule::admission::{Admission, Admit};
use crate::schedule::pacer::{Pacer, Verdict};
use crate::stage::StageContext;
use crate::stage::exchange::Ready;

/// A request whose time has come.
struct Due {
    ready: Ready,
    at: Instant,
}

/// Sends the schedule's requests.
pub(super) async fn drive(
    context: &StageContext<'_>,
    lane: &Arc<Lane>,
    pacing: &Pacing,
    schedule: &Schedule,
    ahead: &Mutex<Ahead>,
) -> Driven {
    let mut ahead = ahead.lock().await;
    let (pacer, mut dues) = match Pacer::start(schedule.iter(), lane.start, pacing) {
        Ok(started) => started,
        Err(error) => return Driven::none(format!("the system gives no pacer thread: {error}")),
    };
    let mut admission: Admission<Due> = Admission::new(pacing);
    let mut in_flight = JoinSet::new();
    let (mut taken, mut failed, mut is_over) = (0, None, false);
    let mut drain_by = lane.start;
    let send = |due: Due, in_flight: &mut JoinSet<()>| {
        let (lane, due_ns) = (Arc::clone(lane), context.clock.ns(due.at));
        in_flight.spawn(async move {
            lane.send(due.ready, due_ns).await;
        });
    };
    while !(is_over && admission.waiting() == 0) && failed.is_none() {
        tokio::select! {
            biased;
            () = lane.drain.cancelled() => break,
            () = tokio::time::sleep_until(drain_by.into()), if is_over => break,
            Some(_) = in_flight.join_next() => {
                let Some(due) = admission.finished() else { continue };
                match pacing.late {
                    Late::Drop { after } if due.at.elapsed() > after => {
                        let due_ns = context.clock.ns(due.at);
                        lane.drop_late(due.ready, due_ns).await;
                        // Its place is free again: a task that is over at once asks for the next.
                        in_flight.spawn(async {});
                    }
                    _ => send(due, &mut in_flight),
                }
            }
            released = dues.recv(), if !is_over => {
                let Some(released) = released else {
                    is_over = true;
                    drain_by = Instant::now() + lane.drain_limit;
                    continue;
                };
                let ready = match ahead.due().await {
                    Ok(ready) => ready,
                    Err(error) => {
                        failed = Some(error);
                        continue;
                    }
                };
                taken = released.index + 1;
                let due = Due { ready, at: released.due };
                let due_ns = context.clock.ns(due.at);
                if released.verdict == Verdict::DroppedLate {
                    lane.drop_late(due.ready, due_ns).await;
                    continue;
                }
                match admission.offer(due) {
                    Admit::Send(due) => send(due, &mut in_flight),
                    Admit::Queued => {}
                    Admit::Drop(due) => lane.drop_late(due.ready, due_ns).await,
                }
            }
        }
    }
    pacer.stop();
    let waiting = admission.abandon().map(|due| due.ready.into()).collect();
    lane.finish(&mut in_flight).await;
    let ended = failed.map_or_else(|| lane.ended(), Ended::Failed);
    Driven { ended, taken, waiting, note: None }
}

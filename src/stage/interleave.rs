//! Stages that take turns, request by request.
//!
//! In: how many stages take part, and each one's requests as they become ready. Out: who may send.
//! Invariants: the first requests of all go out before any second one, in an order that turns round
//! each time (A B, B A, A B, …), so that a steady drift favours nobody; no more requests are under
//! way in all than one stage may have; a stage that is done or gave up holds nobody up.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The order of turns of some stages.
#[derive(Debug)]
pub struct Turns {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    /// The place in the order that goes next.
    next: u64,
    under_way: u64,
    has_left: Vec<bool>,
}

/// One stage's part in the turns.
#[derive(Debug)]
pub struct Turn {
    turns: Arc<Turns>,
    arm: usize,
}

/// The right to have one request under way.
#[derive(Debug)]
pub struct Pass {
    turns: Arc<Turns>,
}

/// Leaves the turns when it is dropped.
#[derive(Debug)]
pub struct Leaving<'t>(&'t Turn);

impl Turns {
    /// Turns for so many stages; none for fewer than two.
    pub fn new(arms: usize) -> Option<Arc<Self>> {
        let state = State { next: 0, under_way: 0, has_left: vec![false; arms] };
        (arms > 1).then(|| Arc::new(Self { state: Mutex::new(state), changed: Notify::new() }))
    }

    /// The part of stage number `arm`, from 0.
    pub fn turn(self: &Arc<Self>, arm: usize) -> Turn {
        Turn { turns: Arc::clone(self), arm }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock can panic half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whose turn the next place is; places of those who left are passed over.
    fn next_arm(&mut self) -> Option<(u64, usize)> {
        if self.has_left.iter().all(|left| *left) {
            return None;
        }
        let arms = self.has_left.len();
        loop {
            let round = self.next / arms as u64;
            let step = usize::try_from(self.next % arms as u64).unwrap_or(0);
            let arm = if round.is_multiple_of(2) { step } else { arms - 1 - step };
            if !self.has_left[arm] {
                return Some((round, arm));
            }
            self.next += 1;
        }
    }
}

impl Turn {
    /// Waits until request `index` of this stage is next and fewer than `most` are under way in
    /// all; `None` once this stage has left.
    pub async fn take(&self, index: u64, most: u64) -> Option<Pass> {
        loop {
            let changed = self.turns.changed.notified();
            tokio::pin!(changed);
            // From here on no change is missed.
            changed.as_mut().enable();
            {
                let mut state = self.turns.state();
                if state.has_left.get(self.arm).copied().unwrap_or(true) {
                    return None;
                }
                if state.next_arm() == Some((index, self.arm)) && state.under_way < most.max(1) {
                    state.next += 1;
                    state.under_way += 1;
                    drop(state);
                    self.turns.changed.notify_waiters();
                    return Some(Pass { turns: Arc::clone(&self.turns) });
                }
            }
            changed.await;
        }
    }

    /// Takes no part any more.
    pub fn leave(&self) {
        if let Some(left) = self.turns.state().has_left.get_mut(self.arm) {
            *left = true;
        }
        self.turns.changed.notify_waiters();
    }

    /// Leaves when what is returned goes out of scope.
    pub fn leaving(&self) -> Leaving<'_> {
        Leaving(self)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut state = self.turns.state();
        state.under_way = state.under_way.saturating_sub(1);
        drop(state);
        self.turns.changed.notify_waiters();
    }
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.expect("a runtime").block_on(future)
    }

    /// The order in which two stages of these many requests send.
    fn order(requests: [u64; 2]) -> Vec<(usize, u64)> {
        block_on(async {
            let turns = Turns::new(2).expect("two");
            let sent = Mutex::new(Vec::new());
            let arm = |arm: usize| {
                let (turn, sent) = (turns.turn(arm), &sent);
                async move {
                    let _leaves = turn.leaving();
                    for index in 0..requests[arm] {
                        let _pass = turn.take(index, 1).await.expect("a turn");
                        sent.lock().expect("no panic").push((arm, index));
                        tokio::task::yield_now().await;
                    }
                }
            };
            tokio::join!(arm(0), arm(1));
            sent.into_inner().expect("no panic")
        })
    }

    #[test]
    fn turns_alternate_and_turn_round() {
        assert_eq!(order([3, 3]), [(0, 0), (1, 0), (1, 1), (0, 1), (0, 2), (1, 2)]);
    }

    #[test]
    fn the_longer_stage_goes_on_alone() {
        assert_eq!(order([3, 1]), [(0, 0), (1, 0), (0, 1), (0, 2)]);
    }

    #[test]
    fn who_left_gets_no_turn_and_one_stage_takes_none() {
        block_on(async {
            let turns = Turns::new(2).expect("two");
            let (left, stays) = (turns.turn(0), turns.turn(1));
            left.leave();
            assert!(left.take(0, 1).await.is_none());
            assert!(stays.take(0, 1).await.is_some());
        });
        assert!(Turns::new(1).is_none());
    }
}

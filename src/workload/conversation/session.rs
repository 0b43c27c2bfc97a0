//! One session under way: what was said, and when its next turn is due.
//!
//! In: answers as they come. Out: the history of the next turn and its time. Invariant: no clock here;
//! a turn is never due before the answer to the one before it.

use std::time::Duration;

use rand::RngExt;

use super::live::{Swaps, in_place_of};
use super::{Says, Script, TurnId};
use crate::plan::Think;
use crate::plan::workload::{History, TurnDelay};
use crate::request::Message;
use crate::workload::seed::keyed_rng;
use crate::workload::synthetic::text::key_of;

/// A session that has joined and is not over.
pub(super) struct Session {
    pub(super) script: Script,
    /// Messages so far.
    pub(super) history: Vec<Message>,
    /// This run's answers to its turns so far.
    pub(super) answers: Vec<String>,
    /// When the last turn was due.
    pub(super) due_ns: u64,
    pub(super) is_in_flight: bool,
}

impl Session {
    /// Takes an answer into the history. Where the next turn has one of its own, it is that turn's matter
    /// what of it is sent; else it is counted in `swaps`.
    pub(super) fn answered(
        &mut self,
        turn: usize,
        text: &str,
        history: History,
        swaps: &mut Swaps,
    ) {
        let recorded = self.script.turns[turn].answer.as_ref();
        if self.script.turns.get(turn + 1).is_some_and(|next| matches!(next.says, Says::More(_))) {
            swaps.told(recorded, text, history);
        }
        let answer = match (recorded, history) {
            (Some(recorded), History::Live) => in_place_of(recorded, text),
            (Some(recorded), History::Recorded) => recorded.clone(),
            // Where nothing was recorded, the live answer is all there is.
            (None, _) => Message::text("assistant", text),
        };
        self.answers.push(text.to_owned());
        self.history.push(answer);
    }

    /// When the next turn is due, its predecessor having ended at `now_ns`.
    pub(super) fn due_after(&self, next: TurnId, now_ns: u64, delay: TurnDelay, seed: u64) -> u64 {
        let wait = |ns: u64| now_ns.saturating_add(ns);
        match delay {
            TurnDelay::Think(Think::None) => now_ns,
            TurnDelay::Think(Think::Constant(time)) => wait(nanos(time)),
            TurnDelay::Think(Think::Exponential { mean }) => {
                let key = key_of(&[&next.session.to_le_bytes(), &next.turn.to_le_bytes()]);
                let drawn: f64 = keyed_rng(seed, "think", key).random();
                wait(scaled(nanos(mean), -libm::log(1.0 - drawn)))
            }
            TurnDelay::Recorded { factor, max } => {
                let turns = &self.script.turns;
                let stamp = |turn: usize| turns.get(turn).and_then(|turn| turn.timestamp_ns);
                let limit = |ns: u64| scaled(ns, factor).min(nanos(max));
                if let Some(delay) = turns.get(next.turn).and_then(|turn| turn.delay_ns) {
                    return wait(limit(delay));
                }
                match (stamp(next.turn - 1), stamp(next.turn)) {
                    // Stamps are arrivals: the gap counts from when the last turn was due.
                    (Some(before), Some(after)) => {
                        let gap = limit(after.saturating_sub(before));
                        self.due_ns.saturating_add(gap).max(now_ns)
                    }
                    _ => now_ns,
                }
            }
        }
    }
}

pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn scaled(ns: u64, factor: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    let scaled = (ns as f64 * factor) as u64;
    scaled
}

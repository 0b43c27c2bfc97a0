//! Turns of one conversation never overlap, and those after one that failed are never sent.
//!
//! In: turns in the order in which they are due, and how earlier ones ended. Out: who may go now, who
//! has to wait, who never goes. Invariant: of a conversation at most one turn is under way, the others
//! follow in the order of arrival, and every turn that arrives comes out once.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// What becomes of a turn that is due.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrived<T> {
    /// It may go now.
    Go(T),
    /// The turn before it is not over; [`Turns::over`] or [`Turns::abandon`] gives it back.
    Held,
    /// A turn before it failed, so it never goes.
    Never(T),
}

/// What the end of a turn means for those behind it.
#[derive(Debug, PartialEq, Eq)]
pub struct After<T> {
    /// The one that may go now.
    pub next: Option<T>,
    /// Those that never go.
    pub never: Vec<T>,
}

/// The gate between due times and the client, by conversation `K`.
#[derive(Debug)]
pub struct Turns<K, T> {
    /// Conversations with a turn under way, and what waits behind it.
    busy: HashMap<K, VecDeque<T>>,
    /// Conversations in which a turn failed, and whether one came after it.
    broken: HashMap<K, bool>,
    waiting: u64,
    held: u64,
    cut_short: u64,
}

impl<K, T> Default for Turns<K, T> {
    fn default() -> Self {
        Self { busy: HashMap::new(), broken: HashMap::new(), waiting: 0, held: 0, cut_short: 0 }
    }
}

impl<K: Hash + Eq + Copy, T> Turns<K, T> {
    /// A turn of `conversation` is due. When it goes it counts as under way.
    pub fn arrive(&mut self, conversation: K, turn: T) -> Arrived<T> {
        if let Some(is_cut_short) = self.broken.get_mut(&conversation) {
            self.cut_short += u64::from(!*is_cut_short);
            *is_cut_short = true;
            return Arrived::Never(turn);
        }
        if let Some(behind) = self.busy.get_mut(&conversation) {
            behind.push_back(turn);
            self.waiting += 1;
            self.held += 1;
            return Arrived::Held;
        }
        self.busy.insert(conversation, VecDeque::new());
        Arrived::Go(turn)
    }

    /// The turn of `conversation` that was under way is over, well or not.
    pub fn over(&mut self, conversation: K, is_ok: bool) -> After<T> {
        let nothing = After { next: None, never: Vec::new() };
        let Some(behind) = self.busy.get_mut(&conversation) else { return nothing };
        if !is_ok {
            let never: Vec<T> = behind.drain(..).collect();
            self.waiting -= never.len() as u64;
            self.busy.remove(&conversation);
            self.broken.insert(conversation, !never.is_empty());
            self.cut_short += u64::from(!never.is_empty());
            return After { never, ..nothing };
        }
        let next = behind.pop_front();
        match &next {
            Some(_) => self.waiting -= 1,
            None => drop(self.busy.remove(&conversation)),
        }
        After { next, ..nothing }
    }

    /// Turns held back now.
    pub fn waiting(&self) -> u64 {
        self.waiting
    }

    /// Turns that were held back, sent since or not.
    pub fn held(&self) -> u64 {
        self.held
    }

    /// Conversations with turns that never go.
    pub fn cut_short(&self) -> u64 {
        self.cut_short
    }

    /// The stage ends: gives back all that still wait.
    pub fn abandon(&mut self) -> Vec<T> {
        self.waiting = 0;
        self.busy.drain().flat_map(|(_, behind)| behind).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_busy_conversation_holds_its_next_turns_in_order() {
        let mut turns = Turns::default();
        assert_eq!(turns.arrive("a", 1), Arrived::Go(1));
        assert_eq!(turns.arrive("a", 2), Arrived::Held);
        assert_eq!(turns.arrive("b", 3), Arrived::Go(3));
        assert_eq!(turns.arrive("a", 4), Arrived::Held);
        assert_eq!((turns.waiting(), turns.held()), (2, 2));
        assert_eq!(turns.over("a", true).next, Some(2));
        assert_eq!(turns.over("a", true).next, Some(4));
        assert_eq!(turns.over("a", true).next, None);
        assert_eq!(turns.arrive("a", 5), Arrived::Go(5));
        assert_eq!(turns.over("unknown", true).next, None);
        assert_eq!(turns.arrive("a", 6), Arrived::Held);
        assert_eq!(turns.abandon(), [6]);
    }

    #[test]
    fn turns_after_one_that_failed_never_go() {
        let mut turns = Turns::default();
        assert_eq!(turns.arrive(7, 'a'), Arrived::Go('a'));
        assert_eq!(turns.arrive(7, 'b'), Arrived::Held);
        assert_eq!(turns.over(7, false), After { next: None, never: vec!['b'] });
        assert_eq!(turns.arrive(7, 'c'), Arrived::Never('c'));
        assert_eq!(turns.arrive(8, 'd'), Arrived::Go('d'));
        assert_eq!((turns.cut_short(), turns.waiting()), (1, 0));
        turns.over(8, false);
        assert_eq!(turns.cut_short(), 1, "nothing came after it");
    }

    proptest! {
        #[test]
        fn every_turn_comes_out_once(steps in prop::collection::vec((0_u8..4, 0_u8..8), 0..200)) {
            let mut turns = Turns::default();
            let (mut arrived, mut out) = (0_u32, 0_u32);
            let mut under_way = HashMap::new();
            for (conversation, what) in steps {
                if what < 5 {
                    arrived += 1;
                    match turns.arrive(conversation, arrived) {
                        Arrived::Go(turn) => {
                            prop_assert!(under_way.insert(conversation, turn).is_none());
                        }
                        Arrived::Held => prop_assert!(under_way.contains_key(&conversation)),
                        Arrived::Never(_) => out += 1,
                    }
                } else if let Some(before) = under_way.remove(&conversation) {
                    out += 1;
                    let After { next, never } = turns.over(conversation, what < 7);
                    out += u32::try_from(never.len()).unwrap_or(u32::MAX);
                    if let Some(next) = next {
                        prop_assert!(next > before, "in the order of arrival");
                        under_way.insert(conversation, next);
                    }
                }
            }
            let left = turns.abandon().len() + under_way.len();
            prop_assert_eq!(arrived as usize, out as usize + left);
        }
    }
}

//! Turns of one session never overlap.
//!
//! In: arrivals in the order in which they are due, and departures. Out: who may go now. Invariant:
//! at most one item of a session is under way, and the others follow in the order of arrival.

use std::collections::{HashMap, VecDeque};

/// Holds back what arrives while its session is busy.
#[derive(Debug)]
pub struct SessionGate<T> {
    /// Sessions with an item under way, and what waits behind it.
    busy: HashMap<String, VecDeque<T>>,
    held: usize,
}

impl<T> Default for SessionGate<T> {
    fn default() -> Self {
        Self { busy: HashMap::new(), held: 0 }
    }
}

impl<T> SessionGate<T> {
    /// An item of `session` is due. Gives it back if it may go now, else holds it.
    pub fn arrive(&mut self, session: Option<&str>, item: T) -> Option<T> {
        let Some(session) = session else { return Some(item) };
        if let Some(waiting) = self.busy.get_mut(session) {
            waiting.push_back(item);
            self.held += 1;
            return None;
        }
        self.busy.insert(session.to_owned(), VecDeque::new());
        Some(item)
    }

    /// The item of `session` that was under way has ended. Gives the one that may go now.
    pub fn leave(&mut self, session: Option<&str>) -> Option<T> {
        let waiting = self.busy.get_mut(session?)?;
        let next = waiting.pop_front();
        match &next {
            Some(_) => self.held -= 1,
            None => drop(self.busy.remove(session?)),
        }
        next
    }

    /// Items held back now.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Gives up all items that are held, such as at a stage's end.
    pub fn drain(&mut self) -> Vec<T> {
        self.held = 0;
        self.busy.drain().flat_map(|(_, waiting)| waiting).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_session_holds_its_next_turns_in_order() {
        let mut gate = SessionGate::default();
        assert_eq!(gate.arrive(Some("a"), 1), Some(1));
        assert_eq!(gate.arrive(Some("a"), 2), None);
        assert_eq!(gate.arrive(Some("b"), 3), Some(3));
        assert_eq!(gate.arrive(Some("a"), 4), None);
        assert_eq!(gate.arrive(None, 5), Some(5));
        assert_eq!(gate.held(), 2);
        assert_eq!(gate.leave(Some("a")), Some(2));
        assert_eq!(gate.leave(Some("a")), Some(4));
        assert_eq!(gate.leave(Some("a")), None);
        assert_eq!(gate.arrive(Some("a"), 6), Some(6));
        assert_eq!(gate.leave(Some("unknown")), None);
        assert_eq!(gate.arrive(Some("a"), 7), None);
        assert_eq!(gate.drain(), [7]);
    }
}

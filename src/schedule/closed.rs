//! The closed loop: users who wait for an answer, pause, and ask again.
//!
//! In: the plan's [`ClosedLoop`] and the seed. Out: when each
//! user begins and how long the pause after each request is. Invariant: users beyond the first do
//! not all begin at once unless the plan says so; a pause depends on the request's index only, so
//! that it is the same whichever user sent it.

use std::time::Duration;

use super::draw::{Draw, Purpose};
use crate::plan::{ClosedLoop, Think};

/// A closed loop's start offsets and pauses.
#[derive(Debug, Clone)]
pub struct Users {
    load: ClosedLoop,
    draw: Draw,
}

impl Users {
    /// The users of `load`; `key` names stage, cell and rung.
    pub fn new(load: ClosedLoop, seed: u64, key: &str) -> Self {
        Self { load, draw: Draw::new(seed, key, Purpose::Think) }
    }

    /// How many there are in the end.
    pub fn count(&self) -> u64 {
        self.load.users
    }

    /// From the stage's start until user `user` (from 0) sends its first request. The first
    /// `start_users` share out `spread`, the others `ramp`; the last one begins at its end.
    pub fn start_of(&self, user: u64) -> Duration {
        let first = self.load.start_users.min(self.load.users);
        if user < first {
            share(self.load.spread, user, first)
        } else {
            share(self.load.ramp, user - first + 1, self.load.users - first)
        }
    }

    /// How many users have begun by `elapsed`.
    pub fn begun_by(&self, elapsed: Duration) -> u64 {
        // Starts ascend within each of the two groups.
        let first = self.load.start_users.min(self.load.users);
        let begun = |from: u64, to: u64| {
            let (mut low, mut high) = (from, to);
            while low < high {
                let middle = low.midpoint(high);
                if self.start_of(middle) <= elapsed {
                    low = middle + 1;
                } else {
                    high = middle;
                }
            }
            low - from
        };
        begun(0, first) + begun(first, self.load.users)
    }

    /// The pause after request `index`, before its user sends another.
    pub fn think_after(&self, index: u64) -> Duration {
        match self.load.think {
            Think::None => Duration::ZERO,
            Think::Constant(pause) => pause,
            Think::Exponential { mean } => {
                let mut draw = self.draw.clone();
                draw.seek(index);
                let pause = mean.as_secs_f64() * draw.exponential();
                Duration::try_from_secs_f64(pause).unwrap_or(mean)
            }
        }
    }
}

/// `part / of` of `whole`.
fn share(whole: Duration, part: u64, of: u64) -> Duration {
    let nanos = whole.as_nanos().saturating_mul(u128::from(part)) / u128::from(of.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn users(users: u64, start_users: u64, think: Think) -> Users {
        let load = ClosedLoop {
            users,
            start_users,
            ramp: Duration::from_secs(10),
            spread: Duration::from_millis(100),
            think,
        };
        Users::new(load, 9, "ramp")
    }

    #[test]
    fn the_first_users_are_spread_and_the_rest_ramp_up() {
        let users = users(14, 4, Think::None);
        let starts: Vec<u128> = (0..14).map(|user| users.start_of(user).as_millis()).collect();
        assert_eq!(
            starts,
            [0, 25, 50, 75, 1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000, 10_000]
        );
        for (elapsed, begun) in [(0, 1), (60, 3), (999, 4), (1000, 5), (9_999, 13), (20_000, 14)] {
            assert_eq!(users.begun_by(Duration::from_millis(elapsed)), begun, "{elapsed} ms");
        }
    }

    #[test]
    fn without_a_ramp_all_begin_in_the_spread() {
        let users = users(1000, 1000, Think::None);
        assert!(users.start_of(999) < Duration::from_millis(100));
        assert_eq!(users.begun_by(Duration::from_millis(50)), 501);
        assert_eq!(users.count(), 1000);
    }

    #[test]
    fn exponential_pauses_have_their_mean_and_belong_to_the_index() {
        let users = users(1, 1, Think::Exponential { mean: SECOND });
        let mean = (0..20_000).map(|i| users.think_after(i).as_secs_f64()).sum::<f64>() / 20_000.0;
        assert!((mean - 1.0).abs() < 3.0 / 20_000_f64.sqrt(), "{mean}");
        assert_eq!(users.think_after(17), users.clone().think_after(17));
        assert_ne!(users.think_after(17), users.think_after(18));
    }

    #[test]
    fn constant_pauses_are_constant() {
        assert_eq!(users(1, 1, Think::Constant(SECOND)).think_after(5), SECOND);
        assert_eq!(users(1, 1, Think::None).think_after(5), Duration::ZERO);
    }
}

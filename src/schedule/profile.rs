//! The rate over time and its integral.
//!
//! In: a plan's [`Rate`]. Out: the time at which so many arrivals are due (the inverse of the
//! integral, in closed form), and how many are due by a time. Invariant: both directions agree, and
//! time never runs backwards as arrivals go up.

use crate::plan::Rate;

/// A piecewise linear rate.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    pieces: Vec<Piece>,
}

/// A stretch of time over which the rate is linear.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Piece {
    /// Seconds from the start.
    start: f64,
    /// Arrivals due before it.
    before: f64,
    /// Requests per second at its start.
    from: f64,
    /// Change of the rate per second.
    slope: f64,
}

impl Profile {
    /// The profile of `rate`, or `None` when a rate is negative or not finite.
    pub fn new(rate: &Rate) -> Option<Self> {
        let (mut start, mut before) = (0.0, 0.0);
        let mut pieces = Vec::new();
        let hold = match rate {
            Rate::Constant(rate) => *rate,
            Rate::Pieces(parts) => {
                for part in parts {
                    let seconds = part.over.as_secs_f64();
                    if !(valid(part.from) && valid(part.to)) {
                        return None;
                    }
                    if seconds > 0.0 {
                        let slope = (part.to - part.from) / seconds;
                        pieces.push(Piece { start, before, from: part.from, slope });
                        start += seconds;
                        before += f64::midpoint(part.from, part.to) * seconds;
                    }
                }
                parts.last().map_or(0.0, |part| part.to)
            }
        };
        pieces.push(Piece { start, before, from: hold, slope: 0.0 });
        valid(hold).then_some(Self { pieces })
    }

    /// Seconds from the start at which the integral of the rate reaches `arrivals`; `None` when it
    /// never does because the rate has sunk to 0 for good.
    pub fn time_of(&self, arrivals: f64) -> Option<f64> {
        // Of pieces that start at the same integral (the rate was 0 in between) the last one is
        // taken: nothing is due while nothing may be sent.
        let after = self.pieces.partition_point(|piece| piece.before <= arrivals);
        let piece = self.pieces.get(after.checked_sub(1)?)?;
        let area = arrivals - piece.before;
        let root = if piece.slope == 0.0 {
            piece.from
        } else {
            (piece.from * piece.from + 2.0 * area * piece.slope).max(0.0).sqrt()
        };
        if area <= 0.0 {
            return (piece.from > 0.0 || piece.slope > 0.0).then_some(piece.start);
        }
        // The form of the quadratic's solution that stays exact when the slope is tiny.
        let seconds = 2.0 * area / (piece.from + root);
        seconds.is_finite().then_some(piece.start + seconds)
    }

    /// The integral of the rate from the start to `seconds`.
    pub fn arrivals_by(&self, seconds: f64) -> f64 {
        let after = self.pieces.partition_point(|piece| piece.start <= seconds);
        let Some(piece) = after.checked_sub(1).and_then(|at| self.pieces.get(at)) else {
            return 0.0;
        };
        let elapsed = seconds - piece.start;
        piece.before + elapsed * (piece.from + 0.5 * piece.slope * elapsed)
    }

    /// Requests per second at `seconds`.
    pub fn rate_at(&self, seconds: f64) -> f64 {
        let after = self.pieces.partition_point(|piece| piece.start <= seconds);
        after
            .checked_sub(1)
            .and_then(|at| self.pieces.get(at))
            .map_or(0.0, |piece| piece.from + piece.slope * (seconds - piece.start))
    }
}

fn valid(rate: f64) -> bool {
    rate.is_finite() && rate >= 0.0
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::plan::RatePiece;

    fn pieces(parts: &[(f64, f64, u64)]) -> Profile {
        let parts = parts.iter().map(|&(from, to, seconds)| RatePiece {
            from,
            to,
            over: Duration::from_secs(seconds),
        });
        Profile::new(&Rate::Pieces(parts.collect())).expect("valid rates")
    }

    fn close(left: Option<f64>, right: f64) {
        let left = left.expect("due some time");
        assert!((left - right).abs() <= 1e-9 * right.abs().max(1.0), "{left} != {right}");
    }

    #[test]
    fn a_ramp_from_zero_follows_the_square_root() {
        // Rate t/s: the integral is t²/2, so arrival n is due at √(2n).
        let ramp = pieces(&[(0.0, 100.0, 100)]);
        for n in [0.5, 1.0, 2.0, 50.0, 4999.0] {
            close(ramp.time_of(n), (2.0 * n).sqrt());
        }
        // After its 5000 arrivals the ramp's last rate holds on.
        close(ramp.time_of(5100.0), 101.0);
    }

    #[test]
    fn a_ramp_down_is_exact_to_its_last_arrival() {
        let ramp = pieces(&[(100.0, 0.0, 10)]);
        close(ramp.time_of(0.0), 0.0);
        close(ramp.time_of(375.0), 5.0);
        close(ramp.time_of(499.999_999), 10.0 - 0.000_447_213_6);
        assert_eq!(ramp.time_of(500.5), None, "the rate has sunk to 0 for good");
    }

    #[test]
    fn steps_meet_without_gap_or_overlap() {
        let steps = pieces(&[(10.0, 10.0, 2), (50.0, 50.0, 1), (5.0, 5.0, 1)]);
        close(steps.time_of(19.0), 1.9);
        close(steps.time_of(20.0), 2.0);
        close(steps.time_of(45.0), 2.5);
        close(steps.time_of(70.0), 3.0);
        close(steps.time_of(80.0), 5.0);
    }

    #[test]
    fn nothing_is_due_while_the_rate_is_zero() {
        let pause = pieces(&[(10.0, 10.0, 1), (0.0, 0.0, 5), (10.0, 10.0, 1)]);
        close(pause.time_of(9.0), 0.9);
        close(pause.time_of(10.0), 6.0);
        close(pause.time_of(11.0), 6.1);
        assert_eq!(Profile::new(&Rate::Constant(0.0)).and_then(|p| p.time_of(0.0)), None);
    }

    #[test]
    fn the_integral_and_its_inverse_agree() {
        let profile = pieces(&[(3.0, 40.0, 7), (40.0, 2.0, 11), (2.0, 2.0, 3), (9.0, 1.0, 4)]);
        for step in 0..2_500 {
            let seconds = f64::from(step) * 0.01;
            close(profile.time_of(profile.arrivals_by(seconds)), seconds);
        }
        assert!((profile.rate_at(7.0) - 40.0).abs() < 1e-9);
        assert!((profile.rate_at(100.0) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn rates_that_mean_nothing_are_refused() {
        for rate in [-1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Profile::new(&Rate::Constant(rate)), None);
        }
    }
}

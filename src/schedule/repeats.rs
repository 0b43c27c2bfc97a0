//! Repeated prompts: which request says again what an earlier one said.
//!
//! In: the plan's `repeat_ratio`, the seed. Out: for each index the index whose prompt it carries.
//! Invariant: a pure function of seed and index; a prompt's source is always a fresh one.

use super::draw::{Draw, Purpose};

/// The repetitions of one stage.
#[derive(Debug, Clone)]
pub struct Repeats {
    ratio: f64,
    draw: Draw,
}

impl Repeats {
    /// Requests of which a share of `ratio` (0 to 1) repeats an earlier one.
    pub fn new(ratio: f64, seed: u64, key: &str) -> Self {
        Self { ratio, draw: Draw::new(seed, key, Purpose::Repeats) }
    }

    /// The index whose prompt request `index` carries: its own when it is fresh, else that of an
    /// earlier request, any of which is as likely as the others.
    pub fn source(&self, index: u64) -> u64 {
        if self.ratio <= 0.0 {
            return index;
        }
        let mut draw = self.draw.clone();
        let mut source = index;
        // An earlier request may be a repetition itself; indices fall, so this ends.
        while source > 0 {
            draw.seek(source);
            if draw.unit() >= self.ratio {
                break;
            }
            source = draw.below(source);
        }
        source
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_asked_share_repeats() {
        for ratio in [0.0, 0.3, 0.5, 1.0] {
            let repeats = Repeats::new(ratio, 1, "load");
            let repeated = (0..20_000).filter(|index| repeats.source(*index) != *index).count();
            let share = repeated as f64 / 20_000.0;
            assert!((share - ratio).abs() < 0.012, "{ratio}: {share}");
        }
    }

    #[test]
    fn a_source_is_earlier_and_fresh() {
        let repeats = Repeats::new(0.7, 2, "load");
        for index in 0..5_000 {
            let source = repeats.source(index);
            assert!(source <= index);
            assert_eq!(repeats.source(source), source);
        }
    }
}

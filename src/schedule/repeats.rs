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
        let mut source = index;
        // An earlier request may be a repetition itself; indices fall, so this ends.
        while self.repeats(source) {
            let mut draw = self.draw.clone();
            draw.seek(source);
            source = draw.below(source);
        }
        source
    }

    /// Whether request `index` repeats. Of every stretch of requests in which one should be of the
    /// rarer kind (repeated or fresh), the seed picks one: so of the first *n* requests the share is
    /// exact to a request, wherever *n* ends.
    fn repeats(&self, index: u64) -> bool {
        let is_rare_repeated = self.ratio <= 0.5;
        let rare = if is_rare_repeated { self.ratio } else { 1.0 - self.ratio };
        if index == 0 || rare <= 0.0 {
            return index > 0 && !is_rare_repeated;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "small, above 0"
        )]
        let begin = |stretch: u64| (stretch as f64 / rare - 1e-9).ceil().max(0.0) as u64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "below the index"
        )]
        let mut stretch = (index as f64 * rare) as u64;
        while begin(stretch + 1) <= index {
            stretch += 1;
        }
        while begin(stretch) > index {
            stretch -= 1;
        }
        // The first request is fresh: nothing stands before it.
        let from = if is_rare_repeated { begin(stretch).max(1) } else { begin(stretch) };
        let mut draw = self.draw.clone();
        draw.seek((1 << 62) + stretch);
        let picked = match stretch {
            0 if !is_rare_repeated => 0,
            _ => from + draw.below(begin(stretch + 1) - from),
        };
        (index == picked) == is_rare_repeated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_asked_share_repeats_to_the_request_wherever_it_ends() {
        for seed in 0..20 {
            for ratio in [0.0, 0.05, 0.3, 0.37, 0.5, 0.51, 0.7, 0.95] {
                let repeats = Repeats::new(ratio, seed, "load");
                let mut repeated = 0.0;
                for index in 0..600_u64 {
                    repeated += f64::from(u8::from(repeats.source(index) != index));
                    let asked = ratio * (index + 1) as f64;
                    assert!((repeated - asked).abs() <= 1.0 + 1e-6, "{ratio}, {index}: {repeated}");
                }
            }
            let of_fifty = |ratio| {
                let repeats = Repeats::new(ratio, seed, "load");
                (0..50).filter(|index| repeats.source(*index) != *index).count()
            };
            assert_eq!([of_fifty(0.3), of_fifty(0.7), of_fifty(1.0)], [15, 35, 49]);
        }
    }

    #[test]
    fn the_seed_picks_the_places() {
        let places = |seed| {
            let repeats = Repeats::new(0.3, seed, "load");
            (0..50).filter(|index| repeats.source(*index) != *index).collect::<Vec<u64>>()
        };
        assert_eq!(places(1), places(1));
        assert_ne!(places(1), places(2));
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

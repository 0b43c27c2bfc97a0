//! Conversation-consistent sampling: all turns of a conversation are replayed, or none.
//!
//! In: a row and the plan's [`Sample`]. Out: replayed or not. Invariant: it depends
//! on the id alone (and, if asked, on the seed), never on the order of the log; ranges that tile
//! 0 to 1 tile the conversations.

use md5::Md5;
use sha2::{Digest, Sha256};

use super::row::Row;
use crate::plan::{Sample, SampleHash};

/// Whether a row is replayed: with its conversation, if it has one, else by its own id or number.
pub fn keeps_row(sample: &Sample, row: &Row, seed: u64) -> bool {
    match row.session.as_ref().or(row.id.as_ref()) {
        Some(id) => keeps(sample, id, seed),
        None => keeps(sample, &row.number.to_string(), seed),
    }
}

/// Whether conversation `id` is replayed.
pub fn keeps(sample: &Sample, id: &str, seed: u64) -> bool {
    if sample.start <= 0.0 && sample.end >= 1.0 {
        return true;
    }
    let place = match sample.by {
        SampleHash::Md5 => md5_place(id),
        SampleHash::Seeded => seeded_place(id, seed),
    };
    sample.start <= place && place < sample.end
}

/// The id's place in 0 to 1: the first four bytes of its MD5, big end first, over 2³².
pub fn md5_place(id: &str) -> f64 {
    place(&Md5::digest(id.as_bytes()))
}

/// As [`md5_place`], by a SHA-256 keyed with the seed.
pub fn seeded_place(id: &str, seed: u64) -> f64 {
    place(&Sha256::new_with_prefix(seed.to_le_bytes()).chain_update(id.as_bytes()).finalize())
}

fn place(hash: &[u8]) -> f64 {
    let number = hash.iter().take(4).fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
    f64::from(number) / 4_294_967_296.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(by: SampleHash, start: f64, end: f64) -> Sample {
        Sample { by, start, end }
    }

    #[test]
    fn places_are_those_of_the_published_md5_values() {
        // RFC 1321's test suite: MD5("") = d41d8cd9…, MD5("a") = 0cc175b9…, MD5("abc") = 90015098….
        for (id, word) in [("", 0xd41d_8cd9_u32), ("a", 0x0cc1_75b9), ("abc", 0x9001_5098)] {
            assert!((md5_place(id) - f64::from(word) / 4_294_967_296.0).abs() < 1e-15, "{id}");
        }
    }

    #[test]
    fn a_range_holds_its_start_and_not_its_end() {
        let at = md5_place("abc");
        let keeps = |start, end| keeps(&range(SampleHash::Md5, start, end), "abc", 0);
        assert!(keeps(at, 1.0));
        assert!(!keeps(0.0, at));
        assert!(keeps(0.0, 0.6) && !keeps(0.0, 0.5), "0x90015098 / 2^32 = 0.5625…");
    }

    #[test]
    fn ranges_that_tile_tile_the_conversations() {
        for by in [SampleHash::Md5, SampleHash::Seeded] {
            for n in 0..2_000 {
                let id = format!("conversation-{n}");
                let owners = [(0.0, 0.1), (0.1, 0.55), (0.55, 1.0)]
                    .iter()
                    .filter(|(start, end)| keeps(&range(by, *start, *end), &id, 4))
                    .count();
                assert_eq!(owners, 1, "{id}");
            }
        }
    }

    #[test]
    fn a_sample_is_as_large_as_asked_and_the_seed_picks_it() {
        let sample = range(SampleHash::Seeded, 0.0, 0.2);
        let kept = |seed| -> Vec<u32> {
            (0..10_000).filter(|n| keeps(&sample, &n.to_string(), seed)).collect()
        };
        assert!(kept(1).len().abs_diff(2_000) < 120);
        assert_eq!(kept(1), kept(1));
        assert_ne!(kept(1), kept(2));
        let all = range(SampleHash::Md5, 0.0, 1.0);
        assert!((0..100).all(|n| keeps(&all, &n.to_string(), 0)));
    }
}

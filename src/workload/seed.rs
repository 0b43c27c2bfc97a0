//! Random streams that stay the same.
//!
//! In: the plan's seed, a purpose and an index. Out: a `ChaCha8` stream of its own. Invariant: the
//! same three give the same stream on every machine and in every version, whoever asks and in
//! whatever order; streams of different purposes or indices are unrelated.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// The stream for `purpose` (a fixed word such as `filler`) at `index`.
pub fn keyed_rng(seed: u64, purpose: &str, index: u64) -> ChaCha8Rng {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update((purpose.len() as u64).to_le_bytes());
    hash.update(purpose.as_bytes());
    hash.update(index.to_le_bytes());
    ChaCha8Rng::from_seed(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;

    fn first(seed: u64, purpose: &str, index: u64) -> u64 {
        keyed_rng(seed, purpose, index).random()
    }

    #[test]
    fn a_stream_is_its_key_and_nothing_else() {
        assert_eq!(first(7, "filler", 3), first(7, "filler", 3));
        let other = [first(8, "filler", 3), first(7, "arrivals", 3), first(7, "filler", 4)];
        assert!(!other.contains(&first(7, "filler", 3)));
    }

    #[test]
    fn the_stream_never_changes_between_versions() {
        assert_eq!(first(7, "filler", 3), 17_270_860_688_207_022_743);
    }
}

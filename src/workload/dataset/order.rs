//! Rows in the order in which a plan asks them.
//!
//! In: a [`RowSource`], the plan's seed. Out: the row of any index, over and over. Invariant: every
//! time round each row comes once; a random order takes no memory (it is a keyed permutation of row
//! numbers), and the same seed gives the same order.

use std::sync::Arc;

use super::Dataset;
use super::indexed::{IndexedDataset, MOST_REREAD_BYTES};
use super::row::{DatasetError, Row};
use crate::plan::workload::{RowOrder, RowSource};
use crate::workload::store::Store;
use crate::workload::synthetic::text::key_of;

/// The rows of a prompt.
pub struct OrderedRows {
    rows: Arc<IndexedDataset>,
    /// Seed and number of rows, where the order is random.
    shuffle: Option<(u64, u64)>,
}

impl Dataset {
    /// Refuses files whose rows can't be read in random order.
    pub fn can_be_shuffled(&self) -> Result<(), DatasetError> {
        let mut files = self.files().iter();
        let packed = files.find(|file| file.reread_bytes > MOST_REREAD_BYTES);
        match packed {
            Some(file) => Err(DatasetError::Shuffled { path: file.path.to_path_buf() }),
            None => Ok(()),
        }
    }
}

impl OrderedRows {
    /// Takes the dataset out of the store; counts its rows where they are shuffled and nobody has
    /// counted them.
    pub fn open(source: &RowSource, store: &Store, seed: u64) -> Result<Self, DatasetError> {
        let rows = match store.dataset(&source.config) {
            Some(rows) => rows,
            None => Arc::new(Dataset::open(&source.config)?.indexed()),
        };
        if source.order == RowOrder::File {
            return Ok(Self { rows, shuffle: None });
        }
        rows.dataset().can_be_shuffled()?;
        let total = match source.seen.as_ref().and_then(|seen| seen.rows) {
            Some(total) => total,
            None => rows.total()?,
        };
        Ok(Self { rows, shuffle: Some((seed, total)) })
    }

    /// The dataset.
    pub fn dataset(&self) -> &Dataset {
        self.rows.dataset()
    }

    /// The row with this index; after the last comes the first again.
    pub fn row(&self, index: u64) -> Result<Arc<Row>, DatasetError> {
        let Some((seed, total)) = self.shuffle.filter(|(_, total)| *total > 0) else {
            return self.rows.cycled(index);
        };
        let key = key_of(&[b"order", &seed.to_le_bytes(), &(index / total).to_le_bytes()]);
        self.rows.cycled(permuted(index % total, total, key))
    }

    /// The row with this number in the files.
    pub fn numbered(&self, number: u64) -> Result<Arc<Row>, DatasetError> {
        self.rows.cycled(number)
    }
}

/// Place `index` of a permutation of `0..count`: a Feistel network over the next power of four,
/// walked until it comes back into the range (Black and Rogaway, "Ciphers with Arbitrary Finite
/// Domains", 2002).
fn permuted(index: u64, count: u64, key: u64) -> u64 {
    const ROUNDS: u64 = 4;
    let bits = 64 - count.saturating_sub(1).leading_zeros();
    let half = bits.div_ceil(2).max(1);
    let mask = (1_u64 << half) - 1;
    let mut place = index;
    loop {
        let (mut left, mut right) = (place >> half, place & mask);
        for round in 0..ROUNDS {
            let mixed = mix(right ^ key.rotate_left(13 * u32::try_from(round).unwrap_or(0)));
            (left, right) = (right, left ^ (mixed & mask));
        }
        place = (left << half) | right;
        if place < count {
            return place;
        }
    }
}

/// The finaliser of splitmix64.
fn mix(value: u64) -> u64 {
    let mut mixed = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_comes_once_and_orders_differ() {
        for count in [1, 2, 3, 7, 64, 65, 1_000] {
            let order = |key| (0..count).map(|it| permuted(it, count, key)).collect::<Vec<_>>();
            let mut sorted = order(9);
            sorted.sort_unstable();
            assert_eq!(sorted, (0..count).collect::<Vec<_>>(), "{count}");
            if count > 60 {
                assert_ne!(order(9), order(10));
                let stayed = order(9).iter().zip(0..).filter(|(place, it)| *place == it).count();
                assert!(stayed < 8, "{stayed} of {count} stayed where they were");
            }
        }
    }
}

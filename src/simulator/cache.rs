//! The prefix cache: which blocks of tokens the server still holds.
//!
//! In: a prompt as a chain of block hashes, each hash standing for its block *and all before it*.
//! Out: how many leading blocks are there. Invariant: never more than the capacity, and never a
//! block without its predecessors: a sequence is touched from its end to its start, so its last
//! block is always the first to go, one block at a time, as in vLLM.

use std::collections::HashMap;

use super::tokens;

/// Extends `hashes` to all whole blocks of `tokens`; a rest shorter than a block has none.
pub fn extend_hashes(hashes: &mut Vec<u64>, tokens: &[u32], block_tokens: usize) {
    let mut hash = hashes.last().copied().unwrap_or(0);
    for block in tokens.chunks_exact(block_tokens.max(1)).skip(hashes.len()) {
        hash = tokens::chain(hash, block);
        hashes.push(hash);
    }
}

/// A least-recently-used set of blocks.
#[derive(Debug)]
pub struct PrefixCache {
    capacity: usize,
    places: HashMap<u64, usize>,
    nodes: Vec<Node>,
    newest: usize,
    oldest: usize,
}

/// A block in the list from newest to oldest.
#[derive(Debug)]
struct Node {
    hash: u64,
    newer: usize,
    older: usize,
}

/// The end of the list.
const NONE: usize = usize::MAX;

impl PrefixCache {
    /// An empty cache of `capacity` blocks.
    pub fn new(capacity: usize) -> Self {
        Self { capacity, places: HashMap::new(), nodes: Vec::new(), newest: NONE, oldest: NONE }
    }

    /// How many of the leading blocks are held.
    pub fn matched(&self, blocks: &[u64]) -> usize {
        blocks.iter().take_while(|hash| self.places.contains_key(hash)).count()
    }

    /// Holds these blocks (as many leading ones as fit) and makes them the newest, the first block
    /// newest of all; the oldest others leave.
    pub fn touch(&mut self, blocks: &[u64]) {
        for &hash in blocks[..blocks.len().min(self.capacity)].iter().rev() {
            if let Some(&place) = self.places.get(&hash) {
                self.unlink(place);
                self.link_newest(place);
            } else if self.nodes.len() < self.capacity {
                self.nodes.push(Node { hash, newer: NONE, older: NONE });
                self.places.insert(hash, self.nodes.len() - 1);
                self.link_newest(self.nodes.len() - 1);
            } else {
                let place = self.oldest;
                self.unlink(place);
                self.places.remove(&self.nodes[place].hash);
                self.nodes[place].hash = hash;
                self.places.insert(hash, place);
                self.link_newest(place);
            }
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::new(self.capacity);
    }

    fn unlink(&mut self, place: usize) {
        let Node { newer, older, .. } = self.nodes[place];
        match newer {
            NONE => self.newest = older,
            newer => self.nodes[newer].older = older,
        }
        match older {
            NONE => self.oldest = newer,
            older => self.nodes[older].newer = newer,
        }
    }

    fn link_newest(&mut self, place: usize) {
        self.nodes[place].newer = NONE;
        self.nodes[place].older = self.newest;
        match self.newest {
            NONE => self.oldest = place,
            newest => self.nodes[newest].newer = place,
        }
        self.newest = place;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(name: u32, count: u32) -> Vec<u64> {
        hashes(&(0..count).flat_map(|block| [name, block]).collect::<Vec<_>>())
    }

    fn hashes(tokens: &[u32]) -> Vec<u64> {
        let mut hashes = Vec::new();
        extend_hashes(&mut hashes, tokens, 2);
        hashes
    }

    #[test]
    fn only_whole_blocks_have_hashes_and_each_stands_for_all_before_it() {
        assert_eq!(hashes(&[1, 2, 3, 4, 5]).len(), 2);
        let (mut first, other) = (hashes(&[1, 2, 3, 4]), hashes(&[9, 2, 3, 4]));
        assert_ne!(first[1], other[1], "equal second blocks behind different first blocks");
        extend_hashes(&mut first, &[1, 2, 3, 4, 5, 6], 2);
        assert_eq!(first, hashes(&[1, 2, 3, 4, 5, 6]));
    }

    #[test]
    fn blocks_leave_one_by_one_from_the_end_of_the_oldest_prompt() {
        let mut cache = PrefixCache::new(6);
        let (old, new) = (blocks(1, 4), blocks(2, 6));
        cache.touch(&old);
        for (held, left) in [(2, 4), (3, 3), (4, 2), (5, 1), (6, 0)] {
            cache.touch(&new[..held]);
            assert_eq!(cache.matched(&new), held);
            assert_eq!(cache.matched(&old), left);
        }
    }

    #[test]
    fn using_a_prompt_saves_it_from_eviction() {
        let mut cache = PrefixCache::new(4);
        let (a, b, c) = (blocks(1, 2), blocks(2, 2), blocks(3, 2));
        cache.touch(&a);
        cache.touch(&b);
        cache.touch(&a);
        cache.touch(&c);
        assert_eq!((cache.matched(&a), cache.matched(&b), cache.matched(&c)), (2, 0, 2));
    }

    #[test]
    fn of_a_prompt_larger_than_the_cache_the_start_stays() {
        let mut cache = PrefixCache::new(3);
        let long = blocks(1, 8);
        cache.touch(&long);
        assert_eq!(cache.matched(&long), 3);
        assert_eq!(cache.nodes.len(), 3);
    }

    #[test]
    fn a_cache_without_room_holds_nothing() {
        let mut cache = PrefixCache::new(0);
        cache.touch(&blocks(1, 2));
        assert_eq!(cache.matched(&blocks(1, 2)), 0);
    }

    #[test]
    fn a_cleared_cache_starts_anew() {
        let mut cache = PrefixCache::new(4);
        cache.touch(&blocks(1, 4));
        cache.clear();
        assert_eq!(cache.matched(&blocks(1, 4)), 0);
        cache.touch(&blocks(2, 4));
        assert_eq!(cache.matched(&blocks(2, 4)), 4);
    }

    #[test]
    fn no_block_is_held_without_its_predecessors() {
        let mut cache = PrefixCache::new(7);
        let prompts: Vec<_> = (0..5).map(|name| blocks(name, 1 + name)).collect();
        for step in 0..200_usize {
            cache.touch(&prompts[step * 7 % 5]);
            for prompt in &prompts {
                let held = prompt.iter().filter(|hash| cache.places.contains_key(hash)).count();
                assert_eq!(held, cache.matched(prompt));
            }
        }
    }
}

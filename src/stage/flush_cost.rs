//! What a flush sends of its own, so that it can be told before anything is sent.
//!
//! In: what the plan says of a flush, and the server's context length where it is known. Out: numbers
//! of requests and tokens. The flush itself goes by the same numbers.

use crate::plan::Flush;

/// Length of a canary: several blocks of the coarsest cache seen (vLLM on CPU: 128 tokens), and so
/// long that the chat template's own prefix is under the tenth from which on llama.cpp takes a slot
/// for its likeness instead of the least recently used one.
pub const CANARY_TOKENS: u64 = 400;

/// Canaries of a flush that the first means achieves on a server of one slot: the first one new and
/// again, the one that takes its slot, and both afterwards.
pub const CANARIES: u64 = 5;

/// The TTFT cache benchmark's flush: ten one-token completions over a filler of 100,000 characters.
const TRAFFIC_REQUESTS: u64 = 10;
const TRAFFIC_CHARS: u64 = 100_000;

/// Tokens kept free for template and answer in a filler that fills the server's context.
const TRAFFIC_MARGIN: u64 = 128;

/// How many foreign requests one round of traffic has, and how many tokens of filler each.
pub fn traffic(flush: &Flush, context_tokens: Option<u64>) -> (u64, u64) {
    let room = room(context_tokens).unwrap_or(u64::MAX);
    match flush.tokens {
        Some(total) => {
            let size = (total / TRAFFIC_REQUESTS).clamp(1, room);
            (total.div_ceil(size), size)
        }
        None => (TRAFFIC_REQUESTS, (TRAFFIC_CHARS / 4).min(room)),
    }
}

/// Tokens of filler that fit into the server's context, when it is known.
pub fn room(context_tokens: Option<u64>) -> Option<u64> {
    Some(context_tokens?.saturating_sub(TRAFFIC_MARGIN).max(1))
}

//! Cold, warm, mixed or unknown: what a server's own token counts say about its prefix cache.
//!
//! In: cached and prompt tokens of a request, by whatever the server reported. Out: a
//! [`CacheState`]. Invariants: absent is not zero, so a silent server is `unknown`; a request is
//! judged by the share that was cached, because a chat template's preamble is cached even for a
//! prompt nobody has ever sent.

use crate::record::{CacheState, Exchange, Record, ServerTimings};

/// From this share of the prompt on, a request is warm. A repeated prompt never reaches 1: at least
/// its last token is computed again, and block-granular caches recompute the unfinished block.
pub const WARM_SHARE: f64 = 0.75;

/// Up to this share a request is cold: a shared preamble in front of a long, new document.
pub const COLD_SHARE: f64 = 0.10;

/// Up to this many cached tokens a request is cold however short its prompt: the length of a chat
/// template's preamble (24 tokens seen on a real llama.cpp with a prompt nobody had sent before).
pub const PREAMBLE_TOKENS: u64 = 32;

/// The usual size of a cache block (vLLM's default). A prompt of less than four blocks may be as
/// warm as it can be and still stay under [`WARM_SHARE`].
pub const BLOCK_TOKENS: u64 = 16;

/// The flag of an answer that came from a cache, by a server that does not say how much of it.
const FROM_CACHE: &str = "from_cache";
/// The flag of one that did not, by such a server.
const NOT_FROM_CACHE: &str = "not_from_cache";

/// The verdict on one request, by a server whose cache is said to be in blocks as usual.
pub fn verdict(
    cached: Option<u64>,
    prompt_tokens: Option<u64>,
    timings: Option<&ServerTimings>,
) -> CacheState {
    verdict_in_blocks(cached, prompt_tokens, timings, BLOCK_TOKENS)
}

/// The same, of a cache in blocks of `block` tokens.
fn verdict_in_blocks(
    cached: Option<u64>,
    prompt_tokens: Option<u64>,
    timings: Option<&ServerTimings>,
    block: u64,
) -> CacheState {
    let prompt = prompt_tokens.or_else(|| whole_prompt(timings));
    let Some(cached) = most_cached(cached, prompt, timings) else { return CacheState::Unknown };
    match prompt {
        Some(0) => CacheState::Unknown,
        Some(prompt) => by_share(cached.min(prompt), prompt, block),
        None if cached == 0 => CacheState::Cold,
        // Without the prompt's length a few tokens may be preamble or all there is; more than a
        // preamble can't be cold, and must not be called warm.
        None if cached <= PREAMBLE_TOKENS => CacheState::Unknown,
        None => CacheState::Mixed,
    }
}

/// What an answer says, by counts, or by yes or no where the server does not count.
/// `block` is the size of the cache's blocks in tokens, where the server says it.
pub fn of_exchange(exchange: &Exchange, block: Option<u64>) -> CacheState {
    let Exchange { cached_tokens, input_tokens, .. } = *exchange;
    let block = block.unwrap_or(BLOCK_TOKENS);
    let by_counts =
        verdict_in_blocks(cached_tokens, input_tokens, exchange.timings.as_ref(), block);
    let says = |word: &str| exchange.flags.iter().any(|flag| flag == word);
    match by_counts {
        CacheState::Unknown if says(FROM_CACHE) => CacheState::Warm,
        CacheState::Unknown if says(NOT_FROM_CACHE) => CacheState::Cold,
        by_counts => by_counts,
    }
}

/// Cached tokens of a request as best known: the server's usage, else its own timings.
pub fn cached_tokens(record: &Record) -> Option<u64> {
    record.cached_tokens.or_else(|| record.timings.and_then(|timings| timings.cache_n))
}

/// Cached tokens of a request and tokens of its prompt, both by whoever counted the cached ones:
/// counts of two sources have no common share. `None` where one is not known or they can't be.
pub fn cached_of_prompt(record: &Record) -> Option<(u64, u64)> {
    let cached = cached_tokens(record)?;
    let timings = record.timings.as_ref();
    let by_timings =
        whole_prompt(timings).filter(|_| timings.and_then(|it| it.cache_n) == Some(cached));
    let prompt = by_timings.or(record.input_tokens.server)?;
    (cached <= prompt).then_some((cached, prompt))
}

/// Whether a share of cached tokens says the same as a verdict, so that the two can stand side by
/// side. A short prompt whose template alone is cached is cold, whatever share that is.
pub fn agrees(verdict: CacheState, share: f64) -> bool {
    match verdict {
        CacheState::Cold => share <= COLD_SHARE,
        CacheState::Warm => share >= WARM_SHARE,
        CacheState::Mixed => share > 0.0 && share < 1.0,
        CacheState::Unknown => false,
    }
}

/// The verdict on a stage: what all telling requests agree on; mixed when they don't.
pub fn stage_verdict(requests: impl IntoIterator<Item = CacheState>) -> CacheState {
    requests.into_iter().fold(CacheState::Unknown, combine)
}

/// Adds one request to a stage's verdict so far.
pub fn combine(stage: CacheState, request: CacheState) -> CacheState {
    match (stage, request) {
        (known, CacheState::Unknown) | (CacheState::Unknown, known) => known,
        (stage, request) if stage == request => stage,
        _ => CacheState::Mixed,
    }
}

fn by_share(cached: u64, prompt: u64, block: u64) -> CacheState {
    let share = cached as f64 / prompt as f64;
    let computed = prompt - cached;
    // All the whole blocks of a short prompt came from the cache: as warm as such a cache gets.
    let whole_blocks = cached > 0 && cached.is_multiple_of(block) && computed <= block;
    if share >= WARM_SHARE {
        // In a prompt this short a preamble alone can be three quarters of it. A repeated prompt
        // leaves one token (or an unfinished block) to compute; anything else can't be told.
        let preamble_only = cached <= PREAMBLE_TOKENS && computed > 1 && !whole_blocks;
        if preamble_only { CacheState::Unknown } else { CacheState::Warm }
    } else if share <= COLD_SHARE {
        CacheState::Cold
    } else if cached <= PREAMBLE_TOKENS {
        if whole_blocks { CacheState::Unknown } else { CacheState::Cold }
    } else if whole_blocks {
        CacheState::Warm
    } else {
        CacheState::Mixed
    }
}

/// The largest count anyone reports: a claim of coldness must survive every witness.
fn most_cached(
    usage: Option<u64>,
    prompt: Option<u64>,
    timings: Option<&ServerTimings>,
) -> Option<u64> {
    let timings = timings.copied().unwrap_or_default();
    let not_computed = prompt.zip(timings.prompt_n).map(|(all, new)| all.saturating_sub(new));
    usage.max(timings.cache_n.or(not_computed))
}

fn whole_prompt(timings: Option<&ServerTimings>) -> Option<u64> {
    let timings = timings?;
    Some(timings.cache_n?.saturating_add(timings.prompt_n?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use CacheState::{Cold, Mixed, Unknown, Warm};

    #[test]
    fn requests_are_judged_by_the_share_that_was_cached() {
        for (cached, prompt, expected, why) in [
            (0, 2100, Cold, "nothing cached"),
            (24, 2100, Cold, "a template's preamble"),
            (210, 2100, Cold, "exactly a tenth"),
            (211, 2100, Mixed, "more than a tenth"),
            (1000, 2100, Mixed, "half evicted"),
            (1574, 2100, Mixed, "just under three quarters"),
            (1575, 2100, Warm, "exactly three quarters"),
            (2099, 2100, Warm, "all but the last token"),
            (2096, 2100, Warm, "all whole blocks"),
            (24, 37, Cold, "a short prompt's preamble"),
            (36, 37, Warm, "a short prompt repeated"),
            (32, 37, Warm, "a short prompt's whole blocks"),
            (24, 31, Unknown, "preamble or not, in a very short prompt"),
            (16, 31, Unknown, "one whole block of two"),
            (32, 48, Unknown, "two whole blocks of three"),
            (48, 64, Warm, "three whole blocks of four"),
            (32, 200, Cold, "preamble in a middling prompt"),
            (64, 200, Mixed, "more than a preamble"),
            (90, 37, Warm, "more cached than asked is still all of it"),
            (0, 0, Unknown, "an empty prompt"),
        ] {
            assert_eq!(verdict(Some(cached), Some(prompt), None), expected, "{why}");
        }
    }

    #[test]
    fn a_short_prompt_is_warm_by_the_blocks_that_the_server_has() {
        for (cached, prompt, block, expected) in [
            (128, 250, 128, Warm),
            (128, 300, 128, Mixed),
            (128, 170, 128, Warm),
            (32, 42, 16, Warm),
            (32, 42, 1, Unknown),
            (32, 42, 32, Warm),
            (32, 60, 32, Unknown),
        ] {
            let found = verdict_in_blocks(Some(cached), Some(prompt), None, block);
            assert_eq!(found, expected, "{cached} of {prompt} in blocks of {block}");
        }
    }

    #[test]
    fn absent_is_not_zero() {
        assert_eq!(verdict(None, Some(2100), None), Unknown);
        assert_eq!(verdict(None, None, None), Unknown);
        assert_eq!(verdict(Some(0), None, None), Cold);
        assert_eq!(verdict(Some(20), None, None), Unknown);
        assert_eq!(verdict(Some(2000), None, None), Mixed);
    }

    #[test]
    fn native_timings_speak_where_usage_is_silent() {
        let timings = |cache_n, prompt_n| ServerTimings { cache_n, prompt_n, ..Default::default() };
        assert_eq!(verdict(None, None, Some(&timings(Some(2047), Some(1)))), Warm);
        assert_eq!(verdict(None, None, Some(&timings(Some(24), Some(2024)))), Cold);
        assert_eq!(verdict(None, Some(2048), Some(&timings(None, Some(1)))), Warm);
        assert_eq!(verdict(None, Some(2048), Some(&timings(None, Some(2048)))), Cold);
        // Usage says nothing was cached, the timings know better.
        assert_eq!(verdict(Some(0), Some(2048), Some(&timings(Some(2000), Some(48)))), Warm);
        assert_eq!(verdict(None, None, Some(&timings(None, Some(48)))), Unknown);
    }

    #[test]
    fn a_stage_is_what_its_telling_requests_agree_on() {
        assert_eq!(stage_verdict([]), Unknown);
        assert_eq!(stage_verdict([Unknown, Unknown]), Unknown);
        assert_eq!(stage_verdict([Cold, Unknown, Cold]), Cold);
        assert_eq!(stage_verdict([Warm, Warm]), Warm);
        assert_eq!(stage_verdict([Warm, Cold, Warm]), Mixed);
        assert_eq!(stage_verdict([Mixed, Unknown]), Mixed);
        assert_eq!(stage_verdict([Mixed, Warm]), Mixed);
    }
}

//! What canaries showed → whether a flush is proven, and the sentence that says so.
//!
//! Invariant: what the server did not say, or said with counts that can't be, proves nothing.

use crate::metrics::quantity::show;
use crate::record::{CacheState, FlushAttempt, FlushState};

/// What the canary showed when it was sent.
pub(super) struct Sight {
    pub state: CacheState,
    pub prompt_tokens: Option<u64>,
    pub cached_tokens: Option<u64>,
    pub ttft_ms: Option<f64>,
    /// Counts that came and can't be, in words.
    pub impossible: Option<String>,
}

impl Sight {
    /// What it says of the cache, in words.
    fn said(&self) -> String {
        match (self.cached_tokens, self.prompt_tokens, &self.impossible) {
            (Some(cached), Some(prompt), _) => format!("{cached} of {prompt} tokens cached"),
            (Some(cached), None, _) => format!("{cached} tokens cached"),
            (None, _, Some(counts)) => format!("counts that can't be: {counts}"),
            (None, _, None) => "cached tokens not reported".into(),
        }
    }

    /// Why its state is not known.
    fn silence(&self) -> String {
        match (self.cached_tokens, &self.impossible) {
            (Some(_), _) => format!("the server's counts do not tell ({})", self.said()),
            (None, Some(counts)) => format!("the server's counts can't be ({counts})"),
            (None, None) => "the server does not report cached tokens".into(),
        }
    }

    /// The one of two that speaks more against a flush.
    pub fn or_warmer(self, other: Self) -> Self {
        let rank = |sight: &Self| match sight.state {
            CacheState::Cold => 0,
            CacheState::Unknown => 1,
            CacheState::Mixed => 2,
            CacheState::Warm => 3,
        };
        if rank(&other) > rank(&self) { other } else { self }
    }
}

/// What the canary's state before and after says of the flush: only what was warm can be seen to
/// have gone cold.
pub(super) fn judge(before: CacheState, after: CacheState) -> FlushState {
    match (before, after) {
        (_, CacheState::Warm | CacheState::Mixed) => FlushState::Failed,
        (CacheState::Warm, CacheState::Cold) => FlushState::Proven,
        _ => FlushState::Unproven,
    }
}

/// The flush in a sentence, by what its canary showed when it was new, repeated, and afterwards.
pub(super) fn conclusion(
    state: FlushState,
    [cold, warm]: [&Sight; 2],
    after: Option<&Sight>,
    attempts: &[FlushAttempt],
) -> String {
    let Some(last) = attempts.last() else {
        return "flush failed: it was interrupted before anything was tried".into();
    };
    let (repeated, now) = (warm.said(), after.map_or_else(String::new, Sight::said));
    match state {
        FlushState::Proven => format!(
            "flush proven by {}: a warm prompt ({repeated}) is cold again ({now})",
            last.method
        ),
        FlushState::Unproven if warm.state == CacheState::Cold => format!(
            "flush unproven: nothing to flush, for a repeated prompt was not cached either ({repeated})"
        ),
        FlushState::Unproven if warm.state == CacheState::Mixed => format!(
            "flush unproven: a repeated prompt was cached in part only ({repeated}), and after {} {now}",
            last.method
        ),
        FlushState::Unproven => {
            let ms = |value: Option<f64>| value.map_or("?".into(), |ms| show(ms, "ms"));
            let mut seen = [Some(warm), after].into_iter().flatten();
            let unknown = seen.rfind(|it| it.state == CacheState::Unknown);
            format!(
                "flush unproven: {}; TTFT of the same prompt: new {}, repeated {}, after {} {}",
                unknown.unwrap_or(warm).silence(),
                ms(cold.ttft_ms),
                ms(warm.ttft_ms),
                last.method,
                ms(last.ttft_ms)
            )
        }
        FlushState::Failed => {
            let taken = || attempts.iter().filter(|tried| tried.accepted);
            let Some(last) = taken().next_back() else {
                return format!("flush failed: {} was not accepted: {}", last.method, last.detail);
            };
            let outcome =
                if last.after == CacheState::Mixed { "still partly warm" } else { "still warm" };
            let mut methods: Vec<&str> = taken().map(|tried| tried.method.as_str()).collect();
            methods.dedup();
            format!("flush failed: {outcome} ({now}) after {}", methods.join(", then "))
        }
    }
}

//! Statistics of each stretch of a running stage (`window: 60s`).
//!
//! In: finished requests, roughly in the order in which they ended. Out: one [`WindowStats`] per
//! stretch. Invariant: every sample counts in exactly one window, memory holds the current window
//! only, and a window without requests says so instead of being left out.

use serde::{Deserialize, Serialize};

use super::distribution::percentile;

/// One finished request, as windows see it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WindowSample {
    /// When it ended, in nanoseconds from the stage's start.
    pub end_ns: u64,
    /// Whether the answer was complete.
    pub ok: bool,
    /// Time to first token, in milliseconds.
    pub ttft_ms: Option<f64>,
    /// Time per output token, in milliseconds.
    pub tpot_ms: Option<f64>,
    /// The whole request, in milliseconds.
    pub e2e_ms: Option<f64>,
    /// Generated tokens over the time from when it was sent.
    pub tokens_per_second: Option<f64>,
    /// Prompt tokens.
    pub input_tokens: Option<u64>,
    /// Generated tokens.
    pub output_tokens: Option<u64>,
}

/// The figures of one window. Times, tokens and means are of complete answers only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct WindowStats {
    /// Its number, from 0.
    pub window: u64,
    /// Its start, in seconds from the stage's start.
    pub start_s: f64,
    /// Its end, in seconds from the stage's start.
    pub end_s: f64,
    /// True for a last window that the stage's end cut short: its rates are of little time, such as
    /// that of the last answers.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
    /// Requests that ended in it.
    pub requests: u64,
    /// Those with a complete answer.
    pub ok: u64,
    /// ok / requests; absent without requests.
    pub success_rate: Option<f64>,
    /// Requests that ended per second.
    pub requests_per_second: f64,
    /// Time to first token, in milliseconds.
    pub ttft_ms: Option<Quantiles>,
    /// Time per output token, in milliseconds.
    pub tpot_ms: Option<Quantiles>,
    /// The whole request, in milliseconds.
    pub e2e_ms: Option<Quantiles>,
    /// Output tokens per second of each request (output tokens / its time from when it was sent).
    pub tokens_per_second: Option<Quantiles>,
    /// Prompt tokens, summed; absent where those of an answer were not counted.
    #[serde(default)]
    pub input_tokens: Option<u64>,
    /// Generated tokens, summed; absent where those of an answer were not counted.
    #[serde(default)]
    pub output_tokens: Option<u64>,
    /// Mean prompt tokens of a request.
    pub mean_input_tokens: Option<f64>,
    /// Mean generated tokens of a request.
    pub mean_output_tokens: Option<f64>,
    /// Prompt tokens per minute.
    #[serde(default)]
    pub input_tokens_per_minute: Option<f64>,
    /// Generated tokens per minute.
    #[serde(default)]
    pub output_tokens_per_minute: Option<f64>,
}

/// Quantiles of one window.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Quantiles {
    /// Smallest.
    pub min: f64,
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Largest.
    pub max: f64,
}

impl Quantiles {
    /// The quantiles of `samples`, or `None` without any.
    fn of(samples: &mut [f64]) -> Option<Self> {
        samples.sort_by(f64::total_cmp);
        Some(Self {
            min: *samples.first()?,
            p50: percentile(samples, 50.0)?,
            p90: percentile(samples, 90.0)?,
            p95: percentile(samples, 95.0)?,
            p99: percentile(samples, 99.0)?,
            max: *samples.last()?,
        })
    }
}

/// The windows of a running stage.
#[derive(Debug, Clone)]
pub struct Windows {
    length_ns: u64,
    window: u64,
    samples: Vec<WindowSample>,
}

impl Windows {
    /// Windows of `length_ns` nanoseconds from the stage's start on.
    pub fn new(length_ns: u64) -> Self {
        Self { length_ns: length_ns.max(1), window: 0, samples: Vec::new() }
    }

    /// Counts a request and gives the windows that are over by its end. One that ended in a
    /// window already given counts in the current one.
    pub fn push(&mut self, sample: WindowSample) -> Vec<WindowStats> {
        let over = self.advance(sample.end_ns);
        self.samples.push(sample);
        over
    }

    /// The windows that are over by `now_ns`, so that a stalled stage is seen to stall.
    pub fn advance(&mut self, now_ns: u64) -> Vec<WindowStats> {
        let current = now_ns / self.length_ns;
        let mut over = Vec::new();
        while self.window < current {
            over.push(self.close(self.length_ns));
        }
        over
    }

    /// The stage ended at `end_ns`: gives all windows that are left, the last one cut short.
    pub fn finish(mut self, end_ns: u64) -> Vec<WindowStats> {
        let mut over = self.advance(end_ns);
        let rest = end_ns.saturating_sub(self.window.saturating_mul(self.length_ns));
        if rest > 0 || !self.samples.is_empty() {
            let partial = rest < self.length_ns;
            over.push(WindowStats { partial, ..self.close(rest.min(self.length_ns)) });
        }
        over
    }

    fn close(&mut self, length_ns: u64) -> WindowStats {
        let start_ns = self.window.saturating_mul(self.length_ns);
        let stats = stats(self.window, start_ns, length_ns, &self.samples);
        self.samples.clear();
        self.window += 1;
        stats
    }
}

fn stats(window: u64, start_ns: u64, length_ns: u64, samples: &[WindowSample]) -> WindowStats {
    let seconds = length_ns as f64 / 1e9;
    let per = |count: u64, unit_s: f64| {
        if seconds > 0.0 { count as f64 / seconds * unit_s } else { 0.0 }
    };
    let ok: Vec<&WindowSample> = samples.iter().filter(|sample| sample.ok).collect();
    let quantiles = |value: fn(&WindowSample) -> Option<f64>| {
        Quantiles::of(&mut ok.iter().filter_map(|sample| value(sample)).collect::<Vec<f64>>())
    };
    let tokens = |value: fn(&WindowSample) -> Option<u64>| {
        let known: Vec<u64> = ok.iter().filter_map(|sample| value(sample)).collect();
        let sum: u64 = known.iter().sum();
        (
            (known.len() == ok.len()).then_some(sum),
            (!known.is_empty()).then(|| sum as f64 / known.len() as f64),
        )
    };
    let (input_tokens, mean_input_tokens) = tokens(|sample| sample.input_tokens);
    let (output_tokens, mean_output_tokens) = tokens(|sample| sample.output_tokens);
    let requests = samples.len() as u64;
    WindowStats {
        window,
        start_s: start_ns as f64 / 1e9,
        end_s: start_ns.saturating_add(length_ns) as f64 / 1e9,
        partial: false,
        requests,
        ok: ok.len() as u64,
        success_rate: (requests > 0).then(|| ok.len() as f64 / requests as f64),
        requests_per_second: per(requests, 1.0),
        ttft_ms: quantiles(|sample| sample.ttft_ms),
        tpot_ms: quantiles(|sample| sample.tpot_ms),
        e2e_ms: quantiles(|sample| sample.e2e_ms),
        tokens_per_second: quantiles(|sample| sample.tokens_per_second),
        input_tokens,
        output_tokens,
        mean_input_tokens,
        mean_output_tokens,
        input_tokens_per_minute: input_tokens.map(|tokens| per(tokens, 60.0)),
        output_tokens_per_minute: output_tokens.map(|tokens| per(tokens, 60.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn sample(seconds: f64, ok: bool) -> WindowSample {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
        let end_ns = (seconds * 1e9) as u64;
        WindowSample {
            end_ns,
            ok,
            ttft_ms: Some(100.0),
            tpot_ms: Some(10.0),
            e2e_ms: Some(200.0),
            tokens_per_second: Some(55.0),
            input_tokens: Some(1_000),
            output_tokens: Some(11),
        }
    }

    #[test]
    fn each_request_counts_in_the_window_it_ended_in() {
        let mut windows = Windows::new(60 * SECOND);
        assert!(windows.push(sample(1.0, true)).is_empty());
        assert!(windows.push(sample(59.9, false)).is_empty());
        let over = windows.push(sample(60.0, true));
        assert_eq!(over.len(), 1);
        let first = &over[0];
        assert_eq!((first.requests, first.ok, first.success_rate), (2, 1, Some(0.5)));
        assert_eq!(
            (first.input_tokens, first.output_tokens),
            (Some(1_000), Some(11)),
            "of complete answers"
        );
        assert!((first.output_tokens_per_minute.expect("counted") - 11.0).abs() < 1e-9);
        assert!((first.requests_per_second - 2.0 / 60.0).abs() < 1e-12);
        let speed = first.tokens_per_second.expect("samples");
        assert!((speed.p50 - 55.0).abs() < 1e-9);
    }

    #[test]
    fn a_stall_gives_empty_windows() {
        let mut windows = Windows::new(10 * SECOND);
        windows.push(sample(1.0, true));
        let over = windows.advance(45 * SECOND);
        assert_eq!(over.iter().map(|w| w.requests).collect::<Vec<_>>(), [1, 0, 0, 0]);
        assert_eq!((over[1].success_rate, over[1].ttft_ms), (None, None));
    }

    #[test]
    fn the_last_window_is_measured_by_its_own_length() {
        let mut windows = Windows::new(60 * SECOND);
        windows.push(sample(10.0, true));
        let over = windows.finish(30 * SECOND);
        assert_eq!(over.len(), 1);
        assert!((over[0].input_tokens_per_minute.expect("counted") - 2_000.0).abs() < 1e-9);
        assert!((over[0].end_s - 30.0).abs() < 1e-9 && over[0].partial);
        let mut windows = Windows::new(SECOND);
        windows.push(sample(0.5, true));
        let whole = windows.finish(SECOND);
        assert_eq!((whole.len(), whole[0].partial), (1, false), "no sliver behind a full window");
        assert!(Windows::new(SECOND).finish(0).is_empty());
    }

    #[test]
    fn nothing_is_lost_out_of_order() {
        let mut windows = Windows::new(SECOND);
        let mut all = Vec::new();
        for end in [0.5, 1.5, 0.9, 3.2, 2.0, 3.9] {
            all.extend(windows.push(sample(end, true)));
        }
        all.extend(windows.finish(5 * SECOND));
        assert_eq!(all.iter().map(|w| w.requests).sum::<u64>(), 6);
        assert_eq!(all.iter().map(|w| w.window).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    }
}

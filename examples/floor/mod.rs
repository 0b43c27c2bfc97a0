//! What the floors share: their arguments, what they add up, and the line they print.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, ensure};
use clap::Parser;
use url::Url;

/// What stands before every text of a chat's stream that is not empty, as the embedded simulator
/// writes it.
const TEXT: &[u8] = b"\"content\":\" ";

/// Streams requests from a URL as cheaply as can be, and prints rates and CPU time.
#[derive(Debug, Parser)]
pub struct Arguments {
    /// Where to POST to (http only).
    pub url: Url,
    /// Streams at a time.
    #[arg(long, default_value_t = 64)]
    pub concurrency: u64,
    /// Requests in all.
    #[arg(long, default_value_t = 100_000)]
    pub requests: u64,
    /// The request body; a small streamed chat completion by default.
    #[arg(long)]
    body: Option<PathBuf>,
    /// The model named in the default body.
    #[arg(long, default_value = "simulated-8b")]
    model: String,
    /// The tokens asked for in the default body.
    #[arg(long, default_value_t = 16)]
    max_tokens: u64,
    /// Also print times, from the sending of each request.
    #[arg(long)]
    times: bool,
}

impl Arguments {
    /// The command line and the body of every request.
    pub fn read() -> anyhow::Result<(Self, Vec<u8>)> {
        let arguments = Self::parse();
        ensure!(arguments.url.scheme() == "http", "only http:// URLs");
        let body = match &arguments.body {
            Some(path) => std::fs::read(path).with_context(|| path.display().to_string())?,
            None => serde_json::to_vec(&serde_json::json!({
                "model": arguments.model,
                "messages": [{ "role": "user", "content": "Say something." }],
                "max_tokens": arguments.max_tokens,
                "stream": true,
                "stream_options": { "include_usage": true },
            }))?,
        };
        Ok((arguments, body))
    }
}

/// What came back, over all streams.
#[derive(Debug)]
pub struct Totals {
    pub begun: u64,
    ok: u64,
    failed: u64,
    events: u64,
    bytes: u64,
    times: Option<Times>,
    started: Instant,
    cpu_before: Option<f64>,
}

/// Milliseconds, of all requests.
#[derive(Debug, Default)]
struct Times {
    ttft: Vec<f64>,
    itl: Vec<f64>,
    e2e: Vec<f64>,
}

impl Totals {
    /// Nothing so far; the clock runs.
    pub fn new(arguments: &Arguments) -> Self {
        Self {
            begun: 0,
            ok: 0,
            failed: 0,
            events: 0,
            bytes: 0,
            times: arguments.times.then(Times::default),
            started: Instant::now(),
            cpu_before: cpu_seconds(),
        }
    }

    /// Takes bytes that were read at `now`, and keeps when their texts came.
    pub fn read(&mut self, bytes: &[u8], now: Instant, texts: &mut Vec<Instant>) {
        if self.times.is_some() {
            texts.extend(memchr::memmem::find_iter(bytes, TEXT).map(|_| now));
        }
        self.bytes += bytes.len() as u64;
        self.events += memchr::memmem::find_iter(bytes, b"data: ").count() as u64;
    }

    /// Takes the end of one exchange, and the arrivals of its texts.
    pub fn end(&mut self, is_ok: bool, sent: Instant, texts: &mut Vec<Instant>) {
        *if is_ok { &mut self.ok } else { &mut self.failed } += 1;
        if let Some(times) = &mut self.times {
            let ms = |from: Instant, to: Instant| (to - from).as_secs_f64() * 1e3;
            times.ttft.extend(texts.first().map(|first| ms(sent, *first)));
            times.e2e.extend(texts.last().map(|last| ms(sent, *last)));
            times.itl.extend(texts.windows(2).map(|pair| ms(pair[0], pair[1])));
        }
        texts.clear();
    }

    /// Prints all of it as one line of JSON.
    pub fn print(mut self) {
        let seconds = self.started.elapsed().as_secs_f64();
        let cpu = self.cpu_before.zip(cpu_seconds()).map(|(before, after)| after - before);
        let quantiles = |list: &mut Vec<f64>| {
            list.sort_unstable_by(f64::total_cmp);
            let at = |percent: usize| list.get((list.len().saturating_sub(1)) * percent / 100);
            serde_json::json!({ "p50": at(50), "p99": at(99) })
        };
        println!(
            "{}",
            serde_json::json!({
                "requests": self.ok,
                "failed": self.failed,
                "events": self.events,
                "bytes": self.bytes,
                "seconds": seconds,
                "requests_per_second": self.ok as f64 / seconds,
                "events_per_second": self.events as f64 / seconds,
                "cpu_seconds": cpu,
                "times": self.times.as_mut().map(|times| serde_json::json!({
                    "ttft_ms": quantiles(&mut times.ttft),
                    "itl_ms": quantiles(&mut times.itl),
                    "e2e_ms": quantiles(&mut times.e2e),
                })),
                "cpu_us_per_event": cpu.map(|cpu| cpu * 1e6 / self.events.max(1) as f64),
            })
        );
    }
}

/// CPU time of this process's one thread so far; `None` where the system doesn't say.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    Some(stat.split(' ').next()?.parse::<f64>().ok()? / 1e9)
}

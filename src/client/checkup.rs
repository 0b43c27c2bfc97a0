//! What an endpoint can, tried out: what `doctor` tells.
//!
//! In: a probed endpoint. Out: [`Finding`]s. Invariants: nothing is emptied, unloaded or set; a finding
//! says what was seen, and of what was not tried that it was not.

mod asked;

use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;

use super::Client;
use super::account::NoAccount;
use super::probe::{Server, ServerKind};
use super::side_door::{Answer, NoAnswer};
use super::tokenize::tokenize;
use crate::metrics::quantity::show;
pub use asked::asked;

/// Longest call beside the requests.
const CALL: Duration = Duration::from_secs(3);
/// Calls from which the fastest way there and back is taken.
const ROUND_TRIPS: usize = 5;
/// A `Date` header counts whole seconds, and servers renew theirs once in each.
const DATE_STEP: f64 = 2.0;

/// What is known about one thing that an endpoint has or has not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The thing.
    pub name: &'static str,
    /// Whether it is there.
    pub state: State,
    /// What was seen, in one line.
    pub detail: String,
    /// What to do, where something is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// Whether something is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It was seen.
    Yes,
    /// It was tried, and is not there.
    No,
    /// It was not tried, or what came does not tell.
    Untold,
}

impl Finding {
    fn yes(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, state: State::Yes, detail: detail.into(), help: None }
    }

    fn no(name: &'static str, detail: impl Into<String>) -> Self {
        Self { state: State::No, ..Self::yes(name, detail) }
    }

    fn untold(name: &'static str, detail: impl Into<String>) -> Self {
        Self { state: State::Untold, ..Self::yes(name, detail) }
    }

    fn with_help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

/// Whether the server counts the tokens of a text when asked.
pub async fn tokens(client: &Client, server: &Server) -> Finding {
    const NAME: &str = "tokenizer";
    const HELP: &str = "give the model's tokenizer.json as the endpoint's `tokenizer`; without it lengths of \
                        prompts are estimated at four characters a token";
    if !server.kind.has_doors() {
        let detail = "not tried: it is not recognised as a server that has /tokenize";
        return Finding::untold(NAME, detail).with_help(HELP);
    }
    match tokenize(client, server, "One two three.").await {
        Ok(tokens) if tokens > 0 => {
            let url = client.root_url("tokenize");
            Finding::yes(NAME, format!("POST {url} counts {tokens} in `One two three.`"))
        }
        Ok(_) => Finding::no(NAME, "/tokenize counts no tokens in a text").with_help(HELP),
        Err(why) => Finding::no(NAME, format!("/tokenize: {why}")).with_help(HELP),
    }
}

/// The server's own account; `page` is where it was read.
pub fn metrics(page: Result<&str, &NoAccount>, kind: ServerKind) -> Finding {
    const NAME: &str = "metrics";
    let help = match kind {
        ServerKind::LlamaCpp => "start llama-server with --metrics",
        ServerKind::Sglang => "start SGLang with --enable-metrics",
        _ => "if the server has a page for Prometheus, give its URL as the endpoint's `metrics`",
    };
    match page {
        Ok(page) => Finding::yes(NAME, page),
        Err(NoAccount::Unknown) => {
            let detail = "not tried: it is not recognised as a server that has /metrics";
            Finding::untold(NAME, detail).with_help(help)
        }
        Err(why) => Finding::no(NAME, why.to_string()).with_help(help),
    }
}

/// Whether the server has a call that empties its prefix cache. It is not made.
pub async fn reset(client: &Client, server: &Server) -> Finding {
    const NAME: &str = "cache reset";
    // The wrong method shows whether the path is there and does nothing.
    let path = match server.kind {
        ServerKind::Vllm | ServerKind::Simulator => "reset_prefix_cache",
        ServerKind::Sglang => "flush_cache",
        ServerKind::LlamaCpp => return erase(client).await,
        ServerKind::Ollama => {
            let detail = "not tried: unloading the model (keep_alive 0) empties Ollama's cache";
            return Finding::untold(NAME, detail);
        }
        _ => {
            let detail = "not tried: no call of this server is known";
            let help =
                "name the call with the endpoint's `flush`, or let `kind: flush` use traffic";
            return Finding::untold(NAME, detail).with_help(help);
        }
    };
    let url = client.root_url(path);
    let call = crate::plan::CallMethod::Put;
    match client.flush_call(call, url.clone(), None, CALL).await {
        Ok(answer) if answer.status == 405 => {
            Finding::yes(NAME, format!("{url} is there; it was not called"))
        }
        Ok(answer) if answer.status == 404 => {
            let help = match server.kind {
                ServerKind::Vllm => "start vLLM with VLLM_SERVER_DEV_MODE=1 in its environment",
                ServerKind::Simulator => "leave out `reset_prefix_cache: false` of the simulator",
                _ => "a newer version has it",
            };
            Finding::no(NAME, format!("{url}: HTTP 404")).with_help(help)
        }
        Ok(answer) => Finding::untold(NAME, format!("{url}: {}", answer.line())),
        Err(why) => Finding::untold(NAME, format!("{url}: {why}")),
    }
}

/// Whether llama.cpp takes orders for its slots: asked with one that it does not know.
async fn erase(client: &Client) -> Finding {
    const NAME: &str = "cache reset";
    const RAM: &str = "llama-server keeps prompts in RAM beside its slots unless started with --cache-ram 0, \
                       and does not say whether it does: without that flag an erased prompt comes back warm";
    let mut url = client.root_url("slots/0");
    url.set_query(Some("action=none"));
    match client.post(url, None, CALL).await {
        Ok(answer) if answer.status == 400 => {
            Finding::yes(NAME, "POST /slots/N?action=erase is there; it was not called")
                .with_help(RAM)
        }
        Ok(answer) if matches!(answer.status, 404 | 501) => {
            let help = "start llama-server with --slots --slot-save-path DIR --cache-ram 0";
            Finding::no(NAME, format!("POST /slots/0: {}", answer.line())).with_help(help)
        }
        Ok(answer) => Finding::untold(NAME, format!("POST /slots/0: {}", answer.line())),
        Err(why) => Finding::untold(NAME, format!("POST /slots/0: {why}")),
    }
}

/// The way there: connections, the fastest call, encryption and the server's clock.
pub async fn way(client: &Client) -> Vec<Finding> {
    let (_, url) = client.catalogue();
    // One that was kept from before may have been idle for too long.
    let mut failed = client.get(url.clone(), CALL).await.err();
    let before = client.connections();
    let mut fastest = Duration::MAX;
    let mut answers = 0;
    let mut clock = Clock::default();
    for _ in 0..ROUND_TRIPS {
        let (sent, sent_at) = (Instant::now(), SystemTime::now());
        match client.get(url.clone(), CALL).await {
            Ok(answer) => {
                fastest = fastest.min(sent.elapsed());
                answers += 1;
                clock.add(&answer, sent_at, SystemTime::now());
            }
            Err(why) => failed = Some(why),
        }
    }
    let made = client.connections() - before;
    let is_kept = made == 0;
    vec![
        keep_alive(answers, made, failed.as_ref()),
        if answers == 0 {
            Finding::untold("latency", format!("no answer from {url}"))
        } else {
            let over = if is_kept { "an open connection" } else { "connections partly or all new" };
            let took = show(fastest.as_secs_f64() * 1e3, "ms");
            let detail = format!("{took}, the fastest of {answers} calls of GET {url} over {over}");
            Finding::yes("latency", detail)
        },
        encryption(client),
        clock.told(),
    ]
}

fn keep_alive(answers: usize, made: u64, failed: Option<&NoAnswer>) -> Finding {
    const NAME: &str = "keep-alive";
    match failed {
        Some(why) => Finding::untold(NAME, format!("a call failed: {why}")),
        None if made == 0 => {
            Finding::yes(NAME, format!("{answers} calls went over connections that were open"))
        }
        None if made < answers as u64 => Finding::untold(
            NAME,
            format!("{made} of {answers} calls made a connection of their own"),
        ),
        None => Finding::no(NAME, format!("each of {answers} calls made a connection of its own"))
            .with_help("is a proxy or the server set to close connections? each one adds to TTFT"),
    }
}

fn encryption(client: &Client) -> Finding {
    if client.base_url().scheme() == "https" {
        return Finding::yes("TLS", "yes, and its certificate is trusted here");
    }
    Finding::no("TLS", "none: an http URL")
}

/// How far the server's clock is from ours, in seconds: at least and at most.
struct Clock {
    dated: bool,
    least: f64,
    most: f64,
}

impl Default for Clock {
    fn default() -> Self {
        Self { dated: false, least: f64::NEG_INFINITY, most: f64::INFINITY }
    }
}

impl Clock {
    fn add(&mut self, answer: &Answer, sent: SystemTime, received: SystemTime) {
        let unix = |at: SystemTime| {
            at.duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |it| it.as_secs_f64())
        };
        let date = answer.date.as_deref().and_then(|it| jiff::fmt::rfc2822::parse(it).ok());
        let Some(date) = date else { return };
        let date = date.timestamp().as_second() as f64;
        self.dated = true;
        self.least = self.least.max(date - unix(received));
        self.most = self.most.min(date + DATE_STEP - unix(sent));
    }

    fn told(&self) -> Finding {
        const NAME: &str = "clock";
        if !self.dated {
            return Finding::untold(NAME, "not said by the server: no Date header");
        }
        if self.least <= 0.0 && self.most >= 0.0 {
            let detail = "the server's Date agrees with this machine's clock to about two seconds";
            return Finding::yes(NAME, detail);
        }
        let (by, way) =
            if self.least > 0.0 { (self.least, "ahead of") } else { (-self.most, "behind") };
        let detail = format!("the server's Date is at least {by:.0} s {way} this machine's clock");
        Finding::no(NAME, detail).with_help(
            "set both by NTP; no figure here depends on it, only comparing times with the server's log",
        )
    }
}

//! The servers' own ways to empty the prefix cache, and to tell whether they are idle.
//!
//! In: a probed [`Server`]. Out: what was called and what it answered. Invariant: only calls; what
//! they prove is for the flush stage to find out (llama.cpp takes an erase and stays warm).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Client;
use super::account::Account;
use super::probe::{Server, ServerKind};
use super::side_door::Answer;
use crate::metrics::server::{self, SERVER};
use crate::plan::FlushCall;

/// Longest single call; a reset may wait for a large cache.
const CALL: Duration = Duration::from_secs(10);
/// How long `SGLang` is asked again while it is busy.
const BUSY: Duration = Duration::from_secs(10);
/// Pause between two looks at a busy server.
const LOOK: Duration = Duration::from_millis(100);

/// One way to empty the cache and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResetReply {
    /// What was called, such as `vLLM POST /reset_prefix_cache`.
    pub method: String,
    /// Whether the server says that it did it.
    pub accepted: bool,
    /// What it answered, in one line, and what to do when it has no such call.
    pub detail: String,
}

/// Asks the server to drop its prefix cache: by the plan's own `call`, else by the call its kind
/// has. A server that is busy is asked again for a while.
pub async fn reset(client: &Client, server: &Server, call: Option<&FlushCall>) -> Vec<ResetReply> {
    if let Some(call) = call {
        return vec![by_plan(client, call).await];
    }
    match server.kind {
        ServerKind::Vllm => vec![vllm(client, server.kind.name(), DEV_MODE).await],
        ServerKind::Simulator => vec![vllm(client, server.kind.name(), SWITCHED_OFF).await],
        ServerKind::Sglang => vec![sglang(client).await],
        ServerKind::LlamaCpp => vec![llama_cpp(client, server.slots).await],
        ServerKind::Ollama => vec![ollama(client, &server.model).await],
        ServerKind::Tgi | ServerKind::Triton | ServerKind::Other => vec![ResetReply {
            method: format!("{}: no call", server.kind.name()),
            accepted: false,
            detail:
                "it is not known to have one; name it with the endpoint's `flush`, or use traffic"
                    .into(),
        }],
    }
}

/// What a server said to a call that empties its cache.
fn said_no(answer: &Answer) -> bool {
    answer.json().and_then(|json| json.get("success")?.as_bool()) == Some(false)
}

async fn by_plan(client: &Client, call: &FlushCall) -> ResetReply {
    let method = format!("{} /{}", call.method.word(), call.path);
    let (path, query) = match call.path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (call.path.as_str(), None),
    };
    let mut url = client.root_url(path);
    url.set_query(query);
    let until = Instant::now() + BUSY;
    loop {
        let answer = client.flush_call(call.method, url.clone(), call.body.as_ref(), CALL).await;
        let (accepted, detail) = match answer {
            Err(error) => (false, error.to_string()),
            Ok(answer) => {
                let is_busy =
                    said_no(&answer) || matches!(answer.status, 400 | 409 | 423 | 425 | 429 | 503);
                if is_busy && Instant::now() < until {
                    tokio::time::sleep(LOOK).await;
                    continue;
                }
                (answer.ok() && !said_no(&answer), answer.line())
            }
        };
        return ResetReply { method, accepted, detail };
    }
}

/// What a vLLM without the call needs.
const DEV_MODE: &str = "vLLM needs VLLM_SERVER_DEV_MODE=1 in its environment";
/// What a simulator without the call was told.
const SWITCHED_OFF: &str = "the simulator has `reset_prefix_cache: false`";

async fn vllm(client: &Client, name: &str, missing: &str) -> ResetReply {
    let until = Instant::now() + BUSY;
    loop {
        let answer = client.post(client.root_url("reset_prefix_cache"), None, CALL).await;
        let (accepted, detail) = match answer {
            Err(error) => (false, error.to_string()),
            Ok(answer) if matches!(answer.status, 404 | 405) => {
                (false, format!("not supported ({}): {missing}", answer.line()))
            }
            // Older versions answer with nothing, newer ones say whether it worked: requests that
            // are running keep their blocks.
            Ok(answer) if said_no(&answer) => {
                if Instant::now() < until {
                    tokio::time::sleep(LOOK).await;
                    continue;
                }
                (false, "the server could not: requests still hold blocks".to_owned())
            }
            Ok(answer) => (answer.ok(), answer.line()),
        };
        return ResetReply { method: format!("{name} POST /reset_prefix_cache"), accepted, detail };
    }
}

/// Unloads the model, whose next request loads it again.
async fn ollama(client: &Client, model: &str) -> ResetReply {
    let body = serde_json::json!({"model": model, "keep_alive": 0});
    let answer = client.post(client.root_url("api/generate"), Some(&body), CALL).await;
    let (accepted, detail) = match answer {
        Err(error) => (false, error.to_string()),
        Ok(answer) => (answer.ok(), answer.line()),
    };
    let method = "Ollama POST /api/generate, keep_alive 0 (unload)".to_owned();
    ResetReply { method, accepted, detail }
}

async fn sglang(client: &Client) -> ResetReply {
    let method = "SGLang POST /flush_cache".to_owned();
    let until = Instant::now() + BUSY;
    loop {
        let answer = client.post(client.root_url("flush_cache"), None, CALL).await;
        let (accepted, detail) = match answer {
            Err(error) => (false, error.to_string()),
            Ok(answer) if answer.status == 400 && Instant::now() < until => {
                tokio::time::sleep(LOOK).await;
                continue;
            }
            Ok(answer) if answer.status == 400 => {
                (false, format!("still busy after {} s ({})", BUSY.as_secs(), answer.line()))
            }
            Ok(answer) if matches!(answer.status, 404 | 405) => {
                (false, format!("not supported ({})", answer.line()))
            }
            Ok(answer) => (answer.ok(), answer.line()),
        };
        return ResetReply { method, accepted, detail };
    }
}

async fn llama_cpp(client: &Client, slots: Option<u64>) -> ResetReply {
    // Slots are numbered from 0; without /props one is sure to be there.
    let slots = slots.unwrap_or(1).max(1);
    let method = format!("llama.cpp POST /slots/0..{slots}?action=erase");
    let mut erased = 0;
    for slot in 0..slots {
        let mut url = client.root_url(&format!("slots/{slot}"));
        url.set_query(Some("action=erase"));
        let detail = match client.post(url, None, CALL).await {
            Ok(answer) if answer.ok() => {
                erased += erased_tokens(&answer);
                continue;
            }
            Ok(answer) if answer.status == 501 => {
                format!("{}: start llama-server with --slot-save-path DIR", answer.line())
            }
            Ok(answer) if answer.status == 404 => {
                format!("not supported ({}): is this llama-server?", answer.line())
            }
            Ok(answer) => answer.line(),
            Err(error) => error.to_string(),
        };
        return ResetReply { method, accepted: false, detail: format!("slot {slot}: {detail}") };
    }
    let detail = format!("{slots} slots, {erased} tokens erased");
    ResetReply { method, accepted: true, detail }
}

fn erased_tokens(answer: &Answer) -> u64 {
    answer.json().and_then(|json| json.get("n_erased")?.as_u64()).unwrap_or(0)
}

/// Whether a server has work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idle {
    /// It says that nothing runs or waits.
    Idle,
    /// It still had work when the limit passed.
    Busy,
    /// It does not say.
    Unknown,
}

/// Waits until the server has no work, at most `limit`. llama.cpp goes on processing a prompt whose
/// client has left, which would spoil what is measured next. A server that gives an account of itself is
/// believed whatever its name.
pub async fn wait_until_idle(
    client: &Client,
    server: &Server,
    account: Option<&Account>,
    limit: Duration,
) -> Idle {
    let until = Instant::now() + limit;
    let mut idle_before = false;
    loop {
        let look = async {
            if server.kind == ServerKind::LlamaCpp
                && let Some(busy) = busy_slots(client, limit).await
            {
                return Some(busy);
            }
            let told = match account {
                Some(account) => account.look().await.and_then(|line| busy(&line.gauges)),
                None => None,
            };
            if told.is_some() || !server.kind.has_doors() {
                return told;
            }
            busy_requests(client, limit).await
        };
        match tokio::time::timeout_at(until.into(), look).await {
            Ok(None) => return Idle::Unknown,
            // Twice, since gauges lag behind the requests they count.
            Ok(Some(0)) if idle_before => return Idle::Idle,
            Ok(Some(busy)) => idle_before = busy == 0,
            Err(_) => return Idle::Busy,
        }
        if Instant::now() + LOOK >= until {
            return if idle_before { Idle::Idle } else { Idle::Busy };
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn busy_slots(client: &Client, limit: Duration) -> Option<u64> {
    let answer = client.get(client.root_url("slots"), limit.min(CALL)).await.ok()?;
    let slots = answer.json().filter(|_| answer.ok())?;
    let busy = |slot: &&Value| slot.get("is_processing").and_then(Value::as_bool) == Some(true);
    Some(slots.as_array()?.iter().filter(busy).count() as u64)
}

/// Requests running or waiting, from `/metrics`.
async fn busy_requests(client: &Client, limit: Duration) -> Option<u64> {
    let answer = client.get(client.root_url("metrics"), limit.min(CALL)).await.ok()?;
    let page = String::from_utf8_lossy(&answer.body);
    let gauges = server::read(&page, SERVER, &[]).gauges;
    busy(&gauges).filter(|_| answer.ok())
}

/// Whether requests are running or waiting, by the server's gauges: anything that is not 0 is busy.
fn busy(gauges: &BTreeMap<String, f64>) -> Option<u64> {
    let (running, waiting) = (gauges.get("running"), gauges.get("waiting"));
    Some(u64::from(running? + waiting.unwrap_or(&0.0) > 0.0))
}

//! The chat answer on the wire, streamed and whole, with the scripted faults.
//!
//! In: tokens as they come due. Out: bytes in vLLM's shapes, or what a fault makes of them.
//! Invariant: a stamp goes into the truth log just before the write it belongs to, and a client
//! that leaves frees its slot at once. A fault "after n tokens" strikes when token n + 1 is due, in
//! its place; an answer that is shorter ends well.

use std::io;

use serde_json::{Value, json};

use super::chat::{self, Order};
use super::engine::Step;
use super::http::{self, Connection, LAST_CHUNK};
use super::routes::{self, Next};
use super::server::{Generation, Shared, TruthEntry};
use super::tokens::Answer;
use super::truth::TruthOutcome;
use crate::plan::FaultKind;

/// Half of a JSON object, as [`FaultKind::Malformed`] sends it.
const HALF_JSON: &str = r#"{"id":"chatcmpl-simulated","object":"chat.completion.chunk","choi"#;

/// An answer being written.
#[derive(Debug)]
pub struct Reply<'a> {
    pub connection: &'a mut Connection,
    pub generation: Generation,
    pub entry: TruthEntry,
    pub text: ReplyText,
    pub fault: Option<&'a FaultKind>,
    pub keep_alive: bool,
}

/// The words around the tokens.
#[derive(Debug)]
pub struct ReplyText {
    id: String,
    created: u64,
    model: String,
    /// What every chunk of the stream starts with.
    chunk_head: String,
    answer: Answer,
    finish_reason: &'static str,
    prompt_tokens: u64,
    /// Whether usage reports cached tokens.
    report_cached: bool,
    /// Whether a stream ends with usage.
    include_usage: bool,
}

impl Reply<'_> {
    /// Sends the answer as server-sent events: the headers at once, then each token when it is due.
    pub async fn stream(mut self) -> io::Result<Next> {
        let sent = self.send_stream().await;
        if sent.is_err() {
            self.entry.client_left();
        }
        sent
    }

    /// Sends the answer as one JSON object when its last token is due.
    pub async fn whole(mut self) -> io::Result<Next> {
        let sent = self.send_whole().await;
        if sent.is_err() {
            self.entry.client_left();
        }
        sent
    }

    async fn send_stream(&mut self) -> io::Result<Next> {
        let mut out = Vec::with_capacity(1024);
        http::stream_head(self.keep_alive, &mut out);
        let mut batch = Vec::new();
        // With rates beyond measure the tokens are due with the headers: one write for all.
        while let Ok(step) = self.generation.steps.try_recv() {
            batch.push(step);
        }
        let mut complete = TruthOutcome::Complete;
        loop {
            let (mut tokens, mut end) = (0, None);
            for &step in &batch {
                match self.fault.filter(|fault| strikes(fault, step.index)) {
                    None => {
                        tokens += 1;
                        self.text.push_token(step, &mut out);
                    }
                    Some(FaultKind::Malformed(_)) => {
                        complete = TruthOutcome::Fault("malformed");
                        http::push_event(&[HALF_JSON], &mut out);
                    }
                    Some(fault) => {
                        end = spoil(fault, &mut out);
                        break;
                    }
                }
                if step.last {
                    self.text.push_end(step, &mut out);
                    end = Some((complete, Next::Keep));
                }
            }
            let cached = batch.first().map(|step| step.cached);
            self.entry.write(tokens, cached, end.map(|(outcome, _)| outcome));
            self.connection.write(&out).await?;
            match end {
                None => {}
                Some((SILENT, _)) => return self.stay_silent().await,
                Some((_, next)) => return Ok(next),
            }
            out.clear();
            batch.clear();
            self.wait(&mut batch).await?;
        }
    }

    async fn send_whole(&mut self) -> io::Result<Next> {
        let mut batch = Vec::new();
        let (last, struck) = loop {
            batch.clear();
            self.wait(&mut batch).await?;
            let fault =
                self.fault.filter(|fault| batch.iter().any(|step| strikes(fault, step.index)));
            match batch.last() {
                Some(step) if step.last || fault.is_some() => break (*step, fault),
                _ => {}
            }
        };
        let body = self.text.whole(last);
        let half = &body.as_bytes()[..body.len() / 2];
        let keep = self.keep_alive;
        let (bytes, outcome, next) = match struck {
            None => {
                let bytes = http::response(200, routes::JSON, body.as_bytes(), keep);
                (bytes, TruthOutcome::Complete, Next::Keep)
            }
            Some(FaultKind::Stall(_)) => {
                self.entry.end(SILENT);
                return self.stay_silent().await;
            }
            Some(FaultKind::ErrorEvent(_)) => {
                let bytes = http::response(500, routes::JSON, error().to_string().as_bytes(), keep);
                (bytes, TruthOutcome::Fault("error_event"), Next::Keep)
            }
            Some(FaultKind::Malformed(_)) => {
                let bytes = http::response(200, routes::JSON, half, keep);
                (bytes, TruthOutcome::Fault("malformed"), Next::Keep)
            }
            Some(fault) => {
                // Half of what the headers promise.
                let mut bytes = http::response(200, routes::JSON, body.as_bytes(), false);
                bytes.truncate(bytes.len() - body.len() + half.len());
                let truncated = matches!(fault, FaultKind::Truncate(_));
                let name = if truncated { "truncate" } else { "disconnect" };
                (bytes, TruthOutcome::Fault(name), Next::Close)
            }
        };
        let tokens = if struck.is_none() { last.index + 1 } else { 0 };
        let tokens = usize::try_from(tokens).unwrap_or(usize::MAX);
        self.entry.write(tokens, Some(last.cached), Some(outcome));
        self.connection.write(&bytes).await?;
        Ok(next)
    }

    /// Waits for tokens; an error when the client leaves before.
    async fn wait(&mut self, batch: &mut Vec<Step>) -> io::Result<()> {
        tokio::select! {
            biased;
            received = self.generation.steps.recv_many(batch, 256) => match received {
                0 => Err(io::ErrorKind::ConnectionAborted.into()),
                _ => Ok(()),
            },
            () = self.connection.gone() => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }

    /// Holds the connection without a word until the client leaves; the generation runs on.
    async fn stay_silent(&mut self) -> io::Result<Next> {
        self.connection.gone().await;
        Ok(Next::Close)
    }
}

/// What the log says of a stalled answer.
const SILENT: TruthOutcome = TruthOutcome::Fault("stall");

/// Whether the fault takes the place of this token.
fn strikes(fault: &FaultKind, index: u64) -> bool {
    match fault {
        FaultKind::Truncate(after)
        | FaultKind::Disconnect(after)
        | FaultKind::Stall(after)
        | FaultKind::ErrorEvent(after)
        | FaultKind::Malformed(after) => *after == index,
        FaultKind::Status(_) | FaultKind::Crash => false,
    }
}

/// Ends a stream as the fault says.
fn spoil(fault: &FaultKind, out: &mut Vec<u8>) -> Option<(TruthOutcome, Next)> {
    match fault {
        FaultKind::Truncate(_) => {
            out.extend_from_slice(LAST_CHUNK);
            Some((TruthOutcome::Fault("truncate"), Next::Close))
        }
        FaultKind::Disconnect(_) => {
            // A chunk that promises more than comes.
            out.extend_from_slice(b"ff\r\ndata: {\"id\":");
            Some((TruthOutcome::Fault("disconnect"), Next::Close))
        }
        FaultKind::Stall(_) => Some((SILENT, Next::Close)),
        FaultKind::ErrorEvent(_) => {
            http::push_event(&[&error().to_string()], out);
            http::push_event(&["[DONE]"], out);
            out.extend_from_slice(LAST_CHUNK);
            Some((TruthOutcome::Fault("error_event"), Next::Keep))
        }
        FaultKind::Malformed(_) | FaultKind::Status(_) | FaultKind::Crash => None,
    }
}

fn error() -> Value {
    json!({"error": {
        "message": "EngineCore encountered an issue (a scripted fault).",
        "type": "InternalServerError", "param": null, "code": 500,
    }})
}

impl ReplyText {
    /// The words for one answer.
    pub fn new(
        shared: &Shared,
        request_id: Option<&str>,
        order: &Order,
        entry: &TruthEntry,
    ) -> Self {
        // Like vLLM, the answer's id carries the client's; only a tame one, since it goes into JSON.
        let id = match request_id.filter(|id| id.bytes().all(|byte| byte.is_ascii_graphic())) {
            Some(id) => format!("chatcmpl-{id}"),
            None => format!("chatcmpl-{:016x}", entry.number),
        };
        let (created, model) = (chat::unix_seconds(), shared.config.model.clone());
        let (quoted_id, quoted_model) = (json!(id), json!(model));
        let chunk_head = format!(
            r#"{{"id":{quoted_id},"object":"chat.completion.chunk","created":{created},"model":{quoted_model},"choices":["#
        );
        Self {
            id,
            created,
            model,
            chunk_head,
            answer: order.answer,
            finish_reason: if order.cut { "length" } else { "stop" },
            prompt_tokens: order.prompt_tokens,
            report_cached: shared.config.report_cached_tokens,
            include_usage: order.include_usage,
        }
    }

    /// A token's chunk; the first brings the role's chunk along, the last the reason of its end.
    fn push_token(&self, step: Step, out: &mut Vec<u8>) {
        let head = self.chunk_head.as_str();
        if step.index == 0 {
            let role = r#"{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"prompt_token_ids":null}"#;
            http::push_event(&[head, role], out);
        }
        let open = r#"{"index":0,"delta":{"content":""#;
        let word = self.answer.word(step.index);
        if step.last {
            let close = r#""},"logprobs":null,"finish_reason":""#;
            let end = r#"","stop_reason":null,"token_ids":null}]}"#;
            http::push_event(&[head, open, word, close, self.finish_reason, end], out);
        } else {
            let close = r#""},"logprobs":null,"finish_reason":null,"token_ids":null}]}"#;
            http::push_event(&[head, open, word, close], out);
        }
    }

    /// What follows the last token.
    fn push_end(&self, step: Step, out: &mut Vec<u8>) {
        if self.include_usage {
            let usage =
                format!(r#"],"usage":{},"system_fingerprint":"{FINGERPRINT}"}}"#, self.usage(step));
            http::push_event(&[&self.chunk_head, &usage], out);
        }
        http::push_event(&["[DONE]"], out);
        out.extend_from_slice(LAST_CHUNK);
    }

    fn usage(&self, step: Step) -> Value {
        let (prompt, completion) = (self.prompt_tokens, step.index + 1);
        let details = self.report_cached.then(|| json!({"cached_tokens": step.cached}));
        json!({
            "prompt_tokens": prompt, "total_tokens": prompt + completion,
            "completion_tokens": completion, "prompt_tokens_details": details,
        })
    }

    /// The body of an answer that ends with `step`.
    fn whole(&self, step: Step) -> String {
        let text: String = (0..=step.index).map(|index| self.answer.word(index)).collect();
        json!({
            "id": self.id, "object": "chat.completion", "created": self.created,
            "model": self.model,
            "choices": [{
                "index": 0,
                "message": {
                    "role": "assistant", "content": text, "refusal": null, "annotations": null,
                    "audio": null, "function_call": null, "tool_calls": [], "reasoning": null,
                },
                "logprobs": null, "finish_reason": self.finish_reason, "stop_reason": null,
                "token_ids": null,
            }],
            "service_tier": null, "system_fingerprint": FINGERPRINT, "usage": self.usage(step),
            "prompt_logprobs": null, "prompt_token_ids": null, "kv_transfer_params": null,
        })
        .to_string()
    }
}

/// What the answer says of its maker.
const FINGERPRINT: &str = concat!("runner-simulator-", env!("CARGO_PKG_VERSION"));

//! An answer on the wire, streamed and whole, with the scripted faults.
//!
//! In: tokens as they come due. Out: bytes in the API's shapes, or what a fault makes of them.
//! Invariant: a stamp goes into the truth log just before the write it belongs to, and a client
//! that leaves frees its slot at once. A fault "after n tokens" strikes when token n + 1 is due, in
//! its place; an answer that is shorter ends well.

mod chat_text;
mod dialect_text;

use std::io;

use serde_json::{Value, json};

use super::engine::Step;
use super::http::{self, Connection, LAST_CHUNK};
use super::routes::{self, Next};
use super::server::{Generation, TruthEntry};
use super::truth::TruthOutcome;
use crate::plan::FaultKind;

pub use chat_text::ChatText;
pub use dialect_text::DialectText;

/// What an answer says that a fault spoils.
const ERROR: &str = "EngineCore encountered an issue (a scripted fault).";

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

/// The words around the tokens, by API.
#[derive(Debug)]
pub enum ReplyText {
    /// `OpenAI` chat, the one on the fast path.
    Chat(ChatText),
    /// Every other API.
    Dialect(Box<DialectText>),
}

impl ReplyText {
    fn stream_type(&self) -> &'static str {
        match self {
            Self::Chat(_) => "text/event-stream; charset=utf-8",
            Self::Dialect(text) => text.stream_type(),
        }
    }

    fn push_open(&mut self, out: &mut Vec<u8>) {
        if let Self::Dialect(text) = self {
            text.push_open(out);
        }
    }

    fn push_token(&mut self, step: Step, out: &mut Vec<u8>) {
        match self {
            Self::Chat(text) => text.push_token(step, out),
            Self::Dialect(text) => text.push_token(step, out),
        }
    }

    fn push_end(&mut self, step: Step, out: &mut Vec<u8>) {
        match self {
            Self::Chat(text) => text.push_end(step, out),
            Self::Dialect(text) => text.push_end(step, out),
        }
    }

    /// An error in the middle of a stream, and the stream's end.
    fn push_error(&self, out: &mut Vec<u8>) {
        match self {
            Self::Chat(_) => {
                http::push_event(&[&error().to_string()], out);
                http::push_event(&["[DONE]"], out);
                out.extend_from_slice(LAST_CHUNK);
            }
            Self::Dialect(text) => text.push_error(ERROR, out),
        }
    }

    fn push_half(&self, out: &mut Vec<u8>) {
        match self {
            Self::Chat(_) => http::push_event(&[HALF_JSON], out),
            Self::Dialect(text) => text.push_half(HALF_JSON, out),
        }
    }

    /// The body of an answer that ends with `step`, and its further headers.
    fn whole(&mut self, step: Step, first_token_at: u64) -> (Vec<u8>, Vec<(&'static str, String)>) {
        match self {
            Self::Chat(text) => (text.whole(step).into_bytes(), Vec::new()),
            Self::Dialect(text) => text.whole(step, first_token_at),
        }
    }
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
        http::stream_head(self.text.stream_type(), self.keep_alive, &mut out);
        self.text.push_open(&mut out);
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
                        self.text.push_half(&mut out);
                    }
                    Some(fault) => {
                        end = spoil(fault, &self.text, &mut out);
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
        let mut first_token_at = 0;
        let (last, struck) = loop {
            batch.clear();
            self.wait(&mut batch).await?;
            if let Some(first) = batch.first().filter(|step| step.index == 0) {
                first_token_at = first.at;
            }
            let fault =
                self.fault.filter(|fault| batch.iter().any(|step| strikes(fault, step.index)));
            match batch.last() {
                Some(step) if step.last || fault.is_some() => break (*step, fault),
                _ => {}
            }
        };
        let (body, headers) = self.text.whole(last, first_token_at);
        let half = &body[..body.len() / 2];
        let keep = self.keep_alive;
        let (bytes, outcome, next) = match struck {
            None => {
                let bytes = http::response_with(200, routes::JSON, &headers, &body, keep);
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
                let mut bytes = http::response(200, routes::JSON, &body, false);
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
fn spoil(fault: &FaultKind, text: &ReplyText, out: &mut Vec<u8>) -> Option<(TruthOutcome, Next)> {
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
            text.push_error(out);
            Some((TruthOutcome::Fault("error_event"), Next::Keep))
        }
        FaultKind::Malformed(_) | FaultKind::Status(_) | FaultKind::Crash => None,
    }
}

fn error() -> Value {
    json!({"error": {
        "message": ERROR,
        "type": "InternalServerError", "param": null, "code": 500,
    }})
}

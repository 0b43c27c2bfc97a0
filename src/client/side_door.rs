//! Short calls beside the measured ones: `/models`, `/metrics`, `/tokenize` and the like.
//!
//! In: a URL and maybe a JSON body. Out: an [`Answer`] of any status, or why there is none.
//! Invariant: every call ends within its limit and never holds more than [`MAX_BYTES`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use url::Url;

use super::Client;
use super::dial::Dial;
use super::dialect;
use super::ending::{connect_help, seconds};
use super::transport::{Fault, FaultKind, Method, OwnHeaders};
use crate::plan::CallMethod;

/// The most that is read of an answer; a large vLLM's metrics are a few hundred kilobytes.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// What a server answered.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub status: u16,
    /// The `Server` header.
    pub server: Option<String>,
    /// The `Location` header.
    pub location: Option<String>,
    /// The `Date` header.
    pub date: Option<String>,
    pub body: Vec<u8>,
    redacted_message: Option<String>,
}

impl Answer {
    pub fn ok(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body, if it is JSON.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// `HTTP 503: Loading model`, short and with secrets hidden.
    pub fn line(&self) -> String {
        match &self.redacted_message {
            Some(said) => format!("HTTP {}: {said}", self.status),
            None => format!("HTTP {}", self.status),
        }
    }
}

/// No answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub(super) struct NoAnswer {
    pub cause: Cause,
    /// One line, with secrets hidden.
    pub message: String,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// As in [`crate::record::Outcome::Connect`].
    Connect(&'static str),
    Timeout,
    /// More came than is read of any answer.
    TooLong,
    Broken,
}

impl Client {
    /// GET.
    pub(super) async fn get(&self, url: Url, limit: Duration) -> Result<Answer, NoAnswer> {
        self.call(Method::Get, url, bytes::Bytes::new(), limit).await
    }

    /// POST with a JSON body, or with none.
    pub(super) async fn post(
        &self,
        url: Url,
        body: Option<&Value>,
        limit: Duration,
    ) -> Result<Answer, NoAnswer> {
        let body = body.map(Value::to_string).unwrap_or_default();
        self.call(Method::Post, url, body.into(), limit).await
    }

    /// The plan's own call that empties the cache.
    pub(super) async fn flush_call(
        &self,
        method: CallMethod,
        url: Url,
        body: Option<&Value>,
        limit: Duration,
    ) -> Result<Answer, NoAnswer> {
        let method = match method {
            CallMethod::Get => Method::Get,
            CallMethod::Post => Method::Post,
            CallMethod::Put => Method::Put,
            CallMethod::Delete => Method::Delete,
        };
        let body = body.map(Value::to_string).unwrap_or_default();
        self.call(method, url, body.into(), limit).await
    }

    async fn call(
        &self,
        method: Method,
        url: Url,
        body: bytes::Bytes,
        limit: Duration,
    ) -> Result<Answer, NoAnswer> {
        let target = Arc::new(self.transport.target(url));
        let post = self.transport.prepare(method, target, body, OwnHeaders::default());
        let dial = Arc::new(Dial::default());
        let answering = async {
            let sent = Instant::now();
            let mut reply = match self.transport.send(&post, &dial, false).await {
                // Closed by the server while it was kept: nothing was answered on it.
                Err(fault) if fault.may_be_resent(sent) => {
                    self.transport.send(&post, &Arc::default(), true).await?
                }
                sent => sent?,
            };
            let mut body = Vec::new();
            while let Some(chunk) = reply.chunk().await? {
                body.extend_from_slice(&chunk);
                if body.len() > MAX_BYTES {
                    break;
                }
            }
            // Half of what answers a question would be read as all of it; of an error its beginning will do.
            if body.len() > MAX_BYTES && (200..300).contains(&reply.status()) {
                let message = format!("the answer is longer than {} MiB", MAX_BYTES >> 20);
                return Ok(Err(NoAnswer { cause: Cause::TooLong, message }));
            }
            let text = |name| reply.header(name).map(str::to_owned);
            Ok(Ok(Answer {
                status: reply.status(),
                server: text("server"),
                location: text("location"),
                date: text("date"),
                redacted_message: dialect::body_message(&body).map(|it| self.redactor.said(&it)),
                body,
            }))
        };
        match tokio::time::timeout(limit, answering).await {
            Ok(result) => result.unwrap_or_else(|fault| Err(self.no_answer(&fault))),
            Err(_) => Err(NoAnswer {
                cause: Cause::Timeout,
                message: format!("no answer within {}", seconds(limit)),
            }),
        }
    }

    fn no_answer(&self, fault: &Fault) -> NoAnswer {
        let (cause, message) = match fault.kind {
            FaultKind::Connect(kind) => (Cause::Connect(kind), connect_help(kind, &fault.message)),
            FaultKind::ConnectTimeout => (Cause::Timeout, "no connection in time".to_owned()),
            _ => (Cause::Broken, format!("the answer broke off ({})", fault.message)),
        };
        NoAnswer { cause, message: self.redactor.redact(&message).into_owned() }
    }
}

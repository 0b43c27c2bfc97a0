//! One request and its answer: chunks → stamps, counts and an outcome.
//!
//! In: a prepared request. Out: an [`Exchange`]. Invariant: a chunk is stamped when it arrives and
//! parsed afterwards; whatever goes wrong, the stamps and text so far are kept and exactly one
//! outcome is given.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::coding::Coding;
use super::dial::{Dial, Used};
use super::dialect::{self, Deltas};
use super::ending::Ending;
use super::limits::{Guard, Limits, Stop};
use super::sse::{Decoder, MAX_EVENT_BYTES, SseError, Tail};
use super::transport::Reply;
use super::{Client, Prepared};
use crate::record::{Exchange, Outcome, Phase};

/// How much of a broken answer is kept.
const RAW_BYTES: usize = 4096;
/// The longest answer that is read when it is not a stream.
const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;
/// How much of an answer is read when only its beginning matters (errors, wrong types).
const MAX_ERROR_BYTES: usize = 64 * 1024;
/// How long an ended answer may take to let go of its connection.
const DRAIN: Duration = Duration::from_millis(100);
/// How long an error's body may take; its status is known already.
const ERROR_BODY: Duration = Duration::from_secs(2);
/// Longest line for people, in characters.
const MAX_MESSAGE_CHARS: usize = 500;

/// Sends a prepared request and reads its answer.
pub(super) async fn run(
    client: &Client,
    prepared: &Prepared,
    cancel: &CancellationToken,
) -> Exchange {
    let mut reading = Reading::new(client, prepared);
    let ending = reading.drive(cancel).await.err();
    reading.finish(ending)
}

/// An exchange under way.
struct Reading<'a> {
    client: &'a Client,
    prepared: &'a Prepared,
    limits: Limits,
    exchange: Exchange,
    deltas: Deltas,
    /// The answer's first bytes, [`RAW_BYTES`] and enough more to find secrets at the cut.
    raw: Vec<u8>,
    coding: Coding,
    events: u64,
    done: bool,
    failure: Option<Ending>,
}

impl<'a> Reading<'a> {
    fn new(client: &'a Client, prepared: &'a Prepared) -> Self {
        let tokens = prepared.max_tokens.unwrap_or(256).min(8192);
        let tokens = usize::try_from(tokens).unwrap_or(256);
        let sent = Instant::now();
        let exchange = Exchange {
            sent_ns: client.clock.ns(sent),
            connected_ns: None,
            headers_ns: None,
            first_event_ns: None,
            first_token_ns: None,
            first_content_ns: None,
            last_token_ns: None,
            usage_ns: None,
            end_ns: client.clock.ns(sent),
            token_ns: Vec::with_capacity(tokens),
            outcome: Outcome::Ok,
            error_message: None,
            raw: None,
            http_status: None,
            input_tokens: None,
            output_tokens: None,
            reasoning_tokens: None,
            cached_tokens: None,
            timings: None,
            finish_reason: None,
            model: None,
            reused: false,
            bytes_in: 0,
            flags: Vec::new(),
            text: String::with_capacity(tokens * 4),
        };
        Self {
            client,
            prepared,
            limits: Limits::new(client.timeouts, sent, prepared.stream),
            exchange,
            deltas: Deltas::default(),
            raw: Vec::new(),
            coding: Coding::Identity,
            events: 0,
            done: false,
            failure: None,
        }
    }

    async fn drive(&mut self, cancel: &CancellationToken) -> Result<(), Ending> {
        let mut guard = Guard::new(&self.limits, cancel);
        let dial = Arc::new(Dial::default());
        let sending = self.client.transport.send(&self.prepared.post, &dial);
        let answer = guard.wait(&self.limits, sending).await;
        let arrived = self.stamp();
        let mut reply = match answer {
            Ok(Ok(reply)) => reply,
            Ok(Err(fault)) => {
                self.connection(fault.used);
                return Err(Ending::unanswered(&fault, &self.limits));
            }
            Err(stop) => {
                self.connection(dial.used(None));
                let unconnected = !self.exchange.reused && self.exchange.connected_ns.is_none();
                return Err(self.stopped(match stop {
                    Stop::Timeout(Phase::Headers | Phase::FirstToken) if unconnected => {
                        Stop::Timeout(Phase::Connect)
                    }
                    stop => stop,
                }));
            }
        };
        self.connection(reply.used);
        self.exchange.headers_ns = Some(self.exchange.end_ns);
        let status = reply.status();
        self.exchange.http_status = Some(status);
        self.limits.read(arrived, false);
        match status {
            200..=299 => self.answer(&mut reply, &mut guard).await,
            300..=399 => Err(Ending::redirect(status, reply.header("location"))),
            _ => {
                let body = self.error_body(&mut reply, &mut guard).await?;
                Err(Ending::status(status, &body))
            }
        }
    }

    /// Reads a 2xx as what was asked for, unless its headers say that it is something else.
    async fn answer(&mut self, reply: &mut Reply, guard: &mut Guard<'_>) -> Result<(), Ending> {
        self.coding = Coding::of(reply.header("content-encoding")).map_err(|coding| {
            Ending::protocol(
                "http",
                format!(
                    "the answer is compressed ({coding}) though `identity` was asked for: turn \
                     compression off for this path"
                ),
            )
        })?;
        // What a compressor holds back arrives late and at once.
        self.flag_if(matches!(self.coding, Coding::Gzip(_)), "compressed_timing_suspect");
        let kind = reply.header("content-type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let is_stream = kind == "text/event-stream";
        let wrong = if self.prepared.stream {
            kind == "text/html" || kind == "application/json"
        } else {
            kind == "text/html" || is_stream
        };
        if wrong {
            let body = self.error_body(reply, guard).await?;
            return Err(self.wrong_type(&kind, &body));
        }
        if self.prepared.stream {
            self.read_stream(reply, guard, is_stream).await?;
            self.check_stream(&kind, is_stream)
        } else {
            self.read_whole(reply, guard).await
        }
    }

    async fn read_stream(
        &mut self,
        reply: &mut Reply,
        guard: &mut Guard<'_>,
        is_stream: bool,
    ) -> Result<(), Ending> {
        let mut decoder = Decoder::new(if is_stream { MAX_EVENT_BYTES } else { MAX_ERROR_BYTES });
        while let Some((chunk, arrived)) = self.chunk(reply, guard).await? {
            let at = self.exchange.end_ns;
            let pushed = decoder.push(&chunk, &mut |event| self.event(event.data.as_bytes(), at));
            self.limits.read(arrived, self.exchange.first_token_ns.is_some());
            if self.done || self.failure.is_some() {
                self.flag_if(decoder.lossy(), "lossy_utf8");
                drain(reply, guard, &self.limits).await;
                return self.failure.take().map_or(Ok(()), Err);
            }
            pushed.map_err(|SseError::TooLarge(cap)| {
                Ending::protocol("event_too_large", format!("one event exceeds {cap} bytes"))
            })?;
            // A stream of comments that never pauses must not outrun its limits.
            let (due, phase) = self.limits.next();
            if arrived >= due {
                return Err(self.stopped(Stop::Timeout(phase)));
            }
        }
        self.flag_if(decoder.lossy(), "lossy_utf8");
        self.flag_if(decoder.finish() == Tail::Unterminated, "unterminated_event");
        Ok(())
    }

    /// Judges a stream that came to a proper end.
    fn check_stream(&mut self, kind: &str, is_stream: bool) -> Result<(), Ending> {
        let events = self.events;
        if self.exchange.bytes_in == 0 {
            return Err(Ending::protocol("empty", "the answer has no body"));
        }
        if events == 0 && !is_stream {
            let body = std::mem::take(&mut self.raw);
            let ending = self.wrong_type(kind, &body);
            self.raw = body;
            return Err(ending);
        }
        let finished = self.exchange.finish_reason.is_some();
        if !self.done && !finished {
            return Err(Ending::stream(
                "truncated",
                format!(
                    "the stream ended after {events} events without finish_reason or [DONE]: the \
                     server, or a proxy before it, cut it"
                ),
            ));
        }
        self.flag_if(!self.done, "no_done");
        self.flag_if(!finished, "no_finish_reason");
        self.flag_if(!is_stream, "content_type");
        self.check_generated()
    }

    async fn read_whole(&mut self, reply: &mut Reply, guard: &mut Guard<'_>) -> Result<(), Ending> {
        self.flag_if(true, "not_streamed");
        let mut body = Vec::new();
        while let Some((chunk, arrived)) = self.chunk(reply, guard).await? {
            self.limits.read(arrived, false);
            body.extend_from_slice(&chunk);
            if body.len() > MAX_BODY_BYTES {
                let message = format!("the answer exceeds {MAX_BODY_BYTES} bytes");
                return Err(Ending::protocol("event_too_large", message));
            }
        }
        if body.trim_ascii().is_empty() {
            return Err(Ending::protocol("empty", "the answer has no body"));
        }
        let mut deltas = std::mem::take(&mut self.deltas);
        self.client
            .dialect
            .decode_body(&body, &mut deltas)
            .map_err(|error| Ending::protocol("json", format!("the answer is broken: {error}")))?;
        self.deltas = deltas;
        self.exchange.text.push_str(&self.deltas.reasoning);
        self.exchange.text.push_str(&self.deltas.content);
        self.note(self.exchange.end_ns);
        match self.deltas.error.take() {
            Some(error) => Err(Ending::stream("error_event", format!("the server says: {error}"))),
            None => self.check_generated(),
        }
    }

    /// A complete answer in which nothing was generated is no answer. Tokens without text (an end
    /// mark, half a character) are known from usage alone.
    fn check_generated(&mut self) -> Result<(), Ending> {
        if !self.exchange.text.is_empty() {
            return Ok(());
        }
        if self.exchange.output_tokens.unwrap_or(0) == 0 {
            return Err(Ending::protocol("empty", "the answer ended without a single token"));
        }
        self.flag_if(true, "no_text");
        Ok(())
    }

    /// Takes one stream event that arrived at `at`; those after the end are ignored.
    fn event(&mut self, data: &[u8], at: u64) {
        if self.done || self.failure.is_some() {
            return;
        }
        self.events += 1;
        self.exchange.first_event_ns.get_or_insert(at);
        if let Err(error) = self.client.dialect.decode(data, &mut self.deltas) {
            let text = String::from_utf8_lossy(&data[..data.len().min(RAW_BYTES)]).into_owned();
            let message = format!("event {} is broken: {error}: {text}", self.events);
            self.failure = Some(Ending::protocol("json", message));
            return;
        }
        if let Some(error) = self.deltas.error.take() {
            let message = format!("the server reports inside the stream: {error}");
            self.failure = Some(Ending::stream("error_event", message));
            return;
        }
        let content = !self.deltas.content.is_empty();
        if content || !self.deltas.reasoning.is_empty() {
            self.exchange.token_ns.push(at);
            self.exchange.first_token_ns.get_or_insert(at);
            self.exchange.last_token_ns = Some(at);
            if content {
                self.exchange.first_content_ns.get_or_insert(at);
            }
            self.exchange.text.push_str(&self.deltas.reasoning);
            self.exchange.text.push_str(&self.deltas.content);
        }
        self.note(at);
        self.done = self.deltas.done;
    }

    /// Takes what is not text. Later usage wins field by field: some servers count up as they go.
    fn note(&mut self, at: u64) {
        let Self { deltas, exchange, .. } = self;
        if let Some(usage) = deltas.usage {
            exchange.usage_ns = Some(at);
            exchange.input_tokens = usage.input_tokens.or(exchange.input_tokens);
            exchange.output_tokens = usage.output_tokens.or(exchange.output_tokens);
            exchange.cached_tokens = usage.cached_tokens.or(exchange.cached_tokens);
            exchange.reasoning_tokens = usage.reasoning_tokens.or(exchange.reasoning_tokens);
        }
        exchange.timings = deltas.timings.or(exchange.timings);
        if let Some(reason) = deltas.finish_reason.take() {
            exchange.finish_reason = Some(reason);
        }
        if exchange.model.is_none() {
            exchange.model = deltas.model.take();
        }
    }

    /// The next chunk and its arrival; `None` at the body's proper end.
    async fn chunk(
        &mut self,
        reply: &mut Reply,
        guard: &mut Guard<'_>,
    ) -> Result<Option<(bytes::Bytes, Instant)>, Ending> {
        let next = guard.wait(&self.limits, reply.chunk()).await;
        let arrived = self.stamp();
        match next {
            Ok(Ok(Some(chunk))) => {
                self.exchange.bytes_in += chunk.len() as u64;
                let chunk = self.coding.decode(chunk).map_err(|error| {
                    Ending::protocol("http", format!("the compressed body is broken: {error}"))
                })?;
                let room = RAW_BYTES + self.client.redactor.longest() - self.raw.len();
                self.raw.extend_from_slice(&chunk[..chunk.len().min(room)]);
                Ok(Some((chunk, arrived)))
            }
            Ok(Ok(None)) => Ok(None),
            Ok(Err(fault)) => Err(Ending::cut(&fault, self.exchange.bytes_in)),
            Err(stop) => Err(self.stopped(stop)),
        }
    }

    /// The beginning of an answer that is an error already: what can be had of it soon.
    async fn error_body(
        &mut self,
        reply: &mut Reply,
        guard: &mut Guard<'_>,
    ) -> Result<Vec<u8>, Ending> {
        let mut body = Vec::new();
        let until = Instant::now() + ERROR_BODY;
        while body.len() < MAX_ERROR_BYTES {
            let next = tokio::time::timeout_at(until.into(), self.chunk(reply, guard)).await;
            match next {
                Ok(Ok(Some((chunk, _)))) => body.extend_from_slice(&chunk),
                Ok(Err(ending)) if ending.outcome == Outcome::Cancelled => return Err(ending),
                _ => break,
            }
        }
        Ok(body)
    }

    fn wrong_type(&self, kind: &str, body: &[u8]) -> Ending {
        let asked = if self.prepared.stream { "a stream" } else { "JSON" };
        let kind = if kind.is_empty() { "no content type" } else { kind };
        let said = dialect::body_message(body).map_or(String::new(), |said| format!(": {said}"));
        Ending::protocol("content_type", format!("asked for {asked}, got {kind}{said}"))
    }

    fn stopped(&self, stop: Stop) -> Ending {
        Ending::stopped(stop, &self.limits)
    }

    /// Now, also as the latest moment of the exchange.
    fn stamp(&mut self) -> Instant {
        let now = Instant::now();
        self.exchange.end_ns = self.client.clock.ns(now);
        now
    }

    fn connection(&mut self, used: Used) {
        self.exchange.reused = used.reused;
        self.exchange.connected_ns = used.connected.map(|at| self.client.clock.ns(at));
        self.flag_if(used.resent, "stale_reuse_resent");
    }

    fn flag_if(&mut self, condition: bool, flag: &'static str) {
        if condition {
            self.exchange.flags.push(Cow::Borrowed(flag));
        }
    }

    fn finish(self, ending: Option<Ending>) -> Exchange {
        let Self { client, mut exchange, raw, .. } = self;
        let Some(Ending { outcome, message }) = ending else { return exchange };
        exchange.outcome = outcome;
        if exchange.outcome != Outcome::Cancelled {
            let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
            let line = client.redactor.redact(&line);
            exchange.error_message = Some(line.chars().take(MAX_MESSAGE_CHARS).collect());
            if !raw.is_empty() {
                let mut text = client.redactor.redact(&String::from_utf8_lossy(&raw));
                // Where the buffer ends in mid-answer, half a secret may be left at its end.
                let half = if raw.len() > RAW_BYTES { client.redactor.longest() } else { 0 };
                let keep = text.len().saturating_sub(half).min(RAW_BYTES);
                text.truncate(text.floor_char_boundary(keep));
                exchange.raw = Some(text);
            }
        }
        exchange
    }
}

/// Reads on for a moment so that the connection can be used again; if that takes too long it is
/// dropped with the reply.
async fn drain(reply: &mut Reply, guard: &mut Guard<'_>, limits: &Limits) {
    let rest = async { while let Ok(Some(_)) = reply.chunk().await {} };
    let _kept = tokio::time::timeout(DRAIN, guard.wait(limits, rest)).await;
}

//! One request and its answer, from the connection to the last byte.
//!
//! In: a prepared request. Out: an [`Exchange`]. Invariant: a chunk is stamped when it arrives and
//! parsed afterwards; whatever goes wrong, the stamps and text so far are kept and exactly one
//! outcome is given.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::answering::Stream;
use super::coding::Coding;
use super::dial::{Dial, Used};
use super::ending::Ending;
use super::framing::Splitter;
use super::limits::{Extent, Guard, Limits, Stop};
use super::sse::{MAX_EVENT_BYTES, SseError, Tail};
use super::tally::{Tally, wrong_type};
use super::transport::Reply;
use super::{Client, Prepared};
use crate::record::{Exchange, NOT_STREAMED, Outcome, Phase, READS_HIDDEN, STALE_REUSE_RESENT};

/// The longest answer that is read when it is not a stream.
const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;
/// How much of an answer is read when only its beginning matters (errors, wrong types).
const MAX_ERROR_BYTES: usize = 64 * 1024;
/// How long an ended answer may take to let go of its connection.
const DRAIN: Duration = Duration::from_millis(100);
/// How long an error's body may take; its status is known already.
const ERROR_BODY: Duration = Duration::from_secs(2);
/// Room for this many tokens when the request sets no bound, and at most.
const TOKENS: (u64, u64) = (256, 8192);

/// Chunks that come closer than this after one another were of one read of the socket: no server makes
/// ten thousand tokens a second for one user.
const SAME_READ: Duration = Duration::from_micros(100);

/// The flag of a request that was handed to a dead connection and moved to a new one before any byte of
/// it was written: it was sent once, and its connection was made after it was due.
const STALE_REUSE_MOVED: &str = "stale_reuse_moved";

/// Sends a prepared request and reads its answer.
pub(super) async fn run(
    client: &Client,
    prepared: &Prepared,
    cancel: &CancellationToken,
) -> Exchange {
    let tokens = prepared.max_tokens.unwrap_or(TOKENS.0).min(TOKENS.1);
    let sent = Instant::now();
    let mut reading = Reading {
        client,
        prepared,
        limits: Limits::new(client.timeouts, sent, prepared.stream),
        tally: Tally::new(
            Arc::clone(&client.dialect),
            &client.redactor,
            client.clock.ns(sent),
            usize::try_from(tokens).unwrap_or(0),
            prepared.choices,
        ),
        coding: Coding::Identity,
        streaming: None,
        last_chunk: None,
    };
    let ended = reading.drive(cancel).await;
    reading.tally.finish(ended, &prepared.asked, client.must_be_same_model, &client.redactor)
}

/// An exchange under way.
struct Reading<'a> {
    client: &'a Client,
    prepared: &'a Prepared,
    limits: Limits,
    tally: Tally,
    coding: Coding,
    /// Once its first token has come.
    streaming: Option<Stream<'a>>,
    /// When its last chunk came, where reads are hidden.
    last_chunk: Option<Instant>,
}

impl Reading<'_> {
    async fn drive(&mut self, cancel: &CancellationToken) -> Result<(), Ending> {
        let mut guard = Guard::new(&self.limits, cancel);
        let mut dial = Arc::new(Dial::default());
        let (transport, post) = (&self.client.transport, &self.prepared.post);
        let sent = Instant::now();
        let mut answer = guard.wait(&self.limits, transport.send(post, &dial, false)).await;
        // A server may close a kept connection at the very moment it is used again (llama.cpp does
        // so after every stream, though it promises otherwise). That shows within a round trip, so
        // the request goes out once more over a new connection: the record says so, and its
        // latencies count from the first attempt. One that fails later had reached a server at work.
        if let Ok(Err(fault)) = &answer
            && fault.may_be_resent(sent)
        {
            self.tally.flag_if(true, STALE_REUSE_RESENT);
            dial = Arc::new(Dial::default());
            answer = guard.wait(&self.limits, transport.send(post, &dial, true)).await;
        }
        let arrived = self.stamp();
        let mut reply = match answer {
            Ok(Ok(reply)) => reply,
            Ok(Err(fault)) => {
                self.connection(fault.used);
                let was_resent = self.tally.exchange.was_resent();
                let waited = Some(sent.elapsed()).filter(|_| !was_resent);
                return Err(Ending::unanswered(&fault, &self.limits, waited));
            }
            Err(stop) => {
                let used = dial.used(None);
                self.connection(used);
                return Err(self.stopped(match stop {
                    Stop::Timeout(Phase::Headers | Phase::FirstToken)
                        if !used.reused && used.connected.is_none() =>
                    {
                        Stop::Timeout(Phase::Connect)
                    }
                    stop => stop,
                }));
            }
        };
        self.connection(reply.used());
        let status = reply.status();
        self.tally.exchange.headers_ns = Some(self.tally.exchange.end_ns);
        self.tally.exchange.http_status = Some(status);
        self.limits.read(arrived, false);
        match status {
            200..=299 => self.answer(&mut reply, &mut guard).await,
            300..=399 => Err(Ending::redirect(status, reply.header("location"))),
            _ => {
                let body = self.beginning(&mut reply, &mut guard).await?;
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
        let compressed = matches!(self.coding, Coding::Gzip(_));
        self.tally.flag_if(compressed, "compressed_timing_suspect");

        let kind = reply.header("content-type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let (asked, wrong) = if self.prepared.stream {
            ("a stream", self.client.dialect.framing().excludes(&kind))
        } else {
            ("JSON", kind == "text/html" || kind == "text/event-stream")
        };
        if wrong {
            let body = self.beginning(reply, guard).await?;
            return Err(wrong_type(asked, &kind, &body));
        }
        if self.prepared.stream {
            self.read_stream(reply, guard, &kind).await?;
            self.tally.end_of_stream(&kind)
        } else {
            self.tally.flag_if(true, NOT_STREAMED);
            let body = self.read_whole(reply, guard).await?;
            let at = self.tally.exchange.end_ns;
            let header = |name| reply.header(name).map(str::to_owned);
            self.tally.body(&body, &header, at)
        }
    }

    /// Reads events until the stream is over.
    async fn read_stream(
        &mut self,
        reply: &mut Reply,
        guard: &mut Guard<'_>,
        kind: &str,
    ) -> Result<(), Ending> {
        let framing = self.client.dialect.framing();
        let cap = if framing.is(kind) { MAX_EVENT_BYTES } else { MAX_ERROR_BYTES };
        let mut splitter = Splitter::new(framing, cap);
        let most = Extent::of(self.prepared.asked.most_tokens, self.prepared.choices);
        let mut so_far = Extent::default();
        self.tally.flag_if(reply.hides_reads(), READS_HIDDEN);
        while let Some((chunk, arrived)) = self.chunk(reply, guard).await? {
            let at = self.tally.exchange.end_ns;
            so_far.bytes += chunk.len() as u64;
            let tally = &mut self.tally;
            let pushed = splitter.push(&chunk, &mut |event| tally.event(event.as_bytes(), at));
            let first = self.tally.exchange.first_token_ns;
            self.limits.read(arrived, first.is_some());
            if let Some(first) = first.filter(|_| self.streaming.is_none()) {
                let ttft = first.saturating_sub(self.tally.exchange.sent_ns);
                self.streaming = Some(self.client.answering.begun(ttft));
            }
            if self.tally.is_over() {
                self.tally.flag_if(splitter.lossy(), "lossy_utf8");
                drain(reply, guard, &self.limits).await;
                return Ok(());
            }
            pushed.map_err(|SseError::TooLarge(cap)| {
                Ending::protocol("event_too_large", format!("one event exceeds {cap} bytes"))
            })?;
            so_far.events = self.tally.events;
            so_far.text = self.tally.exchange.text.len() as u64;
            if let Some(beyond) = so_far.beyond(&most) {
                return Err(Ending::too_long(&beyond, self.prepared.asked.most_tokens));
            }
            // A stream of comments that never pauses must not outrun its limits.
            let (due, phase) = self.limits.next();
            if arrived >= due {
                return Err(self.stopped(Stop::Timeout(phase)));
            }
        }
        self.tally.flag_if(splitter.lossy(), "lossy_utf8");
        let at = self.tally.exchange.end_ns;
        let tally = &mut self.tally;
        let tail = splitter.finish(&mut |event| tally.event(event.as_bytes(), at));
        self.tally.flag_if(tail == Tail::Unterminated, "unterminated_event");
        Ok(())
    }

    async fn read_whole(
        &mut self,
        reply: &mut Reply,
        guard: &mut Guard<'_>,
    ) -> Result<Vec<u8>, Ending> {
        let mut body = Vec::new();
        while let Some((chunk, arrived)) = self.chunk(reply, guard).await? {
            self.limits.read(arrived, false);
            body.extend_from_slice(&chunk);
            if body.len() > MAX_BODY_BYTES {
                let message = format!("the answer exceeds {MAX_BODY_BYTES} bytes");
                return Err(Ending::protocol("event_too_large", message));
            }
        }
        Ok(body)
    }

    /// The beginning of an answer that is an error already: what can be had of it soon.
    async fn beginning(
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

    /// The next chunk and its arrival; `None` at the body's proper end.
    async fn chunk(
        &mut self,
        reply: &mut Reply,
        guard: &mut Guard<'_>,
    ) -> Result<Option<(Bytes, Instant)>, Ending> {
        let next = guard.wait(&self.limits, reply.chunk()).await;
        let arrived = self.stamp_chunk(reply.hides_reads());
        match next {
            Ok(Ok(Some(chunk))) => {
                self.tally.exchange.bytes_in += chunk.len() as u64;
                let chunk = self.coding.decode(chunk).map_err(|error| {
                    Ending::protocol("http", format!("the compressed body is broken: {error}"))
                })?;
                self.tally.keep_raw(&chunk);
                Ok(Some((chunk, arrived)))
            }
            Ok(Ok(None)) => Ok(None),
            Ok(Err(fault)) => Err(Ending::cut(&fault, self.tally.exchange.bytes_in)),
            Err(stop) => Err(self.stopped(stop)),
        }
    }

    fn stopped(&self, stop: Stop) -> Ending {
        Ending::stopped(stop, &self.limits)
    }

    /// Now, also as the latest moment of the exchange.
    fn stamp(&mut self) -> Instant {
        let now = Instant::now();
        self.tally.exchange.end_ns = self.client.clock.ns(now);
        now
    }

    /// The same for a chunk. Where reads are hidden, each chunk of one read comes a moment after the one
    /// before; it takes the stamp of that one.
    fn stamp_chunk(&mut self, hides_reads: bool) -> Instant {
        let before = self.last_chunk;
        let seen_ns = self.tally.exchange.end_ns;
        let now = self.stamp();
        self.last_chunk = hides_reads.then_some(now);
        if before.is_some_and(|before| now.duration_since(before) < SAME_READ) {
            self.tally.exchange.end_ns = seen_ns;
        }
        now
    }

    fn connection(&mut self, used: Used) {
        self.tally.exchange.reused = used.reused;
        self.tally.exchange.address = used.address;
        self.tally.exchange.connecting_ns = used.ahead.map(|at| self.client.clock.ns(at));
        self.tally.exchange.connected_ns = used.connected.map(|at| self.client.clock.ns(at));
        self.tally.flag_if(used.moved, STALE_REUSE_MOVED);
    }
}

/// Reads on for a moment so that the connection can be used again; if that takes too long it is
/// dropped with the reply.
async fn drain(reply: &mut Reply, guard: &mut Guard<'_>, limits: &Limits) {
    let rest = async { while let Ok(Some(_)) = reply.chunk().await {} };
    let _kept = tokio::time::timeout(DRAIN, guard.wait(limits, rest)).await;
}

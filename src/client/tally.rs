//! What an answer has said so far: events → stamps, counts, text; then the verdict on the whole.
//!
//! In: events with the arrival of their chunk. Out: an [`Exchange`]. Invariant: an answer counts as
//! ok only if it came to its end, said no error and generated something.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use super::choices::Choices;
use super::dialect::{self, Deltas, Dialect};
use super::ending::{Ending, is_given_up};
use super::remarks::{self, Asked};
use crate::plan::Redactor;
use crate::record::{Exchange, ImpossibleCounts, NO_TEXT, Outcome};

/// How much of a broken answer is kept, in bytes.
pub(super) const RAW_BYTES: usize = 4096;
/// Longest id of an answer that is kept, in bytes.
const MAX_ID_BYTES: usize = 128;
/// Longest line for people, in characters.
const MAX_MESSAGE_CHARS: usize = 500;

/// An answer being counted.
pub(super) struct Tally {
    dialect: Arc<dyn Dialect>,
    /// The stamps and counts so far.
    pub exchange: Exchange,
    deltas: Deltas,
    /// The answer's first chunks, as far as they begin in its first [`RAW_BYTES`] and in enough more
    /// to find secrets at the cut. They are put together only when something is wrong.
    raw: Vec<Bytes>,
    /// How many bytes of them are still wanted.
    raw_room: usize,
    choices: Choices,
    /// How many events came so far.
    pub events: u64,
    /// The dialect's end mark came.
    done: bool,
    /// An event that ends it badly.
    failure: Option<Ending>,
}

impl Tally {
    /// An answer of so many choices to a request sent at `sent_ns`, with room for about `tokens` tokens.
    pub fn new(
        dialect: Arc<dyn Dialect>,
        redactor: &Redactor,
        sent_ns: u64,
        tokens: usize,
        choices: u64,
    ) -> Self {
        let exchange = Exchange {
            sent_ns,
            connecting_ns: None,
            connected_ns: None,
            headers_ns: None,
            first_event_ns: None,
            first_token_ns: None,
            first_content_ns: None,
            last_token_ns: None,
            usage_ns: None,
            end_ns: sent_ns,
            token_ns: Vec::with_capacity(tokens),
            choices: Vec::new(),
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
            other_model: None,
            response_id: None,
            reused: false,
            address: None,
            bytes_in: 0,
            flags: Vec::new(),
            impossible: ImpossibleCounts::new(),
            text: String::with_capacity(tokens * 4),
            content_from: None,
            first_content_to: None,
            first_finish_reason: None,
        };
        Self {
            dialect,
            exchange,
            deltas: Deltas::default(),
            raw: Vec::new(),
            raw_room: RAW_BYTES + redactor.longest(),
            choices: Choices::new(choices),
            events: 0,
            done: false,
            failure: None,
        }
    }

    /// Keeps the answer's beginning in case it turns out to be broken.
    pub fn keep_raw(&mut self, chunk: &Bytes) {
        if self.raw_room > 0 {
            let kept = chunk.slice(..chunk.len().min(self.raw_room));
            self.raw_room -= kept.len();
            self.raw.push(kept);
        }
    }

    /// Remarks on something that does not make it an error.
    pub fn flag_if(&mut self, condition: bool, flag: &'static str) {
        if condition {
            self.exchange.flags.push(Cow::Borrowed(flag));
        }
    }

    /// Takes one stream event that arrived at `at`; those after the end are ignored.
    pub fn event(&mut self, data: &[u8], at: u64) {
        if self.is_over() {
            return;
        }
        self.events += 1;
        self.exchange.first_event_ns.get_or_insert(at);
        if let Err(error) = self.dialect.decode(data, &mut self.deltas) {
            let text = String::from_utf8_lossy(&data[..data.len().min(RAW_BYTES)]);
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
            if self.choices.are_several() {
                self.choices.stamp(&self.deltas, at, &mut self.exchange);
            } else {
                self.exchange.token_ns.push(at);
            }
            self.exchange.first_token_ns.get_or_insert(at);
            self.exchange.last_token_ns = Some(at);
            if content {
                self.exchange.first_content_ns.get_or_insert(at);
            }
        }
        self.choices.finish(&self.deltas);
        self.note(at);
        self.failure = self.given_up();
        self.done = self.deltas.done;
    }

    /// Takes a whole answer that arrived at `at`, with its headers, and judges it.
    pub fn body(
        &mut self,
        body: &[u8],
        header: &dyn Fn(&'static str) -> Option<String>,
        at: u64,
    ) -> Result<(), Ending> {
        if body.trim_ascii().is_empty() {
            return Err(Ending::protocol("empty", "the answer has no body"));
        }
        self.dialect
            .decode_body(body, &mut self.deltas)
            .map_err(|error| Ending::protocol("json", format!("the answer is broken: {error}")))?;
        self.dialect.decode_headers(header, &mut self.deltas);
        self.note(at);
        if let Some(error) = self.deltas.error.take() {
            return Err(Ending::stream("error_event", format!("the server says: {error}")));
        }
        self.given_up().map_or_else(|| self.check_generated(), Err)
    }

    /// The server's word that it did not bring the answer to its end.
    fn given_up(&self) -> Option<Ending> {
        let reason = self.exchange.finish_reason.as_ref().filter(|reason| is_given_up(reason))?;
        let message = format!("the server gave the answer up: finish_reason `{reason}`");
        Some(Ending::stream("aborted", message))
    }

    /// Whether nothing that comes now counts any more.
    pub fn is_over(&self) -> bool {
        self.done || self.failure.is_some()
    }

    /// Judges a stream that has ended, by its own mark or by the body's. `kind` is its content
    /// type.
    pub fn end_of_stream(&mut self, kind: &str) -> Result<(), Ending> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let events = self.events;
        let is_stream = self.dialect.framing().is(kind);
        if self.exchange.bytes_in == 0 {
            return Err(Ending::protocol("empty", "the answer has no body"));
        }
        if events == 0 && !is_stream {
            return Err(wrong_type("a stream", kind, &self.raw.concat()));
        }
        let finished = self.exchange.finish_reason.is_some() && self.choices.are_finished();
        let marks_end = self.dialect.marks_end();
        if marks_end && !self.done && !finished {
            return Err(Ending::stream(
                "truncated",
                format!(
                    "the stream ended after {events} events without finish_reason or [DONE]: the \
                     server, or a proxy before it, cut it"
                ),
            ));
        }
        self.flag_if(marks_end && !self.done, "no_done");
        self.flag_if(marks_end && !finished, "no_finish_reason");
        self.flag_if(!is_stream, "content_type");
        self.check_generated()
    }

    /// A complete answer in which nothing was generated is no answer. Tokens without text (an end
    /// mark, half a character) are known from usage alone.
    fn check_generated(&mut self) -> Result<(), Ending> {
        if !self.exchange.text.is_empty() {
            return Ok(());
        }
        if self.exchange.output_tokens.unwrap_or(0) == 0 {
            let said = beginning(&self.raw.concat());
            let message = format!("the answer ended without a single token{said}");
            return Err(Ending::protocol("empty", message));
        }
        self.flag_if(true, NO_TEXT);
        Ok(())
    }

    /// Takes text, usage and the rest of the deltas. Later usage wins field by field: some servers
    /// count up as they go.
    fn note(&mut self, at: u64) {
        let Self { deltas, exchange, choices, .. } = self;
        choices.take_text(deltas);
        exchange.text.push_str(&deltas.reasoning);
        if !deltas.content.is_empty() {
            exchange.content_from.get_or_insert(exchange.text.len());
        }
        exchange.text.push_str(&deltas.content);
        if let Some(usage) = deltas.usage {
            exchange.usage_ns = Some(at);
            exchange.input_tokens = usage.input_tokens.or(exchange.input_tokens);
            exchange.output_tokens = usage.output_tokens.or(exchange.output_tokens);
            exchange.cached_tokens = usage.cached_tokens.or(exchange.cached_tokens);
            exchange.reasoning_tokens = usage.reasoning_tokens.or(exchange.reasoning_tokens);
        }
        if deltas.timings.is_some() {
            exchange.timings = deltas.timings;
        }
        if let Some(cached) = deltas.cached {
            // A server that says only yes or no counts no tokens.
            exchange.flags.retain(|flag| !matches!(flag.as_ref(), "from_cache" | "not_from_cache"));
            let flag = if cached { "from_cache" } else { "not_from_cache" };
            exchange.flags.push(Cow::Borrowed(flag));
        }
        if let Some(reason) = deltas.finish_reason.take() {
            exchange.finish_reason = Some(reason);
        }
        if let Some(reason) = deltas.first_finish_reason.take() {
            exchange.first_finish_reason = Some(reason);
        }
        if exchange.model.is_none() {
            exchange.model = deltas.model.take();
        }
    }

    /// The finished exchange. A complete answer is judged by what was asked for, and by counts that
    /// can be; text for people and the raw answer have their secrets hidden.
    pub fn finish(
        self,
        ended: Result<(), Ending>,
        asked: &Asked,
        must_be_same_model: bool,
        redactor: &Redactor,
    ) -> Exchange {
        let Self { mut exchange, raw, choices, mut deltas, .. } = self;
        choices.put_in_order(&mut exchange);
        remarks::leave_out_impossible(&mut exchange);
        let ended = ended.and_then(|()| remarks::judge(&mut exchange, asked, must_be_same_model));
        let said = |text: String| redactor.said(&text);
        exchange.response_id = deltas.id.take().filter(|id| id.len() <= MAX_ID_BYTES).map(said);
        exchange.finish_reason = exchange.finish_reason.take().map(said);
        exchange.model = exchange.model.take().map(said);
        exchange.other_model = exchange.other_model.take().map(said);
        let Err(Ending { outcome, message }) = ended else { return exchange };
        let raw = raw.concat();
        exchange.outcome = outcome;
        if exchange.outcome == Outcome::Cancelled {
            return exchange;
        }
        let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
        let line = redactor.redact(&line).into_owned();
        exchange.error_message = Some(line.chars().take(MAX_MESSAGE_CHARS).collect());
        if !raw.is_empty() {
            let mut text = redactor.redact(&String::from_utf8_lossy(&raw)).into_owned();
            // Where the buffer ends in mid-answer, half a secret may be left at its end.
            let half = if raw.len() > RAW_BYTES { redactor.longest() } else { 0 };
            let keep = text.len().saturating_sub(half).min(RAW_BYTES);
            let keep = (0..=keep).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            text.truncate(keep);
            exchange.raw = Some(text);
        }
        exchange
    }
}

/// An answer that is not what was asked for.
pub(super) fn wrong_type(asked: &str, kind: &str, body: &[u8]) -> Ending {
    let kind = if kind.is_empty() { "no content type" } else { kind };
    Ending::protocol("content_type", format!("asked for {asked}, got {kind}{}", beginning(body)))
}

/// `: ` and what an answer says went wrong, or its first words.
fn beginning(body: &[u8]) -> String {
    dialect::body_message(body).map_or(String::new(), |said| format!(": {said}"))
}

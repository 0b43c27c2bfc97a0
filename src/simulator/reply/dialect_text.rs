//! The words of an answer in every API but `OpenAI` chat.
//!
//! In: the engine's steps. Out: chunks of a stream, or a whole body, as the dialect's [`Writer`]
//! puts them. Invariant: counts and times are the engine's own, so that what a client reads can be
//! held against the truth log.

use std::time::Duration;

use crate::plan::Api;
use crate::simulator::dialect::{Identity, Piece, Totals, Writer};
use crate::simulator::engine::Step;
use crate::simulator::http;
use crate::simulator::tokens::Answer;

/// The words around the tokens, and what they must remember of the answer so far.
#[derive(Debug)]
pub struct DialectText {
    writer: Writer,
    answer: Answer,
    /// Whether the first bytes come with the headers; else with the first token, when it is known
    /// what the cache held.
    opens_at_once: bool,
    prompt_tokens: u64,
    report_cached: bool,
    cut: bool,
    first_token_at: u64,
    /// Bytes on their way into a chunk.
    piece: Vec<u8>,
}

impl DialectText {
    /// The words for one answer.
    pub fn new(
        api: Api,
        identity: Identity,
        answer: Answer,
        prompt_tokens: u64,
        cut: bool,
        report_cached: bool,
    ) -> Self {
        Self {
            opens_at_once: api == Api::OpenaiResponses,
            writer: Writer::new(api, identity),
            answer,
            prompt_tokens,
            report_cached,
            cut,
            first_token_at: 0,
            piece: Vec::new(),
        }
    }

    /// The content type of a stream.
    pub fn stream_type(&self) -> &'static str {
        self.writer.content_type(true)
    }

    /// What leaves with the headers.
    pub fn push_open(&mut self, out: &mut Vec<u8>) {
        if self.opens_at_once {
            let totals = Totals { prompt_tokens: self.prompt_tokens, ..Totals::default() };
            self.piece.clear();
            self.writer.open(&totals, &mut self.piece);
            http::push_chunk(&self.piece, out);
        }
    }

    /// A token's chunk.
    pub fn push_token(&mut self, step: Step, out: &mut Vec<u8>) {
        self.piece.clear();
        if step.index == 0 {
            self.first_token_at = step.at;
            if !self.opens_at_once {
                let totals = Totals { output_tokens: 0, ..self.totals(step) };
                self.writer.open(&totals, &mut self.piece);
            }
        }
        let so_far = self.totals(step);
        let word = self.answer.word(step.index);
        self.writer.piece(Piece::Content(word), &so_far, &mut self.piece);
        http::push_chunk(&self.piece, out);
    }

    /// What follows the last token.
    pub fn push_end(&mut self, step: Step, out: &mut Vec<u8>) {
        self.piece.clear();
        let totals = self.totals(step);
        self.writer.close(&totals, &mut self.piece);
        http::push_chunk(&self.piece, out);
        out.extend_from_slice(http::LAST_CHUNK);
    }

    /// An error in the middle of a stream, and the stream's end.
    pub fn push_error(&self, message: &str, out: &mut Vec<u8>) {
        let mut piece = Vec::new();
        self.writer.error(message, &mut piece);
        http::push_chunk(&piece, out);
        out.extend_from_slice(http::LAST_CHUNK);
    }

    /// Half of an event.
    pub fn push_half(&self, half: &str, out: &mut Vec<u8>) {
        let is_lines = self.stream_type() == "application/x-ndjson";
        let event = if is_lines { format!("{half}\n") } else { format!("data: {half}\n\n") };
        http::push_chunk(event.as_bytes(), out);
    }

    /// The body of an answer that ends with `step`, and its headers beside type and length.
    /// `first_token_at` is when the first token was due.
    pub fn whole(
        &mut self,
        step: Step,
        first_token_at: u64,
    ) -> (Vec<u8>, Vec<(&'static str, String)>) {
        self.first_token_at = first_token_at;
        for index in 0..=step.index {
            self.writer.keep(Piece::Content(self.answer.word(index)));
        }
        let totals = self.totals(step);
        (self.writer.whole(&totals), self.writer.headers(&totals))
    }

    /// The counts up to and with `step`.
    fn totals(&self, step: Step) -> Totals {
        Totals {
            prompt_tokens: self.prompt_tokens,
            cached_tokens: self.report_cached.then_some(step.cached),
            output_tokens: step.index + 1,
            cut: self.cut,
            queue: Duration::from_nanos(step.queued),
            prefill: Duration::from_nanos(step.prefill),
            decode: Duration::from_nanos(step.at.saturating_sub(self.first_token_at)),
        }
    }
}

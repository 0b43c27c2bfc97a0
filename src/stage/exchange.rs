//! One request from workload to record: send, count, judge, hand to the recorder.
//!
//! In: an index. Out: exactly one `end` line for it. The request is rendered and serialised before
//! it is due, and tokens are counted after it ended, so neither is part of any latency. When it was
//! due, and on which rung, is the stage's to say.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;

use super::StageContext;
use super::tokens::{self, input_counts};
use crate::client::account::Account;
use crate::client::{Client, Prepared};
use crate::metrics::cache_verdict;
use crate::output::note;
use crate::record::{
    CacheState, Connection, ErrorInfo, Exchange, ImpossibleCounts, Line, NeverStartedLine, Outcome,
    OutcomeKind, Record, RecordSender, RunClock, StartLine, TokenCounts,
};
use crate::request::Request;
use crate::workload::tokenizer::Tokenizer;
use crate::workload::{Workload, WorkloadError};

/// Where a stage's (or rung's) requests go, and under which name they are recorded. Clones are
/// cheap and own all they need, so that a request in flight can be a task of its own.
#[derive(Clone)]
pub(super) struct Post {
    stage: String,
    cell: Option<String>,
    key: String,
    rung: Option<f64>,
    run_nonce: String,
    model: String,
    client: Client,
    records: RecordSender,
    clock: RunClock,
    cut: CancellationToken,
    /// Whether what is ready keeps its request, too.
    keeps_requests: bool,
    /// Tokens in a block of the server's prefix cache, where it says so.
    block_tokens: Option<u64>,
    /// Whether people were told of the first request that could not be made.
    said_unmade: Arc<AtomicBool>,
}

/// A request that is ready to be sent.
pub(super) struct Ready {
    pub index: u64,
    request_id: String,
    prompt_hash: Option<String>,
    session: Option<String>,
    model: Option<String>,
    input_tokens: TokenCounts,
    /// What is sent, or why there is nothing.
    prepared: Result<Prepared, String>,
    /// What it was made of, where it may have to be made again.
    pub request: Option<Box<Request>>,
}

/// A request that is not sent.
pub(super) struct Unsent {
    pub index: u64,
    /// The conversation that it is a turn of.
    pub session: Option<String>,
}

impl From<Ready> for Unsent {
    fn from(ready: Ready) -> Self {
        Self { index: ready.index, session: ready.session }
    }
}

impl Post {
    /// For the requests of a stage, on one rung of it if it has rungs.
    pub(super) fn of(context: &StageContext<'_>, rung: Option<f64>) -> Self {
        Self {
            stage: context.stage.id.clone(),
            cell: context.stage.cell_id().map(str::to_owned),
            key: context.stage.key(),
            rung,
            run_nonce: context.run_nonce.to_owned(),
            model: context.server.model.clone(),
            client: context.client.clone(),
            records: context.records.clone(),
            clock: context.clock,
            cut: context.stop.cut.clone(),
            keeps_requests: false,
            block_tokens: context.account.and_then(Account::block_tokens),
            said_unmade: Arc::default(),
        }
    }

    /// For a part of the stage that has an id of its own.
    pub(super) fn renamed(mut self, stage: String) -> Self {
        self.key = format!("{}{}", stage, self.key.strip_prefix(&self.stage).unwrap_or_default());
        self.stage = stage;
        self
    }

    /// For one probe of a search, which may try its level again: ids stay unique.
    pub(super) fn of_probe(mut self, probe: u64) -> Self {
        self.key = format!("{}#{probe}", self.key);
        self
    }

    /// For requests that may have to be made again when they are due.
    pub(super) fn keeping_requests(mut self, keeps: bool) -> Self {
        self.keeps_requests = keeps;
        self
    }

    /// With another way to cut what is in flight.
    pub(super) fn cut_by(mut self, cut: CancellationToken) -> Self {
        self.cut = cut;
        self
    }

    /// Renders, counts and serialises the request with this index. Blocks where the server counts.
    pub(super) fn prepare(
        &self,
        workload: &dyn Workload,
        tokenizer: &Tokenizer,
        index: u64,
    ) -> Ready {
        match workload.request(index) {
            Ok(request) => {
                let ready = self.prepare_request(&request, tokenizer);
                Ready { request: self.keeps_requests.then(|| Box::new(request)), ..ready }
            }
            Err(why) => self.unmade(index, None, &why),
        }
    }

    /// Serialises a request.
    pub(super) fn prepare_request(&self, request: &Request, tokenizer: &Tokenizer) -> Ready {
        let request_id = self.request_id(request.index);
        let prepared = self.client.prepare(request, &self.model, &request_id);
        Ready {
            index: request.index,
            request_id,
            prompt_hash: Some(request.prompt_hash()),
            session: request.session.clone(),
            model: request.model.clone(),
            input_tokens: input_counts(request, tokenizer),
            prepared: prepared.map_err(|refused| refused.to_string()),
            request: None,
        }
    }

    /// In place of a request that can't be made: what will be recorded when it is due.
    pub(super) fn unmade(&self, index: u64, session: Option<String>, why: &WorkloadError) -> Ready {
        Ready {
            index,
            request_id: self.request_id(index),
            prompt_hash: None,
            session,
            model: None,
            input_tokens: TokenCounts::default(),
            prepared: Err(why.to_string()),
            request: None,
        }
    }

    /// `<run nonce>-<stage>-<index>`, unique within an endpoint's log.
    fn request_id(&self, index: u64) -> String {
        let rung = self.rung.map(|rung| format!("@{rung}")).unwrap_or_default();
        format!("{}-{}{rung}-{index}", self.run_nonce, self.key)
    }

    /// Sends a prepared request now and records how it ended. Returns the record's outcome.
    pub(super) async fn send(&self, ready: Ready, due_ns: u64, tokenizer: &Tokenizer) -> Outcome {
        self.send_for_answer(ready, due_ns, tokenizer).await.0
    }

    /// The same; gives what was answered, too, without its reasoning.
    pub(super) async fn send_for_answer(
        &self,
        ready: Ready,
        due_ns: u64,
        tokenizer: &Tokenizer,
    ) -> (Outcome, String) {
        let prepared = match &ready.prepared {
            Ok(prepared) => prepared,
            Err(why) => {
                let outcome = Outcome::Unmade;
                if !self.said_unmade.swap(true, Ordering::Relaxed) {
                    let (stage, index) = (&self.stage, ready.index);
                    note!("warning: `{stage}`: request {index} can't be made: {why}");
                }
                let class = outcome.class().unwrap_or_default();
                let error = ErrorInfo { class, message: why.clone(), raw: None };
                self.unsent(ready.into(), Some(due_ns), (outcome.kind(), Some(error))).await;
                return (outcome, String::new());
            }
        };
        self.records
            .send(Line::Start(StartLine {
                stage: self.stage.clone(),
                cell: self.cell.clone(),
                rung: self.rung,
                index: ready.index,
                due_ns,
                sent_ns: self.clock.now_ns(),
            }))
            .await;
        let exchange = self.client.send(prepared, &self.cut).await;
        // Answers that came meanwhile are stamped before this one's record is made.
        tokio::task::yield_now().await;
        let outcome = exchange.outcome.clone();
        let output_tokens = tokens::output_counts(&exchange, tokenizer).await;
        let (record, answer) = self.record(ready, due_ns, exchange, output_tokens);
        self.records.send(Line::End(Box::new(record))).await;
        (outcome, answer)
    }

    /// Records a request that was planned but will not be sent.
    pub(super) async fn never_started(&self, request: Unsent) {
        self.unsent(request, None, (OutcomeKind::NeverStarted, None)).await;
    }

    /// Records `count` requests from number `first` on that were planned and never made. However many
    /// they are, they take one line.
    pub(super) async fn never_made(&self, first: u64, count: u64) {
        if count > 0 {
            let (stage, cell, rung) = (self.stage.clone(), self.cell.clone(), self.rung);
            let line = NeverStartedLine { stage, cell, rung, first, count };
            self.records.send(Line::NeverStarted(line)).await;
        }
    }

    /// Records a request that was due, but that the plan forbids to send this late.
    pub(super) async fn dropped_late(&self, request: Ready, due_ns: u64) {
        self.unsent(request.into(), Some(due_ns), (OutcomeKind::DroppedLate, None)).await;
    }

    async fn unsent(
        &self,
        request: Unsent,
        due_ns: Option<u64>,
        (outcome, error): (OutcomeKind, Option<ErrorInfo>),
    ) {
        let Unsent { index, session } = request;
        let record = Record {
            stage: self.stage.clone(),
            cell: self.cell.clone(),
            rung: self.rung,
            index,
            request_id: self.request_id(index),
            prompt_hash: None,
            session,
            due_ns,
            sent_ns: None,
            connecting_ns: None,
            connected_ns: None,
            headers_ns: None,
            first_event_ns: None,
            first_token_ns: None,
            first_content_ns: None,
            last_token_ns: None,
            usage_ns: None,
            end_ns: None,
            token_ns: Vec::new(),
            choices: Vec::new(),
            outcome,
            http_status: None,
            error,
            input_tokens: TokenCounts::default(),
            output_tokens: TokenCounts::default(),
            reasoning_tokens: None,
            cached_tokens: None,
            cache: CacheState::Unknown,
            finish_reason: None,
            asked_model: None,
            other_model: None,
            response_id: None,
            timings: None,
            connection: Connection::default(),
            bytes_in: 0,
            flags: Vec::new(),
            impossible: ImpossibleCounts::new(),
        };
        self.records.send(Line::End(Box::new(record))).await;
    }

    fn record(
        &self,
        ready: Ready,
        due_ns: u64,
        exchange: Exchange,
        output_tokens: TokenCounts,
    ) -> (Record, String) {
        let mut input_tokens = ready.input_tokens;
        input_tokens.server = exchange.input_tokens;
        let cached_tokens =
            exchange.cached_tokens.or(exchange.timings.and_then(|timings| timings.cache_n));
        let cache = cache_verdict::of_exchange(&exchange, self.block_tokens);
        let error = exchange.outcome.class().map(|class| ErrorInfo {
            message: exchange.error_message.unwrap_or_else(|| class.clone()),
            class,
            raw: exchange.raw,
        });
        let mut answer = exchange.text;
        answer.truncate(exchange.first_content_to.unwrap_or(answer.len()));
        answer.drain(..exchange.content_from.unwrap_or(answer.len()));
        // What a call of tools was given is no answer that could stand in a history.
        let reason = exchange.first_finish_reason.as_ref().or(exchange.finish_reason.as_ref());
        if reason.is_some_and(|reason| is_tool_call(reason)) {
            answer.clear();
        }
        let record = Record {
            stage: self.stage.clone(),
            cell: self.cell.clone(),
            rung: self.rung,
            index: ready.index,
            request_id: ready.request_id,
            prompt_hash: ready.prompt_hash,
            session: ready.session,
            due_ns: Some(due_ns),
            sent_ns: Some(exchange.sent_ns),
            connecting_ns: exchange.connecting_ns,
            connected_ns: exchange.connected_ns,
            headers_ns: exchange.headers_ns,
            first_event_ns: exchange.first_event_ns,
            first_token_ns: exchange.first_token_ns,
            first_content_ns: exchange.first_content_ns,
            last_token_ns: exchange.last_token_ns,
            usage_ns: exchange.usage_ns,
            end_ns: Some(exchange.end_ns),
            token_ns: exchange.token_ns,
            choices: exchange.choices,
            outcome: exchange.outcome.kind(),
            http_status: exchange.http_status,
            error,
            input_tokens,
            output_tokens,
            reasoning_tokens: exchange.reasoning_tokens,
            cached_tokens,
            cache,
            finish_reason: exchange.finish_reason,
            asked_model: ready.model,
            other_model: exchange.other_model,
            response_id: exchange.response_id,
            timings: exchange.timings,
            connection: Connection { reused: exchange.reused, address: exchange.address },
            bytes_in: exchange.bytes_in,
            flags: exchange.flags,
            impossible: exchange.impossible,
        };
        (record, answer)
    }
}

/// Whether a finish reason says that the answer calls tools.
fn is_tool_call(finish_reason: &str) -> bool {
    matches!(finish_reason, "tool_calls" | "tool_use" | "function_call")
}

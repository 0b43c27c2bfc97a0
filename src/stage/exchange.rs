//! One request from workload to record: send, count, judge, hand to the recorder.
//!
//! In: an index. Out: exactly one `end` line for it. The request is rendered and serialised before
//! it counts as due, and tokens are counted after it ended, so neither is part of any latency.

use super::StageContext;
use super::tokens::{self, input_counts};
use crate::client::Prepared;
use crate::metrics::cache_verdict;
use crate::record::{
    CacheState, Connection, ErrorInfo, Exchange, Line, Outcome, OutcomeKind, Record, StartLine,
    TokenCounts,
};
use crate::workload::tokenizer::Tokenizer;
use crate::workload::{Workload, WorkloadError};

/// A request that is ready to be sent.
pub(super) struct Ready {
    pub index: u64,
    request_id: String,
    prompt_hash: String,
    input_tokens: TokenCounts,
    prepared: Prepared,
}

/// Renders and serialises the request with this index.
pub(super) fn prepare(
    context: &StageContext<'_>,
    workload: &dyn Workload,
    tokenizer: &Tokenizer,
    index: u64,
) -> Result<Ready, WorkloadError> {
    let request = workload.request(index)?;
    let request_id = request_id(context, index);
    let prepared = context.client.prepare(&request, &context.server.model, &request_id);
    Ok(Ready {
        index,
        request_id,
        prompt_hash: request.prompt_hash(),
        input_tokens: input_counts(&request, tokenizer),
        prepared,
    })
}

/// `<run nonce>-<stage>-<index>`, unique within an endpoint's log.
fn request_id(context: &StageContext<'_>, index: u64) -> String {
    format!("{}-{}-{index}", context.run_nonce, context.stage.key())
}

/// Sends a prepared request now and records how it ended. Returns the record's outcome.
pub(super) async fn send(
    context: &StageContext<'_>,
    ready: Ready,
    tokenizer: &Tokenizer,
) -> Outcome {
    let due_ns = context.clock.now_ns();
    context
        .records
        .send(Line::Start(StartLine {
            stage: context.stage.id.clone(),
            cell: context.stage.cell_id().map(str::to_owned),
            rung: None,
            index: ready.index,
            due_ns,
            sent_ns: due_ns,
        }))
        .await;
    let exchange = context.client.send(&ready.prepared, &context.stop.cut).await;
    let outcome = exchange.outcome.clone();
    let record = record(context, ready, due_ns, exchange, tokenizer);
    context.records.send(Line::End(Box::new(record))).await;
    outcome
}

/// Records a request that was planned but will not be sent.
pub(super) async fn never_started(context: &StageContext<'_>, index: u64) {
    let record = Record {
        stage: context.stage.id.clone(),
        cell: context.stage.cell_id().map(str::to_owned),
        rung: None,
        index,
        request_id: request_id(context, index),
        prompt_hash: None,
        due_ns: None,
        sent_ns: None,
        connected_ns: None,
        headers_ns: None,
        first_event_ns: None,
        first_token_ns: None,
        first_content_ns: None,
        last_token_ns: None,
        usage_ns: None,
        end_ns: None,
        token_ns: Vec::new(),
        outcome: OutcomeKind::NeverStarted,
        http_status: None,
        error: None,
        input_tokens: TokenCounts::default(),
        output_tokens: TokenCounts::default(),
        reasoning_tokens: None,
        cached_tokens: None,
        cache: CacheState::Unknown,
        finish_reason: None,
        timings: None,
        connection: Connection::default(),
        bytes_in: 0,
        flags: Vec::new(),
    };
    context.records.send(Line::End(Box::new(record))).await;
}

fn record(
    context: &StageContext<'_>,
    ready: Ready,
    due_ns: u64,
    exchange: Exchange,
    tokenizer: &Tokenizer,
) -> Record {
    let mut input_tokens = ready.input_tokens;
    input_tokens.server = exchange.input_tokens;
    let output_tokens = tokens::output_counts(&exchange, tokenizer);
    let cached_tokens =
        exchange.cached_tokens.or(exchange.timings.and_then(|timings| timings.cache_n));
    let cache =
        cache_verdict::verdict(cached_tokens, exchange.input_tokens, exchange.timings.as_ref());
    let error = exchange.outcome.class().map(|class| ErrorInfo {
        message: exchange.error_message.unwrap_or_else(|| class.clone()),
        class,
        raw: exchange.raw,
    });
    Record {
        stage: context.stage.id.clone(),
        cell: context.stage.cell_id().map(str::to_owned),
        rung: None,
        index: ready.index,
        request_id: ready.request_id,
        prompt_hash: Some(ready.prompt_hash),
        due_ns: Some(due_ns),
        sent_ns: Some(exchange.sent_ns),
        connected_ns: exchange.connected_ns,
        headers_ns: exchange.headers_ns,
        first_event_ns: exchange.first_event_ns,
        first_token_ns: exchange.first_token_ns,
        first_content_ns: exchange.first_content_ns,
        last_token_ns: exchange.last_token_ns,
        usage_ns: exchange.usage_ns,
        end_ns: Some(exchange.end_ns),
        token_ns: exchange.token_ns,
        outcome: exchange.outcome.kind(),
        http_status: exchange.http_status,
        error,
        input_tokens,
        output_tokens,
        reasoning_tokens: exchange.reasoning_tokens,
        cached_tokens,
        cache,
        finish_reason: exchange.finish_reason,
        timings: exchange.timings,
        connection: Connection { reused: exchange.reused },
        bytes_in: exchange.bytes_in,
        flags: exchange.flags,
    }
}

//! Budgets of what every event and every record costs: at 50,000 events a second a microsecond is
//! a twentieth of a core.

#![expect(missing_docs, reason = "`criterion_group!` makes a public function")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use runner::client::dialect::openai_chat::OpenaiChat;
use runner::client::dialect::{Deltas, Dialect};
use runner::client::sse::Decoder;
use runner::metrics::aggregator::Aggregator;
use runner::metrics::record_log;
use runner::record::{
    CacheState, Connection, Line, OutcomeKind, Record, StageStart, StartLine, TokenCounts,
};

const EVENTS: usize = 20;

const DELTA: &str = r#"{"id":"chatcmpl-0a1b2c3d4e5f6071","object":"chat.completion.chunk","created":1795296213,"model":"m","choices":[{"index":0,"delta":{"content":" token"},"logprobs":null,"finish_reason":null}]}"#;

/// One answer's events as they arrive in one read, and one by one.
fn split(c: &mut Criterion) {
    let answer = format!("data: {DELTA}\n\n").repeat(EVENTS);
    let mut group = c.benchmark_group("sse");
    group.throughput(Throughput::Elements(EVENTS as u64));
    for (name, piece) in [("one_read", answer.len()), ("a_read_per_event", answer.len() / EVENTS)] {
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut decoder = Decoder::default();
                let mut bytes = 0;
                for chunk in answer.as_bytes().chunks(piece) {
                    let pushed = decoder.push(chunk, &mut |event| bytes += event.data.len());
                    assert!(pushed.is_ok());
                }
                bytes
            });
        });
    }
}

fn decode(c: &mut Criterion) {
    let usage = r#"{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":20,"completion_tokens":16,"total_tokens":36,"prompt_tokens_details":{"cached_tokens":0}}}"#;
    let mut group = c.benchmark_group("decode");
    for (name, event) in [("token", DELTA), ("usage", usage), ("done", "[DONE]")] {
        group.bench_function(name, |b| {
            let mut deltas = Deltas::default();
            b.iter(|| {
                let decoded = OpenaiChat.decode(black_box(event.as_bytes()), &mut deltas);
                assert!(decoded.is_ok());
            });
        });
    }
}

fn stage_start() -> Line {
    Line::StageStart(StageStart {
        stage: "load".into(),
        kind: "load".into(),
        cell: None,
        rung: None,
        endpoint: "e".into(),
        api: None,
        model: None,
        planned: u64::MAX,
        expects: None,
        like: None,
        reported: true,
        load: None,
        concurrency: None,
        thresholds: Vec::new(),
        at_ns: 0,
    })
}

fn start(index: u64) -> Line {
    let at = index * 1_000_000;
    Line::Start(StartLine {
        stage: "load".into(),
        cell: None,
        rung: None,
        index,
        due_ns: at,
        sent_ns: at + 900,
    })
}

fn end(index: u64) -> Line {
    let at = 1_000_000_000 + index * 1_000_000;
    let count = |n| TokenCounts { server: Some(n), estimate: Some(n), ..TokenCounts::default() };
    Line::End(Box::new(Record {
        stage: "load".into(),
        cell: None,
        rung: None,
        index,
        request_id: format!("20261122T000000Z-abcd-load-{index}"),
        prompt_hash: Some("0123456789abcdef".into()),
        session: None,
        due_ns: Some(at),
        sent_ns: Some(at + 1_234),
        connecting_ns: None,
        connected_ns: None,
        headers_ns: Some(at + 50_000_000),
        first_event_ns: Some(at + 50_000_000),
        first_token_ns: Some(at + 50_000_000),
        first_content_ns: Some(at + 50_000_000),
        last_token_ns: Some(at + 200_000_000),
        usage_ns: Some(at + 200_000_000),
        end_ns: Some(at + 200_100_000),
        token_ns: (0..16).map(|token| at + 50_000_000 + token * 10_000_000).collect(),
        choices: Vec::new(),
        outcome: OutcomeKind::Ok,
        http_status: Some(200),
        error: None,
        input_tokens: count(20),
        output_tokens: count(16),
        reasoning_tokens: None,
        cached_tokens: None,
        cache: CacheState::Unknown,
        finish_reason: Some("length".into()),
        asked_model: None,
        other_model: None,
        response_id: None,
        timings: None,
        connection: Connection { reused: true, address: None },
        bytes_in: 4_500,
        flags: Vec::new(),
        impossible: std::collections::BTreeMap::new(),
    }))
}

fn record(c: &mut Criterion) {
    let mut group = c.benchmark_group("record");
    group.bench_function("encode_start_and_end", |b| {
        let (start, end) = (start(7), end(7));
        let mut out = Vec::new();
        b.iter(|| {
            out.clear();
            let written = record_log::encode(black_box(&start), 14, &mut out)
                .and_then(|()| record_log::encode(black_box(&end), 15, &mut out));
            assert!(written.is_ok());
            out.len()
        });
    });
    group.bench_function("aggregate_start_and_end", |b| {
        let mut aggregator = Aggregator::new();
        aggregator.line(&stage_start());
        let mut index = 0;
        b.iter(|| {
            aggregator.line(&start(index));
            aggregator.line(&end(index));
            index += 1;
        });
    });
    group.finish();
}

criterion_group!(benches, split, decode, record);
criterion_main!(benches);

//! How each metric of [`plan::metric`](crate::plan::metric) is taken from the evidence.
//!
//! In: a metric's name. Out: the function that takes its samples from a [`Record`], or its figure
//! from a [`StageSummary`]. Invariants: a failed request never gives a sample of the answer's
//! timing, and impossible times (a first token that did not come after the request) give none.
//! To add a metric: a row of `METRICS` and a line here.

use super::cache_verdict::cached_tokens;
use super::summary::StageSummary;
use crate::record::{OutcomeKind, Record};

/// Where a metric's numbers come from.
#[derive(Debug, Clone, Copy)]
pub enum Source {
    /// At most one sample of each request.
    Request(fn(&Record) -> Option<f64>),
    /// Any number of samples of each request, appended to the list.
    Pooled(fn(&Record, &mut Vec<f64>)),
    /// One figure of a whole stage, and how many requests it rests on.
    Stage(fn(&StageSummary) -> Option<(f64, u64)>),
    /// The stage's cache verdict, which is a word.
    Verdict,
}

/// The source of the metric of that name, in the unit that `METRICS` states.
pub fn source(metric: &str) -> Option<Source> {
    use Source::{Pooled, Request, Stage, Verdict};
    Some(match metric {
        "ttft" => Request(ttft),
        "ttft_due" => {
            Request(|record| ttft(record).and(since(record.due_ns, record.first_token_ns)))
        }
        "ttfo" => Request(ttfo),
        "ttfo_due" => {
            Request(|record| ttfo(record).and(since(record.due_ns, record.first_content_ns)))
        }
        "e2e" => Request(e2e),
        "e2e_due" => Request(|record| e2e(record).and(since(record.due_ns, record.answered_ns()))),
        "response_end" => Request(response_end),
        "response_end_due" => {
            Request(|record| response_end(record).and(since(record.due_ns, record.end_ns)))
        }
        "tpot" => Request(tpot),
        "itl" => Pooled(token_gaps),
        "connect" => Request(connect),
        "schedule_lag" => Request(schedule_lag),
        "tokens_per_second" => Request(tokens_per_second),
        "input_tokens" => Request(|record| tokens(answered(record)?.input_tokens.counted()?)),
        "output_tokens" => Request(|record| tokens(output_tokens(record)?)),
        "cached_tokens" => Request(|record| tokens(cached_tokens(answered(record)?)?)),
        "server_queue" => Request(|record| answered(record)?.timings?.queue_ms),
        "server_prefill" => Request(|record| answered(record)?.timings?.prompt_ms),
        "server_decode" => Request(|record| answered(record)?.timings?.predicted_ms),
        "server_total" => Request(server_total),
        "success_rate" => Stage(|stage| Some((stage.success_rate?, ended(stage)))),
        "error_rate" => Stage(error_rate),
        "requests_per_second" => {
            Stage(|stage| Some((stage.throughput.requests_per_second?, ended(stage))))
        }
        "output_tokens_per_second" => Stage(|stage| {
            let counted = stage.tokens.as_ref().map_or(0, |tokens| tokens.output.counted());
            Some((stage.throughput.output_tokens_per_second?, counted))
        }),
        "input_tokens_per_second" => Stage(|stage| {
            let counted = stage.tokens.as_ref().map_or(0, |tokens| tokens.input.counted());
            Some((stage.throughput.input_tokens_per_second?, counted))
        }),
        "goodput" => Stage(|stage| Some((stage.goodput?.per_second?, ended(stage)))),
        "goodput_share" => Stage(|stage| Some((stage.goodput?.share?, stage.counts.planned))),
        "cached_share" => Stage(cached_share),
        "cache_hit_rate" => Stage(cache_hit_rate),
        "cache" => Verdict,
        _ => return None,
    })
}

const NS_PER_MS: f64 = 1e6;

/// The record, if it holds a complete answer.
fn answered(record: &Record) -> Option<&Record> {
    (record.outcome == OutcomeKind::Ok).then_some(record)
}

/// Milliseconds from one stamp to a later one; nothing when either is missing or no time passed.
fn since(from: Option<u64>, to: Option<u64>) -> Option<f64> {
    let elapsed = to?.checked_sub(from?)?;
    (elapsed > 0).then_some(elapsed as f64 / NS_PER_MS)
}

fn ttft(record: &Record) -> Option<f64> {
    since(answered(record)?.sent_ns, record.first_token_ns)
}

fn ttfo(record: &Record) -> Option<f64> {
    since(answered(record)?.sent_ns, record.first_content_ns)
}

fn response_end(record: &Record) -> Option<f64> {
    since(answered(record)?.sent_ns, record.end_ns)
}

fn e2e(record: &Record) -> Option<f64> {
    since(answered(record)?.sent_ns, record.answered_ns())
}

/// A connection that was opened ahead began before its first request was sent.
fn connect(record: &Record) -> Option<f64> {
    let record = answered(record)?;
    since(record.connecting_ns.or(record.sent_ns), record.connected_ns)
}

fn output_tokens(record: &Record) -> Option<u64> {
    answered(record)?.output_tokens.counted()
}

fn tpot(record: &Record) -> Option<f64> {
    /// Share of the tokens after the first that may have come with the first event instead.
    const UNSEEN: f64 = 0.25;
    let (decoding, choices) = record.decoding().filter(|_| !record.came_in_one_piece())?;
    let tokens = output_tokens(record)?.checked_sub(record.hidden_reasoning())?;
    let gaps = tokens.checked_sub(choices).filter(|gaps| *gaps > 0)?;
    // Of an answer in a few events of many tokens each, as many came with the first event as with any
    // other, and what they took is not in the time from the first event to the last.
    let events = record.token_ns.len() as f64;
    let with_first = (tokens as f64 / events - 1.0).max(0.0) * choices as f64;
    let is_seen = events == 0.0 || with_first <= UNSEEN * gaps as f64;
    (decoding > 0 && is_seen).then(|| decoding as f64 / NS_PER_MS / gaps as f64)
}

/// Gaps of nothing stay: events that share a network read did arrive together, and leaving them out
/// would make the rest look slower than the answer was.
fn token_gaps(record: &Record, samples: &mut Vec<f64>) {
    if answered(record).is_some() {
        samples.extend(record.token_gaps().map(|ns| ns as f64 / NS_PER_MS));
    }
}

/// Of every request that was sent, however it ended: it tells about us, not about the server.
fn schedule_lag(record: &Record) -> Option<f64> {
    let (due, sent) = (record.due_ns?, record.sent_ns?);
    Some((sent as f64 - due as f64) / NS_PER_MS)
}

fn tokens_per_second(record: &Record) -> Option<f64> {
    Some(output_tokens(record)? as f64 / (e2e(record)? / 1000.0))
}

#[expect(clippy::unnecessary_wraps, reason = "closes every chain of the match above")]
fn tokens(count: u64) -> Option<f64> {
    Some(count as f64)
}

/// By servers that don't sum it up, the parts that they tell.
fn server_total(record: &Record) -> Option<f64> {
    let timings = answered(record)?.timings?;
    let parts = [timings.queue_ms, timings.prompt_ms, timings.predicted_ms];
    let known = timings.prompt_ms.is_some() && timings.predicted_ms.is_some();
    timings.total_ms.or_else(|| known.then(|| parts.into_iter().flatten().sum()))
}

/// Requests that were answered or failed.
fn ended(stage: &StageSummary) -> u64 {
    stage.counts.ok + stage.counts.errors
}

fn error_rate(stage: &StageSummary) -> Option<(f64, u64)> {
    let ended = ended(stage);
    (ended > 0).then(|| (stage.counts.errors as f64 / ended as f64, ended))
}

/// By the server's counters it is of everything that was answered meanwhile.
fn cached_share(stage: &StageSummary) -> Option<(f64, u64)> {
    let (cached, prompt) = (stage.cache.cached_tokens?, stage.cache.prompt_tokens?);
    let counted = stage.cache.counted_requests.unwrap_or(stage.counts.ok);
    (prompt > 0).then(|| (cached as f64 / prompt as f64, counted))
}

fn cache_hit_rate(stage: &StageSummary) -> Option<(f64, u64)> {
    let (hits, judged) = (stage.cache.hit_requests?, stage.cache.judged_requests?);
    (judged > 0).then(|| (hits as f64 / judged as f64, judged))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tally::fixture::{ms, record};
    use crate::plan::metric::METRICS;
    use crate::record::TokenCounts;

    fn samples(metric: &str, record: &Record) -> Vec<f64> {
        match source(metric) {
            Some(Source::Request(take)) => take(record).into_iter().collect(),
            Some(Source::Pooled(take)) => {
                let mut samples = Vec::new();
                take(record, &mut samples);
                samples
            }
            other => panic!("{metric} has {other:?}"),
        }
    }

    #[test]
    fn every_metric_has_a_source_of_its_shape() {
        for metric in METRICS {
            let source = source(metric.name).unwrap_or_else(|| panic!("{} has none", metric.name));
            let distribution = matches!(source, Source::Request(_) | Source::Pooled(_));
            assert_eq!(distribution, metric.distribution, "{}", metric.name);
            assert_eq!(matches!(source, Source::Verdict), metric.unit == "verdict");
        }
        assert!(source("latency").is_none());
    }

    /// due 100, sent 110, connected 111, first token 310 (reasoning), first content 350, tokens at
    /// 310, 350, 350, 410, last token 410, end 430; 7 output tokens.
    #[test]
    fn every_extractor_follows_its_definition() {
        let record = record();
        for (metric, expected) in [
            ("ttft", vec![200.0]),
            ("ttft_due", vec![210.0]),
            ("ttfo", vec![240.0]),
            ("ttfo_due", vec![250.0]),
            ("e2e", vec![300.0]),
            ("e2e_due", vec![310.0]),
            ("response_end", vec![320.0]),
            ("response_end_due", vec![330.0]),
            ("tpot", vec![100.0 / 6.0]),
            ("itl", vec![40.0, 0.0, 60.0]),
            ("connect", vec![1.0]),
            ("schedule_lag", vec![10.0]),
            ("tokens_per_second", vec![7.0 / 0.3]),
            ("input_tokens", vec![2100.0]),
            ("output_tokens", vec![7.0]),
            ("cached_tokens", vec![24.0]),
        ] {
            let samples = samples(metric, &record);
            assert_eq!(samples.len(), expected.len(), "{metric}");
            for (sample, expected) in samples.iter().zip(&expected) {
                assert!((sample - expected).abs() < 1e-9, "{metric}: {sample} is not {expected}");
            }
        }
    }

    #[test]
    fn failed_requests_never_give_samples_but_of_our_own_lag() {
        let failed = Record { outcome: OutcomeKind::Stream, ..record() };
        for metric in METRICS.iter().filter(|metric| metric.distribution) {
            let expected = usize::from(metric.name == "schedule_lag");
            assert_eq!(samples(metric.name, &failed).len(), expected, "{}", metric.name);
        }
    }

    #[test]
    fn a_first_token_at_the_moment_of_sending_is_no_sample() {
        let impossible = Record { first_token_ns: record().sent_ns, ..record() };
        assert!(samples("ttft", &impossible).is_empty());
        assert!(samples("ttft_due", &impossible).is_empty());
        let backwards = Record { first_token_ns: Some(ms(5)), ..record() };
        assert!(samples("ttft", &backwards).is_empty());
    }

    #[test]
    fn one_token_has_no_time_per_output_token() {
        let count = |server| TokenCounts { server: Some(server), ..TokenCounts::default() };
        for few in [0, 1] {
            let record = Record { output_tokens: count(few), ..record() };
            assert!(samples("tpot", &record).is_empty());
        }
        let unknown = Record { output_tokens: TokenCounts::default(), ..record() };
        assert!(samples("tpot", &unknown).is_empty());
        // Many tokens in one chunk: no time passed that could be divided.
        let one_chunk = Record { last_token_ns: record().first_token_ns, ..record() };
        assert!(samples("tpot", &one_chunk).is_empty());
    }

    /// Two choices whose tokens come in turns, one every 40 ms each: 3 and 2 of them.
    #[test]
    fn several_choices_are_timed_each_by_itself() {
        let record = Record {
            token_ns: [310, 320, 350, 360, 390].map(ms).to_vec(),
            choices: vec![0, 1, 0, 1, 0],
            last_token_ns: Some(ms(390)),
            output_tokens: TokenCounts { server: Some(5), ..TokenCounts::default() },
            ..record()
        };
        assert_eq!(samples("itl", &record), [40.0, 40.0, 40.0]);
        assert_eq!(samples("tpot", &record), [40.0]);
        let silent = Record { choices: vec![0; 5], ..record.clone() };
        assert_eq!(samples("tpot", &silent), [20.0]);
        let few = TokenCounts { server: Some(2), ..TokenCounts::default() };
        assert!(samples("tpot", &Record { output_tokens: few, ..record }).is_empty());
    }

    #[test]
    fn an_answer_in_one_piece_has_no_pace() {
        let whole = |token_ns: Vec<u64>| Record {
            first_token_ns: token_ns.first().copied(),
            last_token_ns: token_ns.last().copied(),
            token_ns,
            ..record()
        };
        let buffered = whole((0..40).map(|at| ms(310) + at * 2_000).collect());
        assert!(buffered.came_in_one_piece() && samples("tpot", &buffered).is_empty());
        assert!(whole(vec![ms(310); 2]).came_in_one_piece());
        // One event is a short answer, unless the server says that it held many tokens.
        let one = whole(vec![ms(310)]);
        assert!(!one.came_in_one_piece());
        let long = TokenCounts { server: Some(200), ..TokenCounts::default() };
        assert!(Record { output_tokens: long, ..one }.came_in_one_piece());
        // Two tokens behind a long prefill are a stream all the same.
        let two = TokenCounts { server: Some(2), ..TokenCounts::default() };
        let short = whole(vec![ms(3000), ms(3020)]);
        let short = Record { sent_ns: Some(ms(1)), output_tokens: two, ..short };
        assert!(!short.came_in_one_piece() && samples("tpot", &short).len() == 1);
    }

    #[test]
    fn tokens_that_were_not_seen_to_come_have_no_pace() {
        let stamps: Vec<u64> = (0..6).map(|at| ms(310 + 10 * at)).collect();
        let answer = |tokens, reasoning, stamps: &[u64]| Record {
            first_token_ns: stamps.first().copied(),
            first_content_ns: stamps.first().copied(),
            last_token_ns: stamps.last().copied(),
            output_tokens: TokenCounts { server: Some(tokens), ..TokenCounts::default() },
            reasoning_tokens: reasoning,
            token_ns: stamps.to_vec(),
            ..record()
        };
        // 200 of 206 tokens are reasoning that the server keeps to itself.
        assert_eq!(samples("tpot", &answer(206, Some(200), &stamps)), [10.0]);
        // Reasoning that was streamed came before the first content, one event each.
        let streamed = answer(6, Some(2), &stamps);
        let streamed = Record { first_content_ns: Some(stamps[2]), ..streamed };
        assert_eq!(samples("tpot", &streamed), [10.0]);
        // A hundred of 200 tokens came with the first of two events.
        assert!(samples("tpot", &answer(200, None, &stamps[..2])).is_empty());
        // Ten events of ten tokens: a tenth of them came with the first.
        let ten: Vec<u64> = (0..10).map(|at| ms(310 + 100 * at)).collect();
        assert_eq!(samples("tpot", &answer(100, None, &ten)), [900.0 / 99.0]);
    }

    #[test]
    fn absent_cached_tokens_are_not_zero() {
        let silent = Record { cached_tokens: None, ..record() };
        assert!(samples("cached_tokens", &silent).is_empty());
    }
}

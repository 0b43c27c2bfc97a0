//! Facts about judging thresholds.

use super::*;
use crate::metrics::tally::StageTally;
use crate::metrics::tally::fixture::{ms, record, stage_end, stage_start};
use crate::plan::{Level, Location};
use crate::record::{OutcomeKind, Record, StageStart, StageState};

/// A stage whose requests took these TTFTs in milliseconds, each with this cache state.
fn measured(id: &str, ttfts: &[u64], cache: CacheState) -> Measured {
    let start = StageStart { stage: id.into(), ..stage_start(ttfts.len() as u64) };
    let mut tally = StageTally::new(start);
    for (index, ttft) in ttfts.iter().enumerate() {
        let first_token_ns = Some(ms(110 + ttft));
        let index = index as u64;
        let record = Record { stage: id.into(), index, first_token_ns, cache, ..record() };
        tally.ended(&record);
    }
    tally.close(Some(&stage_end(StageState::Completed))).0
}

fn failed(id: &str) -> Measured {
    let mut tally = StageTally::new(StageStart { stage: id.into(), ..stage_start(1) });
    tally.ended(&Record { outcome: OutcomeKind::Http, ..record() });
    tally.close(Some(&stage_end(StageState::Completed))).0
}

fn metric(stage: Option<&str>, metric: &str, aggregate: Option<Aggregate>) -> MetricRef {
    MetricRef { stage: stage.map(Into::into), metric: metric.into(), aggregate }
}

fn p50(stage: Option<&str>) -> MetricRef {
    metric(stage, "ttft", Some(Aggregate::Percentile(50.0)))
}

fn threshold(left: MetricRef, op: Op, right: Limit) -> Threshold {
    Threshold {
        check: "as written".into(),
        left,
        op,
        right,
        level: Level::Fail,
        min_samples: 1,
        rungs: None,
        over_ms: None,
        from: None,
        allow_no_data: false,
        implicit: false,
        location: Location { file: "plan.yaml".into(), line: 3, column: 9, start: 0, end: 1 },
    }
}

fn cache(word: CacheWord, implicit: bool) -> Threshold {
    let left = metric(None, "cache", None);
    Threshold { implicit, ..threshold(left, Op::Eq, Limit::Cache(word)) }
}

#[test]
fn a_sentence_says_actual_limit_and_samples() {
    let own = measured("warm", &[400, 412, 500], CacheState::Warm);
    let result = judge(&threshold(p50(None), Op::Le, Limit::Value(800.0)), &own, &[]);
    assert!(result.pass);
    assert_eq!(result.reason, "412 ms <= 800 ms; 3 samples");
    assert_eq!((result.samples, result.unit.as_str()), (3, "ms"));
    assert_eq!(result.location, "plan.yaml:3:9");

    let result = judge(&threshold(p50(None), Op::Lt, Limit::Value(100.0)), &own, &[]);
    assert!(!result.pass);
    assert_eq!(result.reason, "412 ms >= 100 ms; 3 samples");
    assert_eq!(result.actual, Some(412.0.into()));
    assert_eq!(result.limit, Some(100.0.into()));
}

#[test]
fn a_limit_taken_from_another_stage_is_spelt_out() {
    let cold = measured("cold", &[1600], CacheState::Cold);
    let own = measured("warm", &[412], CacheState::Warm);
    let right = Limit::Times { factor: 0.5, of: p50(Some("cold")) };
    let result = judge(&threshold(p50(None), Op::Le, right), &own, &[&cold]);
    assert!(result.pass);
    assert_eq!(result.reason, "412 ms <= 800 ms = 0.5 × cold.ttft.p50 (1.6 s); 1 sample");
}

#[test]
fn no_data_fails_with_the_reason() {
    let own = measured("warm", &[412], CacheState::Warm);
    let limit = Limit::Value(800.0);
    for (left, earlier, reason) in [
        (p50(Some("cold")), vec![], "no data: stage cold has not been measured"),
        (p50(Some("cold")), vec![failed("cold")], "no data: no request of stage cold succeeded"),
        (metric(None, "e2e", None), vec![], "no data: e2e needs an aggregate"),
    ] {
        let earlier: Vec<&Measured> = earlier.iter().collect();
        let result = judge(&threshold(left, Op::Le, limit.clone()), &own, &earlier);
        assert!(!result.pass);
        assert_eq!(result.reason, reason);
        assert_eq!(result.actual, None);
    }
    let right = Limit::Times { factor: 2.0, of: p50(Some("cold")) };
    let result = judge(&threshold(p50(None), Op::Le, right), &own, &[&failed("cold")]);
    assert!(!result.pass);
    assert_eq!(result.reason, "no data: no request of stage cold succeeded");
    assert_eq!((result.actual, result.limit), (Some(412.0.into()), None));
}

#[test]
fn too_few_samples_fail() {
    let own = measured("warm", &[412], CacheState::Warm);
    let check = threshold(p50(None), Op::Le, Limit::Value(800.0));
    let result = judge(&Threshold { min_samples: 20, ..check }, &own, &[]);
    assert!(!result.pass);
    assert_eq!(result.reason, "too little data: 1 sample, at least 20 needed (412 ms so far)");
}

#[test]
fn a_cold_stage_that_hit_the_cache_fails() {
    for (state, implicit, pass, reason) in [
        (
            CacheState::Cold,
            true,
            true,
            "cold: 1.14 % of the prompt tokens came from the cache; 1 request",
        ),
        (
            CacheState::Warm,
            true,
            false,
            "warm: 1.14 % of the prompt tokens came from the cache; 1 request",
        ),
        (
            CacheState::Mixed,
            true,
            false,
            "mixed: 1.14 % of the prompt tokens came from the cache; 1 request",
        ),
        (
            CacheState::Unknown,
            true,
            true,
            "not checked: the prompts are too short to tell a cached prompt from a chat template's own prefix",
        ),
        (
            CacheState::Unknown,
            false,
            false,
            "no data: the prompts are too short to tell a cached prompt from a chat template's own prefix",
        ),
    ] {
        let own = measured("cold", &[412], state);
        let result = judge(&cache(CacheWord::Cold, implicit), &own, &[]);
        assert_eq!((result.pass, result.reason.as_str()), (pass, reason));
        assert_eq!(result.actual, Some(state.to_string().into()));
    }
    let result = judge(&cache(CacheWord::Cold, true), &failed("cold"), &[]);
    assert!(!result.pass);
    assert_eq!(result.reason, "no data: no request succeeded");
}

#[test]
fn rates_are_judged_over_finished_requests() {
    let left = metric(None, "error_rate", None);
    let result = judge(&threshold(left, Op::Le, Limit::Value(0.01)), &failed("cold"), &[]);
    assert!(!result.pass);
    assert_eq!(result.reason, "100 % > 1 %; 1 sample");
}

#[test]
fn any_percentile_can_be_asked_for() {
    let own = measured("warm", &[100, 200], CacheState::Warm);
    let left = metric(None, "ttft", Some(Aggregate::Percentile(99.9)));
    let result = judge(&threshold(left, Op::Lt, Limit::Value(200.0)), &own, &[]);
    assert_eq!(result.reason, "199.9 ms < 200 ms; 2 samples");
}

/// One of four gaps without a length: more than a tenth, so the others say nothing of the pace.
#[test]
fn gaps_that_share_reads_are_no_data() {
    let itl = || {
        threshold(metric(None, "itl", Some(Aggregate::Percentile(50.0))), Op::Lt, Limit::Value(1e3))
    };
    let closed = |tokens: &[u64]| {
        let mut tally = StageTally::new(stage_start(1));
        let token_ns = tokens.iter().copied().map(ms).collect();
        tally.ended(&Record { token_ns, ..record() });
        tally.close(Some(&stage_end(StageState::Completed))).0
    };
    let shared = closed(&[310, 330, 350, 350, 370]);
    let result = judge(&itl(), &shared, &[]);
    assert!(!result.pass && result.actual.is_none(), "{result:?}");
    assert!(result.reason.starts_with("no data: 25 % of the gaps between tokens"), "{result:?}");
    assert!(!shared.summary.metrics.contains_key("itl"));
    assert!(shared.summary.metrics.contains_key("tpot"));
    let mut few: Vec<u64> = (310..330).collect();
    few.push(329);
    let told = closed(&few);
    assert_eq!((told.summary.client.shared_reads, told.summary.client.token_gaps), (1, 20));
    assert!(judge(&itl(), &told, &[]).pass);
}

#[test]
fn a_pooled_figure_has_as_many_samples_as_it_rests_on() {
    let mut tally = StageTally::new(stage_start(6));
    for index in 0..6 {
        // Four answers say what they cached, and one of the others failed.
        let cached_tokens = (index < 4).then_some(24);
        let cache = if index < 3 { CacheState::Cold } else { CacheState::Unknown };
        let outcome = if index == 5 { OutcomeKind::Http } else { OutcomeKind::Ok };
        tally.ended(&Record { index, outcome, cached_tokens, cache, ..record() });
    }
    let own = tally.close(Some(&stage_end(StageState::Completed))).0;
    for (name, samples) in [
        ("cached_share", 4),
        ("cache_hit_rate", 3),
        ("success_rate", 6),
        ("error_rate", 6),
        ("output_tokens_per_second", 5),
        ("input_tokens_per_second", 5),
    ] {
        let mut check = threshold(metric(None, name, None), Op::Ge, Limit::Value(0.0));
        let judged = judge(&check, &own, &[]);
        assert_eq!((judged.samples, judged.pass), (samples, true), "{name}: {}", judged.reason);
        check.min_samples = samples + 1;
        assert!(judge(&check, &own, &[]).reason.starts_with("too little data"), "{name}");
    }
}

#[test]
fn a_verdict_by_the_servers_counters_says_so_and_impossible_counts_are_no_silence() {
    let mut own = measured("cold", &[100, 100], CacheState::Cold);
    let cache = |own: &Measured| {
        let check = threshold(metric(None, "cache", None), Op::Eq, Limit::Cache(CacheWord::Cold));
        judge(&check, own, &[]).reason
    };
    assert!(!cache(&own).contains("counters"));
    own.summary.cache.by_counters = true;
    assert!(cache(&own).contains("by the server's counters"), "{}", cache(&own));
    own.summary.cache.verdict = CacheState::Unknown;
    own.summary.cache.cached_tokens = None;
    assert!(cache(&own).contains("does not report"), "{}", cache(&own));
    own.summary.tokens.as_mut().expect("tokens").input.impossible = 2;
    assert!(cache(&own).contains("can't be") && !cache(&own).contains("does not report"));
}

//! Checks as people write them, right and wrong.

use proptest::prelude::*;

use super::*;

const STAGES: [&str; 3] = ["cold", "warm", "cache"];

fn parsed(text: &str) -> Check {
    parse(text, &STAGES).unwrap_or_else(|problem| panic!("{text}: {problem:?}"))
}

fn problem(text: &str) -> Problem {
    parse(text, &STAGES).expect_err(text)
}

#[test]
fn times_are_compared_in_milliseconds() {
    let check = parsed("ttft.p99 < 0.8s");
    assert_eq!(check.left.metric, "ttft");
    assert_eq!(check.left.aggregate, Some(Aggregate::Percentile(99.0)));
    assert_eq!((check.op, check.right), (Op::Lt, Limit::Value(800.0)));
}

#[test]
fn percentiles_may_have_a_point() {
    let aggregate = |text| parsed(text).left.aggregate;
    assert_eq!(aggregate("itl.p99.9<=20ms"), Some(Aggregate::Percentile(99.9)));
    assert_eq!(aggregate("warm.itl.p99.99 <= 20ms"), Some(Aggregate::Percentile(99.99)));
}

#[test]
fn shares_are_percent_or_fractions() {
    assert_eq!(parsed("error_rate <= 1%").right, Limit::Value(0.01));
    assert_eq!(parsed("success_rate >= 0.99").right, Limit::Value(0.99));
    assert_eq!(problem("error_rate <= 5").code, Code::Unit);
}

#[test]
fn other_stages_stand_on_either_side() {
    let check = parsed("ttft.p50 <= 0.5 * cold.ttft.p50");
    let Limit::Times { factor, of } = check.right else { panic!("{check:?}") };
    assert_eq!((factor, of.stage.as_deref()), (0.5, Some("cold")));
    assert_eq!(parsed("warm.error_rate == 0").left.stage.as_deref(), Some("warm"));
    assert!(matches!(parsed("ttft.p50 < cold.ttft.p50").right, Limit::Times { factor: 1.0, .. }));
}

#[test]
fn a_stage_may_be_called_like_a_metric() {
    assert_eq!(parsed("cache == warm").left.stage, None);
    assert_eq!(parsed("cache.ttft.p50 < 1s").left.stage.as_deref(), Some("cache"));
    assert_eq!(parsed("cache.cache == cold").right, Limit::Cache(CacheWord::Cold));
}

#[test]
fn problems_point_at_their_word() {
    let at = |text: &str| {
        let (from, len) = problem(text).at;
        text[from..from + len].to_owned()
    };
    assert_eq!(at("ttft.p999 < 1s"), "p999");
    assert_eq!(at("  tttf.p50 < 1s"), "tttf");
    assert_eq!(at("ttft.p50 <= 0.5 * clod.ttft.p50"), "clod");
    assert_eq!(at("ttft.p50 =< 1s"), "=<");
    assert_eq!(at("ttft < 1s"), "ttft");
    assert_eq!(at("error_rate.p50 < 1%"), "p50");
    assert_eq!(at("ttft.p50 < 800"), "800");
    assert_eq!(at("ttft.p50 < 2 * error_rate"), "error_rate");
    assert_eq!(at("cache == hot"), "hot");
    assert_eq!(at("cache < cold"), "<");
}

#[test]
fn codes_tell_problems_apart() {
    assert_eq!(problem("ttft.p50").code, Code::Threshold);
    assert_eq!(problem("< 3").code, Code::Threshold);
    assert_eq!(problem("ttft.p50 <").code, Code::Threshold);
    assert_eq!(problem("ttft.p50 <= cold.ttft.p50 * 2").code, Code::Threshold);
    assert_eq!(problem("cold < 1s").code, Code::Metric);
    assert_eq!(problem("ttft.avg < 1s").label, "did you mean `mean`?");
    assert_eq!(problem("other.ttft.p50 < 1s").code, Code::ThresholdStage);
}

proptest! {
    #[test]
    fn no_text_panics(text in "[a-z.<>=!*0-9% é]{0,40}") {
        let _ = parse(&text, &STAGES);
    }

    #[test]
    fn places_lie_within_the_text(text in "[tfp.<>=*0-9s ]{1,24}") {
        if let Err(problem) = parse(&text, &STAGES) {
            let (from, len) = problem.at;
            prop_assert!(from + len <= text.len() || text.len() <= 1, "{text:?} {problem:?}");
        }
    }
}

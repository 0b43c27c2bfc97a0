//! Runs with known differences, made up.

use super::evidence::{Collector, Evidence};
use super::*;
use crate::metrics::summary::{RunEnd, RunState};
use crate::metrics::tally::fixture::{ms, record, stage_end, stage_start};
use crate::record::{Line, OutcomeKind, RECORD_VERSION, Record, RunLine, StageState};

/// A stage of `count` requests whose latencies are log-normal-like, `slower` times as long.
struct Shape {
    count: u64,
    slower: f64,
    seed: u64,
    failed: u64,
}

const USUAL: Shape = Shape { count: 150, slower: 1.0, seed: 1, failed: 0 };

/// splitmix64.
fn chance(dice: &mut u64) -> f64 {
    *dice = dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *dice;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and positive")]
fn ns(ms: f64) -> u64 {
    (ms * 1e6) as u64
}

fn run(shape: &Shape) -> Evidence {
    let mut collector = Collector::new(&["ttft", "e2e", "tpot", "itl"]);
    collector.line(&Line::Run(RunLine {
        record_version: RECORD_VERSION,
        run_id: format!("run-{}", shape.seed),
        plan: "demo".into(),
        plan_hash: "c0ffee".into(),
        started_at: String::new(),
        seed: 7,
        simulated: true,
        insecure: false,
        runner_version: "0.1.0".into(),
    }));
    collector.line(&Line::StageStart(stage_start(shape.count)));
    let (mut dice, mut paces) = (shape.seed, !shape.seed);
    for index in 0..shape.count {
        // Slowly enough that answers do not overlap: what is in flight says nothing then.
        let sent = ms(100 + 1_000 * index);
        let spread = (0..12).map(|_| chance(&mut dice)).sum::<f64>() - 6.0;
        let ttft = 200.0 * (0.1 * spread).exp() * shape.slower;
        let first = sent + ns(ttft);
        // Gaps of one answer resemble each other: each request has a pace of its own.
        let pace = 10.0 * (0.1 * (chance(&mut paces) - 0.5)).exp() * shape.slower;
        let mut at = first;
        let gaps = (0..20).map(|_| {
            at += ns(pace * (0.9 + 0.2 * chance(&mut paces)));
            at
        });
        let token_ns: Vec<u64> = std::iter::once(first).chain(gaps).collect();
        let outcome = if index < shape.failed { OutcomeKind::Http } else { OutcomeKind::Ok };
        collector.line(&Line::End(Box::new(Record {
            index,
            outcome,
            due_ns: Some(sent),
            sent_ns: Some(sent),
            connecting_ns: None,
            connected_ns: None,
            first_token_ns: Some(first),
            first_content_ns: Some(first),
            last_token_ns: Some(first + ns(60.0)),
            end_ns: Some(first + ns(61.0)),
            token_ns,
            ..record()
        })));
    }
    collector.line(&Line::StageEnd(stage_end(StageState::Completed)));
    collector.finish(format!("run-{}", shape.seed), None, &RunEnd::new(RunState::Finished))
}

fn difference<'a>(found: &'a Comparison, metric: &str) -> &'a Difference {
    let all = || found.stages.iter().flat_map(|stage| &stage.differences);
    all().find(|it| it.metric == metric).unwrap_or_else(|| panic!("no {metric}"))
}

#[test]
fn a_tenth_slower_is_worse_and_its_interval_holds_a_tenth() {
    let slow = run(&Shape { slower: 1.1, seed: 2, ..USUAL });
    let found = compare(&run(&USUAL), &slow, &Options::default());
    let ttft = difference(&found, "ttft");
    assert_eq!((found.verdict, ttft.verdict), (Verdict::Worse, Some(Verdict::Worse)), "{ttft:?}");
    let ratio = ttft.ratio.expect("samples");
    assert!(ratio.low < 1.1 && 1.1 < ratio.high && ratio.low > 1.0, "{ratio:?}");
    // The decode took as long as before.
    assert_eq!(difference(&found, "tpot").verdict, Some(Verdict::Same));
    let back = compare(&slow, &run(&USUAL), &Options::default());
    assert_eq!(back.verdict, Verdict::Better);
}

#[test]
fn gaps_between_tokens_are_judged_by_the_requests_that_they_come_from() {
    let options = Options { metrics: vec!["itl"], ..Options::default() };
    let of = |slower, seed| run(&Shape { slower, seed, ..USUAL });
    let found = compare(&of(1.0, 1), &of(1.1, 2), &options);
    let itl = difference(&found, "itl");
    assert_eq!(itl.verdict, Some(Verdict::Worse), "{itl:?}");
    assert_eq!((itl.base_samples, itl.new_samples), (150, 150), "{itl:?}");
    let ratio = itl.ratio.expect("samples");
    assert!(ratio.low < 1.1 && 1.1 < ratio.high, "{ratio:?}");

    let same = (0..20).map(|seed| compare(&of(1.0, 100 + seed), &of(1.0, 200 + seed), &options));
    let other =
        same.filter(|found| difference(found, "itl").verdict != Some(Verdict::Same)).count();
    assert!(other <= 1, "{other} of 20");
    // Six answers have 120 gaps, and still only six witnesses.
    let few = |slower, seed| run(&Shape { count: 6, slower, seed, ..USUAL });
    let found = compare(&few(1.0, 1), &few(1.5, 2), &options);
    let itl = difference(&found, "itl");
    assert_eq!(itl.verdict, Some(Verdict::NotEnoughData), "{itl:?}");
    assert!(itl.reason.contains("resemble each other"), "{itl:?}");
}

#[test]
fn runs_of_the_same_are_the_same_for_nearly_every_seed() {
    // So many that chance alone seldom reaches from one median to 5 % beyond it.
    let of = |seed| run(&Shape { count: 400, seed, ..USUAL });
    let found = (0..40).map(|seed| {
        let (left, right) = (of(1_000 + seed), of(2_000 + seed));
        compare(&left, &right, &Options::default())
    });
    let other: Vec<_> = found.filter(|found| found.verdict != Verdict::Same).collect();
    assert!(other.len() <= 2, "{} of 40: {other:#?}", other.len());
}

#[test]
fn a_large_change_in_few_samples_is_no_verdict() {
    let few = |slower, seed| run(&Shape { count: 5, slower, seed, ..USUAL });
    let found = compare(&few(1.0, 1), &few(2.0, 2), &Options::default());
    assert_eq!(found.verdict, Verdict::NotEnoughData);
    assert!(difference(&found, "ttft").reason.contains("6 are the least"), "{found:?}");
    let noisy = |seed| run(&Shape { count: 12, seed, ..USUAL });
    let found = compare(&noisy(1), &noisy(2), &Options::default());
    let ttft = difference(&found, "ttft");
    assert_eq!(ttft.verdict, Some(Verdict::NotEnoughData));
    assert!(ttft.reason.contains("requests a side"), "{}", ttft.reason);
}

#[test]
fn a_small_but_certain_change_is_the_same() {
    let many = |slower, seed| run(&Shape { count: 20_000, slower, seed, ..USUAL });
    let found = compare(&many(1.0, 1), &many(1.02, 2), &Options::default());
    let ttft = difference(&found, "ttft");
    assert_eq!(ttft.verdict, Some(Verdict::Same), "{ttft:?}");
    assert!(ttft.reason.contains("less than"), "{}", ttft.reason);
    let strict = Options { min_effect: 0.01, ..Options::default() };
    assert_eq!(compare(&many(1.0, 1), &many(1.02, 2), &strict).verdict, Verdict::Worse);
}

#[test]
fn more_errors_are_worse_though_times_are_the_same() {
    let found =
        compare(&run(&USUAL), &run(&Shape { failed: 15, seed: 2, ..USUAL }), &Options::default());
    let errors = difference(&found, "error_rate");
    assert_eq!((errors.verdict, found.verdict), (Some(Verdict::Worse), Verdict::Worse));
    assert!(errors.difference.is_some_and(|it| it.low > 0.0 && it.high > 0.1), "{errors:?}");
}

#[test]
fn tails_are_compared_where_samples_are_enough() {
    let percentiles = |count| {
        let shape = |seed| run(&Shape { count, seed, ..USUAL });
        let found = compare(&shape(3), &shape(4), &Options::default());
        let all = found.stages[0].differences.iter().filter(|it| it.metric == "ttft");
        all.filter_map(|it| it.percentile).collect::<Vec<f64>>()
    };
    assert_eq!(percentiles(150), [50.0]);
    assert_eq!(percentiles(250), [50.0, 95.0]);
    assert_eq!(percentiles(1_200), [50.0, 95.0, 99.0]);
}

#[test]
fn stages_of_one_run_only_are_listed_and_differences_flagged() {
    let base = run(&USUAL);
    let mut new = run(&Shape { seed: 2, ..USUAL });
    new.summary.stages[0].id = "other".into();
    new.summary.run.plan = "another".into();
    new.summary.run.state = RunState::Interrupted;
    let found = compare(&base, &new, &Options::default());
    assert_eq!(
        (found.only_base, found.only_new),
        (vec!["cold".to_owned()], vec!["other".to_owned()])
    );
    assert_eq!((found.verdict, found.doubtful), (Verdict::NotEnoughData, true));
    let flags = found.flags.join("\n");
    assert!(flags.contains("different plans: demo, then another"), "{flags}");
    assert!(flags.contains("was interrupted"), "{flags}");
}

#[test]
fn a_summary_without_records_shows_figures_and_judges_none() {
    let base = run(&USUAL);
    let silent = Evidence::of_summary("bare".into(), run(&Shape { seed: 2, ..USUAL }).summary);
    let found = compare(&base, &silent, &Options::default());
    let ttft = difference(&found, "ttft");
    assert!(ttft.base.is_some() && ttft.new.is_some() && ttft.ratio.is_none());
    assert_eq!(ttft.verdict, Some(Verdict::NotEnoughData));
    assert!(
        found.flags.iter().any(|flag| flag.contains("no records at hand")),
        "{:?}",
        found.flags
    );
}

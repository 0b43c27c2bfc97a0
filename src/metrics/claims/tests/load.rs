//! What a ladder's sentences say of why a level did not hold, and what they then advise.

use super::*;

/// What is said of a ladder at 4/s and 8/s of which this was found, by kind.
fn said(change: impl Fn(&mut Summary, &mut Saturation)) -> BTreeMap<ClaimKind, Claim> {
    let summary = found(|summary| {
        let mut ladders = std::mem::take(&mut summary.saturation);
        for ladder in ladders.values_mut() {
            change(summary, ladder);
        }
        summary.saturation = ladders;
    });
    for claim in &summary.claims {
        assert_eq!(loose(claim), Vec::<String>::new(), "{claim:#?}");
    }
    summary.claims.into_iter().map(|claim| (claim.kind, claim)).collect()
}

/// The lowest level that was judged did not hold.
fn lowest_fails(ladder: &mut Saturation, at: f64) {
    (ladder.sustainable, ladder.saturated_at, ladder.recommended) = (None, Some(at), None);
}

#[test]
fn a_level_below_that_could_not_be_judged_is_not_said_to_fail() {
    let of = |unclear: &[f64]| {
        said(|_, ladder| {
            lowest_fails(ladder, 8.0);
            ladder.unclear = unclear.to_vec();
        })
    };
    let text = &of(&[])[&ClaimKind::LowestFails].text;
    assert!(text.contains("not even the lowest level tried holds, 8 "), "{text}");
    let text = &of(&[4.0])[&ClaimKind::LowestFails].text;
    assert!(text.contains("no level that could be judged holds, the lowest of them 8 "), "{text}");
    let all = of(&[4.0, 6.0]);
    let unclear = &all[&ClaimKind::LevelUnclear];
    assert!(unclear.text.contains("can't be told at 2 levels from 4 to 6 "), "{}", unclear.text);
    assert_eq!(unclear.figures["levels"], ClaimFigure::count(2, "levels"));
    let text = &of(&[4.0])[&ClaimKind::LevelUnclear].text;
    assert!(text.contains(" at 4 ") && text.contains("can't be told"), "{text}");
}

#[test]
fn what_fails_at_every_level_is_not_put_down_to_the_load() {
    let of = |lowest_rate: f64| {
        let all = said(|summary, ladder| {
            lowest_fails(ladder, 4.0);
            summary.stages[0].success_rate = Some(lowest_rate);
        });
        all[&ClaimKind::LowestFails].text.clone()
    };
    let (everywhere, above) = (of(0.5), of(1.0));
    assert!(everywhere.ends_with("that the load is the cause is not shown."), "{everywhere}");
    assert!(!everywhere.contains("Try lower levels"), "{everywhere}");
    assert!(above.ends_with(" Try lower levels."), "{above}");
}

#[test]
fn nobody_is_told_to_go_below_one_at_a_time() {
    for (at, advice) in [(1.0, false), (2.0, true)] {
        let all = said(|summary, ladder| {
            (summary.stages[0].rung, summary.stages[0].success_rate) = (Some(at), Some(1.0));
            ladder.axis = Axis::Concurrency;
            lowest_fails(ladder, at);
        });
        let text = &all[&ClaimKind::LowestFails].text;
        assert_eq!(text.contains("Try lower levels"), advice, "{text}");
    }
}

#[test]
fn a_limit_of_the_plan_is_not_called_one_of_the_endpoint() {
    let of = |most: Option<u64>| {
        said(|summary, _| {
            let stage = &mut summary.stages[1];
            stage.load.iter_mut().for_each(|load| load.capped_at = most);
            (stage.counts.dropped_late, stage.counts.errors) = (stage.counts.errors, 0);
        })
    };
    let capped = of(Some(12));
    let sustained = &capped[&ClaimKind::Sustained];
    for part in
        ["with at most 12 requests under way (`max_in_flight`) it sustains 4 ", ", and not 8 "]
    {
        assert!(sustained.text.contains(part), "{}", sustained.text);
    }
    assert!(sustained.text.contains("requests are dropped at that limit"), "{}", sustained.text);
    assert!(!sustained.text.contains("saturated"), "{}", sustained.text);
    assert_eq!(sustained.figures["max_in_flight"], ClaimFigure::count(12, "requests"));
    assert!(!capped.contains_key(&ClaimKind::Production), "{capped:#?}");
    let rise = &capped[&ClaimKind::ErrorsRise].text;
    assert!(rise.contains("requests are dropped at `max_in_flight`, unsent, at 8 "), "{rise}");
    let free = of(None);
    assert!(free[&ClaimKind::Sustained].text.contains("; saturated at 8 "), "{free:#?}");
    assert!(free.contains_key(&ClaimKind::Production), "{free:#?}");
}

#[test]
fn requests_that_were_sent_and_failed_are_not_said_to_be_dropped() {
    let all = said(|_, _| {});
    let rise = &all[&ClaimKind::ErrorsRise].text;
    assert!(rise.contains("requests fail, or are cut off unanswered, at 8 "), "{rise}");
    assert!(all[&ClaimKind::Sustained].text.contains("(requests fail"), "{all:#?}");
}

#[test]
fn advice_says_the_share_that_it_is() {
    let of = |level: f64| {
        let all = said(|_, ladder| {
            ladder.axis = Axis::Concurrency;
            ladder.saturated_at = Some(level);
            ladder.signs = vec![Sign::Flat];
            ladder.recommended = Some((0.7 * level, 0.8 * level));
        });
        all.get(&ClaimKind::Production).map(|claim| claim.text.clone())
    };
    assert_eq!(of(1.0), None, "of one at a time there is no less");
    for (level, words) in [
        (2.0, "to 1 concurrent request, 50 % of the saturation point"),
        (6.0, "to 4 concurrent requests, 66.7 % of the saturation point"),
        (10.0, "to 7 to 8 concurrent requests, 70 to 80 % of the saturation point"),
    ] {
        let text = of(level).expect("an advice");
        assert!(text.contains(words), "{level}: {text}");
    }
}

#[test]
fn a_ladder_that_stop_when_ended_says_so() {
    let all = said(|summary, ladder| {
        summary.stages[1].reason = Some("stopped: `ttft.p50 > 100ms` holds".into());
        (ladder.saturated_at, ladder.sustainable, ladder.recommended) = (None, Some(4.0), None);
    });
    let text = &all[&ClaimKind::LevelsNotRun].text;
    assert!(
        text.contains("`stop_when` ended it at 8 requests/s: 1 of 2 levels was run to its end"),
        "{text}"
    );
    let text = &all[&ClaimKind::NotSaturated].text;
    assert!(text.ends_with("it held up to 4 requests/s, the highest level judged."), "{text}");
}

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

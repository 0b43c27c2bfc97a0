//! Facts about sessions, driven by hand.

use std::collections::VecDeque;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::plan::Think;
use crate::plan::workload::TurnDelay;
use crate::workload::dataset::RowPrompt;

const SECOND: u64 = 1_000_000_000;

fn user(content: &str) -> Message {
    Message::text("user", content)
}

fn script(name: &str, turns: usize) -> Script {
    let turn = |number: usize| Turn {
        says: Says::More(vec![user(&format!("{name} asks {number}"))]),
        answer: Some(Message::text("assistant", format!("recorded {number}"))),
        delay_ns: Some(2 * SECOND),
        timestamp_ns: None,
        row: Arc::new(Row::new(RowPrompt::Fields)),
    };
    Script { name: name.into(), turns: (0..turns).map(turn).collect() }
}

fn conversations(config: ConversationConfig, scripts: Vec<Script>) -> Conversations {
    let mut scripts = VecDeque::from(scripts);
    Conversations::new(config, 5, move || Ok(scripts.pop_front()))
}

fn at_a_time(concurrency: u64) -> ConversationConfig {
    ConversationConfig { concurrency: Some(concurrency), ..ConversationConfig::default() }
}

fn said(turn: &DueTurn) -> Vec<&str> {
    turn.messages.iter().flat_map(Message::texts).collect()
}

#[test]
fn later_turns_carry_the_live_or_the_recorded_answers() {
    for (history, answer) in [(History::Live, "live"), (History::Recorded, "recorded 0")] {
        let config =
            ConversationConfig { history, system: Some("Be brief.".into()), ..at_a_time(1) };
        let mut state = conversations(config, vec![script("a", 2)]);
        let first = state.next_turns(0).unwrap().remove(0);
        assert_eq!(said(&first), ["Be brief.", "a asks 0"]);
        assert!(state.next_turns(SECOND).unwrap().is_empty());
        state.finished(first.id, Some("live"), SECOND);
        let second = state.next_turns(SECOND).unwrap().remove(0);
        assert_eq!(said(&second), ["Be brief.", "a asks 0", answer, "a asks 1"]);
        assert!(second.is_last && !first.is_last);
        state.finished(second.id, Some("live"), 2 * SECOND);
        assert!(state.next_turns(2 * SECOND).unwrap().is_empty());
        assert!(state.is_over());
    }
}

#[test]
fn whole_turns_get_the_live_answers_where_the_recorded_ones_stood() {
    let mut whole = script("a", 2);
    whole.turns[1].says = Says::Whole(vec![
        user("a asks 0"),
        Message::text("assistant", "recorded 0"),
        user("and then?"),
    ]);
    let mut state = conversations(at_a_time(1), vec![whole]);
    let first = state.next_turns(0).unwrap().remove(0);
    state.finished(first.id, Some("live"), 1);
    let second = state.next_turns(1).unwrap().remove(0);
    assert_eq!(said(&second), ["a asks 0", "live", "and then?"]);
}

#[test]
fn another_history_than_the_plan_says_is_counted() {
    let words = |history, scripts: Vec<Script>, answers: [&str; 2]| {
        let mut state = conversations(ConversationConfig { history, ..at_a_time(1) }, scripts);
        for answer in answers.into_iter().chain(["the end"]) {
            let turn = state.next_turns(0).unwrap().remove(0);
            state.finished(turn.id, Some(answer), 0);
        }
        assert!(state.is_over() || state.next_turns(0).unwrap().is_empty());
        state.swaps().in_words()
    };
    let plain = || vec![script("a", 3)];
    assert_eq!(words(History::Live, plain(), ["x", "y"]), None);
    assert_eq!(words(History::Recorded, plain(), ["", "y"]), None);
    let mut calls = plain();
    if let Some(answer) = &mut calls[0].turns[1].answer {
        answer.more.insert("tool_calls".into(), serde_json::json!([{ "id": "c1" }]));
    }
    let kept = "`history: live`: recorded answers stand in later turns for 2 of this run's 2 (1 had no \
                text, 1 where the recorded one calls tools)";
    assert_eq!(words(History::Live, calls, ["", "y"]).as_deref(), Some(kept));
    // Whole histories: the first has one answer too many, the second as many as were given.
    let mut whole = plain();
    let answer = |text: &str| Message::text("assistant", text);
    let second = vec![answer("hello"), user("q"), answer("r"), user("s")];
    let third = vec![user("q"), answer("r"), user("s"), answer("t"), user("u")];
    whole[0].turns[1].says = Says::Whole(second);
    whole[0].turns[2].says = Says::Whole(third);
    let unmatched = "`history: live`: 1 of 2 later turns with the whole history as recorded, whose \
                     answers are not as many as this run's";
    assert_eq!(words(History::Live, whole.clone(), ["x", "y"]).as_deref(), Some(unmatched));
    // Those bring the recorded history, whoever answered.
    for turn in &mut whole[0].turns {
        turn.answer = None;
    }
    assert_eq!(words(History::Recorded, whole, ["x", "y"]), None);
    let mut bare = plain();
    bare[0].turns[0].answer = None;
    let unrecorded = "`history: recorded`: 1 later turn with this run's answer to the one before, since \
                      none is recorded";
    assert_eq!(words(History::Recorded, bare, ["x", "y"]).as_deref(), Some(unrecorded));
}

#[test]
fn a_failed_turn_skips_its_successors_and_makes_room() {
    let mut state = conversations(at_a_time(1), vec![script("a", 5), script("b", 1)]);
    let first = state.next_turns(0).unwrap().remove(0);
    state.finished(first.id, Some("fine"), 1);
    let second = state.next_turns(1).unwrap().remove(0);
    state.finished(second.id, None, 7);
    let tally = state.tally();
    assert_eq!((tally.answered, tally.failed, tally.skipped, tally.broken), (1, 1, 3, 1));
    let next = state.next_turns(9).unwrap().remove(0);
    assert_eq!((next.session.as_str(), next.due_ns), ("b", 7));
}

#[test]
fn think_time_counts_from_the_answer() {
    let due = |delay: TurnDelay| {
        let mut state =
            conversations(ConversationConfig { delay, ..at_a_time(1) }, vec![script("a", 2)]);
        let first = state.next_turns(0).unwrap().remove(0);
        state.finished(first.id, Some("x"), 10 * SECOND);
        state.next_due_ns().unwrap() - 10 * SECOND
    };
    assert_eq!(due(TurnDelay::Think(Think::None)), 0);
    assert_eq!(due(TurnDelay::Think(Think::Constant(Duration::from_secs(3)))), 3 * SECOND);
    let max = Duration::from_secs(60);
    assert_eq!(due(TurnDelay::Recorded { factor: 0.5, max }), SECOND);
    assert_eq!(due(TurnDelay::Recorded { factor: 100.0, max }), 60 * SECOND);
    let exponential = TurnDelay::Think(Think::Exponential { mean: Duration::from_secs(5) });
    assert_eq!(due(exponential), due(exponential));
    assert!(due(exponential) > 0);
}

#[test]
fn recorded_stamps_set_the_pace_but_never_overtake_the_answer() {
    let config = ConversationConfig {
        delay: TurnDelay::Recorded { factor: 1.0, max: Duration::from_secs(60) },
        ..at_a_time(1)
    };
    let mut stamped = script("a", 3);
    for (turn, at) in stamped.turns.iter_mut().zip([100, 104, 105]) {
        turn.delay_ns = None;
        turn.timestamp_ns = Some(at * SECOND);
    }
    let mut state = conversations(config, vec![stamped]);
    let first = state.next_turns(0).unwrap().remove(0);
    state.finished(first.id, Some("x"), SECOND);
    assert_eq!(state.next_due_ns(), Some(4 * SECOND));
    let second = state.next_turns(4 * SECOND).unwrap().remove(0);
    state.finished(second.id, Some("x"), 9 * SECOND);
    assert_eq!(state.next_due_ns(), Some(9 * SECOND));
}

#[test]
fn sessions_join_as_the_plan_says() {
    let scripts = || (0..10).map(|number| script(&number.to_string(), 1)).collect::<Vec<_>>();
    let mut state = conversations(at_a_time(3), scripts());
    assert_eq!(state.next_turns(0).unwrap().len(), 3);
    let config = ConversationConfig { join_every: Duration::from_secs(2), ..Default::default() };
    let mut state = conversations(config, scripts());
    let due: Vec<u64> =
        state.next_turns(5 * SECOND).unwrap().iter().map(|turn| turn.due_ns).collect();
    assert_eq!(due, [5 * SECOND]);
    assert_eq!(state.next_due_ns(), Some(7 * SECOND));
    let due: Vec<u64> =
        state.next_turns(11 * SECOND).unwrap().iter().map(|turn| turn.due_ns).collect();
    assert_eq!(due, [7 * SECOND, 9 * SECOND, 11 * SECOND]);
    let mut state = conversations(ConversationConfig::default(), scripts());
    assert!(state.next_turns(0).unwrap().is_empty());
    assert_eq!(state.next_due_ns(), None);
    assert!(state.join(3).unwrap());
    assert_eq!(state.next_turns(4).unwrap()[0].due_ns, 3);
}

#[test]
fn what_ends_twice_or_was_never_sent_changes_nothing() {
    let mut state = conversations(at_a_time(1), vec![script("a", 3)]);
    let first = state.next_turns(0).unwrap().remove(0);
    state.finished(first.id, Some("x"), 1);
    let before = state.tally();
    state.finished(first.id, Some("x"), 2);
    state.finished(TurnId { session: 0, turn: 2 }, None, 2);
    state.finished(TurnId { session: 9, turn: 0 }, None, 2);
    assert_eq!(state.tally(), before);
}

proptest! {
    #[test]
    fn every_planned_turn_is_somewhere_and_order_holds(
        lengths in proptest::collection::vec(1_usize..6, 1..12),
        concurrency in 1_u64..5,
        choices in proptest::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 200),
    ) {
        let scripts = lengths.iter().enumerate().map(|(n, turns)| script(&n.to_string(), *turns));
        let mut state = conversations(at_a_time(concurrency), scripts.collect());
        let mut in_flight: Vec<TurnId> = Vec::new();
        let mut last: BTreeMap<u64, usize> = BTreeMap::new();
        for (now, (is_ok, which)) in choices.into_iter().enumerate() {
            for turn in state.next_turns(now as u64).unwrap() {
                let expected = last.get(&turn.id.session).map_or(0, |before| before + 1);
                prop_assert_eq!(turn.id.turn, expected);
                last.insert(turn.id.session, turn.id.turn);
                in_flight.push(turn.id);
            }
            let tally = state.tally();
            prop_assert_eq!(tally.in_flight, in_flight.len() as u64);
            prop_assert!(tally.in_flight <= concurrency);
            prop_assert_eq!(
                tally.planned,
                tally.answered + tally.failed + tally.skipped + tally.in_flight + tally.waiting
            );
            if in_flight.is_empty() {
                break;
            }
            let id = in_flight.swap_remove(which.index(in_flight.len()));
            state.finished(id, (is_ok || id.turn == 0).then_some("text"), now as u64);
        }
        prop_assert!(state.is_over());
        let tally = state.tally();
        prop_assert_eq!(tally.joined, lengths.len() as u64);
        prop_assert_eq!(tally.completed + tally.broken, tally.joined);
    }
}

//! Facts about token counts of several sources.

use super::basis::OUTPUT_METRICS;
use super::*;

fn counts(server: u64, tokenizer: Option<u64>, events: Option<u64>) -> TokenCounts {
    TokenCounts { server: Some(server), tokenizer, events, estimate: Some(1) }
}

fn side(side: Side, all: &[TokenCounts]) -> TokenSide {
    let mut sum = TokenSide::default();
    for counts in all {
        sum.take(counts, side, false);
    }
    sum
}

#[test]
fn only_requests_that_both_counted_are_held_against_each_other() {
    let it = side(Side::Input, &[counts(100, Some(90), None), counts(700, None, None)]);
    assert_eq!(it.sums, TokenCounts { estimate: Some(2), ..counts(800, Some(90), None) });
    assert_eq!(it.divergence.len(), 1);
    let one = it.divergence[0];
    assert_eq!((one.requests, one.tokens, one.against_tokens), (1, 90, 100));
    assert!((one.share + 0.1).abs() < 1e-12 && !one.is_large);
    assert_eq!(
        it.in_words().as_deref(),
        Some("server 800, tokenizer 90 of 1 request (server 100 there, 10 % fewer)")
    );
}

#[test]
fn a_chat_template_and_an_end_mark_are_no_divergence_and_more_than_that_is() {
    for (of, one, is_large) in [
        (Side::Input, counts(100, Some(40), None), false),
        (Side::Input, counts(1_000, Some(800), None), true),
        (Side::Input, counts(100, Some(120), None), true),
        (Side::Input, counts(1_000, Some(940), None), false),
        (Side::Output, counts(8, None, Some(7)), false),
        (Side::Output, counts(8, None, Some(5)), true),
        (Side::Output, counts(22, None, Some(15)), true),
    ] {
        let it = side(of, &[one, one, one]);
        assert_eq!(it.divergence[0].is_large, is_large, "{of:?} {one:?}");
    }
}

#[test]
fn the_tokenizer_stands_in_for_a_server_that_counts_nothing() {
    let silent = TokenCounts { server: None, ..counts(0, Some(10), Some(20)) };
    let it = side(Side::Output, &[silent]);
    assert_eq!(it.in_words().as_deref(), Some("tokenizer 10, events 20 (100 % more)"));
    assert!(it.telling().all(|it| it.is_large));
    let says = |words: &str, has_tpot| {
        it.telling().all(|it| it.advice(Side::Output, has_tpot).contains(words))
    };
    assert!(says("pieces", true) && says("compare `tpot`", true) && !says("tpot", false));
    let alone = TokenCounts { tokenizer: None, ..silent };
    assert_eq!(
        side(Side::Output, &[alone]).in_words().as_deref(),
        Some("not counted in 1 of 1, events 20, by characters about 1")
    );
}

#[test]
fn the_basis_is_who_counted_nearly_all() {
    let by = |server: usize, tokenizer: usize, nobody: usize| {
        let bare = TokenCounts { events: Some(3), estimate: Some(4), ..TokenCounts::default() };
        let mut all = vec![TokenCounts { server: Some(5), ..bare }; server];
        all.extend(vec![TokenCounts { tokenizer: Some(5), ..bare }; tokenizer]);
        all.extend(vec![bare; nobody]);
        side(Side::Output, &all).source
    };
    for (counted, expected) in [
        ((3, 0, 0), Some(TokenBasis::Server)),
        ((0, 3, 0), Some(TokenBasis::Tokenizer)),
        ((2, 1, 0), Some(TokenBasis::Both)),
        ((99, 0, 1), Some(TokenBasis::Server)),
        ((98, 0, 2), Some(TokenBasis::Events)),
        ((0, 0, 3), Some(TokenBasis::Events)),
        ((0, 0, 0), None),
    ] {
        assert_eq!(by(counted.0, counted.1, counted.2), expected, "{counted:?}");
    }
    let mut silent = TokenAccount::default();
    silent.output.take(
        &TokenCounts { estimate: Some(4), ..TokenCounts::default() },
        Side::Output,
        false,
    );
    assert_eq!(silent.output.source, Some(TokenBasis::Estimate));
    let untold: Vec<&str> = silent.untold().map(|(metric, _)| metric).collect();
    assert_eq!(untold, OUTPUT_METRICS);
}

#[test]
fn rungs_add_up() {
    let rung = TokenAccount {
        input: side(Side::Input, &[counts(100, Some(99), None)]),
        output: side(Side::Output, &[counts(10, Some(9), Some(10))]),
    };
    let both = rung.clone().plus(&rung);
    assert_eq!(both.input.sums.server, Some(200));
    assert_eq!(both.output.divergence.len(), 3);
    assert_eq!(both.output.divergence[0].requests, 2);
}

#[test]
fn counts_that_cannot_be_are_not_called_missing() {
    use crate::metrics::tally::fixture::record;
    let none = TokenCounts { estimate: Some(30), ..TokenCounts::default() };
    let flagged = Record { input_tokens: none, flags: vec![IMPOSSIBLE_USAGE.into()], ..record() };
    let mut account = TokenAccount::default();
    account.take(&flagged);
    let why = |account: &TokenAccount| account.untold().next().expect("untold").1;
    assert!(why(&account).contains("can't be") && !why(&account).contains("sends no usage"));
    // The answers' count came and stands.
    assert_eq!((account.input.impossible, account.output.impossible), (1, 0));
    let advice = |account: &TokenAccount| advice::missing(&account.input, "prompts").expect("one");
    assert!(advice(&account).contains("can't be") && !advice(&account).contains("send usage"));
    let mut silent = TokenAccount::default();
    silent.take(&Record { input_tokens: none, ..record() });
    assert!(why(&silent).contains("sends no usage") && advice(&silent).contains("send usage"));
}

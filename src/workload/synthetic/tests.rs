//! Facts about synthetic prompts.

use super::*;
use crate::plan::workload::Length;

fn bundled() -> Tokenizer {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/datasets/tokenizer.json");
    Tokenizer::from_file(path).unwrap()
}

fn identity(run_nonce: &str, unique: Uniqueness) -> Identity<'_> {
    Identity { seed: 11, run_nonce, key: "load", unique }
}

fn workload(config: SyntheticConfig, nonce: &str, tokenizer: Tokenizer) -> SyntheticWorkload {
    let identity = identity(nonce, Uniqueness::PerRun);
    SyntheticWorkload::new(config, Ask::default(), identity, Some(FERRYMAN), tokenizer).unwrap()
}

/// What stands in the file of a prefix.
const FERRYMAN: &str = "You are a ferryman on the Moselle, and nobody asks you about anything \
    else. You know every bend of the river, every village on its banks, the price of a crossing \
    in fair weather and in foul, and the names of all who drowned. You answer in few words, as \
    people do who row. You have never seen the sea, but you have heard that the river ends \
    there, and you do not believe it. When somebody asks for the bridge, you say that there is \
    none; when somebody asks for the time, you look at the water. Your father was a ferryman, \
    too, and his father before him, and none of them could swim. You keep a lantern under the \
    bench, a rope, a hook, and a bottle that you do not talk about. You like dogs, and dislike \
    horses, which shift in the boat. On Sundays you do not row, unless somebody is dying on the \
    other side.";

fn tokens(request: &Request, tokenizer: &Tokenizer) -> u64 {
    request.texts().map(|text| tokenizer.count(text)).sum()
}

fn common(one: &str, two: &str) -> usize {
    one.bytes().zip(two.bytes()).take_while(|(a, b)| a == b).count()
}

fn prefix(text: PrefixText, length: PrefixLength, groups: u64) -> SharedPrefix {
    SharedPrefix { text, length, groups, skew: 0.0 }
}

#[test]
fn every_prompt_has_exactly_the_tokens_of_its_shape() {
    for tokenizer in [bundled(), Tokenizer::Estimate] {
        let config = SyntheticConfig {
            input_tokens: Length::Uniform { min: 1, max: 400 },
            prefix: Some(prefix(PrefixText::Generated, PrefixLength::Share(0.4), 3)),
            system_tokens: 20,
            ..SyntheticConfig::constant(0, 16)
        };
        let workload = workload(config, "run", tokenizer.clone());
        for index in 0..60 {
            let request = workload.request(index).unwrap();
            let shape = workload.shape(index);
            assert_eq!(tokens(&request, &tokenizer), shape.input_tokens, "{index}");
            assert_eq!(request.max_tokens, Some(16));
        }
    }
}

#[test]
fn the_shared_share_is_what_was_asked_for() {
    for tokenizer in [bundled(), Tokenizer::Estimate] {
        let config = SyntheticConfig {
            prefix: Some(prefix(PrefixText::Generated, PrefixLength::Share(0.6), 2)),
            ..SyntheticConfig::constant(500, 8)
        };
        let workload = workload(config, "run", tokenizer.clone());
        assert!((workload.shared_share(200) - 0.6).abs() < 1e-9);
        let all: Vec<_> = (0..12)
            .map(|index| (workload.shape(index), workload.request(index).unwrap()))
            .collect();
        for (shape, request) in &all {
            for (other, against) in &all {
                let (one, two) = (&request.messages[0].said(), &against.messages[0].said());
                if one == two {
                    continue;
                }
                let shared = tokenizer.count(&one[..common(one, two)]);
                if shape.group == other.group {
                    assert!((299..=303).contains(&shared), "{shared} tokens are shared");
                } else {
                    assert!(shared < 8, "{shared} tokens are shared between groups");
                }
            }
        }
        let groups: std::collections::BTreeSet<u64> =
            all.iter().map(|(shape, _)| shape.group).collect();
        assert_eq!(groups.len(), 2);
    }
}

#[test]
fn a_prompt_file_and_random_tokens_give_their_share() {
    let tokenizer = bundled();
    let file = || PrefixText::File("prompt-1k.txt".into());
    let config = SyntheticConfig {
        prefix: Some(prefix(file(), PrefixLength::Whole, 1)),
        ..SyntheticConfig::constant(1_000, 250)
    };
    let of_run = |nonce: &str| workload(config.clone(), nonce, tokenizer.clone());
    let one = of_run("monday");
    let shape = one.shape(0);
    assert_eq!(shape.input_tokens, shape.shared_tokens + 1_000);
    let expected = shape.shared_tokens as f64 / shape.input_tokens as f64;
    assert!((one.shared_share(10) - expected).abs() < 1e-9);
    let (first, second) = (one.request(0).unwrap(), one.request(1).unwrap());
    assert_eq!(tokens(&first, &tokenizer), shape.input_tokens);
    let (a, b) = (&first.messages[0].said(), &second.messages[0].said());
    assert!(tokenizer.count(&a[..common(a, b)]) >= shape.shared_tokens - 1);
    // Another run's file begins differently.
    let other = of_run("tuesday").request(0).unwrap();
    assert!(common(a, &other.messages[0].said()) < 8);
    // With a share given, the file is cut to it.
    let config = SyntheticConfig {
        prefix: Some(prefix(file(), PrefixLength::Share(0.1), 1)),
        ..SyntheticConfig::constant(1_000, 250)
    };
    let cut = workload(config, "monday", tokenizer.clone());
    assert_eq!(cut.shape(3).shared_tokens, 100);
    assert_eq!(tokens(&cut.request(3).unwrap(), &tokenizer), 1_000);
}

#[test]
fn a_prefix_longer_than_its_file_is_an_error() {
    let length = PrefixLength::Tokens(100);
    let config = SyntheticConfig {
        prefix: Some(prefix(PrefixText::File("short.txt".into()), length, 1)),
        ..SyntheticConfig::constant(1_000, 250)
    };
    let identity = identity("run", Uniqueness::PerRun);
    let estimate = Tokenizer::Estimate;
    let made = SyntheticWorkload::new(config, Ask::default(), identity, Some("short"), estimate);
    let error = made.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains("should have 100 tokens"), "{error}");
}

#[test]
fn runs_differ_in_text_and_agree_in_shape_unless_asked_otherwise() {
    let config = SyntheticConfig {
        input_tokens: Length::Uniform { min: 50, max: 90 },
        prefix: Some(prefix(PrefixText::Generated, PrefixLength::Tokens(30), 4)),
        ..SyntheticConfig::constant(0, 4)
    };
    let (one, two) = (
        workload(config.clone(), "monday", Tokenizer::Estimate),
        workload(config.clone(), "tuesday", Tokenizer::Estimate),
    );
    let fixed = |nonce| {
        let identity = identity(nonce, Uniqueness::Never);
        let estimate = Tokenizer::Estimate;
        SyntheticWorkload::new(config.clone(), Ask::default(), identity, None, estimate).unwrap()
    };
    let (three, four) = (fixed("monday"), fixed("tuesday"));
    for index in 0..20 {
        assert_eq!(one.shape(index), two.shape(index));
        assert_ne!(one.request(index).unwrap(), two.request(index).unwrap());
        assert_eq!(one.request(index).unwrap(), one.request(index).unwrap());
        assert_eq!(three.request(index).unwrap(), four.request(index).unwrap());
    }
}

#[test]
fn a_nonce_is_counted_and_leaves_nothing_to_share() {
    for tokenizer in [bundled(), Tokenizer::Estimate] {
        for system_tokens in [0, 40] {
            let config = SyntheticConfig {
                prefix: Some(prefix(PrefixText::Generated, PrefixLength::Share(0.5), 1)),
                system_tokens,
                ..SyntheticConfig::constant(300, 16)
            };
            let workload = workload(config, "run", tokenizer.clone());
            let opened = |index: u64| {
                workload.opened(index, Some(&format!("[0123456789a{index}]"))).unwrap()
            };
            let (one, two) = (opened(1), opened(2));
            assert_eq!(tokens(&one, &tokenizer), 300);
            assert!(one.messages[0].said().starts_with("[0123456789a1]\n"));
            assert!(common(&one.messages[0].said(), &two.messages[0].said()) < 14);
        }
    }
}

//! The whole reader on mutated plans: it answers with a plan or with diagnostics, and never falls
//! over.
//!
//! In: numbers. Out: nothing but the panics it finds. Each number stands for one case ([`mutation`]):
//! a real plan, good or bad, with some of its text changed, and flags. A case goes the way of
//! `runner validate` and further: `load_text`, the graph, the templates, every way to print what was
//! found. CI runs a thousand cases; by hand, for as long as wanted and on one core:
//!
//! ```sh
//! RUNNER_FUZZ_SECONDS=3600 cargo test --test it fuzz::for_a_while -- --ignored --nocapture
//! ```
//!
//! The case at work lies in `target/fuzz/` with its number, so that not even a stack that overflows
//! hides which it was; `RUNNER_FUZZ_CASE=NUMBER` runs that one alone.

mod bytes;
mod mutation;

use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use runner::graph::Graph;
use runner::plan::{self, diagnostic};
use runner::workload;

use mutation::{Case, Corpus};

fn corpus() -> &'static Corpus {
    static CORPUS: OnceLock<Corpus> = OnceLock::new();
    CORPUS.get_or_init(Corpus::of_the_repository)
}

/// Reads a case and prints what is said of it in every way; true when it is a plan.
fn answer(case: &Case) -> bool {
    let (found, sources, redactor, is_plan) =
        match plan::load_text(&case.name, &case.text, &case.options) {
            Ok(mut loaded) => {
                let mut found = workload::check::check(&mut loaded.plan, &loaded.sources);
                match Graph::build(&loaded.plan) {
                    Ok(graph) => {
                        let _ = (graph.to_mermaid(&loaded.plan), graph.to_dot(&loaded.plan));
                    }
                    Err(cycles) => found.extend(cycles),
                }
                found.extend(loaded.warnings);
                (found, loaded.sources, loaded.redactor, true)
            }
            Err(error) => {
                assert!(!error.diagnostics.is_empty(), "refused without a word");
                let _ = error.is_selection();
                (error.diagnostics, error.sources, error.redactor, false)
            }
        };
    let shown = diagnostic::render(&found, &sources, &redactor, true);
    assert!(is_plan || shown.contains("error"), "refused without a word");
    let _ = diagnostic::render_json(&found, &sources);
    let _ = diagnostic::render_github(&found, &str::to_owned);
    let _ = diagnostic::sarif(&[(found, sources)], &str::to_owned);
    let _ = plan::to_toml(&case.name, &case.text);
    is_plan
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_mutation_of_a_real_plan_is_answered(number: u64) {
        answer(&corpus().case(number));
    }
}

#[test]
fn the_corpus_is_answered_as_it_is() {
    let corpus = corpus();
    assert!(corpus.plans() >= 150, "{} plans", corpus.plans());
    for index in 0..corpus.plans() {
        answer(&corpus.plain(index));
    }
}

#[test]
#[ignore = "runs for as long as RUNNER_FUZZ_SECONDS says"]
fn for_a_while() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let folder = Path::new("target/fuzz");
    fs::create_dir_all(folder).expect("a folder");
    if let Some(case) = number("RUNNER_FUZZ_CASE") {
        let case = corpus().case(case);
        println!("{}\n{:#?}\n{}", case.name, case.options, case.text);
        answer(&case);
        return;
    }
    let end = Instant::now() + Duration::from_secs(number("RUNNER_FUZZ_SECONDS").unwrap_or(60));
    let first = number("RUNNER_FUZZ_FROM").unwrap_or(0);
    let (mut at, mut plans, mut slowest) = (first, 0_u64, Duration::ZERO);
    let mut failed: Vec<u64> = Vec::new();
    while Instant::now() < end {
        let case = corpus().case(at);
        fs::write(folder.join("current"), format!("{at} {}\n{}", case.name, case.text))
            .expect("written");
        let began = Instant::now();
        if let Ok(is_plan) = panic::catch_unwind(AssertUnwindSafe(|| answer(&case))) {
            plans += u64::from(is_plan);
        } else {
            failed.push(at);
            fs::write(folder.join(format!("panic-{at}")), &case.text).expect("written");
        }
        if began.elapsed() > slowest {
            slowest = began.elapsed();
            fs::write(folder.join("slowest"), format!("{at} {slowest:?}\n{}", case.text))
                .expect("written");
        }
        at += 1;
        if (at - first).is_multiple_of(10_000) {
            println!(
                "{} cases, {plans} of them plans, {} panics {:?}, slowest {slowest:?}",
                at - first,
                failed.len(),
                &failed[..failed.len().min(20)]
            );
        }
    }
    println!(
        "{} cases, {plans} of them plans, {} panics, slowest {slowest:?}",
        at - first,
        failed.len()
    );
    assert!(failed.is_empty(), "panics in cases {failed:?}");
}

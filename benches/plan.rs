//! What reading a plan costs, from text to graph, as `runner validate` does it.
//!
//! Budgets on one core of a laptop: a plan of 2,000 lines under 50 ms, 10,000 cells under 1 s, a
//! hostile text refused under 100 ms. `cargo bench --bench plan`.

#![expect(missing_docs, reason = "`criterion_group!` makes a public function")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use runner::graph::Graph;
use runner::plan::{self, LoadOptions};
use runner::workload::check;

/// Reads, checks templates, builds the graph; the number of stages.
fn read(name: &str, text: &str) -> usize {
    let Ok(mut loaded) = plan::load_text(name, text, &LoadOptions::default()) else { return 0 };
    let problems = check::check(&mut loaded.plan, &loaded.sources);
    assert!(problems.is_empty(), "{problems:?}");
    Graph::build(&loaded.plan).map_or(0, |graph| graph.len())
}

/// Stages of every sort, six lines each, until there are `lines`.
fn long_plan(lines: usize) -> String {
    let mut text = String::from(
        "version: 1\nparams:\n  docs: { type: int, default: 4, env: BENCH_DOCS }\n\
         endpoint: http://127.0.0.1:8000/v1\nprompt:\n  text: \"Say {{ params.docs }}.\"\nstages:\n",
    );
    let mut number = 0;
    while text.lines().count() + 6 <= lines {
        let _ = write!(
            text,
            "  - id: s{number}\n    kind: cold\n    requests: ${{docs}}\n    tags: [nightly]\n    \
             thresholds:\n      - ttft.p99 < 800ms\n"
        );
        number += 1;
    }
    text
}

/// The same in TOML.
fn long_toml(lines: usize) -> String {
    plan::to_toml("long.yaml", &long_plan(lines)).unwrap_or_default()
}

/// Two axes of a hundred values; three stages and a relative check in each cell.
fn cells() -> String {
    "version: 1
params: { docs: { type: int, default: 1 } }
matrix: { model: 1-100, docs: 1-100 }
endpoint: { url: http://127.0.0.1:8000/v1, model: \"m${model}\" }
prompt:
  context: { from: filler, tokens: 2k }
  text: Summarize the document above in one sentence.
  max_tokens: 16
stages:
  - { id: cold, kind: cold, requests: \"${docs}\" }
  - { id: warm, kind: warm, like: cold, thresholds: [ttft.p50 <= 0.5 * cold.ttft.p50] }
  - { id: flush, kind: flush, with: auto }
"
    .to_owned()
}

/// Ten aliases of ten aliases, eleven times over.
fn bomb() -> String {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        let _ = writeln!(text, "a{level}: &a{level} [{aliases}]");
    }
    text
}

fn reading(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("read");
    for (name, text) in [("a.yaml", long_plan(2_000)), ("a.toml", long_toml(2_000))] {
        assert!(read(name, &text) > 300, "{name}");
        group.bench_with_input(BenchmarkId::new("2000_lines", name), &text, |bencher, text| {
            bencher.iter(|| read(black_box(name), black_box(text)));
        });
    }
    let text = cells();
    assert_eq!(read("a.yaml", &text), 30_000);
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    group.bench_function("10000_cells", |bencher| {
        bencher.iter(|| read("a.yaml", black_box(&text)));
    });
    group.finish();
}

fn refusing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("refuse");
    let dotted = vec!["a"; 20_000].join(".");
    for (what, name, text) in [
        ("alias_bomb", "a.yaml", bomb()),
        ("deep_lists", "a.yaml", "[".repeat(200_000)),
        ("deep_maps", "a.yaml", "{a: ".repeat(100_000)),
        ("wide_list", "a.yaml", format!("version: 1\nx-a: [{}]", "1, ".repeat(300_000))),
        ("dotted_keys", "a.toml", format!("{dotted} = 1\n[{dotted}]")),
        ("deep_lists", "a.toml", format!("a = {}", "[".repeat(200_000))),
    ] {
        assert_eq!(read(name, &text), 0, "{what}");
        group.bench_with_input(BenchmarkId::new(what, name), &text, |bencher, text| {
            bencher.iter(|| read(name, black_box(text)));
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_secs(1)).sample_size(20);
    targets = reading, refusing
}
criterion_main!(benches);

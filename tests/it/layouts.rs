//! The report on terminals of several widths: what a first look shows, and what stays behind `-v`.

use runner::metrics::summary::Summary;
use runner::report::console;
use runner::report::look::Look;

use crate::sandbox::{Sandbox, code, stderr, text};

const PLAN: &str = "\
version: 1
endpoint: { simulator: { prefill_rate: 40k, decode_rate: 400 } }
matrix: { model: [a-model-with-a-long-name, another-model-with-a-long-name] }
prompt: { text: \"Say {{ i }}.\", max_tokens: 4 }
stages:
  - { id: cold, kind: cold, requests: 4 }
  - { id: ramp, kind: concurrency_ramp, concurrency: \"1,2,4\", requests: 8,
      thresholds: [ttft.p99 < 60s, ttft.p50 < 1us] }
  - { id: users, kind: search, over: concurrency, from: 1, to: 4, requests: 8, confirmations: 1,
      thresholds: [ttft.p50 < 60s] }
";

fn ran() -> (Sandbox, Summary, String) {
    let sandbox = Sandbox::new();
    sandbox.plan(PLAN);
    let output = sandbox.run(&["run", "plan.yaml"]);
    assert!(matches!(code(&output), 5 | 10), "{}", stderr(&output));
    let summary = serde_json::from_value(sandbox.summary()).expect("a summary");
    (sandbox, summary, text(&output.stdout))
}

#[test]
fn a_report_fits_its_terminal_and_tells_evidence_where_it_is_asked_for() {
    let (sandbox, summary, piped) = ran();
    for width in [60, 80, 120] {
        let look = Look { width: Some(width), height: Some(24), ..Look::PLAIN };
        let told = console::render(&summary, look);
        for line in told.lines() {
            assert!(line.chars().count() <= width, "{width}: {line}\n{told}");
        }
        let lines: Vec<&str> = told.lines().collect();
        // What passed stands second, below what was run, and again at the end of a long report.
        let verdict =
            &summary.claims.iter().find(|it| it.text.contains("checks")).map(|it| &it.text);
        if let Some(verdict) = verdict.filter(|it| it.len() <= width) {
            assert!(lines.contains(&verdict.as_str()), "{told}");
            assert_eq!(lines.last(), Some(&verdict.as_str()), "{told}");
        }
        let checks = told.find("\nChecks\n").expect("checks");
        assert!(checks < told.find("  ──").expect("a table"), "{told}");
        // Each level has its row, with a verdict; what held at all of them is one line.
        for stage in ["ramp[model=", "users[model="] {
            assert_eq!(told.matches(&format!("\n{stage}")).count(), 2, "{told}");
        }
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let is_tick = |line: &&str| words(line).starts_with("✓ ramp ttft.p99 < 60s");
        let ticks = told.lines().filter(is_tick).count();
        assert_eq!(ticks, 1, "{told}");
        let crosses = told.lines().filter(|line| line.contains("✗ ramp")).count();
        assert_eq!(crosses, 6, "what failed is told each time: {told}");
        for title in ["Server", "Tokens", "Client", "Answers", "Search"] {
            assert!(!told.contains(&format!("\n{title}\n")), "{title}: {told}");
        }
    }
    assert_eq!(console::render(&summary, Look::PLAIN), piped, "a pipe has no edge");

    let run = sandbox.run_dir();
    let run = run.to_str().expect("utf-8");
    let told = text(&sandbox.run(&["report", "-v", run]).stdout);
    let server = told.split("\nServer\n").nth(1).expect("a section").split("\n\n").next();
    let of_searches = server.unwrap_or_default().lines().filter(|it| it.contains("users["));
    assert_eq!(of_searches.count(), 2, "one line for each search: {told}");

    let told = text(&sandbox.run(&["report", "--percentiles", "50,90", run]).stdout);
    let head = told.lines().find(|line| line.contains("achieved")).expect("a table of levels");
    assert!(head.contains("TTFT p50") && head.contains("each answer p50"), "{told}");
}

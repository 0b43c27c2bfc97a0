//! `runner test [PATHS]`: plans against their `*.test.yaml`.
//!
//! In: test files, or folders that hold some. Out: a line per case and the reasons of those that
//! failed, a `JUnit` file if asked for; exit code 10 when a case failed. Nothing but the embedded
//! simulator is ever spoken to.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::cli::TestArgs;
use crate::executor::progress::ProgressMode;
use crate::executor::{self, RunOptions};
use crate::graph::Graph;
use crate::metrics::summary::{Summary, ThresholdResult};
use crate::metrics::verdict::THRESHOLDS_FAILED;
use crate::output::{self, note};
use crate::plan::{self, ENDINGS, LoadOptions, Plan, Redactor, Sources, Target, TestCase};
use crate::report::junit::{self, Case, CaseResult, Suite};

/// Runs every case; exits 10 when one fails, 3 when a test file is wrong, 11 when there is none.
pub fn run(args: &TestArgs) -> anyhow::Result<u8> {
    let paths = match found(&args.paths) {
        Ok(paths) => paths,
        Err(error) => {
            note!("error: {error}");
            return Ok(super::USAGE);
        }
    };
    if paths.is_empty() {
        note!("error: no test files found");
        note!("  help: a test of `plan.yaml` is `plan.test.yaml` beside it");
        return Ok(super::NOTHING_SELECTED);
    }
    let mut suites = Vec::new();
    let mut is_wrong = false;
    for path in &paths {
        match plan::load_tests(path) {
            Err(error) => {
                super::say(&error.diagnostics, &error.sources, &error.redactor, false);
                is_wrong = true;
                // Who reads the XML alone must see it, too.
                let shown = super::show(&error.diagnostics, &error.sources, &error.redactor);
                suites.push(Suite {
                    name: path.display().to_string(),
                    cases: vec![Case {
                        name: "the test file can be used".to_owned(),
                        seconds: 0.0,
                        result: CaseResult::Broken(shown),
                        at: None,
                        remark: None,
                    }],
                });
            }
            Ok(file) => {
                let mut suite = Suite { name: path.display().to_string(), cases: Vec::new() };
                for case in &file.cases {
                    let begun = Instant::now();
                    let failures = failures(&file.plan, case)?;
                    let seconds = begun.elapsed().as_secs_f64();
                    show(path, case, &failures, seconds);
                    suite.cases.push(Case::of(case.name.clone(), seconds, &failures));
                }
                suites.push(suite);
            }
        }
    }
    let cases = || suites.iter().flat_map(|suite| &suite.cases);
    let failed = cases().filter(|case| case.result != CaseResult::Passed).count();
    let count = cases().count();
    let plural = if count == 1 { "" } else { "s" };
    output::print(&format!("{count} case{plural}, {failed} failed\n"));
    if let Some(path) = &args.junit
        && let Err(error) = std::fs::write(path, junit::render(&suites))
    {
        note!("error: `{}` can't be written: {error}", path.display());
        return Ok(super::USAGE);
    }
    Ok(match (is_wrong, failed) {
        (true, _) => super::PLAN_INVALID,
        (false, 0) => super::PASS,
        (false, _) => u8::try_from(THRESHOLDS_FAILED).unwrap_or(super::BUG),
    })
}

/// The test files that the arguments name, the current directory's unless any do.
fn found(paths: &[PathBuf]) -> io::Result<Vec<PathBuf>> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
        let mut entries: Vec<PathBuf> =
            folder.read_dir()?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
        entries.sort();
        for path in entries {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let is_link = path.symlink_metadata()?.file_type().is_symlink();
            if path.is_dir() && !is_link && !name.starts_with('.') && name != "target" {
                walk(&path, found)?;
            } else if ENDINGS.iter().any(|ending| name.ends_with(ending)) && path.is_file() {
                found.push(path);
            }
        }
        Ok(())
    }
    let mut tests = Vec::new();
    if paths.is_empty() {
        walk(Path::new("."), &mut tests)?;
    }
    for path in paths {
        let name = path.display().to_string();
        if path.is_dir() {
            walk(path, &mut tests)?;
        } else if path.is_file() && !ENDINGS.iter().any(|ending| name.ends_with(ending)) {
            let own = path.with_extension("test.yaml");
            let message = format!("`{name}` is no test file; one for it is `{}`", own.display());
            return Err(io::Error::other(message));
        } else {
            tests.push(path.clone());
        }
    }
    Ok(tests)
}

fn show(path: &Path, case: &TestCase, failures: &[String], seconds: f64) {
    let mark = if failures.is_empty() { "pass" } else { "FAIL" };
    let mut out = format!("{mark}  {}: {}  ({seconds:.1} s)\n", path.display(), case.name);
    for failure in failures {
        out.extend(["      ", failure, "\n"]);
    }
    if !failures.is_empty() {
        out.extend(["      --> ", &case.location.to_string(), "\n"]);
    }
    output::print(&out);
}

/// What is not as the case expects.
fn failures(plan: &Path, case: &TestCase) -> anyhow::Result<Vec<String>> {
    let place = match super::builtin::Place::of(plan) {
        Ok(place) => place,
        Err(message) => return Ok(vec![message]),
    };
    let options = LoadOptions {
        params: case.params.clone(),
        environment: environment(case),
        endpoint: case.endpoint.clone(),
        ..LoadOptions::default()
    };
    let (diagnostics, sources, redactor, loaded) = super::checked(&place.path, &options);
    let codes: Vec<String> = diagnostics.iter().map(|it| it.code.to_string()).collect();
    let expect = &case.expect;
    let mut failures = Vec::new();
    for code in &expect.diagnostics {
        if !codes.iter().any(|it| it.eq_ignore_ascii_case(code)) {
            let said = if codes.is_empty() { "nothing".into() } else { codes.join(", ") };
            failures.push(format!("expected the diagnostic {code}, got {said}"));
        }
    }
    if !expect.diagnostics.is_empty() {
        return Ok(failures);
    }
    let Some((mut plan, graph)) = loaded else {
        return Ok(vec![refusal(&diagnostics, &sources, &redactor)]);
    };
    case.put_simulator(&mut plan);
    failures.extend(misresolved(&plan, &graph, case));
    if expect.runs() {
        failures.extend(misrun(plan, &graph, case)?);
    }
    Ok(failures)
}

/// Only what the case declares, so that a test means the same on every machine.
fn environment(case: &TestCase) -> BTreeMap<String, String> {
    case.environment.clone()
}

fn refusal(
    diagnostics: &[plan::diagnostic::Diagnostic],
    sources: &Sources,
    redactor: &Redactor,
) -> String {
    let shown = plan::diagnostic::render(diagnostics, sources, redactor, false);
    format!("the plan is refused:\n{shown}").replace('\n', "\n      ").trim_end().to_owned()
}

fn misresolved(plan: &Plan, graph: &Graph, case: &TestCase) -> Vec<String> {
    let mut failures = Vec::new();
    let document = match super::plan::resolved(plan) {
        Ok(document) => document,
        Err(why) => return vec![why],
    };
    for (pointer, wanted) in &case.expect.resolved {
        match document.pointer(pointer) {
            None => failures.push(format!("{pointer}: nothing there, expected {wanted}")),
            Some(actual) if same(actual, wanted) => {}
            Some(actual) => failures.push(format!("{pointer}: {actual}, expected {wanted}")),
        }
    }
    if let Some(wanted) = &case.expect.order {
        let actual = order(plan, graph);
        if actual != *wanted {
            let (actual, wanted) = (actual.join(", "), wanted.join(", "));
            failures.push(format!("stages run in the order {actual}; expected {wanted}"));
        }
    }
    failures
}

/// Numbers are equal by value: 8 is 8.0.
fn same(actual: &serde_json::Value, wanted: &serde_json::Value) -> bool {
    match (actual.as_f64(), wanted.as_f64()) {
        (Some(actual), Some(wanted)) => actual.total_cmp(&wanted).is_eq(),
        _ => actual == wanted,
    }
}

fn order(plan: &Plan, graph: &Graph) -> Vec<String> {
    let mut is_settled = vec![false; graph.len()];
    let is_running = vec![false; graph.len()];
    let mut order = Vec::new();
    while let Some(&node) = graph.ready(&is_settled, &is_running).first() {
        is_settled[node] = true;
        order.push(plan.stages[node].id.clone());
    }
    order
}

/// Runs the plan and compares what it is judged to be.
fn misrun(mut plan: Plan, graph: &Graph, case: &TestCase) -> anyhow::Result<Vec<String>> {
    let real = plan.stages.iter().find(|it| matches!(it.endpoint.target, Target::Url(_)));
    if let Some(stage) = real {
        let id = &stage.id;
        return Ok(vec![format!(
            "stage `{id}` would go to a real server; add `simulator: {{}}` to the case"
        )]);
    }
    let results = std::env::temp_dir().join(format!("runner-test-{}", std::process::id()));
    plan.results.clone_from(&results);
    plan.sinks.clear();
    let options = RunOptions { progress: ProgressMode::None, ..RunOptions::default() };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let finished = runtime.block_on(executor::run(&plan, graph, options));
    runtime.shutdown_background();
    let _left_to_the_system = std::fs::remove_dir_all(&results);
    let summary = match finished {
        Ok(finished) => finished.summary,
        Err(error) => return Ok(vec![format!("the run did not begin: {error}")]),
    };
    Ok(misjudged(&summary, case))
}

fn misjudged(summary: &Summary, case: &TestCase) -> Vec<String> {
    let mut failures = Vec::new();
    let actual = summary.verdict.exit_code;
    if let Some(wanted) = case.expect.exit.filter(|wanted| *wanted != actual) {
        failures.push(format!("exit code {actual}, expected {wanted}"));
        let reasons = summary.stages.iter().filter_map(|stage| {
            Some(format!("  {} {:?}: {}", stage.label(), stage.state, stage.reason.as_ref()?))
        });
        failures.extend(reasons);
    }
    for (wanted, checks) in [(true, &case.expect.pass), (false, &case.expect.fail)] {
        for check in checks {
            let judged = results(summary, check);
            if judged.is_empty() {
                failures.push(format!("no check `{check}` was judged"));
            }
            for (stage, result) in judged.iter().filter(|(_, result)| result.pass != wanted) {
                let verb = if result.pass { "passed" } else { "failed" };
                failures.push(format!("{stage}: `{}` {verb}: {}", result.check, result.reason));
            }
        }
    }
    failures
}

/// The judged checks that a text such as `warm: cache == warm` or `cache == warm` means.
fn results<'s>(summary: &'s Summary, check: &str) -> Vec<(String, &'s ThresholdResult)> {
    let judged = summary.stages.iter().flat_map(|stage| {
        stage
            .thresholds
            .iter()
            .map(move |result| (stage.id.as_str(), stage.label_of_checks(), result))
    });
    judged
        .filter(|(id, label, result)| {
            let named = |name: &str| check.strip_prefix(name).and_then(|it| it.strip_prefix(':'));
            check == result.check
                || [*id, label].iter().any(|name| named(name).map(str::trim) == Some(&result.check))
        })
        .map(|(_, label, result)| (label, result))
        .collect()
}

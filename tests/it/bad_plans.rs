//! Wrong plans and exactly what is said of them.
//!
//! In: `tests/plans/bad/NAME.yaml|toml`. Out: a comparison with `NAME.yaml.stderr` beside it.
//! `RUNNER_UPDATE=1` writes what is said now. A first line `# with: …` gives command-line
//! arguments (`--param a=b`, `--endpoint x`) and environment variables (`NAME=value`).

use std::fs;
use std::path::{Path, PathBuf};

use runner::graph::Graph;
use runner::plan::diagnostic::Code;
use runner::plan::{self, LoadOptions, diagnostic};

/// What the plan's first line asks for.
fn options(text: &str) -> LoadOptions {
    let mut options = LoadOptions::default();
    let Some(line) = text.lines().next().and_then(|line| line.strip_prefix("# with: ")) else {
        return options;
    };
    let mut words = line.split_whitespace();
    while let Some(word) = words.next() {
        let mut value = || words.next().unwrap_or_default().to_owned();
        match word {
            "--param" => {
                let value = value();
                let (name, value) = value.split_once('=').expect("--param NAME=VALUE");
                options.params.push((name.to_owned(), value.to_owned()));
            }
            "--endpoint" => options.endpoint = Some(value()),
            "--set" => options.set.push(value()),
            "--select" => options.select.push(value()),
            "--exclude" => options.exclude.push(value()),
            "--params-file" => options.params_files.push(value().into()),
            "--matrix" => {
                let value = value();
                let (axis, value) = value.split_once('=').expect("--matrix AXIS=VALUE");
                options.matrix.push((axis.to_owned(), value.to_owned()));
            }
            "--shard" => {
                let value = value();
                let (shard, of) = value.split_once('/').expect("--shard K/N");
                options.shard = shard.parse().ok().zip(of.parse().ok());
            }
            _ => {
                let (name, value) = word.split_once('=').expect("NAME=VALUE");
                options.environment.insert(name.to_owned(), value.to_owned());
            }
        }
    }
    options
}

/// Every plan in the folder.
fn plans() -> Vec<PathBuf> {
    let mut plans: Vec<PathBuf> = fs::read_dir("tests/plans/bad")
        .expect("the folder is there")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml" || ending == "toml"))
        .collect();
    plans.sort();
    plans
}

/// What is said of a plan: when it is read, and then of its templates and its graph.
fn said(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("the plan reads");
    let (diagnostics, sources, redactor) = match plan::load(path, &options(&text)) {
        Ok(mut loaded) => {
            let mut found = runner::workload::check::check(&mut loaded.plan, &loaded.sources);
            found.extend(Graph::build(&loaded.plan).err().unwrap_or_default());
            found.extend(loaded.warnings);
            (found, loaded.sources, loaded.redactor)
        }
        Err(error) => (error.diagnostics, error.sources, error.redactor),
    };
    assert!(!diagnostics.is_empty(), "{} is fine, but it is among the bad plans", path.display());
    // Where the repository lies is no part of what is said.
    let root = fs::canonicalize(".").expect("the current folder");
    diagnostic::render(&diagnostics, &sources, &redactor, false)
        .replace(&root.display().to_string(), "[ROOT]")
}

#[test]
fn every_bad_plan_is_refused_in_the_expected_words() {
    let update = std::env::var_os("RUNNER_UPDATE").is_some();
    let mut different = Vec::new();
    let plans = plans();
    assert!(plans.len() >= 120, "only {} bad plans", plans.len());
    for path in plans {
        let said = said(&path);
        let expectation = PathBuf::from(format!("{}.stderr", path.display()));
        if update {
            fs::write(&expectation, &said).expect("the expectation is written");
        } else if fs::read_to_string(&expectation).unwrap_or_default() != said {
            different.push(format!("=== {}\n{said}", path.display()));
        }
    }
    assert!(
        different.is_empty(),
        "other words than expected (RUNNER_UPDATE=1 accepts them):\n{}",
        different.join("\n")
    );
}

#[test]
fn no_expectation_is_left_over() {
    for entry in fs::read_dir("tests/plans/bad").expect("the folder is there") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|ending| ending == "stderr") {
            assert!(path.with_extension("").exists(), "{} has no plan", path.display());
        }
    }
}

#[test]
fn every_code_has_a_bad_plan_and_an_explanation() {
    let said = plans().iter().fold(String::new(), |all, path| all + &said(path));
    for code in Code::ALL {
        // A baseline is missed when a run begins.
        let is_shown = said.contains(&format!("[{code}]")) || *code == Code::Baseline;
        assert!(is_shown, "no bad plan shows {code}");
    }
    for part in said.split("[E").skip(1) {
        let number: String = part.chars().take_while(char::is_ascii_digit).collect();
        assert!(Code::find(&format!("E{number}")).is_some(), "E{number} can't be explained");
    }
}

#[test]
fn every_diagnostic_says_where_or_needs_no_place() {
    for path in plans() {
        let text = fs::read_to_string(&path).expect("the plan reads");
        let Err(error) = plan::load(&path, &options(&text)) else { continue };
        for diagnostic in &error.diagnostics {
            let from_outside =
                diagnostic.message.contains("--") || diagnostic.message.contains("RUNNER_PARAM_");
            assert!(
                from_outside || diagnostic.location().is_some_and(|at| at.line > 0),
                "{}: {diagnostic}",
                path.display()
            );
        }
        let json = diagnostic::json(&error.diagnostics, &error.sources);
        assert_eq!(json.as_array().map(Vec::len), Some(error.diagnostics.len()));
    }
}

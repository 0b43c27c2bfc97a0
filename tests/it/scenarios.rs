//! Every file in scenarios/ runs on the simulator, is built in, and is described.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use runner::plan::{self, LoadOptions};
use serde_json::Value;

use crate::load::{load_with, said};
use crate::sandbox::measured;

/// The scenarios as people write them.
fn scenarios() -> Vec<PathBuf> {
    let entries = fs::read_dir("scenarios").expect("the folder is there");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| {
        let name = path.to_string_lossy();
        let ending = path.extension().and_then(|it| it.to_str());
        matches!(ending, Some("yaml" | "toml")) && !name.contains(".test.")
    });
    paths.sort();
    paths
}

/// Params that make a run short, as far as a scenario has them.
fn short(path: &Path) -> Vec<String> {
    const SMALL: [(&str, &str); 15] = [
        ("docs", "2"),
        ("lengths", "256,512"),
        ("requests", "4"),
        ("rounds", "2"),
        ("context_tokens", "400"),
        ("max_ctx_tokens", "4k"),
        ("output_tokens", "4"),
        ("flush_tokens", "1k"),
        ("concurrency", "1"),
        ("step", "600ms"),
        ("users", "1,4"),
        ("rates", "10,20"),
        ("duration", "1500ms"),
        ("stretch", "1s"),
        ("speed", "10"),
    ];
    let text = fs::read_to_string(path).expect("it reads");
    // An axis of a matrix is seen like a param, and can't be set like one.
    let declares = |name: &str| {
        let written = [format!("{name}: {{ type"), format!("{name} = {{ type")];
        text.lines().any(|line| written.iter().any(|it| line.trim_start().starts_with(it)))
    };
    let mut args = Vec::new();
    for (name, value) in SMALL.iter().filter(|(name, _)| declares(name)) {
        args.extend(["--param".to_owned(), format!("{name}={value}")]);
    }
    args
}

fn runner(folder: &Path, args: &[&str]) -> Output {
    measured(folder, || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
        command.current_dir(folder).env_clear().env("PATH", "/usr/bin:/bin");
        command.args(args).output().expect("runner starts")
    })
}

#[test]
fn every_scenario_passes_on_the_simulator() {
    for path in scenarios() {
        let folder = tempfile::tempdir().expect("a folder");
        let full = fs::canonicalize(&path).expect("a path");
        let mut args = vec!["run".to_owned(), full.display().to_string()];
        args.extend(short(&path));
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let output = runner(folder.path(), &args);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{}: {}{}",
            path.display(),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        let report = String::from_utf8_lossy(&output.stdout);
        assert!(!report.contains("CONTAMINATED"), "{}: {report}", path.display());
    }
}

#[test]
fn every_scenario_is_built_in_and_described() {
    let folder = tempfile::tempdir().expect("a folder");
    let readme = fs::read_to_string("scenarios/README.md").expect("a README");
    let listed = runner(folder.path(), &["list", "--format", "json"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    let listed: Vec<&str> =
        listed.as_array().expect("a list").iter().filter_map(|it| it["name"].as_str()).collect();
    let distinct: std::collections::BTreeSet<&str> = listed.iter().copied().collect();
    assert_eq!(distinct.len(), listed.len(), "listed twice: {listed:?}");
    for path in scenarios().iter().filter(|path| path.extension().is_some_and(|it| it == "yaml")) {
        let name = path.file_stem().expect("a name").to_string_lossy();
        assert!(
            listed.contains(&format!("@{name}").as_str()),
            "{name} is not in FILES of src/commands/builtin.rs"
        );
        assert!(readme.contains(&format!("[{name}]({name}.yaml)")), "{name} is not in the README");
        let output = runner(folder.path(), &["validate", &format!("@{name}")]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{said}");
    }
    let output = runner(folder.path(), &["run", "@quick-smoke", "-p", "requests=3"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let output = runner(folder.path(), &["run", "@quick-smok"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3));
    assert!(said.contains("did you mean `@quick-smoke`?"), "{said}");
}

#[test]
fn every_scenario_means_the_same_as_toml() {
    for path in scenarios().iter().filter(|path| path.extension().is_some_and(|it| it == "yaml")) {
        let text = fs::read_to_string(path).expect("it reads");
        let toml =
            plan::to_toml("a.yaml", &text).unwrap_or_else(|error| panic!("{}", said(&error)));
        let options = LoadOptions::default();
        let from = |name: &str, text: &str| {
            let plan = load_with(name, text, &options).plan;
            let stages = plan.stages.iter().map(|stage| {
                let checks: Vec<_> = stage.thresholds.iter().map(|it| &it.check).collect();
                let live: Vec<_> = stage.live.iter().map(|it| &it.when.check).collect();
                format!("{} {:?} {checks:?} {live:?}", stage.id, stage.action.planned())
            });
            (plan.name.clone(), plan.description.clone(), stages.collect::<Vec<_>>())
        };
        let folder = path.parent().expect("a folder").display().to_string();
        let left = from(&format!("{folder}/a.yaml"), &text);
        let right = from(&format!("{folder}/a.toml"), &toml);
        assert_eq!(left, right, "{toml}");
    }
}

#[test]
fn the_tests_beside_the_scenarios_pass() {
    let junit = tempfile::NamedTempFile::new().expect("a file");
    let path = junit.path().to_str().expect("UTF-8");
    let output = runner(Path::new("."), &["test", "scenarios", "--junit", path]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let xml = fs::read_to_string(junit.path()).expect("JUnit");
    assert!(xml.contains("failures=\"0\"") && xml.contains("without a cache nothing is warm"));
}

#[test]
fn every_scenario_that_the_small_tools_are_mapped_to_is_there() {
    let table = fs::read_to_string("docs/coming-from.md").expect("it reads");
    assert_eq!(table.matches("\n## ").count(), 5);
    let links: Vec<&str> =
        table.split("](../").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    assert!(links.len() >= 10);
    for link in links {
        assert!(Path::new(link).is_file(), "{link} is not there");
    }
}

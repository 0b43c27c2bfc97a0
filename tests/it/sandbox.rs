//! A folder for one plan, `runner` started in it as a person would, and what it left.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// A folder in which `runner` runs, with an environment that is not ours.
pub struct Sandbox {
    pub dir: tempfile::TempDir,
}

impl Sandbox {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a temporary folder") }
    }

    pub fn plan(&self, text: &str) -> PathBuf {
        let path = self.dir.path().join("plan.yaml");
        fs::write(&path, text).expect("the plan is written");
        path
    }

    pub fn runner(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
        command.current_dir(self.dir.path()).env_clear().env("PATH", "/usr/bin:/bin");
        command
    }

    pub fn run(&self, args: &[&str]) -> Output {
        measured(self.dir.path(), || self.runner().args(args).output().expect("runner starts"))
    }

    /// The one run directory under `results/`.
    pub fn run_dir(&self) -> PathBuf {
        let runs = self.runs("results");
        assert_eq!(runs.len(), 1, "one run expected: {runs:?}");
        runs[0].clone()
    }

    /// The run directories of every plan under this folder.
    pub fn runs(&self, results: &str) -> Vec<PathBuf> {
        let plans = children(&self.dir.path().join(results));
        let runs = plans.iter().flat_map(|plan| children(plan));
        runs.filter(|path| path.is_dir() && !path.is_symlink()).collect()
    }

    pub fn summary(&self) -> Value {
        read_json(&self.run_dir().join("summary.json"))
    }
}

/// What `run` comes to in `folder`. A machine that is too busy to measure makes a run INVALID, and is
/// right to; here it is measured anew then, a few times.
pub fn measured(folder: &Path, mut run: impl FnMut() -> Output) -> Output {
    let runs = || {
        let below = |paths: Vec<PathBuf>| paths.iter().flat_map(|it| children(it)).collect();
        let all: Vec<PathBuf> = below(below(children(folder)));
        all.into_iter().filter(|it| it.join("summary.json").exists()).collect::<Vec<_>>()
    };
    for _ in 0..4 {
        let before = runs();
        let output = run();
        let new: Vec<PathBuf> = runs().into_iter().filter(|it| !before.contains(it)).collect();
        if code(&output) != 5 || !new.iter().any(|run| is_busy(run)) {
            return output;
        }
        for run in new {
            fs::remove_dir_all(run).expect("it can be removed");
        }
    }
    run()
}

/// Whether this machine was too busy for the run, as its notes say.
pub fn is_busy(run: &Path) -> bool {
    let notes = read_json(&run.join("summary.json"))["run"]["notes"].to_string();
    notes.contains("generator starved") || notes.contains("this machine stood still")
}

pub fn children(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.map(|entry| entry.expect("readable").path()).collect()
}

pub fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("the file is there")).expect("it is JSON")
}

pub fn records(run_dir: &Path) -> Vec<Value> {
    lines(run_dir, "end")
}

/// The lines of a type in a run's log.
pub fn lines(run_dir: &Path, kind: &str) -> Vec<Value> {
    let text = fs::read_to_string(run_dir.join("records-000001.jsonl")).expect("a record log");
    text.lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("each line is JSON"))
        .filter(|line| line["type"] == kind)
        .collect()
}

pub fn stage<'a>(summary: &'a Value, id: &str) -> &'a Value {
    let stages = summary["stages"].as_array().expect("stages");
    stages.iter().find(|stage| stage["id"] == id).unwrap_or_else(|| panic!("no stage {id}"))
}

pub fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

pub fn stderr(output: &Output) -> String {
    text(&output.stderr)
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub fn shown(path: &Path) -> &str {
    path.to_str().expect("utf-8")
}

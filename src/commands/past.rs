//! Runs by when they were: `latest`, `latest~1`, `last-passed`, wherever a run is asked for.
//!
//! In: what stands for a run. Out: the run's directory. Invariants: a file or folder of that name comes
//! first; runs are told by the time in their ids, and only those that left a summary count.

use std::cmp::Reverse;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::executor::run_dir::{MANIFEST, SUMMARY};
use crate::metrics::summary::Summary;

/// Where runs are looked for unless the plan says otherwise.
const RESULTS: &str = "results";

/// Which of the past runs is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Past {
    /// So many before the last.
    Latest(usize),
    /// The last that passed.
    LastPassed,
}

impl Past {
    fn of(text: &str) -> Option<Self> {
        match text {
            "latest" => Some(Self::Latest(0)),
            "last-passed" => Some(Self::LastPassed),
            _ => Some(Self::Latest(text.strip_prefix("latest~")?.parse().ok()?)),
        }
    }
}

/// Whether this is such a word, and no file or folder.
pub(super) fn is_word(asked: &Path) -> bool {
    !asked.exists() && split(asked).is_some()
}

/// The run that is meant: of any plan under `results`, or of the plan in `PLAN/latest`. The error is for
/// people.
pub(super) fn run(asked: &Path) -> Result<PathBuf, String> {
    match split(asked) {
        Some((plan, past)) if !asked.exists() => find(Path::new(RESULTS), plan, past),
        _ => Ok(asked.to_owned()),
    }
}

/// As [`run`], of one plan whose runs lie under `results`.
pub(super) fn run_of(asked: &Path, results: &Path, plan: &str) -> Result<PathBuf, String> {
    match split(asked) {
        Some((None, past)) if !asked.exists() => find(results, Some(plan), past),
        _ => run(asked),
    }
}

/// The plan and the place in time that a text stands for.
fn split(asked: &Path) -> Option<(Option<&str>, Past)> {
    let text = asked.to_str()?;
    match text.rsplit_once('/') {
        Some((plan, past)) if !plan.contains('/') => Some((Some(plan), Past::of(past)?)),
        Some(_) => None,
        None => Some((None, Past::of(text)?)),
    }
}

fn find(results: &Path, plan: Option<&str>, past: Past) -> Result<PathBuf, String> {
    let plans = match plan {
        Some(plan) => vec![results.join(plan)],
        None => folders(results),
    };
    let found = plans.iter().flat_map(|plan| folders(plan));
    let mut runs: Vec<PathBuf> = found.filter(|run| run.join(SUMMARY).is_file()).collect();
    runs.sort_by_cached_key(|run| Reverse(began(run)));
    let found = match past {
        Past::Latest(before) => runs.get(before),
        Past::LastPassed => runs.iter().find(|run| passed(run)),
    };
    let of = plan.map_or_else(String::new, |plan| format!(" of `{plan}`"));
    found.cloned().ok_or_else(|| {
        let which = match past {
            Past::Latest(0) => "no run".to_owned(),
            Past::Latest(before) => format!("no run {before} before the last"),
            Past::LastPassed => "no run that passed".to_owned(),
        };
        format!("there is {which}{of} under {}", results.display())
    })
}

/// When a run began: by its name, to the second, and within that by when its manifest was written.
fn began(run: &Path) -> (String, Option<SystemTime>, String) {
    let name = run.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let second = name.rsplit_once('-').map_or(&*name, |(second, _)| second).to_owned();
    let written = run.join(MANIFEST).metadata().and_then(|found| found.modified());
    (second, written.ok(), name)
}

fn passed(run: &Path) -> bool {
    let text = fs::read(run.join(SUMMARY)).ok();
    let summary = text.and_then(|text| serde_json::from_slice::<Summary>(&text).ok());
    summary.is_some_and(|summary| summary.verdict.pass)
}

fn folders(of: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(of).into_iter().flatten().flatten();
    let is_folder = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|it| it.is_dir());
    entries.filter(is_folder).map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_found_by_when_they_were() {
        let folder = tempfile::tempdir().expect("a folder");
        let results = folder.path();
        for (plan, run) in [("a", "20260101-1"), ("b", "20260102-1"), ("a", "20260103-1")] {
            let run = results.join(plan).join(run);
            fs::create_dir_all(&run).expect("folders");
            fs::write(run.join(SUMMARY), "{}").expect("a file");
        }
        fs::create_dir_all(results.join("b/20260104-1")).expect("a run without a summary");
        // Of one second.
        for (run, at) in [("20260105-9", 1), ("20260105-1", 2)] {
            let run = results.join("c").join(run);
            fs::create_dir_all(&run).expect("folders");
            fs::write(run.join(SUMMARY), "{}").expect("a file");
            let manifest = fs::File::create(run.join(MANIFEST)).expect("a file");
            let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(at);
            manifest.set_modified(at).expect("a time");
        }
        let of = |plan, past| {
            find(results, plan, past).map(|run| {
                run.strip_prefix(results).expect("below it").to_string_lossy().into_owned()
            })
        };
        assert_eq!(of(None, Past::Latest(0)), Ok("c/20260105-1".into()));
        assert_eq!(of(None, Past::Latest(1)), Ok("c/20260105-9".into()));
        assert_eq!(of(None, Past::Latest(2)), Ok("a/20260103-1".into()));
        assert_eq!(of(None, Past::Latest(3)), Ok("b/20260102-1".into()));
        assert_eq!(of(Some("a"), Past::Latest(1)), Ok("a/20260101-1".into()));
        assert!(
            of(Some("b"), Past::Latest(1))
                .is_err_and(|why| why.contains("1 before the last of `b`"))
        );
        assert!(of(None, Past::LastPassed).is_err_and(|why| why.contains("no run that passed")));
    }

    #[test]
    fn a_word_is_told_from_a_path() {
        for (text, plan, past) in [
            ("latest", None, Past::Latest(0)),
            ("latest~2", None, Past::Latest(2)),
            ("gate/last-passed", Some("gate"), Past::LastPassed),
        ] {
            assert_eq!(split(Path::new(text)), Some((plan, past)), "{text}");
        }
        for path in ["results/gate/latest", "later", "latest~", "latest~x", "a/b"] {
            assert_eq!(split(Path::new(path)), None, "{path}");
        }
    }
}

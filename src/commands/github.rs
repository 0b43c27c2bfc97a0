//! Annotations where GitHub Actions reads them.
//!
//! In: findings, with `GITHUB_ACTIONS=true` in the environment. Out: `::error file=…` lines beside
//! the normal text. Invariant: a document on standard output stays whole; then they go to standard
//! error, which GitHub reads as well.

use std::fmt::Write as _;
use std::path::Path;

use crate::metrics::summary::Summary;
use crate::metrics::verdict;
use crate::output;
use crate::plan::Plan;
use crate::plan::diagnostic::{Severity, annotation};

/// Prints annotations if GitHub is there to read them.
pub(super) fn annotate(annotations: &str, json: bool) {
    if std::env::var_os("GITHUB_ACTIONS").is_none_or(|value| value != "true") {
        return;
    }
    if json {
        output::note_text(annotations);
    } else {
        output::print(annotations);
    }
}

/// Every check of a run that did not hold, at its own line in the plan.
pub(super) fn thresholds(summary: &Summary) -> String {
    let mut out = String::new();
    if summary.verdict.exit_code == verdict::INCOMPLETE || !summary.run.valid {
        let what = if summary.run.valid {
            "the run is incomplete"
        } else {
            "the run's numbers must not be trusted"
        };
        let why = std::iter::once(what).chain(summary.run.notes.iter().map(String::as_str));
        let why: Vec<&str> = why.collect();
        out += &annotation(Severity::Error, None, "no sound result", &why.join("\n"));
    }
    for stage in &summary.stages {
        for result in stage.thresholds.iter().filter(|result| !result.pass) {
            let severity = if verdict::fails(result) { Severity::Error } else { Severity::Warning };
            let stage = stage.label_of_checks();
            let message = format!("{stage}: {}: {}", result.check, result.reason);
            // Writing into a String can't fail.
            let place = place(&result.location);
            let place = place.map(|(file, line, column)| (in_workspace(file), line, column));
            let place = place.as_ref().map(|(file, line, column)| (file.as_str(), *line, *column));
            let _ = write!(out, "{}", annotation(severity, place, "threshold failed", &message));
        }
    }
    out
}

/// A run that never began, at the line of the plan that names its endpoint, counted from 0.
pub(super) fn preflight(plan: &Plan, endpoint: Option<usize>, why: &str) -> String {
    let file = in_workspace(&plan.path.to_string_lossy());
    let place = endpoint.map(|line| (file.as_str(), line + 1, 1));
    annotation(Severity::Error, place, "nothing was sent", why)
}

/// A file's path from the root of the repository, from which code hosts read it, wherever the
/// step's working directory is: from `GITHUB_WORKSPACE`, else from the repository that the file lies
/// in; as it is where it lies in none.
pub(super) fn in_workspace(file: &str) -> String {
    let workspace = std::env::var_os("GITHUB_WORKSPACE").filter(|root| !root.is_empty());
    from_root(file, workspace.as_deref().map(Path::new)).unwrap_or_else(|| file.to_owned())
}

fn from_root(file: &str, workspace: Option<&Path>) -> Option<String> {
    let path = Path::new(file).canonicalize().ok()?;
    let root = match workspace {
        Some(root) => root.canonicalize().ok()?,
        None => path.ancestors().find(|folder| folder.join(".git").exists())?.to_owned(),
    };
    Some(path.strip_prefix(root).ok()?.to_str()?.to_owned())
}

/// `file:line:column`, taken apart from the right: a file's name may hold colons.
fn place(location: &str) -> Option<(&str, usize, usize)> {
    let (rest, column) = location.rsplit_once(':')?;
    let (file, line) = rest.rsplit_once(':')?;
    Some((file, line.parse().ok()?, column.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_told_from_the_workspace_or_the_repository() {
        let folder = tempfile::tempdir().expect("a folder");
        let inner = folder.path().join("bench/plans");
        std::fs::create_dir_all(&inner).expect("folders");
        let plan = inner.join("a.yaml");
        std::fs::write(&plan, "").expect("a file");
        let file = plan.to_str().expect("UTF-8");
        let of = |workspace| from_root(file, workspace);
        assert_eq!(of(None), None, "no repository is around it");
        assert_eq!(of(Some(folder.path())).as_deref(), Some("bench/plans/a.yaml"));
        std::fs::create_dir(folder.path().join("bench/.git")).expect("a repository");
        assert_eq!(of(None).as_deref(), Some("plans/a.yaml"));
        let elsewhere = tempfile::tempdir().expect("a folder");
        assert_eq!(of(Some(elsewhere.path())), None, "it lies outside the workspace");
        assert_eq!(from_root("--set", None), None);
    }

    #[test]
    fn a_place_is_taken_apart_from_the_right() {
        assert_eq!(place("a:b.yaml:3:9"), Some(("a:b.yaml", 3, 9)));
        assert_eq!(place(""), None);
    }
}

//! Annotations where GitHub Actions reads them.
//!
//! In: findings, with `GITHUB_ACTIONS=true` in the environment. Out: `::error file=…` lines beside
//! the normal text. Invariant: a document on standard output stays whole; then they go to standard
//! error, which GitHub reads as well.

use std::fmt::Write as _;
use std::path::Path;

use crate::metrics::summary::Summary;
use crate::metrics::verdict;
use crate::plan::diagnostic::{Severity, annotation};

/// Prints annotations if GitHub is there to read them.
pub(super) fn annotate(annotations: &str, json: bool) {
    if std::env::var_os("GITHUB_ACTIONS").is_none_or(|value| value != "true") {
        return;
    }
    if json {
        eprint!("{annotations}");
    } else {
        super::print(annotations);
    }
}

/// Every check of a run that did not hold, at its own line in the plan.
pub(super) fn thresholds(summary: &Summary) -> String {
    let mut out = String::new();
    for stage in &summary.stages {
        for result in stage.thresholds.iter().filter(|result| !result.pass) {
            let severity = if verdict::fails(result) { Severity::Error } else { Severity::Warning };
            let message = format!("{}: {}: {}", stage.label(), result.check, result.reason);
            // Writing into a String can't fail.
            let place = place(&result.location);
            let place = place.map(|(file, line, column)| (in_workspace(file), line, column));
            let place = place.as_ref().map(|(file, line, column)| (file.as_str(), *line, *column));
            let _ = write!(out, "{}", annotation(severity, place, "threshold failed", &message));
        }
    }
    out
}

/// A file's path from the root of the repository, from which GitHub reads it, wherever the step's
/// working directory is.
pub(super) fn in_workspace(file: &str) -> String {
    let from_root = || {
        let root = Path::new(&std::env::var_os("GITHUB_WORKSPACE")?).canonicalize().ok()?;
        let path = Path::new(file).canonicalize().ok()?;
        Some(path.strip_prefix(root).ok()?.to_str()?.to_owned())
    };
    from_root().unwrap_or_else(|| file.to_owned())
}

/// `file:line:column`, taken apart from the right: a file's name may hold colons.
fn place(location: &str) -> Option<(&str, usize, usize)> {
    let (rest, column) = location.rsplit_once(':')?;
    let (file, line) = rest.rsplit_once(':')?;
    Some((file, line.parse().ok()?, column.parse().ok()?))
}

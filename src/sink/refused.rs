//! What is said where CI looks for results when a run never began.
//!
//! In: a plan's sinks, and why nothing was sent. Out: an `<error>` in each `JUnit` file and a page of
//! Markdown. Invariant: sinks that hold figures are left as they are, for there are none.

use std::path::Path;

use super::target::Whole;
use super::{SinkError, name};
use crate::plan::{SinkConfig, SinkKind};
use crate::report::junit::{self, Case, CaseResult, Suite};
use crate::report::markdown;

/// Writes them; gives what could not be written.
pub fn tell(configs: &[SinkConfig], base: &Path, plan: &str, why: &str) -> Vec<SinkError> {
    let told = configs.iter().filter_map(|config| {
        let document = match config.kind {
            SinkKind::Junit => junit(plan, why),
            SinkKind::Markdown => markdown::refused(plan, why),
            _ => return None,
        };
        write(config, base, &document).err()
    });
    told.collect()
}

fn junit(plan: &str, why: &str) -> String {
    let case = Case {
        name: "preflight".into(),
        seconds: 0.0,
        result: CaseResult::Broken(format!("nothing was sent\n{why}")),
        at: None,
        remark: None,
    };
    junit::render(&[Suite { name: plan.to_owned(), cases: vec![case] }])
}

fn write(config: &SinkConfig, base: &Path, document: &str) -> Result<(), SinkError> {
    let name = name(config);
    let appends =
        |path: &Path| config.kind == SinkKind::Markdown && super::markdown::is_step_summary(path);
    // What another run is writing is not taken from it.
    let file = Whole::open(&name, &config.target, base, appends)?;
    file.write(document.as_bytes()).map_err(|error| SinkError::new(&name, error))
}

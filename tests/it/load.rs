//! What the tests of plans share: loading a text, and a plan to start from.

use std::collections::BTreeMap;

use runner::plan::diagnostic::{self, Code};
use runner::plan::{self, Action, LoadError, LoadOptions, Loaded, Plan, Repeat};

/// What is said of a plan that is refused.
pub fn said(error: &LoadError) -> String {
    diagnostic::render(&error.diagnostics, &error.sources, &error.redactor, false)
}

/// Loads a text that must load.
pub fn load_with(name: &str, text: &str, options: &LoadOptions) -> Loaded {
    plan::load_text(name, text, options).unwrap_or_else(|error| panic!("{}", said(&error)))
}

/// Loads a YAML text that must load by itself.
pub fn load(text: &str) -> Loaded {
    load_with("plan.yaml", text, &LoadOptions::default())
}

/// Loads a text that must not load.
pub fn refused(text: &str, options: &LoadOptions) -> LoadError {
    match plan::load_text("plan.yaml", text, options) {
        Ok(_) => panic!("it loads:\n{text}"),
        Err(error) => error,
    }
}

/// The codes of what is said, in order.
pub fn codes(error: &LoadError) -> Vec<Code> {
    error.diagnostics.iter().map(|it| it.code).collect()
}

/// An environment.
pub fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// `--param` flags.
pub fn params(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// What a cold or warm stage does.
pub fn repeat(plan: &Plan, id: &str) -> Repeat {
    let stage = plan.stages.iter().find(|stage| stage.id == id).expect("the stage is there");
    match &stage.action {
        Action::Cold(repeat) | Action::Warm(repeat) => repeat.clone(),
        other => panic!("{other:?}"),
    }
}

/// Six lines, everything defaulted.
pub const SMALLEST: &str = "version: 1
endpoint: http://127.0.0.1:8000/v1
prompt: Say hello.
stages:
  - kind: cold
  - kind: warm
";

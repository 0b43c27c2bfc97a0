//! `*.test.yaml`: what a plan must come to, and how it must fare on the simulator.
//!
//! In: a test file. Out: a [`TestFile`], or diagnostics as for plans: same reader, same units, same
//! "did you mean". Invariant: a case that expects nothing is an error, since it could never fail.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::bind::{Named, Spanned, bind};
use super::diagnostic::{self, Code, Diagnostic, Severity};
use super::file::SimulatorKeys;
use super::lower::Lowering;
use super::source::{self, Format, Sources};
use super::{LoadError, LoadOptions, Location, Plan, Redactor, SimulatorConfig, Target};

/// The ending of every test file's name.
pub const ENDINGS: [&str; 3] = [".test.yaml", ".test.yml", ".test.toml"];

/// A checked test file.
#[derive(Debug)]
pub struct TestFile {
    /// The plan that it tests.
    pub plan: PathBuf,
    /// In the order of the text.
    pub cases: Vec<TestCase>,
}

/// One case.
#[derive(Debug)]
pub struct TestCase {
    /// What it is called.
    pub name: String,
    /// Where it stands.
    pub location: Location,
    /// `--param`.
    pub params: Vec<(String, String)>,
    /// The whole environment.
    pub environment: BTreeMap<String, String>,
    /// `--endpoint`.
    pub endpoint: Option<String>,
    /// What must come out.
    pub expect: Expect,
    simulator: Option<Spanned<SimulatorKeys>>,
}

/// What must come out of a case.
#[derive(Debug, Default)]
pub struct Expect {
    /// JSON pointers into `runner plan --format json`, and the values there.
    pub resolved: Vec<(String, serde_json::Value)>,
    /// Ids of the stages in the order in which they run.
    pub order: Option<Vec<String>>,
    /// Codes of the plan's diagnostics; the plan must load when empty.
    pub diagnostics: Vec<String>,
    /// The exit code of a run.
    pub exit: Option<i32>,
    /// Checks that must hold: `stage: check`, or the check alone.
    pub pass: Vec<String>,
    /// Checks that must not.
    pub fail: Vec<String>,
}

impl Expect {
    /// Whether the plan has to be run.
    pub fn runs(&self) -> bool {
        self.exit.is_some() || !self.pass.is_empty() || !self.fail.is_empty()
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TestKeys {
    version: Option<Spanned<String>>,
    plan: Option<Spanned<String>>,
    cases: Option<Spanned<Vec<Spanned<CaseKeys>>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseKeys {
    name: Spanned<String>,
    #[serde(default)]
    params: Named<serde_json::Value>,
    #[serde(default)]
    env: Named<String>,
    endpoint: Option<String>,
    simulator: Option<Spanned<SimulatorKeys>>,
    #[serde(default)]
    expect: ExpectKeys,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectKeys {
    #[serde(default)]
    resolved: Named<serde_json::Value>,
    order: Option<Vec<String>>,
    #[serde(default)]
    diagnostics: Vec<Spanned<String>>,
    exit: Option<i32>,
    #[serde(default)]
    pass: Vec<String>,
    #[serde(default)]
    fail: Vec<String>,
}

impl TestCase {
    /// Puts the case's simulator in place of whatever the stages would talk to; its keys are laid
    /// over those of the plan's own simulators. A case without one leaves the plan as it is.
    pub fn put_simulator(&self, plan: &mut Plan) {
        let Some(written) = &self.simulator else { return };
        for stage in &mut plan.stages {
            let base = match &stage.endpoint.target {
                Target::Simulator(config) => config.as_ref().clone(),
                Target::Url(_) => SimulatorConfig { seed: plan.seed, ..SimulatorConfig::default() },
            };
            let config = laid_over(written, base, &Sources::default(), &mut Vec::new());
            stage.endpoint.target = Target::Simulator(Box::new(config));
            stage.endpoint.model = None;
        }
    }
}

fn laid_over(
    written: &Spanned<SimulatorKeys>,
    base: SimulatorConfig,
    sources: &Sources,
    found: &mut Vec<Diagnostic>,
) -> SimulatorConfig {
    let tree = source::Node::new(source::Value::Null, written.at.span);
    Lowering {
        sources,
        options: &LoadOptions::default(),
        redactor: &mut Redactor::default(),
        found,
        tree: &tree,
        bad: &std::collections::BTreeSet::new(),
        cell: None,
        root: PathBuf::new(),
    }
    .simulator_over(written, base)
}

/// Reads a test file.
pub fn load_tests(path: &Path) -> Result<TestFile, LoadError> {
    let shown = path.display().to_string();
    let mut sources = Sources::default();
    let mut found = Vec::new();
    let file = read(path, &shown, &mut sources, &mut found);
    diagnostic::sort(&mut found);
    match file {
        Some(file) if !found.iter().any(|it| it.severity == Severity::Error) => Ok(file),
        _ => Err(LoadError { diagnostics: found, sources, redactor: Redactor::default() }),
    }
}

fn read(
    path: &Path,
    shown: &str,
    sources: &mut Sources,
    found: &mut Vec<Diagnostic>,
) -> Option<TestFile> {
    let text = match Format::of(shown).and_then(|format| Ok((format, source::read_file(path)?))) {
        Ok(text) => text,
        Err(problem) => {
            found.push(of_test(problem));
            return None;
        }
    };
    let source = sources.add(shown, &text.1);
    let tree = match source::parse(sources, source, text.0) {
        Ok(tree) => tree,
        Err(problems) => {
            found.extend(problems.into_iter().map(of_test));
            return None;
        }
    };
    let mut bound = bind::<TestKeys>(&tree, sources);
    found.append(&mut bound.diagnostics);
    let keys = bound.value?;
    let start = sources.location(tree.entries().first().map_or(tree.at.span, |it| it.key_span));
    if keys.version.as_ref().is_none_or(|version| version.value != "1") {
        let message = "a test file says its version";
        found.push(
            Diagnostic::error(Code::Version, message)
                .at(start.clone())
                .help("begin it with `version: 1`"),
        );
    }
    let cases = keys.cases.map(|cases| cases.value).unwrap_or_default();
    if cases.is_empty() && found.is_empty() {
        let message = "the test file has no cases";
        found.push(
            Diagnostic::error(Code::Incomplete, message).at(start.clone()).help("add `cases:`"),
        );
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let plan = match &keys.plan {
        Some(written) if written.value.starts_with('@') => PathBuf::from(&written.value),
        Some(written) => {
            let plan = folder.join(&written.value);
            if !plan.is_file() {
                let message = format!("there is no plan `{}`", plan.display());
                found.push(
                    Diagnostic::error(Code::File, message)
                        .at(sources.location(written.at.span))
                        .help("`plan` is a path from this file, or a built-in scenario such as `@cache-eviction`"),
                );
            }
            plan
        }
        None => beside(path).unwrap_or_else(|wanted| {
            let message = format!("there is no plan beside this test: no `{}`", wanted.display());
            found.push(
                Diagnostic::error(Code::File, message).at(start.clone()).help(
                    "say which plan it tests: `plan: PATH` from this file, or a built-in scenario such as `plan: \"@cache-eviction\"`",
                ),
            );
            wanted
        }),
    };
    let cases = cases.into_iter().map(|case| lowered(case, sources, found)).collect();
    Some(TestFile { plan, cases })
}

/// What the reader of plans says, of a test file.
fn of_test(mut problem: Diagnostic) -> Diagnostic {
    problem.message = problem.message.replacen("the plan", "the test file", 1);
    for help in &mut problem.help {
        if help.starts_with("start with") {
            "start with `version: 1` and `cases:`; `runner test --help` shows one".clone_into(help);
        }
    }
    problem
}

/// The plan beside a test file: `a.yaml`, `a.yml` or `a.toml` for `a.test.yaml`; the path that was
/// looked for first when there is none.
fn beside(path: &Path) -> Result<PathBuf, PathBuf> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let first = path.with_file_name(name.replacen(".test.", ".", 1));
    let others = ["yaml", "yml", "toml"].map(|ending| first.with_extension(ending));
    let mut plans = std::iter::once(&first).chain(&others);
    plans.find(|plan| plan.is_file()).cloned().ok_or(first.clone())
}

fn lowered(case: Spanned<CaseKeys>, sources: &Sources, found: &mut Vec<Diagnostic>) -> TestCase {
    let keys = case.value;
    let location = sources.location(keys.name.at.span);
    if let Some(simulator) = &keys.simulator {
        laid_over(simulator, SimulatorConfig::default(), sources, found);
    }
    let diagnostics: Vec<String> =
        keys.expect.diagnostics.iter().map(|it| it.value.clone()).collect();
    for code in &keys.expect.diagnostics {
        if Code::find(&code.value).is_none() {
            found.push(
                Diagnostic::error(
                    Code::Choice,
                    format!("no diagnostic has the code `{}`", code.value),
                )
                .at(sources.location(code.at.span))
                .help("codes are those of `runner explain`, such as E021"),
            );
        }
    }
    let resolved = keys.expect.resolved.0;
    for (pointer, _) in &resolved {
        if !pointer.value.starts_with('/') {
            found.push(
                Diagnostic::error(Code::Value, format!("`{}` is no JSON pointer", pointer.value))
                    .at(sources.location(pointer.at.span))
                    .help("write a path such as `/stages/0/requests`"),
            );
        }
    }
    let expect = Expect {
        resolved: resolved.into_iter().map(|(pointer, value)| (pointer.value, value)).collect(),
        order: keys.expect.order,
        diagnostics,
        exit: keys.expect.exit,
        pass: keys.expect.pass,
        fail: keys.expect.fail,
    };
    let is_vacuous = !expect.runs()
        && expect.resolved.is_empty()
        && expect.order.is_none()
        && expect.diagnostics.is_empty();
    if is_vacuous {
        let message = format!("the case `{}` expects nothing", keys.name.value);
        found.push(
            Diagnostic::error(Code::Incomplete, message)
                .at(location.clone())
                .help("add resolved, order, diagnostics, exit, pass or fail under `expect`"),
        );
    }
    if !expect.diagnostics.is_empty() && (expect.runs() || expect.order.is_some()) {
        let message = format!("the case `{}` expects a refused plan to run", keys.name.value);
        found.push(
            Diagnostic::error(Code::Conflict, message).at(location.clone()).help(
                "keep `diagnostics`, or what is expected of the plan; write two cases for both",
            ),
        );
    }
    TestCase {
        name: keys.name.value,
        location,
        params: keys
            .params
            .0
            .iter()
            .map(|(name, value)| (name.value.clone(), text(value)))
            .collect(),
        environment: keys.env.0.into_iter().map(|(name, value)| (name.value, value)).collect(),
        endpoint: keys.endpoint,
        expect,
        simulator: keys.simulator,
    }
}

/// A param's value as `--param` would have it.
fn text(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

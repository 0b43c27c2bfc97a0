//! The whole way from a file to a [`Plan`].
//!
//! In: a path, or a name and a text; what the command line and the environment say. Out: a plan
//! with its warnings, or every error there is. Invariant: the environment comes in as a value, and
//! no secret leaves in a diagnostic.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::bind::bind;
use super::diagnostic::{self, Code, Diagnostic, Severity};
use super::file::PlanFile;
use super::interpolate::Scope;
use super::lower::{Identity, Lowering};
use super::params::{Resolved, Resolver};
use super::source::{self, Format, Node, Sources, Value};
use super::{Plan, Redactor};

/// What the command line and the environment say about a plan.
#[derive(Clone, Default)]
pub struct LoadOptions {
    /// `--param NAME=VALUE`, in order; the last of a name counts.
    pub params: Vec<(String, String)>,
    /// The environment: params, `${env:…}` and `${secret:…}` come from here and nowhere else.
    pub environment: BTreeMap<String, String>,
    /// `--endpoint`: a profile's name or a URL in place of every target in the plan; models, keys,
    /// headers and timeouts written over the target stay.
    pub endpoint: Option<String>,
    /// `--seed` in place of the plan's.
    pub seed: Option<u64>,
    /// Let data files lie outside the plan's root.
    pub allow_outside_root: bool,
    /// `--sink KIND:TARGET`, beside the plan's own.
    pub sinks: Vec<String>,
}

impl fmt::Debug for LoadOptions {
    /// Names only: any value may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let params: Vec<&str> = self.params.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("LoadOptions")
            .field("params", &params)
            .field("environment", &self.environment.keys())
            .field("endpoint", &self.endpoint)
            .field("seed", &self.seed)
            .field("allow_outside_root", &self.allow_outside_root)
            .field("sinks", &self.sinks)
            .finish()
    }
}

/// A plan that may run.
#[derive(Debug)]
pub struct Loaded {
    /// The plan.
    pub plan: Plan,
    /// What is likely not meant.
    pub warnings: Vec<Diagnostic>,
    /// The texts that locations point into.
    pub sources: Sources,
    /// Every secret that came in.
    pub redactor: Redactor,
}

/// Why a plan may not run.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.first())]
pub struct LoadError {
    /// Errors, then warnings, each in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
    /// The texts that they point into.
    pub sources: Sources,
    /// Every secret that came in.
    pub redactor: Redactor,
}

impl LoadError {
    fn first(&self) -> String {
        self.diagnostics
            .first()
            .map_or_else(|| "the plan can't be used".into(), ToString::to_string)
    }
}

/// Loads a plan file.
pub fn load(path: &Path, options: &LoadOptions) -> Result<Loaded, LoadError> {
    let shown = path.display().to_string();
    let text = match Format::of(&shown).and_then(|_| source::read_file(path)) {
        Ok(text) => text,
        Err(problem) => {
            return Err(LoadError {
                diagnostics: vec![problem],
                sources: Sources::default(),
                redactor: Redactor::default(),
            });
        }
    };
    load_text(&shown, &text, options)
}

/// Loads a plan from its text. `name` is what diagnostics call it; its ending tells the format, its
/// folder is where relative paths start.
pub fn load_text(name: &str, text: &str, options: &LoadOptions) -> Result<Loaded, LoadError> {
    let mut loading = Loading {
        options,
        sources: Sources::default(),
        redactor: Redactor::default(),
        found: Vec::new(),
    };
    let plan = loading.run(name, text);
    let Loading { sources, redactor, mut found, .. } = loading;
    for diagnostic in &mut found {
        diagnostic.redact(&redactor);
    }
    diagnostic::sort(&mut found);
    let failed = found.iter().any(|it| it.severity == Severity::Error);
    match plan {
        Some(plan) if !failed => Ok(Loaded { plan, warnings: found, sources, redactor }),
        _ => Err(LoadError { diagnostics: found, sources, redactor }),
    }
}

struct Loading<'l> {
    options: &'l LoadOptions,
    sources: Sources,
    redactor: Redactor,
    found: Vec<Diagnostic>,
}

impl Loading<'_> {
    fn run(&mut self, name: &str, text: &str) -> Option<Plan> {
        let mut tree = self.parse(name, text)?;
        let params = Resolver {
            sources: &self.sources,
            options: self.options,
            redactor: &mut self.redactor,
            found: &mut self.found,
        }
        .resolve(&tree);
        let plan_name = self.interpolate(&mut tree, &params, name);
        tree.number(0);
        let mut bound = bind::<PlanFile>(&tree, &self.sources);
        self.found.append(&mut bound.diagnostics);
        let path = PathBuf::from(name);
        let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
        let identity = Identity {
            name: plan_name,
            hash: hash(text),
            params: params.into_iter().map(|param| param.shown).collect(),
            path,
        };
        Lowering {
            sources: &self.sources,
            options: self.options,
            redactor: &mut self.redactor,
            found: &mut self.found,
            tree: &tree,
            bad: &bound.bad,
            root: root_of(&folder),
            folder,
        }
        .plan(bound.value?, identity)
    }

    fn parse(&mut self, name: &str, text: &str) -> Option<Node> {
        let format = match Format::of(name) {
            Ok(format) => format,
            Err(problem) => {
                self.found.push(problem);
                return None;
            }
        };
        let source = self.sources.add(name, text);
        match source::parse(&self.sources, source, format) {
            Ok(tree) if matches!(tree.value, Value::Map(_)) => Some(tree),
            Ok(tree) => {
                let message = format!("a plan is a map of keys, not {}", tree.describe());
                self.found.push(
                    Diagnostic::error(Code::Type, message)
                        .at(self.sources.location(tree.at.span))
                        .help("start with `version: 1`"),
                );
                None
            }
            Err(mut problems) => {
                self.found.append(&mut problems);
                None
            }
        }
    }

    /// Fills in references, the plan's name first; returns the name.
    fn interpolate(&mut self, tree: &mut Node, params: &[Resolved], file: &str) -> String {
        let mut scope = Scope {
            sources: &self.sources,
            options: self.options,
            params,
            plan_name: None,
            redactor: &mut self.redactor,
            found: &mut self.found,
            used: std::collections::BTreeSet::new(),
        };
        let stem = Path::new(file).file_stem().and_then(|stem| stem.to_str()).unwrap_or("plan");
        let mut name = stem.to_owned();
        if let Value::Map(entries) = &mut tree.value
            && let Some(entry) = entries.iter_mut().find(|entry| entry.key == "name")
            && let Some(text) = entry.node.text()
        {
            scope.leaf(&mut entry.node, text, &["name".to_owned()]);
            name = entry.node.text().unwrap_or(name);
            // Done: `${` in it now would be a value, not a reference.
            let filled = std::mem::replace(&mut entry.node.value, Value::Null);
            scope.plan_name = Some(name.clone());
            scope.fill(tree);
            if let Value::Map(entries) = &mut tree.value
                && let Some(entry) = entries.iter_mut().find(|entry| entry.key == "name")
            {
                entry.node.value = filled;
            }
        } else {
            scope.plan_name = Some(name.clone());
            scope.fill(tree);
        }
        let used = scope.used;
        let unused = |param: &&Resolved| param.value.is_some() && !used.contains(&param.shown.name);
        for param in params.iter().filter(unused) {
            let message = format!("param `{}` is declared but never used", param.shown.name);
            self.found.push(
                Diagnostic::warning(Code::ParamUnused, message)
                    .at(self.sources.location(param.span))
                    .help(format!("use it as `${{{}}}`, or remove it", param.shown.name)),
            );
        }
        name
    }
}

/// The folder that data files may not leave: that of the repository around the plan, else the
/// plan's own.
fn root_of(folder: &Path) -> PathBuf {
    let start = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let absolute = start.canonicalize().unwrap_or_else(|_| start.to_path_buf());
    let repository = absolute.ancestors().find(|ancestor| ancestor.join(".git").exists());
    repository.map_or_else(|| start.to_path_buf(), Path::to_path_buf)
}

fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
        // Writing into a String can't fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

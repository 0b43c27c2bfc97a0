//! The whole way from a file to a [`Plan`].
//!
//! In: a path, or a name and a text; what the command line and the environment say. Out: a plan
//! with its warnings, or every error there is. Invariant: the environment comes in as a value, and
//! no secret leaves in a diagnostic.

mod cells;
mod misplaced;
mod resolve;

use std::collections::{BTreeMap, HashSet};
use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::diagnostic::{self, Code, Diagnostic, Severity};
use super::source::{self, Format, Sources};
use super::{Plan, Redactor};
use resolve::Loading;

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
    /// `--params-file`, in order; the last that has a name counts.
    pub params_files: Vec<PathBuf>,
    /// `--set PATH=VALUE`, in order.
    pub set: Vec<String>,
    /// `--select`: the stages to run; all of them when empty.
    pub select: Vec<String>,
    /// `--exclude`: stages to leave out.
    pub exclude: Vec<String>,
    /// `--smoke`: one request per stage, nothing judged.
    pub smoke: bool,
    /// `--matrix AXIS=VALUE`: the cells to run; all of them when empty.
    pub matrix: Vec<(String, String)>,
    /// `--shard K/N`: every N-th cell from the K-th on, from 1.
    pub shard: Option<(usize, usize)>,
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
            .field("params_files", &self.params_files)
            .field("select", &self.select)
            .field("exclude", &self.exclude)
            .field("smoke", &self.smoke)
            .field("matrix", &self.matrix)
            .field("shard", &self.shard)
            .finish_non_exhaustive()
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
    /// Whether the plan is fine and the command line asks for nothing of it.
    pub fn is_selection(&self) -> bool {
        let mut errors = self.diagnostics.iter().filter(|it| it.severity == Severity::Error);
        errors.all(|it| it.code == Code::Selection)
    }

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
    let mut loading = Loading::new(options);
    let plan = loading.run(name, text);
    let Loading { sources, mut redactor, mut found, .. } = loading;
    if found.iter().any(|it| it.severity == Severity::Error) {
        for (_, text) in sources.all() {
            for secret in misplaced::secrets(text) {
                redactor.register(secret);
            }
        }
    }
    once(&mut found);
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

/// Drops what was found twice: a default put into several stages is looked at in each.
fn once(found: &mut Vec<Diagnostic>) {
    let mut seen = HashSet::new();
    found.retain(|diagnostic| seen.insert(diagnostic.clone()));
}

/// The folder that data files may not leave: that of the repository around the plan, else the
/// plan's own.
fn root_of(folder: &Path) -> PathBuf {
    let start = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let absolute = start.canonicalize().unwrap_or_else(|_| start.to_path_buf());
    let repository = absolute.ancestors().find(|ancestor| ancestor.join(".git").exists());
    repository.map_or_else(|| start.to_path_buf(), Path::to_path_buf)
}

/// One file by its text, several by the hashes of each.
fn hash(sources: &Sources) -> String {
    let texts: Vec<&str> =
        sources.all().filter(|(name, _)| !name.starts_with("--")).map(|(_, text)| text).collect();
    match texts.as_slice() {
        [text] => hex(text.as_bytes()),
        texts => {
            let hashes: Vec<String> = texts.iter().map(|text| hex(text.as_bytes())).collect();
            hex(hashes.join("\n").as_bytes())
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
        // Writing into a String can't fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

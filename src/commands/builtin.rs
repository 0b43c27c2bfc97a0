//! The scenarios inside the binary: `@name` wherever a plan's path may stand.
//!
//! In: a name. Out: a file that is read like any other. Invariant: what is embedded is what lies in
//! `scenarios/`, byte for byte, with the data it needs, in the same places relative to each other;
//! the files written out for a run are its own, readable by nobody else, and gone after it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::plan::suggest;

/// The repository's files that make up the built-in scenarios.
pub(crate) const FILES: &[(&str, &str)] = &[
    ("scenarios/ab-models.yaml", include_str!("../../scenarios/ab-models.yaml")),
    ("scenarios/cache-eviction.yaml", include_str!("../../scenarios/cache-eviction.yaml")),
    ("scenarios/ci-gate.yaml", include_str!("../../scenarios/ci-gate.yaml")),
    ("scenarios/concurrency-ramp.yaml", include_str!("../../scenarios/concurrency-ramp.yaml")),
    ("scenarios/cached-generate.yaml", include_str!("../../scenarios/cached-generate.yaml")),
    ("scenarios/chat-ladder.yaml", include_str!("../../scenarios/chat-ladder.yaml")),
    ("scenarios/chat-replay-qps.yaml", include_str!("../../scenarios/chat-replay-qps.yaml")),
    (
        "scenarios/chat-replay-timestamp.yaml",
        include_str!("../../scenarios/chat-replay-timestamp.yaml"),
    ),
    ("scenarios/conversation.yaml", include_str!("../../scenarios/conversation.yaml")),
    ("scenarios/context-sweep.yaml", include_str!("../../scenarios/context-sweep.yaml")),
    ("scenarios/heavy.yaml", include_str!("../../scenarios/heavy.yaml")),
    ("scenarios/max-context-stress.yaml", include_str!("../../scenarios/max-context-stress.yaml")),
    ("scenarios/model-comparison.yaml", include_str!("../../scenarios/model-comparison.yaml")),
    ("scenarios/qps-ladder-slo.yaml", include_str!("../../scenarios/qps-ladder-slo.yaml")),
    ("scenarios/quick-smoke.yaml", include_str!("../../scenarios/quick-smoke.yaml")),
    ("scenarios/repeat-ratio.yaml", include_str!("../../scenarios/repeat-ratio.yaml")),
    ("scenarios/saturation.yaml", include_str!("../../scenarios/saturation.yaml")),
    ("scenarios/search-rate.yaml", include_str!("../../scenarios/search-rate.yaml")),
    ("scenarios/soak.yaml", include_str!("../../scenarios/soak.yaml")),
    ("scenarios/standard.yaml", include_str!("../../scenarios/standard.yaml")),
    (
        "scenarios/synthetic-prefix-share.yaml",
        include_str!("../../scenarios/synthetic-prefix-share.yaml"),
    ),
    (
        "datasets/samples/chat-history.json",
        include_str!("../../datasets/samples/chat-history.json"),
    ),
    ("datasets/samples/sharegpt.json", include_str!("../../datasets/samples/sharegpt.json")),
    ("datasets/chat-replay.log", include_str!("../../datasets/chat-replay.log")),
    ("datasets/questions.jsonl", include_str!("../../datasets/questions.jsonl")),
];

/// A built-in scenario.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scenario {
    /// Without the `@`.
    pub name: &'static str,
    /// Its path in the repository.
    pub path: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// Every built-in scenario, by name.
pub(crate) fn scenarios() -> impl Iterator<Item = Scenario> {
    FILES.iter().filter_map(|&(path, text)| {
        let name = path.strip_prefix("scenarios/")?.strip_suffix(".yaml")?;
        Some(Scenario { name, path, text })
    })
}

/// The scenario of that name (with or without `@`), or what to say.
pub(crate) fn find(name: &str) -> Result<Scenario, String> {
    let name = name.strip_prefix('@').unwrap_or(name);
    let known = || scenarios().map(|scenario| scenario.name);
    scenarios().find(|scenario| scenario.name == name).ok_or_else(|| {
        let near = suggest::nearest(name, known());
        let near =
            near.map_or_else(String::new, |near| format!("\n  help: did you mean `@{near}`?"));
        let known: Vec<&str> = known().collect();
        format!("no scenario is called `@{name}`{near}\n  help: built in: {}", known.join(", "))
    })
}

/// The name behind an `@`, when a path is one.
pub(crate) fn name_of(path: &Path) -> Option<&str> {
    path.to_str().filter(|path| path.starts_with('@'))
}

/// Where a plan can be read; temporary files live as long as this.
#[derive(Debug)]
pub(crate) struct Place {
    /// The plan's file.
    pub path: PathBuf,
    /// What to call it, when that is not its path.
    pub name: Option<String>,
    folder: Option<PathBuf>,
}

impl Place {
    /// A path as it is, or a built-in scenario written out. The error is for people.
    pub(crate) fn of(path: &Path) -> Result<Self, String> {
        if let Some(url) = path.to_str().filter(|path| path.contains("://")) {
            return Err(format!(
                "`{url}` is a URL, not a plan\n  help: `runner quick {url}` measures it without a \
                 plan; `runner run PLAN --endpoint {url}` runs a plan against it"
            ));
        }
        // A bare name that is no file here is that of a scenario.
        let bare = path.to_str().filter(|name| !path.exists() && find(name).is_ok());
        let Some(name) = name_of(path).or(bare) else {
            return Ok(Self::of_file(path));
        };
        let scenario = find(name)?;
        let folder = write_out()
            .map_err(|error| format!("the built-in scenarios can't be written out: {error}"))?;
        let path = folder.join(scenario.path);
        Ok(Self { path, name: Some(format!("@{}", scenario.name)), folder: Some(folder) })
    }

    /// A file as it is.
    pub(crate) fn of_file(path: &Path) -> Self {
        Self { path: path.to_owned(), name: None, folder: None }
    }

    /// A plan of this text in a folder of its own.
    pub(crate) fn of_text(name: &str, text: &str) -> io::Result<Self> {
        let folder = new_folder()?;
        let place =
            Self { path: folder.join("plan.yaml"), name: Some(name.into()), folder: Some(folder) };
        fs::write(&place.path, text)?;
        Ok(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder {
            let _left_to_the_system = fs::remove_dir_all(folder);
        }
    }
}

/// Writes every embedded file below a new folder of our own.
fn write_out() -> io::Result<PathBuf> {
    let folder = new_folder()?;
    // The mark of a root: scenarios name data beside their own folder.
    fs::create_dir(folder.join(".git"))?;
    for (path, text) in FILES {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, text)?;
    }
    Ok(folder)
}

/// A folder that nobody else can read.
fn new_folder() -> io::Result<PathBuf> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let nanos = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos());
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("runner-{}-{nanos}-{number}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    // Fails when somebody has put it there before us.
    builder.create(&folder)?;
    Ok(folder)
}

//! Written plan → checked plan.
//!
//! In: what was bound, with places. Out: a [`Plan`] with every default filled in and every name
//! checked, or diagnostics. Invariant: nothing is reported about what binding has already refused.

mod dataset;
mod endpoint;
mod live;
mod merge;
mod path;
mod prompt;
mod rungs;
mod sink;
mod stage;
mod synthetic;
mod threshold;

pub use sink::of_options as sinks_of_options;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::bind::Spanned;
use super::diagnostic::{Code, Diagnostic};
use super::file::{Count, PlanFile};
use super::source::{At, Entry, Node, Sources, Span, Value};
use super::{Cell, LoadOptions, Location, Nonce, Param, Plan, Redactor, suggest};

/// More requests, tokens or users than anyone can mean; sums of counts stay within 64 bits.
const MOST_COUNTED: u64 = 1_000_000_000_000;

/// What lowering knows besides the written plan.
pub(crate) struct Lowering<'l> {
    pub(crate) sources: &'l Sources,
    pub(crate) options: &'l LoadOptions,
    pub(crate) redactor: &'l mut Redactor,
    pub(crate) found: &'l mut Vec<Diagnostic>,
    /// The tree that the written plan was bound from.
    pub(crate) tree: &'l Node,
    /// The nodes that binding refused.
    pub(crate) bad: &'l BTreeSet<u32>,
    /// The cell of the matrix that is lowered.
    pub(crate) cell: Option<Arc<Cell>>,
    /// The folder that data files may not leave.
    pub(crate) root: PathBuf,
}

/// What the text alone can't say.
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) hash: String,
    pub(crate) params: Vec<Param>,
}

impl Lowering<'_> {
    /// Lowers a plan; with errors among the findings the value is not to be used.
    pub(crate) fn plan(&mut self, mut file: PlanFile, identity: Identity) -> Option<Plan> {
        self.version(file.version.take());
        self.name(file.name.as_ref(), &identity.name);
        let seed = self.options.seed.or(file.seed.map(|seed| seed.value.0)).unwrap_or(0);
        let nonce = self.nonce(file.nonce.as_ref());
        let results = match &file.results {
            Some(folder) if folder.value.trim().is_empty() => {
                self.error(Code::Value, folder.at.span, "`results` names no folder", "");
                PathBuf::new()
            }
            Some(folder) => PathBuf::from(&folder.value),
            None => PathBuf::from("results"),
        };
        let grace = file.grace.map_or(Duration::from_secs(5), |grace| grace.value.0);
        let durability = file.durability.unwrap_or_default();
        let simulator = file.simulator.unwrap_or_default();
        let sinks = self.sinks(&file.sinks);
        let tags = std::mem::take(&mut file.tags.0);
        let tags: BTreeMap<_, _> =
            tags.into_iter().map(|(name, text)| (name.value, text)).collect();
        let description = file.description.take();
        let stages = self.stages(file, seed);
        Some(Plan {
            name: identity.name,
            description,
            path: identity.path,
            root: self.root.clone(),
            hash: identity.hash,
            seed,
            nonce,
            params: identity.params,
            stages: stages?,
            cells: self.cell.iter().cloned().collect(),
            interleave: false,
            sinks,
            results,
            grace,
            durability,
            simulator,
            tags,
            resolved: serde_json::Value::Null,
        })
    }

    fn version(&mut self, version: Option<Spanned<String>>) {
        match version {
            Some(version) if version.value == "1" => {}
            Some(version) => {
                let message = format!("plan version `{}` is not known", version.value);
                self.error(
                    Code::Version,
                    version.at.span,
                    message,
                    "this runner reads `version: 1`",
                );
            }
            None if self.may_be_given(self.tree.at, &["version"]) => {}
            None => {
                // What a plan extends says its own, and comes first.
                let mut own = self.tree.entries().iter().filter(|it| it.key_span.source == 0);
                let first = own.next().map_or(self.tree.at.span, |it| it.key_span);
                let message = "the plan does not say its version";
                self.error(Code::Version, first, message, "begin the plan with `version: 1`");
            }
        }
    }

    /// A plan's name becomes a folder.
    fn name(&mut self, written: Option<&Spanned<String>>, name: &str) {
        let fine = !name.is_empty()
            && name.len() <= 100
            && !name.starts_with(['.', '-', ' '])
            && !name.ends_with(' ')
            && !name.contains(|letter: char| letter.is_control() || "/\\:*?\"<>|".contains(letter));
        if fine {
            return;
        }
        let span = written.map_or(Span::new(0, 0, 0), |written| written.at.span);
        let help = "it becomes a folder under `results`: up to 100 letters, digits, spaces and \
                    `-_.`, not beginning with `.`";
        self.error(Code::Value, span, "this can't be the name of a plan", help);
    }

    fn nonce(&mut self, written: Option<&Spanned<String>>) -> Nonce {
        match written {
            None => Nonce::Run,
            Some(text) if text.value == "run" => Nonce::Run,
            Some(text) => {
                if text.value.trim().is_empty() {
                    let help = "`run` for a new one in each run, or any text";
                    self.error(Code::Value, text.at.span, "`nonce` is empty", help);
                }
                Nonce::Fixed(text.value.clone())
            }
        }
    }

    /// Reports an error at `span`; an empty `help` says nothing.
    fn error(&mut self, code: Code, span: Span, message: impl Into<String>, help: &str) {
        let diagnostic = Diagnostic::error(code, message).at(self.location(span));
        self.push(if help.is_empty() { diagnostic } else { diagnostic.help(help) });
    }

    fn push(&mut self, diagnostic: Diagnostic) {
        self.found.push(diagnostic);
    }

    fn location(&self, span: Span) -> Location {
        self.sources.location(span)
    }

    /// Whether binding refused something at or below this place, so that what is missing there may
    /// well be written.
    fn has_bad(&self, at: At) -> bool {
        self.bad.range(at.id..at.end.max(at.id)).next().is_some()
    }

    /// Whether one of `keys` stands in the map at `at` after all: refused by binding, or misspelt.
    /// A key without a value gives nothing, and nobody has said so.
    fn may_be_given(&self, at: At, keys: &[&str]) -> bool {
        let gives = |entry: &Entry, key: &str| {
            let is_empty = matches!(entry.node.value, Value::Null);
            let is_silent = entry.key == key && is_empty && !self.bad.contains(&entry.node.at.id);
            // However near it is, a key that is known there was not meant to be another.
            let is_meant = entry.key == key
                || (suggest::nearest(&entry.key, [key]).is_some() && self.is_unknown(entry));
            !is_silent && is_meant
        };
        self.tree.find(at.id).is_some_and(|map| {
            map.entries().iter().any(|entry| keys.iter().any(|key| gives(entry, key)))
        })
    }

    /// Whether binding has reported a key as unknown.
    fn is_unknown(&self, entry: &Entry) -> bool {
        let place = self.location(entry.key_span);
        let is_it = |it: &Diagnostic| it.code == Code::UnknownKey && it.location() == Some(&place);
        self.found.iter().any(is_it)
    }

    /// A count that must not be zero.
    fn positive(&mut self, key: &str, count: Option<Spanned<Count>>) -> Option<u64> {
        let count = count?;
        if count.value.0 == 0 {
            self.error(Code::Value, count.at.span, format!("`{key}` must be at least 1"), "");
        }
        if count.value.0 > MOST_COUNTED {
            let message = format!("`{key}` is at most {MOST_COUNTED}");
            self.error(Code::Value, count.at.span, message, "");
        }
        Some(count.value.0.clamp(1, MOST_COUNTED))
    }
}

/// What was read of a key that need not be given; `None` when it was given and can't be used, which has
/// been reported.
#[expect(clippy::option_option, reason = "not given is not unusable")]
fn optional<T>(read: Option<Option<T>>) -> Option<Option<T>> {
    read.map_or(Some(None), |it| it.map(Some))
}

//! Tree → written plan, by serde.
//!
//! In: a numbered tree and a type that derives `Deserialize`. Out: the value, and *every* problem
//! in it with exact places. Invariant: no problem hides another.
//!
//! Serde stops at the first error. So the tree is bound again and again, each time without the
//! entries already found to be bad, until a pass comes through; each pass costs a walk over a
//! small tree. An enum over a map is chosen by the map's `kind`; an enum renamed [`BY_SHAPE`] is
//! chosen by what the value is (text, map, list), and neither loses places as serde's own tagged
//! and untagged enums do.

mod access;
mod deserializer;
mod error;
mod fields;
mod spanned;

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde::de::DeserializeOwned;

use deserializer::De;
pub(crate) use fields::{keys_of_kind, kinds};
pub(crate) use spanned::{Named, NodeRef, Spanned};

use super::diagnostic::{Code, Diagnostic};
use super::source::{At, Node, Sources, Span, Value};
use super::suggest;

/// The serde name of an enum whose variants `text`, `map` and `list` are chosen by the value.
pub(crate) const BY_SHAPE: &str = "by shape";

/// More bad values than anyone will read; the rest waits for the next try.
const MAX_PASSES: usize = 200;

/// What binding came to.
pub(crate) struct Bound<T> {
    /// The value without its bad entries; `None` when the root itself is bad.
    pub(crate) value: Option<T>,
    /// The numbers of the nodes that were left out.
    pub(crate) bad: BTreeSet<u32>,
    /// Every problem.
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// Binds a tree; what is broken in it is left out without a word.
pub(crate) fn bind<T: DeserializeOwned>(root: &Node, sources: &Sources) -> Bound<T> {
    let mut bad = BTreeSet::new();
    root.broken(&mut bad);
    let binding = Binding {
        sources,
        bad: RefCell::new(bad),
        checked: RefCell::default(),
        found: RefCell::default(),
    };
    let mut value = None;
    for _ in 0..MAX_PASSES {
        let before = binding.bad.borrow().len();
        match T::deserialize(De::root(root, &binding)) {
            Ok(bound) => {
                value = Some(bound);
                break;
            }
            Err(_) if binding.bad.borrow().contains(&root.at.id) => break,
            Err(_) if binding.bad.borrow().len() == before => break,
            Err(_) => {}
        }
    }
    Bound { value, bad: binding.bad.into_inner(), diagnostics: binding.found.into_inner() }
}

/// What one binding knows.
struct Binding<'b> {
    sources: &'b Sources,
    /// Nodes to leave out of the next pass.
    bad: RefCell<BTreeSet<u32>>,
    /// Maps whose unknown keys are reported.
    checked: RefCell<BTreeSet<u32>>,
    found: RefCell<Vec<Diagnostic>>,
}

impl Binding<'_> {
    fn is_bad(&self, node: &Node) -> bool {
        self.bad.borrow().contains(&node.at.id)
    }

    /// Notes a problem and leaves `node` out from now on.
    fn report(&self, node: &Node, diagnostic: Diagnostic) {
        if self.bad.borrow_mut().insert(node.at.id) {
            let diagnostic = match &node.origin {
                Some(origin) => diagnostic.help(&*origin.help),
                None => diagnostic,
            };
            self.found.borrow_mut().push(diagnostic);
        }
    }
}

/// The place to show for a node: a block map or list is shown by its first key or item, not whole.
pub(crate) fn point(sources: &Sources, node: &Node) -> Span {
    let span = node.at.span;
    let shown = sources.slice(span);
    let inner = match &node.value {
        Value::Map(entries) => entries.first().map(|entry| entry.key_span),
        Value::List(items) => items.first().map(|item| point(sources, item)),
        _ => None,
    };
    match inner {
        Some(inner) if shown.trim().is_empty() || shown.contains('\n') || shown == "-" => inner,
        _ => span,
    }
}

/// [`At`] with the place to show.
fn shown_at(sources: &Sources, node: &Node) -> At {
    At { span: point(sources, node), ..node.at }
}

/// The text that names a written type in messages.
fn described(name: &str) -> &str {
    match name {
        "PlanFile" => "the plan",
        "ParamFile" => "a param",
        "EndpointKeys" => "`endpoint`",
        "ProfileKeys" => "an endpoint profile",
        "TimeoutKeys" => "`timeouts`",
        "UnreachableKeys" => "`unreachable`",
        "JsonKeys" => "`json`",
        "MetricsKeys" => "`metrics`",
        "FlushCallKeys" => "`flush` of an endpoint",
        "SimulatorKeys" => "`simulator`",
        "FaultKeys" => "a fault of `simulator`",
        "PromptKeys" => "`prompt`",
        "MessageKeys" => "a message",
        "ContextKeys" => "`context`",
        "DatasetKeys" => "`dataset`",
        "FieldKeys" => "`fields`",
        "SyntheticKeys" => "`synthetic`",
        "PrefixKeys" => "`prefix`",
        "LengthKeys" => "a distribution of lengths",
        "ThresholdKeys" => "a threshold",
        "TestKeys" => "a test file",
        "CaseKeys" => "a case",
        "ExpectKeys" => "`expect`",
        "LiveKeys" => "a check on a running stage",
        "SinkKeys" => "a sink",
        "ColdKeys" => "a `cold` stage",
        "WarmKeys" => "a `warm` stage",
        "FlushKeys" => "a `flush` stage",
        "PauseKeys" => "a `pause` stage",
        "LoadKeys" => "a `load` stage",
        "LadderKeys" => "a `qps_ladder` stage",
        "RampKeys" => "a `concurrency_ramp` stage",
        "SearchKeys" => "a `search` stage",
        "ConversationKeys" => "a `conversation` stage",
        "ReplayKeys" => "a `replay` stage",
        "SampleKeys" => "`sample`",
        "StageFile" => "a stage",
        other => other,
    }
}

/// A missing `kind`, with the kinds there are.
fn no_kind(binding: &Binding<'_>, node: &Node, what: &str, kinds: &[&'static str]) -> Diagnostic {
    let near = |key: &str| suggest::nearest(key, ["kind"]).is_some();
    let misspelt = node.entries().iter().find(|it| it.key != "kind" && near(&it.key));
    let (span, label) = match misspelt {
        Some(entry) => (entry.key_span, "did you mean `kind`?"),
        None => (point(binding.sources, node), ""),
    };
    Diagnostic::error(Code::MissingKey, format!("{what} needs a `kind`"))
        .label(binding.sources.location(span), label)
        .help(format!("kinds: {}", kinds.join(", ")))
}

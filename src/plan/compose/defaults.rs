//! `defaults:` and `prompts:` put where they are used.
//!
//! In: a tree whose references are filled in. Out: stages with the keys they left to `defaults`,
//! and prompts with what they `use`. Invariant: a stage's own key wins whole; a stage that repeats
//! another takes requests, concurrency and prompt from that one.

use super::overlay;
use crate::plan::bind::{keys_of_kind, kinds};
use crate::plan::diagnostic::{Code, Diagnostic};
use crate::plan::file::StageFile;
use crate::plan::interpolate::MOST_BYTES;
use crate::plan::source::{Entry, Node, Sources, Value};
use crate::plan::suggest;

/// Keys that are a stage's own.
pub(in crate::plan) const OWN: [&str; 3] = ["id", "needs", "like"];
/// What a stage takes from the one that it repeats.
const REPEATED: [&str; 3] = ["requests", "concurrency", "prompt"];
/// What judges numbers.
const CHECKS: [&str; 3] = ["thresholds", "abort", "stop_when"];
/// Kinds without numbers to judge.
const SILENT: [&str; 2] = ["flush", "pause"];

/// Gives stages what they left to `defaults`.
pub(in crate::plan) fn defaults(tree: &mut Node, sources: &Sources, found: &mut Vec<Diagnostic>) {
    let Some(defaults) = tree.take("defaults") else { return };
    let Value::Map(entries) = defaults.node.value else {
        if !matches!(defaults.node.value, Value::Null | Value::Broken) {
            let message = format!("`defaults` is a map, not {}", defaults.node.describe());
            found.push(
                Diagnostic::error(Code::Type, message)
                    .at(sources.location(defaults.node.at.span))
                    .help("write the keys of a stage, such as `requests: 8`"),
            );
        }
        return;
    };
    let entries = known(entries, sources, found);
    let mut is_taken = vec![false; entries.len()];
    let Some(Value::List(stages)) = tree.get_mut("stages").map(|stages| &mut stages.value) else {
        return;
    };
    let mut has_cold = false;
    let sizes: Vec<usize> = entries.iter().map(|entry| entry.node.value.text_bytes()).collect();
    let mut bytes = 0;
    for stage in stages {
        let Some(kind) = stage.get("kind").and_then(Node::text) else { continue };
        let repeats = stage.get("like").is_some()
            || kind == "warm" && has_cold && stage.get("prompt").is_none();
        has_cold |= kind == "cold";
        let keys = keys_of_kind::<StageFile>(&kind);
        let Value::Map(own) = &mut stage.value else { continue };
        for ((entry, size), is_taken) in entries.iter().zip(&sizes).zip(&mut is_taken) {
            let key = entry.key.as_str();
            let fits = keys.contains(&key) && !(CHECKS.contains(&key) && SILENT.contains(&&*kind));
            if !fits {
                continue;
            }
            *is_taken = true;
            let is_settled =
                own.iter().any(|it| it.key == key) || repeats && REPEATED.contains(&key);
            if is_settled {
                continue;
            }
            bytes += size;
            if bytes > MOST_BYTES {
                let size = MOST_BYTES >> 20;
                found.push(
                    Diagnostic::error(
                        Code::Limit,
                        format!(
                            "with `{key}` in all of its stages, the plan is larger than {size} MiB"
                        ),
                    )
                    .at(sources.location(entry.key_span))
                    .help("keep long texts in a dataset file"),
                );
                return;
            }
            own.push(entry.clone());
        }
    }
    for (entry, _) in entries.iter().zip(is_taken).filter(|(_, is_taken)| !is_taken) {
        let message = format!("no stage of this plan takes `{}` from `defaults`", entry.key);
        found.push(
            Diagnostic::warning(Code::Value, message)
                .at(sources.location(entry.key_span))
                .help("remove it"),
        );
    }
}

/// The entries whose key some kind of stage has; the others are reported.
fn known(entries: Vec<Entry>, sources: &Sources, found: &mut Vec<Diagnostic>) -> Vec<Entry> {
    let mut allowed: Vec<&str> = Vec::new();
    for kind in kinds::<StageFile>() {
        for key in keys_of_kind::<StageFile>(kind) {
            if !allowed.contains(key) && !OWN.contains(key) {
                allowed.push(key);
            }
        }
    }
    let (known, unknown): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|entry| allowed.contains(&entry.key.as_str()));
    for entry in unknown {
        let place = sources.location(entry.key_span);
        let is_own = OWN.contains(&entry.key.as_str()) || entry.key == "kind";
        found.push(if is_own {
            Diagnostic::error(Code::UnknownKey, format!("`{}` has no default", entry.key))
                .at(place)
                .help("it is each stage's own")
        } else {
            let near = suggest::did_you_mean(&entry.key, allowed.iter().copied());
            Diagnostic::error(
                Code::UnknownKey,
                format!("no kind of stage has a key `{}`", entry.key),
            )
            .label(place, near)
            .help(format!("keys allowed here: {}", suggest::list(allowed.iter().copied())))
        });
    }
    known
}

/// Puts the prompts that are used where they are used.
pub(in crate::plan) fn prompts(tree: &mut Node, sources: &Sources, found: &mut Vec<Diagnostic>) {
    let section = tree.get("prompts").cloned();
    let mut using =
        Using { named: section.as_ref().map_or(&[][..], Node::entries), sources, found };
    if let Some(prompts) = tree.get_mut("prompts")
        && let Value::Map(entries) = &mut prompts.value
    {
        for entry in entries {
            using.refuse(&mut entry.node);
        }
    }
    if let Some(prompt) = tree.get_mut("prompt") {
        using.fill(prompt);
    }
    if let Some(Value::List(stages)) = tree.get_mut("stages").map(|stages| &mut stages.value) {
        for stage in stages {
            if let Some(prompt) = stage.get_mut("prompt") {
                using.fill(prompt);
            }
        }
    }
}

struct Using<'u> {
    named: &'u [Entry],
    sources: &'u Sources,
    found: &'u mut Vec<Diagnostic>,
}

impl Using<'_> {
    /// A named prompt stands for itself.
    fn refuse(&mut self, prompt: &mut Node) {
        if let Some(used) = prompt.take("use") {
            self.found.push(
                Diagnostic::error(Code::Conflict, "a named prompt can't use another")
                    .at(self.sources.location(used.key_span))
                    .help("write its keys out"),
            );
        }
    }

    fn fill(&mut self, prompt: &mut Node) {
        let Some(used) = prompt.take("use") else { return };
        let names = || self.named.iter().map(|entry| entry.key.as_str());
        let name = match &used.node.value {
            Value::Broken => {
                prompt.value = Value::Broken;
                return;
            }
            _ => used.node.text().unwrap_or_default(),
        };
        let Some(entry) = self.named.iter().find(|entry| entry.key == name) else {
            let message = format!("no prompt is called `{name}`");
            let near = suggest::did_you_mean(&name, names());
            let place = self.sources.location(used.node.at.span);
            let help = match suggest::list(names()) {
                none if none.is_empty() => "declare it under `prompts`".to_owned(),
                known => format!("prompts: {known}"),
            };
            self.found
                .push(Diagnostic::error(Code::Reference, message).label(place, near).help(help));
            prompt.value = Value::Broken;
            return;
        };
        let mut base = entry.node.clone();
        if base.text().is_some() {
            let span = base.at.span;
            let text = Entry { key: "text".into(), key_span: span, node: base };
            base = Node::new(Value::Map(vec![text]), span);
        }
        let own = std::mem::replace(prompt, Node::new(Value::Null, used.key_span));
        *prompt = overlay::map_over(base, own, "prompt");
    }
}

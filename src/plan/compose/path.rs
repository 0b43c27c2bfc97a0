//! Places of a plan by name: `stages.ladder.step`.
//!
//! In: a tree, a dotted path. Out: the tree with a value there, or without it. A stage is named by
//! its id, an item of another list by its number from 0. Invariant: a step that leads nowhere is an
//! error that points at that step.

use super::overlay;
use crate::plan::diagnostic::{Code, Diagnostic};
use crate::plan::source::{Entry, Node, Sources, Span, Value};
use crate::plan::suggest;

/// One step and where it stands.
struct Step<'t> {
    key: &'t str,
    span: Span,
}

fn steps(text: &str, span: Span) -> Vec<Step<'_>> {
    let mut at = 0;
    text.split('.')
        .map(|key| {
            let step = Step { key, span: span.part(at, key.len()) };
            at += key.len() + 1;
            step
        })
        .collect()
}

/// Puts `value` at `path`; what is on the way and missing is made, null removes.
pub(in crate::plan) fn set(
    tree: &mut Node,
    path: &str,
    span: Span,
    value: Node,
    sources: &Sources,
) -> Result<(), Diagnostic> {
    if let Value::Null = value.value {
        return remove(tree, path, span, sources);
    }
    let steps = steps(path, span);
    let Some((last, way)) = steps.split_last() else { return Ok(()) };
    let mut node = tree;
    let mut above = "";
    for step in way {
        long_form(node, above);
        node = walk(node, above, step, true, sources)?;
        above = step.key;
    }
    long_form(node, above);
    if let Value::Map(entries) = &mut node.value {
        let entry = Entry { key: last.key.to_owned(), key_span: last.span, node: value };
        match entries.iter_mut().find(|other| other.key == last.key) {
            Some(other) => *other = entry,
            None => entries.push(entry),
        }
    } else {
        *walk(node, above, last, false, sources)? = value;
    }
    Ok(())
}

/// Takes away what is at `path`.
pub(super) fn remove(
    tree: &mut Node,
    path: &str,
    span: Span,
    sources: &Sources,
) -> Result<(), Diagnostic> {
    let steps = steps(path, span);
    let Some((last, way)) = steps.split_last() else { return Ok(()) };
    let mut node = tree;
    let mut above = "";
    for step in way {
        node = walk(node, above, step, false, sources)?;
        above = step.key;
    }
    walk(node, above, last, false, sources)?;
    match &mut node.value {
        Value::Map(entries) => entries.retain(|entry| entry.key != last.key),
        Value::List(items) => {
            let index = index(items, above, last.key);
            index.map(|index| items.remove(index));
        }
        _ => {}
    }
    Ok(())
}

/// A text that stands for a map with one key becomes that map, so that others may join it.
fn long_form(node: &mut Node, key: &str) {
    let key = match key {
        "endpoint" => "profile",
        "prompt" => "text",
        _ => return,
    };
    if let Value::Text(_) = &node.value {
        let span = node.at.span;
        let text = std::mem::replace(node, Node::new(Value::Map(Vec::new()), span));
        if let Value::Map(entries) = &mut node.value {
            entries.push(Entry { key: key.to_owned(), key_span: span, node: text });
        }
    }
}

/// The number of an item.
fn index(items: &[Node], above: &str, key: &str) -> Option<usize> {
    let by_id = (above == "stages")
        .then(|| overlay::ids(items).iter().position(|id| id.as_deref() == Some(key)));
    by_id.flatten().or_else(|| key.parse().ok().filter(|&index| index < items.len()))
}

fn walk<'n>(
    node: &'n mut Node,
    above: &str,
    step: &Step<'_>,
    make: bool,
    sources: &Sources,
) -> Result<&'n mut Node, Diagnostic> {
    let place = sources.location(step.span);
    let described = node.describe();
    let nothing = |known: &[String]| {
        let words = || known.iter().map(String::as_str);
        let message = match above {
            "" => format!("the plan has no `{}`", step.key),
            "stages" => format!("no stage is called `{}`", step.key),
            above => format!("`{above}` has no `{}`", step.key),
        };
        let diagnostic = Diagnostic::error(Code::Set, message)
            .label(place.clone(), suggest::did_you_mean(step.key, words()));
        match suggest::list(words()) {
            empty if empty.is_empty() => diagnostic,
            known => diagnostic.help(format!("there is: {known}")),
        }
    };
    match &mut node.value {
        Value::Map(entries) => {
            let index = match entries.iter().position(|entry| entry.key == step.key) {
                Some(index) => index,
                None if make => {
                    entries.push(Entry {
                        key: step.key.to_owned(),
                        key_span: step.span,
                        node: Node::new(Value::Map(Vec::new()), step.span),
                    });
                    entries.len() - 1
                }
                None => {
                    let known: Vec<String> =
                        entries.iter().map(|entry| entry.key.clone()).collect();
                    return Err(nothing(&known));
                }
            };
            let node = &mut entries[index].node;
            if make && matches!(node.value, Value::Null) {
                *node = Node::new(Value::Map(Vec::new()), step.span);
            }
            Ok(node)
        }
        Value::List(items) => {
            if let Some(index) = index(items, above, step.key) {
                return Ok(&mut items[index]);
            }
            let known: Vec<String> = if above == "stages" {
                overlay::ids(items).into_iter().flatten().collect()
            } else {
                (0..items.len()).map(|index| index.to_string()).collect()
            };
            Err(nothing(&known))
        }
        _ => Err(Diagnostic::error(
            Code::Set,
            format!("`{above}` is {described}; nothing stands below it"),
        )
        .at(place)),
    }
}

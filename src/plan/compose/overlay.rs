//! One plan laid over another.
//!
//! In: the parent's tree and the child's. Out: one tree. Invariant: maps merge key by key, stages
//! merge by id, anything else replaces; `null` removes; the parent's order stays.

use std::collections::BTreeMap;

use crate::plan::source::{Entry, Node, Value};

/// Keys of which a map has one: writing another replaces it.
const EITHER: [(&[&str], &[&str]); 2] = [
    (&["endpoint", "endpoints"], &["url", "simulator", "profile"]),
    (&["prompt", "prompts"], &["text", "messages", "use"]),
];

/// Lays the child's tree over its parent's.
pub(super) fn over(parent: Node, child: Node) -> Node {
    merge(parent, child, &mut Vec::new())
}

/// Lays one map over another, anywhere in a plan: `key` is what they stand under.
pub(super) fn map_over(lower: Node, upper: Node, key: &str) -> Node {
    merge(lower, upper, &mut vec![key.to_owned()])
}

fn merge(lower: Node, upper: Node, path: &mut Vec<String>) -> Node {
    let at = upper.at;
    match (lower.value, upper.value) {
        (Value::Map(lower), Value::Map(upper)) => {
            Node { at, value: Value::Map(maps(lower, upper, path)), raw: None, origin: None }
        }
        (Value::List(lower), Value::List(upper)) if *path == ["stages"] => {
            Node { at, value: Value::List(stages(lower, upper, path)), raw: None, origin: None }
        }
        (_, value) => Node { value, ..upper_of(at, upper.raw, upper.origin) },
    }
}

fn upper_of(
    at: crate::plan::source::At,
    raw: Option<String>,
    origin: Option<crate::plan::source::Origin>,
) -> Node {
    Node { at, value: Value::Null, raw, origin }
}

fn maps(mut lower: Vec<Entry>, upper: Vec<Entry>, path: &mut Vec<String>) -> Vec<Entry> {
    let above = |depth: usize| {
        path.len().checked_sub(depth).and_then(|index| path.get(index)).map_or("", String::as_str)
    };
    for (places, keys) in EITHER {
        let is_here = places.contains(&above(1)) && places[0] == above(1) || places[1] == above(2);
        if is_here && upper.iter().any(|entry| keys.contains(&entry.key.as_str())) {
            lower.retain(|entry| {
                !keys.contains(&entry.key.as_str()) || upper.iter().any(|it| it.key == entry.key)
            });
        }
    }
    // In a request's body a null is a field that is not sent, whoever would set it.
    let is_body =
        above(1) == "body" && [above(2), above(3)].iter().any(|key| key.starts_with("prompt"));
    for entry in upper {
        let Some(index) = lower.iter().position(|other| other.key == entry.key) else {
            // A null that removes nothing stays, so that a misspelt key is found.
            lower.push(entry);
            continue;
        };
        if matches!(entry.node.value, Value::Null) && !is_body {
            lower.remove(index);
            continue;
        }
        path.push(entry.key.clone());
        let below =
            std::mem::replace(&mut lower[index].node, Node::new(Value::Null, entry.key_span));
        let node = merge(below, entry.node, path);
        lower[index] = Entry { node, ..entry };
        path.pop();
    }
    lower
}

/// Stages of one id become one; a stage whose `kind` is null goes; new ones come last.
fn stages(lower: Vec<Node>, upper: Vec<Node>, path: &mut Vec<String>) -> Vec<Node> {
    let ids = ids(&lower);
    let upper_ids = self::ids(&upper);
    let mut merged: Vec<Option<Node>> = lower.into_iter().map(Some).collect();
    for (id, stage) in upper_ids.into_iter().zip(upper) {
        let index = ids.iter().position(|other| id.is_some() && *other == id);
        let Some(index) = index else {
            merged.push(Some(stage));
            continue;
        };
        let goes = stage.get("kind").is_some_and(|kind| matches!(kind.value, Value::Null));
        path.push(String::new());
        merged[index] =
            merged[index].take().filter(|_| !goes).map(|below| merge(below, stage, path));
        path.pop();
    }
    merged.into_iter().flatten().collect()
}

/// The id of each stage: as written, else its kind's name, with -2, -3 for the next ones.
pub(super) fn ids(stages: &[Node]) -> Vec<Option<String>> {
    let text = |stage: &Node, key: &str| stage.get(key).and_then(Node::text);
    let mut taken: Vec<String> = stages.iter().filter_map(|stage| text(stage, "id")).collect();
    let mut numbers: BTreeMap<String, u32> = BTreeMap::new();
    stages
        .iter()
        .map(|stage| {
            if let Some(id) = text(stage, "id") {
                return Some(id);
            }
            let kind = text(stage, "kind")?;
            let number = numbers.entry(kind.clone()).or_insert(0);
            loop {
                *number += 1;
                let id = if *number == 1 { kind.clone() } else { format!("{kind}-{number}") };
                if !taken.contains(&id) {
                    taken.push(id.clone());
                    return Some(id);
                }
            }
        })
        .collect()
}

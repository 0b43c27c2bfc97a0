//! The spanned tree.
//!
//! In: what a format's reader built. Out: nodes with spans and numbers. Invariant: after
//! [`Node::number`] a node's descendants are exactly the numbers within its [`At`].

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Span;

/// Where a node stands: its bytes, and the numbers of its subtree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct At {
    /// The bytes to point at.
    pub(crate) span: Span,
    /// Its number in depth-first order.
    pub(crate) id: u32,
    /// One past the last number of its subtree.
    pub(crate) end: u32,
}

impl At {
    /// Whether `id` is this node or stands below it.
    pub(crate) fn holds(self, id: u32) -> bool {
        (self.id..self.end).contains(&id)
    }
}

/// One value of the tree.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Where it stands.
    pub(crate) at: At,
    /// What it is.
    pub(crate) value: Value,
    /// The text as written, for numbers and booleans: `1.10` stays `1.10` where text is wanted.
    pub(crate) raw: Option<String>,
    /// For a value that came out of `${…}`: where from.
    pub(crate) origin: Option<Origin>,
}

/// Where a value that came out of `${…}` is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    /// For people, as a help line.
    pub(crate) help: Arc<str>,
    /// Whether it (or the beginning of its text) was given from outside the plan: by a flag, a
    /// variable or a file of values.
    pub(crate) is_outside: bool,
}

/// What a [`Node`] is.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
    /// Nothing is known of it: the reference it was has been reported.
    Broken,
}

impl Value {
    /// Bytes of all texts in it.
    pub(crate) fn text_bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::List(items) => items.iter().map(|item| item.value.text_bytes()).sum(),
            Self::Map(entries) => entries.iter().map(|entry| entry.node.value.text_bytes()).sum(),
            _ => 0,
        }
    }
}

/// One key of a map with its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) node: Node,
}

impl Node {
    /// A node with no number yet.
    pub(crate) fn new(value: Value, span: Span) -> Self {
        Self { at: At { span, id: 0, end: 0 }, value, raw: None, origin: None }
    }

    /// The same as JSON, without places; `shown` turns texts into what may be seen.
    pub(crate) fn json(&self, shown: &impl Fn(&str) -> String) -> serde_json::Value {
        match &self.value {
            Value::Null | Value::Broken => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Int(value) => i64::try_from(*value)
                .map(serde_json::Value::from)
                .or_else(|_| u64::try_from(*value).map(serde_json::Value::from))
                .unwrap_or_else(|_| value.to_string().into()),
            Value::Float(value) => (*value).into(),
            Value::Text(text) => shown(text).into(),
            Value::List(items) => items.iter().map(|item| item.json(shown)).collect(),
            Value::Map(entries) => entries
                .iter()
                .map(|entry| (entry.key.clone(), entry.node.json(shown)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }

    /// The entries of a map; none for anything else.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The value under `key`.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    /// The value under `key`, to be changed.
    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Self> {
        match &mut self.value {
            Value::Map(entries) => {
                entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.node)
            }
            _ => None,
        }
    }

    /// Takes the entry of `key` out of a map.
    pub(crate) fn take(&mut self, key: &str) -> Option<Entry> {
        let Value::Map(entries) = &mut self.value else { return None };
        let index = entries.iter().position(|entry| entry.key == key)?;
        Some(entries.remove(index))
    }

    /// The items of a list; none for anything else.
    pub(crate) fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// Moves a subtree that was read by itself to where its text stands in another: shifted, or
    /// all of it onto `span` when its bytes are not those of the other text.
    pub(crate) fn move_to(&mut self, span: Span, shift: bool) {
        let moved = |old: Span| {
            if shift { span.part(old.start as usize, (old.end - old.start) as usize) } else { span }
        };
        self.at.span = moved(self.at.span);
        match &mut self.value {
            Value::List(items) => items.iter_mut().for_each(|item| item.move_to(span, shift)),
            Value::Map(entries) => {
                for entry in entries {
                    entry.key_span = moved(entry.key_span);
                    entry.node.move_to(span, shift);
                }
            }
            _ => {}
        }
    }

    /// Numbers the subtree from `next` on and returns the number after it.
    pub(crate) fn number(&mut self, next: u32) -> u32 {
        self.at.id = next;
        let mut next = next + 1;
        match &mut self.value {
            Value::List(nodes) => {
                for node in nodes {
                    next = node.number(next);
                }
            }
            Value::Map(entries) => {
                for entry in entries {
                    next = entry.node.number(next);
                }
            }
            _ => {}
        }
        self.at.end = next;
        next
    }

    /// The numbers of the broken values in the subtree.
    pub(crate) fn broken(&self, found: &mut BTreeSet<u32>) {
        match &self.value {
            Value::Broken => {
                found.insert(self.at.id);
            }
            Value::List(nodes) => nodes.iter().for_each(|node| node.broken(found)),
            Value::Map(entries) => entries.iter().for_each(|entry| entry.node.broken(found)),
            _ => {}
        }
    }

    /// The node with that number.
    pub(crate) fn find(&self, id: u32) -> Option<&Self> {
        if self.at.id == id {
            return Some(self);
        }
        if !self.at.holds(id) {
            return None;
        }
        match &self.value {
            Value::List(nodes) => nodes.iter().find_map(|node| node.find(id)),
            Value::Map(entries) => entries.iter().find_map(|entry| entry.node.find(id)),
            _ => None,
        }
    }

    /// What it is, for messages: `a list`, `the number 3`, `the text "x"`.
    pub(crate) fn describe(&self) -> String {
        match &self.value {
            Value::Null | Value::Broken => "nothing".into(),
            Value::Bool(value) => format!("`{value}`"),
            Value::Int(value) => format!("the number `{}`", self.raw_or(value)),
            Value::Float(value) => format!("the number `{}`", self.raw_or(value)),
            Value::Text(text) => format!("the text `{}`", shorten(text)),
            Value::List(_) => "a list".into(),
            Value::Map(_) => "a map".into(),
        }
    }

    fn raw_or(&self, value: &impl ToString) -> String {
        self.raw.clone().unwrap_or_else(|| value.to_string())
    }

    /// A scalar as text, the way it was written; `None` for null, lists and maps.
    pub(crate) fn text(&self) -> Option<String> {
        match &self.value {
            Value::Text(text) => Some(text.clone()),
            Value::Bool(value) => Some(self.raw_or(value)),
            Value::Int(value) => Some(self.raw_or(value)),
            Value::Float(value) => Some(self.raw_or(value)),
            Value::Null | Value::List(_) | Value::Map(_) | Value::Broken => None,
        }
    }
}

/// A text cut to what fits on a line of a message.
pub(crate) fn shorten(text: &str) -> String {
    const MOST: usize = 48;
    let line = text.lines().next().unwrap_or("");
    if line.chars().count() <= MOST && line.len() == text.len() {
        return text.to_owned();
    }
    let mut cut: String = line.chars().take(MOST).collect();
    cut.push('…');
    cut
}

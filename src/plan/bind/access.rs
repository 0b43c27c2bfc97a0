//! Lists and maps as serde walks them.
//!
//! In: items and entries. Out: those not known to be bad. Invariant: a map read as a struct has its
//! unknown keys noted once, all of them, before any value is looked at.

use std::slice::Iter;

use serde::de::value::{StrDeserializer, U32Deserializer};
use serde::de::{DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};

use super::deserializer::De;
use super::error::BindError;
use super::spanned::SPANNED;
use crate::plan::diagnostic::{Code, Diagnostic};
use crate::plan::source::{At, Entry, Node};
use crate::plan::suggest;

/// The items of a list.
pub(super) struct Items<'n> {
    de: De<'n>,
    items: Iter<'n, Node>,
}

impl<'n> Items<'n> {
    pub(super) fn new(de: De<'n>, items: &'n [Node]) -> Self {
        Self { de, items: items.iter() }
    }
}

impl<'n> SeqAccess<'n> for Items<'n> {
    type Error = BindError;

    fn next_element_seed<S: DeserializeSeed<'n>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, BindError> {
        let binding = self.de.binding;
        match self.items.by_ref().find(|item| !binding.is_bad(item)) {
            Some(item) => seed.deserialize(self.de.item(item)).map(Some),
            None => Ok(None),
        }
    }
}

/// The entries of a map.
pub(super) struct Keys<'n> {
    de: De<'n>,
    entries: Iter<'n, Entry>,
    /// The keys to hand over; all of them when `None`.
    fields: Option<&'static [&'static str]>,
    next: Option<&'n Entry>,
}

impl<'n> Keys<'n> {
    /// Every entry: a map with keys that people choose.
    pub(super) fn all(de: De<'n>, entries: &'n [Entry]) -> Self {
        Self { de, entries: entries.iter(), fields: None, next: None }
    }

    /// The entries of a struct; the others are noted as unknown.
    pub(super) fn of_struct(
        de: De<'n>,
        entries: &'n [Entry],
        what: &str,
        fields: &'static [&'static str],
        tagged: bool,
    ) -> Self {
        let binding = de.binding;
        if binding.checked.borrow_mut().insert(de.node.at.id) {
            let is_plan = what == "the plan";
            let unknown = entries.iter().filter(|entry| {
                let key = entry.key.as_str();
                !(fields.contains(&key)
                    || tagged && key == "kind"
                    || is_plan && key.starts_with("x-"))
            });
            for entry in unknown {
                let kind = tagged.then_some("kind");
                let allowed = kind.into_iter().chain(fields.iter().copied());
                let location = binding.sources.location(entry.key_span);
                let message = format!("unknown key `{}` in {what}", entry.key);
                binding.found.borrow_mut().push(
                    Diagnostic::error(Code::UnknownKey, message)
                        .label(location, suggest::key(&entry.key, what, allowed.clone()))
                        .help(format!("keys allowed here: {}", suggest::list(allowed))),
                );
            }
        }
        Self { de, entries: entries.iter(), fields: Some(fields), next: None }
    }
}

impl<'n> MapAccess<'n> for Keys<'n> {
    type Error = BindError;

    fn next_key_seed<S: DeserializeSeed<'n>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, BindError> {
        let (binding, fields) = (self.de.binding, self.fields);
        self.next = self.entries.by_ref().find(|entry| {
            fields.is_none_or(|fields| fields.contains(&entry.key.as_str()))
                && !binding.is_bad(&entry.node)
        });
        match self.next {
            Some(entry) => seed.deserialize(Key { entry }).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<S: DeserializeSeed<'n>>(&mut self, seed: S) -> Result<S::Value, BindError> {
        match self.next.take() {
            Some(entry) => seed.deserialize(self.de.below(&entry.node, Some(&entry.key))),
            None => Err(BindError::Value("a value without a key".into())),
        }
    }
}

/// A key, as text with or without its place.
struct Key<'n> {
    entry: &'n Entry,
}

impl<'n> Deserializer<'n> for Key<'n> {
    type Error = BindError;

    fn deserialize_any<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, BindError> {
        visitor.visit_borrowed_str(&self.entry.key)
    }

    fn deserialize_newtype_struct<V: Visitor<'n>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, BindError> {
        if name == SPANNED {
            let at = At { span: self.entry.key_span, ..self.entry.node.at };
            visitor.visit_seq(Place { at, part: 0, inside: Inside::Key(&self.entry.key) })
        } else {
            visitor.visit_newtype_struct(self)
        }
    }

    serde::forward_to_deserialize_any! {
        <V: Visitor<'n>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        option unit unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// A place and what stands there, as the sequence that [`super::Spanned`] reads.
pub(super) struct Place<'n> {
    at: At,
    part: u8,
    inside: Inside<'n>,
}

enum Inside<'n> {
    Value(De<'n>),
    Key(&'n str),
}

impl<'n> Place<'n> {
    pub(super) fn value(de: De<'n>, at: At) -> Self {
        Self { at, part: 0, inside: Inside::Value(de) }
    }
}

impl<'n> SeqAccess<'n> for Place<'n> {
    type Error = BindError;

    fn next_element_seed<S: DeserializeSeed<'n>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, BindError> {
        let number = match self.part {
            0 => u32::from(self.at.span.source),
            1 => self.at.span.start,
            2 => self.at.span.end,
            3 => self.at.id,
            4 => self.at.end,
            _ => {
                return match self.inside {
                    Inside::Value(de) => seed.deserialize(de).map(Some),
                    Inside::Key(key) => {
                        let key: StrDeserializer<'_, BindError> = key.into_deserializer();
                        seed.deserialize(key).map(Some)
                    }
                };
            }
        };
        self.part += 1;
        let number: U32Deserializer<BindError> = number.into_deserializer();
        seed.deserialize(number).map(Some)
    }
}

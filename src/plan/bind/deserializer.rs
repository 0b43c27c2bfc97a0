//! The deserializer over one node.
//!
//! In: a node. Out: what serde asks of it. Invariant: whatever fails is noted at the innermost node
//! that could not be read.

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, VariantAccess, Visitor,
};

use super::access::{Items, Keys, Place};
use super::error::{BindError, report};
use super::spanned::{NODE, SPANNED};
use super::{BY_SHAPE, Binding, described, no_kind, shown_at};
use crate::plan::source::{Node, Value};

/// What a `kind` without a value would do elsewhere.
const NULL_KIND: &str =
    "`kind: null` takes the stage of this id out of a plan under `extends`, which has none of it";

/// A node to be read.
#[derive(Clone, Copy)]
pub(super) struct De<'n> {
    pub(super) node: &'n Node,
    /// The key it stands under, for messages.
    pub(super) key: Option<&'n str>,
    /// The key of the list that it is an item of.
    list: Option<&'n str>,
    pub(super) binding: &'n Binding<'n>,
    /// True inside an enum chosen by `kind`, whose key the variant does not declare.
    tagged: bool,
}

impl<'n> De<'n> {
    pub(super) fn root(node: &'n Node, binding: &'n Binding<'n>) -> Self {
        Self { node, key: None, list: None, binding, tagged: false }
    }

    pub(super) fn below(self, node: &'n Node, key: Option<&'n str>) -> Self {
        Self { node, key, list: None, tagged: false, ..self }
    }

    /// An item of this list.
    pub(super) fn item(self, node: &'n Node) -> Self {
        Self { list: self.key, ..self.below(node, None) }
    }

    /// What it is called in messages; an item of a list of maps has a name of its own.
    fn name(self) -> Option<String> {
        match (self.key, self.list) {
            (Some(key), _) => Some(format!("`{key}`")),
            (None, Some(list)) => Some(format!("an item of `{list}`")),
            (None, None) => None,
        }
    }

    fn done<T>(self, name: &str, result: Result<T, BindError>) -> Result<T, BindError> {
        result.map_err(|error| report(self.binding, self.node, self.name(), name, error))
    }

    fn wrong<T, V: Visitor<'n>>(self, visitor: &V) -> Result<T, BindError> {
        let expected = (visitor as &dyn serde::de::Expected).to_string();
        self.done("", Err(BindError::Type(expected)))
    }
}

impl<'n> Deserializer<'n> for De<'n> {
    type Error = BindError;

    fn deserialize_any<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, BindError> {
        let result = match &self.node.value {
            Value::Null | Value::Broken => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Int(value) => match (u64::try_from(*value), i64::try_from(*value)) {
                (Ok(value), _) => visitor.visit_u64(value),
                (_, Ok(value)) => visitor.visit_i64(value),
                _ => Err(BindError::Value("the number is too large".into())),
            },
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Text(text) => visitor.visit_str(text),
            Value::List(items) => visitor.visit_seq(Items::new(self, items)),
            Value::Map(entries) => visitor.visit_map(Keys::all(self, entries)),
        };
        self.done("", result)
    }

    fn deserialize_str<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, BindError> {
        match self.node.text() {
            Some(text) => self.done("", visitor.visit_string(text)),
            None => self.wrong(&visitor),
        }
    }

    fn deserialize_string<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, BindError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bool<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, BindError> {
        // Text too, since an environment variable is always text.
        let value = match &self.node.value {
            Value::Bool(value) => *value,
            Value::Text(text) if text == "true" => true,
            Value::Text(text) if text == "false" => false,
            _ => return self.wrong(&visitor),
        };
        self.done("", visitor.visit_bool(value))
    }

    fn deserialize_option<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, BindError> {
        match self.node.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'n>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, BindError> {
        match name {
            SPANNED => {
                visitor.visit_seq(Place::value(self, shown_at(self.binding.sources, self.node)))
            }
            NODE => visitor.visit_u32(self.node.at.id),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, BindError> {
        match &self.node.value {
            Value::List(items) => self.done("", visitor.visit_seq(Items::new(self, items))),
            _ => self.wrong(&visitor),
        }
    }

    fn deserialize_map<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, BindError> {
        match &self.node.value {
            Value::Map(entries) => self.done("", visitor.visit_map(Keys::all(self, entries))),
            _ => self.wrong(&visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'n>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, BindError> {
        match &self.node.value {
            Value::Map(entries) => {
                let keys = Keys::of_struct(self, entries, described(name), fields, self.tagged);
                self.done(name, visitor.visit_map(keys))
            }
            _ => self.wrong(&visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'n>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, BindError> {
        if name == BY_SHAPE {
            let shape = match &self.node.value {
                Value::Map(_) => "map",
                Value::List(_) => "list",
                Value::Null | Value::Broken => "nothing",
                _ => "text",
            };
            if !variants.contains(&shape) {
                let words = variants.iter().map(|shape| match *shape {
                    "text" => "text",
                    "map" => "a map",
                    _ => "a list",
                });
                let expected = words.collect::<Vec<_>>().join(" or ");
                return self.done("", Err(BindError::Type(expected)));
            }
            return visitor.visit_enum(Variant { de: self, name: shape });
        }
        match &self.node.value {
            // Only stages are maps whose `kind` picks the variant; every other enum is a word.
            Value::Map(_) if name != "StageFile" => {
                let expected = format!("one of {}", variants.join(", "));
                self.done("", Err(BindError::Type(expected)))
            }
            Value::Map(entries) => {
                let written = entries.iter().find(|entry| entry.key == "kind");
                let is_null = written.is_some_and(|kind| matches!(kind.node.value, Value::Null));
                let Some(kind) = written.filter(|_| !is_null) else {
                    let what = described(name);
                    let missing = no_kind(self.binding, self.node, what, variants);
                    let missing = if is_null { missing.help(NULL_KIND) } else { missing };
                    self.binding.report(self.node, missing);
                    return Err(BindError::Reported);
                };
                let word = self.below(&kind.node, Some("kind"));
                if self.binding.is_bad(&kind.node) {
                    self.binding.bad.borrow_mut().insert(self.node.at.id);
                    return Err(BindError::Reported);
                }
                let Value::Text(chosen) = &kind.node.value else {
                    self.binding.bad.borrow_mut().insert(self.node.at.id);
                    return word.done("", Err(BindError::Type("text".into())));
                };
                if !variants.contains(&chosen.as_str()) {
                    self.binding.bad.borrow_mut().insert(self.node.at.id);
                    return word.done("", Err(BindError::Choice(chosen.clone(), variants)));
                }
                let de = Self { tagged: true, ..self };
                visitor.visit_enum(Variant { de, name: chosen })
            }
            Value::Text(text) => {
                self.done("", visitor.visit_enum(Variant { de: self, name: text }))
            }
            _ => {
                let expected = if self.key.is_none() { "a map" } else { "a word" };
                self.done("", Err(BindError::Type(expected.into())))
            }
        }
    }

    fn deserialize_ignored_any<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, BindError> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        <V: Visitor<'n>>
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct
        tuple tuple_struct identifier
    }
}

/// One variant of an enum over a node.
struct Variant<'n> {
    de: De<'n>,
    name: &'n str,
}

impl<'n> EnumAccess<'n> for Variant<'n> {
    type Error = BindError;
    type Variant = De<'n>;

    fn variant_seed<S: DeserializeSeed<'n>>(
        self,
        seed: S,
    ) -> Result<(S::Value, De<'n>), BindError> {
        let name: StrDeserializer<'_, BindError> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, self.de))
    }
}

impl<'n> VariantAccess<'n> for De<'n> {
    type Error = BindError;

    fn unit_variant(self) -> Result<(), BindError> {
        Ok(())
    }
    fn newtype_variant_seed<S: DeserializeSeed<'n>>(self, seed: S) -> Result<S::Value, BindError> {
        seed.deserialize(self)
    }
    fn tuple_variant<V: Visitor<'n>>(self, _: usize, visitor: V) -> Result<V::Value, BindError> {
        self.deserialize_seq(visitor)
    }
    fn struct_variant<V: Visitor<'n>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, BindError> {
        self.deserialize_struct("", fields, visitor)
    }
}

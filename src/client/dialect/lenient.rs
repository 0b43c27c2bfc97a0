//! JSON as servers really send it: fields that are missing, null or of another type than promised.
//!
//! In: the bytes of an event or a body. Out: the dialects' own structs. Invariant: a field of an
//! unexpected type is an absent field; only bytes that are no JSON object are an error.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{
    self, Deserialize, Deserializer, IgnoredAny, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use serde_json::{Number, Value};

use super::DecodeError;

/// What a stream event is before its JSON is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said<'a> {
    /// A keep-alive.
    Nothing,
    /// `[DONE]`.
    Done,
    /// JSON, or something broken.
    Json(&'a [u8]),
}

/// Tells keep-alives and `[DONE]` from JSON. Some gateways put comments into data lines
/// (`data: : PROCESSING`).
pub(super) fn said(event: &[u8]) -> Said<'_> {
    match event.trim_ascii() {
        b"[DONE]" => Said::Done,
        [] | [b':', ..] => Said::Nothing,
        json => Said::Json(json),
    }
}

/// Reads one JSON object.
pub(super) fn object<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, DecodeError> {
    let bytes = bytes.trim_ascii();
    // Serde would also take a list for a struct.
    if bytes.first().is_some_and(|first| *first != b'{') {
        return Err(DecodeError("it is no JSON object".into()));
    }
    serde_json::from_slice(bytes).map_err(|error| DecodeError(error.to_string()))
}

/// The text of an `error` field that really holds one.
pub(super) fn fault(error: Option<&Value>) -> Option<String> {
    match error? {
        Value::Null | Value::Bool(false) => None,
        Value::String(text) if text.is_empty() => None,
        error => Some(super::error_text(error)),
    }
}

/// A value that is `None` when it is null or not of the expected type.
#[derive(Debug)]
pub(super) struct Lenient<T>(pub Option<T>);

impl<T> Default for Lenient<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: de::DeserializeOwned> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LenientVisitor(PhantomData)).map(Self)
    }
}

struct LenientVisitor<T>(PhantomData<T>);

/// What a value that was read is as a `T`, if it is one.
fn of<'de, T: de::DeserializeOwned>(
    value: impl IntoDeserializer<'de, serde_json::Error>,
) -> Option<T> {
    T::deserialize(value.into_deserializer()).ok()
}

impl<'de, T: de::DeserializeOwned> Visitor<'de> for LenientVisitor<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(of(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(of(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(of(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(of(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(of(text))
    }

    /// All of it is read first: what is not as expected must not leave half of it behind.
    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Self::Value, A::Error> {
        Value::deserialize(MapAccessDeserializer::new(fields)).map(of)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Self::Value, A::Error> {
        Value::deserialize(SeqAccessDeserializer::new(items)).map(of)
    }
}

/// A number of tokens. One that can't be (negative, broken, past all counting) is [`u64::MAX`], so
/// that whoever judges the answer can tell it from an absent one.
#[derive(Debug, Default)]
pub(super) struct Count(pub Option<u64>);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Lenient::deserialize(deserializer)?.0.as_ref().map(count)))
    }
}

/// A JSON number as a number of tokens, as [`Count`] has it.
pub(super) fn count(number: &Number) -> u64 {
    // Some servers count in floats.
    let whole = || number.to_string().strip_suffix(".0")?.parse().ok();
    number.as_u64().or_else(whole).unwrap_or(u64::MAX)
}

/// The same for what few events have: it takes no room in those that have it not. An event's
/// struct is moved several times while it is read.
#[derive(Debug)]
pub(super) struct Rare<T>(pub Option<Box<T>>);

impl<T> Default for Rare<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: de::DeserializeOwned> Deserialize<'de> for Rare<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Lenient::deserialize(deserializer)?.0.map(Box::new)))
    }
}

/// A list that is empty when it is null.
#[derive(Debug)]
pub(super) struct List<T>(pub Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Option::deserialize(deserializer)?.unwrap_or_default()))
    }
}

/// An object that may borrow from the event; `None` when it is anything but an object.
#[derive(Debug)]
pub(super) struct Nested<T>(pub Option<T>);

impl<T> Default for Nested<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Nested<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NestedVisitor(PhantomData)).map(Self)
    }
}

struct NestedVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for NestedVisitor<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(fields)).map(Some)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// A string, borrowed from the event where it has no escapes; a list of parts with `text`,
/// `summary` or `thinking` is their concatenation; anything else is empty.
#[derive(Debug, Default)]
pub(super) struct Text<'a>(pub Cow<'a, str>);

impl<'a> Text<'a> {
    /// The text where it is a part of the event as it is; else nothing.
    pub fn in_place(&self) -> &'a str {
        match self.0 {
            Cow::Borrowed(text) => text,
            Cow::Owned(_) => "",
        }
    }

    /// The text, unless it is empty.
    pub fn some(&self) -> Option<String> {
        (!self.0.is_empty()).then(|| self.0.to_string())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor).map(Self)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(""))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(""))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(""))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(""))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(""))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Self::Value, A::Error> {
        let mut all = String::new();
        while let Some(part) = parts.next_element::<Text<'de>>()? {
            all.push_str(&part.0);
        }
        Ok(Cow::Owned(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let mut text = Cow::Borrowed("");
        while let Some(Text(name)) = fields.next_key()? {
            if matches!(&*name, "text" | "summary" | "thinking") {
                let value: Text<'de> = fields.next_value()?;
                if text.is_empty() {
                    text = value.0;
                }
            } else {
                fields.next_value::<IgnoredAny>()?;
            }
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keep_alives_and_end_marks_are_told_from_json() {
        for (event, expected) in [
            ("", Said::Nothing),
            ("  \n", Said::Nothing),
            (": PROCESSING", Said::Nothing),
            (" [DONE] ", Said::Done),
            (" {} ", Said::Json(b"{}")),
            ("[DONE", Said::Json(b"[DONE")),
        ] {
            assert_eq!(said(event.as_bytes()), expected, "{event:?}");
        }
    }

    #[test]
    fn an_object_of_another_type_is_absent() {
        for json in ["null", "1", "-1", "1.5", "true", "\"text\"", "[1, {}]"] {
            let nested: Nested<List<u8>> = serde_json::from_str(json).unwrap();
            assert!(nested.0.is_none(), "{json}");
        }
    }

    #[test]
    fn a_value_of_another_type_is_absent() {
        let count = |json: &str| serde_json::from_str::<Lenient<u64>>(json).unwrap().0;
        assert_eq!(count("12"), Some(12));
        for json in ["null", "-1", "1.5", "true", "\"12\"", "[12]", "{\"n\":12}"] {
            assert_eq!(count(json), None, "{json}");
        }
        let seconds = |json: &str| serde_json::from_str::<Lenient<f64>>(json).unwrap().0;
        assert_eq!(
            (seconds("2"), seconds("-2"), seconds("0.5")),
            (Some(2.0), Some(-2.0), Some(0.5))
        );
        let list: Lenient<Vec<u64>> = serde_json::from_str("[1, 2]").unwrap();
        assert_eq!(list.0, Some(vec![1, 2]));
        let broken: Vec<Lenient<Vec<u64>>> = serde_json::from_str("[[1, {}], [3]]").unwrap();
        assert_eq!((broken[0].0.as_ref(), broken[1].0.as_ref()), (None, Some(&vec![3])));
    }

    #[test]
    fn a_count_that_cannot_be_is_told_from_one_that_is_not_there() {
        let count = |json: &str| serde_json::from_str::<Count>(json).unwrap().0;
        for (json, expected) in [
            ("12", Some(12)),
            ("12.0", Some(12)),
            ("null", None),
            ("\"12\"", None),
            ("{}", None),
            ("-1", Some(u64::MAX)),
            ("1.5", Some(u64::MAX)),
            ("1e30", Some(u64::MAX)),
            ("99999999999999999999", Some(u64::MAX)),
        ] {
            assert_eq!(count(json), expected, "{json}");
        }
    }

    #[test]
    fn only_a_real_error_is_a_fault() {
        for error in ["null", "false", r#""""#] {
            assert_eq!(fault(Some(&serde_json::from_str(error).unwrap())), None, "{error}");
        }
        assert_eq!(fault(None), None);
        assert_eq!(fault(Some(&serde_json::json!("no memory"))).as_deref(), Some("no memory"));
    }
}

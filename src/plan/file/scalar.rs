//! Quantities of the written plan.
//!
//! In: a number, or a text with a unit. Out: a number. Invariant: the units are those of
//! `plan::units`, and each type's schema accepts what it reads.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

use crate::plan::units;

/// A whole number from 0: `12`, `10k`, `2M`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count(pub(crate) u64);

/// A number from 0: `0.5`, `8k`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ratio(pub(crate) f64);

/// A share of one: `5%` or `0.05`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Share(pub(crate) f64);

/// Requests per second: `8`, `8/s`, `30/min`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct PerSecond(pub(crate) f64);

/// Levels one after another: `1,2,4-32*2`, one number, or a list of numbers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series(pub(crate) Vec<f64>);

/// A duration with its unit: `250ms`, `30s`, `1m30s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CountVisitor;
        impl Visitor<'_> for CountVisitor {
            type Value = Count;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number such as `12` or `10k`")
            }
            fn visit_u64<E: Error>(self, value: u64) -> Result<Count, E> {
                Ok(Count(value))
            }
            fn visit_i64<E: Error>(self, value: i64) -> Result<Count, E> {
                u64::try_from(value).map(Count).map_err(|_| E::custom("must not be negative"))
            }
            fn visit_f64<E: Error>(self, value: f64) -> Result<Count, E> {
                self.visit_str(&value.to_string())
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Count, E> {
                if let Ok(value) = text.trim().parse() {
                    return Ok(Count(value));
                }
                units::count(text).map_err(E::custom).and_then(|value| self.visit_i64(value))
            }
        }
        deserializer.deserialize_any(CountVisitor)
    }
}

impl<'de> Deserialize<'de> for Ratio {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RatioVisitor;
        impl Visitor<'_> for RatioVisitor {
            type Value = Ratio;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number such as `0.5` or `8k`")
            }
            fn visit_u64<E: Error>(self, value: u64) -> Result<Ratio, E> {
                Ok(Ratio(value as f64))
            }
            fn visit_i64<E: Error>(self, value: i64) -> Result<Ratio, E> {
                self.visit_f64(value as f64)
            }
            fn visit_f64<E: Error>(self, value: f64) -> Result<Ratio, E> {
                if value.is_finite() && value >= 0.0 {
                    Ok(Ratio(value))
                } else {
                    Err(E::custom("must be a finite number that is not negative"))
                }
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Ratio, E> {
                units::number(text).map_err(E::custom).and_then(|value| self.visit_f64(value))
            }
        }
        deserializer.deserialize_any(RatioVisitor)
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ShareVisitor;
        impl Visitor<'_> for ShareVisitor {
            type Value = Share;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a share such as `5%` or `0.05`")
            }
            fn visit_u64<E: Error>(self, value: u64) -> Result<Share, E> {
                self.visit_str(&value.to_string())
            }
            fn visit_i64<E: Error>(self, value: i64) -> Result<Share, E> {
                self.visit_str(&value.to_string())
            }
            fn visit_f64<E: Error>(self, value: f64) -> Result<Share, E> {
                self.visit_str(&value.to_string())
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Share, E> {
                units::share(text).map(Share).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(ShareVisitor)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SpanVisitor;
        impl Visitor<'_> for SpanVisitor {
            type Value = Span;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as `250ms`, `30s` or `1m30s`")
            }
            fn visit_u64<E: Error>(self, value: u64) -> Result<Span, E> {
                self.visit_str(&value.to_string())
            }
            fn visit_i64<E: Error>(self, value: i64) -> Result<Span, E> {
                self.visit_str(&value.to_string())
            }
            fn visit_f64<E: Error>(self, value: f64) -> Result<Span, E> {
                self.visit_str(&value.to_string())
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Span, E> {
                units::duration(text).map(Span).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(SpanVisitor)
    }
}

impl<'de> Deserialize<'de> for PerSecond {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RateVisitor;
        impl Visitor<'_> for RateVisitor {
            type Value = PerSecond;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a rate such as `8`, `8/s` or `30/min`")
            }
            fn visit_u64<E: Error>(self, value: u64) -> Result<PerSecond, E> {
                Ok(PerSecond(value as f64))
            }
            fn visit_i64<E: Error>(self, value: i64) -> Result<PerSecond, E> {
                self.visit_str(&value.to_string())
            }
            fn visit_f64<E: Error>(self, value: f64) -> Result<PerSecond, E> {
                self.visit_str(&value.to_string())
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<PerSecond, E> {
                units::rate(text).map(PerSecond).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(RateVisitor)
    }
}

impl<'de> Deserialize<'de> for Series {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SeriesVisitor;
        impl<'de> Visitor<'de> for SeriesVisitor {
            type Value = Series;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a series such as `1,2,4-32*2`, or a list of numbers")
            }
            fn visit_u64<E: Error>(self, value: u64) -> Result<Series, E> {
                Ok(Series(vec![value as f64]))
            }
            fn visit_f64<E: Error>(self, value: f64) -> Result<Series, E> {
                self.visit_str(&value.to_string())
            }
            fn visit_i64<E: Error>(self, value: i64) -> Result<Series, E> {
                self.visit_str(&value.to_string())
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Series, E> {
                units::series(text).map(Series).map_err(E::custom)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Series, A::Error> {
                let mut levels = Vec::new();
                while let Some(PerSecond(level)) = items.next_element()? {
                    levels.push(level);
                }
                Ok(Series(levels))
            }
        }
        deserializer.deserialize_any(SeriesVisitor)
    }
}

impl JsonSchema for PerSecond {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Rate".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["number", "string"],
            "minimum": 0,
            "pattern": r"^\s*\d*(\.\d+)?[kKMG]?\s*(rps|qps|(req|requests)?\s*/\s*(s|sec|second|m|min|minute|h|hour))?\s*$|\$\{.+\}",
        })
    }
}

impl JsonSchema for Series {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Series".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["number", "string", "array"],
            "minimum": 0,
            "items": { "type": ["number", "string"] },
        })
    }
}

impl JsonSchema for Count {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Count".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["integer", "string"],
            "minimum": 0,
            "pattern": r"^\d[\d_]*(\.\d+)?[kKMG]?$|\$\{.+\}",
        })
    }
}

impl JsonSchema for Ratio {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Number".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["number", "string"],
            "minimum": 0,
            "pattern": r"^\d*(\.\d+)?([eE][+-]?\d+)?[kKMG]?$|\$\{.+\}",
        })
    }
}

impl JsonSchema for Share {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Share".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["number", "string"],
            "minimum": 0,
            "maximum": 1,
            "pattern": r"^\s*\d*(\.\d+)?\s*%?\s*$|\$\{.+\}",
        })
    }
}

impl JsonSchema for Span {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "pattern": r"^\s*(0|(\d+(\.\d+)?\s*(ns|us|µs|μs|ms|msec|millis|s|secs?|seconds?|m|mins?|minutes?|h|hr|hours?|d|days?)\s*)+)$|\$\{.+\}",
            "maximum": 0,
        })
    }
}

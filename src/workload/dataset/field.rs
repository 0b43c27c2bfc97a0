//! The parts of a row: messages, numbers, times, names.
//!
//! In: JSON values as files have them. Out: the row's types, or what was expected and found.
//! Invariant: a part that is missing or `null` is `None`; a part that is there and wrong is an
//! error, never dropped.

use jiff::civil;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use super::row::Expected;
use super::scale::Scale;
use super::unit::excerpt;
use crate::plan::workload::TimestampUnit;
use crate::request::{Content, Message};

/// A JSON object.
pub(super) fn object<'a>(value: &'a Value, what: &str) -> Result<&'a Map<String, Value>, Expected> {
    value.as_object().ok_or_else(|| Expected::new(what, describe(value)))
}

/// The first of `names` that is there and not `null`.
pub(super) fn first<'a>(object: &'a Map<String, Value>, names: &[&str]) -> Option<&'a Value> {
    first_named(object, names).map(|(_, value)| value)
}

/// The same with its name.
pub(super) fn first_named<'a, 'n>(
    object: &'a Map<String, Value>,
    names: &[&'n str],
) -> Option<(&'n str, &'a Value)> {
    let mut found = names.iter().filter_map(|name| Some((*name, object.get(*name)?)));
    found.find(|(_, value)| !value.is_null())
}

/// The value of `name`, which must be there.
pub(super) fn required<'a>(
    object: &'a Map<String, Value>,
    name: &str,
    what: &str,
) -> Result<&'a Value, Expected> {
    object.get(name).filter(|value| !value.is_null()).ok_or_else(|| {
        Expected::new(format!("{what} in `{name}`"), format!("the fields {}", names_of(object)))
    })
}

/// The keys of an object, for messages.
pub(super) fn names_of(object: &Map<String, Value>) -> String {
    const MOST: usize = 8;
    let mut names: Vec<&str> = object.keys().map(String::as_str).take(MOST).collect();
    if object.len() > MOST {
        names.push("…");
    }
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// A value in a few words, for messages.
pub(super) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "a boolean".to_owned(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) if text.is_empty() => "an empty text".to_owned(),
        Value::String(text) => format!("the text {}", excerpt(text.as_bytes())),
        Value::Array(items) => format!("an array of {}", items.len()),
        Value::Object(object) => format!("an object with {}", names_of(object)),
    }
}

/// A count: a number, or text that is one (as in CSV). Empty text is as good as missing.
pub(super) fn count(value: &Value, name: &str) -> Result<Option<u64>, Expected> {
    let wrong = || Expected::new(format!("a count in `{name}`"), describe(value));
    match value {
        Value::Null => Ok(None),
        Value::Number(number) => match number.as_u64() {
            Some(count) => Ok(Some(count)),
            None => number.as_f64().and_then(whole).map(Some).ok_or_else(wrong),
        },
        Value::String(text) => {
            let text = text.trim();
            if text.is_empty() {
                return Ok(None);
            }
            let parsed = text.parse().ok().or_else(|| text.parse().ok().and_then(whole));
            parsed.map(Some).ok_or_else(wrong)
        }
        _ => Err(wrong()),
    }
}

/// A float without fraction, as tables that knew missing values write counts.
fn whole(value: f64) -> Option<u64> {
    let fits = value >= 0.0 && value.fract() == 0.0 && value < 9e15;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
    fits.then_some(value as u64)
}

/// The first of `names` as a count.
pub(super) fn count_of(
    object: &Map<String, Value>,
    names: &[&str],
) -> Result<Option<u64>, Expected> {
    for name in names {
        if let Some(value) = object.get(*name)
            && let Some(count) = count(value, name)?
        {
            return Ok(Some(count));
        }
    }
    Ok(None)
}

/// What requests call the upper bound of generated tokens.
pub(super) const LIMIT_NAMES: [&str; 6] = [
    "max_completion_tokens",
    "max_tokens",
    "max_output_tokens",
    "max_new_tokens",
    "n_predict",
    "num_predict",
];

/// The upper bound of generated tokens that a body asks for, and the name that it has there.
pub(super) fn limit_of(
    object: &Map<String, Value>,
) -> Result<Option<(u64, &'static str)>, Expected> {
    for name in LIMIT_NAMES {
        if let Some(tokens) = count_of(object, &[name])? {
            return Ok(Some((tokens, name)));
        }
    }
    Ok(None)
}

/// A count that must be there.
pub(super) fn required_count(object: &Map<String, Value>, names: &[&str]) -> Result<u64, Expected> {
    count_of(object, names)?.ok_or_else(|| {
        Expected::new(
            format!("a count in `{}`", names.join("` or `")),
            format!("the fields {}", names_of(object)),
        )
    })
}

/// A name: text, or a number written out (`12.0` as `12`). Empty text is as good as missing.
pub(super) fn name(value: &Value, key: &str) -> Result<Option<String>, Expected> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) if text.trim().is_empty() => Ok(None),
        Value::String(text) => Ok(Some(without_fraction(text).to_owned())),
        Value::Number(number) => Ok(Some(without_fraction(&number.to_string()).to_owned())),
        other => Err(Expected::new(format!("a name in `{key}`"), describe(other))),
    }
}

/// `12` for `12.0`, as tables that knew missing values write ids; anything else as it is.
fn without_fraction(text: &str) -> &str {
    match text.strip_suffix(".0") {
        Some(whole) if whole.bytes().all(|byte| byte.is_ascii_digit()) => whole,
        _ => text,
    }
}

/// The first of `names` as a name.
pub(super) fn name_of(
    object: &Map<String, Value>,
    names: &[&str],
) -> Result<Option<String>, Expected> {
    for key in names {
        if let Some(value) = object.get(*key)
            && let Some(name) = name(value, key)?
        {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// A list of ids.
pub(super) fn ids(value: &Value, name: &str) -> Result<Vec<u64>, Expected> {
    let items = value
        .as_array()
        .ok_or_else(|| Expected::new(format!("a list of ids in `{name}`"), describe(value)))?;
    items
        .iter()
        .map(|item| {
            item.as_u64()
                .or_else(|| item.as_i64().map(i64::cast_unsigned))
                .ok_or_else(|| Expected::new(format!("ids in `{name}`"), describe(item)))
        })
        .collect()
}

/// Messages as they are written.
pub(super) fn messages(value: &Value, name: &str) -> Result<Vec<Message>, Expected> {
    let items = value.as_array().ok_or_else(|| {
        Expected::new(format!("an array of messages in `{name}`"), describe(value))
    })?;
    if items.is_empty() {
        return Err(Expected::new(format!("at least one message in `{name}`"), "an empty array"));
    }
    let numbered = items.iter().enumerate();
    numbered.map(|(position, item)| message(item, &format!("{name}/{position}"))).collect()
}

fn message(value: &Value, name: &str) -> Result<Message, Expected> {
    let fields = object(value, &format!("a message {{role, content}} in `{name}`"))?;
    let kind = fields.get("type").and_then(Value::as_str);
    let role = match fields.get("role") {
        Some(Value::String(role)) if !role.is_empty() => role.clone(),
        None if kind.is_some_and(|kind| kind != "message") => {
            let role = role_of_item(kind.unwrap_or_default()).to_owned();
            return Ok(Message { role, content: Content::Item, more: fields.clone() });
        }
        other => {
            let found = other.map_or("no role".to_owned(), describe);
            return Err(Expected::new(format!("a role in `{name}`"), found));
        }
    };
    let content = match fields.get("content") {
        Some(Value::String(text)) => Content::Text(text.clone()),
        Some(Value::Array(parts)) => Content::Parts(checked_parts(parts, name)?.to_vec()),
        // An assistant that only called tools said nothing.
        None if role == "assistant" => Content::Absent,
        Some(Value::Null) if role == "assistant" => Content::Null,
        other => {
            let found = other.map_or("no content".to_owned(), describe);
            return Err(Expected::new(format!("text in `{name}/content`"), found));
        }
    };
    // That it is a message goes without saying.
    let more = fields.iter().filter(|(key, value)| {
        !matches!(key.as_str(), "role" | "content")
            && (key.as_str(), value.as_str()) != ("type", Some("message"))
    });
    let more = more.map(|(key, value)| (key.clone(), value.clone())).collect();
    Ok(Message { role, content, more })
}

/// Who says an item that names no role, by its type: a model reasons and calls; what points to what was
/// said before, or answers a call, is asked.
fn role_of_item(kind: &str) -> &'static str {
    match kind {
        _ if kind.ends_with("_output") => "tool",
        "reasoning" | "mcp_list_tools" | "mcp_approval_request" => "assistant",
        _ if kind.ends_with("_call") => "assistant",
        _ => "user",
    }
}

/// Parts are objects, or text by itself.
fn checked_parts<'p>(parts: &'p [Value], name: &str) -> Result<&'p [Value], Expected> {
    match parts.iter().find(|part| !part.is_object() && !part.is_string()) {
        None => Ok(parts),
        Some(other) => {
            Err(Expected::new(format!("text or parts in `{name}/content`"), describe(other)))
        }
    }
}

/// A time in nanoseconds: a number on `scale`, or a calendar stamp (in UTC unless it says
/// otherwise).
pub(super) fn time(value: &Value, name: &str, scale: Scale) -> Result<Option<u64>, Expected> {
    let wrong = || Expected::new(format!("a time in `{name}`"), describe(value));
    match value {
        Value::Null => Ok(None),
        // Written out and read as a decimal, so that no digit is lost to binary fractions.
        Value::Number(number) => decimal(&number.to_string(), scale).map(Some).ok_or_else(wrong),
        Value::String(text) if text.trim().is_empty() => Ok(None),
        Value::String(text) => {
            let text = text.trim();
            decimal(text, scale).or_else(|| calendar(text)).map(Some).ok_or_else(wrong)
        }
        _ => Err(wrong()),
    }
}

/// The first of `names` as a time.
pub(super) fn time_of(
    object: &Map<String, Value>,
    names: &[&str],
    scale: Scale,
) -> Result<Option<u64>, Expected> {
    for name in names {
        if let Some(value) = object.get(*name)
            && let Some(ns) = time(value, name, scale)?
        {
            return Ok(Some(ns));
        }
    }
    Ok(None)
}

/// A decimal number of units in nanoseconds, rounded down.
fn decimal(text: &str, scale: Scale) -> Option<u64> {
    let digits = match scale.unit_of(text) {
        TimestampUnit::Seconds => 9_usize,
        TimestampUnit::Milliseconds => 6,
        TimestampUnit::Microseconds => 3,
        TimestampUnit::Nanoseconds => 0,
    };
    if text.contains(['e', 'E']) {
        let value = text.parse::<f64>().ok()? * 10_f64.powi(i32::try_from(digits).ok()?);
        return whole(value.floor());
    }
    let (head, tail) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if head.is_empty() || !is_number(head) || !is_number(tail) {
        return None;
    }
    let tail = &tail[..tail.len().min(digits)];
    let scale = |digits: usize| 10_u64.checked_pow(u32::try_from(digits).ok()?);
    let fraction = match tail {
        "" => 0,
        tail => tail.parse::<u64>().ok()?.checked_mul(scale(digits - tail.len())?)?,
    };
    head.parse::<u64>().ok()?.checked_mul(scale(digits)?)?.checked_add(fraction)
}

/// `2024-01-01T10:00:01Z`, `2023-11-16 18:17:03.9799600`, with or without an offset.
fn calendar(text: &str) -> Option<u64> {
    let stamp = match text.parse::<jiff::Timestamp>() {
        Ok(stamp) => stamp,
        Err(_) => text.parse::<civil::DateTime>().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp(),
    };
    u64::try_from(stamp.as_nanosecond()).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::workload::{DatasetConfig, DatasetFormat};

    /// Seconds, or milliseconds for `Mooncake`.
    fn scale(format: DatasetFormat) -> Scale {
        Scale::of(&DatasetConfig::default(), format)
    }

    fn seconds(value: &Value) -> Option<u64> {
        time(value, "t", scale(DatasetFormat::Jsonl)).unwrap()
    }

    #[test]
    fn decimal_times_lose_no_digit() {
        assert_eq!(seconds(&json!(1_704_103_201.123_456)), Some(1_704_103_201_123_456_000));
        assert_eq!(seconds(&json!("0.1")), Some(100_000_000));
        assert_eq!(seconds(&json!(3)), Some(3_000_000_000));
        assert_eq!(seconds(&json!(1e3)), Some(1_000_000_000_000));
        assert_eq!(
            time(&json!(27.5), "t", scale(DatasetFormat::Mooncake)).unwrap(),
            Some(27_500_000)
        );
    }

    #[test]
    fn calendar_times_are_utc_unless_they_say_otherwise() {
        let expected = Some(1_704_103_201_000_000_000);
        assert_eq!(seconds(&json!("2024-01-01T10:00:01Z")), expected);
        assert_eq!(seconds(&json!("2024-01-01 10:00:01")), expected);
        assert_eq!(seconds(&json!("2024-01-01T12:00:01+02:00")), expected);
        assert_eq!(seconds(&json!("2023-11-16 18:17:03.9799600")), Some(1_700_158_623_979_960_000));
    }

    #[test]
    fn wrong_times_are_errors_and_missing_ones_are_none() {
        assert_eq!(seconds(&Value::Null), None);
        assert_eq!(seconds(&json!(" ")), None);
        for wrong in [json!(-1), json!("yesterday"), json!([1]), json!("1.2.3"), json!(1e300)] {
            assert!(time(&wrong, "t", scale(DatasetFormat::Jsonl)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn counts_may_be_written_as_text_or_as_floats() {
        for value in [json!(12), json!(12.0), json!("12"), json!(" 12.0 ")] {
            assert_eq!(count(&value, "n").unwrap(), Some(12));
        }
        assert_eq!(count(&json!(""), "n").unwrap(), None);
        for wrong in [json!(-1), json!(1.5), json!("many"), json!({})] {
            assert!(count(&wrong, "n").is_err());
        }
    }

    #[test]
    fn a_message_keeps_every_part_and_field() {
        let written = json!([
            {"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
                {"type": "image_url", "image_url": {"url": "data:,"}}], "name": "n"},
            {"role": "assistant", "content": null, "tool_calls": [{"id": "c"}], "x": 1},
            {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "tool", "content": "18 °C", "tool_call_id": "c"},
        ]);
        let read = messages(&written, "messages").unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), written);
    }

    #[test]
    fn a_message_without_role_or_content_names_its_place() {
        let error = messages(&json!([{"role": "user", "content": "a"}, {"role": "user"}]), "m")
            .unwrap_err();
        assert_eq!(error.expected, "text in `m/1/content`");
        assert_eq!(error.found, "no content");
    }
}

//! `OpenAI` chat completions, as the API documents them and as servers really send them.
//!
//! In: a [`Request`], or the bytes of an event or a body. Out: the JSON to POST, or [`Deltas`].
//! Invariant: a field that is missing, null or new, or a text or number of an unexpected type, never
//! fails an event and never counts as something.

use std::collections::BTreeMap;

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use super::beside::nothing_foreign;
use super::lenient::{Lenient, List, Nested, Rare, Text, object};
use super::openai_usage::{WireUsage, failure};
use super::prompt::no_ids;
use super::{DecodeError, Deltas, Dialect, HttpRequest, NoForm};
use crate::record::ServerTimings;
use crate::request::{Message, Request, fields};

/// What `OpenAI`'s APIs of completions call the upper bound of generated tokens.
const LIMIT_NAMES: [&str; 2] = ["max_tokens", "max_completion_tokens"];

/// The dialect of `POST chat/completions`.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenaiChat;

impl Dialect for OpenaiChat {
    fn encode_chat(&self, request: &Request, model: &str) -> Result<HttpRequest, NoForm> {
        no_ids(&request.messages)?;
        nothing_foreign(request)?;
        let messages = &request.messages;
        // Writing strings, numbers and JSON values into memory has no way to fail.
        let body = serde_json::to_vec(&Body { request, messages, model }).unwrap_or_default();
        Ok(HttpRequest { path: "chat/completions".into(), body: body.into() })
    }

    fn tells_choices(&self) -> bool {
        true
    }

    fn read_event(&self, json: &[u8], out: &mut Deltas) -> Result<(), DecodeError> {
        let chunk: Chunk<'_> = object(json)?;
        let (content, reasoning) = chunk.texts();
        chunk.read(out, |choice| choice.delta);
        out.learn(json, content, reasoning);
        Ok(())
    }

    fn read_whole(&self, json: &[u8], out: &mut Deltas) -> Result<(), DecodeError> {
        object::<Chunk<'_>>(json)?.read(out, |choice| choice.message.map(|message| *message));
        Ok(())
    }
}

/// The request's JSON, written without copying the messages.
struct Body<'a> {
    request: &'a Request,
    messages: &'a [Message],
    model: &'a str,
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { request, messages, model } = self;
        let extra = &request.body;
        let is_sent = |path: &str| !request.without.iter().any(|it| it == path);
        let ours = |key: &str| !extra.contains_key(key) && is_sent(key);
        let mut map = serializer.serialize_map(None)?;
        if ours("model") {
            map.serialize_entry("model", model)?;
        }
        if ours("messages") {
            map.serialize_entry("messages", messages)?;
        }
        let has_limit = LIMIT_NAMES.iter().any(|name| extra.contains_key(*name));
        let limit = request.limit_name.among(&LIMIT_NAMES);
        if let Some(max_tokens) = request.max_tokens.filter(|_| !has_limit && ours(limit)) {
            map.serialize_entry(limit, &max_tokens)?;
        }
        if let Some(temperature) = request.temperature.filter(|_| ours("temperature")) {
            map.serialize_entry("temperature", &temperature)?;
        }
        if ours("stream") {
            map.serialize_entry("stream", &request.stream)?;
        }
        let streams = super::stream_field(request);
        if streams && ours("stream_options") {
            map.serialize_entry("stream_options", &BTreeMap::from([("include_usage", true)]))?;
        }
        let is_own = |key: &str| ours(key) && !fields::is_of_another(key);
        for (key, value) in request.recorded.iter().filter(|(key, _)| is_own(key)) {
            map.serialize_entry(key, value)?;
        }
        for (key, value) in extra {
            match value {
                // Who adds an option does not mean to turn usage off.
                Value::Object(theirs) if key == "stream_options" && streams => {
                    let mut options = serde_json::Map::new();
                    if is_sent("stream_options/include_usage") {
                        options.insert("include_usage".into(), true.into());
                    }
                    options.extend(theirs.clone());
                    map.serialize_entry(key, &options)?;
                }
                _ => map.serialize_entry(key, value)?,
            }
        }
        map.end()
    }
}

/// A stream event or a whole answer; they differ in `delta` and `message`.
#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(default, borrow)]
    choices: List<Choice<'a>>,
    #[serde(default)]
    usage: Nested<Box<WireUsage>>,
    #[serde(default)]
    x_groq: Rare<Groq>,
    #[serde(default)]
    timings: Rare<ServerTimings>,
    #[serde(default, borrow)]
    model: Text<'a>,
    #[serde(default, borrow)]
    id: Text<'a>,
    #[serde(default)]
    error: Option<Box<Value>>,
    #[serde(default, borrow)]
    object: Text<'a>,
    #[serde(default)]
    message: Option<Box<Value>>,
}

/// Where Groq streams its usage.
#[derive(Deserialize)]
struct Groq {
    usage: Option<Box<WireUsage>>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: Lenient<u64>,
    #[serde(default, borrow)]
    delta: Option<Delta<'a>>,
    #[serde(default, borrow)]
    message: Option<Box<Delta<'a>>>,
    #[serde(default, borrow)]
    finish_reason: Text<'a>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(default, borrow)]
    content: Text<'a>,
    #[serde(default, borrow)]
    refusal: Text<'a>,
    #[serde(default, borrow)]
    reasoning_content: Text<'a>,
    #[serde(default, borrow)]
    reasoning: Text<'a>,
    #[serde(default, borrow)]
    reasoning_details: Text<'a>,
    #[serde(default, borrow)]
    tool_calls: List<ToolCall<'a>>,
    #[serde(default, borrow)]
    function_call: Option<Box<Function<'a>>>,
}

#[derive(Deserialize)]
struct ToolCall<'a> {
    #[serde(default, borrow)]
    function: Option<Function<'a>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(default, borrow)]
    name: Text<'a>,
    #[serde(default, borrow)]
    arguments: Text<'a>,
}

impl Function<'_> {
    fn read(&self, out: &mut Deltas) {
        out.content.push_str(&self.name.0);
        out.content.push_str(&self.arguments.0);
    }
}

impl<'a> Chunk<'a> {
    /// Content and reasoning of the first choice, where they stand in the event as they are.
    fn texts(&self) -> (&'a str, &'a str) {
        let delta = self.choices.0.first().and_then(|choice| choice.delta.as_ref());
        delta.map_or(("", ""), |delta| (delta.content.in_place(), delta.reasoning().in_place()))
    }

    fn read(self, out: &mut Deltas, part: impl Fn(Choice<'a>) -> Option<Delta<'a>>) {
        out.error = failure(self.error.as_deref(), &self.object, self.message.as_deref());
        if !self.model.0.is_empty() && out.model.as_deref() != Some(&*self.model.0) {
            out.model = Some(self.model.0.into_owned());
        }
        out.identify(&self.id);
        let usage = self.usage.0.or(self.x_groq.0.and_then(|groq| groq.usage));
        out.usage = usage.as_ref().and_then(|usage| usage.read());
        out.timings = self.timings.0.map(|it| *it).or_else(|| usage.as_ref()?.timings());
        for mut choice in self.choices.0 {
            let (index, before) = (choice.index.0, (out.content.len(), out.reasoning.len()));
            let finish = std::mem::take(&mut choice.finish_reason).some();
            let finishes = finish.is_some();
            out.stopped(index, finish);
            if let Some(delta) = part(choice) {
                delta.read(out);
            }
            out.choice(index, before, finishes);
        }
    }
}

impl<'a> Delta<'a> {
    /// Some servers send the same reasoning under two names; the first that says something wins.
    fn reasoning(&self) -> &Text<'a> {
        let names = [&self.reasoning_content, &self.reasoning];
        names.into_iter().find(|text| !text.0.is_empty()).unwrap_or(&self.reasoning_details)
    }

    fn read(&self, out: &mut Deltas) {
        out.content.push_str(&self.content.0);
        out.content.push_str(&self.refusal.0);
        out.reasoning.push_str(&self.reasoning().0);
        let calls = self.tool_calls.0.iter().filter_map(|call| call.function.as_ref());
        for function in calls.chain(self.function_call.as_deref()) {
            function.read(out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(event: &str) -> Deltas {
        let mut out = Deltas { content: "left over".into(), ..Deltas::default() };
        OpenaiChat.decode(event.as_bytes(), &mut out).unwrap();
        out
    }

    fn request(stream: bool, body: &Value) -> Request {
        Request {
            messages: vec![Message::text("user", "Say \"hi\"")],
            max_tokens: Some(16),
            temperature: Some(0.0),
            stream,
            body: body.as_object().unwrap().clone(),
            ..Request::default()
        }
    }

    fn encoded(stream: bool, body: &Value) -> Value {
        let http = OpenaiChat.encode(&request(stream, body), "m").unwrap();
        assert_eq!(http.path, "chat/completions");
        serde_json::from_slice(&http.body).unwrap()
    }

    #[test]
    fn a_streamed_request_asks_for_usage() {
        assert_eq!(
            encoded(true, &serde_json::json!({})),
            serde_json::json!({
                "model": "m",
                "messages": [{"role": "user", "content": "Say \"hi\""}],
                "max_tokens": 16,
                "temperature": 0.0,
                "stream": true,
                "stream_options": {"include_usage": true},
            })
        );
        assert!(encoded(false, &serde_json::json!({})).get("stream_options").is_none());
        let more = serde_json::json!({"stream_options": {"continuous_usage_stats": true}});
        assert_eq!(
            encoded(true, &more)["stream_options"],
            serde_json::json!({"include_usage": true, "continuous_usage_stats": true})
        );
    }

    #[test]
    fn extra_body_fields_pass_through_and_win() {
        let extra = serde_json::json!({
            "ignore_eos": true, "max_tokens": 3, "model": "other", "stream_options": null,
            "stream": false,
        });
        let body = encoded(true, &extra);
        for (key, value) in extra.as_object().unwrap() {
            assert_eq!(&body[key], value, "{key}");
        }
        let text = OpenaiChat.encode(&request(true, &extra), "m").unwrap().body;
        let text = String::from_utf8(text.to_vec()).unwrap();
        assert_eq!(text.matches("max_tokens").count(), 1, "{text}");
        assert!(!super::super::stream_field(&request(true, &extra)));
    }

    #[test]
    fn role_null_content_and_empty_choices_are_no_tokens() {
        for event in [
            r#"{"choices":[{"delta":{"role":"assistant","content":null},"finish_reason":null}]}"#,
            r#"{"choices":[{"delta":{"role":"assistant","content":""}}],"usage":null}"#,
            r#"{"choices":[]}"#,
            r#"{"choices":null}"#,
            r#"{"choices":[{"delta":{}}],"usage":{}}"#,
            r#"{"choices":[{"delta":null}],"error":null}"#,
            r#"{"choices":[{"delta":{"tool_calls":null,"content":17,"reasoning":{}}}]}"#,
            r#"{"anything":"else"}"#,
            "",
            ": PROCESSING",
        ] {
            assert_eq!(decode(event), Deltas::default(), "{event}");
        }
    }

    #[test]
    fn reasoning_is_read_under_each_of_its_names_and_once() {
        for delta in [
            r#"{"reasoning_content":"so"}"#,
            r#"{"reasoning":"so"}"#,
            r#"{"reasoning":"so","reasoning_content":"so"}"#,
            r#"{"reasoning_details":[{"type":"reasoning.text","text":"so"}]}"#,
            r#"{"reasoning_details":[{"type":"reasoning.summary","summary":"so"}],"content":""}"#,
        ] {
            let out = decode(&format!(r#"{{"choices":[{{"delta":{delta}}}]}}"#));
            assert_eq!((out.reasoning.as_str(), out.content.as_str()), ("so", ""), "{delta}");
        }
    }

    #[test]
    fn tool_calls_and_refusals_are_content() {
        let call = r#"[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":"{\"a\""}}]"#;
        let out = decode(&format!(r#"{{"choices":[{{"delta":{{"tool_calls":{call}}}}}]}}"#));
        assert_eq!(out.content, r#"f{"a""#);
        assert_eq!(decode(r#"{"choices":[{"delta":{"refusal":"No."}}]}"#).content, "No.");
        let parts =
            r#"{"choices":[{"delta":{"content":[{"type":"text","text":"a"},{"text":"b"}]}}]}"#;
        assert_eq!(decode(parts).content, "ab");
    }

    #[test]
    fn cached_tokens_are_read_under_each_name_and_absent_is_not_zero() {
        for (usage, cached) in [
            (r#"{"prompt_tokens":9,"prompt_tokens_details":{"cached_tokens":8}}"#, Some(8)),
            (r#"{"prompt_tokens":9,"prompt_tokens_details":{"cached_tokens":0}}"#, Some(0)),
            (
                r#"{"prompt_tokens":9,"prompt_cache_hit_tokens":7,"prompt_cache_miss_tokens":2}"#,
                Some(7),
            ),
            (r#"{"prompt_tokens":9,"prompt_tokens_details":null}"#, None),
            (r#"{"prompt_tokens":9,"prompt_tokens_details":{}}"#, None),
            (r#"{"prompt_tokens":9,"cached_tokens":null}"#, None),
        ] {
            let out = decode(&format!(r#"{{"choices":[],"usage":{usage}}}"#));
            let usage = out.usage.unwrap();
            assert_eq!((usage.input_tokens, usage.cached_tokens), (Some(9), cached));
            assert_eq!(usage.output_tokens, None);
        }
    }

    #[test]
    fn errors_inside_a_stream_keep_message_type_and_code() {
        let vllm = r#"{"error":{"message":"The engine is busy","type":"Busy","code":503}}"#;
        assert_eq!(decode(vllm).error.unwrap(), "The engine is busy (Busy, 503)");
        assert_eq!(decode(r#"{"error":"out of memory"}"#).error.unwrap(), "out of memory");
        let old = r#"{"object":"error","message":"too long","code":400}"#;
        assert_eq!(decode(old).error.unwrap(), "too long");
        assert_eq!(decode(r#"{"error":{"detail":[1]}}"#).error.unwrap(), r#"{"detail":[1]}"#);
    }

    #[test]
    fn bytes_that_are_no_json_object_are_an_error() {
        for event in [r#"{"choices":[{"delta":{"#, "[DONE", "hello", "[]", "17", "{}{}"] {
            let mut out = Deltas::default();
            assert!(OpenaiChat.decode(event.as_bytes(), &mut out).is_err(), "{event}");
        }
    }

    #[test]
    fn a_whole_body_is_read_from_its_message() {
        let body = r#"{"model":"m","choices":[{"message":{"role":"assistant","content":"hi",
            "reasoning_content":"hm"},"finish_reason":"stop"}],
            "usage":{"prompt_tokens":3,"completion_tokens":2,
            "completion_tokens_details":{"reasoning_tokens":1}},"timings":{"cache_n":1,"prompt_n":2}}"#;
        let mut out = Deltas::default();
        OpenaiChat.decode_body(body.as_bytes(), &mut out).unwrap();
        assert_eq!((out.content.as_str(), out.reasoning.as_str()), ("hi", "hm"));
        assert_eq!(out.finish_reason.as_deref(), Some("stop"));
        assert_eq!(out.usage.unwrap().reasoning_tokens, Some(1));
        assert_eq!(out.timings.unwrap().cache_n, Some(1));
        assert!(out.done);
    }
}

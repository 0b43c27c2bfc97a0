//! Ollama: a line per token, counts and nanoseconds on the last.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Piece, Totals, Writer};
use crate::plan::Api;

pub(super) fn piece(writer: &Writer, piece: Piece<'_>, out: &mut Vec<u8>) {
    let (content, thinking) = match piece {
        Piece::Content(text) => (text, ""),
        Piece::Reasoning(text) => ("", text),
    };
    push_line(&line(writer, content, thinking, false), out);
}

pub(super) fn close(writer: &Writer, totals: &Totals, out: &mut Vec<u8>) {
    let mut last = line(writer, "", "", true);
    account(&mut last, totals);
    push_line(&last, out);
}

pub(super) fn error(message: &str, out: &mut Vec<u8>) {
    push_line(&json!({"error": message}), out);
}

pub(super) fn whole(writer: &Writer, totals: &Totals) -> Value {
    let mut body = line(writer, &writer.content, &writer.reasoning, true);
    account(&mut body, totals);
    body
}

fn push_line(value: &Value, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{value}\n").as_bytes());
}

fn line(writer: &Writer, content: &str, thinking: &str, done: bool) -> Value {
    let identity = &writer.identity;
    let mut line = json!({"model": identity.model, "created_at": rfc3339(identity.created)});
    let mut text = json!({});
    let chat = writer.api == Api::OllamaChat;
    text[if chat { "content" } else { "response" }] = json!(content);
    if !thinking.is_empty() {
        text["thinking"] = json!(thinking);
    }
    if chat {
        text["role"] = json!("assistant");
        line["message"] = text;
    } else if let (Some(line), Value::Object(text)) = (line.as_object_mut(), text) {
        line.extend(text);
    }
    line["done"] = json!(done);
    line
}

fn account(line: &mut Value, totals: &Totals) {
    let ns = |duration: Duration| json!(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    line["done_reason"] = json!(if totals.cut { "length" } else { "stop" });
    line["total_duration"] = ns(totals.total());
    line["load_duration"] = ns(totals.queue);
    line["prompt_eval_count"] = json!(totals.prompt_tokens);
    line["prompt_eval_duration"] = ns(totals.prefill);
    line["eval_count"] = json!(totals.output_tokens);
    line["eval_duration"] = ns(totals.decode);
}

fn rfc3339(seconds: u64) -> String {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}

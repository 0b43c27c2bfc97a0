//! Anthropic messages: blocks, and usage that grows from `message_start` to `message_delta`.

use serde_json::{Value, json};

use super::{Piece, Totals, Writer, named_event};

pub(super) fn open(writer: &Writer, totals: &Totals, out: &mut Vec<u8>) {
    let mut message = message(writer, &json!([]), &Value::Null);
    message["usage"] = usage(totals, 1);
    named_event(&json!({"type": "message_start", "message": message}), out);
    named_event(&json!({"type": "ping"}), out);
}

pub(super) fn piece(writer: &mut Writer, piece: Piece<'_>, out: &mut Vec<u8>) {
    let reasons = matches!(piece, Piece::Reasoning(_));
    let index = match writer.block {
        Some((index, same)) if same == reasons => index,
        before => {
            close_block(writer, out);
            let index = before.map_or(0, |(index, _)| index + 1);
            writer.block = Some((index, reasons));
            let block = if reasons {
                json!({"type": "thinking", "thinking": "", "signature": ""})
            } else {
                json!({"type": "text", "text": ""})
            };
            named_event(
                &json!({"type": "content_block_start", "index": index, "content_block": block}),
                out,
            );
            index
        }
    };
    let delta = match piece {
        Piece::Content(text) => json!({"type": "text_delta", "text": text}),
        Piece::Reasoning(text) => json!({"type": "thinking_delta", "thinking": text}),
    };
    named_event(&json!({"type": "content_block_delta", "index": index, "delta": delta}), out);
}

pub(super) fn close(writer: &Writer, totals: &Totals, out: &mut Vec<u8>) {
    close_block(writer, out);
    let delta = json!({"stop_reason": reason(totals), "stop_sequence": null});
    let usage = json!({"output_tokens": totals.output_tokens});
    named_event(&json!({"type": "message_delta", "delta": delta, "usage": usage}), out);
    named_event(&json!({"type": "message_stop"}), out);
}

pub(super) fn error(message: &str, out: &mut Vec<u8>) {
    let error = json!({"type": "overloaded_error", "message": message});
    named_event(&json!({"type": "error", "error": error}), out);
}

pub(super) fn whole(writer: &Writer, totals: &Totals) -> Value {
    let mut content = Vec::new();
    if !writer.reasoning.is_empty() {
        content.push(json!({"type": "thinking", "thinking": writer.reasoning, "signature": ""}));
    }
    content.push(json!({"type": "text", "text": writer.content}));
    let mut message = message(writer, &json!(content), &json!(reason(totals)));
    message["usage"] = usage(totals, totals.output_tokens);
    message
}

fn close_block(writer: &Writer, out: &mut Vec<u8>) {
    if let Some((index, _)) = writer.block {
        named_event(&json!({"type": "content_block_stop", "index": index}), out);
    }
}

fn message(writer: &Writer, content: &Value, reason: &Value) -> Value {
    json!({
        "id": writer.identity.id, "type": "message", "role": "assistant",
        "model": writer.identity.model, "content": content, "stop_reason": reason,
        "stop_sequence": null,
    })
}

fn reason(totals: &Totals) -> &'static str {
    if totals.cut { "max_tokens" } else { "end_turn" }
}

/// The prompt in its parts; without cache reporting all of it is new.
fn usage(totals: &Totals, output_tokens: u64) -> Value {
    let mut usage = json!({"input_tokens": totals.computed(), "output_tokens": output_tokens});
    if let Some(cached) = totals.cached_tokens {
        usage["cache_creation_input_tokens"] = json!(0);
        usage["cache_read_input_tokens"] = json!(cached);
    }
    usage
}

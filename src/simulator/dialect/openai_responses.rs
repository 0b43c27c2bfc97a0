//! `OpenAI` responses: numbered, named events; every text a second time when it is done.

use serde_json::{Value, json};

use super::{Piece, Totals, Writer, named_event};

pub(super) fn open(writer: &Writer, out: &mut Vec<u8>) {
    for (number, kind) in ["response.created", "response.in_progress"].into_iter().enumerate() {
        let response = response(writer, "in_progress", &json!([]), &Value::Null);
        let opening = json!({"type": kind, "sequence_number": number, "response": response});
        named_event(&opening, out);
    }
}

pub(super) fn piece(writer: &mut Writer, piece: Piece<'_>, out: &mut Vec<u8>) {
    let reasons = matches!(piece, Piece::Reasoning(_));
    let index = match writer.block {
        Some((index, same)) if same == reasons => index,
        before => {
            let index = before.map_or(0, |(index, _)| index + 1);
            close_item(writer, out);
            writer.block = Some((index, reasons));
            let item = item(writer, reasons, "in_progress");
            named_event(
                &json!({"type": "response.output_item.added", "output_index": index, "item": item}),
                out,
            );
            index
        }
    };
    let kind = if reasons { "response.reasoning_text.delta" } else { "response.output_text.delta" };
    let delta = json!({
        "type": kind, "sequence_number": writer.pieces + 3, "item_id": item_id(writer, reasons),
        "output_index": index, "content_index": 0, "delta": piece.text(),
    });
    named_event(&delta, out);
}

pub(super) fn close(writer: &mut Writer, totals: &Totals, out: &mut Vec<u8>) {
    close_item(writer, out);
    let kind = if totals.cut { "response.incomplete" } else { "response.completed" };
    let last = writer.pieces + 4;
    named_event(
        &json!({"type": kind, "sequence_number": last, "response": whole(writer, totals)}),
        out,
    );
}

pub(super) fn error(message: &str, out: &mut Vec<u8>) {
    let error = json!({
        "type": "error", "code": "server_error", "message": message, "param": null,
    });
    named_event(&error, out);
}

pub(super) fn whole(writer: &Writer, totals: &Totals) -> Value {
    let mut output = Vec::new();
    if !writer.reasoning.is_empty() {
        output.push(item(writer, true, "completed"));
    }
    output.push(item(writer, false, "completed"));
    let details = totals.cached_tokens.map(|cached| json!({"cached_tokens": cached}));
    let usage = json!({
        "input_tokens": totals.prompt_tokens, "input_tokens_details": details,
        "output_tokens": totals.output_tokens, "output_tokens_details": null,
        "total_tokens": totals.prompt_tokens + totals.output_tokens,
    });
    let status = if totals.cut { "incomplete" } else { "completed" };
    let mut response = response(writer, status, &json!(output), &usage);
    if totals.cut {
        response["incomplete_details"] = json!({"reason": "max_output_tokens"});
    }
    response
}

/// The `done` events of the open item, which repeat its text.
fn close_item(writer: &Writer, out: &mut Vec<u8>) {
    let Some((index, reasons)) = writer.block else { return };
    let (kind, text) = if reasons {
        ("response.reasoning_text.done", &writer.reasoning)
    } else {
        ("response.output_text.done", &writer.content)
    };
    let id = item_id(writer, reasons);
    named_event(&json!({"type": kind, "item_id": id, "output_index": index, "text": text}), out);
    let item = item(writer, reasons, "completed");
    named_event(
        &json!({"type": "response.output_item.done", "output_index": index, "item": item}),
        out,
    );
}

fn item_id(writer: &Writer, reasons: bool) -> String {
    format!("{}_{}", if reasons { "rs" } else { "msg" }, writer.identity.id)
}

fn item(writer: &Writer, reasons: bool, status: &str) -> Value {
    let done = status == "completed";
    let id = item_id(writer, reasons);
    if reasons {
        let text = json!([{"type": "reasoning_text", "text": writer.reasoning}]);
        let content = if done { text } else { json!([]) };
        return json!({"type": "reasoning", "id": id, "summary": [], "content": content});
    }
    let text = json!([{"type": "output_text", "annotations": [], "text": writer.content}]);
    let content = if done { text } else { json!([]) };
    json!({"type": "message", "id": id, "status": status, "role": "assistant", "content": content})
}

fn response(writer: &Writer, status: &str, output: &Value, usage: &Value) -> Value {
    let identity = &writer.identity;
    json!({
        "id": identity.id, "object": "response", "created_at": identity.created,
        "status": status, "model": identity.model, "output": output, "error": null,
        "incomplete_details": null, "usage": usage,
    })
}

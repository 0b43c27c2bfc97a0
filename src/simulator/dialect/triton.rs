//! Triton's generate extension over TensorRT-LLM: pieces of text, and nothing at the end.

use serde_json::{Value, json};

use super::{Piece, Writer, event};

pub(super) fn piece(writer: &Writer, piece: Piece<'_>, out: &mut Vec<u8>) {
    event(&output(writer, piece.text()), out);
}

pub(super) fn error(message: &str, out: &mut Vec<u8>) {
    event(&json!({"error": message}), out);
}

pub(super) fn whole(writer: &Writer) -> Value {
    output(writer, &[writer.reasoning.as_str(), writer.content.as_str()].concat())
}

fn output(writer: &Writer, text: &str) -> Value {
    json!({
        "model_name": writer.identity.model, "model_version": "1", "sequence_end": false,
        "sequence_id": 0, "sequence_start": false, "text_output": text,
    })
}

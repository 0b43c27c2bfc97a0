//! Text Generation Inference: a token per event; the end token is special and brings the details.

use serde_json::{Value, json};

use super::{Piece, Totals, Writer, event, ms};

pub(super) fn piece(writer: &Writer, piece: Piece<'_>, out: &mut Vec<u8>) {
    event(&token(writer.pieces + 1, piece.text(), false), out);
}

pub(super) fn close(writer: &Writer, totals: &Totals, out: &mut Vec<u8>) {
    let mut last = token(writer.pieces + 1, "</s>", true);
    last["generated_text"] = json!(text(writer));
    last["details"] = details(totals);
    event(&last, out);
}

pub(super) fn error(message: &str, out: &mut Vec<u8>) {
    event(&json!({"error": message, "error_type": "generation"}), out);
}

pub(super) fn whole(writer: &Writer, totals: &Totals) -> Value {
    json!({"generated_text": text(writer), "details": details(totals)})
}

pub(super) fn headers(totals: &Totals) -> Vec<(&'static str, String)> {
    let whole_ms = |duration| format!("{:.0}", ms(duration));
    let inference = totals.prefill + totals.decode;
    let tokens = u32::try_from(totals.output_tokens).unwrap_or(u32::MAX).max(1);
    vec![
        ("x-compute-type", "simulated".into()),
        ("x-total-time", whole_ms(totals.total())),
        ("x-validation-time", "0".into()),
        ("x-queue-time", whole_ms(totals.queue)),
        ("x-inference-time", whole_ms(inference)),
        ("x-time-per-token", whole_ms(inference / tokens)),
        ("x-prompt-tokens", totals.prompt_tokens.to_string()),
        ("x-generated-tokens", totals.output_tokens.to_string()),
    ]
}

fn token(number: u64, text: &str, special: bool) -> Value {
    json!({
        "index": number,
        "token": {"id": number, "text": text, "logprob": 0.0, "special": special},
        "generated_text": null, "details": null,
    })
}

/// One text: the API has no place for reasoning.
fn text(writer: &Writer) -> String {
    [writer.reasoning.as_str(), writer.content.as_str()].concat()
}

fn details(totals: &Totals) -> Value {
    json!({
        "finish_reason": if totals.cut { "length" } else { "eos_token" },
        "generated_tokens": totals.output_tokens, "input_length": totals.prompt_tokens,
        "seed": null,
    })
}

//! llama.cpp's `/completion`: counts in every event, timings in the last.

use serde_json::{Value, json};

use super::{Piece, Totals, Writer, event, ms};

pub(super) fn piece(writer: &Writer, piece: Piece<'_>, so_far: &Totals, out: &mut Vec<u8>) {
    let piece = json!({
        "index": 0, "content": piece.text(), "tokens": [writer.pieces], "stop": false,
        "id_slot": -1, "tokens_predicted": so_far.output_tokens,
        "tokens_evaluated": so_far.prompt_tokens,
    });
    event(&piece, out);
}

pub(super) fn close(writer: &Writer, totals: &Totals, out: &mut Vec<u8>) {
    event(&last(writer, "", totals), out);
}

pub(super) fn whole(writer: &Writer, totals: &Totals) -> Value {
    last(writer, &[writer.reasoning.as_str(), writer.content.as_str()].concat(), totals)
}

fn last(writer: &Writer, content: &str, totals: &Totals) -> Value {
    let mut timings = json!({
        "prompt_n": totals.computed(), "prompt_ms": ms(totals.prefill),
        "predicted_n": totals.output_tokens, "predicted_ms": ms(totals.decode),
    });
    if let Some(cached) = totals.cached_tokens {
        timings["cache_n"] = json!(cached);
    }
    json!({
        "index": 0, "content": content, "tokens": [], "id_slot": 0, "stop": true,
        "model": writer.identity.model, "tokens_predicted": totals.output_tokens,
        "tokens_evaluated": totals.prompt_tokens,
        "stop_type": if totals.cut { "limit" } else { "eos" }, "stopping_word": "",
        "tokens_cached": (totals.prompt_tokens + totals.output_tokens).saturating_sub(1),
        "timings": timings,
    })
}

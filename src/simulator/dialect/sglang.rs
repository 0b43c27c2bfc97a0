//! `SGLang`'s `/generate`: the text from its start in every event, counts beside it.

use serde_json::{Value, json};

use super::{Totals, Writer, done, event};

pub(super) fn piece(writer: &Writer, so_far: &Totals, out: &mut Vec<u8>) {
    event(&output(writer, so_far, &Value::Null), out);
}

pub(super) fn close(writer: &Writer, totals: &Totals, out: &mut Vec<u8>) {
    event(&whole(writer, totals), out);
    done(out);
}

pub(super) fn whole(writer: &Writer, totals: &Totals) -> Value {
    let reason = if totals.cut {
        json!({"type": "length", "length": totals.output_tokens})
    } else {
        json!({"type": "stop", "matched": 2})
    };
    let mut output = output(writer, totals, &reason);
    output["meta_info"]["e2e_latency"] = json!(totals.total().as_secs_f64());
    output
}

fn output(writer: &Writer, totals: &Totals, reason: &Value) -> Value {
    let mut meta = json!({
        "id": writer.identity.id, "finish_reason": reason,
        "prompt_tokens": totals.prompt_tokens, "completion_tokens": totals.output_tokens,
    });
    if let Some(cached) = totals.cached_tokens {
        meta["cached_tokens"] = json!(cached);
    }
    let text = [writer.reasoning.as_str(), writer.content.as_str()].concat();
    json!({"text": text, "meta_info": meta})
}

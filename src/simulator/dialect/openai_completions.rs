//! `OpenAI` completions as vLLM writes them: finish reason on the last token's chunk's successor,
//! usage in a chunk of its own when asked for.

use serde_json::{Value, json};

use super::{Piece, Totals, Writer, done, event};

pub(super) fn piece(writer: &Writer, piece: Piece<'_>, out: &mut Vec<u8>) {
    let choice = match piece {
        Piece::Content(text) => json!({"index": 0, "text": text, "finish_reason": null}),
        Piece::Reasoning(text) => {
            json!({"index": 0, "text": "", "reasoning": text, "finish_reason": null})
        }
    };
    event(&chunk(writer, &json!([choice])), out);
}

pub(super) fn close(writer: &Writer, totals: &Totals, out: &mut Vec<u8>) {
    let choice = json!({"index": 0, "text": "", "finish_reason": reason(totals)});
    event(&chunk(writer, &json!([choice])), out);
    if writer.identity.include_usage {
        let mut last = chunk(writer, &json!([]));
        last["usage"] = usage(totals);
        event(&last, out);
    }
    done(out);
}

pub(super) fn whole(writer: &Writer, totals: &Totals) -> Value {
    let choice = json!({
        "index": 0, "text": writer.content, "logprobs": null, "finish_reason": reason(totals),
    });
    let mut body = chunk(writer, &json!([choice]));
    body["usage"] = usage(totals);
    body
}

fn chunk(writer: &Writer, choices: &Value) -> Value {
    let identity = &writer.identity;
    json!({
        "id": identity.id, "object": "text_completion", "created": identity.created,
        "model": identity.model, "choices": choices,
    })
}

fn reason(totals: &Totals) -> &'static str {
    if totals.cut { "length" } else { "stop" }
}

fn usage(totals: &Totals) -> Value {
    let details = totals.cached_tokens.map(|cached| json!({"cached_tokens": cached}));
    json!({
        "prompt_tokens": totals.prompt_tokens,
        "total_tokens": totals.prompt_tokens + totals.output_tokens,
        "completion_tokens": totals.output_tokens,
        "prompt_tokens_details": details,
    })
}

//! The words of a chat completion, as vLLM writes them.
//!
//! In: the engine's steps. Out: chunks of a stream, or a whole body. Invariant: a token costs no
//! allocation, since this is what calibration measures clients with.

use serde_json::{Value, json};

use crate::simulator::dialect::Identity;
use crate::simulator::engine::Step;
use crate::simulator::http::{self, LAST_CHUNK};
use crate::simulator::tokens::Answer;

/// The words around the tokens.
#[derive(Debug)]
pub struct ChatText {
    id: String,
    created: u64,
    model: String,
    /// What every chunk of the stream starts with.
    chunk_head: String,
    answer: Answer,
    finish_reason: &'static str,
    prompt_tokens: u64,
    /// Whether usage reports cached tokens.
    report_cached: bool,
    /// Whether a stream ends with usage.
    include_usage: bool,
}

impl ChatText {
    /// The words for one answer.
    pub fn new(
        identity: Identity,
        answer: Answer,
        prompt_tokens: u64,
        cut: bool,
        report_cached: bool,
    ) -> Self {
        let Identity { id, model, created, include_usage } = identity;
        let (quoted_id, quoted_model) = (json!(id), json!(model));
        let chunk_head = format!(
            r#"{{"id":{quoted_id},"object":"chat.completion.chunk","created":{created},"model":{quoted_model},"choices":["#
        );
        Self {
            id,
            created,
            model,
            chunk_head,
            answer,
            finish_reason: if cut { "length" } else { "stop" },
            prompt_tokens,
            report_cached,
            include_usage,
        }
    }

    /// A token's chunk; the first brings the role's chunk along, the last the reason of its end.
    pub fn push_token(&self, step: Step, out: &mut Vec<u8>) {
        let head = self.chunk_head.as_str();
        if step.index == 0 {
            let role = r#"{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"prompt_token_ids":null}"#;
            http::push_event(&[head, role], out);
        }
        let open = r#"{"index":0,"delta":{"content":""#;
        let word = self.answer.word(step.index);
        if step.last {
            let close = r#""},"logprobs":null,"finish_reason":""#;
            let end = r#"","stop_reason":null,"token_ids":null}]}"#;
            http::push_event(&[head, open, word, close, self.finish_reason, end], out);
        } else {
            let close = r#""},"logprobs":null,"finish_reason":null,"token_ids":null}]}"#;
            http::push_event(&[head, open, word, close], out);
        }
    }

    /// What follows the last token.
    pub fn push_end(&self, step: Step, out: &mut Vec<u8>) {
        if self.include_usage {
            let usage =
                format!(r#"],"usage":{},"system_fingerprint":"{FINGERPRINT}"}}"#, self.usage(step));
            http::push_event(&[&self.chunk_head, &usage], out);
        }
        http::push_event(&["[DONE]"], out);
        out.extend_from_slice(LAST_CHUNK);
    }

    fn usage(&self, step: Step) -> Value {
        let (prompt, completion) = (self.prompt_tokens, step.index + 1);
        let details = self.report_cached.then(|| json!({"cached_tokens": step.cached}));
        json!({
            "prompt_tokens": prompt, "total_tokens": prompt + completion,
            "completion_tokens": completion, "prompt_tokens_details": details,
        })
    }

    /// The body of an answer that ends with `step`.
    pub fn whole(&self, step: Step) -> String {
        let text: String = (0..=step.index).map(|index| self.answer.word(index)).collect();
        json!({
            "id": self.id, "object": "chat.completion", "created": self.created,
            "model": self.model,
            "choices": [{
                "index": 0,
                "message": {
                    "role": "assistant", "content": text, "refusal": null, "annotations": null,
                    "audio": null, "function_call": null, "tool_calls": [], "reasoning": null,
                },
                "logprobs": null, "finish_reason": self.finish_reason, "stop_reason": null,
                "token_ids": null,
            }],
            "service_tier": null, "system_fingerprint": FINGERPRINT, "usage": self.usage(step),
            "prompt_logprobs": null, "prompt_token_ids": null, "kv_transfer_params": null,
        })
        .to_string()
    }
}

/// What the answer says of its maker.
const FINGERPRINT: &str = concat!("runner-simulator-", env!("CARGO_PKG_VERSION"));

//! Token counts of a stage's requests and answers, by every source that is known.
//!
//! In: a request or an exchange, and how the endpoint's tokens are counted. Out: [`TokenCounts`].
//! Absent is not zero, and an estimate never passes for a count.

use crate::record::{Exchange, TokenCounts};
use crate::request::Request;
use crate::workload::tokenizer::Tokenizer;

/// Prompt tokens as our side knows them before sending.
pub(super) fn input_counts(request: &Request, tokenizer: &Tokenizer) -> TokenCounts {
    TokenCounts {
        server: None,
        tokenizer: tokenizer.is_exact().then(|| {
            request.messages.iter().map(|message| tokenizer.count(&message.content)).sum()
        }),
        events: None,
        estimate: Some(Tokenizer::Estimate.count_chars(request.chars())),
    }
}

/// Generated tokens by every source.
pub(super) fn output_counts(exchange: &Exchange, tokenizer: &Tokenizer) -> TokenCounts {
    let has_text = !exchange.text.is_empty();
    TokenCounts {
        server: exchange.output_tokens,
        tokenizer: (has_text && tokenizer.is_exact()).then(|| tokenizer.count(&exchange.text)),
        events: (!exchange.token_ns.is_empty()).then_some(exchange.token_ns.len() as u64),
        estimate: has_text.then(|| Tokenizer::Estimate.count_chars(exchange.text.chars().count())),
    }
}

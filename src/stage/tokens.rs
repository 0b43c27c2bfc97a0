//! Token counts of a stage's requests and answers, by every source that is known.
//!
//! In: a request or an exchange, and how the endpoint's tokens are counted. Out: [`TokenCounts`].
//! Absent is not zero, and an estimate never passes for a count. A count may mean work or a question
//! to the server, so prompts are counted by the thread that makes them and answers by one that
//! nobody waits for.

use crate::record::{Exchange, TokenCounts};
use crate::request::{Content, Message, Request};
use crate::workload::tokenizer::Tokenizer;

/// Prompt tokens as our side knows them before sending: of texts and of token ids. What else a prompt
/// holds (images, tools) nobody here can count. Blocks.
pub(super) fn input_counts(request: &Request, tokenizer: &Tokenizer) -> TokenCounts {
    let mut counts = TokenCounts::default();
    if request.is_text() {
        counts.tokenizer = request.texts().map(|text| tokenizer.counted(text)).sum();
        counts.estimate = Some(Tokenizer::Estimate.count_chars(request.chars()));
    } else if let [Message { content: Content::Ids(ids), .. }] = request.messages.as_slice() {
        counts.tokenizer = Some(ids.len() as u64);
    }
    counts
}

/// Generated tokens by every source.
pub(super) async fn output_counts(exchange: &Exchange, tokenizer: &Tokenizer) -> TokenCounts {
    let text = Some(&exchange.text).filter(|text| !text.is_empty());
    TokenCounts {
        server: exchange.output_tokens,
        tokenizer: match text {
            Some(text) if matches!(tokenizer, Tokenizer::File(_) | Tokenizer::Server(_)) => {
                let (tokenizer, text) = (tokenizer.clone(), text.clone());
                let counting = tokio::task::spawn_blocking(move || tokenizer.counted_now(&text));
                counting.await.ok().flatten()
            }
            _ => None,
        },
        events: (!exchange.token_ns.is_empty()).then_some(exchange.token_ns.len() as u64),
        estimate: text.map(|text| Tokenizer::Estimate.count_chars(text.chars().count())),
    }
}

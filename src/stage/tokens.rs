//! Token counts of a stage's requests and answers, by every source that is known.
//!
//! In: an endpoint's `tokenizer:` setting and what the server offers. Out: [`TokenCounts`]. Absent
//! is not zero, and an estimate never passes for a count.

use super::{StageContext, unless_cut};
use crate::client::tokenize::tokenize;
use crate::plan::TokenizerConfig;
use crate::record::{Exchange, TokenCounts};
use crate::request::Request;
use crate::workload::filler::filler;
use crate::workload::tokenizer::{Tokenizer, TokenizerError};

/// Words counted by the server once, to learn how many characters its tokens have.
const SAMPLE_TOKENS: u64 = 512;

/// The tokenizer of the stage's endpoint.
pub(super) async fn tokenizer(context: &StageContext<'_>) -> Result<Tokenizer, TokenizerError> {
    match &context.stage.endpoint.tokenizer {
        TokenizerConfig::File(path) => Tokenizer::from_file(path),
        TokenizerConfig::Estimate => Ok(Tokenizer::Estimate),
        TokenizerConfig::Auto if !context.server.has_tokenize => Ok(Tokenizer::Estimate),
        TokenizerConfig::Auto | TokenizerConfig::Server => {
            let sample = filler(context.seed, 0, SAMPLE_TOKENS, &Tokenizer::Estimate);
            let counting = tokenize(context.client, context.server, &sample);
            let counted = unless_cut(context, counting).await.flatten();
            match (counted, &context.stage.endpoint.tokenizer) {
                (Some(tokens), _) => Ok(Tokenizer::server_rate(&sample, tokens)),
                (None, TokenizerConfig::Server) => Err(TokenizerError::no_server()),
                (None, _) => Ok(Tokenizer::Estimate),
            }
        }
    }
}

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

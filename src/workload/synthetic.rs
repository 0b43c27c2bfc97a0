//! Synthetic prompts: lengths and shared prefixes as asked, text without meaning.
//!
//! In: a [`SyntheticConfig`], the seed, the run's nonce and a [`Tokenizer`]. Out: the [`Request`]
//! of any index, and its [`PromptShape`] without making the text. Invariant: shape and text are pure
//! functions of (seed, index), the text of the run's nonce too; a prompt has exactly the tokens of
//! its shape (messages counted each by itself, without the chat template's own tokens).

pub mod length;
pub mod text;

use rand::RngExt;

use super::seed::keyed_rng;
use super::tokenizer::Tokenizer;
use super::{Workload, WorkloadError};
use crate::plan::workload::{PrefixLength, PrefixText, SharedPrefix, SyntheticConfig, Uniqueness};
use crate::request::{Message, Request};
use length::{draw, zipf};
use text::{MOST_TOKENS, Texts, key_of};

/// What every request of a workload has beside its text.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ask {
    /// Upper bound of generated tokens where neither row nor distribution says.
    pub max_tokens: Option<u64>,
    /// Sampling temperature.
    pub temperature: Option<f64>,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// Further top-level fields of the request body.
    pub body: serde_json::Map<String, serde_json::Value>,
}

/// What a request is like, in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PromptShape {
    /// Tokens of the prompt.
    pub input_tokens: u64,
    /// Tokens of its beginning (system prompt and prefix) that other requests of its group share,
    /// as far as they are as long: what a warm prefix cache should serve.
    pub shared_tokens: u64,
    /// Tokens to generate.
    pub output_tokens: Option<u64>,
    /// The group whose prefix it has, from 0.
    pub group: u64,
}

/// What tells the texts of a workload from those of others.
#[derive(Debug, Clone, Copy)]
pub struct Identity<'a> {
    /// The plan's seed.
    pub seed: u64,
    /// What makes this run's texts unlike those of other runs.
    pub run_nonce: &'a str,
    /// The stage or rung. Prefixes are shared by all stages of a run, what follows them by none.
    pub key: &'a str,
    /// Whether texts are new in each run.
    pub unique: Uniqueness,
}

/// Synthetic requests.
pub struct SyntheticWorkload {
    config: SyntheticConfig,
    ask: Ask,
    seed: u64,
    key: String,
    texts: Texts,
    /// The prefix from a file, and its tokens.
    document: Option<(String, u64)>,
}

impl SyntheticWorkload {
    /// Requests of the shape in `config`; `document` is the text of the prefix's file, where the
    /// prefix comes from one.
    pub fn new(
        config: SyntheticConfig,
        ask: Ask,
        identity: Identity<'_>,
        document: Option<&str>,
        tokenizer: Tokenizer,
    ) -> Result<Self, WorkloadError> {
        let Identity { seed, run_nonce, key, unique } = identity;
        let texts = Texts::new(seed, run_nonce, unique, tokenizer);
        let document = match (&config.prefix, document) {
            (Some(SharedPrefix { text: PrefixText::File(path), length, .. }), Some(text)) => {
                // A text that yesterday's run sent too begins with what only this run says.
                let text = match texts.nonce() {
                    Some(nonce) => {
                        format!("{}\n{text}", super::prompt::nonce(nonce, "prefix", 0))
                    }
                    None => text.to_owned(),
                };
                let tokens = texts.tokenizer().count(&text);
                if let PrefixLength::Tokens(wanted) = length
                    && *wanted > tokens
                {
                    return Err(WorkloadError(format!(
                        "{}: the prefix should have {wanted} tokens, but the file has {tokens}",
                        path.display()
                    )));
                }
                Some((text, tokens))
            }
            _ => None,
        };
        Ok(Self { config, ask, seed, key: key.to_owned(), texts, document })
    }

    /// What request `index` is like.
    pub fn shape(&self, index: u64) -> PromptShape {
        let mut rng = keyed_rng(self.seed, "synthetic", index);
        let drawn = draw(&self.config.input_tokens, &mut rng);
        let output_tokens = self.config.output_tokens.as_ref().map(|length| draw(length, &mut rng));
        let group = self.config.prefix.as_ref().map_or(0, |prefix| group(prefix, &mut rng));
        let whole =
            matches!(&self.config.prefix, Some(SharedPrefix { length: PrefixLength::Whole, .. }));
        let document = self.document.as_ref().map_or(0, |(_, tokens)| *tokens);
        let system = self.config.system_tokens;
        let input_tokens =
            if whole { system.saturating_add(document).saturating_add(drawn) } else { drawn };
        // A prompt has at least one token of its own, or it would be no request.
        let most = input_tokens.saturating_sub(1);
        let shared = match self.config.prefix.as_ref().map(|prefix| prefix.length) {
            None => system,
            Some(PrefixLength::Tokens(tokens)) => system.saturating_add(tokens),
            Some(PrefixLength::Whole) => system.saturating_add(document),
            Some(PrefixLength::Share(share)) => {
                let limit = if self.document.is_some() {
                    system.saturating_add(document)
                } else {
                    u64::MAX
                };
                share_of(input_tokens, share).max(system).min(limit)
            }
        };
        PromptShape { input_tokens, shared_tokens: shared.min(most), output_tokens, group }
    }

    /// The share of prompt tokens that the first `requests` requests have in common with others of
    /// their group: what a warm, large enough cache serves.
    pub fn shared_share(&self, requests: u64) -> f64 {
        let (mut shared, mut all) = (0.0, 0.0);
        for index in 0..requests {
            let shape = self.shape(index);
            shared += shape.shared_tokens as f64;
            all += shape.input_tokens as f64;
        }
        if all > 0.0 { shared / all } else { 0.0 }
    }
}

impl Workload for SyntheticWorkload {
    fn request(&self, index: u64) -> Result<Request, WorkloadError> {
        self.opened(index, None)
    }
}

impl SyntheticWorkload {
    /// Request `index`, whose first message begins with `nonce` where there is one: as long as
    /// without it, and shared by none.
    pub fn opened(&self, index: u64, nonce: Option<&str>) -> Result<Request, WorkloadError> {
        let shape = self.shape(index);
        if shape.input_tokens > MOST_TOKENS {
            return Err(WorkloadError(format!(
                "a prompt of {} tokens was drawn; at most {MOST_TOKENS} can be made",
                shape.input_tokens
            )));
        }
        let mut opening = nonce.map_or_else(String::new, |nonce| format!("{nonce}\n"));
        let mut messages = Vec::with_capacity(2);
        let system = self.config.system_tokens.min(shape.input_tokens.saturating_sub(1));
        if system > 0 {
            let opening = std::mem::take(&mut opening);
            let content = if opening.is_empty() {
                self.texts.shared_piece("system", 0, system).to_string()
            } else {
                self.texts.continued(&opening, system, "opened", index)
            };
            messages.push(Message::text("system", content));
        }
        let prefix = shape.shared_tokens.saturating_sub(system);
        let own = shape.input_tokens - system;
        let own_key = key_of(&[self.key.as_bytes(), &index.to_le_bytes()]);
        let head = match &self.document {
            _ if prefix == 0 => String::new(),
            Some((text, tokens)) if *tokens == prefix => text.clone(),
            Some((text, _)) => self.texts.tokenizer().truncate(text, prefix),
            None => self.texts.shared_piece("prefix", shape.group, prefix).to_string(),
        };
        let head = format!("{opening}{head}");
        let content = self.texts.continued(&head, own, "prompt", own_key);
        messages.push(Message::text("user", content));
        Ok(Request {
            index,
            messages,
            max_tokens: shape.output_tokens.or(self.ask.max_tokens),
            temperature: self.ask.temperature,
            stream: self.ask.stream,
            body: self.ask.body.clone(),
            ..Request::default()
        })
    }
}

/// The group of a request, from 0.
fn group(prefix: &SharedPrefix, rng: &mut rand_chacha::ChaCha8Rng) -> u64 {
    match prefix.groups.max(1) {
        1 => 0,
        groups if prefix.skew > 0.0 => zipf(groups, prefix.skew, rng) - 1,
        groups => rng.random_range(0..groups),
    }
}

/// `⌊count × share⌋`.
fn share_of(count: u64, share: f64) -> u64 {
    // A hair more, so that 0.3 × 10 is 3.
    let product = count as f64 * share;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    let whole = (product + product * 1e-12).floor() as u64;
    whole
}

#[cfg(test)]
mod tests;

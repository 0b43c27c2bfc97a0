//! Synthetic prompts: lengths and shared prefixes as asked, text without meaning.
//!
//! In: a [`SyntheticConfig`], the seed, the run's nonce and a [`Tokenizer`]. Out: the [`Request`]
//! of any index, and its [`PromptShape`] without making the text. Invariant: shape and text are pure
//! functions of (seed, index), the text of the run's nonce too; a prompt has exactly the tokens of
//! its shape (messages counted each by itself, without the chat template's own tokens).

pub mod length;
pub mod text;

use std::fs;

use rand::RngExt;

use super::seed::keyed_rng;
use super::tokenizer::Tokenizer;
use super::{Workload, WorkloadError};
use crate::plan::workload::{PrefixLength, PrefixText, SharedPrefix, SyntheticConfig};
use crate::request::{Message, Request};
use length::{draw, zipf};
use text::{MOST_TOKENS, Texts};

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

/// Synthetic requests.
pub struct SyntheticWorkload {
    config: SyntheticConfig,
    ask: Ask,
    seed: u64,
    texts: Texts,
    /// The prefix from a file, and its tokens.
    document: Option<(String, u64)>,
}

impl SyntheticWorkload {
    /// Reads the prefix's file, if there is one.
    pub fn new(
        config: SyntheticConfig,
        ask: Ask,
        seed: u64,
        run_nonce: &str,
        tokenizer: Tokenizer,
    ) -> Result<Self, WorkloadError> {
        let texts = Texts::new(seed, run_nonce, config.unique, tokenizer);
        let document = match &config.prefix {
            Some(SharedPrefix { text: PrefixText::File(path), length, .. }) => {
                let text = fs::read_to_string(path)
                    .map_err(|error| WorkloadError(format!("{}: {error}", path.display())))?;
                // A text that yesterday's run sent too begins with what only this run says.
                let text = match texts.nonce() {
                    Some(nonce) => {
                        format!("{}\n{text}", super::prompt::nonce(nonce, "prefix", 0))
                    }
                    None => text,
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
        Ok(Self { config, ask, seed, texts, document })
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
        let shape = self.shape(index);
        if shape.input_tokens > MOST_TOKENS {
            return Err(WorkloadError(format!(
                "a prompt of {} tokens was drawn; at most {MOST_TOKENS} can be made",
                shape.input_tokens
            )));
        }
        let mut messages = Vec::with_capacity(2);
        let system = self.config.system_tokens.min(shape.input_tokens.saturating_sub(1));
        if system > 0 {
            let content = self.texts.shared_piece("system", 0, system).to_string();
            messages.push(Message { role: "system".into(), content });
        }
        let prefix = shape.shared_tokens.saturating_sub(system);
        let own = shape.input_tokens - system;
        let content = if prefix == 0 {
            self.texts.piece("prompt", index, own)
        } else {
            let head = match &self.document {
                Some((text, tokens)) if *tokens == prefix => text.clone(),
                Some((text, _)) => self.texts.tokenizer().truncate(text, prefix),
                None => self.texts.shared_piece("prefix", shape.group, prefix).to_string(),
            };
            self.texts.continued(&head, own, "prompt", index)
        };
        messages.push(Message { role: "user".into(), content });
        Ok(Request {
            index,
            messages,
            max_tokens: shape.output_tokens.or(self.ask.max_tokens),
            temperature: self.ask.temperature,
            stream: self.ask.stream,
            body: self.ask.body.clone(),
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
mod tests {
    use super::*;
    use crate::plan::workload::{Length, Uniqueness};

    fn bundled() -> Tokenizer {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/datasets/tokenizer.json");
        Tokenizer::from_file(path).unwrap()
    }

    fn workload(config: SyntheticConfig, nonce: &str, tokenizer: Tokenizer) -> SyntheticWorkload {
        SyntheticWorkload::new(config, Ask::default(), 11, nonce, tokenizer).unwrap()
    }

    fn tokens(request: &Request, tokenizer: &Tokenizer) -> u64 {
        request.messages.iter().map(|message| tokenizer.count(&message.content)).sum()
    }

    fn common(one: &str, two: &str) -> usize {
        one.bytes().zip(two.bytes()).take_while(|(a, b)| a == b).count()
    }

    fn prefix(text: PrefixText, length: PrefixLength, groups: u64) -> SharedPrefix {
        SharedPrefix { text, length, groups, skew: 0.0 }
    }

    #[test]
    fn every_prompt_has_exactly_the_tokens_of_its_shape() {
        for tokenizer in [bundled(), Tokenizer::Estimate] {
            let config = SyntheticConfig {
                input_tokens: Length::Uniform { min: 1, max: 400 },
                prefix: Some(prefix(PrefixText::Generated, PrefixLength::Share(0.4), 3)),
                system_tokens: 20,
                ..SyntheticConfig::constant(0, 16)
            };
            let workload = workload(config, "run", tokenizer.clone());
            for index in 0..60 {
                let request = workload.request(index).unwrap();
                let shape = workload.shape(index);
                assert_eq!(tokens(&request, &tokenizer), shape.input_tokens, "{index}");
                assert_eq!(request.max_tokens, Some(16));
            }
        }
    }

    #[test]
    fn the_shared_share_is_what_was_asked_for() {
        for tokenizer in [bundled(), Tokenizer::Estimate] {
            let config = SyntheticConfig {
                prefix: Some(prefix(PrefixText::Generated, PrefixLength::Share(0.6), 2)),
                ..SyntheticConfig::constant(500, 8)
            };
            let workload = workload(config, "run", tokenizer.clone());
            assert!((workload.shared_share(200) - 0.6).abs() < 1e-9);
            let all: Vec<_> = (0..12)
                .map(|index| (workload.shape(index), workload.request(index).unwrap()))
                .collect();
            for (shape, request) in &all {
                for (other, against) in &all {
                    let (one, two) = (&request.messages[0].content, &against.messages[0].content);
                    if one == two {
                        continue;
                    }
                    let shared = tokenizer.count(&one[..common(one, two)]);
                    if shape.group == other.group {
                        assert!((299..=303).contains(&shared), "{shared} tokens are shared");
                    } else {
                        assert!(shared < 8, "{shared} tokens are shared between groups");
                    }
                }
            }
            let groups: std::collections::BTreeSet<u64> =
                all.iter().map(|(shape, _)| shape.group).collect();
            assert_eq!(groups.len(), 2);
        }
    }

    #[test]
    fn a_prompt_file_and_random_tokens_give_the_fourth_seeds_share() {
        let tokenizer = bundled();
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "You are a ferryman on the Moselle. ".repeat(60)).unwrap();
        let config = SyntheticConfig {
            prefix: Some(prefix(PrefixText::File(file.path().to_owned()), PrefixLength::Whole, 1)),
            ..SyntheticConfig::constant(1_000, 250)
        };
        let of_run = |nonce: &str| workload(config.clone(), nonce, tokenizer.clone());
        let one = of_run("monday");
        let shape = one.shape(0);
        assert_eq!(shape.input_tokens, shape.shared_tokens + 1_000);
        let expected = shape.shared_tokens as f64 / shape.input_tokens as f64;
        assert!((one.shared_share(10) - expected).abs() < 1e-9);
        let (first, second) = (one.request(0).unwrap(), one.request(1).unwrap());
        assert_eq!(tokens(&first, &tokenizer), shape.input_tokens);
        let (a, b) = (&first.messages[0].content, &second.messages[0].content);
        assert!(tokenizer.count(&a[..common(a, b)]) >= shape.shared_tokens - 1);
        // Another run's file begins differently.
        let other = of_run("tuesday").request(0).unwrap();
        assert!(common(a, &other.messages[0].content) < 8);
        // With a share given, the file is cut to it.
        let config = SyntheticConfig {
            prefix: Some(prefix(
                PrefixText::File(file.path().to_owned()),
                PrefixLength::Share(0.2),
                1,
            )),
            ..SyntheticConfig::constant(1_000, 250)
        };
        let cut = workload(config, "monday", tokenizer.clone());
        assert_eq!(cut.shape(3).shared_tokens, 200);
        assert_eq!(tokens(&cut.request(3).unwrap(), &tokenizer), 1_000);
    }

    #[test]
    fn a_prefix_longer_than_its_file_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "short").unwrap();
        let length = PrefixLength::Tokens(100);
        let config = SyntheticConfig {
            prefix: Some(prefix(PrefixText::File(file.path().to_owned()), length, 1)),
            ..SyntheticConfig::constant(1_000, 250)
        };
        let made = SyntheticWorkload::new(config, Ask::default(), 1, "run", Tokenizer::Estimate);
        let error = made.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("should have 100 tokens"), "{error}");
    }

    #[test]
    fn runs_differ_in_text_and_agree_in_shape_unless_asked_otherwise() {
        let config = SyntheticConfig {
            input_tokens: Length::Uniform { min: 50, max: 90 },
            prefix: Some(prefix(PrefixText::Generated, PrefixLength::Tokens(30), 4)),
            ..SyntheticConfig::constant(0, 4)
        };
        let (one, two) = (
            workload(config.clone(), "monday", Tokenizer::Estimate),
            workload(config.clone(), "tuesday", Tokenizer::Estimate),
        );
        let fixed = SyntheticConfig { unique: Uniqueness::Never, ..config };
        let (three, four) = (
            workload(fixed.clone(), "monday", Tokenizer::Estimate),
            workload(fixed, "tuesday", Tokenizer::Estimate),
        );
        for index in 0..20 {
            assert_eq!(one.shape(index), two.shape(index));
            assert_ne!(one.request(index).unwrap(), two.request(index).unwrap());
            assert_eq!(one.request(index).unwrap(), one.request(index).unwrap());
            assert_eq!(three.request(index).unwrap(), four.request(index).unwrap());
        }
    }
}

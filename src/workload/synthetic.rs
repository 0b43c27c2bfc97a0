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
            messages.push(Message { role: "system".into(), content });
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
        messages.push(Message { role: "user".into(), content });
        Ok(Request {
            index,
            messages,
            max_tokens: shape.output_tokens.or(self.ask.max_tokens),
            temperature: self.ask.temperature,
            stream: self.ask.stream,
            session: None,
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
    use crate::plan::workload::Length;

    fn bundled() -> Tokenizer {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/datasets/tokenizer.json");
        Tokenizer::from_file(path).unwrap()
    }

    fn identity(run_nonce: &str, unique: Uniqueness) -> Identity<'_> {
        Identity { seed: 11, run_nonce, key: "load", unique }
    }

    fn workload(config: SyntheticConfig, nonce: &str, tokenizer: Tokenizer) -> SyntheticWorkload {
        let identity = identity(nonce, Uniqueness::PerRun);
        SyntheticWorkload::new(config, Ask::default(), identity, Some(FERRYMAN), tokenizer).unwrap()
    }

    /// What stands in the file of a prefix.
    const FERRYMAN: &str = "You are a ferryman on the Moselle, and nobody asks you about anything \
        else. You know every bend of the river, every village on its banks, the price of a crossing \
        in fair weather and in foul, and the names of all who drowned. You answer in few words, as \
        people do who row. You have never seen the sea, but you have heard that the river ends \
        there, and you do not believe it. When somebody asks for the bridge, you say that there is \
        none; when somebody asks for the time, you look at the water. Your father was a ferryman, \
        too, and his father before him, and none of them could swim. You keep a lantern under the \
        bench, a rope, a hook, and a bottle that you do not talk about. You like dogs, and dislike \
        horses, which shift in the boat. On Sundays you do not row, unless somebody is dying on the \
        other side.";

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
        let file = || PrefixText::File("prompt-1k.txt".into());
        let config = SyntheticConfig {
            prefix: Some(prefix(file(), PrefixLength::Whole, 1)),
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
            prefix: Some(prefix(file(), PrefixLength::Share(0.1), 1)),
            ..SyntheticConfig::constant(1_000, 250)
        };
        let cut = workload(config, "monday", tokenizer.clone());
        assert_eq!(cut.shape(3).shared_tokens, 100);
        assert_eq!(tokens(&cut.request(3).unwrap(), &tokenizer), 1_000);
    }

    #[test]
    fn a_prefix_longer_than_its_file_is_an_error() {
        let length = PrefixLength::Tokens(100);
        let config = SyntheticConfig {
            prefix: Some(prefix(PrefixText::File("short.txt".into()), length, 1)),
            ..SyntheticConfig::constant(1_000, 250)
        };
        let identity = identity("run", Uniqueness::PerRun);
        let estimate = Tokenizer::Estimate;
        let made =
            SyntheticWorkload::new(config, Ask::default(), identity, Some("short"), estimate);
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
        let fixed = |nonce| {
            let identity = identity(nonce, Uniqueness::Never);
            let estimate = Tokenizer::Estimate;
            SyntheticWorkload::new(config.clone(), Ask::default(), identity, None, estimate)
                .unwrap()
        };
        let (three, four) = (fixed("monday"), fixed("tuesday"));
        for index in 0..20 {
            assert_eq!(one.shape(index), two.shape(index));
            assert_ne!(one.request(index).unwrap(), two.request(index).unwrap());
            assert_eq!(one.request(index).unwrap(), one.request(index).unwrap());
            assert_eq!(three.request(index).unwrap(), four.request(index).unwrap());
        }
    }

    #[test]
    fn a_nonce_is_counted_and_leaves_nothing_to_share() {
        for tokenizer in [bundled(), Tokenizer::Estimate] {
            for system_tokens in [0, 40] {
                let config = SyntheticConfig {
                    prefix: Some(prefix(PrefixText::Generated, PrefixLength::Share(0.5), 1)),
                    system_tokens,
                    ..SyntheticConfig::constant(300, 16)
                };
                let workload = workload(config, "run", tokenizer.clone());
                let opened = |index: u64| {
                    workload.opened(index, Some(&format!("[0123456789a{index}]"))).unwrap()
                };
                let (one, two) = (opened(1), opened(2));
                assert_eq!(tokens(&one, &tokenizer), 300);
                assert!(one.messages[0].content.starts_with("[0123456789a1]\n"));
                assert!(common(&one.messages[0].content, &two.messages[0].content) < 14);
            }
        }
    }
}

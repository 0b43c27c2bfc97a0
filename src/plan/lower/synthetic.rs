//! `synthetic:` → [`SyntheticConfig`].
//!
//! In: written lengths and prefixes. Out: resolved ones. Invariant: a key that means nothing to its
//! distribution is an error, `min` is at most `max`, and a share lies within 0 to 1.

use super::{Lowering, optional};
use crate::plan::bind::Spanned;
use crate::plan::diagnostic::Code;
use crate::plan::file::{
    Count, DistributionWord, LengthFile, LengthKeys, PrefixKeys, SyntheticKeys,
};
use crate::plan::source::Span;
use crate::plan::workload::{Length, PrefixLength, PrefixText, SharedPrefix, SyntheticConfig};

/// Most tokens of one text: far more than any model reads.
const MOST_TOKENS: u64 = 16_000_000;

/// How far above its mean a distribution goes unless the plan says.
const DEVIATIONS: f64 = 10.0;

impl Lowering<'_> {
    pub(super) fn synthetic(
        &mut self,
        written: &Spanned<Box<SyntheticKeys>>,
    ) -> Option<SyntheticConfig> {
        let keys = &*written.value;
        if keys.input_tokens.is_none() && !self.has_bad(written.at) {
            let help = "add `input_tokens: 512`";
            let message = "`synthetic` does not say how long prompts are";
            self.error(Code::MissingKey, written.at.span, message, help);
        }
        let input = keys.input_tokens.as_ref().map(|length| self.length("input_tokens", length));
        let output = keys.output_tokens.as_ref().map(|length| self.length("output_tokens", length));
        let prefix = keys.prefix.as_ref().map(|prefix| self.prefix(prefix));
        Some(SyntheticConfig {
            input_tokens: input??,
            output_tokens: optional(output)?,
            prefix: optional(prefix)?,
            system_tokens: keys.system_tokens.map_or(0, |count| self.tokens(count)),
        })
    }

    /// A number of tokens of which a text is made.
    pub(super) fn tokens(&mut self, count: Spanned<Count>) -> u64 {
        if count.value.0 > MOST_TOKENS {
            let message = format!("at most {MOST_TOKENS} tokens can be made");
            self.error(Code::Value, count.at.span, message, "no model reads a prompt that long");
        }
        count.value.0
    }

    fn prefix(&mut self, written: &Spanned<PrefixKeys>) -> Option<SharedPrefix> {
        let keys = &written.value;
        let text = match &keys.from {
            None => PrefixText::Generated,
            Some(word) if word.value == "generated" => PrefixText::Generated,
            Some(path) => PrefixText::File(self.data_file("prefix.from", path)?),
        };
        let tokens = self.positive("tokens", keys.tokens);
        keys.tokens.map(|count| self.tokens(count));
        if let Some(share) = keys.share.filter(|share| share.value.0 > 1.0) {
            let help = "0.2 is a fifth of each prompt";
            self.error(Code::Value, share.at.span, "`share` must be at most 1", help);
        }
        let length = match (tokens, keys.share) {
            (Some(_), Some(share)) => {
                let message = "`tokens` and `share` can't stand together";
                self.error(Code::Conflict, share.at.span, message, "keep one of them");
                None
            }
            (Some(tokens), None) => Some(PrefixLength::Tokens(tokens)),
            (None, Some(share)) => Some(PrefixLength::Share(share.value.0)),
            (None, None) if text != PrefixText::Generated => Some(PrefixLength::Whole),
            (None, None) => {
                if !self.has_bad(written.at) {
                    let message = "a generated prefix has no length of its own";
                    let help = "add `share: 0.2` or `tokens: 512`";
                    self.error(Code::Incomplete, written.at.span, message, help);
                }
                None
            }
        };
        if let (Some(groups), PrefixText::File(_)) = (keys.groups, &text) {
            let message = "a file is one prefix, so it has no `groups`";
            self.error(Code::Conflict, groups.at.span, message, "remove it, or `from`");
        }
        if let (Some(skew), None) = (keys.skew, keys.groups) {
            let message = "`skew` means nothing without `groups`";
            self.error(Code::Conflict, skew.at.span, message, "add `groups: 8`");
        }
        let groups = self.positive("groups", keys.groups).unwrap_or(1);
        let skew = keys.skew.map_or(0.0, |skew| skew.value.0);
        Some(SharedPrefix { text, length: length?, groups, skew })
    }

    fn length(&mut self, key: &str, written: &Spanned<LengthFile>) -> Option<Length> {
        match &written.value {
            LengthFile::Text(count) => {
                self.positive(key, Some(*count));
                Some(Length::Constant(self.tokens(*count)))
            }
            LengthFile::Map(keys) => self.distribution(key, written, keys),
        }
    }

    fn distribution(
        &mut self,
        key: &str,
        written: &Spanned<LengthFile>,
        keys: &LengthKeys,
    ) -> Option<Length> {
        let Some(word) = keys.distribution else {
            if !self.has_bad(written.at) {
                let message = format!("`{key}` names no distribution");
                let help =
                    "add `distribution: uniform`, `normal`, `lognormal`, `zipf` or `empirical`";
                self.error(Code::MissingKey, written.at.span, message, help);
            }
            return None;
        };
        let word = word.value;
        let (needed, allowed): (&[&str], &[&str]) = match word {
            DistributionWord::Uniform => (&["min", "max"], &["min", "max"]),
            DistributionWord::Normal | DistributionWord::Lognormal => {
                (&["mean", "std"], &["mean", "std", "min", "max"])
            }
            DistributionWord::Zipf => (&["exponent", "max"], &["exponent", "min", "max"]),
            DistributionWord::Empirical => (&["values"], &["values", "weights"]),
        };
        let given = given(keys);
        for (name, span) in given.iter().filter(|(name, _)| !allowed.contains(name)) {
            let message = format!("`{name}` means nothing to `{}` lengths", word.name());
            let help = format!("keys of `{}`: {}", word.name(), allowed.join(", "));
            self.error(Code::Conflict, *span, message, &help);
        }
        let missing: Vec<&str> =
            needed.iter().copied().filter(|name| !given.iter().any(|(it, _)| it == name)).collect();
        if !missing.is_empty() {
            if !self.has_bad(written.at) {
                let message =
                    format!("`{}` lengths need `{}`", word.name(), missing.join("` and `"));
                self.error(Code::MissingKey, written.at.span, message, "");
            }
            return None;
        }
        let number =
            |value: Option<Spanned<crate::plan::file::Ratio>>| value.map_or(0.0, |it| it.value.0);
        let (mean, std) = (number(keys.mean), number(keys.std));
        let min = keys.min.map_or(1, |count| self.tokens(count));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
        let far = (mean + DEVIATIONS * std).ceil() as u64;
        let max = keys.max.map_or(far.min(MOST_TOKENS).max(min), |count| self.tokens(count));
        if min > max {
            let at = keys.min.or(keys.max).map_or(written.at.span, |count| count.at.span);
            self.error(Code::Value, at, "`min` is more than `max`", "");
        }
        Some(match word {
            DistributionWord::Uniform => Length::Uniform { min, max },
            DistributionWord::Normal => Length::Normal { mean, std, min, max },
            DistributionWord::Lognormal => {
                if let Some(mean) = keys.mean.filter(|mean| mean.value.0 <= 0.0) {
                    self.error(Code::Value, mean.at.span, "`mean` must be above 0", "");
                }
                Length::Lognormal { mean, std, min, max }
            }
            DistributionWord::Zipf => {
                if let Some(exponent) = keys.exponent.filter(|it| it.value.0 <= 0.0) {
                    let help = "1.2 is a common choice";
                    self.error(Code::Value, exponent.at.span, "`exponent` must be above 0", help);
                }
                Length::Zipf { exponent: number(keys.exponent), min, max }
            }
            DistributionWord::Empirical => self.empirical(keys)?,
        })
    }

    fn empirical(&mut self, keys: &LengthKeys) -> Option<Length> {
        let values = keys.values.as_ref()?;
        if values.value.is_empty() {
            self.error(
                Code::Value,
                values.at.span,
                "`values` is empty",
                "give at least one length",
            );
            return None;
        }
        let weights: Vec<f64> = match &keys.weights {
            None => vec![1.0; values.value.len()],
            Some(weights) => {
                if weights.value.len() != values.value.len() {
                    let message = format!(
                        "there are {} `values` and {} `weights`",
                        values.value.len(),
                        weights.value.len()
                    );
                    let help = "give one weight for each value";
                    self.error(Code::Value, weights.at.span, message, help);
                    return None;
                }
                for weight in weights.value.iter().filter(|weight| weight.value.0 <= 0.0) {
                    self.error(Code::Value, weight.at.span, "a weight must be above 0", "");
                }
                weights.value.iter().map(|weight| weight.value.0).collect()
            }
        };
        let values: Vec<u64> = values.value.iter().map(|count| self.tokens(*count)).collect();
        Some(Length::Empirical(values.into_iter().zip(weights).collect()))
    }
}

/// The keys given beside `distribution`, with their places.
fn given(keys: &LengthKeys) -> Vec<(&'static str, Span)> {
    [
        ("mean", keys.mean.map(|it| it.at.span)),
        ("std", keys.std.map(|it| it.at.span)),
        ("min", keys.min.map(|it| it.at.span)),
        ("max", keys.max.map(|it| it.at.span)),
        ("exponent", keys.exponent.map(|it| it.at.span)),
        ("values", keys.values.as_ref().map(|it| it.at.span)),
        ("weights", keys.weights.as_ref().map(|it| it.at.span)),
    ]
    .into_iter()
    .filter_map(|(name, span)| Some((name, span?)))
    .collect()
}

//! The written form of `synthetic:`.
//!
//! In: a bound tree. Out: structs with places. Which keys a distribution takes is for lowering to
//! check.

use schemars::JsonSchema;
use serde::Deserialize;

use super::scalar::{Count, Ratio};
use crate::plan::bind::Spanned;

/// Prompts that mean nothing and have a given shape, exact in tokens by the endpoint's `tokenizer`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SyntheticKeys {
    /// Tokens of a prompt, prefix and system message included (beside a whole `prefix` file: those
    /// that follow it): `512`, or a distribution.
    #[schemars(required)]
    pub(crate) input_tokens: Option<Spanned<LengthFile>>,
    /// Most tokens to generate: `128`, or a distribution; `max_tokens` unless given. Servers may stop
    /// earlier unless the body says `ignore_eos: true`.
    pub(crate) output_tokens: Option<Spanned<LengthFile>>,
    /// Text that several prompts begin with, so that a prefix cache can serve it.
    pub(crate) prefix: Option<Spanned<PrefixKeys>>,
    /// A system message of so many tokens, the same for all; part of `input_tokens`.
    pub(crate) system_tokens: Option<Spanned<Count>>,
}

/// Text that several prompts begin with.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PrefixKeys {
    /// Where it comes from: `generated` (the default), or the path of a text file.
    pub(crate) from: Option<Spanned<String>>,
    /// Its length in tokens.
    pub(crate) tokens: Option<Spanned<Count>>,
    /// Its length as a share of each prompt's tokens, 0 to 1: what a warm cache should serve.
    pub(crate) share: Option<Spanned<Ratio>>,
    /// How many different prefixes there are; 1 unless given. Only generated text has several.
    pub(crate) groups: Option<Spanned<Count>>,
    /// How often each group is drawn: all alike at 0 (the default), else group k with weight k^-skew.
    pub(crate) skew: Option<Spanned<Ratio>>,
}

/// A number of tokens, or a distribution of them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "by shape", rename_all = "lowercase")]
#[schemars(rename = "Length", untagged)]
pub(crate) enum LengthFile {
    /// Always the same.
    Text(Spanned<Count>),
    /// A distribution.
    Map(Box<LengthKeys>),
}

/// A distribution of lengths; what falls outside `min` and `max` is drawn to them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LengthKeys {
    /// `uniform` (`min`, `max`), `normal` or `lognormal` (`mean`, `std`), `zipf` (`exponent`, `max`) or
    /// `empirical` (`values`, `weights`).
    #[schemars(required)]
    pub(crate) distribution: Option<Spanned<DistributionWord>>,
    /// Mean of the lengths.
    pub(crate) mean: Option<Spanned<Ratio>>,
    /// Standard deviation of the lengths.
    pub(crate) std: Option<Spanned<Ratio>>,
    /// Shortest; 1 unless given.
    pub(crate) min: Option<Spanned<Count>>,
    /// Longest; ten standard deviations above the mean unless given.
    pub(crate) max: Option<Spanned<Count>>,
    /// Power of the Zipf distribution; larger means shorter.
    pub(crate) exponent: Option<Spanned<Ratio>>,
    /// Lengths as observed.
    pub(crate) values: Option<Spanned<Vec<Spanned<Count>>>>,
    /// How often each of `values` was observed; all alike unless given.
    pub(crate) weights: Option<Spanned<Vec<Spanned<Ratio>>>>,
}

/// The shapes of distributions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DistributionWord {
    /// Every length from `min` to `max` alike.
    Uniform,
    /// Bell-shaped.
    Normal,
    /// Skewed to the right, as real prompts are.
    Lognormal,
    /// `min` most often, longer ones rarer by a power law.
    Zipf,
    /// As observed.
    Empirical,
}

impl DistributionWord {
    /// The plan's word for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Normal => "normal",
            Self::Lognormal => "lognormal",
            Self::Zipf => "zipf",
            Self::Empirical => "empirical",
        }
    }
}

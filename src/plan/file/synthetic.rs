//! The written form of `synthetic:`.
//!
//! In: a bound tree. Out: structs with places. Which keys a distribution takes is for lowering to
//! check.

use schemars::JsonSchema;
use serde::Deserialize;

use super::scalar::{Count, Ratio};
use crate::plan::bind::Spanned;

/// Generated prompts of a given shape, exact in tokens as the endpoint's `tokenizer` counts them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SyntheticKeys {
    /// Tokens of a prompt, including prefix and system message (with a whole file as `prefix`: the
    /// tokens after it): `512`, or a distribution.
    #[schemars(required)]
    pub(crate) input_tokens: Option<Spanned<LengthFile>>,
    /// Maximum number of tokens to generate: `128`, or a distribution. Servers may stop earlier
    /// unless the body says `ignore_eos: true`. Default: `max_tokens`.
    pub(crate) output_tokens: Option<Spanned<LengthFile>>,
    /// Text at the beginning of several prompts, which a prefix cache can serve.
    pub(crate) prefix: Option<Spanned<PrefixKeys>>,
    /// Length of a system message in tokens. It is the same for all prompts, and part of
    /// `input_tokens`.
    pub(crate) system_tokens: Option<Spanned<Count>>,
}

/// Text at the beginning of several prompts.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PrefixKeys {
    /// Source of the text: `generated` (the default), or the path of a text file.
    pub(crate) from: Option<Spanned<String>>,
    /// Length in tokens.
    pub(crate) tokens: Option<Spanned<Count>>,
    /// Length as a share of each prompt's tokens, 0 to 1. A warm cache should serve this share.
    pub(crate) share: Option<Spanned<Ratio>>,
    /// Number of different prefixes, for generated text. Default: 1.
    pub(crate) groups: Option<Spanned<Count>>,
    /// How unequally groups are drawn: group k has the weight k^-skew. Default: 0 (all alike).
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

/// A distribution of lengths; values outside of `min` and `max` are set to them.
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
    /// Minimum length. Default: 1.
    pub(crate) min: Option<Spanned<Count>>,
    /// Maximum length. Default: ten standard deviations above the mean.
    pub(crate) max: Option<Spanned<Count>>,
    /// Exponent of the Zipf distribution; larger values give shorter lengths.
    pub(crate) exponent: Option<Spanned<Ratio>>,
    /// Observed lengths.
    pub(crate) values: Option<Spanned<Vec<Spanned<Count>>>>,
    /// How often each of `values` was observed. Default: all alike.
    pub(crate) weights: Option<Spanned<Vec<Spanned<Ratio>>>>,
}

/// The shapes of distributions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DistributionWord {
    /// Every length from `min` to `max` is equally likely.
    Uniform,
    /// Bell-shaped.
    Normal,
    /// Skewed to the right, as real prompts are.
    Lognormal,
    /// `min` is the most frequent; longer ones are rarer, by a power law.
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

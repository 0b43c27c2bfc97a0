//! Prompts that mean nothing and have a given shape: lengths and shared beginnings.
//!
//! In: what lowering made of `synthetic:`. Out: plain values. Invariant: a length's `min` is at most
//! its `max`, and a share lies between 0 and 1.

use std::path::PathBuf;

/// Prompts that mean nothing and have a given shape.
#[derive(Debug, Clone, PartialEq)]
pub struct SyntheticConfig {
    /// Prompt tokens of a request, prefix and system prompt included.
    pub input_tokens: Length,
    /// Tokens to generate.
    pub output_tokens: Option<Length>,
    /// Text that several prompts begin with.
    pub prefix: Option<SharedPrefix>,
    /// A system message of so many tokens, the same for all; counted in `input_tokens`.
    pub system_tokens: u64,
}

impl SyntheticConfig {
    /// Prompts and answers of constant length with nothing shared.
    pub fn constant(input_tokens: u64, output_tokens: u64) -> Self {
        Self {
            input_tokens: Length::Constant(input_tokens),
            output_tokens: Some(Length::Constant(output_tokens)),
            prefix: None,
            system_tokens: 0,
        }
    }
}

/// A distribution of lengths, in tokens. What falls outside `min` and `max` is drawn to them.
#[derive(Debug, Clone, PartialEq)]
pub enum Length {
    /// Always the same.
    Constant(u64),
    /// Every length from `min` to `max` alike.
    Uniform {
        /// Shortest.
        min: u64,
        /// Longest.
        max: u64,
    },
    /// Bell-shaped.
    Normal {
        /// Mean before clamping.
        mean: f64,
        /// Standard deviation before clamping.
        std: f64,
        /// Shortest.
        min: u64,
        /// Longest.
        max: u64,
    },
    /// Skewed to the right, as real prompts are.
    Lognormal {
        /// Mean of the lengths themselves (not of their logarithms) before clamping.
        mean: f64,
        /// Standard deviation of the lengths themselves before clamping.
        std: f64,
        /// Shortest.
        min: u64,
        /// Longest.
        max: u64,
    },
    /// `min` most often, each longer length rarer by the power law.
    Zipf {
        /// The power; larger means shorter. Above 0.
        exponent: f64,
        /// Shortest and most frequent.
        min: u64,
        /// Longest.
        max: u64,
    },
    /// As observed: lengths with weights above 0.
    Empirical(Vec<(u64, f64)>),
}

/// Text that several prompts begin with.
#[derive(Debug, Clone, PartialEq)]
pub struct SharedPrefix {
    /// Where the text comes from.
    pub text: PrefixText,
    /// How long it is.
    pub length: PrefixLength,
    /// How many different prefixes there are; at least 1. Only generated text has several.
    pub groups: u64,
    /// How often each group is drawn: all alike at 0, else group `k` with weight `k^-skew`.
    pub skew: f64,
}

/// Where a shared prefix comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrefixText {
    /// Generated from the seed.
    Generated,
    /// A file (the fourth seed's `--prompt-file`), cut to length.
    File(PathBuf),
}

/// How long a shared prefix is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PrefixLength {
    /// So many tokens, but never more than the prompt has.
    Tokens(u64),
    /// This share of each prompt's tokens, 0 to 1: the share a warm cache should serve.
    Share(f64),
    /// The whole file; `input_tokens` counts what follows it (`--random-tokens`).
    Whole,
}

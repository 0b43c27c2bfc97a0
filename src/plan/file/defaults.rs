//! The written form of `defaults:`, for editors.
//!
//! In: nothing; defaults are put into the stages before these are bound. Out: the schema of the keys
//! that most kinds share; others are read all the same.

use schemars::JsonSchema;

use super::scalar::Count;
use super::{EndpointFile, PromptFile, ThresholdFile};

/// Keys for every stage that takes them and does not set them itself.
#[derive(JsonSchema)]
#[schemars(rename = "Defaults")]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct DefaultKeys {
    /// How many requests.
    requests: Option<Count>,
    /// How many at a time.
    concurrency: Option<Count>,
    /// What is asked.
    prompt: Option<PromptFile>,
    /// Another endpoint than the plan's.
    endpoint: Option<EndpointFile>,
    /// False leaves requests out of the summary.
    record: Option<bool>,
    /// Run even when a stage it needs has failed.
    always: Option<bool>,
    /// May overlap with stages on other endpoints.
    parallel: Option<bool>,
    /// Labels to select stages by.
    tags: Option<Vec<String>>,
    /// Checks for stages that have none of their own.
    thresholds: Option<Vec<ThresholdFile>>,
}

//! The written form of `matrix:`, for editors.
//!
//! In: nothing; a matrix is laid out before anything is bound. Out: the schema of its keys.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::Value;

/// Params with several values: a list, a series such as `1,2,4-32*2`, or `${param}`.
#[derive(JsonSchema)]
#[schemars(rename = "Matrix")]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct MatrixKeys {
    /// Combinations to leave out: those that have all the values of an item.
    exclude: Option<Vec<BTreeMap<String, Value>>>,
    /// Combinations to add; each item gives a value for every axis.
    include: Option<Vec<BTreeMap<String, Value>>>,
}

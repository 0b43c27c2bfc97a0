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
    /// Combinations to leave out: those that match all the values of an item.
    exclude: Option<Vec<BTreeMap<String, Value>>>,
    /// Combinations to add; each item gives a value for every axis.
    include: Option<Vec<BTreeMap<String, Value>>>,
    /// Run the cells stage by stage instead of one after another. In `cold` and `warm` stages the
    /// cells take turns, request by request (A B B A A B …), so that drift of server and network
    /// affects all of them alike. `runner compare RUN --ab` compares them pair by pair.
    interleave: Option<bool>,
}

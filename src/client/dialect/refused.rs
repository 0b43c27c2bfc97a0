//! What an API has no form for.
//!
//! In: a part of a request, as its row writes it. Out: why it can't be sent, and what to do. Invariant:
//! nothing is dropped: what is not translated is refused.

use crate::request::{Place, Request};

/// A part of a request that a dialect can't say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoForm {
    /// Which, as a path: `messages/1/tool_calls`.
    pub part: String,
    /// Why, in half a sentence.
    pub why: String,
}

impl NoForm {
    /// `part` can't be said.
    pub(super) fn of(part: impl Into<String>, why: impl Into<String>) -> Self {
        Self { part: part.into(), why: why.into() }
    }
}

/// A request that its endpoint's API can't say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{}`{part}` can't be sent in the API {api}: {why}; ask an endpoint whose `api:` takes it, or leave it out{}",
    row.as_ref().map_or_else(String::new, |row| format!("{row}: ")),
    row.as_ref().map_or("", |_| " of the row")
)]
pub struct Refused {
    /// The row that asks it, where one does.
    pub row: Option<Place>,
    /// Which part.
    pub part: String,
    /// The API, as plans name it.
    pub api: &'static str,
    /// Why, in half a sentence.
    pub why: String,
}

impl Refused {
    /// `request` has a part for which `api` has no form.
    pub fn new(request: &Request, api: &'static str, no_form: NoForm) -> Self {
        let NoForm { part, why } = no_form;
        Self { row: request.row.clone(), part, api, why }
    }
}

//! Endpoint keys laid over one another.
//!
//! In: a profile and the keys written over it. Out: one set of keys. Invariant: the upper layer
//! wins key by key; a layer that names a target replaces the target below it whole.

use crate::plan::bind::{Named, Spanned};
use crate::plan::file::{EndpointKeys, TimeoutKeys};

/// Lays `upper` over `lower`.
pub(super) fn over(lower: EndpointKeys, upper: EndpointKeys) -> EndpointKeys {
    let (url, simulator) = if upper.url.is_some() || upper.simulator.is_some() {
        (upper.url, upper.simulator)
    } else {
        (lower.url, lower.simulator)
    };
    EndpointKeys {
        profile: None,
        url,
        simulator,
        api: upper.api.or(lower.api),
        json: upper.json.or(lower.json),
        // Empty comes from a param left empty: not given.
        model: filled(upper.model).or(lower.model),
        require_model: upper.require_model.or(lower.require_model),
        check_model: upper.check_model.or(lower.check_model),
        api_key: filled(upper.api_key).or(lower.api_key),
        headers: headers(lower.headers, upper.headers),
        session_header: filled(upper.session_header).or(lower.session_header),
        timeouts: match (lower.timeouts, upper.timeouts) {
            (Some(lower), Some(upper)) => Some(timeouts(lower, upper)),
            (lower, upper) => upper.or(lower),
        },
        ca_file: filled(upper.ca_file).or(lower.ca_file),
        insecure: upper.insecure.or(lower.insecure),
        proxy: filled(upper.proxy).or(lower.proxy),
        addresses: upper.addresses.or(lower.addresses),
        tokenizer: filled(upper.tokenizer).or(lower.tokenizer),
        metrics: upper.metrics.or(lower.metrics),
        flush: upper.flush.or(lower.flush),
    }
}

/// A text that is not empty.
pub(super) fn filled(text: Option<Spanned<String>>) -> Option<Spanned<String>> {
    text.filter(|text| !text.value.trim().is_empty())
}

type Headers = Option<Named<Spanned<String>>>;

/// By name, without regard to case, as HTTP compares them.
fn headers(lower: Headers, upper: Headers) -> Headers {
    let (lower, upper) = match (lower, upper) {
        (Some(lower), Some(upper)) => (lower, upper),
        (lower, upper) => return upper.or(lower),
    };
    let mut merged = lower.0;
    merged.retain(|(name, _)| {
        !upper.0.iter().any(|(other, _)| other.value.eq_ignore_ascii_case(&name.value))
    });
    merged.extend(upper.0);
    Some(Named(merged))
}

fn timeouts(lower: TimeoutKeys, upper: TimeoutKeys) -> TimeoutKeys {
    TimeoutKeys {
        connect: upper.connect.or(lower.connect),
        headers: upper.headers.or(lower.headers),
        first_token: upper.first_token.or(lower.first_token),
        idle: upper.idle.or(lower.idle),
        total: upper.total.or(lower.total),
    }
}

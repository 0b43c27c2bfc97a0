//! What every request carries, and what no message may show.
//!
//! In: an endpoint's key, headers and URL. Out: the headers of its requests, its URL without user
//! and password, and a [`Redactor`] of their values. Invariant: a secret is hidden by its value, so
//! it stays hidden when a server echoes it under another name.

use base64::prelude::{BASE64_STANDARD, Engine};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::ClientError;
use super::dialect::Dialect;
use crate::plan::{ApiKey, Endpoint, Redactor};

/// The parts of an endpoint that say who is asking.
#[derive(Debug)]
pub(super) struct Credentials {
    pub headers: HeaderMap,
    /// The base URL without user, password and fragment.
    pub base: Url,
    pub redactor: Redactor,
}

impl Credentials {
    /// Fails on a URL that is no HTTP URL and on headers that HTTP does not allow, such as values
    /// with line ends.
    pub fn of(
        endpoint: &Endpoint,
        base_url: &Url,
        dialect: &dyn Dialect,
    ) -> Result<Self, ClientError> {
        let mut redactor = Redactor::default();
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));

        let base = strip_login(base_url)?;
        let key = |key: &str| match dialect.key_header() {
            None => ("authorization", format!("Bearer {key}")),
            Some(name) => (name, key.to_owned()),
        };
        let shown = match &endpoint.api_key {
            ApiKey::Unset if base != *base_url && !base_url.username().is_empty() => {
                let password = base_url.password().unwrap_or_default();
                let login = BASE64_STANDARD.encode(format!("{}:{password}", base_url.username()));
                redactor.register(password);
                redactor.register(&login);
                Some(("authorization", format!("Basic {login}")))
            }
            ApiKey::Unset => Some(key("EMPTY")),
            ApiKey::None => None,
            ApiKey::Key(secret) => {
                redactor.register(secret.expose());
                Some(key(secret.expose()))
            }
        };
        // What a template says takes its place.
        let templates = &endpoint.header_templates;
        let shown = shown
            .filter(|(name, _)| !templates.iter().any(|it| it.name.eq_ignore_ascii_case(name)));
        if let Some((name, value)) = shown {
            insert(&mut headers, name, &value)?;
        }
        for (name, value) in dialect.headers() {
            insert(&mut headers, name, value)?;
        }
        for (name, value) in &endpoint.headers {
            redactor.register(value.expose());
            // `Authorization: Bearer KEY` hides the key as well as the whole value.
            redactor.register(value.expose().rsplit(' ').next().unwrap_or_default());
            insert(&mut headers, name, value.expose())?;
        }
        Ok(Self { headers, base, redactor })
    }
}

fn insert(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), ClientError> {
    let bad = |reason| ClientError::Header { name: name.escape_debug().to_string(), reason };
    let key = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| bad("its name holds characters that HTTP does not allow"))?;
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        bad("its value holds line ends or other characters that HTTP does not allow")
    })?;
    value.set_sensitive(true);
    headers.insert(key, value);
    Ok(())
}

pub(super) fn strip_login(base_url: &Url) -> Result<Url, ClientError> {
    let mut base = base_url.clone();
    if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
        return Err(ClientError::Url(format!(
            "`{}:` is no HTTP URL; write http://HOST:PORT/v1",
            base.scheme()
        )));
    }
    let stripped = base.set_username("").and_then(|()| base.set_password(None));
    base.set_fragment(None);
    stripped.map(|()| base).map_err(|()| ClientError::Url("user and password have no host".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_replaced_longest_first_and_short_ones_left() {
        let mut redactor = Redactor::default();
        for value in ["sk-abc", "sk-abcdef", "a"] {
            redactor.register(value);
        }
        assert_eq!(redactor.redact("a sk-abcdef and sk-abc"), "a *** and ***");
        assert_eq!(redactor.longest(), 9);
    }
}

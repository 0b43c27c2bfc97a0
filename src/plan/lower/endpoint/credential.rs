//! `api_key:` and `headers:`.
//!
//! In: values as written or out of `${secret:…}`. Out: what is sent. Invariant: every credential is
//! registered with the redactor before anything can print it.

use crate::plan::bind::Spanned;
use crate::plan::diagnostic::{Code, Diagnostic};
use crate::plan::file::EndpointKeys;
use crate::plan::lower::Lowering;
use crate::plan::{ApiKey, HeaderTemplate, Secret};

/// Headers that say who is asking.
const CREDENTIALS: [&str; 5] =
    ["authorization", "proxy-authorization", "api-key", "x-api-key", "cookie"];

/// What the client itself must say for a request to be well-formed.
const OURS: [&str; 6] = [
    "content-length",
    "content-type",
    "transfer-encoding",
    "connection",
    "accept-encoding",
    "host",
];

impl Lowering<'_> {
    pub(super) fn api_key(&mut self, key: &Spanned<String>) -> ApiKey {
        match key.value.trim() {
            "none" => ApiKey::None,
            "EMPTY" => ApiKey::Unset,
            secret => {
                self.redactor.register(secret);
                self.warn_of_literal("api_key", key);
                ApiKey::Key(Secret::new(secret))
            }
        }
    }

    /// A credential that is written out in a file which people commit.
    fn warn_of_literal(&mut self, key: &str, value: &Spanned<String>) {
        let is_literal = !self.sources.slice(value.at.span).contains("${");
        if is_literal {
            self.push(
                Diagnostic::warning(Code::Credential, format!("`{key}` is written into the plan"))
                    .at(self.location(value.at.span))
                    .help("take it from the environment: `${secret:NAME}`"),
            );
        }
    }

    /// The header that carries a conversation's id: a name that HTTP allows and nobody else has.
    pub(super) fn session_header(&mut self, written: Option<&Spanned<String>>) -> Option<String> {
        let written = written.filter(|name| !name.value.trim().is_empty())?;
        let name = written.value.trim().to_ascii_lowercase();
        let is_name = name.chars().all(|it| it.is_ascii_alphanumeric() || "-_".contains(it));
        if !is_name {
            let message = format!("`{}` can't be the name of a header", written.value);
            let help = "letters, digits and `-`, such as `X-Conversation-Id`";
            self.error(Code::Value, written.at.span, message, help);
        } else if OURS.contains(&name.as_str()) || CREDENTIALS.contains(&name.as_str()) {
            let message = format!("the header `{}` says something else", written.value);
            let help = "name one of its own, such as `X-Conversation-Id`";
            self.error(Code::Conflict, written.at.span, message, help);
        }
        Some(name)
    }

    pub(super) fn headers(
        &mut self,
        keys: &EndpointKeys,
        has_api_key: bool,
    ) -> Vec<(String, Secret)> {
        let mut headers = Vec::new();
        for (name, value) in keys.headers.iter().flat_map(|headers| &headers.0) {
            let lower = name.value.to_ascii_lowercase();
            if CREDENTIALS.contains(&lower.as_str()) {
                // Without the scheme: `Bearer` alone is no secret.
                let secret = value.value.rsplit(' ').next().unwrap_or(&value.value);
                self.redactor.register(secret);
                self.warn_of_literal(&name.value, value);
            }
            if lower == "authorization" && has_api_key {
                let message = "`api_key` and an `Authorization` header can't stand together";
                self.error(Code::Conflict, name.at.span, message, "keep one of the two");
            }
            if OURS.contains(&lower.as_str()) {
                let message = format!("the header `{}` is set by runner itself", name.value);
                self.error(Code::Header, name.at.span, message, "remove it");
            }
            let is_token = !name.value.is_empty()
                && name
                    .value
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
            if !is_token {
                let message = format!("`{}` can't be the name of a header", name.value);
                let help = "letters, digits and `-`";
                self.error(Code::Header, name.at.span, message, help);
            }
            let text = value.value.trim();
            if text.chars().any(|letter| letter.is_control() && letter != '\t') {
                let message =
                    format!("the header `{}` holds a line break or control character", name.value);
                self.error(Code::Header, value.at.span, message, "a header is one line of text");
            }
            if !self.is_header_template(value) {
                headers.push((name.value.clone(), Secret::new(text)));
            }
        }
        headers
    }

    /// Those that are rendered for each request.
    pub(super) fn header_templates(&self, keys: &EndpointKeys) -> Vec<HeaderTemplate> {
        let headers = keys.headers.iter().flat_map(|headers| &headers.0);
        let templates = headers.filter(|(_, value)| self.is_header_template(value));
        templates
            .map(|(name, value)| HeaderTemplate {
                name: name.value.clone(),
                value: value.value.trim().to_owned(),
                location: self.location(value.at.span),
            })
            .collect()
    }

    /// Whether a value is written as a template, and does not only hold what looks like one.
    fn is_header_template(&self, value: &Spanned<String>) -> bool {
        ["{{", "{%"].iter().any(|mark| self.sources.slice(value.at.span).contains(mark))
    }
}

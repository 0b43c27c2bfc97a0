//! Bodies that are posted to a service beside the one that is measured: gateways of monitoring.
//!
//! In: a URL, then bodies. Out: nothing, or why one was not taken. Invariants: a call ends within its
//! limit; user and password of the URL go into a header and into no message.

use std::sync::Arc;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use http::header::{self, HeaderMap, HeaderValue};
use tokio::runtime::{Builder, Runtime};
use url::Url;

use super::ClientError;
use super::credentials::strip_login;
use super::dial::Dial;
use super::dialect;
use super::ending::connect_help;
use super::transport::{FaultKind, Method, OwnHeaders, Post, Transport};
use crate::plan::{
    Addresses, Api, ApiKey, Endpoint, Location, MetricsConfig, MetricsPage, Target, Timeouts,
    TokenizerConfig,
};

/// The longest that a connection may take.
const CONNECT: Duration = Duration::from_secs(2);

/// One URL that takes bodies.
#[derive(Debug)]
pub struct Gateway {
    transport: Transport,
    url: Url,
    content_type: &'static str,
    /// Made by the first post, on the thread that posts.
    runtime: Option<Runtime>,
}

impl Gateway {
    /// Sets up the way there; nothing is sent.
    pub fn new(url: &Url, content_type: &'static str) -> Result<Self, ClientError> {
        let base = strip_login(url)?;
        let mut headers = HeaderMap::new();
        if !url.username().is_empty() {
            let password = url.password().unwrap_or_default();
            let login = BASE64_STANDARD.encode(format!("{}:{password}", url.username()));
            if let Ok(mut value) = HeaderValue::from_str(&format!("Basic {login}")) {
                value.set_sensitive(true);
                headers.insert(header::AUTHORIZATION, value);
            }
        }
        let transport = Transport::new(&endpoint(&base), &base, headers)?;
        Ok(Self { transport, url: base, content_type, runtime: None })
    }

    /// Posts `body` and waits for the answer, `limit` at most. Blocks; not for async callers.
    pub fn post(&mut self, body: Vec<u8>, limit: Duration) -> Result<(), String> {
        let target = self.transport.target(self.url.clone()).with_content_type(self.content_type);
        let post =
            self.transport.prepare(Method::Post, target.into(), body.into(), OwnHeaders::default());
        let runtime = match self.runtime.take() {
            Some(runtime) => runtime,
            None => {
                Builder::new_current_thread().enable_all().build().map_err(|it| it.to_string())?
            }
        };
        let answered =
            runtime.block_on(async { tokio::time::timeout(limit, self.answer(&post)).await });
        self.runtime = Some(runtime);
        answered.unwrap_or_else(|_| Err(format!("no answer within {} s", limit.as_secs())))
    }

    async fn answer(&self, post: &Post) -> Result<(), String> {
        let dial = Arc::new(Dial::default());
        let mut reply =
            self.transport.send(post, &dial, true).await.map_err(|fault| match fault.kind {
                FaultKind::Connect(kind) => connect_help(kind, &fault.message),
                _ => fault.message,
            })?;
        let status = reply.status();
        let body = reply.chunk().await.ok().flatten().unwrap_or_default();
        match dialect::body_message(&body) {
            _ if (200..300).contains(&status) => Ok(()),
            Some(said) => Err(format!("HTTP {status}: {said}")),
            None => Err(format!("HTTP {status}")),
        }
    }
}

/// An endpoint that is nothing but a URL, for the transport.
fn endpoint(url: &Url) -> Endpoint {
    Endpoint {
        name: url.to_string(),
        target: Target::Url(url.clone()),
        api: Api::OpenaiChat,
        model: None,
        check_model: true,
        api_key: ApiKey::None,
        headers: Vec::new(),
        must_be_same_model: false,
        header_templates: Vec::new(),
        session_header: None,
        timeouts: Timeouts {
            connect: CONNECT,
            headers: CONNECT,
            first_token: CONNECT,
            idle: CONNECT,
            total: CONNECT,
        },
        ca_file: None,
        insecure: false,
        proxy: None,
        addresses: Addresses::All,
        tokenizer: TokenizerConfig::Estimate,
        metrics: MetricsConfig { page: MetricsPage::Off, ..MetricsConfig::default() },
        flush: None,
        location: Location::default(),
    }
}

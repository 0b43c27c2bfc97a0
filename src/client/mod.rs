//! Floor 3: how it is sent.
//!
//! In: an endpoint and [`Request`]s. Out: one [`Exchange`] for each request, however it ended; a
//! failed request is data, never an `Err`. Invariant: every stamp is taken when bytes arrive,
//! before they are parsed, and every exchange ends within its limits.
//!
//! Layers, each knowing the one below: `transport` (bytes over HTTP) → [`framing`] ([`sse`] or
//! [`ndjson`]: events) → [`dialect`] (deltas) → `exchange` and `tally` (stamps and outcome). Beside
//! them stand the server's side doors: [`probe`], [`flush`], [`tokenize`], [`account`]; [`checkup`]
//! tries all of it.

pub mod account;
mod addresses;
pub mod answering;
pub mod checkup;
mod choices;
mod coding;
mod credentials;
mod dial;
pub mod dialect;
mod ending;
mod exchange;
pub mod flush;
pub mod framing;
pub mod gateway;
mod limits;
pub mod ndjson;
pub mod probe;
mod remarks;
mod shown;
mod side_door;
pub mod sse;
mod tally;
pub mod tokenize;
mod transport;

use std::borrow::Cow;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use http::header::{HeaderMap, HeaderName, HeaderValue};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::plan::{ApiKey, Endpoint, Redactor, Timeouts};
use crate::record::{Exchange, RunClock};
use crate::request::Request;

use answering::Answering;
use credentials::Credentials;
use dialect::{Catalogue, Dialect, Place, Refused};
use remarks::Asked;
use transport::{Method, OwnHeaders, Post, Target, Transport};

/// The endpoint's settings cannot be used; found before anything is sent.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No HTTP URL.
    #[error("the endpoint's url: {0}")]
    Url(String),
    /// A header that HTTP does not allow.
    #[error("header `{name}`: {reason}")]
    Header {
        /// Its name, escaped.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The extra certificate authority cannot be read.
    #[error("ca_file {}: {reason}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The proxy is no URL.
    #[error("the endpoint's proxy: {0}")]
    Proxy(String),
    /// TLS cannot be set up.
    #[error("cannot set up TLS: {0} (install the system's CA certificates, or set `ca_file`)")]
    Tls(String),
}

/// One endpoint's client: a pool of connections, its limits and its dialect. Clones share the pool.
#[derive(Clone)]
pub struct Client {
    transport: Transport,
    dialect: Arc<dyn Dialect>,
    /// Whether it says by a key who asks.
    has_key: bool,
    /// What the dialect is called in plans.
    api: &'static str,
    /// Those of every request, beside the transport's own.
    headers: HeaderMap,
    /// Carries the id of a request's conversation.
    session_header: Option<HeaderName>,
    base: Url,
    timeouts: Timeouts,
    /// An answer by another model than was asked for is a failure.
    must_be_same_model: bool,
    redactor: Arc<Redactor>,
    clock: RunClock,
    answering: Arc<Answering>,
    /// Where the last request went; most go to one path.
    last_target: Arc<Mutex<Option<LastTarget>>>,
    /// The stages that began while the server still had other work.
    began_busy: Arc<Mutex<Vec<String>>>,
}

/// A path that requests were prepared for.
struct LastTarget {
    place: Place,
    path: Cow<'static, str>,
    target: Arc<Target>,
}

/// A request with all its bytes, made before it is due.
#[derive(Debug)]
pub struct Prepared {
    post: Post,
    stream: bool,
    max_tokens: Option<u64>,
    asked: Asked,
    /// How many answers it asks for.
    choices: u64,
}

impl Client {
    /// A client for `endpoint` at `base_url` (the endpoint's own URL, or the embedded simulator's),
    /// stamping with `clock`. Sends nothing.
    pub fn new(endpoint: &Endpoint, base_url: &Url, clock: RunClock) -> Result<Self, ClientError> {
        let dialect = dialect::of(&endpoint.api);
        let Credentials { headers, base, redactor } =
            Credentials::of(endpoint, base_url, &*dialect)?;
        let is_key =
            |name: &str| name.eq_ignore_ascii_case("authorization") || name.ends_with("key");
        Ok(Self {
            has_key: matches!(endpoint.api_key, ApiKey::Key(_))
                || !base_url.username().is_empty()
                || endpoint.headers.iter().any(|(name, _)| is_key(name)),
            transport: Transport::new(endpoint, &base, headers.clone())?,
            headers,
            dialect,
            api: endpoint.api.name(),
            base,
            timeouts: endpoint.timeouts,
            must_be_same_model: endpoint.must_be_same_model,
            redactor: Arc::new(redactor),
            clock,
            answering: Arc::default(),
            last_target: Arc::default(),
            began_busy: Arc::default(),
            session_header: endpoint
                .session_header
                .as_ref()
                .and_then(|name| HeaderName::from_bytes(name.as_bytes()).ok()),
        })
    }

    /// From now on what is kept of its answers has none of these secrets either.
    pub fn hide(&mut self, secrets: &Redactor) {
        Arc::make_mut(&mut self.redactor).join(secrets);
    }

    /// Encodes `request`, to be sent as often as wanted, asking for its own model, else for `model`; or
    /// says what of it the API can't say. `request_id` goes out as `X-Request-Id`, the conversation's id
    /// in the endpoint's header for it (not where HTTP can't carry it).
    pub fn prepare(
        &self,
        request: &Request,
        model: &str,
        request_id: &str,
    ) -> Result<Prepared, Refused> {
        let model = request.model.as_deref().unwrap_or(model);
        let encoded = self.dialect.encode(request, model);
        let encoded = encoded.map_err(|no_form| Refused::new(request, self.api, no_form))?;
        let target = self.target(self.dialect.place(), encoded.path);
        let session = self.session_header.clone().zip(request.session.as_deref());
        let named = request.headers.iter().filter_map(|(name, value)| {
            Some((HeaderName::from_bytes(name.as_bytes()).ok()?, value.as_str()))
        });
        let named = session.into_iter().chain(named);
        let own = OwnHeaders {
            request_id: HeaderValue::from_str(request_id).ok(),
            named: named
                .filter_map(|(name, value)| {
                    Some((name, HeaderValue::from_bytes(value.as_bytes()).ok()?))
                })
                .collect(),
        };
        Ok(Prepared {
            post: self.transport.prepare(Method::Post, target, encoded.body, own),
            stream: self.dialect.streams(request),
            max_tokens: request.max_tokens,
            asked: Asked::of(request, model),
            choices: if self.dialect.tells_choices() { choices::asked(request) } else { 1 },
        })
    }

    /// Where requests for `path` go.
    fn target(&self, place: Place, path: Cow<'static, str>) -> Arc<Target> {
        let mut last = self.last_target.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = last.as_ref().filter(|it| it.place == place && it.path == path) {
            return Arc::clone(&last.target);
        }
        let target = Arc::new(self.transport.target(self.address(place, &path)));
        *last = Some(LastTarget { place, path, target: Arc::clone(&target) });
        target
    }

    fn address(&self, place: Place, path: &str) -> Url {
        match place {
            Place::Base if path.is_empty() => self.base.clone(),
            Place::Base => self.url(path),
            Place::Root => self.root_url(path),
        }
    }

    /// Sends a request now and reads its answer to the end. Returns soon after `cancel` fires, with
    /// the stamps so far.
    pub async fn send(&self, prepared: &Prepared, cancel: &CancellationToken) -> Exchange {
        exchange::run(self, prepared, cancel).await
    }

    /// Its streams that are past their first token, to be watched.
    pub fn answering(&self) -> Arc<Answering> {
        Arc::clone(&self.answering)
    }

    /// Opens up to `count` connections that nothing was sent over yet, so that the first requests of
    /// many streams need not make theirs all at once. One that fails is left to its request.
    pub async fn open_ahead(&self, count: usize) {
        self.transport.open_ahead(count).await;
    }

    /// Whether requests must name a model.
    fn needs_model(&self) -> bool {
        self.dialect.needs_model()
    }

    /// Where the API's servers say what they serve, and its form.
    fn catalogue(&self) -> (Catalogue, Url) {
        let catalogue = self.dialect.catalogue();
        let url = match catalogue {
            // Where the API itself is at the server's root, the URL may lack its /v1.
            Catalogue::Models if self.dialect.place() == Place::Root => self.root_url("v1/models"),
            Catalogue::Models => self.url("models"),
            Catalogue::OllamaTags => self.root_url("api/tags"),
            Catalogue::TgiInfo => self.root_url("info"),
            Catalogue::TritonV2 => self.root_url("v2"),
            Catalogue::None => self.request_url(""),
        };
        (catalogue, url)
    }

    /// TCP connections made so far.
    pub fn connections(&self) -> u64 {
        self.transport.connections()
    }

    /// What requests that ask for `model` are sent to, without user and password.
    pub fn request_url(&self, model: &str) -> Url {
        let request = Request { stream: true, ..Request::default() };
        // A request that says nothing has nothing that could be refused.
        let path = self.dialect.encode(&request, model).map_or_else(|_| "".into(), |it| it.path);
        self.address(self.dialect.place(), &path)
    }

    /// The addresses that the host's name stands for, where they are several.
    pub fn addresses(&self) -> Vec<IpAddr> {
        self.transport.resolver().account().into_keys().collect()
    }

    /// A stage begins though the server still has other work.
    pub fn begins_busy(&self, stage: &str) {
        let mut began = self.began_busy.lock().unwrap_or_else(PoisonError::into_inner);
        if !began.iter().any(|known| known == stage) {
            began.push(stage.to_owned());
        }
    }

    /// The stages that began while the server still had other work.
    pub fn began_busy(&self) -> Vec<String> {
        self.began_busy.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Those of several addresses that took no connection or not always, one line each.
    pub fn unreachable(&self) -> Vec<String> {
        let failed = self.transport.resolver().account();
        let failed = failed.into_iter().filter(|(_, dialled)| dialled.failed > 0);
        let line = |(address, dialled): (IpAddr, addresses::Dialled)| {
            let of = dialled.made + dialled.failed;
            let why = self.redactor.redact(&dialled.why).into_owned();
            format!(
                "{address} took {} of {of} connections ({why}); the others went to its next address",
                dialled.made
            )
        };
        failed.map(line).collect()
    }

    /// The base URL, without user and password.
    pub fn base_url(&self) -> &Url {
        &self.base
    }

    /// Hides the endpoint's secrets in text.
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// `path` below the base URL.
    fn url(&self, path: &str) -> Url {
        join(&self.base, path)
    }

    /// `path` at the server's root, where the doors beside the API are: the base URL or the
    /// folder that it stands in where it is itself what is called, without its trailing `/v1`.
    fn root_url(&self, path: &str) -> Url {
        let mut root = self.base.clone();
        let stem = self.base.path().trim_end_matches('/');
        let folder = match stem.rsplit_once('/') {
            Some((folder, _)) if self.dialect.calls_base() => folder,
            _ => stem,
        };
        root.set_path(folder.strip_suffix("/v1").unwrap_or(folder));
        join(&root, path)
    }
}

/// `base` and `path` with exactly one slash between them; the base's query stays.
fn join(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/{path}", base.path().trim_end_matches('/')));
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_join_with_one_slash() {
        for (base, joined) in [
            ("http://h:1/v1", "http://h:1/v1/chat/completions"),
            ("http://h:1/v1/", "http://h:1/v1/chat/completions"),
            ("http://h:1", "http://h:1/chat/completions"),
            (
                "http://h:1/a%20b/v1/?api-version=2",
                "http://h:1/a%20b/v1/chat/completions?api-version=2",
            ),
        ] {
            assert_eq!(join(&Url::parse(base).unwrap(), "chat/completions").as_str(), joined);
        }
    }
}

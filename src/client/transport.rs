//! Bytes over HTTP: one way in, two ways out.
//!
//! In: an endpoint's settings, then requests. Out: a [`Reply`] whose chunks are read as they
//! arrive, or a [`Fault`] of a stable kind. Invariant: what is sent is sent once, to the host in
//! the plan: no redirects, no proxy that nobody asked for, no compression, and no second sending but
//! of what [`Fault::may_be_resent`] allows.
//!
//! Plain `http://` goes over `wire`, our own HTTP/1.1: at tens of thousands of requests a second
//! the HTTP crate costs more than all the rest of a request (benches/README.md has the numbers).
//! TLS and proxies go over `library`, the only file that knows that crate.

mod library;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use url::Url;

use self::library::Library;
use self::wire::Wire;
use super::ClientError;
use super::addresses::Resolver;
use super::dial::{Dial, Used};
use crate::plan::Endpoint;

/// llama.cpp and vLLM close a connection that was idle for 5 s; ours is gone before.
const POOL_IDLE: Duration = Duration::from_secs(4);

/// One pool of connections to one endpoint. Clones share it.
#[derive(Debug, Clone)]
pub(super) enum Transport {
    /// Our own HTTP/1.1.
    Wire(Wire),
    /// The HTTP crate.
    Library(Library),
}

/// Where requests go and what all of them carry; made once for each path.
#[derive(Debug)]
pub(super) struct Target {
    url: Url,
    /// The head's text as far as it is the same for every request; empty where the HTTP crate
    /// writes it.
    head: Vec<u8>,
    content_type: &'static str,
}

impl Target {
    /// The same for another type of body than JSON.
    pub fn with_content_type(self, content_type: &'static str) -> Self {
        Self { content_type, ..self }
    }
}

/// Headers that one request has and the next one has not.
#[derive(Debug, Default)]
pub(super) struct OwnHeaders {
    pub request_id: Option<HeaderValue>,
    /// Those that the plan names.
    pub named: Vec<(HeaderName, HeaderValue)>,
}

/// A request with all its bytes, ready to be sent any number of times.
#[derive(Debug)]
pub(super) struct Post {
    method: Method,
    target: Arc<Target>,
    own: OwnHeaders,
    body: Bytes,
    /// Head and body as they go out; empty where the HTTP crate writes them.
    whole: Bytes,
}

impl Transport {
    /// Sets up the pool; nothing is sent. `base` says whether TLS is needed at all.
    pub fn new(endpoint: &Endpoint, base: &Url, headers: HeaderMap) -> Result<Self, ClientError> {
        let is_plain =
            base.scheme() == "http" && endpoint.proxy.is_none() && endpoint.ca_file.is_none();
        match Wire::new(endpoint, base, &headers).filter(|_| is_plain) {
            Some(wire) => Ok(Self::Wire(wire)),
            None => Library::new(endpoint, base, headers).map(Self::Library),
        }
    }

    /// Connections made so far.
    pub fn connections(&self) -> u64 {
        match self {
            Self::Wire(wire) => wire.connections(),
            Self::Library(library) => library.connections(),
        }
    }

    /// What became of the host's addresses, where it has several.
    pub fn resolver(&self) -> &Resolver {
        match self {
            Self::Wire(wire) => wire.resolver(),
            Self::Library(library) => library.resolver(),
        }
    }

    /// Opens up to `count` connections for requests to come, as long as that goes well. The HTTP
    /// crate has no way to do so: its requests make their own.
    pub async fn open_ahead(&self, count: usize) {
        match self {
            Self::Wire(wire) => wire.open_ahead(count).await,
            Self::Library(_) => {}
        }
    }

    /// Where requests to `url` go.
    pub fn target(&self, url: Url) -> Target {
        let head = match self {
            Self::Wire(wire) => wire.head(&url),
            Self::Library(_) => Vec::new(),
        };
        Target { url, head, content_type: "application/json" }
    }

    /// A request that is complete before it is due.
    pub fn prepare(
        &self,
        method: Method,
        target: Arc<Target>,
        body: Bytes,
        own: OwnHeaders,
    ) -> Post {
        let mut post = Post { method, target, own, body, whole: Bytes::new() };
        if let Self::Wire(wire) = self {
            wire.complete(&mut post);
        }
        post
    }

    /// Sends it and waits for the response's headers. Dropping the future closes the connection.
    /// `dial` is new for each request; `again` keeps away from connections that were open before.
    pub async fn send(&self, post: &Post, dial: &Arc<Dial>, again: bool) -> Result<Reply, Fault> {
        match self {
            Self::Wire(wire) => wire.send(&post.whole, dial, again).await.map(Reply::Wire),
            Self::Library(library) => library.send(post, dial).await.map(Reply::Library),
        }
    }
}

impl Post {
    /// Method, URL and body.
    pub fn parts(&self) -> (Method, &Url, &[u8]) {
        (self.method, &self.target.url, &self.body)
    }

    /// Its headers, beside those of every request to the endpoint.
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if !self.body.is_empty() {
            headers
                .insert(header::CONTENT_TYPE, HeaderValue::from_static(self.target.content_type));
        }
        if let Some(id) = &self.own.request_id {
            headers.insert(HeaderName::from_static("x-request-id"), id.clone());
        }
        for (name, value) in &self.own.named {
            headers.insert(name.clone(), value.clone());
        }
        headers
    }
}

/// The methods in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Post,
    Put,
    Delete,
}

impl Method {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

/// A response whose headers are here and whose body is still to come.
#[derive(Debug)]
pub(super) enum Reply {
    /// Over our own HTTP/1.1.
    Wire(wire::Reply),
    /// Over the HTTP crate.
    Library(library::Reply),
}

impl Reply {
    /// The status code.
    pub fn status(&self) -> u16 {
        match self {
            Self::Wire(reply) => reply.status(),
            Self::Library(reply) => reply.status(),
        }
    }

    /// Whether several chunks may be of one read of the socket, without a sign of it.
    pub fn hides_reads(&self) -> bool {
        matches!(self, Self::Library(_))
    }

    /// The connection it came over.
    pub fn used(&self) -> Used {
        match self {
            Self::Wire(reply) => reply.used(),
            Self::Library(reply) => reply.used(),
        }
    }

    /// A header as text; `None` when it is missing or not text.
    pub fn header(&self, name: &str) -> Option<&str> {
        match self {
            Self::Wire(reply) => reply.header(name),
            Self::Library(reply) => reply.header(name),
        }
    }

    /// The next piece of the body as it arrives; `None` at its proper end. Cancel-safe.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Fault> {
        match self {
            Self::Wire(reply) => reply.chunk().await,
            Self::Library(reply) => reply.chunk().await,
        }
    }
}

/// What broke below HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FaultKind {
    /// No connection: `refused`, `dns`, `tls`, `reset`, `fd_limit`, `no_local_port`, `other`.
    Connect(&'static str),
    /// No connection within the limit.
    ConnectTimeout,
    /// The peer closed in the middle.
    Closed,
    /// The connection was reset.
    Reset,
    /// The bytes were no HTTP.
    Http,
}

/// A failed request or body.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    pub kind: FaultKind,
    /// One line; secrets are not redacted yet.
    pub message: String,
    pub used: Used,
    /// Whether bytes of an answer had come before.
    pub heard: bool,
}

/// A connection that was dead already when a request was written to it says so within a round trip;
/// a server that closes later than that was at work on the request.
const ROUND_TRIP: Duration = Duration::from_millis(50);

impl Fault {
    /// Whether a kept connection was closed before anything was answered on it.
    pub fn is_stale_reuse(&self) -> bool {
        let was_open = self.used.reused || self.used.ahead.is_some();
        was_open && !self.heard && matches!(self.kind, FaultKind::Closed | FaultKind::Reset)
    }

    /// Whether a request that left at `sent` and failed just now met a connection that the server had
    /// given up before, so that sending it once more is no second request to a server at work.
    pub fn may_be_resent(&self, sent: Instant) -> bool {
        self.is_stale_reuse() && sent.elapsed() <= ROUND_TRIP
    }
}

/// The address of the near end, for telling connections apart.
type Local = Option<SocketAddr>;

/// `text` without line ends.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

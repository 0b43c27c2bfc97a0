//! HTTP over TLS or through a proxy; the only file that knows the HTTP crate.
//!
//! In: an endpoint's settings, then requests. Out: a [`Reply`], or a [`Fault`] told from the
//! crate's chain of causes. Invariant: the crate's own retries, redirects and environment are off.

use std::error::Error as _;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use hyper_util::client::legacy::connect::HttpInfo;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::HeaderMap;
use url::Url;

use super::{Fault, FaultKind, Local, Method, POOL_IDLE, Post, one_line};
use crate::client::ClientError;
use crate::client::addresses::Resolver;
use crate::client::dial::{Dial, DialLayer, Used};
use crate::plan::Endpoint;

/// One pool of connections to one endpoint.
#[derive(Debug, Clone)]
pub(in crate::client) struct Library {
    http: reqwest::Client,
    dials: DialLayer,
    resolver: Arc<Resolver>,
}

/// Our resolver in the HTTP crate's form.
struct Names(Arc<Resolver>);

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = Arc::clone(&self.0);
        Box::pin(async move {
            // The crate puts the port in.
            let found = resolver.resolve(name.as_str(), 0).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

impl Library {
    /// Sets up the pool; nothing is sent. `base` says whether TLS is needed at all.
    pub(super) fn new(
        endpoint: &Endpoint,
        base: &Url,
        headers: HeaderMap,
    ) -> Result<Self, ClientError> {
        // Fails only when a provider is installed already, which is just as well.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let resolver = Arc::new(Resolver::new(&endpoint.addresses));
        let dials = DialLayer::new(Arc::clone(&resolver));
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("runner/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .http1_only()
            .tcp_nodelay(true)
            .retry(reqwest::retry::never())
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .pool_idle_timeout(POOL_IDLE)
            .connect_timeout(endpoint.timeouts.connect)
            .connector_layer(dials.clone())
            .dns_resolver(Names(Arc::clone(&resolver)))
            .tls_danger_accept_invalid_certs(endpoint.insecure);
        let mut tls = base.scheme() == "https";
        if let Some(proxy) = &endpoint.proxy {
            let parsed = reqwest::Proxy::all(proxy)
                .map_err(|error| ClientError::Proxy(one_line(&deepest(&error))))?;
            tls |= proxy.starts_with("https:");
            builder = builder.proxy(parsed);
        }
        if let Some(path) = &endpoint.ca_file {
            let fail = |reason: String| ClientError::CaFile { path: path.clone(), reason };
            let pem = std::fs::read(path).map_err(|error| fail(error.to_string()))?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(|error| fail(deepest(&error)))?;
            if certificates.is_empty() {
                return Err(fail("it holds no certificate in PEM form".into()));
            }
            builder = builder.tls_certs_merge(certificates);
        }
        if !tls {
            // Without TLS no certificates are needed, and images without any must work.
            builder = builder.tls_certs_only([]);
        }
        let http = builder.build().map_err(|error| ClientError::Tls(one_line(&deepest(&error))))?;
        Ok(Self { http, dials, resolver })
    }

    /// Connections made so far.
    pub(super) fn connections(&self) -> u64 {
        self.dials.connections()
    }

    /// What became of the host's addresses, where it has several.
    pub(super) fn resolver(&self) -> &Resolver {
        &self.resolver
    }

    /// Sends it and waits for the response's headers.
    pub(super) async fn send(&self, post: &Post, dial: &Arc<Dial>) -> Result<Reply, Fault> {
        let method = match post.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Delete => reqwest::Method::DELETE,
        };
        let mut request = reqwest::Request::new(method, post.target.url.clone());
        *request.headers_mut() = post.headers();
        *request.body_mut() = Some(post.body.clone().into());
        match dial.watch(self.http.execute(request)).await {
            Ok(response) => {
                let info = response.extensions().get::<HttpInfo>();
                dial.addressed(info.and_then(|it| self.resolver.told(it.remote_addr().ip())));
                let local = info.map(HttpInfo::local_addr);
                Ok(Reply { used: dial.used(local), response })
            }
            Err(error) => Err(Fault::of(&error, |local| dial.used(local))),
        }
    }
}

/// A response of the HTTP crate.
#[derive(Debug)]
pub(in crate::client) struct Reply {
    response: reqwest::Response,
    used: Used,
}

impl Reply {
    pub(super) fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    pub(super) fn used(&self) -> Used {
        self.used
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Fault> {
        let used = self.used;
        self.response.chunk().await.map_err(|error| Fault::of(&error, |_| used))
    }
}

impl Fault {
    fn of(error: &reqwest::Error, used: impl Fn(Local) -> Used) -> Self {
        let mut facts = Facts::default();
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(inner) = cause {
            facts.note(inner);
            cause = inner.source();
        }
        let kind = if error.is_connect() || facts.saw(Sign::Connect) {
            if error.is_timeout() {
                FaultKind::ConnectTimeout
            } else {
                FaultKind::Connect(facts.connect_kind())
            }
        } else if facts.saw(Sign::Reset) {
            FaultKind::Reset
        } else if facts.saw(Sign::Closed) {
            FaultKind::Closed
        } else {
            FaultKind::Http
        };
        Self { kind, message: one_line(&facts.deepest), used: used(facts.local), heard: false }
    }
}

/// Why a connection could not be made, in the record's word.
pub(super) fn connect_kind(error: &std::io::Error) -> &'static str {
    let mut facts = Facts::default();
    facts.note_io(error);
    facts.connect_kind()
}

/// What a chain of causes says.
#[derive(Debug, Default)]
struct Facts {
    signs: Vec<Sign>,
    os: Option<i32>,
    local: Option<SocketAddr>,
    deepest: String,
}

/// One thing that a cause in the chain tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    Connect,
    Dns,
    Tls,
    Refused,
    Reset,
    Closed,
}

impl Facts {
    fn saw(&self, sign: Sign) -> bool {
        self.signs.contains(&sign)
    }

    fn note(&mut self, error: &(dyn std::error::Error + 'static)) {
        self.deepest = error.to_string();
        // The resolver's error type is private; its text is all there is.
        if self.deepest.starts_with("dns error") {
            self.signs.push(Sign::Dns);
        }
        if error.is::<rustls::Error>() {
            self.signs.push(Sign::Tls);
        }
        if let Some(legacy) = error.downcast_ref::<hyper_util::client::legacy::Error>() {
            if legacy.is_connect() {
                self.signs.push(Sign::Connect);
            }
            if let Some(connected) = legacy.connect_info() {
                let mut extras = http::Extensions::new();
                connected.get_extras(&mut extras);
                self.local = extras.get::<HttpInfo>().map(HttpInfo::local_addr);
            }
        }
        if let Some(hyper) = error.downcast_ref::<hyper::Error>()
            && (hyper.is_incomplete_message() || hyper.is_canceled())
        {
            self.signs.push(Sign::Closed);
        }
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            self.note_io(io);
        }
    }

    fn note_io(&mut self, io: &std::io::Error) {
        use std::io::ErrorKind as Kind;
        self.os = self.os.or(io.raw_os_error());
        let sign = match io.kind() {
            Kind::ConnectionRefused => Some(Sign::Refused),
            Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe => Some(Sign::Reset),
            Kind::UnexpectedEof => Some(Sign::Closed),
            _ => None,
        };
        self.signs.extend(sign);
        // An io::Error hides what it wraps from its chain of sources.
        if let Some(inner) = io.get_ref() {
            self.note(inner);
        }
    }

    fn connect_kind(&self) -> &'static str {
        // EMFILE and ENFILE, then EADDRNOTAVAIL, as Linux and the BSDs number them.
        match self.os {
            Some(23 | 24) => "fd_limit",
            Some(49 | 99) => "no_local_port",
            _ if self.saw(Sign::Dns) => "dns",
            _ if self.saw(Sign::Refused) => "refused",
            _ if self.saw(Sign::Tls) => "tls",
            _ if self.saw(Sign::Reset) || self.saw(Sign::Closed) => "reset",
            _ => "other",
        }
    }
}

/// The innermost cause, which says most.
fn deepest(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = inner.to_string();
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_errors_of_this_machine_are_told_from_the_servers() {
        for (code, kind) in [(24, "fd_limit"), (99, "no_local_port"), (113, "other")] {
            let mut facts = Facts::default();
            facts.note(&std::io::Error::from_raw_os_error(code));
            assert_eq!(facts.connect_kind(), kind);
        }
        let mut facts = Facts::default();
        let alert = rustls::Error::General("no".into());
        facts.note(&std::io::Error::new(std::io::ErrorKind::InvalidData, alert));
        assert_eq!(facts.connect_kind(), "tls");
    }
}

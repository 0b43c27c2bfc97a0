//! Where requests go: the checked form of `endpoint:`.
//!
//! In: a profile, its overlays and `--endpoint`, merged. Out: one [`Endpoint`]. Invariant: a URL
//! holds no credentials, and a [`Secret`] never prints.

use crate::plan::model::words::words;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::{Api, Location, SimulatorConfig};

/// Where requests go.
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    /// The profile's name, or the URL's host and port.
    pub name: String,
    /// A URL, or the embedded simulator.
    pub target: Target,
    /// The API spoken there.
    pub api: Api,
    /// The model to ask for; the first of `/models` when `None`.
    pub model: Option<String>,
    /// An answer by another model is a failure.
    pub must_be_same_model: bool,
    /// Whether the server's list must have the model.
    pub check_model: bool,
    /// How it is told who asks.
    pub api_key: ApiKey,
    /// Further headers of every request.
    pub headers: Vec<(String, Secret)>,
    /// Headers that are rendered for each generation.
    pub header_templates: Vec<HeaderTemplate>,
    /// Header that carries the id of a request's conversation.
    pub session_header: Option<String>,
    /// The five limits.
    pub timeouts: Timeouts,
    /// PEM file of an extra certificate authority.
    pub ca_file: Option<PathBuf>,
    /// Accept any certificate; said in every report.
    pub insecure: bool,
    /// Proxy URL; proxy variables of the environment are ignored.
    pub proxy: Option<String>,
    /// Which of the addresses of its host are connected to.
    pub addresses: Addresses,
    /// How tokens are counted on our side.
    pub tokenizer: TokenizerConfig,
    /// Where the server's own account is read.
    pub metrics: MetricsConfig,
    /// The plan's own call that empties the prefix cache.
    pub flush: Option<FlushCall>,
    /// Where it stands in the plan (or the command line's stand-in).
    pub location: Location,
}

impl Endpoint {
    /// Whether both mean the same service, asked in the same way, wherever they are written.
    pub fn is_same_as(&self, other: &Self) -> bool {
        Self { location: Location::default(), ..self.clone() }
            == Self { location: Location::default(), ..other.clone() }
    }
}

/// How an endpoint is told who asks.
#[derive(Debug, Clone, PartialEq)]
pub enum ApiKey {
    /// Nothing is said of it: what vLLM's own examples send where no key is asked for, `EMPTY`.
    Unset,
    /// Not at all.
    None,
    /// By this key.
    Key(Secret),
}

/// A header whose value is a template.
#[derive(Debug, Clone, PartialEq)]
pub struct HeaderTemplate {
    /// Its name.
    pub name: String,
    /// Its value, a minijinja template.
    pub value: String,
    /// Where the value stands in the plan.
    pub location: Location,
}

/// A URL, or the embedded simulator.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// Base URL including `/v1`.
    Url(url::Url),
    /// Started in process for this run.
    Simulator(Box<SimulatorConfig>),
}

/// Which of the addresses of a host are connected to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Addresses {
    /// All that its name stands for, in turn.
    #[default]
    All,
    /// The lowest of them, as long as it answers.
    First,
    /// These, in turn, whatever its name stands for.
    Listed(Vec<IpAddr>),
}

/// Where and how often the server's own account is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsConfig {
    /// The server's Prometheus page.
    pub page: MetricsPage,
    /// From one reading to the next while a stage runs.
    pub interval: Duration,
    /// The page of a DCGM exporter.
    pub gpu: Option<url::Url>,
    /// Further metrics of the page, by name.
    pub names: Vec<String>,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self {
            page: MetricsPage::Auto,
            interval: Duration::from_secs(1),
            gpu: None,
            names: Vec::new(),
        }
    }
}

/// The server's Prometheus page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetricsPage {
    /// Not read.
    Off,
    /// `/metrics` at the server's root, where the server is of a kind that has it.
    Auto,
    /// `/metrics` at the server's root.
    Usual,
    /// There.
    At(url::Url),
}

/// A call that empties a prefix cache.
#[derive(Debug, Clone, PartialEq)]
pub struct FlushCall {
    /// Its method.
    pub method: CallMethod,
    /// Path at the server's root, with its query and without a leading slash.
    pub path: String,
    /// JSON body.
    pub body: Option<serde_json::Value>,
}

words! {
    /// HTTP methods.
    #[derive(Default)]
    pub enum CallMethod {
        /// GET.
        Get = "GET",
        /// POST.
        #[default]
        Post = "POST",
        /// PUT.
        Put = "PUT",
        /// DELETE.
        Delete = "DELETE",
    }
}

/// How tokens are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenizerConfig {
    /// The server's `/tokenize` if it has one, else the estimate.
    Auto,
    /// A `tokenizer.json`.
    File(PathBuf),
    /// The server's `/tokenize`.
    Server,
    /// Four characters per token.
    Estimate,
}

/// The five limits of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP and TLS.
    pub connect: Duration,
    /// From sent to response headers.
    pub headers: Duration,
    /// From sent to the first token.
    pub first_token: Duration,
    /// Between two reads.
    pub idle: Duration,
    /// The whole exchange.
    pub total: Duration,
}

/// Text that must never be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"***\"")
    }
}

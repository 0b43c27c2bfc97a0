//! Preflight: starts embedded simulators, reaches every endpoint once, and keeps the connections.
//!
//! In: the plan's endpoints. Out: one [`Connection`] per distinct endpoint, or the first reason why
//! the run must not begin. Nothing but `GET`s is sent here.

use std::net::{Ipv4Addr, SocketAddr};

use tokio_util::sync::CancellationToken;
use url::Url;

use super::RunError;
use super::manifest::ManifestEndpoint;
use crate::client::Client;
use crate::client::account::{Account, NoAccount};
use crate::client::probe::{self, PreflightError, Server, ServerKind};
use crate::client::tokenize::tokenize;
use crate::plan::{Endpoint, Plan, Target, TokenizerConfig};
use crate::record::RunClock;
use crate::simulator::Simulator;
use crate::workload::filler::filler;
use crate::workload::store::Store;
use crate::workload::tokenizer::Tokenizer;

/// Tokens of the text that the server counts once, to learn how long its tokens are.
const SAMPLE_TOKENS: u64 = 512;

/// A reached endpoint.
pub(super) struct Connection {
    /// The way there.
    pub client: Client,
    /// What preflight learnt.
    pub server: Server,
    /// How its tokens are counted.
    pub tokenizer: Tokenizer,
    /// The server's own account, or why there is none.
    pub account: Result<Account, NoAccount>,
    endpoint: Endpoint,
    simulator: Option<Simulator>,
}

/// The reached endpoints of a plan, and which stage uses which.
pub(super) struct Connections {
    reached: Vec<Connection>,
    of_stage: Vec<usize>,
}

impl Connections {
    /// Reaches every endpoint that a stage uses; stages with equal endpoints share one.
    pub(super) async fn open(
        plan: &Plan,
        store: &Store,
        clock: RunClock,
        cancel: &CancellationToken,
    ) -> Result<Self, RunError> {
        let mut connections = Self { reached: Vec::new(), of_stage: Vec::new() };
        for stage in &plan.stages {
            let known =
                connections.reached.iter().position(|c| c.endpoint.is_same_as(&stage.endpoint));
            let position = if let Some(position) = known {
                position
            } else {
                let connection = Connection::open(&stage.endpoint, store, clock, cancel).await?;
                connections.reached.push(connection);
                connections.reached.len() - 1
            };
            connections.of_stage.push(position);
        }
        Ok(connections)
    }

    /// Which endpoint a stage uses, as a number to compare.
    pub(super) fn of(&self, stage: usize) -> usize {
        self.of_stage[stage]
    }

    /// The endpoint of a stage.
    pub(super) fn get(&self, stage: usize) -> &Connection {
        &self.reached[self.of_stage[stage]]
    }

    /// Whether any answer comes from a simulator, embedded or served elsewhere.
    pub(super) fn any_simulated(&self) -> bool {
        self.reached.iter().any(|connection| connection.server.kind == ServerKind::Simulator)
    }

    /// What preflight found worth knowing, one line each.
    pub(super) fn warnings(&self) -> Vec<String> {
        let of = |connection: &Connection| {
            let name = connection.endpoint.name.clone();
            let warnings = connection.server.warnings.clone();
            warnings.into_iter().map(move |warning| format!("endpoint `{name}`: {warning}"))
        };
        self.reached.iter().flat_map(of).collect()
    }

    /// Endpoints that give no account of themselves, one line each.
    pub(super) fn silent(&self) -> Vec<String> {
        let of = |connection: &Connection| match &connection.account {
            Ok(_) | Err(NoAccount::Off) => None,
            Err(why) => Some(format!(
                "endpoint `{}`: no account of the server itself: {why}; name its page with \
                 `metrics:`, or say `metrics: off`",
                connection.endpoint.name
            )),
        };
        self.reached.iter().filter_map(of).collect()
    }

    /// The endpoints for the manifest.
    pub(super) fn described(&self) -> Vec<ManifestEndpoint> {
        self.reached.iter().map(Connection::described).collect()
    }
}

impl Connection {
    async fn open(
        endpoint: &Endpoint,
        store: &Store,
        clock: RunClock,
        cancel: &CancellationToken,
    ) -> Result<Self, RunError> {
        let (url, simulator) = match &endpoint.target {
            Target::Url(url) => (url.clone(), None),
            Target::Simulator(config) => {
                let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
                let started = Simulator::start(config.as_ref().clone(), anywhere)
                    .map_err(|error| RunError::Simulator(error.to_string()))?;
                let url = Url::parse(&started.base_url())
                    .map_err(|error| RunError::Simulator(error.to_string()))?;
                (url, Some(started))
            }
        };
        let preflight = |error| RunError::Preflight { endpoint: endpoint.name.clone(), error };
        let client = Client::new(endpoint, &url, clock).map_err(|error| preflight(error.into()))?;
        let server =
            probe::probe(&client, endpoint.model.as_deref(), cancel).await.map_err(preflight)?;
        let tokenizer =
            tokenizer(&endpoint.tokenizer, store, &client, &server).await.map_err(preflight)?;
        let account = Account::find(endpoint, &url, clock).await;
        Ok(Self { client, server, tokenizer, account, endpoint: endpoint.clone(), simulator })
    }

    fn described(&self) -> ManifestEndpoint {
        ManifestEndpoint {
            name: self.endpoint.name.clone(),
            url: match self.simulator {
                Some(_) => "simulator".into(),
                None => self.client.base_url().to_string(),
            },
            model: Some(self.server.model.clone()),
            server: Some(self.server.kind.name().to_owned()),
            server_version: self.server.version.clone(),
            model_details: self.server.model_details.clone(),
            context_tokens: self.server.context_tokens,
            slots: self.server.slots,
            metrics: self.account.as_ref().ok().map(|account| account.page().to_owned()),
        }
    }
}

/// How the endpoint's tokens are counted, tried out.
async fn tokenizer(
    config: &TokenizerConfig,
    store: &Store,
    client: &Client,
    server: &Server,
) -> Result<Tokenizer, PreflightError> {
    match config {
        TokenizerConfig::File(path) => store.tokenizer(path).ok_or_else(|| PreflightError {
            what: format!("{} was not read", path.display()),
            help: "this is a bug of runner".to_owned(),
        }),
        TokenizerConfig::Estimate => Ok(Tokenizer::Estimate),
        TokenizerConfig::Auto if !server.has_tokenize => Ok(Tokenizer::Estimate),
        TokenizerConfig::Auto | TokenizerConfig::Server => {
            let sample = filler(0, 0, SAMPLE_TOKENS, &Tokenizer::Estimate);
            match (tokenize(client, server, &sample).await, config) {
                (Some(tokens), _) => Ok(Tokenizer::server_rate(&sample, tokens)),
                (None, TokenizerConfig::Server) => Err(PreflightError {
                    what: "the server has no working /tokenize, which `tokenizer: server` needs"
                        .to_owned(),
                    help: "use `tokenizer: auto`, or give the path of the model's tokenizer.json"
                        .to_owned(),
                }),
                (None, _) => Ok(Tokenizer::Estimate),
            }
        }
    }
}

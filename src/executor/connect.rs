//! Preflight: starts embedded simulators, reaches every endpoint once, and keeps the connections.
//!
//! In: the plan's endpoints. Out: one [`Connection`] per distinct endpoint, or the first reason why
//! the run must not begin. Nothing is asked for that would take a place in a prefix cache.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use serde_json::Value;
use tokio::runtime::Handle;
use url::Url;

use super::RunError;
use super::manifest::ManifestEndpoint;
use crate::client::Client;
use crate::client::account::{Account, NoAccount};
use crate::client::answering::Answering;
use crate::client::probe::{self, PreflightError, Server, ServerKind};
use crate::client::tokenize::{self, tokenize};
use crate::plan::{Endpoint, Plan, Redactor, Target, TokenizerConfig};
use crate::record::RunClock;
use crate::simulator::Simulator;
use crate::stage::Stop;
use crate::workload::filler::filler;
use crate::workload::store::Store;
use crate::workload::tokenizer::{Silence, Tokenizer};

/// Tokens of the text that the server counts once, to learn how long its tokens are.
const SAMPLE_TOKENS: u64 = 512;

/// What a reader of the numbers must know of an endpoint whose certificate nobody checks.
const INSECURE: &str = "any certificate was accepted (`insecure: true`): whoever stood in between may have \
                        answered, and has the key";

/// How much longer than its limits a question to the server may take on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(5);

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
        (stop, secrets): (&Stop, &Redactor),
    ) -> Result<Self, RunError> {
        let mut connections = Self { reached: Vec::new(), of_stage: Vec::new() };
        for stage in &plan.stages {
            let known =
                connections.reached.iter().position(|c| c.endpoint.is_same_as(&stage.endpoint));
            let position = if let Some(position) = known {
                position
            } else {
                let connection =
                    Connection::open(&stage.endpoint, store, clock, (stop, secrets)).await?;
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

    /// The streams of each endpoint, to be watched.
    pub(super) fn answering(&self) -> Vec<Arc<Answering>> {
        self.reached.iter().map(|connection| connection.client.answering()).collect()
    }

    /// Whether any answer comes from a simulator, embedded or served elsewhere.
    pub(super) fn any_simulated(&self) -> bool {
        self.reached.iter().any(|connection| connection.server.kind == ServerKind::Simulator)
    }

    /// Whether any endpoint may be whoever answers.
    pub(super) fn any_insecure(&self) -> bool {
        self.reached.iter().any(|connection| connection.endpoint.insecure)
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

    /// What of the servers' side doors failed while requests ran, one line each.
    pub(super) fn notes(&self) -> Vec<String> {
        let note = |connection: &Connection| match &connection.tokenizer {
            Tokenizer::Server(served) => served.failure().map(|why| {
                format!(
                    "endpoint `{}`: its /tokenize stopped answering ({why}); from then on lengths \
                     of prompts are estimates, and only its usage counts their tokens",
                    connection.endpoint.name
                )
            }),
            Tokenizer::File(_) | Tokenizer::Rate(_) | Tokenizer::Estimate => None,
        };
        let unreachable = |connection: &Connection| {
            let lines = connection.client.unreachable();
            let name = connection.endpoint.name.clone();
            lines.into_iter().map(move |line| format!("endpoint `{name}`: {line}"))
        };
        let busy = |connection: &Connection| {
            let stages = connection.client.began_busy();
            (!stages.is_empty()).then(|| {
                format!(
                    "endpoint `{}`: it still had other work, by its own account, when {} began, after \
                     a wait of half a minute: their times are of both",
                    connection.endpoint.name,
                    stages.join(", ")
                )
            })
        };
        let silent = self.reached.iter().filter_map(note);
        let silent = silent.chain(self.reached.iter().filter_map(busy));
        silent.chain(self.reached.iter().flat_map(unreachable)).collect()
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
        (stop, secrets): (&Stop, &Redactor),
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
        let mut client =
            Client::new(endpoint, &url, clock).map_err(|error| preflight(error.into()))?;
        client.hide(secrets);
        let mut server =
            probe::probe(&client, (endpoint.model.as_deref(), endpoint.check_model), &stop.drain)
                .await
                .map_err(preflight)?;
        let said = |text: &str| client.redactor().said(text);
        server.version = server.version.as_deref().map(said);
        server.warnings =
            server.warnings.iter().map(|it| client.redactor().redact(it).into_owned()).collect();
        for detail in server.model_details.values_mut() {
            if let Value::String(text) = detail {
                *text = said(text);
            }
        }
        if endpoint.insecure {
            server.warnings.push(INSECURE.to_owned());
        }
        let tokenizer = tokenizer(&endpoint.tokenizer, store, (&client, &server), stop)
            .await
            .map_err(preflight)?;
        let account = Account::find(endpoint, (&url, server.kind), clock).await;
        Ok(Self { client, server, tokenizer, account, endpoint: endpoint.clone(), simulator })
    }

    fn described(&self) -> ManifestEndpoint {
        ManifestEndpoint {
            name: self.endpoint.name.clone(),
            addresses: self.client.addresses(),
            url: match self.simulator {
                Some(_) => "simulator".into(),
                None => self.client.base_url().to_string(),
            },
            request_url: match self.simulator {
                Some(_) => None,
                None => Some(self.client.request_url(&self.server.model).to_string()),
            },
            model: Some(self.client.redactor().said(&self.server.model)),
            server: Some(self.server.kind.name().to_owned()),
            insecure: self.endpoint.insecure,
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
    (client, server): (&Client, &Server),
    stop: &Stop,
) -> Result<Tokenizer, PreflightError> {
    match config {
        TokenizerConfig::File(path) => store.tokenizer(path).ok_or_else(|| PreflightError {
            what: format!("{} was not read", path.display()),
            help: "this is a bug of runner".to_owned(),
        }),
        TokenizerConfig::Estimate => Ok(Tokenizer::Estimate),
        TokenizerConfig::Auto if !server.kind.has_doors() => Ok(Tokenizer::Estimate),
        TokenizerConfig::Auto | TokenizerConfig::Server => {
            let sample = filler(0, 0, SAMPLE_TOKENS, &Tokenizer::Estimate);
            match (tokenize(client, server, &sample).await, config) {
                (Ok(tokens), _) if tokens > 0 => {
                    Ok(Tokenizer::served(asker(client, server, stop), &sample, tokens))
                }
                (counted, TokenizerConfig::Server) => Err(PreflightError {
                    what: format!(
                        "`tokenizer: server` needs a working /tokenize of the server: {}",
                        counted.err().unwrap_or_else(|| "it counts no tokens in a text".into())
                    ),
                    help: "use `tokenizer: auto`, or give the path of the model's tokenizer.json"
                        .to_owned(),
                }),
                _ => Ok(Tokenizer::Estimate),
            }
        }
    }
}

/// Asks the server's tokenizer from a thread that may wait.
fn asker(
    client: &Client,
    server: &Server,
    stop: &Stop,
) -> impl Fn(&str) -> Result<u64, Silence> + Send + Sync + 'static {
    let (client, server, cut) = (client.clone(), server.clone(), stop.cut.clone());
    let runtime = Handle::current();
    move |text| {
        let (sender, answer) = mpsc::sync_channel(1);
        let (client, server, cut) = (client.clone(), server.clone(), cut.clone());
        let text = text.to_owned();
        runtime.spawn(async move {
            let counted = tokio::select! {
                biased;
                () = cut.cancelled() => Err(Silence::Interrupted),
                counted = tokenize(&client, &server, &text) => counted.map_err(Silence::Failed),
            };
            // The one who asked waits for longer than any answer takes.
            drop(sender.send(counted));
        });
        answer.recv_timeout(2 * tokenize::LIMIT + PATIENCE).unwrap_or(Err(Silence::Interrupted))
    }
}

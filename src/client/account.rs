//! The server's own account: its Prometheus page, read before, during and after each stage.
//!
//! In: an endpoint. Out: [`ServerLine`]s. Invariant: nothing of it touches what is measured: it has
//! a thread, a runtime and connections of its own, the readings before and after a stage happen
//! while nothing is in flight, and whatever goes wrong is a line that says so.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior};
use url::Url;

use super::credentials::strip_login;
use super::probe::ServerKind;
use super::{Client, ClientError};
use crate::metrics::server::{self, GPU, Reading, SERVER, Series};
use crate::plan::{Addresses, ApiKey, Endpoint, MetricsPage};
use crate::record::{Line, RecordSender, RunClock, ServerLine};

/// Longest reading. It may be the first request of a connection.
const LIMIT: Duration = Duration::from_secs(2);
/// After so many failures in a row nothing is asked any more: a page that hangs would make every
/// stage wait for it.
const PATIENCE: u32 = 3;

/// The account of one endpoint. Dropping it ends its thread.
#[derive(Debug)]
pub struct Account {
    commands: mpsc::Sender<Command>,
    page: String,
    block_tokens: Option<u64>,
}

/// Why there is no account.
#[derive(Debug, thiserror::Error)]
pub enum NoAccount {
    /// The plan says so.
    #[error("`metrics: off`")]
    Off,
    /// Servers of its kind are not known to have a page.
    #[error("it is not recognised as a server that has `/metrics`")]
    Unknown,
    /// The page can't be had, or says nothing we know.
    #[error("{0}")]
    Unreadable(String),
    /// The endpoint's settings can't be used.
    #[error("{0}")]
    Client(#[from] ClientError),
    /// No thread to be had.
    #[error("the system gives no thread: {0}")]
    Thread(#[from] std::io::Error),
}

#[derive(Debug)]
enum Command {
    /// Read now, and then at every interval into these records.
    Open(oneshot::Sender<Option<ServerLine>>, RecordSender),
    /// Read now, and then no more.
    Close(oneshot::Sender<Option<ServerLine>>),
    /// Read now.
    Look(oneshot::Sender<Option<ServerLine>>),
}

impl Account {
    /// The account of `endpoint`, a server of this `kind` at `base_url`, if its page can be read now.
    pub async fn find(
        endpoint: &Endpoint,
        (base_url, kind): (&Url, ServerKind),
        clock: RunClock,
    ) -> Result<Self, NoAccount> {
        let config = &endpoint.metrics;
        let page = match &config.page {
            MetricsPage::Off => return Err(NoAccount::Off),
            MetricsPage::Auto if !kind.has_doors() => return Err(NoAccount::Unknown),
            MetricsPage::Auto | MetricsPage::Usual => {
                Client::new(endpoint, base_url, clock)?.root_url("metrics")
            }
            MetricsPage::At(url) => url.clone(),
        };
        let at = |url: &Url| Page::new(endpoint, base_url, url, clock);
        let reader = Reader {
            endpoint: endpoint.name.clone(),
            page: at(&page)?,
            gpu: config.gpu.as_ref().map(at).transpose()?,
            watched: config.names.clone(),
            clock,
            failures: 0,
        };
        let (commands, queue) = mpsc::channel(4);
        let interval = config.interval;
        std::thread::Builder::new().name("server-account".into()).spawn(move || {
            // Without a runtime nothing is read, and whoever asks finds the queue closed.
            if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build()
            {
                runtime.block_on(reader.work(queue, interval));
            }
        })?;
        // Its user and password stay here.
        let shown = strip_login(&page)?.to_string();
        let account = Self { commands, page: shown.clone(), block_tokens: None };
        let first = account.look().await;
        match first {
            Some(ServerLine { error: Some(error), .. }) => Err(NoAccount::Unreadable(error)),
            Some(line) if line.counters.is_empty() && line.gauges.is_empty() => {
                Err(NoAccount::Unreadable(format!("{shown} has none of the metrics runner knows")))
            }
            Some(line) => Ok(Self { block_tokens: block_tokens(&line), ..account }),
            None => Err(NoAccount::Unreadable(format!("{shown} can't be read"))),
        }
    }

    /// The page's URL.
    pub fn page(&self) -> &str {
        &self.page
    }

    /// Tokens in a block of the server's prefix cache, where its page says so.
    pub fn block_tokens(&self) -> Option<u64> {
        self.block_tokens
    }

    /// A stage begins: reads now, and goes on reading into `records`. `None` once it has given up.
    pub async fn open(&self, records: &RecordSender) -> Option<ServerLine> {
        self.ask(|reply| Command::Open(reply, records.clone())).await
    }

    /// The stage is over: stops reading, and reads once more.
    pub async fn close(&self) -> Option<ServerLine> {
        self.ask(Command::Close).await
    }

    /// Reads now, and for the caller alone.
    pub async fn look(&self) -> Option<ServerLine> {
        self.ask(Command::Look).await
    }

    async fn ask(
        &self,
        command: impl FnOnce(oneshot::Sender<Option<ServerLine>>) -> Command,
    ) -> Option<ServerLine> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.ok()?;
        answer.await.ok().flatten()
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "at least 1, and small"
)]
fn block_tokens(line: &ServerLine) -> Option<u64> {
    line.gauges.get(server::BLOCK_TOKENS).map(|tokens| *tokens as u64)
}

/// A page and the way to it.
struct Page {
    url: Url,
    /// The same without user and password.
    shown: Url,
    client: Client,
}

impl Page {
    /// Credentials go where the plan sends them, and to no other server.
    fn new(
        endpoint: &Endpoint,
        base_url: &Url,
        url: &Url,
        clock: RunClock,
    ) -> Result<Self, ClientError> {
        // Counters of two servers in turn would be read as those of one that begins anew.
        let addresses = match &endpoint.addresses {
            Addresses::Listed(listed) => {
                Addresses::Listed(listed.iter().min().copied().into_iter().collect())
            }
            Addresses::All | Addresses::First => Addresses::First,
        };
        let endpoint = Endpoint { addresses, ..endpoint.clone() };
        let client = if url.origin() == base_url.origin() {
            Client::new(&endpoint, base_url, clock)?
        } else {
            let (api_key, addresses) = (ApiKey::None, Addresses::First);
            let bare = Endpoint { api_key, headers: Vec::new(), addresses, ..endpoint };
            Client::new(&bare, url, clock)?
        };
        Ok(Self { url: url.clone(), shown: strip_login(url)?, client })
    }

    async fn read(&self, table: &[Series], watched: &[String]) -> Result<Reading, String> {
        let answer = self.client.get(self.url.clone(), LIMIT).await;
        let answer = answer.map_err(|error| format!("{}: {error}", self.shown))?;
        if !answer.ok() {
            // What a page of errors says is of no use: it is the door that is missing.
            return Err(format!("{}: HTTP {}", self.shown, answer.status));
        }
        Ok(server::read(&String::from_utf8_lossy(&answer.body), table, watched))
    }
}

/// What the thread works with.
struct Reader {
    endpoint: String,
    page: Page,
    gpu: Option<Page>,
    watched: Vec<String>,
    clock: RunClock,
    failures: u32,
}

impl Reader {
    async fn work(mut self, mut queue: mpsc::Receiver<Command>, interval: Duration) {
        let mut records: Option<RecordSender> = None;
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                command = queue.recv() => match command {
                    None => return,
                    Some(Command::Open(reply, into)) => {
                        // Nobody waits any more when the run was cut meanwhile.
                        let _gone = reply.send(self.read().await);
                        records = Some(into);
                        ticks.reset_at(Instant::now() + interval);
                    }
                    Some(Command::Close(reply)) => {
                        records = None;
                        let _gone = reply.send(self.read().await);
                    }
                    Some(Command::Look(reply)) => {
                        let _gone = reply.send(self.read().await);
                    }
                },
                _ = ticks.tick(), if records.is_some() => {
                    if let (Some(line), Some(records)) = (self.read().await, &records) {
                        records.send(Line::Server(line)).await;
                    }
                }
            }
        }
    }

    /// One reading; `None` when there were too many failures.
    async fn read(&mut self) -> Option<ServerLine> {
        if self.failures >= PATIENCE {
            return None;
        }
        let at_ns = self.clock.now_ns();
        let mut read = self.page.read(SERVER, &self.watched).await;
        if let (Ok(page), Some(gpu)) = (&mut read, &self.gpu) {
            // Without the GPUs the rest is worth having all the same.
            if let Ok(more) = gpu.read(GPU, &[]).await {
                page.counters.extend(more.counters);
                page.gauges.extend(more.gauges);
                page.left_out.extend(more.left_out);
            }
        }
        self.failures = if read.is_err() { self.failures + 1 } else { 0 };
        let (Reading { counters, gauges, left_out }, error) = match read {
            Ok(page) => (page, None),
            Err(error) => (Reading::default(), Some(error)),
        };
        let endpoint = self.endpoint.clone();
        Some(ServerLine { endpoint, at_ns, counters, gauges, left_out, error })
    }
}

//! `flush`: empties the server's prefix cache and proves it with two canaries.
//!
//! A canary is a prompt of our own. The first is sent twice, so that a working cache holds it, and
//! then pushed out of the server's slots: llama.cpp moves such a prompt to a cache in host RAM that
//! survives an erase of every slot. The second is the most recently used prompt when the flush
//! begins, so where eviction goes by age a cold second canary means that everything older is gone.
//! Only when both are cold afterwards is the flush proven. In: the means allowed. Out: one `flush`
//! line: proven, unproven or failed, with everything that was tried.

use std::time::Duration;

use self::sight::{Sight, conclusion, judge};
use super::flush_cost::{self, CANARY_TOKENS, room};
use super::{StageContext, StageOutcome, unless_cut};
use crate::client::account::Account;
use crate::client::dialect::Refused;
use crate::client::flush as control;
use crate::metrics::answers::impossible_counts;
use crate::metrics::server::ServerTally;
use crate::metrics::{cache_verdict, contamination};
use crate::plan::{Flush, FlushMethod};
use crate::record::{
    CacheState, Exchange, FlushAttempt, FlushLine, FlushState, Line, Outcome, ServerLine,
};
use crate::request::{LimitName, Message, Request};
use crate::workload::filler::filler;
use crate::workload::prompt::nonce;

mod sight;

/// The most prompts sent to push a canary out of a server's slots.
const MAX_SLOTS: u64 = 64;

/// How long a server may take to finish what it still does for earlier requests.
const IDLE_LIMIT: Duration = Duration::from_secs(30);

/// How often and how long to wait for counters that lag behind the answer they count.
const LAGS: u32 = 4;
const LAG: Duration = Duration::from_millis(50);

/// A wait for a busy server is said once it is longer than that.
const SILENT_WAIT: Duration = Duration::from_secs(2);

/// Waits until the server is idle, where it can tell. That it takes long is said, and that it still was
/// busy then goes into the run's notes.
pub(super) async fn wait_until_idle(context: &StageContext<'_>) {
    let stage = context.stage.key();
    let say = async {
        tokio::time::sleep(SILENT_WAIT).await;
        tracing::warn!(
            "stage {stage}: its endpoint says that it still has other work; waiting for it, {} s at most",
            IDLE_LIMIT.as_secs()
        );
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = context.stop.drain.cancelled() => {}
        () = say => {}
        idle = control::wait_until_idle(context.client, context.server, context.account, IDLE_LIMIT) => {
            if idle == control::Idle::Busy {
                context.client.begins_busy(&stage);
            }
        }
    }
}

/// Runs the stage.
pub(super) async fn run(context: &StageContext<'_>, flush: &Flush) -> StageOutcome {
    let prover = Prover { context, flush };
    match prover.prove().await {
        Ok(line) => {
            context.records.send(Line::Flush(line)).await;
            if context.stop.drain.is_cancelled() {
                StageOutcome::interrupted()
            } else {
                StageOutcome::completed()
            }
        }
        Err(_) if context.stop.drain.is_cancelled() => StageOutcome::interrupted(),
        Err(reason) => StageOutcome::failed(reason),
    }
}

struct Prover<'a> {
    context: &'a StageContext<'a>,
    flush: &'a Flush,
}

impl Prover<'_> {
    /// Warms the canaries, flushes, looks again; then by the next means while they stay warm.
    async fn prove(&self) -> Result<FlushLine, String> {
        wait_until_idle(self.context).await;
        let displaced = 0;
        let cold = self.look(displaced).await?;
        let warm = self.look(displaced).await?;
        let resident = self.context.server.slots.unwrap_or(1).clamp(1, MAX_SLOTS);
        for canary in 1..=resident {
            self.look(canary).await?;
        }

        let mut attempts: Vec<FlushAttempt> = Vec::new();
        let mut seen: Option<Sight> = None;
        let mut state = FlushState::Failed;
        'means: for &means in self.means() {
            for round in 0..=u64::from(self.flush.retries) {
                if self.context.stop.drain.is_cancelled() {
                    break 'means;
                }
                let mut tried = match means {
                    Means::Http => self.by_http().await,
                    Means::Traffic => vec![self.by_traffic(round).await],
                };
                let Some(last) = tried.last_mut() else { break };
                let was_accepted = last.accepted;
                if was_accepted {
                    wait_until_idle(self.context).await;
                    let first = self.look(displaced).await?;
                    let after = first.or_warmer(self.look(resident).await?);
                    state = judge(warm.state, after.state);
                    last.after = after.state;
                    last.cached_tokens = after.cached_tokens;
                    last.ttft_ms = after.ttft_ms;
                    seen = Some(after);
                }
                let is_partly_gone = last.after == CacheState::Mixed;
                attempts.append(&mut tried);
                if was_accepted && state != FlushState::Failed {
                    break 'means;
                }
                // More of the same is of use only where the first round had an effect.
                if !is_partly_gone {
                    break;
                }
            }
        }
        let summary = conclusion(state, [&cold, &warm], seen.as_ref(), &attempts);
        Ok(FlushLine {
            stage: self.context.stage.id.clone(),
            cell: self.context.stage.cell_id().map(str::to_owned),
            state,
            before: warm.state,
            prompt_tokens: warm.prompt_tokens,
            cached_tokens: warm.cached_tokens,
            ttft_cold_ms: cold.ttft_ms,
            ttft_warm_ms: warm.ttft_ms,
            attempts,
            summary,
            at_ns: self.context.clock.now_ns(),
        })
    }

    fn means(&self) -> &'static [Means] {
        match self.flush.with {
            FlushMethod::Http => &[Means::Http],
            FlushMethod::Traffic => &[Means::Traffic],
            FlushMethod::Auto => &[Means::Http, Means::Traffic],
        }
    }

    /// Sends a canary and reads its cache state.
    async fn look(&self, canary: u64) -> Result<Sight, String> {
        let room = room(self.context.server.context_tokens).unwrap_or(CANARY_TOKENS);
        let document = self.document(canary, CANARY_TOKENS.min(room));
        let before = self.read_account().await;
        let exchange = self.ask("canary", canary, &document).await.map_err(|it| it.to_string())?;
        if exchange.outcome != Outcome::Ok {
            let why = exchange.error_message.or(exchange.outcome.class());
            return Err(format!(
                "the flush could not be verified: its canary prompt failed: {}",
                why.unwrap_or_else(|| "cut short".into())
            ));
        }
        let cached_tokens =
            exchange.cached_tokens.or(exchange.timings.and_then(|timings| timings.cache_n));
        let block = self.context.account.and_then(Account::block_tokens);
        let mut state = cache_verdict::of_exchange(&exchange, block);
        let mut counted = (cached_tokens, exchange.input_tokens);
        // A canary is alone on the server, so what its counters grew by is the canary's doing.
        if state == CacheState::Unknown
            && let Some((hits, queries)) = self.grown_since(before).await
        {
            state = cache_verdict::verdict(Some(hits), Some(queries), None);
            counted = (Some(hits), Some(queries));
        }
        let impossible = exchange.impossible.iter().map(|(name, count)| (&**name, *count));
        let ttft_ns = exchange.first_token_ns.map(|at| at.saturating_sub(exchange.sent_ns));
        Ok(Sight {
            state,
            prompt_tokens: counted.1,
            cached_tokens: counted.0,
            ttft_ms: ttft_ns.map(|ns| ns as f64 / 1e6),
            impossible: impossible_counts(impossible),
        })
    }

    /// The server's counters now.
    async fn read_account(&self) -> Option<ServerLine> {
        unless_cut(self.context, self.context.account?.look()).await.flatten()
    }

    /// Prompt tokens found in the cache and looked up there since `before`, by the server's own
    /// counters; they may lag a moment behind the answer.
    async fn grown_since(&self, before: Option<ServerLine>) -> Option<(u64, u64)> {
        let before = before?;
        for _ in 0..LAGS {
            let mut tally = ServerTally::default();
            tally.take(&before);
            tally.take(&self.read_account().await?);
            if let Some(grown) = contamination::by_counters(&tally) {
                return Some(grown);
            }
            tokio::time::sleep(LAG).await;
        }
        None
    }

    /// The server's own endpoint; for an unknown server one attempt per spelling.
    async fn by_http(&self) -> Vec<FlushAttempt> {
        let call = self.context.stage.endpoint.flush.as_ref();
        let reset = control::reset(self.context.client, self.context.server, call);
        let replies = unless_cut(self.context, reset).await.unwrap_or_default();
        replies
            .into_iter()
            .map(|reply| attempt(reply.method, reply.accepted, reply.detail))
            .collect()
    }

    /// Foreign prompts, none like another.
    async fn by_traffic(&self, round: u64) -> FlushAttempt {
        let (requests, size) = flush_cost::traffic(self.flush, self.context.server.context_tokens);
        let mut sent_tokens = 0;
        let mut failed = 0;
        let mut last_error = None;
        for number in 0..requests {
            if self.context.stop.drain.is_cancelled() {
                break;
            }
            let index = round * requests + number + 1;
            let document = self.document(index, size);
            match self.ask("traffic", index, &document).await {
                Ok(exchange) if exchange.outcome == Outcome::Ok => {
                    sent_tokens += exchange.input_tokens.unwrap_or(size);
                }
                Ok(exchange) => {
                    failed += 1;
                    last_error = exchange.error_message.or(exchange.outcome.class());
                }
                Err(refused) => {
                    failed += 1;
                    last_error = Some(refused.to_string());
                }
            }
        }
        let mut detail = format!("{sent_tokens} foreign tokens sent");
        if let Some(error) = last_error {
            detail = format!("{detail}; {failed} of {requests} requests failed: {error}");
        }
        attempt(format!("traffic {requests} × {size} tokens"), failed < requests, detail)
    }

    /// A text of ours; the server may be asked how long it is.
    fn document(&self, index: u64, tokens: u64) -> String {
        let StageContext { seed, tokenizer, .. } = *self.context;
        tokio::task::block_in_place(|| filler(seed, index, tokens, tokenizer))
    }

    /// A one-token completion over `document`, opened by a nonce of its own.
    async fn ask(&self, purpose: &str, index: u64, document: &str) -> Result<Exchange, Refused> {
        let key = format!("{}/{purpose}", self.context.stage.key());
        let opening = nonce(self.context.run_nonce, &key, index);
        let manner = &self.flush.manner;
        let request = Request {
            index,
            messages: vec![Message::text("user", format!("{opening}\n{document}"))],
            max_tokens: Some(1),
            limit_name: match (&manner.max_tokens_field, manner.row_max_tokens_field) {
                (Some(name), _) => LimitName::Plan(name.clone()),
                (None, Some(name)) => LimitName::Row(name),
                (None, None) => LimitName::Api,
            },
            stream: true,
            without: manner.without.clone(),
            headers: manner.headers.clone(),
            ..Request::default()
        };
        let id = format!("{}-{key}-{index}", self.context.run_nonce);
        let prepared = self.context.client.prepare(&request, &self.context.server.model, &id)?;
        Ok(self.context.client.send(&prepared, &self.context.stop.cut).await)
    }
}

/// An attempt whose effect has not been looked at.
fn attempt(method: String, accepted: bool, detail: String) -> FlushAttempt {
    FlushAttempt {
        method,
        accepted,
        detail,
        after: CacheState::Unknown,
        cached_tokens: None,
        ttft_ms: None,
    }
}

/// One way to flush.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Means {
    Http,
    Traffic,
}

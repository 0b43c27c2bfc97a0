//! The walk over the graph: which stage runs when, and what a failure skips.
//!
//! Stages run one at a time in file order as their needs are met; stages marked `parallel` overlap
//! when they use different endpoints, since load on one would falsify the numbers of another. The
//! cells of a matrix never overlap, and what fails in one leaves the others alone. An interleaved
//! matrix keeps its cells in step, and those of a `cold` or `warm` stage take turns.

use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesUnordered;

use super::connect::Connections;
use super::guard::{FailedChecks, Guard};
use crate::graph::Graph;
use crate::plan::{Action, Plan, Stage};
use crate::record::{RecordSender, RunClock, StageState};
use crate::stage::interleave::{Turn, Turns};
use crate::stage::{self, Earlier, StageContext, Stop};
use crate::workload::store::Store;

/// Everything the walk hands on to stages.
pub(super) struct Walk<'a> {
    pub plan: &'a Plan,
    pub graph: &'a Graph,
    pub connections: &'a Connections,
    pub store: &'a Store,
    pub run_nonce: &'a str,
    pub records: &'a RecordSender,
    pub clock: RunClock,
    pub stop: &'a Stop,
    /// How each stage is stopped by itself.
    pub guards: &'a [Guard],
    /// Skip what is left when a stage does not complete or fails a check.
    pub fail_fast: bool,
    /// The checks that have failed.
    pub failed: &'a FailedChecks,
    /// The run that this one goes on with, if it does.
    pub earlier: Option<&'a Arc<Earlier>>,
}

impl Walk<'_> {
    /// Runs every stage that can run; the others get lines that say why not.
    pub(super) async fn run(&self) {
        let stages = &self.plan.stages;
        let mut is_settled = vec![false; stages.len()];
        let mut is_running = vec![false; stages.len()];
        let mut running = FuturesUnordered::new();
        loop {
            let mut begin = Vec::new();
            for node in self.graph.ready(&is_settled, &is_running) {
                if self.may_join(node, &is_running)
                    && self.in_step(node, &is_settled)
                    && !self.stop.drain.is_cancelled()
                {
                    is_running[node] = true;
                    begin.push(node);
                }
            }
            let takes_turns = |node: &&usize| self.take_turns(begin[0], **node);
            let turns = Turns::new(begin.iter().filter(takes_turns).count());
            for (arm, node) in begin.iter().copied().enumerate() {
                let turn = turns.as_ref().map(|turns| turns.turn(arm));
                running.push(async move { (node, self.stage(node, turn.as_ref()).await) });
            }
            let Some((node, outcome)) = running.next().await else { break };
            is_running[node] = false;
            is_settled[node] = true;
            if self.fail_fast
                && let Some(why) = self.failure(node, outcome.state).await
            {
                self.skip_the_rest(&why, &mut is_settled, &is_running).await;
            }
            if outcome.state != StageState::Completed {
                for skipped in self.graph.skipped_by(node) {
                    if !is_settled[skipped] && !stages[skipped].always {
                        is_settled[skipped] = true;
                        let reason = format!("`{}` did not complete", stages[node].id);
                        self.skip(skipped, &reason, StageState::Skipped).await;
                    }
                }
            }
        }
        for node in (0..stages.len()).filter(|&node| !is_settled[node]) {
            self.skip(node, "interrupted by a signal before it began", StageState::Interrupted)
                .await;
        }
    }

    /// Why `--fail-fast` ends the run with this stage, if it does.
    async fn failure(&self, node: usize, state: StageState) -> Option<String> {
        match state {
            StageState::Completed => {
                // Its checks are judged on the recorder's thread, from its last line on.
                self.records.caught_up().await;
                let check = self.failed.of(&self.plan.stages[node])?;
                Some(format!("`{}` failed the check `{check}`", self.name(node)))
            }
            StageState::Failed => Some(format!("`{}` failed", self.name(node))),
            _ => None,
        }
    }

    /// Settles everything that neither ran nor runs.
    async fn skip_the_rest(&self, why: &str, is_settled: &mut [bool], is_running: &[bool]) {
        let reason = format!("{why}, and --fail-fast was asked for");
        for node in 0..is_settled.len() {
            if !is_settled[node] && !is_running[node] {
                is_settled[node] = true;
                self.skip(node, &reason, StageState::Skipped).await;
            }
        }
    }

    /// A stage's id with its cell.
    fn name(&self, node: usize) -> String {
        let stage = &self.plan.stages[node];
        stage.cell_id().map_or_else(|| stage.id.clone(), |cell| format!("{}[{cell}]", stage.id))
    }

    /// Whether two stages are cells of one that send their requests in turns.
    fn take_turns(&self, left: usize, right: usize) -> bool {
        let (left, right) = (&self.plan.stages[left], &self.plan.stages[right]);
        let asks = |stage: &Stage| matches!(stage.action, Action::Cold(_) | Action::Warm(_));
        self.plan.interleave && left.id == right.id && asks(left) && asks(right)
    }

    /// Whether all that stands before a stage is done in every cell, where cells keep step.
    fn in_step(&self, node: usize, is_settled: &[bool]) -> bool {
        if !self.plan.interleave {
            return true;
        }
        let place = |node: usize| {
            let cell = self.plan.stages[node].cell_id();
            self.plan.stages[..node].iter().filter(|stage| stage.cell_id() == cell).count()
        };
        let own = place(node);
        (0..is_settled.len()).all(|other| is_settled[other] || place(other) >= own)
    }

    /// Whether a ready stage may start beside those that run.
    fn may_join(&self, node: usize, is_running: &[bool]) -> bool {
        let stages = &self.plan.stages;
        (0..stages.len()).filter(|&other| is_running[other]).all(|other| {
            if self.take_turns(node, other) {
                return true;
            }
            stages[node].parallel
                && stages[other].parallel
                && stages[node].cell_id() == stages[other].cell_id()
                && self.connections.of(node) != self.connections.of(other)
        })
    }

    async fn stage(&self, node: usize, turn: Option<&Turn>) -> stage::StageOutcome {
        let connection = self.connections.get(node);
        let params = self.plan.template_params(&self.plan.stages[node]);
        tracing::info!("stage {} begins", self.name(node));
        let outcome = stage::run(StageContext {
            stage: &self.plan.stages[node],
            seed: self.plan.seed,
            run_nonce: self.run_nonce,
            params: &params,
            client: &connection.client,
            server: &connection.server,
            tokenizer: &connection.tokenizer,
            store: self.store,
            account: connection.account.as_ref().ok(),
            records: self.records,
            clock: self.clock,
            stop: &self.guards[node].stop,
            early: &self.guards[node].early,
            rungs: &self.guards[node].rungs,
            turn,
            earlier: self.earlier,
        })
        .await;
        let reason = outcome.reason.as_deref().unwrap_or_default();
        tracing::info!("stage {} is over: {:?} {reason}", self.name(node), outcome.state);
        outcome
    }

    /// Leaves the lines of a stage that will not run: all it planned never started.
    async fn skip(&self, node: usize, reason: &str, state: StageState) {
        let connection = self.connections.get(node);
        stage::skip(
            StageContext {
                stage: &self.plan.stages[node],
                seed: self.plan.seed,
                run_nonce: self.run_nonce,
                params: &serde_json::Value::Null,
                client: &connection.client,
                server: &connection.server,
                tokenizer: &connection.tokenizer,
                store: self.store,
                account: None,
                records: self.records,
                clock: self.clock,
                stop: &self.guards[node].stop,
                early: &self.guards[node].early,
                rungs: &self.guards[node].rungs,
                turn: None,
                earlier: None,
            },
            state,
            reason,
        )
        .await;
    }
}

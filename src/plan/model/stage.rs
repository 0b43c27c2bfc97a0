//! A stage: one node of the graph.
//!
//! In: what lowering made of an item of `stages:`. Out: what is done, where, after what, and how it
//! is judged. Invariant: ids are unique within a cell, and whatever a stage names exists.

use std::sync::Arc;

use super::{Action, Cell, Endpoint, LiveCheck, Location, Threshold};

/// One node of the graph.
#[derive(Debug, Clone)]
pub struct Stage {
    /// Id, unique within its cell.
    pub id: String,
    /// The cell of the matrix that it belongs to; `needs`, `like` and thresholds stay within it.
    pub cell: Option<Arc<Cell>>,
    /// Stages that must have completed before, by id; the previous stage unless said otherwise.
    pub needs: Vec<Need>,
    /// Run even when a needed stage failed.
    pub always: bool,
    /// May overlap with other stages on other endpoints.
    pub parallel: bool,
    /// False leaves its requests out of the summary.
    pub record: bool,
    /// Labels for selection.
    pub tags: Vec<String>,
    /// Where its requests go.
    pub endpoint: Endpoint,
    /// What the stage does.
    pub action: Action,
    /// What is judged at its end.
    pub thresholds: Vec<Threshold>,
    /// What ends it early while it runs (`abort:`, `stop_when:`).
    pub live: Vec<LiveCheck>,
    /// Where its `id` (or its first key) stands in the plan.
    pub location: Location,
}

impl Stage {
    /// The id of its cell.
    pub fn cell_id(&self) -> Option<&str> {
        self.cell.as_ref().map(|cell| cell.id.as_str())
    }

    /// A plain word for the stage that no other stage of the plan has, for ids of requests.
    pub fn key(&self) -> String {
        match &self.cell {
            Some(cell) => format!("{}.c{}", self.id, cell.number),
            None => self.id.clone(),
        }
    }
}

/// One entry of `needs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// The needed stage's id.
    pub id: String,
    /// Where it is written; the stage's own location when implied by order.
    pub location: Location,
}

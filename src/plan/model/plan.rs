//! The plan as a whole: its name, params, cells, stages and outputs.
//!
//! In: what lowering made of the written plan. Out: plain values. Invariant: every param is
//! resolved, every default filled in, every name known to exist; nothing is left to parse.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{SinkConfig, Stage};
use crate::plan::model::words::words;

/// A checked plan: every param resolved, every default filled in, every name known to exist.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Its `name`, or the file's stem.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// The file it was read from (`-` for none).
    pub path: PathBuf,
    /// The folder that relative paths start from and that files may not leave.
    pub root: PathBuf,
    /// SHA-256 of the plan's text, in hex; of all its files' when it is made of several.
    pub hash: String,
    /// Seed of every random choice.
    pub seed: u64,
    /// What makes this run's prompts unlike those of earlier runs.
    pub nonce: Nonce,
    /// Every declared param with its value and where it came from.
    pub params: Vec<Param>,
    /// The stages in file order, cell after cell.
    pub stages: Vec<Stage>,
    /// The cells of the matrix that run, in order; none without a matrix.
    pub cells: Vec<Arc<Cell>>,
    /// Whether the cells run stage by stage, and take turns where that can be.
    pub interleave: bool,
    /// Extra outputs beside the run directory's own files.
    pub sinks: Vec<SinkConfig>,
    /// Folder under which `<plan>/<run-id>/` is made.
    pub results: PathBuf,
    /// How long after an interrupt the results are there.
    pub grace: Duration,
    /// What the records of a run survive.
    pub durability: Durability,
    /// Whether the embedded simulator may take the place of an endpoint that nobody named.
    pub simulator: SimulatorUse,
    /// Free labels, copied into the manifest.
    pub tags: BTreeMap<String, String>,
    /// The plan as one document, for the manifest: files joined, defaults and references filled in,
    /// secrets redacted. With a matrix its references stay, since each cell fills them in its own
    /// way. What the command line selects or replaces is not in it.
    pub resolved: serde_json::Value,
}

words! {
    /// Whether the embedded simulator may take the place of an endpoint that nobody named.
    #[derive(Default)]
    pub enum SimulatorUse {
        /// Not in CI (`CI=true`), where a run that measured nothing real would look like a passed gate.
        #[default]
        Asked = "asked",
        /// Anywhere.
        Allowed = "allowed",
    }
}

words! {
    /// What the records of a run survive. Whatever it is, they are written at the end of each stage.
    #[derive(Default)]
    pub enum Durability {
        /// The death of the process, but for those of requests under way and at most 64 KiB, as a rule not
        /// older than 250 ms.
        Process = "process",
        /// That, and the death of the machine but for the last second: they are synced on a thread of
        /// its own.
        #[default]
        Machine = "machine",
        /// Neither: they are written once a second, or when there is a MiB.
        None = "none",
    }
}

impl Plan {
    /// The params as a stage's templates see them, those of its cell over the plan's. Secrets stay
    /// out: a prompt is no place for them.
    pub fn template_params(&self, stage: &Stage) -> serde_json::Value {
        let own = stage.cell.iter().flat_map(|cell| &cell.params);
        let visible = self.params.iter().chain(own).filter(|param| !param.secret);
        visible.map(|param| (param.name.clone(), param.value.clone())).collect()
    }

    /// Requests that will be measured, about so many where times are drawn at random; none are
    /// counted of stages whose number is up to the server.
    pub fn planned(&self) -> u64 {
        let each = self.stages.iter().map(|stage| stage.action.planned());
        each.fold(0, u64::saturating_add)
    }
}

/// How the nonce that opens every cold prompt is chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Nonce {
    /// New in each run (from the seed alone on the embedded simulator, which starts empty).
    Run,
    /// As given: prompts repeat exactly from run to run.
    Fixed(String),
}

/// A declared param, resolved.
#[derive(Debug, Clone, Serialize)]
pub struct Param {
    /// Its name.
    pub name: String,
    /// `string`, `int`, `duration`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Its value as written (redacted when `secret`).
    pub value: serde_json::Value,
    /// Where the value came from, such as `--param`, `env BENCH_URL` or `default`.
    pub source: String,
    /// What it is for.
    pub description: Option<String>,
    /// Whether its value is hidden.
    pub secret: bool,
}

/// One cell of a plan's matrix: a copy of every stage under values of its own.
#[derive(Debug, Clone)]
pub struct Cell {
    /// Its axes and values: `model=a,docs=8`.
    pub id: String,
    /// Its place in the whole matrix, from 1, whichever cells run.
    pub number: usize,
    /// The axes as params.
    pub params: Vec<Param>,
}

/// A place in a plan file, 1-based; `file` is as the person wrote it.
#[derive(
    Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct Location {
    /// The file.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// First byte within the file.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

//! `runner`: a declarative scenario runner for LLM inference endpoints.
//!
//! A plan file (YAML or TOML) becomes a graph of stages; the executor walks the graph, drives an
//! endpoint, and leaves evidence: one record for every planned request, and from the records
//! numbers, verdicts and an exit code. The folders stand in the order in which data flows:
//!
//! | floor | module | what it turns into what |
//! |---|---|---|
//! | 0 | [`plan`] | text → checked [`plan::Plan`], or diagnostics with line and column |
//! | 1 | [`request`], [`record`], [`machine`], [`output`] | what is asked; what came back; what this process takes; what it says |
//! | 2 | [`graph`], [`metrics`] | plan → graph of stages; records → numbers and verdicts |
//! | 3 | [`workload`], [`schedule`], [`client`], [`report`] | what to send, when, and how; numbers → something to read |
//! | 4 | [`stage`], [`sink`] | one file per stage kind; one file per output format |
//! | 5 | [`executor`] | walks the graph, records, shows progress |
//! | 6 | [`cli`], [`commands`] | arguments → one short function per subcommand |
//!
//! [`simulator`] is the embedded endpoint; it sees floor 1 at most. A file imports lower floors
//! only (`tests/it/tidy.rs` reads the `use crate::` lines). ARCHITECTURE.md says where to add what.

pub mod cli;
pub mod client;
pub mod commands;
pub mod executor;
pub mod graph;
pub mod machine;
pub mod metrics;
pub mod output;
pub mod plan;
pub mod record;
pub mod report;
pub mod request;
pub mod schedule;
pub mod simulator;
pub mod sink;
pub mod stage;
pub mod workload;

//! What stages of load do, against a simulator outside of the process, whose truth log says what really
//! arrived and when.
//!
//! Noisy cores run these tests: what must be exact is counted, and what depends on time may try again.

mod away;
mod course;
mod honesty;
mod rates;
mod resume;
mod schedules;
mod shared;

use std::net::SocketAddr;
use std::process::Output;
use std::time::Duration;

use runner::plan::SimulatorConfig;
use runner::simulator::Simulator;
use serde_json::Value;

use crate::sandbox::{Sandbox, stderr, text};

/// A simulator that takes `(max_tokens - 1) / decode_rate` and a millisecond per request, `seqs` at a
/// time.
fn simulator(seqs: u64, decode_rate: f64) -> Simulator {
    let config = SimulatorConfig {
        max_num_seqs: seqs,
        decode_rate,
        prefill_rate: 1e9,
        batch_cost: 0.0,
        jitter: 0.0,
        overhead: Duration::from_millis(1),
        ..SimulatorConfig::default()
    };
    Simulator::start(config, SocketAddr::from(([127, 0, 0, 1], 0))).expect("it starts")
}

/// A plan that asks the server for `tokens` per request in these stages.
fn plan(server: &Simulator, tokens: u64, stages: &[&str]) -> Sandbox {
    let url = server.base_url();
    let stages: Vec<String> = stages.iter().map(|it| format!("  - {{ {it} }}\n")).collect();
    let stages = stages.concat();
    let sandbox = Sandbox::new();
    sandbox.plan(&format!(
        "version: 1\nendpoint: {{ url: \"{url}\" }}\n\
         prompt: {{ text: Hello., max_tokens: {tokens} }}\nstages:\n{stages}"
    ));
    sandbox
}

fn said(output: &Output) -> String {
    format!("{}{}", text(&output.stdout), stderr(output))
}

fn count(of: &Value, name: &str) -> u64 {
    of[name].as_u64().unwrap_or_else(|| panic!("{name} of {of:#}"))
}

fn figure(of: &Value, path: &str) -> f64 {
    of.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("{path} of {of:#}"))
}

/// Tries up to three times what a machine that is busy with other things may spoil.
fn try_again(attempt: impl Fn() -> Result<(), String>) {
    let mut failed = Vec::new();
    for _ in 0..3 {
        match attempt() {
            Ok(()) => return,
            Err(why) => failed.push(why),
        }
    }
    panic!("{failed:#?}");
}

//! `runner simulate`: the embedded endpoint as a server of its own.
//!
//! In: a configuration and an address. Out: a server until Ctrl-C or SIGTERM, and a truth file if
//! one was asked for.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use anyhow::Context as _;

use crate::cli::{PlanInputs, SimulateArgs};
use crate::machine;
use crate::output::note;
use crate::plan::{Plan, SimulatorConfig, Target};
use crate::simulator::Simulator;

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// By Ctrl-C or SIGTERM.
    Asked,
    /// By its own scripted crash.
    Crashed,
}

/// Serves the simulated endpoint until it is told to stop.
pub fn run(args: &SimulateArgs) -> anyhow::Result<u8> {
    let config = match &args.plan {
        None => SimulatorConfig::default(),
        Some(path) => {
            match super::load(path, &super::load_options(&PlanInputs::default()), false) {
                Ok(ready) => {
                    let Some(config) = first_simulator(&ready.loaded.plan) else {
                        note!("error: no stage of {} uses a simulator", path.display());
                        return Ok(super::PLAN_INVALID);
                    };
                    config
                }
                Err(code) => return Ok(code),
            }
        }
    };
    machine::raise_open_files();
    let bind = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port));
    match serve(config, bind, args.truth.as_deref()) {
        Ok(Ended::Asked) => Ok(super::PASS),
        Ok(Ended::Crashed) => {
            note!("the simulator crashed as its `faults` say");
            Ok(super::PASS)
        }
        Err(error) => {
            note!("error: {error:#}");
            Ok(super::PREFLIGHT)
        }
    }
}

fn first_simulator(plan: &Plan) -> Option<SimulatorConfig> {
    plan.stages.iter().find_map(|stage| match &stage.endpoint.target {
        Target::Simulator(config) => Some(config.as_ref().clone()),
        Target::Url(_) => None,
    })
}

/// Serves until told to stop; an error when the port is taken or the truth file can't be made.
fn serve(config: SimulatorConfig, bind: SocketAddr, truth: Option<&Path>) -> anyhow::Result<Ended> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("no runtime for signals")?;
    runtime.block_on(async {
        // Listening for signals first: whoever sees the line below may send one.
        let stop = stop_signal().context("signals can't be listened for")?;
        let model = config.model.clone();
        let simulator = match truth {
            Some(file) => Simulator::start_with_truth(config, bind, file),
            None => Simulator::start(config, bind),
        }?;
        note!("simulator listening on {} (model {model})", simulator.base_url());
        let ended = tokio::select! {
            () = stop => Ended::Asked,
            () = simulator.down() => Ended::Crashed,
        };
        simulator.shutdown();
        Ok(ended)
    })
}

/// Resolves at the first Ctrl-C or SIGTERM; both are caught from the call on.
#[cfg(unix)]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Resolves at the first Ctrl-C, which is caught from the call on.
#[cfg(not(unix))]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    Ok(async move {
        interrupt.recv().await;
    })
}

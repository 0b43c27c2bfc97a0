//! Where the last calibration is kept, and what a plan asks for beyond it.
//!
//! In: a [`Calibration`], or a plan. Out: a file, or sentences. Invariant: a calibration of another
//! machine says nothing of this one; one that is missing or unreadable is no error.

use std::path::{Path, PathBuf};

use super::{CALIBRATION_VERSION, Calibration};
use crate::executor::manifest::Host;
use crate::plan::{Action, Plan, Rate, Shape};

/// The variable that names another file.
pub const VARIABLE: &str = "RUNNER_CALIBRATION";

/// The file of the last calibration: `$RUNNER_CALIBRATION`, else `runner/calibration.json` below
/// `$XDG_STATE_HOME`, `~/.local/state` or `%LOCALAPPDATA%`. `None` where there is no home.
pub fn path(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    if let Some(file) = variable(VARIABLE) {
        return Some(file);
    }
    let state = variable("XDG_STATE_HOME")
        .or_else(|| variable("LOCALAPPDATA"))
        .or_else(|| Some(variable("HOME")?.join(".local/state")))?;
    Some(state.join("runner").join("calibration.json"))
}

/// A variable of the process; empty is unset.
pub fn environment(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Keeps a calibration; the file appears whole or not at all.
pub fn save(calibration: &Calibration, path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder {
        std::fs::create_dir_all(folder)?;
    }
    let mut text = serde_json::to_vec_pretty(calibration)?;
    text.push(b'\n');
    crate::sink::atomic_file::write(path, &text)
}

/// The last calibration of this machine.
pub fn last(path: &Path) -> Option<Calibration> {
    let calibration: Calibration = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    let is_ours = calibration.calibration_version == CALIBRATION_VERSION
        && calibration.host.hostname == Host::this().hostname;
    is_ours.then_some(calibration)
}

/// What `plan` asks for that `calibration` has not shown; a sentence for each stage.
pub fn beyond(plan: &Plan, calibration: &Calibration) -> Vec<String> {
    let best = calibration.ceilings.iter().map(|it| it.requests_per_second).fold(0.0, f64::max);
    let widest = calibration.ceilings.iter().filter(|it| it.failed == 0).map(|it| it.streams).max();
    let Some(widest) = widest else { return Vec::new() };
    let mut sentences = Vec::new();
    for stage in &plan.stages {
        let (rate, streams) = asked(&stage.action);
        let said = format!("(`runner calibrate`, {})", calibration.measured_at);
        if let Some(rate) = rate.filter(|rate| *rate > best) {
            sentences.push(format!(
                "stage {}: {rate:.0} requests/s are more than this machine was seen to send: \
                 {best:.0}/s {said}; watch schedule_lag",
                stage.id
            ));
        }
        if let Some(streams) = streams.filter(|streams| *streams > widest) {
            sentences.push(format!(
                "stage {}: {streams} streams at a time are more than this machine was seen to \
                 hold: {widest} {said}",
                stage.id
            ));
        }
    }
    sentences
}

/// The highest rate and the most users of a stage.
fn asked(action: &Action) -> (Option<f64>, Option<u64>) {
    match action {
        Action::Load(load) => match &load.shape {
            Shape::Open(open) => (highest(&open.rate), None),
            Shape::Closed(closed) => (None, Some(closed.users)),
        },
        Action::QpsLadder(ladder) => (ladder.rates.iter().copied().reduce(f64::max), None),
        Action::ConcurrencyRamp(ramp) => (None, ramp.levels.iter().copied().max()),
        Action::Cold(repeat) | Action::Warm(repeat) => (None, Some(repeat.concurrency)),
        _ => (None, None),
    }
}

fn highest(rate: &Rate) -> Option<f64> {
    match rate {
        Rate::Constant(rate) => Some(*rate),
        Rate::Pieces(pieces) => {
            pieces.iter().map(|piece| piece.from.max(piece.to)).reduce(f64::max)
        }
    }
}

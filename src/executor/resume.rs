//! `--resume RUN`: a run that goes on with one that did not come to its end.
//!
//! In: the earlier run's directory and the plan of this one. Out: what is taken over, and the clock
//! that both runs share. Invariants: the earlier directory is only read; a run goes on with nothing
//! but the same plan on the same endpoints, or it does not begin.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::manifest::{Manifest, ManifestEndpoint};
use super::run_dir::{self, RunDirError};
use crate::metrics::quantity::plural;
use crate::metrics::record_log::ReadLogError;
use crate::metrics::summary::RunState;
use crate::plan::Plan;
use crate::record::{RunClock, unread_version};
use crate::stage::Earlier;

/// A run to go on with.
#[derive(Debug, Clone)]
pub struct Resumed {
    /// Its id.
    pub run_id: String,
    /// When its clock, and now that of both, was 0.
    pub started_at: String,
    started: Timestamp,
    endpoints: Vec<ManifestEndpoint>,
    /// What it has measured.
    pub earlier: Arc<Earlier>,
}

/// Why a run can't be gone on with.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// No record log.
    #[error("{0}\n  help: give the directory of a run, such as results/PLAN/RUN-ID")]
    Log(#[from] ReadLogError),
    /// A file.
    #[error(
        "{0} is no directory\n  help: give the directory of the run, as its last line named it: results/PLAN/RUN-ID"
    )]
    NoDirectory(PathBuf),
    /// The manifest.
    #[error(transparent)]
    Manifest(#[from] RunDirError),
    /// A log without its manifest.
    #[error(
        "{0} has no manifest.json, so nobody knows which plan it ran\n  help: run the plan anew"
    )]
    NoManifest(PathBuf),
    /// Another process writes it.
    #[error("{0} still goes on\n  help: wait for its end, or stop it")]
    Running(PathBuf),
    /// Nothing is left to do.
    #[error(
        "{0} came to its end; there is nothing to go on with\n  help: look at it with `runner report {0}`, or run the plan anew"
    )]
    Complete(PathBuf),
    /// Lines are missing.
    #[error("{run}: {what}\n  help: run the plan anew")]
    Unreadable {
        /// The directory.
        run: PathBuf,
        /// What is wrong with its log.
        what: String,
    },
    /// Another plan, seed, selection or baseline.
    #[error(
        "{run} ran another plan: {what}\n  help: give the same plan, params and flags, or run it anew without --resume"
    )]
    OtherPlan {
        /// The directory.
        run: PathBuf,
        /// The first difference.
        what: String,
    },
    /// Another server or model.
    #[error(
        "endpoint `{endpoint}` is not what it was: {what}\n  help: what was measured then says nothing of it; run the plan anew without --resume"
    )]
    OtherEndpoint {
        /// Its name in the plan.
        endpoint: String,
        /// The difference.
        what: String,
    },
}

impl Resumed {
    /// Reads the run in `run` and makes sure that it is an unfinished one of `plan` under these
    /// `choices` of the command line.
    pub fn open(run: &Path, plan: &Plan, choices: &[String]) -> Result<Self, ResumeError> {
        let place = run.to_owned();
        if run.exists() && !run.is_dir() {
            return Err(ResumeError::NoDirectory(place));
        }
        let manifest = run_dir::read_manifest(run)?;
        let (earlier, losses) = match Earlier::read(run) {
            // Its process died before it wrote its first line.
            Err(ReadLogError::Absent(_)) if manifest.is_some() => Default::default(),
            read => read?,
        };
        let manifest = manifest.ok_or_else(|| ResumeError::NoManifest(place.clone()))?;
        if run_dir::is_locked(run) {
            return Err(ResumeError::Running(place));
        }
        if manifest.state == RunState::Finished && earlier.spoiled == 0 {
            return Err(ResumeError::Complete(place));
        }
        let unreadable = |what| ResumeError::Unreadable { run: place.clone(), what };
        if let Some(what) = losses.data_loss() {
            return Err(unreadable(what));
        }
        if let Some(what) = earlier.record_version.and_then(unread_version) {
            return Err(unreadable(what));
        }
        if let Some(what) = difference(&manifest, plan, choices) {
            return Err(ResumeError::OtherPlan { run: place, what });
        }
        let started = manifest.started_at.parse();
        Ok(Self {
            started: started.map_err(|error| unreadable(format!("started_at: {error}")))?,
            run_id: manifest.run_id,
            started_at: manifest.started_at,
            endpoints: manifest.endpoints,
            earlier: Arc::new(earlier),
        })
    }

    /// The earlier run's clock, gone on meanwhile; where wall time was moved back, right behind what
    /// was measured.
    pub(super) fn clock(&self) -> RunClock {
        let since = Timestamp::now().duration_since(self.started).as_nanos();
        let since = u64::try_from(since).unwrap_or(0);
        RunClock::start_at(since.max(self.earlier.last_ns.saturating_add(1)))
    }

    /// Whether its endpoints are what they were; to be asked before anything is sent.
    pub(super) fn meets(&self, now: &[ManifestEndpoint]) -> Result<(), ResumeError> {
        for then in &self.endpoints {
            let Some(now) = now.iter().find(|now| now.name == then.name) else { continue };
            let facts = [
                ("url", Some(&then.url), Some(&now.url)),
                ("model", then.model.as_ref(), now.model.as_ref()),
                ("server", then.server.as_ref(), now.server.as_ref()),
                ("server version", then.server_version.as_ref(), now.server_version.as_ref()),
            ];
            for (what, then_was, now_is) in facts {
                if then_was != now_is {
                    let word =
                        |it: Option<&String>| it.map_or("unknown", String::as_str).to_owned();
                    let (was, is) = (word(then_was), word(now_is));
                    return Err(ResumeError::OtherEndpoint {
                        endpoint: then.name.clone(),
                        what: format!("its {what} was {was} and is {is}"),
                    });
                }
            }
        }
        Ok(())
    }

    /// What is taken over, in one sentence.
    pub fn note(&self, plan: &Plan) -> String {
        let taken = self.earlier.taken_over(plan);
        let id = &self.run_id;
        if taken.is_empty() {
            return format!("resumes {id}, of which nothing was finished: everything is run again");
        }
        let anew = match self.earlier.spoiled {
            0 => String::new(),
            spoiled => format!(
                " ({} of it told of that machine and not of the endpoint)",
                plural(spoiled, "level")
            ),
        };
        format!(
            "resumes {id}: taken over as it was measured then: {}; the rest{anew} is run now",
            taken.join("; ")
        )
    }
}

/// The first difference between the plan of a run and this one.
fn difference(then: &Manifest, now: &Plan, choices: &[String]) -> Option<String> {
    let cells: Vec<_> = now.cells.iter().map(|cell| cell.id.clone()).collect();
    let words = |cells: &[String]| cells.join(", ");
    let flags = |all: &[String]| match all {
        [] => "none".to_owned(),
        all => format!("`{}`", all.join(" ")),
    };
    differs("", &then.plan.resolved, &now.resolved)
        .or_else(|| {
            (then.seed != now.seed)
                .then(|| format!("its seed was {} and is {}", then.seed, now.seed))
        })
        .or_else(|| {
            (then.choices != choices).then(|| {
                let (was, is) = (flags(&then.choices), flags(choices));
                format!("its flags were {was} and are {is}")
            })
        })
        .or_else(|| {
            (then.cells != cells)
                .then(|| format!("its cells were {} and are {}", words(&then.cells), words(&cells)))
        })
        .or_else(|| {
            let param =
                now.params.iter().find(|it| then.params.get(&it.name) != Some(&it.value))?;
            Some(format!("the param `{}` had another value", param.name))
        })
}

/// The first place where two documents differ.
fn differs(at: &str, then: &Value, now: &Value) -> Option<String> {
    match (then, now) {
        (Value::Object(old), Value::Object(new)) => {
            let keys = old.keys().chain(new.keys().filter(|key| !old.contains_key(*key)));
            let null = Value::Null;
            keys.into_iter().find_map(|key| {
                let of = |map: &serde_json::Map<String, Value>| {
                    map.get(key).cloned().unwrap_or(null.clone())
                };
                let at = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                differs(&at, &of(old), &of(new))
            })
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            let pairs = old.iter().zip(new).enumerate();
            pairs.into_iter().find_map(|(n, (old, new))| differs(&format!("{at}[{n}]"), old, new))
        }
        _ if then == now => None,
        (Value::Object(_) | Value::Array(_), _) | (_, Value::Object(_) | Value::Array(_)) => {
            Some(format!("`{at}` is not the same"))
        }
        _ => Some(format!("`{at}` was {then} and is {now}")),
    }
}

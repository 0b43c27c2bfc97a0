//! How much CPU time each stage takes of this process, and how late this machine lets it see things.
//!
//! In: the lines that begin and end stages. Out: the latter with `cpu_ns` and `wake_lag` filled in.
//! Invariant: it is read when the recorder meets the line, a moment after it was sent; stages that
//! overlap share the process, so each has all of it.

use std::sync::Arc;
use std::time::Duration;

use crate::machine::{Reading, Wakes, cpu_time};
use crate::record::{Line, Place, WakeLag};

/// The stages that run, with what was so at their beginning.
#[derive(Debug, Default)]
pub(super) struct Meter {
    wakes: Arc<Wakes>,
    open: Vec<(Place, Option<Duration>, Reading)>,
}

impl Meter {
    /// Counts how late things are seen, for whoever runs it where requests are sent and stamped.
    pub(super) fn wakes(&self) -> Arc<Wakes> {
        Arc::clone(&self.wakes)
    }

    /// Notes the beginning of a stage, or fills in what it took.
    pub(super) fn read(&mut self, line: &mut Line) {
        match line {
            Line::StageStart(start) => {
                let place = Place::of(&start.stage, start.cell.as_deref(), start.rung);
                self.open.push((place, cpu_time(), self.wakes.read()));
            }
            Line::StageEnd(end) => {
                let place = Place::of(&end.stage, end.cell.as_deref(), end.rung);
                let found = self.open.iter().rposition(|(open, ..)| *open == place);
                let Some((_, cpu, wakes)) = found.map(|at| self.open.swap_remove(at)) else {
                    return;
                };
                if end.cpu_ns.is_some() || end.wake_lag.is_some() {
                    // An earlier run's, told again: it says itself what it took.
                    return;
                }
                let took = cpu_time().zip(cpu).map(|(now, began)| now.saturating_sub(began));
                end.cpu_ns = took.and_then(|took| u64::try_from(took.as_nanos()).ok());
                end.wake_lag = wake_lag(&self.wakes.read().since(&wakes));
            }
            _ => {}
        }
    }
}

fn wake_lag(read: &Reading) -> Option<WakeLag> {
    let at = |share| u64::try_from(read.quantile(share)?.as_nanos()).ok();
    Some(WakeLag {
        count: read.count(),
        p50_ns: at(0.5)?,
        p95_ns: at(0.95)?,
        p99_ns: at(0.99)?,
        max_ns: at(1.0)?,
    })
}

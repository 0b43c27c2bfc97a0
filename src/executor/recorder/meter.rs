//! How much CPU time each stage takes of this process.
//!
//! In: the lines that begin and end stages. Out: the latter with `cpu_ns` filled in. Invariant: it
//! is read when the recorder meets the line, a moment after it was sent; stages that overlap share
//! the process, so each has all of it.

use std::time::Duration;

use crate::machine::cpu_time;
use crate::record::{Line, Place};

/// The stages that run, with the CPU time at their beginning.
#[derive(Debug, Default)]
pub(super) struct Meter {
    open: Vec<(Place, Duration)>,
}

impl Meter {
    /// Notes the beginning of a stage, or fills in what it took.
    pub(super) fn read(&mut self, line: &mut Line) {
        match line {
            Line::StageStart(start) => {
                if let Some(now) = cpu_time() {
                    let place = Place::of(&start.stage, start.cell.as_deref(), start.rung);
                    self.open.push((place, now));
                }
            }
            Line::StageEnd(end) => {
                let place = Place::of(&end.stage, end.cell.as_deref(), end.rung);
                let found = self.open.iter().rposition(|(open, _)| *open == place);
                let Some((_, began)) = found.map(|at| self.open.swap_remove(at)) else { return };
                if end.cpu_ns.is_some() {
                    // An earlier run's, told again: it says itself what it took.
                    return;
                }
                let took = cpu_time().map(|now| now.saturating_sub(began).as_nanos());
                end.cpu_ns = took.and_then(|ns| u64::try_from(ns).ok());
            }
            _ => {}
        }
    }
}

//! The figures that checks compare.
//!
//! In: a name such as `cold.ttft.p50`, the stage it stands on and the stages measured before. Out: its
//! value, or why there is none.

use super::unit_of;
use crate::metrics::catalogue::{self, Source};
use crate::metrics::due::differs;
use crate::metrics::samples::Samples;
use crate::metrics::tally::Measured;
use crate::plan::metric::{self, Origin};
use crate::plan::{Aggregate, BaselineValue, MetricRef};

/// A number and how many samples stand behind it.
pub(super) struct Figure {
    pub(super) value: f64,
    pub(super) samples: u64,
    /// Whether it is a latency that counts from due.
    pub(super) is_from_due: bool,
}

/// What `of` comes to. Its latencies count from `from`; when absent, from where the stage's do, and from
/// due wherever the figure itself says something else from there.
pub(super) fn figure(
    of: &MetricRef,
    from: Option<Origin>,
    own: &Measured,
    earlier: &[&Measured],
) -> Result<Figure, String> {
    let stage = resolve(of, own, earlier)?;
    let counts = &stage.summary.counts;
    let origin = from.unwrap_or(stage.summary.times_from);
    let metric = origin.of(&of.metric);
    let empty = || match (counts.ok, counts.planned) {
        (_, 0) => format!("stage {} sends no requests", stage.summary.label()),
        (0, _) => format!("no request of stage {} succeeded", stage.summary.label()),
        _ => format!(
            "{} has no samples in stage {}{}",
            of.metric,
            stage.summary.label(),
            stage.summary.which_has(unit_of(of))
        ),
    };
    if let Some(why) = stage.summary.untold.get(metric) {
        return Err(why.clone());
    }
    match catalogue::source(&of.metric) {
        Some(Source::Request(_) | Source::Pooled(_)) => {
            let samples = stage.samples(metric);
            let aggregate =
                of.aggregate.ok_or_else(|| format!("{} needs an aggregate", of.metric))?;
            let counted = samples.map_or(0, Samples::len);
            let value = match (samples, aggregate) {
                (Some(samples), _) => samples.aggregate(aggregate),
                (None, Aggregate::Count) => Some(0.0),
                (None, _) => None,
            };
            let value = value.ok_or_else(empty)?;
            let late = metric::from_due(&of.metric).filter(|_| from.is_none());
            let late = late.and_then(|due| stage.samples(due)?.aggregate(aggregate));
            let is_from_due = metric != of.metric || late.is_some_and(|late| differs(value, late));
            let value = late.filter(|_| is_from_due).unwrap_or(value);
            Ok(Figure { value, samples: counted, is_from_due })
        }
        Some(Source::Stage(take)) => {
            let (value, samples) = take(&stage.summary).ok_or_else(empty)?;
            Ok(Figure { value, samples, is_from_due: false })
        }
        Some(Source::Verdict) => Err(format!("{} is a word, not a number", of.metric)),
        None => Err(format!("{} is not a metric", of.metric)),
    }
}

/// The stage that a reference means: its own, or an earlier one of the same cell and rung if there
/// are several.
pub(super) fn resolve<'a>(
    of: &MetricRef,
    own: &'a Measured,
    earlier: &[&'a Measured],
) -> Result<&'a Measured, String> {
    let Some(id) = of.stage.as_deref().filter(|id| *id != own.summary.id) else { return Ok(own) };
    let named: Vec<&Measured> =
        earlier.iter().copied().filter(|stage| stage.summary.id == id).collect();
    let same_cell = |stage: &&&Measured| stage.summary.cell == own.summary.cell;
    let same_rung = |stage: &&&Measured| same_cell(stage) && stage.summary.rung == own.summary.rung;
    let in_cell = named.iter().filter(same_cell).count();
    match named.as_slice() {
        [] => Err(format!("stage {id} has not been measured")),
        [only] => Ok(only),
        _ if in_cell == 1 => Ok(named.iter().find(same_cell).copied().unwrap_or(own)),
        several => several.iter().find(same_rung).copied().ok_or_else(|| {
            format!("stage {id} has {} results and none is of this cell and rung", several.len())
        }),
    }
}

/// What the baseline has for this stage, cell and rung.
pub(super) fn baseline(
    of: &MetricRef,
    values: &[BaselineValue],
    own: &Measured,
    earlier: &[&Measured],
) -> Result<f64, String> {
    let stage = &resolve(of, own, earlier)?.summary;
    let same = |value: &&BaselineValue| {
        value.cell == stage.cell && value.rung.map(f64::to_bits) == stage.rung.map(f64::to_bits)
    };
    match values.iter().find(same) {
        Some(found) => Ok(found.value),
        None => Err(format!("the baseline has no {}", stage.label())),
    }
}

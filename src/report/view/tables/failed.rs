//! Failed requests: how many of each class, and examples.
//!
//! In: stages and their samples. Out: a table, and some failures in full.

use super::{Cell, table};
use crate::report::ticks::say;
use crate::report::view::{FailureView, Group, Table, text};

/// Failed requests by stage and class.
pub(in crate::report::view) fn errors(groups: &[Group]) -> Table {
    let stages = groups.iter().flat_map(|group| &group.stages);
    let rows: Vec<Vec<Cell>> = stages
        .flat_map(|stage| stage.errors.iter().map(move |(class, count)| (stage, class, *count)))
        .map(|(stage, class, count)| {
            let share = count as f64 / stage.counts.planned.max(1) as f64;
            let sample = stage.error_samples.get(class).map_or("", String::as_str);
            vec![
                Cell::text(text(&stage.label())),
                Cell::text(text(class)),
                Cell::count(count),
                Cell::number(Some(share), "share"),
                Cell::text(text(sample)),
            ]
        })
        .collect();
    if rows.is_empty() {
        return Table::default();
    }
    table(&["'stage", "'class", "requests", "of planned", "'first message"], rows)
}

/// Most failed requests shown as examples.
const MOST_FAILURES: usize = 40;

/// Examples of failed requests.
pub(in crate::report::view) fn failures(groups: &[Group]) -> Vec<FailureView> {
    let sampled = groups.iter().flat_map(|group| group.samples.iter().zip(&group.stages));
    sampled
        .filter_map(|(samples, stage)| Some(((*samples)?, stage)))
        .flat_map(|(samples, stage)| samples.failures.iter().map(move |failure| (stage, failure)))
        .take(MOST_FAILURES)
        .map(|(stage, failure)| FailureView {
            request: format!("{} #{}", text(&stage.label()), failure.index),
            class: text(&failure.class),
            sent: failure
                .sent_s
                .map_or_else(|| "never".to_owned(), |at| format!("at {}", say(at, "s"))),
            message: text(&failure.message),
            raw: failure.raw.as_deref().map(text).unwrap_or_default(),
        })
        .collect()
}

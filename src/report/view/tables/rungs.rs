//! The rungs of a ladder, each with what was found of it.
//!
//! In: a ladder. Out: its table.

use super::{Cell, KEY_COLUMNS, key_figures, table, without_times};
use crate::report::ticks::plain;
use crate::report::view::ladder::Rung;
use crate::report::view::{Group, Mood, Table};

/// The rungs of a ladder.
pub(in crate::report::view) fn rungs(group: &Group) -> Table {
    let Some(ladder) = &group.ladder else { return Table::default() };
    let mut all: Vec<&Rung> = ladder.rungs.iter().chain(&ladder.unsent).collect();
    all.sort_by(|left, right| left.level.total_cmp(&right.level));
    let rows = all.into_iter().map(|rung| {
        let (word, mood) = ladder.verdict(rung);
        let text = plain(rung.level, 4) + &rung.number();
        let level = Cell { text, value: Some(rung.level), mood: Mood::Plain };
        let head = [level, Cell::text(word).with(mood)];
        head.into_iter().chain(key_figures(rung.stage)).collect()
    });
    let head = [ladder.load.label(), "'verdict"];
    let columns: Vec<&str> = head.into_iter().chain(KEY_COLUMNS).collect();
    without_times(table(&columns, rows.collect()))
}

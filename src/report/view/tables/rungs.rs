//! The rungs of a ladder, each with what was found of it.
//!
//! In: a ladder. Out: its table. Invariant: `ok` stands only beside a level that was judged and held.

use super::{Cell, KEY_COLUMNS, key_figures, table, without_times};
use crate::metrics::search::Verdict;
use crate::record::StageState;
use crate::report::ticks::plain;
use crate::report::view::ladder::{Ladder, Rung};
use crate::report::view::{Group, Mood, Table};

/// The rungs of a ladder.
pub(in crate::report::view) fn rungs(group: &Group) -> Table {
    let Some(ladder) = &group.ladder else { return Table::default() };
    let mut all: Vec<&Rung> = ladder.rungs.iter().chain(&ladder.unsent).collect();
    all.sort_by(|left, right| left.level.total_cmp(&right.level));
    let rows = all.into_iter().map(|rung| {
        let (word, mood) = verdict(ladder, rung);
        let text = plain(rung.level, 4) + &rung.number();
        let level = Cell { text, value: Some(rung.level), mood: Mood::Plain };
        let head = [level, Cell::text(word).with(mood)];
        head.into_iter().chain(key_figures(rung.stage)).collect()
    });
    let head = [ladder.load.label(), "'verdict"];
    let columns: Vec<&str> = head.into_iter().chain(KEY_COLUMNS).collect();
    without_times(table(&columns, rows.collect()))
}

/// What was found of a level: first what its own requests say, then where it lies on the ladder.
fn verdict(ladder: &Ladder, rung: &Rung) -> (&'static str, Mood) {
    let stage = rung.stage;
    if stage.counts.planned > 0 && stage.counts.planned == stage.counts.never_started {
        return ("not sent", Mood::Doubtful);
    }
    match stage.probe.as_ref().map(|probe| probe.verdict) {
        Some(Verdict::Pass) => return ("holds", Mood::Good),
        Some(Verdict::Fail) => return ("does not hold", Mood::Bad),
        Some(Verdict::Inconclusive) => return ("can't be told", Mood::Doubtful),
        None => {}
    }
    match stage.state {
        StageState::Failed => return ("failed", Mood::Bad),
        StageState::Interrupted => return ("cut short", Mood::Doubtful),
        StageState::Skipped => return ("not sent", Mood::Doubtful),
        StageState::Completed => {}
    }
    let is = |levels: &[f64]| levels.contains(&rung.level);
    if stage.counts.ok == 0 {
        let sent = stage.counts.errors + stage.counts.cancelled + stage.counts.lost_in_flight;
        return match sent {
            0 => ("measured nothing", Mood::Doubtful),
            _ => ("failed", Mood::Bad),
        };
    }
    if stage.level_missed().is_some() {
        return ("not reached", Mood::Doubtful);
    }
    let Some(found) = ladder.saturation else { return ("not judged", Mood::Plain) };
    if is(&found.generator_limited) {
        ("generator limited", Mood::Doubtful)
    } else if ladder.best == Some(rung.level) {
        ("best", Mood::Good)
    } else if is(&found.unclear) {
        ("can't be told", Mood::Doubtful)
    } else if found.incomplete
        || found.withheld.is_some()
        || ladder.best.or(ladder.saturated).is_none()
    {
        ("not judged", Mood::Plain)
    } else if is(&found.held_above) {
        ("held", Mood::Plain)
    } else if ladder.saturated.is_some_and(|saturated| rung.level >= saturated) {
        ("saturated", Mood::Bad)
    } else {
        ("ok", Mood::Plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::saturation::of_stages;
    use crate::metrics::summary::{LoadSummary, StageSummary};
    use crate::metrics::tally::StageTally;
    use crate::metrics::tally::fixture::stage_start;
    use crate::report::view::ladder::Found;

    /// A level of concurrency: so many of its ten requests answered, so many under way at once.
    fn level(rung: u32, ok: u64, peak: u64) -> StageSummary {
        let stage = StageTally::new(stage_start(10)).close(None).0.summary;
        let mut stage = StageSummary { rung: Some(rung.into()), ..stage };
        stage.kind = "concurrency_ramp".into();
        stage.state = StageState::Completed;
        stage.counts = crate::metrics::summary::Counts {
            planned: 10,
            ok,
            errors: 10 - ok,
            ..Default::default()
        };
        let load = serde_json::json!({
            "achieved_rate": (ok > 0).then_some(rung),
            "achieved_interval": [f64::from(rung) - 0.1, f64::from(rung) + 0.1],
            "generator_limited": false,
            "peak_in_flight": peak,
            "pauses": false,
        });
        stage.load = Some(serde_json::from_value(load).expect("a load"));
        stage
    }

    fn words(stages: &[StageSummary]) -> Vec<&'static str> {
        let found = of_stages(stages);
        let found = found.values().next().map(Found::Saturation);
        let ladder = Ladder::new(&stages.iter().collect::<Vec<_>>(), found).expect("a ladder");
        ladder.rungs.iter().map(|rung| verdict(&ladder, rung).0).collect()
    }

    #[test]
    fn a_level_that_was_never_sent_stands_in_the_table() {
        let mut stages = [level(1, 10, 1), level(2, 0, 0), level(4, 0, 0), level(8, 10, 8)];
        for (stage, state) in [(1, StageState::Skipped), (2, StageState::Interrupted)] {
            let counts = &mut stages[stage].counts;
            (counts.errors, counts.never_started) = (0, 10);
            stages[stage].state = state;
        }
        let stages: Vec<&StageSummary> = stages.iter().collect();
        let tone = crate::report::chart::Tone::Ink;
        let ladder = Ladder::new(&stages, None);
        let group = Group { tone, stages, samples: Vec::new(), ladder };
        let table = rungs(&group);
        let words: Vec<&str> = table.rows.iter().map(|row| row[1].text.as_str()).collect();
        assert_eq!(words, ["not judged", "not sent", "not sent", "not judged"]);
        assert_eq!(group.ladder.map(|ladder| ladder.rungs.len()), Some(2));
    }

    #[test]
    fn only_a_level_that_was_judged_and_held_is_ok() {
        let ramp = [level(1, 10, 1), level(2, 10, 2), level(4, 10, 4)];
        assert_eq!(words(&ramp), ["ok", "ok", "best"]);
        let mut failing = ramp.to_vec();
        failing.extend([level(8, 10, 5), level(16, 0, 16), level(32, 5, 32)]);
        assert_eq!(words(&failing), ["ok", "ok", "best", "not reached", "failed", "saturated"]);
        let mut cut = ramp.to_vec();
        cut[2].state = StageState::Interrupted;
        assert_eq!(words(&cut), ["not judged", "not judged", "cut short"]);
        cut[2].state = StageState::Failed;
        assert_eq!(words(&cut), ["not judged", "not judged", "failed"]);
        assert_eq!(words(&[level(1, 0, 1), level(2, 0, 2)]), ["failed", "failed"]);
        let mut short = ramp.to_vec();
        short[2].load = short[2].load.map(|it| LoadSummary { achieved_interval: None, ..it });
        assert_eq!(words(&short), ["ok", "best", "can't be told"]);
    }
}

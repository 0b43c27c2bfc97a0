//! A metric over runs.
//!
//! In: runs of each plan, oldest first, with the metric of their stages. Out: a table per plan with a
//! row per run, and a sparkline per stage. Invariant: a run without the figure is a gap, not a zero.

use serde::Serialize;

use super::escape::{columns, padded, printable};
use super::grid;
use super::look::Look;
use super::view::{Cell, Column, Mood, Table};
use crate::metrics::quantity::show;

/// The runs of one plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlanHistory {
    /// The plan's name.
    pub plan: String,
    /// The metric, such as `ttft.p50`.
    pub metric: String,
    /// Its unit.
    pub unit: String,
    /// Less is better, more is better, or neither.
    pub lower_is_better: Option<bool>,
    /// The stages, in the order of the newest run that has them.
    pub stages: Vec<String>,
    /// The runs, oldest first.
    pub runs: Vec<RunPoint>,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunPoint {
    /// Its id.
    pub id: String,
    /// RFC 3339.
    pub started_at: String,
    /// Its models, each once.
    pub models: Vec<String>,
    /// Its exit code.
    pub exit_code: i32,
    /// False when its numbers must not be trusted.
    pub valid: bool,
    /// True when the embedded simulator answered.
    pub simulated: bool,
    /// True when a certificate was not checked.
    pub insecure: bool,
    /// The metric of each stage, in the order of the plan's `stages`.
    pub values: Vec<Option<f64>>,
}

/// The text.
pub fn render(plans: &[PlanHistory], look: Look) -> String {
    let mut lines = Vec::new();
    for plan in plans {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        let better = match plan.lower_is_better {
            Some(true) => ", lower is better",
            Some(false) => ", higher is better",
            None => "",
        };
        lines.push(look.bold(&format!("{}: {}{better}", printable(&plan.plan), plan.metric)));
        lines.extend(grid::lines(&table(plan), look, &["model", "run"]));
        lines.push(String::new());
        let width = plan.stages.iter().map(|it| columns(&printable(it))).max().unwrap_or(0);
        for (number, stage) in plan.stages.iter().enumerate() {
            let values: Vec<Option<f64>> =
                plan.runs.iter().map(|run| run.values.get(number).copied().flatten()).collect();
            let span = span(&values, &plan.unit);
            let stage = padded(&printable(stage), width);
            lines.push(format!("  {stage}  {}  {span}", sparkline(&values)));
        }
    }
    grid::joined(&lines)
}

fn table(plan: &PlanHistory) -> Table {
    let column = |name: &str, number| Column { name: printable(name).into_owned(), number };
    let mut columns = vec![column("started", false), column("run", false), column("model", false)];
    columns.extend(plan.stages.iter().map(|stage| column(stage, true)));
    columns.push(column("result", false));
    let cell = |text: String, mood| Cell { text: printable(&text).into_owned(), value: None, mood };
    let rows = plan.runs.iter().map(|run| {
        let started = run.started_at.get(..16).unwrap_or(&run.started_at).replace('T', " ");
        let mut row = vec![
            cell(started, Mood::Plain),
            cell(run.id.clone(), Mood::Plain),
            cell(run.models.join(", "), Mood::Plain),
        ];
        row.extend(run.values.iter().map(|value| {
            let shown = value.map_or_else(|| "–".to_owned(), |value| show(value, &plan.unit));
            cell(shown.trim_end().to_owned(), Mood::Plain)
        }));
        let (word, mood) = match (run.valid, run.exit_code) {
            (false, _) => ("invalid", Mood::Bad),
            (true, 0) => ("pass", Mood::Good),
            (true, 10) => ("fail", Mood::Bad),
            (true, _) => ("incomplete", Mood::Doubtful),
        };
        let marks = [(run.simulated, "simulated"), (run.insecure, "insecure")];
        let marks = marks.into_iter().filter_map(|(is, mark)| is.then_some(mark));
        let words: Vec<&str> = std::iter::once(word).chain(marks).collect();
        row.push(cell(words.join(", "), mood));
        row
    });
    Table { columns, rows: rows.collect(), legend: String::new() }
}

/// One letter per run, as high as its value lies between the least and the most; a gap is a dot.
fn sparkline(values: &[Option<f64>]) -> String {
    const STEPS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let known = || values.iter().flatten().copied();
    let (least, most) = (known().fold(f64::INFINITY, f64::min), known().fold(0.0, f64::max));
    let letter = |value: &Option<f64>| match value {
        None => '·',
        Some(_) if most <= least => STEPS[3],
        Some(value) => {
            let share = (value - least) / (most - least);
            let step = (1..STEPS.len()).filter(|step| share * 8.0 >= *step as f64).count();
            STEPS[step]
        }
    };
    values.iter().map(letter).collect()
}

/// From the least to the most, and how the last one stands to the one before it.
fn span(values: &[Option<f64>], unit: &str) -> String {
    let known: Vec<f64> = values.iter().flatten().copied().collect();
    let Some(last) = known.last() else { return "never measured".to_owned() };
    let lowest = known.iter().copied().fold(f64::INFINITY, f64::min);
    let most = known.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let shown = |value: f64| show(value, unit).trim_end().to_owned();
    let mut text = format!("{} to {}, last {}", shown(lowest), shown(most), shown(*last));
    if let [.., before, last] = known.as_slice()
        && *before > 0.0
    {
        let change = (last / before - 1.0) * 100.0;
        let sign = if change < 0.0 { "−" } else { "+" };
        text = format!("{text} ({sign}{:.1} % on the run before)", change.abs());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sparkline_rises_with_its_values_and_shows_gaps() {
        let values = [Some(10.0), None, Some(15.0), Some(20.0)];
        assert_eq!(sparkline(&values), "▁·▅█");
        assert_eq!(sparkline(&[Some(3.0), Some(3.0)]), "▄▄");
        assert_eq!(sparkline(&[None]), "·");
        assert_eq!(span(&values, "ms"), "10 ms to 20 ms, last 20 ms (+33.3 % on the run before)");
        assert_eq!(span(&[None], "ms"), "never measured");
    }
}

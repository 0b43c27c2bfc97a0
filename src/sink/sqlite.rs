//! `sqlite:FILE`: requests, stages, their figures and checks as tables of a database.
//!
//! In: `end` lines and stages. Out: the tables `manifest` (a row per run), `requests`, `stages`,
//! `figures` (a row per distribution) and `thresholds`, committed once a second. Invariants: a file
//! keeps the runs that are in it, each row names its run; readers never see half a second's rows.

use std::path::Path;

use rusqlite::types::Value as Stored;
use rusqlite::{Connection, ToSql, params_from_iter};

use super::atomic_file::private;
use super::row::{self, Column, Kind, Value, word};
use super::so_far::so_far;
use super::{Sink, SinkError, stage_rows, target};
use crate::metrics::summary::{StageSummary, Summary};
use crate::record::{Line, RunLine};

/// Rows that are kept back at most.
const WAITING: usize = 4096;

const MANIFEST: [(&str, Kind); 12] = [
    ("run_id", Kind::Text),
    ("plan", Kind::Text),
    ("plan_hash", Kind::Text),
    ("started_at", Kind::Text),
    ("seed", Kind::Text),
    ("simulated", Kind::Flag),
    ("insecure", Kind::Flag),
    ("runner_version", Kind::Text),
    ("state", Kind::Text),
    ("valid", Kind::Flag),
    ("exit_code", Kind::Whole),
    ("notes", Kind::Text),
];

const FIGURES: [(&str, Kind); 15] = [
    ("run_id", Kind::Text),
    ("stage", Kind::Text),
    ("cell", Kind::Text),
    ("rung", Kind::Real),
    ("metric", Kind::Text),
    ("unit", Kind::Text),
    ("count", Kind::Whole),
    ("mean", Kind::Real),
    ("std", Kind::Real),
    ("min", Kind::Real),
    ("p50", Kind::Real),
    ("p90", Kind::Real),
    ("p95", Kind::Real),
    ("p99", Kind::Real),
    ("max", Kind::Real),
];

const THRESHOLDS: [(&str, Kind); 13] = [
    ("run_id", Kind::Text),
    ("stage", Kind::Text),
    ("cell", Kind::Text),
    ("rung", Kind::Real),
    ("check", Kind::Text),
    ("level", Kind::Text),
    ("pass", Kind::Flag),
    ("actual", Kind::Text),
    ("limit", Kind::Text),
    ("unit", Kind::Text),
    ("samples", Kind::Whole),
    ("reason", Kind::Text),
    ("location", Kind::Text),
];

pub(super) struct Sqlite {
    name: String,
    database: Connection,
    columns: Vec<Column>,
    run: Option<RunLine>,
    waiting: Vec<Vec<Stored>>,
    stages: Vec<StageSummary>,
    /// A stage has ended since the tables were written.
    stale: bool,
}

impl Sqlite {
    pub(super) fn open(name: String, target: &str, base: &Path) -> Result<Self, SinkError> {
        let path = target::check(&name, target, base)?;
        let columns = row::columns();
        let tables = |database: &Connection| {
            let requests = columns.iter().map(|column| (column.name.as_ref(), column.kind));
            let stages = stage_rows::COLUMNS.iter().map(|(name, kind, _)| (*name, *kind));
            make(database, "manifest", &MANIFEST)?;
            make(database, "requests", &requests.collect::<Vec<_>>())?;
            make(database, "stages", &stages.collect::<Vec<_>>())?;
            make(database, "figures", &FIGURES)?;
            make(database, "thresholds", &THRESHOLDS)
        };
        // The library would make it readable by everybody.
        private()
            .append(true)
            .create(true)
            .open(&path)
            .map_err(|error| SinkError::new(&name, error))?;
        let database = Connection::open(path)
            .and_then(|database| {
                database.execute_batch("PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE")?;
                Ok(database)
            })
            .map_err(|error| SinkError::new(&name, error))?;
        tables(&database).map_err(|why| SinkError::new(&name, why))?;
        database.execute_batch("COMMIT").map_err(|error| SinkError::new(&name, error))?;
        Ok(Self {
            name,
            database,
            columns,
            run: None,
            waiting: Vec::new(),
            stages: Vec::new(),
            stale: false,
        })
    }

    /// Commits the rows that wait and, if given, everything that a summary says.
    fn commit(&mut self, summary: Option<&Summary>) -> Result<(), SinkError> {
        let run = self.run.as_ref();
        let commit = || {
            let transaction = self.database.unchecked_transaction()?;
            let columns: Vec<&str> = self.columns.iter().map(|it| it.name.as_ref()).collect();
            insert(&transaction, "requests", &columns, &self.waiting)?;
            if let (Some(run), Some(summary)) = (run, summary) {
                replace(&transaction, run, summary)?;
            }
            transaction.commit()
        };
        commit().map_err(|error: rusqlite::Error| SinkError::new(&self.name, error))?;
        self.waiting.clear();
        Ok(())
    }
}

impl Sink for Sqlite {
    fn line(&mut self, _seq: u64, line: &Line) -> Result<(), SinkError> {
        match line {
            Line::Run(run) => {
                self.run = Some(run.clone());
                self.stale = true;
            }
            Line::End(record) => {
                let run = self.run.as_ref();
                let row = self.columns.iter().map(|column| stored(&column.value(run, record)));
                self.waiting.push(row.collect());
                if self.waiting.len() == WAITING {
                    self.commit(None)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn stage(&mut self, stage: &StageSummary) -> Result<(), SinkError> {
        self.stages.push(stage.clone());
        self.stale = true;
        Ok(())
    }

    fn tick(&mut self) -> Result<(), SinkError> {
        let is_stale = std::mem::take(&mut self.stale);
        let summary = self.run.as_ref().filter(|_| is_stale).map(|run| so_far(run, &self.stages));
        if self.waiting.is_empty() && summary.is_none() {
            return Ok(());
        }
        self.commit(summary.as_ref())
    }

    fn pending(&self) -> u64 {
        self.waiting.len() as u64
    }

    fn finish(mut self: Box<Self>, summary: &Summary) -> Result<(), SinkError> {
        self.commit(Some(summary))
    }
}

/// Makes a table, or gives the one of an earlier version the columns that it lacks.
fn make(database: &Connection, table: &str, columns: &[(&str, Kind)]) -> Result<(), String> {
    let kind = |kind| match kind {
        Kind::Text => "TEXT",
        Kind::Whole | Kind::Flag => "INTEGER",
        Kind::Real => "REAL",
    };
    let written: Vec<String> =
        columns.iter().map(|(name, of)| format!("\"{name}\" {}", kind(*of))).collect();
    let run = if table == "manifest" { ", PRIMARY KEY (run_id)" } else { "" };
    let make = format!("CREATE TABLE IF NOT EXISTS {table} ({}{run})", written.join(", "));
    let found = || {
        database.execute_batch(&make)?;
        let mut names = database.prepare("SELECT name FROM pragma_table_info(?1)")?;
        names.query_map([table], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()
    };
    let found = found().map_err(|error| error.to_string())?;
    if !columns.first().is_some_and(|(first, _)| found.iter().any(|name| name == first)) {
        return Err(format!("its table `{table}` is none of ours; name a new file"));
    }
    for (name, of) in columns.iter().filter(|(name, _)| !found.iter().any(|it| it == name)) {
        let add = format!("ALTER TABLE {table} ADD COLUMN \"{name}\" {}", kind(*of));
        database.execute_batch(&add).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Writes what a summary says of its run in place of what was there.
fn replace(database: &Connection, run: &RunLine, summary: &Summary) -> rusqlite::Result<()> {
    for table in ["manifest", "stages", "figures", "thresholds"] {
        database.execute(&format!("DELETE FROM {table} WHERE run_id = ?1"), [&run.run_id])?;
    }
    let stages = || summary.stages.iter();
    let text = |text: &str| Stored::Text(text.to_owned());
    let manifest = vec![
        text(&run.run_id),
        text(&run.plan),
        text(&run.plan_hash),
        text(&run.started_at),
        // A seed may be larger than SQLite's integers.
        Stored::Text(run.seed.to_string()),
        Stored::Integer(run.simulated.into()),
        Stored::Integer(run.insecure.into()),
        text(&run.runner_version),
        Stored::Text(word(&summary.run.state)),
        Stored::Integer(summary.run.valid.into()),
        Stored::Integer(summary.verdict.exit_code.into()),
        Stored::Text(summary.run.notes.join("\n")),
    ];
    insert(database, "manifest", &names(&MANIFEST), &[manifest])?;
    let rows: Vec<Vec<Stored>> = stages()
        .map(|stage| {
            stage_rows::COLUMNS.iter().map(|(_, _, take)| stored(&take(summary, stage))).collect()
        })
        .collect();
    let columns: Vec<&str> = stage_rows::COLUMNS.iter().map(|(name, ..)| *name).collect();
    insert(database, "stages", &columns, &rows)?;
    let key = |stage: &StageSummary| {
        vec![
            text(&run.run_id),
            text(&stage.id),
            stored(&Value::text(stage.cell.as_deref())),
            stored(&Value::real(stage.rung)),
        ]
    };
    let figures = stages().flat_map(|stage| {
        stage.metrics.iter().map(move |(metric, of)| {
            let mut row = key(stage);
            row.extend([text(metric), text(&of.unit), stored(&Value::Whole(of.count))]);
            row.extend([Stored::Real(of.mean), stored(&Value::real(of.std))]);
            row.extend([of.min, of.p50, of.p90, of.p95, of.p99, of.max].map(Stored::Real));
            row
        })
    });
    insert(database, "figures", &names(&FIGURES), &figures.collect::<Vec<_>>())?;
    let json = |value: &Option<serde_json::Value>| match value {
        None => Stored::Null,
        Some(serde_json::Value::String(word)) => text(word),
        Some(other) => Stored::Text(other.to_string()),
    };
    let thresholds = stages().flat_map(|stage| {
        stage.thresholds.iter().map(move |result| {
            let mut row = key(stage);
            row.extend([text(&result.check), Stored::Text(word(&result.level))]);
            row.push(Stored::Integer(result.pass.into()));
            row.extend([json(&result.actual), json(&result.limit), text(&result.unit)]);
            row.extend([stored(&Value::Whole(result.samples)), text(&result.reason)]);
            row.push(text(&result.location));
            row
        })
    });
    insert(database, "thresholds", &names(&THRESHOLDS), &thresholds.collect::<Vec<_>>())
}

fn names<'c>(columns: &[(&'c str, Kind)]) -> Vec<&'c str> {
    columns.iter().map(|(name, _)| *name).collect()
}

/// Writes rows under the names of their columns: another version may have put them in another order.
fn insert(
    database: &Connection,
    table: &str,
    columns: &[&str],
    rows: &[Vec<Stored>],
) -> rusqlite::Result<()> {
    let places = vec!["?"; columns.len()].join(", ");
    let columns: Vec<String> = columns.iter().map(|name| format!("\"{name}\"")).collect();
    let columns = columns.join(", ");
    let mut insert =
        database.prepare(&format!("INSERT INTO {table} ({columns}) VALUES ({places})"))?;
    for row in rows {
        insert.execute(params_from_iter(row.iter().map(|value| value as &dyn ToSql)))?;
    }
    Ok(())
}

fn stored(value: &Value<'_>) -> Stored {
    match value {
        Value::Text(text) => Stored::Text(text.to_string()),
        Value::Whole(number) => Stored::Integer(i64::try_from(*number).unwrap_or(i64::MAX)),
        Value::Real(number) => Stored::Real(*number),
        Value::Flag(flag) => Stored::Integer((*flag).into()),
        Value::Absent => Stored::Null,
    }
}

//! The tables of `docs/statistics.md`, which the experiments write.
//!
//! A table stands between `<!-- figures: NAME -->` and `<!-- end -->`. Its first two lines are its head.

use std::path::PathBuf;
use std::sync::Mutex;

/// Experiments run side by side, and write one file.
static DOCUMENT: Mutex<()> = Mutex::new(());

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/statistics.md")
}

/// What stands before, in and after a table.
fn parts<'a>(text: &'a str, name: &str) -> (&'a str, &'a str, &'a str) {
    let mark = format!("<!-- figures: {name} -->\n");
    let (before, rest) = text.split_once(&mark).expect("the table's mark");
    let (table, after) = rest.split_once("<!-- end -->").expect("the table's end");
    (&text[..before.len() + mark.len()], table, after)
}

/// Writes the rows of a table.
pub fn write(name: &str, rows: &[String]) {
    let _held = DOCUMENT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let text = std::fs::read_to_string(path()).expect("the document");
    let (before, table, after) = parts(&text, name);
    let head: String = table.split_inclusive('\n').take(2).collect();
    let text = format!("{before}{head}{}\n<!-- end -->{after}", rows.join("\n"));
    std::fs::write(path(), text).expect("the document can be written");
}

/// The cells of a table's rows.
pub fn read(name: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(path()).expect("the document");
    let (_, table, _) = parts(&text, name);
    let cells = |row: &str| row.trim_matches('|').split('|').map(|it| it.trim().into()).collect();
    table.lines().skip(2).map(cells).collect()
}

/// The table has that row; with `RUNNER_UPDATE` it gets it, in place of the one with the same first
/// `keys` cells.
pub fn hold(name: &str, keys: usize, row: &str) {
    let _held = DOCUMENT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let text = std::fs::read_to_string(path()).expect("the document");
    let (before, table, after) = parts(&text, name);
    if table.lines().any(|line| line == row) {
        return;
    }
    assert!(
        std::env::var_os("RUNNER_UPDATE").is_some(),
        "docs/statistics.md does not say `{row}`: run the experiment again, as it says there"
    );
    let key = |row: &str| row.split('|').take(keys + 1).collect::<String>();
    let place = table.lines().position(|line| key(line) == key(row));
    let mut rows: Vec<&str> = table.lines().collect();
    match place {
        Some(place) => rows[place] = row,
        None => rows.push(row),
    }
    let text = format!("{before}{}\n<!-- end -->{after}", rows.join("\n"));
    std::fs::write(path(), text).expect("the document can be written");
}

/// The number with which a cell begins.
pub fn number(cell: &str) -> f64 {
    cell.split(' ').next().and_then(|number| number.parse().ok()).expect("a number")
}

/// How many runs a row of a long experiment has.
pub fn runs(usual: u32) -> u32 {
    std::env::var("RUNNER_THEORY").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

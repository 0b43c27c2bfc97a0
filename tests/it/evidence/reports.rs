//! What a person sees.

use runner::report::console;
use runner::report::look::Look;

use super::fixture::*;

#[test]
fn a_report_shows_hostile_text_as_text() {
    let results = tempfile::tempdir().expect("a folder");
    let (_, done) = record_run(results.path(), lines(), vec![]);
    let text = console::render(&done.summary, Look::PLAIN);
    assert!(!text.contains('\u{1b}'), "{text}");
    assert!(text.contains("=busy\\u{1b}[31m"), "{text}");
}

#[test]
fn a_report_fits_the_terminal_by_leaving_out_columns() {
    let results = tempfile::tempdir().expect("a folder");
    let (_, done) = record_run(results.path(), lines(), vec![]);
    for width in [50, 60, 80, 100, 120] {
        let look = Look { colour: false, width: Some(width) };
        let text = console::render(&done.summary, look);
        let table = text.split("\n\n").nth(1).expect("a table behind the head");
        for line in table.lines() {
            assert!(line.chars().count() <= width.max(60), "{width}: {line}");
        }
        assert!(table.contains("TTFT p50") && table.contains("after_flush"), "{table}");
    }
}

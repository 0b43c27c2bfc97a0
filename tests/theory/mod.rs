//! What is concluded from requests that queue, held against queueing theory.
//!
//! Each file draws latencies from a law that it knows in full, writes the lines of a run with them,
//! and asks the library what it concludes. What is right follows from theory, or from a simulation
//! in this folder that shares no code with the library.
//!
//! A few seconds of it run with the tests. All of it writes the tables of `docs/statistics.md`, which says
//! how.

mod capacity;
mod figures;
mod laws;
mod lengths;
mod log;
mod omission;
mod queueing;
mod queues;
mod steadiness;
mod steps;

/// Each test that `docs/statistics.md` names is there, and runs always.
#[test]
fn what_the_document_names_holds_it() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("docs/statistics.md")).expect("the document");
    let mut code = String::new();
    let mut folders = vec![root.join("src"), root.join("tests/theory")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                code.push_str(&std::fs::read_to_string(path).expect("a file"));
            }
        }
    }
    let rows =
        text.lines().skip_while(|line| *line != "| claim | theory | measured | held by |").skip(2);
    let rows: Vec<&str> = rows.take_while(|line| line.starts_with('|')).collect();
    assert!(rows.len() > 40, "{}", rows.len());
    for row in rows {
        let name = row.split('`').nth_back(1).expect("a test");
        let place = code.find(&format!("fn {name}("));
        let before = &code[..place.unwrap_or_else(|| panic!("no test is called {name}"))];
        let attributes = &before[before.rfind("#[test]").expect("a test")..];
        assert!(attributes.len() < 200 && !attributes.contains("ignore"), "{name} may not run");
    }
}

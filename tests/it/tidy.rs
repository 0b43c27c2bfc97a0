//! House rules that a compiler does not check: floors, borders of third-party crates, names.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The floor of each top-level module; a file imports lower floors (or its own folder) only.
const FLOORS: &[(&str, u8)] = &[
    ("plan", 0),
    ("request", 1),
    ("record", 1),
    ("machine", 1),
    ("output", 1),
    ("graph", 2),
    ("metrics", 2),
    ("client", 3),
    ("workload", 3),
    ("schedule", 3),
    ("report", 3),
    ("stage", 4),
    ("sink", 4),
    ("executor", 5),
    ("commands", 6),
    ("cli", 6),
    ("main", 6),
];

/// The simulator stands beside the house: it sees floor 1 at most, and floor 5 and up see it.
const SIMULATOR_SEES: u8 = 1;

/// A third-party crate and the one file or folder that may name it (`|` between two).
const BORDERS: &[(&str, &str)] = &[
    ("reqwest", "client/transport"),
    ("serde_saphyr", "plan/source"),
    ("toml", "plan/source"),
    ("tokenizers", "workload/tokenizer"),
    ("hdrhistogram", "metrics/histogram"),
    ("indicatif", "executor/progress"),
    ("comfy_table", "report/table"),
    ("minijinja", "workload/|report/html"),
    ("tiny_skia", "report/png"),
    ("ttf_parser", "report/png"),
    ("clap", "cli|main.rs|commands/completions.rs|commands/man.rs"),
    ("rusqlite", "sink/sqlite"),
    ("snap", "sink/parquet"),
];

const FORBIDDEN_NAMES: &[&str] = &["utils", "util", "helpers", "common", "manager", "imp", "misc"];

/// The only traits of the house; anything else that varies is an enum matched once.
const TRAITS: &[&str] = &["Workload", "Dialect", "Sink"];

struct Source {
    /// Relative to `src/`, with forward slashes.
    path: String,
    text: String,
}

fn sources() -> Vec<Source> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("src is readable") {
            let path = entry.expect("src is readable").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    walk(&root, &mut paths);
    paths.sort();
    paths
        .into_iter()
        .map(|path| Source {
            text: fs::read_to_string(&path).expect("sources are text"),
            path: path
                .strip_prefix(&root)
                .expect("found below src")
                .to_string_lossy()
                .replace('\\', "/"),
        })
        .collect()
}

fn module_of(path: &str) -> &str {
    path.split('/').next().unwrap_or(path).trim_end_matches(".rs")
}

fn floor_of(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

/// The part of a file before its unit tests; tests may look where they like.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or(text)
}

/// The lines that are code, without comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    without_tests(text).lines().filter(|line| !line.trim_start().starts_with("//"))
}

/// The top-level modules that a file names, as `crate::X` or in `crate::{X, Y::…}`.
fn imports(text: &str) -> BTreeSet<String> {
    let code: String = code(text).collect::<Vec<_>>().join("\n");
    let word = |text: &str| -> String {
        text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 1;
            let mut start = true;
            for (offset, c) in group.char_indices() {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 1 => start = true,
                    c if start && c.is_alphanumeric() => {
                        found.insert(word(&group[offset..]));
                        start = false;
                    }
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
            }
        } else {
            found.insert(word(rest));
        }
    }
    found
}

#[test]
fn every_file_imports_lower_floors_only() {
    let mut offences = Vec::new();
    for source in sources() {
        let module = module_of(&source.path);
        if module == "lib" || module == "main" {
            continue;
        }
        for import in imports(&source.text) {
            let allowed = match (module, import.as_str()) {
                (a, b) if a == b => true,
                ("simulator", other) => floor_of(other).is_none_or(|floor| floor <= SIMULATOR_SEES),
                (other, "simulator") => floor_of(other).is_some_and(|floor| floor >= 5),
                (from, to) => match (floor_of(from), floor_of(to)) {
                    // cli, commands and main are one floor and one story.
                    (Some(6), Some(6)) => true,
                    (Some(from), to) => to.is_none_or(|to| to < from),
                    (None, _) => false,
                },
            };
            if !allowed {
                offences.push(format!("src/{} imports crate::{import}", source.path));
            }
        }
    }
    assert!(offences.is_empty(), "floors crossed (ARCHITECTURE.md):\n{}", offences.join("\n"));
}

#[test]
fn every_third_party_border_has_one_owner() {
    let mut offences = Vec::new();
    for source in sources() {
        for (krate, owner) in BORDERS {
            let names_it = code(&source.text).any(|line| {
                line.contains(&format!("use {krate}::"))
                    || line.contains(&format!("use {krate};"))
                    || line.match_indices(&format!("{krate}::")).any(|(at, _)| {
                        !line[..at].ends_with([':', '_'])
                            && !line[..at].ends_with(char::is_alphanumeric)
                    })
            });
            let is_owner = owner.split('|').any(|owner| source.path.starts_with(owner));
            if names_it && !is_owner {
                offences
                    .push(format!("src/{} names {krate}, which belongs to {owner}", source.path));
            }
        }
    }
    assert!(offences.is_empty(), "borders crossed:\n{}", offences.join("\n"));
}

#[test]
fn every_file_opens_with_what_comes_in_and_goes_out() {
    for source in sources() {
        assert!(source.text.starts_with("//!"), "src/{} has no opening //! comment", source.path);
    }
}

#[test]
fn no_file_is_named_for_nothing() {
    for source in sources() {
        for part in source.path.trim_end_matches(".rs").split('/') {
            assert!(!FORBIDDEN_NAMES.contains(&part), "src/{}: `{part}` says nothing", source.path);
        }
    }
}

#[test]
fn the_house_has_three_traits() {
    let mut traits = Vec::new();
    for source in sources() {
        for line in code(&source.text) {
            let line =
                line.trim_start().trim_start_matches("pub(crate) ").trim_start_matches("pub ");
            if let Some(rest) = line.strip_prefix("trait ") {
                let name: String = rest.chars().take_while(|c| c.is_alphanumeric()).collect();
                if !TRAITS.contains(&name.as_str()) {
                    traits.push(format!("src/{}: trait {name}", source.path));
                }
            }
        }
    }
    assert!(traits.is_empty(), "use an enum instead:\n{}", traits.join("\n"));
}

#[test]
fn lints_are_expected_with_a_reason_and_never_allowed() {
    for source in sources() {
        for (number, line) in source.text.lines().enumerate() {
            assert!(
                !line.contains("#[allow(") && !line.contains("#![allow("),
                "src/{}:{}: use #[expect(…, reason = …)]",
                source.path,
                number + 1
            );
        }
    }
}

#[test]
fn one_module_writes_to_the_terminal() {
    const WRITERS: &[&str] = &["print!(", "println!(", "dbg!(", "io::stdout()", "io::stderr()"];
    let mut offences = Vec::new();
    for source in sources() {
        // What a child process of a unit test says is no run's output.
        if source.path == "output.rs" || source.path.ends_with("tests.rs") {
            continue;
        }
        for line in code(&source.text) {
            offences.extend(
                WRITERS
                    .iter()
                    .filter(|writer| line.contains(**writer))
                    .map(|writer| format!("src/{}: {writer}…", source.path)),
            );
        }
    }
    assert!(offences.is_empty(), "use crate::output:\n{}", offences.join("\n"));
}

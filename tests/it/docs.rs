//! What the documents say can be done: their commands run, their plans are plans, their links lead
//! somewhere.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use clap::Parser;
use clap::error::ErrorKind;
use runner::cli::Cli;
use runner::plan::SimulatorConfig;
use runner::simulator::Simulator;

use crate::sandbox::{Sandbox, code, measured, stderr, text};

/// The address of the reader's own server in all documents.
const READERS_SERVER: &str = "127.0.0.1:8000";

fn documents() -> Vec<(PathBuf, String)> {
    let folders = [".", "docs", "scenarios", "datasets/samples", "benches"];
    let mut paths: Vec<PathBuf> = folders
        .iter()
        .flat_map(|folder| fs::read_dir(folder).expect("a folder"))
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|it| it == "md"))
        .collect();
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("text");
        (path, text)
    };
    paths.into_iter().map(read).collect()
}

/// The fenced blocks of a document in a language, each with the number of its first line.
fn blocks<'a>(document: &'a str, language: &str) -> Vec<(usize, &'a str)> {
    let opening = format!("```{language}\n");
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = document[from..].find(&opening).map(|at| from + at + opening.len()) {
        let end = document[at..].find("```").expect("a block ends") + at;
        found.push((document[..at].matches('\n').count() + 1, &document[at..end]));
        from = end + 3;
    }
    found
}

/// A small server that answers soon.
fn simulator() -> Simulator {
    let config = SimulatorConfig { decode_rate: 5e3, prefill_rate: 1e5, ..Default::default() };
    Simulator::start(config, SocketAddr::from(([127, 0, 0, 1], 0))).expect("it starts")
}

#[test]
fn the_commands_of_the_documents_do_as_they_say() {
    let server = simulator();
    let url = url::Url::parse(&server.base_url()).expect("a URL");
    let address = format!("127.0.0.1:{}", url.port().expect("a port"));
    let bin = Path::new(env!("CARGO_BIN_EXE_runner")).parent().expect("a folder").to_owned();
    let here = std::env::current_dir().expect("a folder");
    let mut tried = 0;
    for (path, document) in documents() {
        let sandbox = Sandbox::new();
        for name in ["scenarios", "datasets", "schemas"] {
            symlink(here.join(name), sandbox.dir.path().join(name)).expect("a link");
        }
        for (line, block) in blocks(&document, "sh") {
            let commands: Vec<&str> =
                block.lines().filter(|it| it.starts_with("runner ")).collect();
            for command in commands {
                let command = command.replace(READERS_SERVER, &address);
                let output = measured(sandbox.dir.path(), || {
                    let mut shell = std::process::Command::new("sh");
                    shell.args(["-c", &command]).current_dir(sandbox.dir.path()).env_clear();
                    shell.env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
                    shell.output().expect("a shell")
                });
                let said = format!("{}{}", text(&output.stdout), stderr(&output));
                assert_eq!(code(&output), 0, "{}:{line}: `{command}`\n{said}", path.display());
                tried += 1;
            }
        }
    }
    assert!(tried >= 10, "only {tried} commands were found");
}

#[test]
fn the_commands_in_sentences_are_commands() {
    let mut tried = 0;
    for (path, document) in documents() {
        for span in document.split('`').filter(|it| it.starts_with("runner ")) {
            if span == "runner …" {
                continue;
            }
            // `validate --format text|json` names several words of one flag.
            let words = span.split_whitespace().map(|word| word.split('|').next().unwrap_or(word));
            let Err(error) = Cli::try_parse_from(words) else {
                tried += 1;
                continue;
            };
            let is_a_name = error.kind() == ErrorKind::MissingRequiredArgument;
            assert!(is_a_name || !error.use_stderr(), "{}: `{span}`: {error}", path.display());
        }
    }
    assert!(tried >= 20, "only {tried} commands were found");
}

#[test]
fn the_plans_of_the_documents_are_plans() {
    let sandbox = Sandbox::new();
    let mut tried = 0;
    for (path, document) in documents() {
        for (line, block) in blocks(&document, "yaml") {
            if !block.starts_with("version: 1\n") {
                continue;
            }
            sandbox.plan(block);
            let output = sandbox.run(&["validate", "plan.yaml", "--deny-warnings"]);
            assert_eq!(code(&output), 0, "{}:{line}: {}", path.display(), stderr(&output));
            tried += 1;
        }
    }
    assert!(tried >= 3, "only {tried} plans were found");
}

#[test]
fn the_links_of_the_documents_lead_somewhere() {
    for (path, document) in documents() {
        let folder = path.parent().expect("a folder");
        let links = document.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.contains("://") && !link.starts_with('#')) {
            let (file, section) = link.split_once('#').unwrap_or((link, ""));
            let target = folder.join(file);
            assert!(target.exists(), "{}: {link} is not there", path.display());
            let heading = |line: &str| {
                line.starts_with('#')
                    && line.trim_start_matches(['#', ' ']).to_lowercase().replace(' ', "-")
                        == section
            };
            let leads = section.is_empty()
                || fs::read_to_string(&target).expect("text").lines().any(heading);
            assert!(leads, "{}: {link} has no such heading", path.display());
        }
    }
}

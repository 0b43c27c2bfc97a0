//! `runner init [NAME]`: a plan to begin with, from a built-in scenario.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::builtin::{self, Scenario};
use crate::cli::{InitArgs, InitFormat};

/// Where the schema is put for editors, unless it is somewhere else.
const SCHEMA: &str = "schemas/plan.v1.json";

/// Writes a plan (and the data it needs) into the current directory; overwrites nothing.
pub fn run(args: &InitArgs) -> anyhow::Result<u8> {
    let scenario = match builtin::find(&args.template) {
        Ok(scenario) => scenario,
        Err(message) => {
            eprintln!("error: {message}");
            return Ok(super::USAGE);
        }
    };
    let name = args.name.as_deref().unwrap_or(scenario.name);
    if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', '"', '\n']) {
        eprintln!("error: `{name}` can't be the name of a plan");
        eprintln!("  help: letters, digits, `-` and `_`; the file is NAME.yaml");
        return Ok(super::USAGE);
    }
    let (text, mut data) = plan(&scenario, name);
    let schema = args.schema.clone().unwrap_or_else(|| {
        // Whatever version of it lies there is the person's own.
        if !Path::new(SCHEMA).exists() {
            data.push((PathBuf::from(SCHEMA), crate::plan::schema::plan_text()));
        }
        format!("./{SCHEMA}")
    });
    let (path, text) = match args.format {
        InitFormat::Yaml => {
            (format!("{name}.yaml"), format!("# yaml-language-server: $schema={schema}\n{text}"))
        }
        InitFormat::Toml => {
            let toml = crate::plan::to_toml(scenario.path, &text)?;
            (format!("{name}.toml"), format!("#:schema {schema}\n{toml}"))
        }
    };
    // All or nothing: looked at before anything is written.
    let mut files = vec![(PathBuf::from(path), text)];
    files.extend(data);
    if let Some((taken, _)) = files.iter().find(|(path, text)| is_other(path, text)) {
        eprintln!("error: `{}` exists and is left as it is", taken.display());
        eprintln!("  help: give another name: `runner init NAME`");
        return Ok(super::USAGE);
    }
    for (path, text) in &files {
        if let Err(error) = create(path, text) {
            eprintln!("error: `{}` can't be written: {error}", path.display());
            return Ok(super::USAGE);
        }
        eprintln!("wrote {}", path.display());
    }
    let plan = files[0].0.display();
    eprintln!("\nnext:\n  runner validate {plan}\n  runner run {plan}");
    Ok(super::PASS)
}

/// The scenario's text under its new name, and the data files it needs beside it.
fn plan(scenario: &Scenario, name: &str) -> (String, Vec<(PathBuf, String)>) {
    let mut text = String::new();
    for line in scenario.text.lines() {
        if line.starts_with("# yaml-language-server:") {
            continue;
        }
        if line.starts_with("name:") {
            text.extend(["name: \"", name, "\""]);
        } else {
            text.push_str(line);
        }
        text.push('\n');
    }
    let mut data = Vec::new();
    for (path, content) in builtin::FILES.iter().filter(|(path, _)| path.starts_with("datasets/")) {
        let written = format!("../{path}");
        if text.contains(&written) {
            text = text.replace(&written, path);
            data.push((PathBuf::from(path), (*content).to_owned()));
        }
    }
    (text, data)
}

/// Whether something else lies there already. Data that is there as it should be is kept.
fn is_other(path: &Path, text: &str) -> bool {
    let is_data = path.parent().is_some_and(|parent| !parent.as_os_str().is_empty());
    path.symlink_metadata().is_ok()
        && !(is_data && std::fs::read_to_string(path).is_ok_and(|there| there == text))
}

fn create(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => file.write_all(text.as_bytes()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists && !is_other(path, text) => Ok(()),
        Err(error) => Err(error),
    }
}

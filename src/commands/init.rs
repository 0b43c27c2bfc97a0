//! `runner init [NAME]`: a plan to begin with, from a built-in scenario or for an endpoint.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::builtin::{self, Scenario};
use super::quick::quoted;
use crate::cli::{InitArgs, InitFormat};
use crate::output::note;

/// Where the schema is put for editors, unless it is somewhere else.
const SCHEMA: &str = "schemas/plan.v1.json";

/// Writes a plan (and the data it needs) into the current directory; overwrites nothing.
pub fn run(args: &InitArgs) -> anyhow::Result<u8> {
    if let Some(url) = &args.endpoint {
        return Ok(short(args.name.as_deref().unwrap_or("plan"), url));
    }
    let scenario = match builtin::find(&args.template) {
        Ok(scenario) => scenario,
        Err(message) => {
            note!("error: {message}");
            return Ok(super::USAGE);
        }
    };
    let (name, format) = match named(args.name.as_deref().unwrap_or(scenario.name), args.format) {
        Ok(named) => named,
        Err(message) => {
            note!("error: {message}");
            return Ok(super::USAGE);
        }
    };
    let (text, data) = plan(&scenario, name);
    let schema = args.schema.clone().unwrap_or_else(|| format!("./{SCHEMA}"));
    let (path, text) = match format {
        InitFormat::Yaml => {
            (format!("{name}.yaml"), format!("# yaml-language-server: $schema={schema}\n{text}"))
        }
        InitFormat::Toml => {
            let toml = crate::plan::to_toml(scenario.path, &text)?;
            (format!("{name}.toml"), format!("#:schema {schema}\n{toml}"))
        }
    };
    let mut files = vec![(PathBuf::from(path), text)];
    files.extend(data);
    if let Some((parent, _)) = files.iter().skip(1).find(|(path, _)| *path == files[0].0) {
        note!("error: `{}` is the plan that this one extends", parent.display());
        note!("  help: give another name: `runner init NAME --template {}`", scenario.name);
        return Ok(super::USAGE);
    }
    if args.schema.is_none() {
        files.extend(own_schema());
    }
    if let Err(code) = write(&files) {
        return Ok(code);
    }
    let plan = files[0].0.display();
    note!("\nnext:\n  runner validate {plan}\n  runner run {plan}");
    Ok(super::PASS)
}

/// Writes a plan of a few lines for an endpoint.
fn short(name: &str, url: &str) -> u8 {
    let name = match named(name, Some(InitFormat::Yaml)) {
        Ok((name, _)) => name,
        Err(message) => {
            note!("error: {message}");
            return super::USAGE;
        }
    };
    let url = quoted(&super::quick::told_base(url));
    let text = format!(
        "version: 1\nname: {}\nendpoint: {url}\nprompt: {{ text: \"Name a colour, number {{{{ i }}}}.\", max_tokens: 64 }}\n\
         stages:\n  - {{ id: load, kind: load, concurrency: 8, requests: 100, thresholds: [\"error_rate <= 1%\"] }}\n",
        quoted(name)
    );
    let file = PathBuf::from(format!("{name}.yaml"));
    if let Err(code) = write(&with_schema(file.clone(), &text)) {
        return code;
    }
    let plan = file.display();
    note!("\nnext:\n  runner validate {plan}\n  runner run {plan}");
    super::PASS
}

/// A plan of this text in `file`, and the schema that its first line names for editors.
pub(super) fn with_schema(file: PathBuf, text: &str) -> Vec<(PathBuf, String)> {
    let text = format!("# yaml-language-server: $schema=./{SCHEMA}\n{text}");
    [(file, text)].into_iter().chain(own_schema()).collect()
}

/// The schema, unless one is there: whatever version of it that is, it is the person's own.
fn own_schema() -> Option<(PathBuf, String)> {
    let is_there = Path::new(SCHEMA).exists();
    (!is_there).then(|| (PathBuf::from(SCHEMA), crate::plan::schema::plan_text()))
}

/// Writes files, a plan first: all or none, and over nothing. `Err` holds the exit code.
pub(super) fn write(files: &[(PathBuf, String)]) -> Result<(), u8> {
    let plan_there = files[0].0.symlink_metadata().is_ok().then_some(&files[0]);
    let taken = files[1..].iter().find(|(path, text)| is_other(path, text));
    if let Some((taken, _)) = plan_there.or(taken) {
        note!("error: `{}` exists and is left as it is", taken.display());
        note!("  help: give another name");
        return Err(super::USAGE);
    }
    for (path, text) in files {
        if let Err(error) = create(path, text) {
            note!("error: `{}` can't be written: {error}", path.display());
            return Err(super::USAGE);
        }
        note!("wrote {}", path.display());
    }
    Ok(())
}

/// A plan's name and format: `NAME`, or a file's name such as `NAME.toml`. The error is for people.
fn named(text: &str, asked: Option<InitFormat>) -> Result<(&str, InitFormat), String> {
    let endings =
        [(".yaml", InitFormat::Yaml), (".yml", InitFormat::Yaml), (".toml", InitFormat::Toml)];
    let ending =
        endings.iter().find_map(|(ending, format)| Some((text.strip_suffix(ending)?, *format)));
    let (name, format) = match (ending, asked) {
        (Some((_, own)), Some(asked)) if own != asked => {
            return Err(format!("`{text}` and `--format` name two formats\n  help: leave one out"));
        }
        (Some(named), _) => named,
        (None, asked) => (text, asked.unwrap_or(InitFormat::Yaml)),
    };
    let is_fine = name.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_')
        && name.chars().all(|it| it.is_ascii_alphanumeric() || "-_.".contains(it));
    if !is_fine {
        return Err(format!(
            "`{text}` can't be the name of a plan\n  help: letters, digits, `-`, `_` and `.`; the file is NAME.yaml in this folder"
        ));
    }
    let is_test = Path::new(name).extension().is_some_and(|it| it.eq_ignore_ascii_case("test"));
    if is_test {
        return Err(format!(
            "`{text}` is the name of a test, not of a plan\n  help: leave out `.test`"
        ));
    }
    Ok((name, format))
}

/// The scenario's text under its new name, and the files it needs beside it: data, and the plan
/// that it extends.
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
    for (path, parent) in builtin::FILES {
        let own = path.strip_prefix("scenarios/");
        if let Some(file) = own.filter(|file| text.contains(&format!("\nextends: {file}\n"))) {
            data.push((PathBuf::from(file), (*parent).to_owned()));
        }
    }
    (text, data)
}

/// Whether something else lies there already. A file that is there as it should be is kept.
fn is_other(path: &Path, text: &str) -> bool {
    path.symlink_metadata().is_ok()
        && !std::fs::read_to_string(path).is_ok_and(|there| there == text)
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

//! `--params-file`: values of params out of a file.
//!
//! In: a YAML, TOML, JSON or dotenv file, told apart by its name. Out: names and values with their
//! lines. Invariant: a file of values may hold secrets, so no line of it is ever shown.

use std::path::{Path, PathBuf};

use crate::plan::diagnostic::{Code, Diagnostic};
use crate::plan::source::{self, Format, Node, Sources, Span, Value};

/// A file of values.
#[derive(Debug)]
pub(crate) struct ParamsFile {
    /// Its path as given.
    pub(crate) name: String,
    /// Its values in order.
    pub(crate) values: Vec<FileValue>,
    /// Whether nothing of it could be read, which has been reported: what is missing may stand
    /// there.
    pub(crate) is_broken: bool,
}

/// One value of a file.
#[derive(Debug)]
pub(crate) struct FileValue {
    /// A param's name; in a dotenv file also a variable that the param lists.
    pub(crate) name: String,
    /// What is written there; [`Value::Broken`] when it can't be read, which has been reported.
    pub(crate) node: Node,
    /// `FILE:LINE`.
    pub(crate) place: String,
    /// Whether names are those of variables, compared without regard to case.
    pub(crate) is_dotenv: bool,
}

impl FileValue {
    /// Whether it is the value of that param.
    pub(super) fn is_for(&self, param: &str, listed: &[&str]) -> bool {
        self.name == param
            || self.is_dotenv
                && (self.name.eq_ignore_ascii_case(param)
                    || self.name == super::variable_of(param)
                    || listed.contains(&self.name.as_str()))
    }

    /// Whether nothing is written there.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self.node.value, Value::Null) || self.node.text().is_some_and(|it| it.is_empty())
    }
}

/// Reads every file; what can't be read is reported.
pub(crate) fn read(paths: &[PathBuf], found: &mut Vec<Diagnostic>) -> Vec<ParamsFile> {
    let mut files = Vec::new();
    for path in paths {
        let (file, mut problems) = read_one(path).unwrap_or_else(|problems| {
            let name = path.display().to_string();
            (ParamsFile { name, values: Vec::new(), is_broken: true }, problems)
        });
        files.push(file);
        found.append(&mut problems);
    }
    files
}

/// A file and what is wrong with single lines of it, or why nothing of it can be used.
fn read_one(path: &Path) -> Result<(ParamsFile, Vec<Diagnostic>), Vec<Diagnostic>> {
    let name = path.display().to_string();
    let problem = |what: &str, help: &str| {
        vec![Diagnostic::error(Code::ParamFile, format!("--params-file {name}: {what}")).help(help)]
    };
    let ending = path.extension().and_then(|it| it.to_str()).unwrap_or_default();
    let stem = path.file_name().and_then(|it| it.to_str()).unwrap_or_default();
    let format = match ending.to_ascii_lowercase().as_str() {
        "yaml" | "yml" => Some((Format::Yaml, "YAML")),
        // Whatever is JSON is YAML.
        "json" => Some((Format::Yaml, "JSON")),
        "toml" => Some((Format::Toml, "TOML")),
        "env" => None,
        _ if stem == ".env" || stem.starts_with(".env.") => None,
        _ => {
            let help = "name it `….yaml`, `….toml`, `….json` or `….env`";
            return Err(problem("its name tells no format", help));
        }
    };
    let text = source::read_file(path).map_err(|error| {
        let words =
            error.message.replace("can't read the plan", "can't read").replace("the plan ", "");
        problem(&words, "check the path; it is relative to the current directory")
    })?;
    let Some((format, word)) = format else { return Ok(dotenv(&name, &text)) };
    if text.trim().is_empty() {
        return Ok((ParamsFile { name, values: Vec::new(), is_broken: false }, Vec::new()));
    }
    let mut sources = Sources::default();
    let source = sources.add(&name, &text);
    let tree = source::parse(&sources, source, format).map_err(|problems| {
        let shown = |it: Diagnostic| {
            let line = it.location().map_or(1, |at| at.line);
            let words = it.message.replace("YAML", word).replace("the plan", "the file");
            Diagnostic::error(
                Code::ParamFile,
                format!("--params-file {name}, line {line}: {words}"),
            )
            .help("write one `name: value` for each param")
        };
        problems.into_iter().map(shown).collect::<Vec<_>>()
    })?;
    let Value::Map(entries) = tree.value else {
        let what = format!("it is no map of names to values but {}", tree.describe());
        return Err(problem(&what, "write one `name: value` for each param"));
    };
    let values = entries
        .into_iter()
        .map(|entry| FileValue {
            place: format!("{name}:{}", sources.location(entry.key_span).line),
            name: entry.key,
            node: entry.node,
            is_dotenv: false,
        })
        .collect();
    Ok((ParamsFile { name, values, is_broken: false }, Vec::new()))
}

/// Lines of `NAME=value`, with `export`, `#` comments and quotes; and what is wrong with others.
fn dotenv(file: &str, text: &str) -> (ParamsFile, Vec<Diagnostic>) {
    let mut values = Vec::new();
    let mut problems = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let named = line.split_once('=').filter(|(name, _)| super::is_name(name.trim()));
        let (name, value) = match named {
            Some((name, value)) => (Some(name.trim()), unquoted(value.trim())),
            None => (None, Err("this is no `NAME=value`")),
        };
        let value = match value {
            Ok(text) => Value::Text(text),
            Err(what) => {
                let message = format!("--params-file {file}, line {}: {what}", number + 1);
                problems.push(
                    Diagnostic::error(Code::ParamFile, message)
                        .help("write `NAME=value`, `NAME=\"value\"` or a comment after `#`"),
                );
                Value::Broken
            }
        };
        let Some(name) = name else { continue };
        values.push(FileValue {
            name: name.to_owned(),
            node: Node::new(value, Span::default()),
            place: format!("{file}:{}", number + 1),
            is_dotenv: true,
        });
    }
    (ParamsFile { name: file.to_owned(), values, is_broken: false }, problems)
}

/// A value without its quotes, or without the comment after it.
fn unquoted(value: &str) -> Result<String, &'static str> {
    let Some(mark) = value.chars().next().filter(|first| "\"'".contains(*first)) else {
        let end = value.find(" #").unwrap_or(value.len());
        return Ok(value[..end].trim_end().to_owned());
    };
    let mut text = String::new();
    let mut letters = value[1..].chars();
    while let Some(letter) = letters.next() {
        match letter {
            _ if letter == mark => {
                let rest = letters.as_str().trim();
                let is_end = rest.is_empty() || rest.starts_with('#');
                return if is_end { Ok(text) } else { Err("text follows the closing quote") };
            }
            '\\' if mark == '"' => match letters.next() {
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some(other) => text.push(other),
                None => break,
            },
            other => text.push(other),
        }
    }
    Err("a quote is never closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotenv_knows_quotes_comments_and_export() {
        let text =
            "# first\nexport A=1\nB = \"two # \\\"2\\\"\" # second\nC='x y'\nD=a#b # c\nE=\n";
        let (file, problems) = dotenv(".env", text);
        assert_eq!(problems, []);
        let read: Vec<(String, String)> = file
            .values
            .iter()
            .map(|value| (value.name.clone(), value.node.text().unwrap_or_default()))
            .collect();
        let expected = [("A", "1"), ("B", "two # \"2\""), ("C", "x y"), ("D", "a#b"), ("E", "")];
        let expected: Vec<_> =
            expected.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        assert_eq!(read, expected);
        assert_eq!(file.values[1].place, ".env:3");
    }

    #[test]
    fn a_bad_dotenv_line_is_told_by_number_and_not_shown() {
        let (file, problems) = dotenv(".env", "GOOD=1\nsecret-token\nQ=\"open\n");
        assert_eq!(file.values[0].node.text().as_deref(), Some("1"), "the good line still counts");
        assert!(matches!(file.values[1].node.value, Value::Broken));
        let words: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(words.len(), 2);
        assert!(words[0].contains("line 2") && !words[0].contains("secret-token"), "{words:?}");
        assert!(words[1].contains("never closed"), "{words:?}");
    }
}

//! Text → one spanned tree, whatever the format.
//!
//! In: a plan file's text. Out: a [`Node`] whose every key and value knows its bytes, or
//! diagnostics. Invariant: YAML and TOML give equal trees for equal plans, and nothing above this
//! folder names either format's crate.

mod depth;
mod text;
mod toml;
mod tree;
mod yaml;

use std::fs;
use std::io::Read;
use std::path::Path;

pub use text::Sources;
pub(crate) use text::Span;
pub(crate) use tree::{At, Entry, Node, Origin, Value, shorten};

use super::diagnostic::{Code, Diagnostic};

/// Largest plan file, in bytes.
const MAX_BYTES: u64 = 1 << 20;
/// Most values of a plan, aliases followed.
const MAX_NODES: u32 = 50_000;

/// The two formats of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Yaml,
    Toml,
}

impl Format {
    /// The format that a file name's ending stands for.
    pub(crate) fn of(name: &str) -> Result<Self, Diagnostic> {
        let ending = Path::new(name).extension().and_then(|ending| ending.to_str());
        match ending.map(str::to_ascii_lowercase).as_deref() {
            Some("yaml" | "yml") => Ok(Self::Yaml),
            Some("toml") => Ok(Self::Toml),
            _ => Err(Diagnostic::error(
                Code::File,
                format!("`{name}` is neither YAML nor TOML by its name"),
            )
            .help("name the file `….yaml`, `….yml` or `….toml`")),
        }
    }
}

/// Reads a plan file: a regular file of UTF-8 text of at most 1 MiB.
pub(crate) fn read_file(path: &Path) -> Result<String, Diagnostic> {
    let shown = path.display();
    let problem = |what: String| Diagnostic::error(Code::File, what);
    // Looked at before it is opened: opening a FIFO would wait for a writer for ever.
    let meta = fs::metadata(path).map_err(|error| {
        let diagnostic = problem(format!("can't read the plan `{shown}`: {}", reason(&error)));
        if error.kind() == std::io::ErrorKind::NotFound {
            diagnostic.help("check the path; it is relative to the current directory")
        } else {
            diagnostic
        }
    })?;
    if !meta.is_file() {
        let kind = if meta.is_dir() { "a directory" } else { "not a regular file" };
        return Err(
            problem(format!("the plan `{shown}` is {kind}")).help("give the path of one plan file")
        );
    }
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| problem(format!("can't read the plan `{shown}`: {}", reason(&error))))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Diagnostic::error(
            Code::Limit,
            format!("the plan `{shown}` is larger than 1 MiB"),
        )
        .help("keep data in a dataset file and name it in `prompt.dataset`"));
    }
    String::from_utf8(bytes).map_err(|error| {
        problem(format!(
            "the plan `{shown}` is not UTF-8 text (byte {})",
            error.utf8_error().valid_up_to()
        ))
        .help("save it as UTF-8")
    })
}

/// A plan with more of something than `most`.
fn too_large(most: &str) -> Diagnostic {
    Diagnostic::error(Code::Limit, format!("the plan is too large: at most {most}"))
        .help("keep data in a dataset file and name it in `prompt.dataset`")
}

/// An I/O error without the operating system's number.
pub(crate) fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".into(),
        std::io::ErrorKind::PermissionDenied => "permission denied".into(),
        _ => error.to_string(),
    }
}

/// Reads a value as YAML writes it, for `--set`; what is not YAML is text.
pub(crate) fn value(sources: &Sources, span: Span, text: &str) -> Node {
    let mut lone = Sources::default();
    let source = lone.add("--set", text);
    let mut node = match yaml::parse(&lone, source) {
        Ok(node) => node,
        Err(_) => Node::new(Value::Text(text.to_owned()), span),
    };
    node.move_to(span, sources.slice(span) == text);
    node
}

/// Parses one text of `sources` into a numbered tree; every syntax error the parser can tell is
/// returned.
pub(crate) fn parse(
    sources: &Sources,
    source: u16,
    format: Format,
) -> Result<Node, Vec<Diagnostic>> {
    let text = sources.text(source);
    if text.len() as u64 > MAX_BYTES {
        return Err(vec![
            Diagnostic::error(Code::Limit, "the plan is larger than 1 MiB")
                .help("keep data in a dataset file and name it in `prompt.dataset`"),
        ]);
    }
    let mut root = match format {
        Format::Yaml => yaml::parse(sources, source)?,
        Format::Toml => toml::parse(sources, source)?,
    };
    if let Value::Null = root.value {
        let at = sources.location(Span::new(source, 0, 0));
        return Err(vec![
            Diagnostic::error(Code::Syntax, "the plan is empty")
                .at(at)
                .help("start with `version: 1`, `endpoint:`, `prompt:` and `stages:`"),
        ]);
    }
    root.number(0);
    Ok(root)
}

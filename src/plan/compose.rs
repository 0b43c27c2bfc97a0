//! Reuse: one tree out of a plan and the files it names.
//!
//! In: a plan's text. Out: its tree with `extends` and `include` followed and gone, every node
//! still pointing into its own file; or what is wrong. Invariant: only regular files within the
//! plan's root are read, none of them inside itself.
//!
//! `include` adds the names of libraries, which must be new; `extends` lays the plan over one
//! parent ([`overlay`]). What goes into stages ([`defaults`]) and out of them ([`path`]) is applied
//! by the loader, in that order.

pub(super) mod defaults;
mod overlay;
pub(super) mod path;

use std::fs;
use std::path::{Path, PathBuf};

use super::diagnostic::{Code, Diagnostic};
use super::source::{self, Entry, Format, Node, Sources, Span, Value, reason};
use super::suggest;

/// What a library may hold.
const SHARED: [&str; 4] = ["endpoints", "params", "prompts", "defaults"];
/// What else may stand in it.
const BESIDE: [&str; 3] = ["version", "name", "description"];
/// More files than any plan is made of.
const MAX_FILES: usize = 100;

/// Reads a plan and the files it names.
pub(super) struct Composer<'c> {
    pub(super) sources: &'c mut Sources,
    pub(super) found: &'c mut Vec<Diagnostic>,
    /// The folder that files may not leave.
    pub(super) root: &'c Path,
    pub(super) allow_outside_root: bool,
}

/// A plan that is being read, and where it names the next.
struct Open {
    name: String,
    canonical: Option<PathBuf>,
    extends: Span,
}

impl Composer<'_> {
    /// The whole tree of a plan; `None` when any file of it can't be used.
    pub(super) fn plan(&mut self, name: &str, text: &str) -> Option<Node> {
        let before = self.found.len();
        let tree = self.parse(name, text, "a plan")?;
        let mut chain = vec![Open {
            name: name.to_owned(),
            canonical: fs::canonicalize(name).ok(),
            extends: tree.at.span,
        }];
        let tree = self.whole(tree, &mut chain);
        (self.found.len() == before).then_some(tree)
    }

    fn parse(&mut self, name: &str, text: &str, what: &str) -> Option<Node> {
        let parsed = Format::of(name).map_err(|problem| vec![problem]).and_then(|format| {
            let source = self.sources.add(name, text);
            source::parse(self.sources, source, format)
        });
        match parsed {
            Ok(tree) if matches!(tree.value, Value::Map(_)) => Some(tree),
            Ok(tree) => {
                let message = format!("{what} is a map of keys, not {}", tree.describe());
                self.found.push(
                    Diagnostic::error(Code::Type, message)
                        .at(self.sources.location(tree.at.span))
                        .help("start with `version: 1`"),
                );
                None
            }
            Err(mut problems) => {
                self.found.append(&mut problems);
                None
            }
        }
    }

    /// A plan with its libraries and its parent.
    fn whole(&mut self, mut tree: Node, chain: &mut Vec<Open>) -> Node {
        if let Some(include) = tree.take("include") {
            self.include(&mut tree, &include);
        }
        let without = tree.take("without");
        let Some(extends) = tree.take("extends") else {
            if let Some(without) = without {
                self.error(
                    Code::Reuse,
                    without.key_span,
                    "`without` takes things out of the plan under `extends`, and there is none",
                    "remove the keys themselves",
                );
            }
            return tree;
        };
        let Some(mut parent) = self.parent(&extends.node, chain) else { return tree };
        for path in without.iter().flat_map(|without| listed(&without.node)) {
            self.without(&mut parent, path);
        }
        overlay::over(parent, tree)
    }

    /// The plan under `extends`, itself whole.
    fn parent(&mut self, extends: &Node, chain: &mut Vec<Open>) -> Option<Node> {
        if let Value::List(_) = extends.value {
            self.error(
                Code::Reuse,
                extends.at.span,
                "a plan extends one plan, not a list",
                "put what is shared into libraries and `include` them",
            );
            return None;
        }
        let (path, canonical) = self.locate("extends", extends)?;
        if let Some(open) = chain.last_mut() {
            open.extends = extends.at.span;
        }
        if let Some(first) =
            chain.iter().position(|open| open.canonical.as_deref() == Some(&canonical))
        {
            self.cycle(&chain[first..]);
            return None;
        }
        let name = path.display().to_string();
        let text = self.read("extends", extends, &path)?;
        let mut tree = self.parse(&name, &text, "a plan")?;
        chain.push(Open { name, canonical: Some(canonical), extends: tree.at.span });
        self.version(&mut tree);
        let tree = self.whole(tree, chain);
        chain.pop();
        Some(tree)
    }

    fn cycle(&mut self, chain: &[Open]) {
        let names: Vec<&str> =
            chain.iter().chain(&chain[..1]).map(|open| open.name.as_str()).collect();
        let message = format!("these plans extend each other: {}", names.join(" → "));
        let mut diagnostic = Diagnostic::error(Code::FileCycle, message);
        for (open, next) in chain.iter().zip(&names[1..]) {
            let words = format!("`{}` extends `{next}`", open.name);
            diagnostic = diagnostic.label(self.sources.location(open.extends), words);
        }
        self.found.push(diagnostic.help("take one `extends` out"));
    }

    /// Adds what libraries declare.
    fn include(&mut self, tree: &mut Node, include: &Entry) {
        let mut seen: Vec<PathBuf> = Vec::new();
        for item in listed(&include.node) {
            let Some((path, canonical)) = self.locate("include", item) else { continue };
            if seen.contains(&canonical) {
                self.error(
                    Code::Clash,
                    item.at.span,
                    "this library is included twice",
                    "remove one",
                );
                continue;
            }
            seen.push(canonical);
            let Some(text) = self.read("include", item, &path) else { continue };
            let name = path.display().to_string();
            let Some(mut library) = self.parse(&name, &text, "a library") else { continue };
            self.version(&mut library);
            let Value::Map(sections) = library.value else { continue };
            for section in sections {
                if SHARED.contains(&section.key.as_str()) {
                    self.add(tree, section);
                } else if !BESIDE.contains(&section.key.as_str()) && !section.key.starts_with("x-")
                {
                    let message = format!("`{}` can't stand in a library", section.key);
                    let near = suggest::did_you_mean(&section.key, SHARED);
                    self.found.push(
                        Diagnostic::error(Code::UnknownKey, message)
                            .label(self.sources.location(section.key_span), near)
                            .help(format!("keys allowed here: {}", suggest::list(SHARED)))
                            .help("to build on a whole plan, name it under `extends`"),
                    );
                }
            }
        }
    }

    /// Adds a library's section; a name that is there already is an error.
    fn add(&mut self, tree: &mut Node, section: Entry) {
        let Value::Map(entries) = &mut tree.value else { return };
        let Some(own) = entries.iter_mut().find(|entry| entry.key == section.key) else {
            entries.push(section);
            return;
        };
        if matches!(own.node.value, Value::Null) {
            own.node = section.node;
            return;
        }
        let (Value::Map(own), Value::Map(added)) = (&mut own.node.value, section.node.value) else {
            // Binding says what is wrong with a section that is no map.
            return;
        };
        for entry in added {
            match own.iter().find(|other| other.key == entry.key) {
                None => own.push(entry),
                Some(other) => self.found.push(
                    Diagnostic::error(
                        Code::Clash,
                        format!("`{}` is declared twice under `{}`", entry.key, section.key),
                    )
                    .label(self.sources.location(other.key_span), "here")
                    .label(self.sources.location(entry.key_span), "and in this library")
                    .help("rename one; only a plan that `extends` another may replace what it has"),
                ),
            }
        }
    }

    /// A named file's own `version`, which is not the plan's.
    fn version(&mut self, tree: &mut Node) {
        // A plan is called by its own name, not its parent's.
        tree.take("name");
        let Some(version) = tree.take("version") else { return };
        if version.node.text().as_deref() != Some("1") {
            let message = format!("the version of this file is {}", version.node.describe());
            let help = "this runner reads `version: 1`";
            self.error(Code::Version, version.node.at.span, &message, help);
        }
    }

    /// Takes one thing out of a parent.
    fn without(&mut self, parent: &mut Node, path: &Node) {
        let Some(text) = path.text() else {
            let help = "write `without: [stages.warm, prompt.context]`";
            self.error(Code::Type, path.at.span, "`without` lists places of the parent", help);
            return;
        };
        if let Err(problem) = path::remove(parent, &text, path.at.span, self.sources) {
            self.found.push(problem);
        }
    }

    /// Where a named file is, if it may be read.
    fn locate(&mut self, key: &str, written: &Node) -> Option<(PathBuf, PathBuf)> {
        let span = written.at.span;
        let Some(text) = written.text().filter(|text| !text.trim().is_empty()) else {
            let message = format!("`{key}` names a file, not {}", written.describe());
            self.error(Code::Reuse, span, &message, "give its path, relative to this file");
            return None;
        };
        if text.contains("${") {
            let message = format!("`{key}` is read before params are known");
            self.error(Code::Reuse, span, &message, "write the path itself");
            return None;
        }
        let path = tidy(&self.sources.folder(span.source).join(text.trim()));
        let problem = match (fs::canonicalize(&path), fs::metadata(&path)) {
            (Ok(canonical), Ok(meta)) if meta.is_file() => {
                let root = fs::canonicalize(self.root).unwrap_or_else(|_| self.root.to_path_buf());
                if self.allow_outside_root || canonical.starts_with(&root) {
                    if let Err(problem) = Format::of(text.trim()) {
                        self.found.push(problem.at(self.sources.location(span)));
                        return None;
                    }
                    return Some((path, canonical));
                }
                let root = self.root.display().to_string();
                let root = if root.is_empty() { "." } else { &root };
                let help = format!("the root is `{root}`; `--allow-outside-root` lifts this");
                self.error(Code::Reuse, span, &format!("`{key}` leaves the plan's root"), &help);
                return None;
            }
            (_, Ok(meta)) if meta.is_dir() => "it is a directory".to_owned(),
            (_, Ok(_)) => "it is not a regular file".to_owned(),
            (_, Err(error)) => reason(&error),
        };
        let message = format!("`{key}`: can't use `{}`: {problem}", text.trim());
        let help = format!(
            "looked at `{}`; paths are relative to the file that names them",
            path.display()
        );
        self.error(Code::Reuse, span, &message, &help);
        None
    }

    fn read(&mut self, key: &str, written: &Node, path: &Path) -> Option<String> {
        if self.sources.all().count() >= MAX_FILES {
            let message = format!("the plan is made of more than {MAX_FILES} files");
            self.error(Code::Limit, written.at.span, &message, "join some of them");
            return None;
        }
        let place = self.sources.location(written.at.span);
        match source::read_file(path) {
            Ok(text) => Some(text),
            Err(problem) => {
                self.found.push(problem.label(place, format!("named by this `{key}`")));
                None
            }
        }
    }

    fn error(&mut self, code: Code, span: Span, message: &str, help: &str) {
        self.found
            .push(Diagnostic::error(code, message).at(self.sources.location(span)).help(help));
    }
}

/// One value, or the items of a list.
fn listed(node: &Node) -> &[Node] {
    match &node.value {
        Value::List(items) => items,
        Value::Null => &[],
        _ => std::slice::from_ref(node),
    }
}

/// A path without `.` and without steps down and up again, for messages.
fn tidy(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::CurDir => {}
            // A link may stand before `..`; then only the file system knows the way.
            std::path::Component::ParentDir if out.file_name().is_some() && !out.is_symlink() => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

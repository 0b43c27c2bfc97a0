//! Files that a plan names.
//!
//! In: a path as written. Out: where it is. Invariant: what a plan sends to a server comes from a
//! regular file within the plan's root, unless the person at the keyboard says otherwise. A path is
//! relative to the file that it is written in; one that was given from outside (a flag, a variable),
//! to where that person stands.

use std::fs;
use std::path::{Path, PathBuf};

use super::Lowering;
use crate::plan::bind::Spanned;
use crate::plan::diagnostic::{Code, Diagnostic};
use crate::plan::source::reason;

impl Lowering<'_> {
    /// A data file, confined to the plan's root.
    pub(super) fn data_file(&mut self, key: &str, written: &Spanned<String>) -> Option<PathBuf> {
        let path = self.file(key, written)?;
        if self.options.allow_outside_root || self.is_from_outside(written) {
            return Some(path);
        }
        // Links are followed first: a link may lead outside.
        let inside = match (fs::canonicalize(&path), fs::canonicalize(&self.root)) {
            (Ok(path), Ok(root)) => path.starts_with(root),
            _ => false,
        };
        if !inside {
            let message = format!("`{key}` leaves the plan's root");
            let root = self.root.display().to_string();
            let root = if root.is_empty() { "." } else { &root };
            self.push(
                Diagnostic::error(Code::Path, message)
                    .at(self.location(written.at.span))
                    .help(format!("the root is `{root}`; `--allow-outside-root` lifts this")),
            );
            return None;
        }
        Some(path)
    }

    /// Whether a text was given from outside the plan, or begins with what was.
    pub(super) fn is_from_outside(&self, written: &Spanned<String>) -> bool {
        let node = self.tree.find(written.at.id);
        self.sources.is_flag(written.at.span.source)
            || node.and_then(|node| node.origin.as_ref()).is_some_and(|origin| origin.is_outside)
    }

    /// The folder that a relative path starts from; empty for the current one.
    pub(super) fn base(&self, written: &Spanned<String>) -> PathBuf {
        if self.is_from_outside(written) {
            return PathBuf::new();
        }
        self.sources.folder(written.at.span.source)
    }

    /// Any regular file that exists.
    pub(super) fn file(&mut self, key: &str, written: &Spanned<String>) -> Option<PathBuf> {
        let text = written.value.trim();
        if text.is_empty() {
            self.error(Code::Path, written.at.span, format!("`{key}` is empty"), "give a path");
            return None;
        }
        let path = self.base(written).join(text);
        let problem = match fs::metadata(&path) {
            Err(error) => reason(&error),
            Ok(meta) if meta.is_dir() => "it is a directory".into(),
            Ok(meta) if !meta.is_file() => "it is not a regular file".into(),
            Ok(_) => return Some(path),
        };
        let message = format!("`{key}`: can't use `{text}`: {problem}");
        let help = match (Path::new(text).is_relative(), self.is_from_outside(written)) {
            (false, _) => String::new(),
            (true, false) => {
                format!("looked at `{}`; paths are relative to the plan's file", path.display())
            }
            (true, true) => {
                let here = std::env::current_dir().unwrap_or_default().join(&path);
                format!(
                    "looked at `{}`; a path given by a flag or a variable is relative to the \
                     current directory",
                    here.display()
                )
            }
        };
        self.error(Code::Path, written.at.span, message, &help);
        None
    }
}

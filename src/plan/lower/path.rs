//! Files that a plan names.
//!
//! In: a path as written. Out: where it is. Invariant: what a plan sends to a server comes from a
//! regular file within the plan's root, unless the person at the keyboard says otherwise.

use std::fs;
use std::path::PathBuf;

use super::Lowering;
use crate::plan::bind::Spanned;
use crate::plan::diagnostic::{Code, Diagnostic};
use crate::plan::source::reason;

impl Lowering<'_> {
    /// A data file, confined to the plan's root.
    pub(super) fn data_file(&mut self, key: &str, written: &Spanned<String>) -> Option<PathBuf> {
        let path = self.file(key, written)?;
        if self.options.allow_outside_root {
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

    /// Any regular file that exists.
    pub(super) fn file(&mut self, key: &str, written: &Spanned<String>) -> Option<PathBuf> {
        let text = written.value.trim();
        if text.is_empty() {
            self.error(Code::Path, written.at.span, format!("`{key}` is empty"), "give a path");
            return None;
        }
        let path = self.sources.folder(written.at.span.source).join(text);
        let problem = match fs::metadata(&path) {
            Err(error) => reason(&error),
            Ok(meta) if meta.is_dir() => "it is a directory".into(),
            Ok(meta) if !meta.is_file() => "it is not a regular file".into(),
            Ok(_) => return Some(path),
        };
        let message = format!("`{key}`: can't use `{text}`: {problem}");
        let help = if std::path::Path::new(text).is_relative() {
            format!("looked at `{}`; paths are relative to the plan's file", path.display())
        } else {
            String::new()
        };
        self.error(Code::Path, written.at.span, message, &help);
        None
    }
}

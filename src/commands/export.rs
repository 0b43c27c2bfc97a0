//! `runner report RUN --export FORMAT[=FOLDER]`: a run in the files of other tools.
//!
//! In: a run directory and formats. Out: files, in `RUN/export/FORMAT/` unless a folder is named.
//! Invariant: all formats are known before the first file is written.

use std::path::{Path, PathBuf};

use crate::executor::manifest::{Manifest, ManifestEndpoint};
use crate::metrics::record_log;
use crate::metrics::summary::Summary;
use crate::output::note;
use crate::report::export::{self, Beside, Collector, Evidence, FORMATS, File, Format};
use crate::sink::atomic_file;

/// Writes the files of every format that is asked for. `Err` holds the exit code.
pub(super) fn run(
    run: &Path,
    asked: &[String],
    summary: &Summary,
    manifest: Option<&Manifest>,
    percentiles: &[f64],
) -> Result<(), u8> {
    let mut formats = Vec::new();
    for text in asked {
        let (word, folder) = match text.split_once('=') {
            Some((word, folder)) => (word, PathBuf::from(folder)),
            None => (text.as_str(), run.join("export").join(text)),
        };
        let Some(format) = export::format(word) else {
            let problem = format!("no export is called `{word}`");
            return Err(refuse(&problem, &format!("formats: {}", known())));
        };
        if folder.as_os_str().is_empty() {
            return Err(refuse(
                &format!("`--export {text}` names no folder"),
                "write FORMAT=FOLDER",
            ));
        }
        formats.push((format, folder));
    }
    if formats.is_empty() {
        return Ok(());
    }
    let evidence = match evidence(run, summary, beside(manifest, percentiles)) {
        Ok(evidence) => evidence,
        Err(problem) => return Err(refuse(&problem, "give the directory of a run")),
    };
    evidence.notes().iter().for_each(|line| note!("note: {line}"));
    for (format, folder) in formats {
        match write(&evidence, format, &folder) {
            Ok(1) => note!("export {}: 1 file in {}", format.word, folder.display()),
            Ok(count) => note!("export {}: {count} files in {}", format.word, folder.display()),
            Err(problem) => {
                note!("error: export {}: {problem}", format.word);
                return Err(super::USAGE);
            }
        }
    }
    Ok(())
}

fn refuse(problem: &str, help: &str) -> u8 {
    note!("error: {problem}\n  help: {help}");
    super::USAGE
}

/// Every word with what comes out.
fn known() -> String {
    FORMATS.iter().map(|format| format.word).collect::<Vec<_>>().join(", ")
}

fn evidence(run: &Path, summary: &Summary, beside: Beside) -> Result<Evidence, String> {
    let mut collector = Collector::default();
    record_log::read(run, |_, line| collector.line(line)).map_err(|error| error.to_string())?;
    collector
        .finish(summary.clone(), beside)
        .ok_or_else(|| "the record log does not say which run it is".to_owned())
}

/// What the manifest knows, and the percentiles that were chosen: now, else when it ran.
fn beside(manifest: Option<&Manifest>, percentiles: &[f64]) -> Beside {
    let Some(manifest) = manifest else {
        return Beside { percentiles: percentiles.to_vec(), ..Beside::default() };
    };
    let of = |it: &ManifestEndpoint| {
        (it.name.clone(), it.request_url.clone().unwrap_or_else(|| it.url.clone()))
    };
    let percentiles = match percentiles {
        [] => chosen(&manifest.arguments),
        now => now.to_vec(),
    };
    Beside {
        endpoints: manifest.endpoints.iter().map(of).collect(),
        plan: manifest.plan.resolved.clone(),
        percentiles,
    }
}

/// The values of `--percentiles` among the arguments of a run.
fn chosen(arguments: &[String]) -> Vec<f64> {
    const FLAG: &str = "--percentiles";
    let value = arguments.iter().enumerate().find_map(|(at, argument)| match argument.as_str() {
        FLAG => arguments.get(at + 1).map(String::as_str),
        other => other.strip_prefix(FLAG)?.strip_prefix('='),
    });
    value.unwrap_or_default().split(',').filter_map(|it| it.trim().parse().ok()).collect()
}

fn write(evidence: &Evidence, format: Format, folder: &Path) -> Result<usize, String> {
    let mut files = (format.write)(evidence)?;
    let notes = evidence.notes();
    if !notes.is_empty() {
        files.push(File { name: "NOTES.txt".to_owned(), bytes: (notes.join("\n") + "\n").into() });
    }
    for file in &files {
        let path = folder.join(&file.name);
        let failed = |error: std::io::Error| format!("{}: {error}", path.display());
        std::fs::create_dir_all(atomic_file::parent(&path)).map_err(failed)?;
        atomic_file::write(&path, &file.bytes).map_err(failed)?;
    }
    Ok(files.len())
}

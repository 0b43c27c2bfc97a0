//! `runner dataset inspect|convert`.
//!
//! In: files and how to read them. Out: what they hold, as text or JSON; or another file. A
//! malformed row is shown with its place and changes the exit code unless skipping was asked for.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use crate::cli::{
    ConvertToArg, DatasetArgs, DatasetCommand, OnMalformedArg, ReadArgs, SurveyFormat, UnitArg,
};
use crate::client::dialect::to_chat_words;
use crate::metrics::quantity::plural;
use crate::output::{self, note};
use crate::plan::suggest;
use crate::plan::workload::{
    DatasetConfig, DatasetFormat, FieldPointers, OnMalformed, RecordedFailures, TimestampUnit,
};
use crate::sink::atomic_file;
use crate::workload::dataset::convert::{ConvertError, ConvertTo, convert as write_rows};
use crate::workload::dataset::survey::{Lengths, Survey, survey};
use crate::workload::dataset::{Dataset, DatasetError};
use crate::workload::tokenizer::Tokenizer;

/// Widest bar, in characters.
const BAR: u64 = 40;

/// Does what the arguments say.
pub fn run(args: &DatasetArgs) -> anyhow::Result<u8> {
    let read = match &args.command {
        DatasetCommand::Inspect(args) => &args.read,
        DatasetCommand::Convert(args) => &args.read,
    };
    let config = match config(read) {
        Ok(config) => config,
        Err(problem) => return Ok(refuse(&problem)),
    };
    match &args.command {
        DatasetCommand::Inspect(args) => {
            let as_json = args.output_format == SurveyFormat::Json;
            inspect(&config, args.tokenizer.as_deref(), as_json)
        }
        DatasetCommand::Convert(args) => {
            let to = match args.to {
                ConvertToArg::OpenaiMessages => ConvertTo::OpenaiMessages,
                ConvertToArg::Sharegpt => ConvertTo::ShareGpt,
                ConvertToArg::Mooncake => ConvertTo::Mooncake,
            };
            convert(&config, to, &args.output, args.overwrite)
        }
    }
}

/// How the arguments say that files are read.
fn config(args: &ReadArgs) -> Result<DatasetConfig, String> {
    let format = match &args.format {
        None => None,
        Some(name) => Some(DatasetFormat::from_name(name).ok_or_else(|| {
            let names: Vec<_> = DatasetFormat::ALL.iter().map(|it| it.word()).collect();
            let near = suggest::did_you_mean(name, names.iter().copied());
            let near = if near.is_empty() { near } else { format!(": {near}") };
            format!("no format is called `{name}`{near}\n  formats: {}", names.join(", "))
        })?),
    };
    let mut fields = FieldPointers::default();
    for (name, pointer) in &args.fields {
        let Some(field) = fields.named(name) else {
            let near = suggest::did_you_mean(name, FieldPointers::NAMES);
            return Err(format!(
                "rows have no part `{name}`{}\n  parts: {}",
                if near.is_empty() { String::new() } else { format!(": {near}") },
                FieldPointers::NAMES.join(", ")
            ));
        };
        if !pointer.starts_with('/') {
            return Err(format!(
                "`{pointer}` is no JSON pointer; it begins with `/`: `/{pointer}`"
            ));
        }
        *field = Some(pointer.clone());
    }
    Ok(DatasetConfig {
        files: args.files.clone(),
        format,
        fields,
        timestamp_unit: args.timestamp_unit.map(|unit| match unit {
            UnitArg::S => TimestampUnit::Seconds,
            UnitArg::Ms => TimestampUnit::Milliseconds,
            UnitArg::Us => TimestampUnit::Microseconds,
            UnitArg::Ns => TimestampUnit::Nanoseconds,
        }),
        malformed: match args.on_malformed {
            OnMalformedArg::Error => OnMalformed::Error,
            OnMalformedArg::Skip => OnMalformed::Skip,
        },
        recorded_failures: if args.keep_recorded_failures {
            RecordedFailures::Keep
        } else {
            RecordedFailures::Skip
        },
        limit: args.limit,
        block_tokens: args.block_size,
        ..DatasetConfig::default()
    })
}

/// Shows what a dataset holds. Token counts are by `tokenizer`, a `tokenizer.json`, or estimated.
/// All malformed rows are counted; the exit code tells of them unless `config` says skip.
pub fn inspect(
    config: &DatasetConfig,
    tokenizer: Option<&Path>,
    as_json: bool,
) -> anyhow::Result<u8> {
    let tokenizer = match tokenizer.map(Tokenizer::from_file) {
        None => Tokenizer::Estimate,
        Some(Ok(tokenizer)) => tokenizer,
        Some(Err(error)) => return Ok(refuse(&error)),
    };
    let lenient = DatasetConfig { malformed: OnMalformed::Skip, ..config.clone() };
    let found = Dataset::open(&lenient).and_then(|dataset| survey(&dataset, &tokenizer));
    let found = match found {
        Ok(found) => found,
        Err(error) => return Ok(refuse(&error)),
    };
    if as_json {
        output::print(&output::json(&found)?);
    } else {
        output::print(&as_text(&found)?);
    }
    let is_wrong =
        found.rows == 0 || (found.malformed > 0 && config.malformed == OnMalformed::Error);
    Ok(if is_wrong { super::PLAN_INVALID } else { super::PASS })
}

/// Writes a dataset in another format; the file appears when it is whole. An existing file is
/// replaced only with `overwrite`.
pub fn convert(
    config: &DatasetConfig,
    to: ConvertTo,
    output: &Path,
    overwrite: bool,
) -> anyhow::Result<u8> {
    let ending = output.extension().and_then(|ending| ending.to_str()).map(str::to_lowercase);
    if let Some(ending @ ("gz" | "zst" | "zstd" | "bz2" | "xz" | "lz4" | "parquet")) =
        ending.as_deref()
    {
        return Ok(refuse(&format!(
            "{}: plain text is written, and its name would say `{ending}`; leave that out and pack it \
             afterwards",
            output.display()
        )));
    }
    if output.as_os_str() == "-" {
        return Ok(refuse(&"-o takes a file: it appears when it is whole"));
    }
    if output.exists() && !overwrite {
        return Ok(refuse(&format!(
            "{}: exists already; --overwrite replaces it",
            output.display()
        )));
    }
    let dataset = match Dataset::open(config) {
        Ok(dataset) => dataset,
        Err(error) => return Ok(refuse(&error)),
    };
    let written =
        atomic_file::stream(output, |file| match write_rows(&dataset, to, &to_chat_words, file)? {
            (0, _) => Err(Unwritten::NoRows),
            counts => Ok(counts),
        });
    match written {
        Err(Unwritten::NoRows) => {
            Ok(refuse(&format!("{}: no rows were found", config.files.join(", "))))
        }
        Ok((rows, malformed)) => {
            let left_out = match malformed {
                0 => String::new(),
                more => format!(", {more} malformed left out"),
            };
            note!(
                "{}: {} from {} ({}){left_out}",
                output.display(),
                plural(rows, "row"),
                dataset.format().word(),
                dataset.why(),
            );
            if let Some(lost) = dataset.left_out().parts_in_words() {
                note!("{lost}");
            }
            Ok(super::PASS)
        }
        Err(Unwritten::Output(error)) => {
            Ok(refuse(&format!("{}: can't be written: {error}", output.display())))
        }
        Err(Unwritten::Rows(error)) => {
            let code = refuse(&error);
            if matches!(error, ConvertError::Dataset(DatasetError::Malformed(_))) {
                note!("note: --on-malformed skip leaves such rows out and counts them");
            }
            Ok(code)
        }
    }
}

/// Why nothing was written.
enum Unwritten {
    NoRows,
    Rows(ConvertError),
    Output(std::io::Error),
}

impl From<ConvertError> for Unwritten {
    fn from(error: ConvertError) -> Self {
        match error {
            ConvertError::Output(error) => Self::Output(error),
            rows => Self::Rows(rows),
        }
    }
}

impl From<std::io::Error> for Unwritten {
    fn from(error: std::io::Error) -> Self {
        Self::Output(error)
    }
}

fn refuse(error: &dyn std::fmt::Display) -> u8 {
    note!("error: {error}");
    super::PLAN_INVALID
}

/// A survey for people.
fn as_text(found: &Survey) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    for file in &found.files {
        write!(out, "{} ({} bytes", file.path, file.bytes)?;
        for what in [file.packing, file.content].into_iter().flatten() {
            write!(out, ", {what}")?;
        }
        writeln!(out, ")")?;
    }
    writeln!(out, "format    {} ({})", found.format, found.why)?;
    let kinds: Vec<String> =
        found.prompts.iter().map(|(kind, rows)| format!("{rows} {kind}")).collect();
    let kinds = if kinds.is_empty() { String::new() } else { format!(" ({})", kinds.join(", ")) };
    writeln!(out, "rows      {}{kinds}", found.rows)?;
    for (name, rows) in [
        ("malformed", found.malformed),
        ("passed over (not rows of this format)", found.other),
        ("left out (failed when recorded)", found.recorded_failures),
    ] {
        if rows > 0 {
            writeln!(out, "          {rows} {name}")?;
        }
    }
    let unasked = found.prompts.iter().filter(|it| ["fields", "answers alone"].contains(&it.0));
    let rows: u64 = unasked.map(|(_, rows)| rows).sum();
    if (1..found.rows).contains(&rows) {
        writeln!(
            out,
            "          {rows} without a prompt: malformed where rows are asked as they are, fields for templates"
        )?;
    }
    if !found.block_tokens.is_empty() {
        let sizes: Vec<String> = found.block_tokens.iter().map(u64::to_string).collect();
        writeln!(
            out,
            "          blocks of {} tokens (--block-size says otherwise)",
            sizes.join(", ")
        )?;
    }
    for problem in &found.problems {
        writeln!(out, "          {problem}")?;
    }
    match &found.sessions {
        Some(sessions) => {
            let about = if sessions.is_estimate { "about " } else { "" };
            writeln!(
                out,
                "sessions  {about}{} ({:.1} rows each; {} rows name one)",
                sessions.count, sessions.mean_turns, sessions.rows
            )?;
        }
        None => writeln!(out, "sessions  none named")?,
    }
    match &found.time {
        Some(span) => {
            let rate = span.rows_per_second.map(|rate| format!(", {rate:.3} rows/s"));
            writeln!(
                out,
                "time      {} to {} ({:.3} s{}; {} rows out of order)",
                span.first,
                span.last,
                span.seconds,
                rate.unwrap_or_default(),
                span.out_of_order
            )?;
        }
        None => writeln!(out, "time      no stamps")?,
    }
    if !found.models.is_empty() {
        writeln!(out, "models    {}", found.models.join(", "))?;
    }
    let in_rows = |parts: &BTreeMap<String, u64>| {
        let parts: Vec<_> = parts.iter().map(|(name, rows)| format!("{name} in {rows}")).collect();
        parts.join(", ")
    };
    if !found.roles.is_empty() {
        let is_apart = found.roles.keys().any(|role| role != "user");
        let note = if is_apart { " (an API of one text sends no roles)" } else { "" };
        writeln!(out, "roles     {}{note}", in_rows(&found.roles))?;
    }
    if !found.left_out.is_empty() {
        writeln!(out, "left out of rows: {}", in_rows(&found.left_out))?;
    }
    lengths(&mut out, "input tokens", found.input_tokens.as_ref())?;
    if found.input_tokens.is_none() && found.rows > 0 {
        let how = "no field is known to be the prompt; --field prompt=/NAME says which is";
        writeln!(out, "  ({how}, and templates reach every field as row.NAME)")?;
    }
    lengths(&mut out, "output tokens", found.output_tokens.as_ref())?;
    if found.max_tokens.is_some() {
        lengths(&mut out, "most output tokens", found.max_tokens.as_ref())?;
    }
    Ok(out)
}

fn lengths(out: &mut String, name: &str, lengths: Option<&Lengths>) -> std::fmt::Result {
    let Some(lengths) = lengths else { return writeln!(out, "\n{name}: unknown") };
    writeln!(
        out,
        "\n{name} (by {}): mean {:.1}, min {}, p50 {}, p90 {}, p99 {}, max {}, total {}",
        lengths.source,
        lengths.mean,
        lengths.min,
        lengths.p50,
        lengths.p90,
        lengths.p99,
        lengths.max,
        lengths.total
    )?;
    let most = lengths.histogram.iter().map(|bar| bar.count).max().unwrap_or(1).max(1);
    for bar in &lengths.histogram {
        let range = format!("{}-{}", bar.from, bar.to);
        // Anything that is there at all is seen.
        let width = u128::from(bar.count) * u128::from(BAR) / u128::from(most);
        let width = if bar.count > 0 { width.max(1) } else { 0 };
        let bars = "█".repeat(usize::try_from(width).unwrap_or(0));
        let line = format!("{range:>19} {:>9} {bars}", bar.count);
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

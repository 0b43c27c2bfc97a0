//! Which reader a format has, and which format a file has.
//!
//! In: a [`DatasetFormat`], or the beginning of a file. Out: the pieces it is cut into, the unit of
//! its times, and its rows. Invariant: detection looks at the content first (a name may be wrong
//! or missing) and always says why it decided as it did.

use std::path::Path;

use serde_json::Value;

use super::content::Content;
use super::packing::Packing;
use super::row::{A_PROMPT, DatasetError, Expected, Row, RowPrompt};
use super::scale::{Scale, usual_unit};
use super::source::SourceFile;
use super::unit::{Container, Mark, Piece, Units};
use super::{
    azure, bailian, burstgpt, cells, chat_history, evalscope, field, messages, mooncake,
    openai_batch, pointers, replay_log, sharegpt, weka,
};
use crate::plan::workload::{DatasetConfig, DatasetFormat, TimestampUnit};

/// A format, and how its files are cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shape {
    /// The format.
    pub format: DatasetFormat,
    /// The pieces of its files.
    pub container: Container,
    /// Why it was chosen, in half a sentence.
    pub why: String,
}

/// The shape of a dataset: as named, or as its first file begins.
pub(super) fn shape(files: &[SourceFile], config: &DatasetConfig) -> Result<Shape, DatasetError> {
    let Some(file) = files.first() else {
        return Err(DatasetError::NoFile { pattern: config.files.join(", ") });
    };
    let io = |source| DatasetError::Io { path: file.path.to_path_buf(), source };
    let look = Look::at(file).map_err(io)?;
    match config.format {
        None if look.is_web_page() => Err(DatasetError::Unread {
            path: file.path.to_path_buf(),
            what: "a web page".to_owned(),
            help: "fetch the file itself, or say `format: text` if pages are what is asked"
                .to_owned(),
        }),
        Some(format) => {
            Ok(Shape { format, container: container(format, &look), why: "as named".to_owned() })
        }
        None => Ok(look.detect(files.len(), config)),
    }
}

/// What a file begins with.
struct Look {
    /// The last ending of its name, without that of its packing: `jsonl` of `a.JSONL.gz`.
    ending: String,
    content: Content,
    first_byte: Option<u8>,
    /// The first line as text.
    line: Option<String>,
    /// The first line as JSON.
    line_value: Option<Value>,
    /// The first JSON value, arrays opened.
    value: Option<Value>,
    /// The first CSV record.
    record: Option<Value>,
}

impl Look {
    fn at(file: &SourceFile) -> std::io::Result<Self> {
        let first = |container| -> std::io::Result<Option<Piece>> {
            let unit = Units::open(file, container, Mark::START)?.next()?;
            Ok(unit.and_then(|unit| unit.piece.ok()))
        };
        let value = |piece: Option<Piece>| match piece {
            Some(Piece::Value(value) | Piece::Cells(value)) => Some(value),
            _ => None,
        };
        let line = match first(Container::Lines)? {
            Some(Piece::Text(line)) => Some(line.trim().to_owned()),
            _ => None,
        };
        let is_table = file.content == Content::Parquet;
        let first_byte = line.as_ref().and_then(|line| line.bytes().next());
        let is_json = matches!(first_byte, Some(b'{' | b'['));
        Ok(Self {
            ending: ending(&file.path),
            content: file.content,
            first_byte,
            line_value: line.as_deref().and_then(|line| serde_json::from_str(line).ok()),
            line,
            value: if is_json || is_table {
                value(first(Container::Json { explode: true })?)
            } else {
                None
            },
            record: if is_json || is_table { None } else { value(first(Container::Csv)?) },
        })
    }

    /// What a server sends where a file should be.
    fn is_web_page(&self) -> bool {
        let line = self.line.as_deref().unwrap_or_default().to_lowercase();
        line.starts_with("<!doctype html") || line.starts_with("<html")
    }

    /// One JSON value per line: it is called so, or the first line is a whole object.
    fn is_json_lines(&self) -> bool {
        let is_called_so = self.is_called_json_lines();
        let first_is_whole = self.line_value.as_ref().is_some_and(Value::is_object);
        let first_is_array = self.line_value.as_ref().is_some_and(Value::is_array);
        first_is_whole || (is_called_so && (self.first_byte != Some(b'[') || first_is_array))
    }

    fn is_called_json_lines(&self) -> bool {
        matches!(self.ending.as_str(), "jsonl" | "ndjson")
    }

    fn detect(&self, files: usize, config: &DatasetConfig) -> Shape {
        let (format, why) = self.format(files, config);
        let why = why + self.hint(format, config).unwrap_or_default();
        Shape { format, container: container(format, self), why }
    }

    fn format(&self, files: usize, config: &DatasetConfig) -> (DatasetFormat, String) {
        let said = |format, why: &str| (format, why.to_owned());
        let is_json = matches!(self.first_byte, Some(b'{' | b'['));
        if self.content == Content::Parquet {
            if pointers::name_prompt(&config.fields) {
                return said(DatasetFormat::Json, "Parquet, and `fields` say where the prompt is");
            }
            let (format, why) = self.by_fields(self.value.as_ref());
            return (format, format!("Parquet; {why}"));
        }
        if self.line.is_none() && self.value.is_none() && self.record.is_none() {
            let format = match self.ending.as_str() {
                "jsonl" | "ndjson" => DatasetFormat::Jsonl,
                "json" => DatasetFormat::Json,
                "csv" | "tsv" => DatasetFormat::Csv,
                _ => DatasetFormat::Lines,
            };
            return said(format, "by its name: there is nothing in it");
        }
        if is_json || self.is_called_json_lines() {
            if pointers::name_prompt(&config.fields) {
                return said(self.generic(), "JSON, and `fields` say where the prompt is");
            }
            if self.first_byte == Some(b'[')
                && self.value.as_ref().is_some_and(messages::is_message)
            {
                return said(DatasetFormat::PromptFile, "a JSON array of messages");
            }
            let value = if self.is_json_lines() { &self.line_value } else { &self.value };
            return self.by_fields(value.as_ref());
        }
        if self.line.as_deref().is_some_and(replay_log::recognises) {
            return said(DatasetFormat::ReplayLog, "lines begin with a calendar stamp");
        }
        if let Some(record) = &self.record {
            if azure::recognises(record) {
                return said(DatasetFormat::Azure, "its header names ContextTokens");
            }
            if burstgpt::recognises(record) {
                return said(DatasetFormat::BurstGpt, "its header names Request tokens");
            }
        }
        if matches!(self.ending.as_str(), "csv" | "tsv") {
            return said(DatasetFormat::Csv, "it is called so");
        }
        if files > 1 {
            return said(DatasetFormat::Text, "several texts: each is one row");
        }
        said(DatasetFormat::Lines, "one text: each line is one prompt")
    }

    /// What is to be said of the first row's time, where the plan does not say what it counts.
    fn hint(&self, format: DatasetFormat, config: &DatasetConfig) -> Option<&'static str> {
        const SINCE_1970: std::ops::Range<u64> = 1_000_000_000_000_000..4_000_000_000_000_000;
        let first = self.value.as_ref().or(self.line_value.as_ref()).or(self.record.as_ref())?;
        let time = |timestamp_unit| {
            let config = DatasetConfig { timestamp_unit, asked: false, ..config.clone() };
            let mut rows = Vec::new();
            read(&Piece::Value(first.clone()), format, &config, &mut rows).ok()?;
            rows.first()?.timestamp_ns
        };
        let usual = usual_unit(format);
        let ns = time(config.timestamp_unit)?;
        if config.timestamp_unit.is_some() {
            None
        } else if time(Some(usual)) != Some(ns) {
            Some(
                "; its times are too large for their unit, and read as a smaller one: `timestamp_unit` says which",
            )
        } else if usual == TimestampUnit::Milliseconds && SINCE_1970.contains(&ns) {
            Some(
                "; its times are read as milliseconds: if they are seconds since 1970, say `timestamp_unit: s`",
            )
        } else {
            None
        }
    }

    fn generic(&self) -> DatasetFormat {
        if self.is_json_lines() { DatasetFormat::Jsonl } else { DatasetFormat::Json }
    }

    /// The format of JSON rows, by the fields of the first.
    fn by_fields(&self, value: Option<&Value>) -> (DatasetFormat, String) {
        let Some(value) = value else {
            return (self.generic(), "its first row can't be read".to_owned());
        };
        let recognised = if sharegpt::recognises(value) {
            Some((DatasetFormat::ShareGpt, "`conversations`"))
        } else if chat_history::recognises(value) {
            Some((DatasetFormat::ChatHistory, "`cut_chat_history`"))
        } else if openai_batch::recognises(value) {
            Some((DatasetFormat::OpenaiBatch, "`custom_id` and `body`"))
        } else if evalscope::recognises(value) {
            Some((DatasetFormat::EvalscopeTrace, "`body` and `timestamp`"))
        } else if replay_log::recognises_tokens(value) {
            Some((DatasetFormat::TokenLog, "token ids for text"))
        } else if bailian::recognises(value) {
            Some((DatasetFormat::Bailian, "`chat_id` and `parent_chat_id`"))
        } else if mooncake::recognises(value) {
            Some((DatasetFormat::Mooncake, "lengths as Mooncake names them"))
        } else if weka::recognises(value) {
            Some((DatasetFormat::Weka, "`t`, `in` and `out`"))
        } else if messages::recognises(value) {
            Some((DatasetFormat::OpenaiMessages, "`messages`"))
        } else {
            None
        };
        if let Some((format, mark)) = recognised {
            return (format, format!("its first row has {mark}"));
        }
        (self.generic(), "its fields belong to no known trace".to_owned())
    }
}

/// The last ending of a file's name in small letters, without the ending of its packing.
fn ending(path: &Path) -> String {
    let of = |path: &Path| path.extension().map(|end| end.to_string_lossy().to_lowercase());
    match of(path) {
        Some(end) if Packing::is_ending(&end) => of(&path.with_extension("")).unwrap_or_default(),
        end => end.unwrap_or_default(),
    }
}

fn container(format: DatasetFormat, look: &Look) -> Container {
    match format {
        DatasetFormat::Csv | DatasetFormat::Azure | DatasetFormat::BurstGpt => Container::Csv,
        DatasetFormat::Text => Container::Whole,
        DatasetFormat::Lines | DatasetFormat::ReplayLog => Container::Lines,
        DatasetFormat::PromptFile => Container::Json { explode: false },
        DatasetFormat::Jsonl => Container::JsonLines,
        DatasetFormat::Json => Container::Json { explode: true },
        _ if look.is_json_lines() => Container::JsonLines,
        _ => Container::Json { explode: true },
    }
}

/// Reads the rows of one piece into `out`. `false` when the piece is none of this format's rows
/// and no error either.
pub(super) fn read(
    piece: &Piece,
    format: DatasetFormat,
    config: &DatasetConfig,
    out: &mut Vec<Row>,
) -> Result<bool, Expected> {
    let scale = Scale::of(config, format);
    let before = out.len();
    let value = match piece {
        Piece::Text(text) => {
            let row = match format {
                DatasetFormat::ReplayLog => replay_log::row(text.trim())?,
                _ => Some(messages::text(text.clone())?),
            };
            out.extend(row);
            for row in &mut out[before..] {
                let value = row.fields.clone();
                pointers::apply(row, &value, &config.fields, scale)?;
            }
            return Ok(out.len() > before);
        }
        Piece::Value(value) | Piece::Cells(value) => value,
    };
    if pointers::name_prompt(&config.fields) {
        out.push(pointers::row(value, &config.fields, scale)?);
    } else {
        match format {
            DatasetFormat::ShareGpt => out.push(sharegpt::row(value)?),
            DatasetFormat::ChatHistory => out.push(chat_history::row(value)?),
            DatasetFormat::OpenaiBatch => out.push(openai_batch::row(value, scale)?),
            DatasetFormat::EvalscopeTrace => out.push(evalscope::row(value, scale)?),
            DatasetFormat::TokenLog => out.push(replay_log::token_row(value, scale)?),
            DatasetFormat::Mooncake => out.push(mooncake::row(value, scale)?),
            DatasetFormat::Bailian => out.push(bailian::row(value, scale)?),
            DatasetFormat::Weka => weka::rows(value, scale, out)?,
            DatasetFormat::Azure => out.push(azure::row(value, scale)?),
            DatasetFormat::BurstGpt => out.push(burstgpt::row(value, scale)?),
            DatasetFormat::OpenaiMessages => out.push(messages::row(value, scale)?),
            DatasetFormat::PromptFile => prompt_file(value, scale, out)?,
            DatasetFormat::Jsonl | DatasetFormat::Json | DatasetFormat::Csv => {
                out.push(messages::any(value, scale)?);
            }
            DatasetFormat::Text | DatasetFormat::Lines | DatasetFormat::ReplayLog => {
                return Err(messages::not_text(value));
            }
        }
    }
    for row in &mut out[before..] {
        pointers::apply(row, value, &config.fields, scale)?;
        if matches!(piece, Piece::Cells(_)) {
            cells::read(row, config.asked && row.prompt != RowPrompt::Fields)?;
        }
        if config.asked && row.prompt == RowPrompt::Fields {
            let fields = value.as_object().map_or_else(|| field::describe(value), field::names_of);
            return Err(Expected::new(A_PROMPT, format!("the fields {fields}")));
        }
        if config.asked && row.is_answer_alone() {
            return Err(Expected::new("a prompt before the answer", "an answer alone"));
        }
    }
    Ok(out.len() > before)
}

/// One prompt per value, or an array of prompts.
fn prompt_file(value: &Value, scale: Scale, out: &mut Vec<Row>) -> Result<(), Expected> {
    match value {
        Value::Array(prompts) if !messages::is_messages(value) && !prompts.is_empty() => {
            for prompt in prompts {
                out.push(messages::row(prompt, scale)?);
            }
        }
        _ => out.push(messages::row(value, scale)?),
    }
    Ok(())
}

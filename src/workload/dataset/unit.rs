//! A file's text → the pieces that formats read: lines, JSON values, CSV records, whole texts.
//!
//! In: a file and where to begin. Out: one [`Unit`] after the other, each with its mark. Invariant:
//! reading from a unit's mark gives that unit again; memory holds one unit, however long the file,
//! and a unit longer than [`MAX_UNIT_BYTES`] is malformed, not loaded.

use std::io::{self, BufRead, Read};

use serde_json::{Map, Value};

use super::content::Content;
use super::json_stream::JsonStream;
use super::parquet::TableUnits;
use super::row::Expected;
use super::source::{SourceFile, TextReader};

/// The longest line, JSON element, CSV record or text file that is read, in bytes.
pub const MAX_UNIT_BYTES: usize = 64 * 1024 * 1024;

/// A place that reading can go on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// Bytes of text before it; in a table, rows.
    pub offset: u64,
    /// Its line, from 1; in a table, its row.
    pub line: u64,
    /// Whether it lies inside a top-level JSON array.
    pub inside: bool,
}

impl Mark {
    /// The beginning of a file.
    pub const START: Self = Self { offset: 0, line: 1, inside: false };
}

/// How a value or line was cut out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// Whole.
    Whole,
    /// Longer than [`MAX_UNIT_BYTES`].
    TooLong,
    /// The file ended first.
    Unclosed(&'static str),
}

/// What kind of pieces a file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Container {
    /// JSON values; with `explode`, the elements of top-level arrays.
    Json {
        /// Elements of top-level arrays are pieces of their own.
        explode: bool,
    },
    /// One JSON value per line.
    JsonLines,
    /// One piece of text per line.
    Lines,
    /// Records under a header.
    Csv,
    /// The whole file.
    Whole,
}

/// One piece.
#[derive(Debug)]
pub(super) struct Unit {
    /// Where it begins.
    pub mark: Mark,
    /// What it says, or why it says nothing.
    pub piece: Result<Piece, Expected>,
    /// Nothing can be read after it.
    pub is_last: bool,
}

/// What a piece says.
#[derive(Debug)]
pub(super) enum Piece {
    /// A JSON value.
    Value(Value),
    /// A row of a table: an object, of strings in CSV.
    Cells(Value),
    /// Text.
    Text(String),
}

/// The pieces of one file.
pub(super) enum Units {
    /// JSON values.
    Json { stream: JsonStream<TextReader>, buffer: Vec<u8> },
    /// Lines.
    Lines { reader: TextReader, at: Mark, buffer: Vec<u8>, json: bool },
    /// CSV records.
    Csv(Box<CsvUnits>),
    /// The whole file, until it was given.
    Whole(Option<TextReader>),
    /// The rows of a table.
    Table(Box<TableUnits>),
}

impl Units {
    /// Reads `file` from `mark` on. A table has rows, whatever `container` text would have.
    pub fn open(file: &SourceFile, container: Container, mark: Mark) -> io::Result<Self> {
        if file.content == Content::Parquet {
            return Ok(Self::Table(Box::new(TableUnits::open(file, mark.offset)?)));
        }
        if container == Container::Csv {
            return Ok(Self::Csv(Box::new(CsvUnits::open(file, mark)?)));
        }
        let mut reader = file.open(mark.offset)?;
        let mut at = mark;
        if at.offset == 0 {
            at.offset = skip_byte_order_mark(&mut reader)?;
        }
        Ok(match container {
            Container::Json { explode } => {
                Self::Json { stream: JsonStream::new(reader, explode, at), buffer: Vec::new() }
            }
            Container::JsonLines => Self::Lines { reader, at, buffer: Vec::new(), json: true },
            Container::Lines => Self::Lines { reader, at, buffer: Vec::new(), json: false },
            Container::Whole | Container::Csv => Self::Whole(Some(reader)),
        })
    }

    /// The next piece; `None` at the end of the file.
    pub fn next(&mut self) -> io::Result<Option<Unit>> {
        match self {
            Self::Json { stream, buffer } => {
                let Some((mark, cut)) = stream.next(buffer)? else { return Ok(None) };
                let piece = match cut {
                    Cut::Whole => parse(buffer, mark.line),
                    Cut::TooLong => Err(too_long("a JSON value")),
                    Cut::Unclosed(why) => Err(Expected::new("a whole JSON text", why)),
                };
                Ok(Some(Unit { mark, piece, is_last: cut != Cut::Whole }))
            }
            Self::Lines { reader, at, buffer, json } => loop {
                let mark = *at;
                let Some((bytes, cut)) = read_line(reader, buffer)? else { return Ok(None) };
                at.offset += bytes;
                at.line += 1;
                let text = without_line_end(buffer);
                if text.trim_ascii().is_empty() && cut == Cut::Whole {
                    continue;
                }
                let piece = match (cut, *json) {
                    (Cut::TooLong, _) => Err(too_long("a line")),
                    (_, true) => parse(text, mark.line),
                    (_, false) => as_text(text.to_vec()),
                };
                return Ok(Some(Unit { mark, piece, is_last: false }));
            },
            Self::Csv(units) => units.next(),
            Self::Table(units) => units.next(),
            Self::Whole(reader) => {
                let Some(reader) = reader.take() else { return Ok(None) };
                let mut text = Vec::new();
                reader.take(MAX_UNIT_BYTES as u64 + 1).read_to_end(&mut text)?;
                let piece = match text.len() {
                    0..=MAX_UNIT_BYTES => as_text(text),
                    _ => Err(too_long("a text file")),
                };
                Ok(Some(Unit { mark: Mark::START, piece, is_last: true }))
            }
        }
    }
}

/// A line as it is written: blanks are of its text.
fn without_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn too_long(what: &str) -> Expected {
    let limit = MAX_UNIT_BYTES / (1024 * 1024);
    Expected::new(format!("{what} of at most {limit} MiB"), "a longer one")
}

fn parse(text: &[u8], line: u64) -> Result<Piece, Expected> {
    serde_json::from_slice(text).map(Piece::Value).map_err(|error| {
        // The parser counts lines from the piece's own first.
        let line = line + (error.line().max(1) - 1) as u64;
        let message = error.to_string();
        let reason = message.split(" at line ").next().unwrap_or_default();
        Expected::new(
            "one JSON value",
            format!("{} ({reason} at line {line}, column {})", excerpt(text), error.column()),
        )
    })
}

fn as_text(text: Vec<u8>) -> Result<Piece, Expected> {
    String::from_utf8(text).map(Piece::Text).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Expected::new("UTF-8 text", format!("another encoding at byte {at} of the row"))
    })
}

/// The beginning of a text, for messages.
pub(super) fn excerpt(text: &[u8]) -> String {
    const CHARS: usize = 40;
    let head = String::from_utf8_lossy(&text[..text.len().min(4 * CHARS)]);
    let mut short: String = head.chars().filter(|char| !char.is_control()).take(CHARS).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("`{short}`")
}

/// Reads up to the next line feed; `None` at the end of the text. Returns the bytes taken.
fn read_line(reader: &mut impl BufRead, out: &mut Vec<u8>) -> io::Result<Option<(u64, Cut)>> {
    out.clear();
    let mut bytes = 0_u64;
    let mut cut = Cut::Whole;
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok((bytes > 0).then_some((bytes, cut)));
        }
        let end = memchr::memchr(b'\n', buffer);
        let taken = end.map_or(buffer.len(), |end| end + 1);
        if out.len() + taken <= MAX_UNIT_BYTES {
            out.extend_from_slice(&buffer[..taken]);
        } else {
            // The rest of the line is passed over, so that the next one can be read.
            cut = Cut::TooLong;
            out.clear();
            out.shrink_to(0);
        }
        reader.consume(taken);
        bytes += taken as u64;
        if end.is_some() {
            return Ok(Some((bytes, cut)));
        }
    }
}

fn skip_byte_order_mark(reader: &mut impl BufRead) -> io::Result<u64> {
    const MARK: &[u8] = "\u{feff}".as_bytes();
    if reader.fill_buf()?.starts_with(MARK) {
        reader.consume(MARK.len());
        return Ok(MARK.len() as u64);
    }
    Ok(0)
}

/// The records of a CSV file.
pub(super) struct CsvUnits {
    reader: csv::Reader<Metered>,
    header: Vec<String>,
    record: csv::ByteRecord,
    /// What was skipped before the reader began.
    base: Mark,
}

impl CsvUnits {
    fn open(file: &SourceFile, mark: Mark) -> io::Result<Self> {
        let mut reader = file.open(0)?;
        let skipped = skip_byte_order_mark(&mut reader)?;
        let delimiter = delimiter(reader.fill_buf()?);
        let build = |reader: TextReader, has_header: bool| {
            csv::ReaderBuilder::new()
                .delimiter(delimiter)
                .has_headers(has_header)
                .flexible(true)
                .from_reader(Metered { reader, left: MAX_UNIT_BYTES as u64 })
        };
        let mut records = build(reader, true);
        let header: Vec<String> = records
            .byte_headers()
            .map_err(into_io)?
            .iter()
            .map(|name| String::from_utf8_lossy(name).trim().to_owned())
            .collect();
        let mut base = Mark { offset: skipped, line: 1, inside: false };
        if mark.offset > 0 {
            records = build(file.open(mark.offset)?, false);
            base = mark;
        }
        Ok(Self { reader: records, header, record: csv::ByteRecord::new(), base })
    }

    fn next(&mut self) -> io::Result<Option<Unit>> {
        self.reader.get_mut().left = MAX_UNIT_BYTES as u64;
        let start = self.reader.position().clone();
        let mark = Mark {
            offset: self.base.offset + start.byte(),
            line: self.base.line + start.line() - 1,
            inside: false,
        };
        match self.reader.read_byte_record(&mut self.record) {
            Ok(false) => return Ok(None),
            Ok(true) => {}
            Err(error) => {
                let error = into_io(error);
                if error.kind() != io::ErrorKind::FileTooLarge {
                    return Err(error);
                }
                let piece = Err(too_long("a CSV record (is a quote left open?)"));
                return Ok(Some(Unit { mark, piece, is_last: true }));
            }
        }
        // Blank lines before a record are passed over, so that it begins later than reading did.
        let line = self.record.position().map_or(mark.line, |at| self.base.line + at.line() - 1);
        Ok(Some(Unit { mark: Mark { line, ..mark }, piece: self.object(), is_last: false }))
    }

    /// The record as an object of strings.
    fn object(&self) -> Result<Piece, Expected> {
        if self.record.len() != self.header.len() {
            return Err(Expected::new(
                format!("{} columns ({})", self.header.len(), self.header.join(", ")),
                format!("{} columns", self.record.len()),
            ));
        }
        let mut object = Map::new();
        for (name, cell) in self.header.iter().zip(&self.record) {
            let cell = std::str::from_utf8(cell).map_err(|_| {
                Expected::new("UTF-8 text", format!("another encoding in column `{name}`"))
            })?;
            object.insert(name.clone(), Value::String(cell.to_owned()));
        }
        Ok(Piece::Cells(Value::Object(object)))
    }
}

/// Comma, unless the header holds none but tabs or semicolons.
fn delimiter(head: &[u8]) -> u8 {
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    [b',', b'\t', b';'].into_iter().find(|mark| line.contains(mark)).unwrap_or(b',')
}

fn into_io(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::new(io::ErrorKind::InvalidData, format!("{other:?}")),
    }
}

/// A reader that fails when one record takes too much: an open quote would take the whole file.
struct Metered {
    reader: TextReader,
    left: u64,
}

impl Read for Metered {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let taken = self.reader.read(out)?;
        self.left = self.left.saturating_sub(taken as u64);
        Ok(taken)
    }
}

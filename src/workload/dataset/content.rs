//! What a file holds, by its first bytes.
//!
//! In: the beginning of a file, unpacked. Out: text, a table, or what it is instead and what to do.
//! Invariant: names decide nothing, and bytes that are no text never become prompts.

use super::utf16::ByteOrder;

/// How many of the first bytes are looked at.
pub(super) const HEAD_BYTES: u64 = 4096;

/// What a file holds that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// UTF-8 text.
    Utf8,
    /// UTF-16 text.
    Utf16(ByteOrder),
    /// A table of rows.
    Parquet,
}

/// What a file holds that is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unread {
    /// What it is, with its article.
    pub what: String,
    /// What to do.
    pub help: String,
}

impl Unread {
    /// It is `what`; do as `help` says.
    pub fn new(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { what: what.into(), help: help.into() }
    }
}

/// Kinds of files that are no text: where their mark stands, the mark, what they are, what to do.
const OTHERS: [(usize, &[u8], &str, &str); 21] = [
    (0, b"ARROW1", "an Arrow file (Feather)", TO_PARQUET),
    (0, b"FEA1", "a Feather file", TO_PARQUET),
    (0, b"\xff\xff\xff\xff", "an Arrow stream", TO_PARQUET),
    (0, b"PARE", "an encrypted Parquet file", "write it without encryption"),
    (0, b"ORC", "an ORC file", TO_PARQUET),
    (0, b"Obj\x01", "an Avro file", TO_PARQUET),
    (0, b"\x89HDF\r\n", "an HDF5 file", TO_PARQUET),
    (0, b"\x93NUMPY", "a NumPy array", TO_TEXT),
    (0, b"\x80\x02", PICKLE, TO_TEXT),
    (0, b"\x80\x03", PICKLE, TO_TEXT),
    (0, b"\x80\x04", PICKLE, TO_TEXT),
    (0, b"\x80\x05", PICKLE, TO_TEXT),
    (0, b"SQLite format 3", "an SQLite database", TO_TEXT),
    (8, b"DUCK", "a DuckDB database", TO_TEXT),
    (0, b"\xd0\xcf\x11\xe0", "an Office document", TO_TEXT),
    (0, b"%PDF-", "a PDF", TO_TEXT),
    (0, b"PK\x03\x04", "a zip archive (or a workbook, or arrays)", UNPACK),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    (0, b"Rar!", "a RAR archive", UNPACK),
    (257, b"ustar", "a tar archive", UNPACK),
    (0, b"\x04\x22\x4d\x18", "packed by lz4", "unpack it, or pack it by zstd or gzip"),
];

const PICKLE: &str = "a Python pickle";
const TO_PARQUET: &str = "write its rows as Parquet or as JSON lines";
const TO_TEXT: &str = "write its rows as JSON lines or CSV";
const UNPACK: &str = "unpack it, and name the file that has the rows";

impl Content {
    /// What a file holds that begins so.
    pub(super) fn of(head: &[u8]) -> Result<Self, Unread> {
        if head.starts_with(b"version https://git-lfs") {
            let help = "fetch what it stands for: `git lfs pull`";
            return Err(Unread::new("a Git LFS pointer, not the file itself", help));
        }
        // Words such as `PARENT` or `ORCHARD` begin like files of other kinds.
        let is_cut = |error: std::str::Utf8Error| error.error_len().is_none();
        if !head.contains(&0) && std::str::from_utf8(head).map_or_else(is_cut, |_| true) {
            return Ok(Self::Utf8);
        }
        let is = |at: usize, mark: &[u8]| head.get(at..).is_some_and(|it| it.starts_with(mark));
        if is(0, b"PAR1") {
            return Ok(Self::Parquet);
        }
        if let Some((.., what, help)) = OTHERS.iter().find(|(at, mark, ..)| is(*at, mark)) {
            return Err(Unread::new(*what, *help));
        }
        match head {
            [0xff, 0xfe, 0, 0, ..]
            | [0, 0, 0xfe, 0xff, ..]
            | [1..=0x7f, 0, 0, 0, ..]
            | [0, 0, 0, 1..=0x7f, ..] => Err(Unread::new("UTF-32 text", "write it as UTF-8")),
            // A mark, or two characters of the kind that rows begin with.
            [0xff, 0xfe, ..] | [1..=0x7f, 0, 1..=0x7f, 0, ..] => Ok(Self::Utf16(ByteOrder::Little)),
            [0xfe, 0xff, ..] | [0, 1..=0x7f, 0, 1..=0x7f, ..] => Ok(Self::Utf16(ByteOrder::Big)),
            _ if head.contains(&0) => Err(Unread::new(
                "binary data of no kind that is known here",
                "give text (UTF-8, UTF-16) or Parquet; gzip, zstd, bzip2 and xz are unpacked",
            )),
            // Which rows are in another encoding, their readers say.
            _ => Ok(Self::Utf8),
        }
    }

    /// Its name in reports; `None` for UTF-8 text.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Utf8 => None,
            Self::Utf16(_) => Some("UTF-16"),
            Self::Parquet => Some("Parquet"),
        }
    }
}

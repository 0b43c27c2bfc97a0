//! Parquet → rows as JSON objects.
//!
//! In: a file and the number of a row. Out: that row and those after it, one piece each. Invariant:
//! memory holds some pages of a row group; what a table can't leave out (a field that other rows
//! have) is left out within its objects, and `null` in its columns, so that templates find them.

mod pages;

use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use base64::prelude::{BASE64_STANDARD, Engine};
use parquet::basic::{Compression, ConvertedType, LogicalType, TimeUnit};
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use parquet::record::Field;
use parquet::record::reader::{ReaderIter, TreeBuilder};
use serde_json::{Map, Number, Value};

use super::content::Unread;
use super::source::SourceFile;
use super::unit::{Mark, Piece, Unit};

/// The rows of a file.
pub(super) struct TableUnits {
    reader: SerializedFileReader<File>,
    /// The next row group.
    group: usize,
    rows: Option<ReaderIter>,
    /// The number of the next row, from 0.
    row: u64,
    /// Columns of nanoseconds since 1970, which the rows themselves give as numbers.
    nanoseconds: Vec<bool>,
}

/// Whether all of a file's columns can be read: then the bytes of its largest row group, which is
/// what must be read to come to a row; else what it is.
pub(super) fn check(file: &SourceFile) -> io::Result<Result<u64, Unread>> {
    if let Some(packing) = file.packing.name() {
        let what = format!("a Parquet file within {packing}");
        return Ok(Err(Unread::new(what, "unpack it; its own columns may be compressed")));
    }
    let reader = open(file)?;
    for column in reader.metadata().row_groups().iter().flat_map(RowGroupMetaData::columns) {
        let name = column.column_path().string();
        let compression = column.compression();
        if !matches!(
            compression,
            Compression::UNCOMPRESSED
                | Compression::SNAPPY
                | Compression::GZIP(_)
                | Compression::ZSTD(_)
        ) {
            let what =
                format!("a Parquet file whose column `{name}` is compressed by {compression}");
            return Ok(Err(Unread::new(what, "write it with zstd, snappy or gzip")));
        }
        if column.column_descr().converted_type() == ConvertedType::INTERVAL {
            let what = format!("a Parquet file whose column `{name}` holds intervals");
            return Ok(Err(Unread::new(what, "write them as numbers, or leave them out")));
        }
    }
    let groups = reader.metadata().row_groups().iter();
    Ok(Ok(groups.map(|group| group.compressed_size().unsigned_abs()).max().unwrap_or(0)))
}

fn open(file: &SourceFile) -> io::Result<SerializedFileReader<File>> {
    let bytes = File::open(&file.path)?;
    guarded(|| SerializedFileReader::new(bytes))
}

impl TableUnits {
    /// Reads from row number `row` on; those of its row group that come before are read, too.
    pub fn open(file: &SourceFile, row: u64) -> io::Result<Self> {
        let reader = open(file)?;
        let is_nanoseconds = |kind: Option<&LogicalType>| matches!(kind, Some(LogicalType::Timestamp(it)) if it.unit == TimeUnit::NANOS);
        let schema = reader.metadata().file_metadata().schema();
        let columns = schema.get_fields().iter();
        let nanoseconds = columns
            .map(|column| is_nanoseconds(column.get_basic_info().logical_type_ref()))
            .collect();
        let mut group = 0;
        let mut first = 0;
        for rows in reader.metadata().row_groups().iter().map(|it| it.num_rows().unsigned_abs()) {
            if first + rows > row {
                break;
            }
            first += rows;
            group += 1;
        }
        let mut units = Self { reader, group, rows: None, row: first, nanoseconds };
        while units.row < row && units.next()?.is_some() {}
        Ok(units)
    }

    /// The next row; `None` at the end.
    pub fn next(&mut self) -> io::Result<Option<Unit>> {
        loop {
            let rows = self.rows.as_mut();
            if let Some(row) = guarded(|| rows.and_then(Iterator::next).transpose())? {
                let columns = row.into_columns();
                let values = columns.into_iter().zip(&self.nanoseconds);
                let object = values.map(|((name, field), is_ns)| match field {
                    Field::Long(ns) if *is_ns => (name, stamp(i128::from(ns))),
                    field => (name, value(field)),
                });
                let mark = Mark { offset: self.row, line: self.row + 1, inside: false };
                self.row += 1;
                let piece = Ok(Piece::Cells(Value::Object(object.collect())));
                return Ok(Some(Unit { mark, piece, is_last: false }));
            }
            if self.group == self.reader.num_row_groups() {
                return Ok(None);
            }
            let rows = guarded(|| {
                let group = pages::Checked(self.reader.get_row_group(self.group)?);
                TreeBuilder::new().as_iter(group.metadata().schema_descr_ptr(), &group)
            })?;
            self.rows = Some(rows);
            self.group += 1;
        }
    }
}

/// What the library reads. It asserts what it expects of a file; one that is not so is damaged, and
/// nothing of it is read after that.
fn guarded<T>(read: impl FnOnce() -> Result<T, ParquetError>) -> io::Result<T> {
    let found = catch_unwind(AssertUnwindSafe(read));
    let problem = match found {
        Ok(Ok(found)) => return Ok(found),
        Ok(Err(error)) => format!(" ({error})"),
        Err(_) => String::new(),
    };
    let message = format!("its Parquet data is damaged, or ends too early{problem}");
    Err(io::Error::new(io::ErrorKind::InvalidData, message))
}

fn value(field: Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(it) => it.into(),
        Field::Byte(it) => it.into(),
        Field::Short(it) => it.into(),
        Field::Int(it) => it.into(),
        Field::Long(it) => it.into(),
        Field::UByte(it) => it.into(),
        Field::UShort(it) => it.into(),
        Field::UInt(it) => it.into(),
        Field::ULong(it) => it.into(),
        Field::Float16(it) => number(f64::from(it)),
        // As it is written, and not with the digits that a wider number shows.
        Field::Float(it) => it.to_string().parse().map_or(Value::Null, number),
        Field::Double(it) => number(it),
        Field::Str(text) => text.into(),
        Field::Bytes(bytes) => match std::str::from_utf8(bytes.data()) {
            Ok(text) => text.into(),
            Err(_) => BASE64_STANDARD.encode(bytes.data()).into(),
        },
        Field::TimestampMillis(ms) => stamp(i128::from(ms) * 1_000_000),
        Field::TimestampMicros(us) => stamp(i128::from(us) * 1_000),
        Field::Decimal(_) | Field::Date(_) | Field::TimeMillis(_) | Field::TimeMicros(_) => {
            field.to_string().into()
        }
        Field::Group(row) => object(row.into_columns()),
        Field::ListInternal(list) => list.elements().iter().cloned().map(value).collect(),
        Field::MapInternal(map) => {
            let entries = map.entries().iter().cloned();
            object(entries.map(|(key, value)| (name(key), value)))
        }
    }
}

fn object(fields: impl IntoIterator<Item = (String, Field)>) -> Value {
    let there = fields.into_iter().filter(|(_, field)| *field != Field::Null);
    Value::Object(there.map(|(name, field)| (name, value(field))).collect::<Map<_, _>>())
}

fn name(key: Field) -> String {
    match value(key) {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

fn number(value: f64) -> Value {
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

/// A calendar stamp in UTC.
fn stamp(ns: i128) -> Value {
    jiff::Timestamp::from_nanosecond(ns).map_or(Value::Null, |stamp| stamp.to_string().into())
}

//! Rows → row groups and footer of a Parquet file.
//!
//! In: rows of [`Value`]s. Out: bytes by the Parquet format 2: flat and optional columns, one plain
//! page per column and row group, Snappy. Invariant: every number in the footer counts bytes that
//! were really written. Written out here because a flat table needs this little of the format, and
//! because a footer can then follow every row group, so that the file can be read while the run
//! goes on. `tests/real/sinks.py` reads it back with pyarrow.

use super::thrift::{self, Struct};
use crate::sink::SinkError;
use crate::sink::row::{Column, Kind, Value};

/// What a Parquet file begins and ends with.
pub(super) const MAGIC: &[u8] = b"PAR1";

// Numbers of `parquet.thrift`.
const BOOLEAN: i32 = 0;
const INT64: i32 = 2;
const DOUBLE: i32 = 5;
const BYTE_ARRAY: i32 = 6;
const OPTIONAL: i32 = 1;
const UTF8: i32 = 0;
const PLAIN: i32 = 0;
const RLE: i32 = 3;
const SNAPPY: i32 = 1;
const DATA_PAGE: i32 = 0;
const FORMAT_VERSION: i32 = 2;

/// A row group that lies in the file.
#[derive(Debug, Clone)]
pub(super) struct RowGroup {
    rows: usize,
    chunks: Vec<Chunk>,
}

/// Where a column of a row group lies.
#[derive(Debug, Clone)]
struct Chunk {
    offset: usize,
    plain_bytes: usize,
    bytes: usize,
}

/// One column's values within a row group.
#[derive(Debug, Default)]
pub(super) struct Cells {
    present: Vec<bool>,
    flags: Vec<bool>,
    plain: Vec<u8>,
}

impl Cells {
    /// Adds the value of one row.
    pub(super) fn push(&mut self, value: &Value<'_>) {
        self.present.push(*value != Value::Absent);
        match value {
            Value::Text(text) => {
                // A text of more than 4 GiB can't come through a record's limits.
                let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
                self.plain.extend(length.to_le_bytes());
                self.plain.extend(text.as_bytes());
            }
            Value::Whole(number) => {
                let number = i64::try_from(*number).unwrap_or(i64::MAX);
                self.plain.extend(number.to_le_bytes());
            }
            Value::Real(number) => self.plain.extend(number.to_le_bytes()),
            Value::Flag(flag) => self.flags.push(*flag),
            Value::Absent => {}
        }
    }

    /// Definition levels (1 where there is a value), then the values.
    fn page(&self) -> Vec<u8> {
        let mut levels = Vec::new();
        let packed = bits(&self.present);
        thrift::varint(&mut levels, (packed.len() as u64) << 1 | 1);
        levels.extend(packed);
        let mut page = u32::try_from(levels.len()).unwrap_or(u32::MAX).to_le_bytes().to_vec();
        page.extend(levels);
        page.extend(bits(&self.flags));
        page.extend_from_slice(&self.plain);
        page
    }
}

/// Eight to a byte, the first in the lowest bit.
fn bits(flags: &[bool]) -> Vec<u8> {
    let byte = |eight: &[bool]| {
        eight.iter().enumerate().fold(0, |byte, (at, flag)| byte | u8::from(*flag) << at)
    };
    flags.chunks(8).map(byte).collect()
}

/// Appends a row group that will begin at byte `offset` of the file.
pub(super) fn row_group(
    columns: &[Cells],
    rows: usize,
    offset: usize,
    bytes: &mut Vec<u8>,
) -> Result<RowGroup, snap::Error> {
    let begin = bytes.len();
    let mut chunks = Vec::with_capacity(columns.len());
    for cells in columns {
        let page = cells.page();
        let packed = snap::raw::Encoder::new().compress_vec(&page)?;
        let data = Struct::default().i32(1, small(rows)).i32(2, PLAIN).i32(3, RLE).i32(4, RLE);
        let header = Struct::default()
            .i32(1, DATA_PAGE)
            .i32(2, small(page.len()))
            .i32(3, small(packed.len()))
            .nested(5, data)
            .end();
        chunks.push(Chunk {
            offset: offset + bytes.len() - begin,
            plain_bytes: header.len() + page.len(),
            bytes: header.len() + packed.len(),
        });
        bytes.extend(header);
        bytes.extend(packed);
    }
    Ok(RowGroup { rows, chunks })
}

/// Appends the footer: schema, row groups and what the file says of itself.
pub(super) fn footer(
    columns: &[Column],
    groups: &[RowGroup],
    facts: &[(String, String)],
    bytes: &mut Vec<u8>,
) -> Result<(), SinkError> {
    let root = Struct::default().text(4, "requests").i32(5, small(columns.len()));
    let schema: Vec<Struct> =
        std::iter::once(root).chain(columns.iter().map(schema_element)).collect();
    let footer = Struct::default()
        .i32(1, FORMAT_VERSION)
        .structs(2, schema.into_iter())
        .i64(3, groups.iter().map(|group| group.rows).sum())
        .structs(4, groups.iter().map(|group| described(columns, group)))
        .structs(5, facts.iter().map(|(key, value)| Struct::default().text(1, key).text(2, value)))
        .text(6, concat!("runner version ", env!("CARGO_PKG_VERSION")))
        .end();
    let length = u32::try_from(footer.len())
        .map_err(|_| SinkError::new("parquet", "the footer is larger than the format allows"))?;
    bytes.extend(footer);
    bytes.extend(length.to_le_bytes());
    bytes.extend(MAGIC);
    Ok(())
}

fn schema_element(column: &Column) -> Struct {
    let element =
        Struct::default().i32(1, physical(column.kind)).i32(3, OPTIONAL).text(4, &column.name);
    match column.kind {
        Kind::Text => {
            let string = Struct::default().nested(1, Struct::default());
            element.i32(6, UTF8).nested(10, string)
        }
        Kind::Whole | Kind::Real | Kind::Flag => element,
    }
}

fn described(columns: &[Column], group: &RowGroup) -> Struct {
    let chunk = |(column, chunk): (&Column, &Chunk)| {
        let data = Struct::default()
            .i32(1, physical(column.kind))
            .i32s(2, &[PLAIN, RLE])
            .texts(3, &[&column.name])
            .i32(4, SNAPPY)
            .i64(5, group.rows)
            .i64(6, chunk.plain_bytes)
            .i64(7, chunk.bytes)
            .i64(9, chunk.offset);
        Struct::default().i64(2, chunk.offset).nested(3, data)
    };
    let plain_bytes = group.chunks.iter().map(|chunk| chunk.plain_bytes).sum();
    let chunks: Vec<Struct> = columns.iter().zip(&group.chunks).map(chunk).collect();
    Struct::default().structs(1, chunks.into_iter()).i64(2, plain_bytes).i64(3, group.rows)
}

fn physical(kind: Kind) -> i32 {
    match kind {
        Kind::Text => BYTE_ARRAY,
        Kind::Whole => INT64,
        Kind::Real => DOUBLE,
        Kind::Flag => BOOLEAN,
    }
}

/// Sizes of pages stay far below two gigabytes: a row group has some thousand rows.
fn small(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_packed_from_the_lowest_bit() {
        assert_eq!(bits(&[true, false, true]), [0b101]);
        assert_eq!(bits(&[false; 9]), [0, 0]);
    }

    #[test]
    fn a_page_says_which_values_are_there() {
        let mut cells = Cells::default();
        cells.push(&Value::Whole(7));
        cells.push(&Value::Absent);
        // Length of the levels, a bit-packed run of one group, its byte, the one value.
        assert_eq!(cells.page(), [2, 0, 0, 0, 3, 0b01, 7, 0, 0, 0, 0, 0, 0, 0]);
    }
}

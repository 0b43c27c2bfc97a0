//! Values → Thrift's compact protocol, as far as Parquet's headers and footers need it.
//!
//! In: fields in the order of their ids. Out: bytes. Source: the Thrift compact protocol's
//! specification; field ids are those of Parquet's `parquet.thrift`.

/// Type codes of the compact protocol.
const I32: u8 = 5;
const I64: u8 = 6;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const STRUCT: u8 = 12;

/// Writes one struct; nested ones are written in place.
#[derive(Debug, Default)]
pub(super) struct Struct {
    bytes: Vec<u8>,
    last_id: u8,
}

impl Struct {
    /// An `i32` (or an enum).
    pub(super) fn i32(mut self, id: u8, value: i32) -> Self {
        self.field(id, I32);
        varint(&mut self.bytes, zigzag(value.into()));
        self
    }

    /// An `i64`.
    pub(super) fn i64(mut self, id: u8, value: usize) -> Self {
        self.field(id, I64);
        varint(&mut self.bytes, zigzag(i64::try_from(value).unwrap_or(i64::MAX)));
        self
    }

    /// Text.
    pub(super) fn text(mut self, id: u8, text: &str) -> Self {
        self.field(id, BINARY);
        binary(&mut self.bytes, text);
        self
    }

    /// A struct within.
    pub(super) fn nested(mut self, id: u8, nested: Self) -> Self {
        self.field(id, STRUCT);
        self.bytes.extend(nested.end());
        self
    }

    /// A list of `i32` (or enums).
    pub(super) fn i32s(mut self, id: u8, values: &[i32]) -> Self {
        self.list(id, I32, values.len());
        for value in values {
            varint(&mut self.bytes, zigzag((*value).into()));
        }
        self
    }

    /// A list of texts.
    pub(super) fn texts(mut self, id: u8, values: &[&str]) -> Self {
        self.list(id, BINARY, values.len());
        for value in values {
            binary(&mut self.bytes, value);
        }
        self
    }

    /// A list of structs.
    pub(super) fn structs(mut self, id: u8, values: impl ExactSizeIterator<Item = Self>) -> Self {
        self.list(id, STRUCT, values.len());
        for value in values {
            self.bytes.extend(value.end());
        }
        self
    }

    /// The bytes.
    pub(super) fn end(mut self) -> Vec<u8> {
        self.bytes.push(0);
        self.bytes
    }

    /// The difference to the last id and the type in one byte; ids rise and none is above 15.
    fn field(&mut self, id: u8, kind: u8) {
        self.bytes.push((id - self.last_id) << 4 | kind);
        self.last_id = id;
    }

    fn list(&mut self, id: u8, kind: u8, length: usize) {
        self.field(id, LIST);
        match u8::try_from(length) {
            Ok(short) if short < 15 => self.bytes.push(short << 4 | kind),
            _ => {
                self.bytes.push(0xf0 | kind);
                varint(&mut self.bytes, length as u64);
            }
        }
    }
}

/// Seven bits a byte, lowest first; the top bit says that more follow.
pub(super) fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    bytes.push(value.to_le_bytes()[0]);
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

fn binary(bytes: &mut Vec<u8>, text: &str) {
    varint(bytes, text.len() as u64);
    bytes.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_zigzag_varints() {
        for (value, bytes) in [(0, vec![0]), (-1, vec![1]), (1, vec![2]), (300, vec![0xd8, 0x04])] {
            assert_eq!(Struct::default().i32(1, value).end()[1..=bytes.len()], bytes);
        }
    }

    #[test]
    fn long_lists_have_their_length_apart() {
        let bytes = Struct::default().i32s(2, &[0; 20]).end();
        assert_eq!(bytes[..3], [2 << 4 | LIST, 0xf0 | I32, 20]);
    }
}

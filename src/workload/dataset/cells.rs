//! Fields of requests in tables, whose cells are text.
//!
//! In: a row of a table. Out: the same with the fields of its request as what their cells spell.
//! Invariant: an empty cell is as good as a missing one, and one that does not fit is malformed where
//! the row would be sent as it is.

use serde_json::Value;

use super::field::describe;
use super::row::{Expected, Row};
use crate::request::fields;

/// Reads the cells of a row's request; those of one that is not `asked` may say what they like.
pub(super) fn read(row: &mut Row, is_asked: bool) -> Result<(), Expected> {
    let cells = std::mem::take(&mut row.body);
    for (name, cell) in cells {
        let value = match &cell {
            Value::String(text) if text.trim().is_empty() => continue,
            Value::String(text) => match fields::of_cell(&name, text) {
                Ok(value) => value,
                Err(expected) if is_asked => {
                    return Err(Expected::new(format!("{expected} in `{name}`"), describe(&cell)));
                }
                Err(_) => cell,
            },
            _ => cell,
        };
        row.body.insert(name, value);
    }
    let Row { fields, left_out, .. } = row;
    left_out.retain(|name| {
        fields.get(name).and_then(Value::as_str).is_none_or(|it| !it.trim().is_empty())
    });
    Ok(())
}

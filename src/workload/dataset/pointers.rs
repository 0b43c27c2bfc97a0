//! `fields:` of a plan: the person's own names for a row's parts.
//!
//! In: a raw value, the format's row (if it made one), JSON pointers. Out: the row with the named
//! parts replaced. Invariant: a pointer to a prompt must find one; a pointer to anything else may
//! find nothing in a row, and then the part is unknown there.

use serde_json::Value;

use super::beside::beside;
use super::field::{count, describe, ids, name, time};
use super::messages::{blocks, with_messages, with_system};
use super::row::{Expected, Row, RowPrompt};
use super::scale::Scale;
use crate::plan::workload::FieldPointers;
use crate::request::Message;

/// Tokens of a block named by `fields.hash_ids`.
const BLOCK_TOKENS: u64 = super::mooncake::BLOCK_TOKENS;

/// Whether the pointers say where the prompt is, so that the format need not know.
pub(super) fn name_prompt(fields: &FieldPointers) -> bool {
    fields.messages.is_some()
        || fields.prompt.is_some()
        || fields.input_tokens.is_some()
        || fields.hash_ids.is_some()
}

/// A row whose prompt is where the pointers say.
pub(super) fn row(value: &Value, fields: &FieldPointers, scale: Scale) -> Result<Row, Expected> {
    let mut row = if let Some(pointer) = &fields.messages {
        with_messages(required(value, pointer)?, pointer)?
    } else if let Some(pointer) = &fields.prompt {
        match required(value, pointer)? {
            Value::String(text) => Row::new(RowPrompt::Text(text.clone())),
            other => {
                return Err(Expected::new(format!("text at `{pointer}`"), describe(other)));
            }
        }
    } else {
        let tokens = match &fields.input_tokens {
            Some(pointer) => count(required(value, pointer)?, pointer)?,
            None => None,
        };
        match &fields.hash_ids {
            Some(pointer) => {
                let list = ids(required(value, pointer)?, pointer)?;
                let said =
                    value.get("block_size").map_or(Ok(None), |it| count(it, "block_size"))?;
                let size = scale.block_tokens(said, BLOCK_TOKENS);
                let tokens = tokens.unwrap_or(size.saturating_mul(list.len() as u64));
                Row::new(RowPrompt::Blocks(blocks(list, size, tokens, None)?))
            }
            None => Row::new(tokens.map_or(RowPrompt::Fields, RowPrompt::Length)),
        }
    };
    let prompt = [&fields.messages, &fields.prompt].into_iter().flatten().next();
    let holder = prompt.and_then(|pointer| value.pointer(pointer.rsplit_once('/')?.0));
    // What stands beside the prompt is of the request, too, and beside what holds it.
    let given = fields.given();
    let taken: Vec<&str> = given.iter().flat_map(|pointer| pointer.split('/')).collect();
    for around in [holder, Some(value)].into_iter().flatten().filter_map(Value::as_object) {
        beside(&mut row, around, &taken, Some(scale))?;
    }
    row.fields = value.clone();
    Ok(row)
}

/// Replaces what the pointers name beside the prompt.
pub(super) fn apply(
    row: &mut Row,
    value: &Value,
    fields: &FieldPointers,
    scale: Scale,
) -> Result<(), Expected> {
    for pointer in fields.given() {
        let name = pointer.trim_start_matches('/');
        row.left_out.retain(|left| left != name);
        row.body.shift_remove(name);
    }
    if let Some(pointer) = &fields.timestamp {
        row.timestamp_ns = optional(value, pointer, |found| time(found, pointer, scale))?;
    }
    if let Some(pointer) = &fields.max_tokens {
        row.max_tokens = optional(value, pointer, |found| count(found, pointer))?;
        if let Some(name) = row.max_tokens_field.take_if(|name| pointer[1..] != **name) {
            row.leave_out(name);
        }
    }
    if let Some(pointer) = &fields.output_tokens {
        row.output_tokens = optional(value, pointer, |found| count(found, pointer))?;
    }
    for (pointer, part) in [
        (&fields.session, &mut row.session),
        (&fields.id, &mut row.id),
        (&fields.model, &mut row.model),
    ] {
        if let Some(pointer) = pointer {
            *part = optional(value, pointer, |found| name(found, pointer))?;
        }
    }
    if let Some(pointer) = &fields.system
        && let Some(system) = optional(value, pointer, |found| name(found, pointer))?
    {
        with_system(row, Message::text("system", system), pointer);
    }
    Ok(())
}

fn required<'a>(value: &'a Value, pointer: &str) -> Result<&'a Value, Expected> {
    value.pointer(pointer).filter(|found| !found.is_null()).ok_or_else(|| {
        Expected::new(format!("a value at `{pointer}` (from `fields`)"), describe(value))
    })
}

fn optional<T>(
    value: &Value,
    pointer: &str,
    read: impl FnOnce(&Value) -> Result<Option<T>, Expected>,
) -> Result<Option<T>, Expected> {
    value.pointer(pointer).map_or(Ok(None), read)
}

//! Traces of Alibaba Cloud's Bailian: `{chat_id, parent_chat_id, timestamp (s), input_length,
//! output_length, type, turn, hash_ids}` per line, blocks of 16 tokens.
//!
//! In: a line. Out: one row of blocks. Invariant: a row is asked when the trace has it; a turn names
//! its parent and not its session, so turns do not wait for each other.

use serde_json::Value;

use super::beside::beside;
use super::field::{count_of, ids, name_of, object, required, required_count, time};
use super::messages::blocks;
use super::row::{Expected, Row, RowPrompt};
use super::scale::Scale;

const COLUMNS: [&str; 8] = [
    "chat_id",
    "parent_chat_id",
    "timestamp",
    "input_length",
    "output_length",
    "type",
    "turn",
    "hash_ids",
];

/// Tokens of a block.
const BLOCK_TOKENS: u64 = 16;

/// Whether a line looks like one of these.
pub(super) fn recognises(value: &Value) -> bool {
    ["chat_id", "parent_chat_id", "input_length"].iter().all(|name| value.get(name).is_some())
}

/// Reads one line.
pub(super) fn row(value: &Value, scale: Scale) -> Result<Row, Expected> {
    let line = object(value, "an object {chat_id, timestamp, input_length, hash_ids}")?;
    let tokens = required_count(line, &["input_length"])?;
    let list = ids(required(line, "hash_ids", "a list of ids")?, "hash_ids")?;
    let size = scale.block_tokens(count_of(line, &["block_size"])?, BLOCK_TOKENS);
    let mut row = Row::new(RowPrompt::Blocks(blocks(list, size, tokens, None)?));
    row.output_tokens = count_of(line, &["output_length"])?;
    row.timestamp_ns = time(required(line, "timestamp", "a time")?, "timestamp", scale)?;
    row.id = name_of(line, &["chat_id"])?;
    beside(&mut row, line, &COLUMNS, Some(scale))?;
    row.fields = value.clone();
    Ok(row)
}

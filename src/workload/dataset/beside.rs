//! What an object says beside its prompt.
//!
//! In: an object of a file, and the names that its reader took out of it. Out: what is known of the row,
//! and the fields of its request. Invariant: a field is the row's, or the request's, or named among what
//! is not sent; so a reader need only say what it read itself.

use serde_json::{Map, Value};

use super::field::{LIMIT_NAMES, count, name, time};
use super::row::{Expected, Row, RowPrompt};
use super::scale::Scale;
use crate::request::fields;

/// Figures of a prompt: it is made of them, or its text says more.
const SAID_BY_PROMPT: [&str; 6] =
    ["input_length", "input_tokens", "prompt_tokens", "hash_ids", "block_size", "hash_scope"];

/// Takes what an object says beside the fields that were `taken` of it. What the row knows already goes
/// over what stands here. Without a `scale` its times are not read.
pub(super) fn beside(
    row: &mut Row,
    entry: &Map<String, Value>,
    taken: &[&str],
    scale: Option<Scale>,
) -> Result<(), Expected> {
    let mut rest = Rest { entry, taken: taken.to_vec() };
    rest.limit(row)?;
    rest.set(
        &mut row.output_tokens,
        &["output_tokens", "output_length", "completion_tokens"],
        count,
    )?;
    if let Some(scale) = scale {
        let ns = |value: &Value, name: &str| time(value, name, Scale::NANOSECONDS);
        rest.set(&mut row.timestamp_ns, &["timestamp_ns"], ns)?;
        rest.set(&mut row.timestamp_ns, &["timestamp"], |it, name| time(it, name, scale))?;
        rest.set(&mut row.delay_ns, &["delay_ns"], ns)?;
    }
    let sessions = ["session", "session_id", "conversation_id", "conversationId"];
    rest.set(&mut row.session, &sessions, name)?;
    rest.set(&mut row.id, &["id", "custom_id", "request_id"], name)?;
    rest.set(&mut row.model, &["model"], name)?;
    let mut failed = row.failed.then_some(true);
    rest.set(&mut failed, &["failed"], |value, _| Ok(truth(value)))?;
    row.failed = failed.unwrap_or(false);
    rest.of_request(row);
    Ok(())
}

/// Yes or no, also as tables write it; anything else says neither.
fn truth(value: &Value) -> Option<bool> {
    let word = value.as_str().map(str::to_lowercase);
    let spelled = word.and_then(|word| word.trim().parse().ok());
    value.as_bool().or(spelled)
}

/// An object of which something was read.
struct Rest<'a> {
    entry: &'a Map<String, Value>,
    taken: Vec<&'a str>,
}

impl<'a> Rest<'a> {
    /// Sets a part that is not known yet by the first of `names` that says something. What says the
    /// same again is read, too.
    fn set<T: PartialEq>(
        &mut self,
        part: &mut Option<T>,
        names: &[&'a str],
        read: impl Fn(&Value, &str) -> Result<Option<T>, Expected>,
    ) -> Result<(), Expected> {
        for name in names.iter().filter(|name| !self.taken.contains(name)).collect::<Vec<_>>() {
            let Some(value) = self.entry.get(*name) else { continue };
            match read(value, name) {
                Ok(Some(found)) if part.as_ref().is_none_or(|known| *known == found) => {
                    *part = Some(found);
                    self.taken.push(name);
                }
                Ok(None) => self.taken.push(name),
                Err(wrong) if part.is_none() => return Err(wrong),
                Ok(Some(_)) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// The bound of generated tokens, with its name. One is sent, and another is not.
    fn limit(&mut self, row: &mut Row) -> Result<(), Expected> {
        for name in LIMIT_NAMES {
            let Some(value) = self.entry.get(name).filter(|_| !self.taken.contains(&name)) else {
                continue;
            };
            let is_known = row.max_tokens.is_some();
            match count(value, name) {
                Ok(Some(tokens)) if !is_known => row.limit(Some((tokens, name))),
                Ok(found) if found == row.max_tokens && row.max_tokens_field == Some(name) => {}
                Ok(None) => {}
                Err(wrong) if !is_known => return Err(wrong),
                Ok(_) | Err(_) => continue,
            }
            self.taken.push(name);
        }
        Ok(())
    }

    /// What nobody took: fields of a request, and the names of what is none. Data for templates is what
    /// it is.
    fn of_request(&self, row: &mut Row) {
        let is_asked = row.prompt != RowPrompt::Fields;
        for (name, value) in self.entry.iter().filter(|(_, value)| !value.is_null()) {
            if self.taken.contains(&name.as_str()) {
                continue;
            }
            let is_read = || LIMIT_NAMES.contains(&name.as_str()) || name == "model";
            let is_more = || is_asked && !SAID_BY_PROMPT.contains(&name.as_str());
            if fields::is_of_request(name, value) {
                row.request_field(name, value);
            } else if is_more() || is_read() {
                row.leave_out(name);
            }
        }
    }
}

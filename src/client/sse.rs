//! Server-sent events: response bytes → events, by the WHATWG standard.
//!
//! In: chunks exactly as they arrive, cut anywhere. Out: one [`Event`] per blank line that follows
//! data. Invariant: where a stream is cut into chunks never changes its events; every byte is
//! looked at once and copied at most twice, so time is linear in the stream's length; nothing that
//! a server sends makes it panic or grow beyond the size cap.
//!
//! It is our own because eventsource-stream 0.2.3 panics on a byte order mark, loses an event after
//! a lone CR, stops at invalid UTF-8 and re-reads a long line on every chunk.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

/// The longest event a decoder accepts unless told otherwise, in bytes.
pub const MAX_EVENT_BYTES: usize = 16 * 1024 * 1024;

const BOM: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// One dispatched event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event<'a> {
    /// Its `event:` field; `None` means `message`.
    pub name: Option<Cow<'a, str>>,
    /// Its `data:` lines, joined by line feeds.
    pub data: Cow<'a, str>,
    /// The last event id seen so far; empty when none was.
    pub id: Cow<'a, str>,
}

/// The stream cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SseError {
    /// One event (or one line) is longer than the cap, in bytes.
    #[error("one event is longer than {0} bytes")]
    TooLarge(usize),
}

/// What the stream's end left over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// Nothing: the last event was complete.
    Clean,
    /// An event without its closing blank line; by the standard it is dropped.
    Unterminated,
}

/// A push decoder of one response body.
#[derive(Debug)]
pub struct Decoder {
    max_event: usize,
    /// How many bytes of a byte order mark were matched; `None` once the start is behind us.
    bom: Option<usize>,
    /// The last chunk ended in CR: an LF that comes next belongs to it.
    after_cr: bool,
    /// The start of a line whose end has not come yet.
    line: Vec<u8>,
    fields: Fields,
    failed: Option<SseError>,
}

/// The fields of the event being read.
#[derive(Debug, Default)]
struct Fields {
    data: Vec<u8>,
    has_data: bool,
    name: Vec<u8>,
    id: Vec<u8>,
    retry_ms: Option<u64>,
    comments: u64,
    lossy: bool,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new(MAX_EVENT_BYTES)
    }
}

impl Decoder {
    /// A decoder that refuses events of more than `max_event` bytes.
    pub fn new(max_event: usize) -> Self {
        Self {
            max_event,
            bom: Some(0),
            after_cr: false,
            line: Vec::new(),
            fields: Fields::default(),
            failed: None,
        }
    }

    /// Reads the next chunk and hands every event it completes to `on_event`. Once it has failed,
    /// it fails for ever.
    pub fn push(
        &mut self,
        chunk: &[u8],
        on_event: &mut impl FnMut(Event<'_>),
    ) -> Result<(), SseError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let mut rest = self.strip_bom(chunk);
        loop {
            if self.after_cr && !rest.is_empty() {
                self.after_cr = false;
                rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            }
            if let Some((event, behind)) = self.whole_event(rest) {
                self.check(b"data: ".len() + event.len())?;
                self.fields.hand_out(event, on_event);
                rest = behind;
                continue;
            }
            let Some(end) = memchr2(b'\r', b'\n', rest) else { break };
            self.check(end)?;
            if self.line.is_empty() {
                self.fields.line(&rest[..end], on_event);
            } else {
                self.line.extend_from_slice(&rest[..end]);
                self.fields.line(&self.line, on_event);
                self.line.clear();
            }
            self.after_cr = rest[end] == b'\r';
            rest = &rest[end + 1..];
        }
        self.check(rest.len())?;
        self.line.extend_from_slice(rest);
        Ok(())
    }

    /// The data of an event that stands whole at the start of `rest`, in the form that nearly every
    /// server sends: one `data:` line and a blank one, both ended by a line feed. It needs no copy.
    fn whole_event<'c>(&self, rest: &'c [u8]) -> Option<(&'c [u8], &'c [u8])> {
        let value = rest.strip_prefix(b"data: ")?;
        if !self.line.is_empty() || self.fields.has_data {
            return None;
        }
        let end = memchr2(b'\r', b'\n', value)?;
        Some((&value[..end], value[end..].strip_prefix(b"\n\n")?))
    }

    /// Ends the stream and says whether an event was left unfinished.
    pub fn finish(self) -> Tail {
        if self.line.is_empty() && !self.fields.has_data { Tail::Clean } else { Tail::Unterminated }
    }

    /// Whether any event so far held invalid UTF-8, now replaced by U+FFFD.
    pub fn lossy(&self) -> bool {
        self.fields.lossy
    }

    /// Comment lines so far (`: ping` and the like).
    pub fn comments(&self) -> u64 {
        self.fields.comments
    }

    /// The server's last `retry:`, in milliseconds.
    pub fn retry_ms(&self) -> Option<u64> {
        self.fields.retry_ms
    }

    /// Fails once the line so far, its next `more` bytes and the event's data exceed the cap.
    fn check(&mut self, more: usize) -> Result<(), SseError> {
        if self.line.len() + self.fields.data.len() + more <= self.max_event {
            return Ok(());
        }
        let error = SseError::TooLarge(self.max_event);
        self.failed = Some(error);
        Err(error)
    }

    /// Drops one byte order mark at the very start, even when chunks cut it. A start that only
    /// looks like one is put back.
    fn strip_bom<'a>(&mut self, chunk: &'a [u8]) -> &'a [u8] {
        let Some(mut matched) = self.bom else { return chunk };
        let mut rest = chunk;
        while let Some((&first, tail)) = rest.split_first() {
            if first != BOM[matched] {
                self.line.extend_from_slice(&BOM[..matched]);
                self.bom = None;
                return rest;
            }
            rest = tail;
            matched += 1;
            if matched == BOM.len() {
                self.bom = None;
                return rest;
            }
        }
        self.bom = Some(matched);
        rest
    }
}

impl Fields {
    /// Takes one line without its end.
    fn line(&mut self, line: &[u8], on_event: &mut impl FnMut(Event<'_>)) {
        if line.is_empty() {
            self.dispatch(on_event);
            return;
        }
        let (field, value) = match memchr(b':', line) {
            Some(0) => {
                self.comments += 1;
                return;
            }
            Some(colon) => {
                let value = &line[colon + 1..];
                (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
            }
            None => (line, &line[..0]),
        };
        match field {
            b"data" => {
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.has_data = true;
                self.data.extend_from_slice(value);
            }
            b"event" => value.clone_into(&mut self.name),
            b"id" if memchr(0, value).is_none() => value.clone_into(&mut self.id),
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                self.retry_ms = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
            }
            _ => {}
        }
    }

    /// A blank line: hands out the event if it has data, and starts the next.
    fn dispatch(&mut self, on_event: &mut impl FnMut(Event<'_>)) {
        if self.has_data {
            let data = std::mem::take(&mut self.data);
            self.hand_out(&data, on_event);
            self.data = data;
        }
        self.data.clear();
        self.has_data = false;
        self.name.clear();
    }

    /// Hands out an event with this data, under the name and id so far.
    fn hand_out(&mut self, data: &[u8], on_event: &mut impl FnMut(Event<'_>)) {
        let data = text(data);
        // Borrowed means that nothing had to be replaced.
        self.lossy |= matches!(data, Cow::Owned(_));
        let name = (!self.name.is_empty()).then(|| text(&self.name));
        on_event(Event { name, data, id: text(&self.id) });
        self.name.clear();
    }
}

/// UTF-8 with U+FFFD for what is invalid. The check alone is much quicker than the replacement.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

#[cfg(test)]
mod tests;

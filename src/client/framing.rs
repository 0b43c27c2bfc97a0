//! How a streamed answer is cut into events, whatever the dialect.
//!
//! In: chunks as they arrive. Out: the text of each event. Invariant: as for both decoders, where
//! the chunks are cut changes nothing.

use super::sse::{SseError, Tail};
use super::{ndjson, sse};

/// How a stream separates its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Server-sent events.
    Sse,
    /// One JSON value per line.
    Ndjson,
}

impl Framing {
    /// Whether `content_type` (in lower case, without parameters) says that this is what comes.
    pub fn is(self, content_type: &str) -> bool {
        match self {
            Self::Sse => content_type == "text/event-stream",
            Self::Ndjson => matches!(
                content_type,
                "application/x-ndjson"
                    | "application/ndjson"
                    | "application/jsonl"
                    | "application/x-jsonlines"
                    | "application/json-lines"
            ),
        }
    }

    /// Whether `content_type` rules it out. Several servers send lines of JSON as plain JSON.
    pub fn excludes(self, content_type: &str) -> bool {
        match self {
            Self::Sse => matches!(content_type, "text/html" | "application/json"),
            Self::Ndjson => matches!(content_type, "text/html" | "text/event-stream"),
        }
    }
}

/// A push decoder of either framing.
#[derive(Debug)]
pub enum Splitter {
    /// Of server-sent events.
    Sse(sse::Decoder),
    /// Of lines.
    Ndjson(ndjson::Decoder),
}

impl Splitter {
    /// A splitter that refuses events of more than `max_event` bytes.
    pub fn new(framing: Framing, max_event: usize) -> Self {
        match framing {
            Framing::Sse => Self::Sse(sse::Decoder::new(max_event)),
            Framing::Ndjson => Self::Ndjson(ndjson::Decoder::new(max_event)),
        }
    }

    /// Reads the next chunk and hands the text of every event it completes to `on_event`.
    pub fn push(&mut self, chunk: &[u8], on_event: &mut impl FnMut(&str)) -> Result<(), SseError> {
        match self {
            Self::Sse(decoder) => decoder.push(chunk, &mut |event| on_event(&event.data)),
            Self::Ndjson(decoder) => decoder.push(chunk, on_event),
        }
    }

    /// Ends the stream; a last line that is whole is handed out.
    pub fn finish(self, on_event: &mut impl FnMut(&str)) -> Tail {
        match self {
            Self::Sse(decoder) => decoder.finish(),
            Self::Ndjson(mut decoder) => decoder.finish(on_event),
        }
    }

    /// Whether any event so far held invalid UTF-8, now replaced by U+FFFD.
    pub fn lossy(&self) -> bool {
        match self {
            Self::Sse(decoder) => decoder.lossy(),
            Self::Ndjson(decoder) => decoder.lossy(),
        }
    }
}

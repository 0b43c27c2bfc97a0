//! Every dialect against recorded and published streams, against the simulator's side of it, and
//! the requests it makes.

mod json_plans;
mod live;
mod requests;
mod round_trip;
mod run;
mod streams;

use runner::client::dialect::{self, Deltas, Usage};
use runner::client::framing::Splitter;
use runner::plan::{Api, JsonAnswer, JsonApi};
use runner::record::ServerTimings;

/// All that an answer says, read without a clock.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    /// Content and reasoning of each event that has any.
    pub tokens: Vec<(String, String)>,
    pub usage: Usage,
    pub timings: Option<ServerTimings>,
    pub finish: Option<String>,
    pub model: Option<String>,
    pub cached: Option<bool>,
    pub done: bool,
    /// An error inside the stream, or one of decoding.
    pub error: Option<String>,
}

impl Reading {
    pub fn content(&self) -> String {
        self.tokens.iter().map(|(content, _)| content.as_str()).collect()
    }

    pub fn reasoning(&self) -> String {
        self.tokens.iter().map(|(_, reasoning)| reasoning.as_str()).collect()
    }

    fn take(&mut self, deltas: &mut Deltas) {
        if !deltas.content.is_empty() || !deltas.reasoning.is_empty() {
            self.tokens.push((deltas.content.clone(), deltas.reasoning.clone()));
        }
        if let Some(usage) = deltas.usage {
            self.usage.input_tokens = usage.input_tokens.or(self.usage.input_tokens);
            self.usage.output_tokens = usage.output_tokens.or(self.usage.output_tokens);
            self.usage.cached_tokens = usage.cached_tokens.or(self.usage.cached_tokens);
            self.usage.reasoning_tokens = usage.reasoning_tokens.or(self.usage.reasoning_tokens);
        }
        self.timings = deltas.timings.or(self.timings);
        self.finish = deltas.finish_reason.take().or(self.finish.take());
        self.model = deltas.model.take().or(self.model.take());
        self.cached = deltas.cached.or(self.cached);
        self.error = deltas.error.take();
        self.done = deltas.done;
    }
}

/// Reads a stream that arrives in these chunks, up to its end mark or first error.
pub fn read_stream<'a>(api: &Api, chunks: impl IntoIterator<Item = &'a [u8]>) -> Reading {
    let dialect = dialect::of(api);
    let mut splitter = Splitter::new(dialect.framing(), 1 << 20);
    let (mut reading, mut deltas) = (Reading::default(), Deltas::default());
    let mut on_event = |event: &str| {
        if reading.done || reading.error.is_some() {
            return;
        }
        match dialect.decode(event.as_bytes(), &mut deltas) {
            Ok(()) => reading.take(&mut deltas),
            Err(error) => reading.error = Some(error.to_string()),
        }
    };
    for chunk in chunks {
        splitter.push(chunk, &mut on_event).unwrap();
    }
    splitter.finish(&mut on_event);
    reading
}

/// Reads a whole answer.
pub fn read_body(api: &Api, body: &[u8], headers: &[(&'static str, String)]) -> Reading {
    let dialect = dialect::of(api);
    let (mut reading, mut deltas) = (Reading::default(), Deltas::default());
    dialect.decode_body(body, &mut deltas).unwrap();
    let header = |name| headers.iter().find(|(known, _)| *known == name).map(|(_, it)| it.clone());
    dialect.decode_headers(&header, &mut deltas);
    reading.take(&mut deltas);
    reading
}

/// A JSON endpoint whose answers nest their parts.
pub fn nested(answer: JsonAnswer) -> Api {
    let at = |pointer: &str| Some(pointer.to_owned());
    Api::Json(Box::new(JsonApi {
        path: "ask".into(),
        answer,
        text: "/delta/text".into(),
        cumulative: answer == JsonAnswer::Ndjson,
        finish_reason: at("/stop"),
        done: at("/last"),
        input_tokens: at("/counts/in"),
        output_tokens: at("/counts/out"),
        cached: at("/counts/hit"),
        ..JsonApi::default()
    }))
}

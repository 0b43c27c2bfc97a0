//! Streams of real servers and streams made from the published types: right tokens, usage, finish
//! and outcome, over a real socket and wherever the bytes are cut.

use runner::plan::{Api, JsonAnswer};
use runner::record::{Exchange, ServerTimings};

use super::{nested, read_stream};
use crate::client::{class, endpoint, exchange};
use crate::faulty_server::{FaultyServer, LAST_CHUNK, Step, chunk, recorded};

/// Prefill, decode and total milliseconds, and cached tokens.
type Times = (Option<f64>, Option<f64>, Option<f64>, Option<u64>);

/// What a stream must give.
struct Row {
    file: &'static str,
    api: Api,
    class: &'static str,
    /// Token-bearing events.
    tokens: usize,
    content: &'static str,
    reasoning: &'static str,
    /// Input, output, cached, reasoning tokens.
    usage: [Option<u64>; 4],
    finish: Option<&'static str>,
    flags: &'static [&'static str],
    /// The server's own.
    timings: Option<Times>,
}

const fn row(file: &'static str, api: Api, class: &'static str, tokens: usize) -> Row {
    Row {
        file,
        api,
        class,
        tokens,
        content: "",
        reasoning: "",
        usage: [None; 4],
        finish: None,
        flags: &[],
        timings: None,
    }
}

impl Row {
    fn says(self, content: &'static str) -> Self {
        Self { content, ..self }
    }

    fn thinks(self, reasoning: &'static str) -> Self {
        Self { reasoning, ..self }
    }

    fn counts(self, input: u64, output: u64, cached: Option<u64>) -> Self {
        Self { usage: [Some(input), Some(output), cached, None], ..self }
    }

    fn usage(self, usage: [Option<u64>; 4]) -> Self {
        Self { usage, ..self }
    }

    fn ends(self, finish: &'static str) -> Self {
        Self { finish: Some(finish), ..self }
    }

    fn flags(self, flags: &'static [&'static str]) -> Self {
        Self { flags, ..self }
    }

    fn times(
        self,
        prompt_ms: Option<f64>,
        predicted_ms: Option<f64>,
        total_ms: Option<f64>,
        cache_n: Option<u64>,
    ) -> Self {
        Self { timings: Some((prompt_ms, predicted_ms, total_ms, cache_n)), ..self }
    }
}

fn rows() -> Vec<Row> {
    let mut rows = completions();
    rows.extend(responses());
    rows.extend(messages());
    rows.extend(native());
    rows.extend(json());
    rows
}

fn completions() -> Vec<Row> {
    let row = |file, class, tokens| row(file, Api::OpenaiCompletions, class, tokens);
    vec![
        row("llama-comp", "ok", 6)
            .says(", the city of New Haven")
            .counts(4, 6, Some(0))
            .ends("length")
            .times(Some(30.19), Some(63.848), None, Some(0)),
        row("published/vllm-comp", "ok", 4)
            .says(", the city of")
            .counts(4, 4, Some(0))
            .ends("length"),
        row("published/transformers-comp", "ok", 2)
            .says("'s a")
            .counts(4, 2, None)
            .ends("length")
            .flags(&["no_done"]),
        row("published/vllm-error-comp", "stream.error_event", 1).says(","),
    ]
}

fn responses() -> Vec<Row> {
    let row = |file, class, tokens| row(file, Api::OpenaiResponses, class, tokens);
    vec![
        row("llama-responses", "ok", 6)
            .says("Hello, I'm here to")
            .counts(37, 6, Some(36))
            .ends("completed")
            .times(Some(18.289), Some(64.898), None, Some(36)),
        row("llama-think-responses", "ok", 2)
            .thinks("\nhello there")
            .counts(15, 4, Some(14))
            .ends("completed")
            .times(Some(45.054), Some(100.309), None, Some(14)),
        row("aimock-responses", "ok", 17)
            .says("Hello! This is an aimock answer streamed in little pieces of text.")
            .thinks("The user greets me; I greet back.")
            .counts(1500, 20, None)
            .ends("completed"),
        row("llmock-responses", "ok", 5)
            .says("LLMock says hello from mock.")
            .usage([Some(2), Some(7), Some(0), Some(0)])
            .ends("completed"),
        row("llmock-malformed-responses", "protocol.json", 0),
        row("llmock-truncate-responses", "stream.truncated", 0),
        row("llmock-disconnect-responses", "stream.incomplete_body", 0),
        row("published/openai-tools-responses", "ok", 3)
            .says("get_weather{\"city\":\"Paris\"}")
            .usage([Some(1200), Some(82), Some(1024), Some(64)])
            .ends("completed"),
        row("published/openai-incomplete-responses", "ok", 2)
            .says("Once upon")
            .usage([Some(9), Some(2), Some(0), Some(0)])
            .ends("max_output_tokens"),
        row("published/vllm-responses", "ok", 1)
            .says("'m glad")
            .usage([Some(37), Some(4), Some(0), Some(0)])
            .ends("max_output_tokens"),
        row("published/transformers-responses", "ok", 1)
            .says("Hello")
            .usage([Some(32), Some(12), Some(0), Some(0)])
            .ends("completed"),
        row("published/openai-failed-responses", "stream.error_event", 1).says("Once"),
        row("published/openai-error-responses", "stream.error_event", 0),
        row("published/vllm-overload-responses", "stream.truncated", 0),
    ]
}

fn messages() -> Vec<Row> {
    let row = |file, class, tokens| row(file, Api::AnthropicMessages, class, tokens);
    vec![
        row("llama-messages", "ok", 6)
            .says("Hello, I'm here to")
            .counts(37, 6, Some(36))
            .ends("max_tokens"),
        row("llama-think-messages", "ok", 18)
            .says("Here is an example of how to do it:\n\n")
            .thinks("\nI am trying to create a")
            .counts(15, 24, Some(14))
            .ends("max_tokens"),
        row("aimock-messages", "ok", 17)
            .says("Hello! This is an aimock answer streamed in little pieces of text.")
            .thinks("The user greets me; I greet back.")
            .counts(1500, 20, None)
            .ends("end_turn"),
        row("llmock-messages", "ok", 5)
            .says("LLMock says hello from mock.")
            .counts(2, 7, None)
            .ends("end_turn"),
        row("llmock-malformed-messages", "protocol.json", 0).counts(2, 1, None),
        row("llmock-truncate-messages", "stream.truncated", 0).counts(2, 1, None),
        row("llmock-disconnect-messages", "stream.incomplete_body", 0).counts(2, 1, None),
        row("published/anthropic-cache-messages", "ok", 2)
            .says("Hello")
            .counts(2009, 12, Some(1800))
            .ends("end_turn"),
        row("published/anthropic-tools-messages", "ok", 4)
            .says("get_weather{\"city\": \"San Francisco\"}")
            .thinks("Weather.")
            .counts(472, 89, Some(0))
            .ends("tool_use"),
        row("published/vllm-messages", "ok", 2)
            .says("I'm glad")
            .counts(730, 4, Some(640))
            .ends("max_tokens"),
        row("published/vllm-overload-messages", "stream.error_event", 0),
        row("published/anthropic-overload-messages", "stream.error_event", 1)
            .says("Hel")
            .counts(21, 1, None),
    ]
}

fn native() -> Vec<Row> {
    let ollama = |row: Row| {
        row.counts(26, 4, None).times(Some(342.546), Some(453.625), Some(4_883.583_458), None)
    };
    // A mock that others wrote: four letters at a time, and it counts nothing.
    let mock = |row: Row| {
        row.says(
            "Hello! This is an answer streamed in little pieces of text, at a steady pace, for as \
             long as it lasts.",
        )
        .ends("stop")
        .flags(&["impossible_usage"])
        .times(Some(0.0), Some(0.0), Some(0.0), None)
    };
    vec![
        row("llama-native", Api::LlamacppCompletion, "ok", 4)
            .says(", the city of")
            .counts(4, 4, Some(3))
            .ends("limit")
            .times(Some(12.881), Some(37.841), None, Some(3)),
        row("published/llama-progress-native", Api::LlamacppCompletion, "ok", 2)
            .says(" the city")
            .counts(4, 2, None)
            .ends("limit"),
        row("published/llama-error-native", Api::LlamacppCompletion, "stream.error_event", 1)
            .says(" the")
            .counts(4, 1, None),
        ollama(row("published/ollama-chat", Api::OllamaChat, "ok", 3))
            .says("The sky is blue.")
            .ends("stop"),
        ollama(row("published/ollama-think-chat", Api::OllamaChat, "ok", 4))
            .says("Blue.")
            .thinks("Sky? Blue.")
            .ends("length"),
        ollama(row("published/ollama-tools-chat", Api::OllamaChat, "ok", 1))
            .says("get_weather{\"city\":\"Tokyo\"}")
            .ends("stop"),
        ollama(row("published/ollama-generate", Api::OllamaGenerate, "ok", 3))
            .says("The sky 空")
            .ends("stop"),
        // Lines of JSON as plain JSON, the last without its end, the prompt all cached.
        ollama(row("published/ollama-cached", Api::OllamaGenerate, "ok", 1))
            .says("Hi")
            .usage([None, Some(4), None, None])
            .ends("stop")
            .flags(&["content_type"]),
        mock(row("aimock-ollama-chat", Api::OllamaChat, "ok", 26)),
        mock(row("aimock-ollama-generate", Api::OllamaGenerate, "ok", 26)),
        row("published/ollama-error", Api::OllamaGenerate, "stream.error_event", 1).says("The"),
        row("published/ollama-truncated", Api::OllamaGenerate, "stream.truncated", 2)
            .says("The sky")
            .flags(&["unterminated_event"]),
        row("published/tgi-stream", Api::Tgi, "ok", 3)
            .says(" Deep learning is")
            .counts(6, 4, None)
            .ends("eos_token"),
        row("published/tgi-length", Api::Tgi, "ok", 2)
            .says(" Deep learning")
            .usage([None, Some(2), None, None])
            .ends("length"),
        row("published/tgi-error", Api::Tgi, "stream.error_event", 1).says(" Deep"),
        row("published/triton-pieces", Api::Triton, "ok", 3).says("Machine learning is"),
        row("published/triton-accumulated", Api::Triton, "ok", 3).says("Machine learning is"),
        row("published/triton-vllm", Api::Triton, "ok", 2)
            .says(" the end")
            .counts(5, 1, None)
            .ends("length"),
        row("published/triton-error", Api::Triton, "stream.error_event", 1).says("Machine"),
        row("published/sglang-cumulative", Api::Sglang, "ok", 3)
            .says(" Paris.\nThe")
            .counts(7, 3, Some(6))
            .ends("length")
            .times(None, None, Some(125.0), None),
        row("published/sglang-pieces", Api::Sglang, "ok", 3)
            .says(" Paris.\nThe")
            .counts(7, 3, Some(6))
            .ends("stop")
            .times(None, None, Some(125.0), None),
        row("published/sglang-abort", Api::Sglang, "stream.error_event", 1).says(" Paris").counts(
            7,
            1,
            Some(6),
        ),
        row("published/sglang-error", Api::Sglang, "stream.error_event", 1).says(" Paris").counts(
            7,
            1,
            Some(6),
        ),
    ]
}

fn json() -> Vec<Row> {
    vec![
        row("published/json-sse", nested(JsonAnswer::Sse), "ok", 2)
            .says("Hello")
            .counts(5, 2, Some(4))
            .ends("eos"),
        row("published/json-ndjson", nested(JsonAnswer::Ndjson), "ok", 2)
            .says("Hello")
            .counts(5, 2, Some(0))
            .flags(&["no_finish_reason", "content_type"]),
    ]
}

/// Replays a file in pieces of `piece` bytes, each its own chunk.
async fn replay(row: &Row, piece: usize) -> Exchange {
    let (head, body) = recorded(row.file);
    let mut bytes = head;
    bytes.extend(body.chunks(piece).flat_map(chunk));
    if row.class != "stream.incomplete_body" {
        bytes.extend_from_slice(LAST_CHUNK);
    }
    let server = FaultyServer::script(vec![Step::Read, Step::Send(bytes)]);
    let mut endpoint = endpoint(&server.url());
    endpoint.api = row.api.clone();
    exchange(&endpoint).await
}

#[tokio::test]
async fn every_stream_gives_its_tokens_usage_finish_and_outcome() {
    for row in rows() {
        let file = row.file;
        for piece in [7, 1 << 20] {
            let it = replay(&row, piece).await;
            assert_eq!(class(&it), row.class, "{file}: {:?}", it.error_message);
            assert_eq!(it.token_ns.len(), row.tokens, "{file}");
            assert_eq!(it.text.len(), row.content.len() + row.reasoning.len(), "{file}");
            let usage = [it.input_tokens, it.output_tokens, it.cached_tokens, it.reasoning_tokens];
            assert_eq!(usage, row.usage, "{file}");
            if row.class == "ok" {
                assert_eq!(it.finish_reason.as_deref(), row.finish, "{file}");
            }
            // The request here is not the recorded one, so its limit is none of theirs.
            let flags: Vec<_> = it.flags.iter().filter(|flag| *flag != "over_max_tokens").collect();
            let is_reasoning = row.class == "ok" && row.content.is_empty() && !it.text.is_empty();
            let expected = row.flags.iter().chain(is_reasoning.then_some(&"reasoning_only"));
            assert_eq!(flags, expected.collect::<Vec<_>>(), "{file}");
            let timings = it.timings.map(|timings| {
                let ServerTimings { prompt_ms, predicted_ms, total_ms, cache_n, .. } = timings;
                (prompt_ms, predicted_ms, total_ms, cache_n)
            });
            assert_eq!(timings, row.timings, "{file}");
            assert_eq!(it.first_content_ns.is_some(), !row.content.is_empty(), "{file}");
        }
    }
}

#[test]
fn every_stream_reads_the_same_wherever_it_is_cut() {
    for row in rows() {
        let (_, body) = recorded(row.file);
        let whole = read_stream(&row.api, [&body[..]]);
        assert_eq!((whole.content().as_str(), whole.tokens.len()), (row.content, row.tokens));
        assert_eq!(whole.reasoning(), row.reasoning, "{}", row.file);
        for cut in 0..=body.len() {
            let (head, tail) = body.split_at(cut);
            assert_eq!(read_stream(&row.api, [head, tail]), whole, "{} cut at {cut}", row.file);
        }
        assert_eq!(read_stream(&row.api, body.chunks(1)), whole, "{} by bytes", row.file);
    }
}

#[test]
fn every_stream_is_in_the_table() {
    let rows = rows();
    for (folder, prefix) in [("", ""), ("published", "published/")] {
        let path = format!("{}/tests/streams/{folder}", env!("CARGO_MANIFEST_DIR"));
        for entry in std::fs::read_dir(path).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let Some(file) = name.strip_suffix(".txt") else { continue };
            // OpenAI chat has a table of its own.
            if prefix.is_empty() && file.contains("chat") {
                continue;
            }
            let file = format!("{prefix}{file}");
            assert!(rows.iter().any(|row| row.file == file), "{file} is not checked");
        }
    }
}

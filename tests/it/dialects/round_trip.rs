//! What the simulator's side writes, the client's side reads; what the client asks, the simulator
//! understands. Neither shares a line with the other.

use std::time::Duration;

use runner::client::dialect;
use runner::plan::{Api, JsonAnswer, JsonApi};
use runner::request::{Message, Request};
use runner::simulator::dialect::{Ask, Identity, Piece, Totals, Writer, api_of, generate_api};
use serde_json::{Value, json};

use super::{Reading, nested, read_body, read_stream};

const WORDS: [&str; 5] = ["Once", " upon\n", " a", " \"time\"", " 空"];

/// Every API but `OpenAI` chat, which the simulator writes elsewhere.
fn apis() -> Vec<Api> {
    let mut apis: Vec<Api> = Api::NAMES
        .into_iter()
        .filter(|name| *name != "openai-chat")
        .map(|name| Api::of_name(name).unwrap())
        .collect();
    apis.extend([nested(JsonAnswer::Sse), nested(JsonAnswer::Ndjson)]);
    let plain_sse = JsonApi { answer: JsonAnswer::Sse, ..JsonApi::default() };
    apis.push(Api::Json(Box::new(plain_sse)));
    apis
}

fn totals(output_tokens: u64, cut: bool, cached_tokens: Option<u64>) -> Totals {
    Totals {
        prompt_tokens: 100,
        cached_tokens,
        output_tokens,
        cut,
        queue: Duration::from_millis(3),
        prefill: Duration::from_millis(20),
        decode: Duration::from_millis(50),
    }
}

fn writer(api: &Api) -> Writer {
    let identity = Identity {
        id: "resp-1".into(),
        model: "sim".into(),
        created: 1_795_294_962,
        include_usage: true,
    };
    Writer::new(api.clone(), identity)
}

/// A stream of the words, `thought` of them reasoning.
fn stream(api: &Api, thought: usize, end: &Totals) -> Vec<u8> {
    let (mut writer, mut out) = (writer(api), Vec::new());
    writer.open(&Totals { output_tokens: 0, ..end.clone() }, &mut out);
    for (number, (before, word)) in (1..).zip(WORDS.into_iter().enumerate()) {
        let piece = if before < thought { Piece::Reasoning(word) } else { Piece::Content(word) };
        writer.piece(piece, &Totals { output_tokens: number, ..end.clone() }, &mut out);
    }
    writer.close(end, &mut out);
    out
}

fn counts_tokens(api: &Api) -> bool {
    match api {
        Api::Triton => false,
        Api::Json(api) => api.input_tokens.is_some(),
        _ => true,
    }
}

/// Whether the API says how many tokens were cached.
fn counts_cached(api: &Api) -> bool {
    counts_tokens(api) && !matches!(api, Api::OllamaChat | Api::OllamaGenerate | Api::Tgi)
}

fn has_reasoning(api: &Api) -> bool {
    matches!(
        api,
        Api::OpenaiCompletions
            | Api::OpenaiResponses
            | Api::AnthropicMessages
            | Api::OllamaChat
            | Api::OllamaGenerate
    )
}

fn check(api: &Api, it: &Reading, end: &Totals, what: &str) {
    assert_eq!(it.error, None, "{what}");
    let all = it.content() + &it.reasoning();
    assert_eq!(all.len(), WORDS.concat().len(), "{what}: {all:?}");
    if counts_tokens(api) {
        assert_eq!(it.usage.input_tokens, Some(100), "{what}");
        assert_eq!(it.usage.output_tokens, Some(end.output_tokens), "{what}");
    }
    let cached = end.cached_tokens.filter(|_| counts_cached(api));
    assert_eq!(it.usage.cached_tokens, cached, "{what}");
    let finish = match api {
        Api::Triton => None,
        Api::Json(api) if api.finish_reason.is_none() => None,
        _ => Some(end.cut),
    };
    let cut_words = ["length", "max_tokens", "max_output_tokens", "limit"];
    let cut = it.finish.as_deref().map(|word| cut_words.contains(&word));
    assert_eq!(cut, finish, "{what}: {:?}", it.finish);
}

#[test]
fn streams_of_the_simulator_are_read_token_by_token() {
    for api in apis() {
        for (thought, cut, cached) in [(0, true, Some(64)), (2, false, None), (0, false, Some(0))] {
            let end = totals(5, cut, cached);
            let bytes = stream(&api, thought, &end);
            let it = read_stream(&api, [&bytes[..]]);
            let what = format!("{} {thought} {cut} {cached:?}", api.name());
            check(&api, &it, &end, &what);
            assert_eq!(it.tokens.len(), WORDS.len(), "{what}: {:?}", it.tokens);
            for (number, ((content, reasoning), word)) in it.tokens.iter().zip(WORDS).enumerate() {
                let reasons = number < thought && has_reasoning(&api);
                let expected = if reasons { ("", word) } else { (word, "") };
                assert_eq!((content.as_str(), reasoning.as_str()), expected, "{what}");
            }
            let marks_end = dialect::of(&api).marks_end();
            assert_eq!(it.done, marks_end, "{what}");
            for cut in 0..bytes.len() {
                let (head, tail) = bytes.split_at(cut);
                assert_eq!(read_stream(&api, [head, tail]), it, "{what} cut at {cut}");
                // A stream that breaks off never looks complete.
                let broken = read_stream(&api, [head]);
                assert!(!broken.done || cut + 2 >= bytes.len() || broken == it, "{what} {cut}");
            }
        }
    }
}

#[test]
fn whole_answers_of_the_simulator_are_read() {
    for api in apis() {
        for (cut, cached) in [(true, Some(64)), (false, None), (false, Some(0))] {
            let end = totals(5, cut, cached);
            let mut writer = writer(&api);
            for word in WORDS {
                writer.keep(Piece::Content(word));
            }
            let it = read_body(&api, &writer.whole(&end), &writer.headers(&end));
            check(&api, &it, &end, &format!("{} {cut} {cached:?}", api.name()));
            assert_eq!(it.content(), WORDS.concat());
        }
    }
}

#[test]
fn errors_of_the_simulator_in_mid_stream_are_errors() {
    for api in apis() {
        let (mut writer, mut out) = (writer(&api), Vec::new());
        let so_far = totals(1, false, None);
        writer.open(&so_far, &mut out);
        writer.piece(Piece::Content("Once"), &so_far, &mut out);
        writer.error("no memory left", &mut out);
        let it = read_stream(&api, [&out[..]]);
        assert!(it.error.as_ref().is_some_and(|error| error.contains("no memory left")), "{it:?}");
        assert_eq!(it.content(), "Once", "{}", api.name());
    }
}

#[test]
fn native_times_arrive_in_milliseconds() {
    let end = totals(5, true, Some(64));
    let read = |api: Api| {
        let it = read_stream(&api, [&stream(&api, 0, &end)[..]]);
        it.timings.unwrap()
    };
    for api in [Api::OllamaChat, Api::OllamaGenerate, Api::LlamacppCompletion] {
        let timings = read(api);
        assert_eq!((timings.prompt_ms, timings.predicted_ms), (Some(20.0), Some(50.0)));
        assert_eq!(timings.predicted_n, Some(5));
    }
    assert_eq!(read(Api::LlamacppCompletion).cache_n, Some(64));
    assert_eq!(read(Api::LlamacppCompletion).prompt_n, Some(36));
    assert_eq!(read(Api::OllamaChat).total_ms, Some(73.0));
    assert_eq!(read(Api::Sglang).total_ms, Some(73.0));

    let mut tgi = writer(&Api::Tgi);
    tgi.keep(Piece::Content("Once"));
    let it = read_body(&Api::Tgi, &tgi.whole(&end), &tgi.headers(&end));
    let timings = it.timings.unwrap();
    assert_eq!((timings.queue_ms, timings.inference_ms), (Some(3.0), Some(70.0)));
    assert_eq!((timings.total_ms, timings.predicted_n), (Some(73.0), Some(5)));
}

#[test]
fn a_generate_endpoint_says_yes_or_no_to_caching() {
    let api = Api::of_name("json").unwrap();
    for (cached, says) in [(Some(99), true), (Some(0), false), (None, false)] {
        let mut writer = writer(&api);
        writer.keep(Piece::Content("hi"));
        let body = writer.whole(&totals(1, false, cached));
        let json: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(json, json!({"text": "hi", "cached": says}));
        assert_eq!(read_body(&api, &body, &[]).cached, Some(says));
    }
}

fn asked(stream: bool) -> Request {
    let message = |role: &str, content: &str| Message::text(role, content);
    let body = json!({"ignore_eos": true, "min_tokens": 7, "chat_template_kwargs": {"a": 1}});
    Request {
        messages: vec![message("system", "Be brief."), message("user", "Say \"hi\".")],
        max_tokens: Some(16),
        temperature: Some(0.0),
        stream,
        body: body.as_object().unwrap().clone(),
        ..Request::default()
    }
}

#[test]
fn the_simulator_understands_what_the_client_asks() {
    for api in apis() {
        for stream in [false, true] {
            let dialect = dialect::of(&api);
            let request = asked(stream);
            let http = dialect.encode(&request, "sim").unwrap();
            let body: Value = serde_json::from_slice(&http.body).unwrap();
            let what = format!("{} {stream}: {body}", api.name());
            let path = match dialect.place() {
                dialect::Place::Base => format!("/v1/{}", http.path),
                dialect::Place::Root => format!("/{}", http.path),
            };
            let (served, by_path) = match &api {
                Api::Json(_) => (api.clone(), None),
                _ if path == "/generate" => generate_api(&body),
                _ => api_of(&path).unwrap_or_else(|| panic!("{what}: {path} is not served")),
            };
            assert_eq!(served, api, "{what}");
            let ask = Ask::read(&served, &body, by_path)
                .unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(ask.max_tokens, Some(16), "{what}");
            assert_eq!((ask.ignore_eos, ask.min_tokens), (true, Some(7)), "{what}");
            assert_eq!(ask.stream, dialect.streams(&request), "{what}");
            assert_eq!(ask.include_usage, stream && api == Api::OpenaiCompletions, "{what}");
            let text: Vec<&str> =
                ask.messages.iter().map(|it| it["content"].as_str().unwrap()).collect();
            assert_eq!(text.join("\n\n"), "Be brief.\n\nSay \"hi\".", "{what}");
            assert_eq!(body["chat_template_kwargs"], json!({"a": 1}), "{what}");
        }
    }
}

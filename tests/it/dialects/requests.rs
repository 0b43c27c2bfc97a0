//! Requests as they leave: bodies by dialect, and the text that `runner plan --request` shows.

use runner::client::Client;
use runner::client::dialect;
use runner::plan::{Api, ApiKey, JsonAnswer, JsonApi, Secret};
use runner::record::{OutcomeKind, RunClock};
use runner::request::{Message, Request};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::nested;
use crate::client::endpoint;
use crate::faulty_server::{FaultyServer, answer, json as json_answer};

fn request(messages: &[(&str, &str)], stream: bool, body: &Value) -> Request {
    let message = |(role, content): &(&str, &str)| Message::text(*role, *content);
    Request {
        messages: messages.iter().map(message).collect(),
        max_tokens: Some(16),
        temperature: Some(0.5),
        stream,
        body: body.as_object().unwrap().clone(),
        ..Request::default()
    }
}

/// Path and body of a request.
fn encoded(api: &Api, request: &Request) -> (String, Value) {
    let http = dialect::of(api).encode(request, "m").unwrap();
    (http.path.into_owned(), serde_json::from_slice(&http.body).unwrap())
}

#[test]
fn each_dialect_asks_in_its_own_words() {
    let chat = [("system", "S"), ("user", "U")];
    let messages = json!([{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]);
    let rows = [
        (
            Api::OpenaiCompletions,
            "completions",
            json!({"model": "m", "prompt": "S\n\nU", "max_tokens": 16, "temperature": 0.5,
                "stream": true, "stream_options": {"include_usage": true}}),
        ),
        (
            Api::OpenaiResponses,
            "responses",
            json!({"model": "m", "input": messages, "max_output_tokens": 16, "temperature": 0.5,
                "stream": true}),
        ),
        (
            Api::AnthropicMessages,
            "messages",
            json!({"model": "m", "system": "S", "messages": [{"role": "user", "content": "U"}],
                "max_tokens": 16, "temperature": 0.5, "stream": true}),
        ),
        (
            Api::OllamaChat,
            "api/chat",
            json!({"model": "m", "messages": messages, "stream": true,
                "options": {"num_predict": 16, "temperature": 0.5}}),
        ),
        (
            Api::OllamaGenerate,
            "api/generate",
            json!({"model": "m", "prompt": "U", "system": "S", "stream": true,
                "options": {"num_predict": 16, "temperature": 0.5}}),
        ),
        (
            Api::Tgi,
            "generate_stream",
            json!({"inputs": "S\n\nU",
                "parameters": {"max_new_tokens": 16, "temperature": 0.5, "details": true}}),
        ),
        (
            Api::Triton,
            "v2/models/m/generate_stream",
            json!({"text_input": "S\n\nU", "max_tokens": 16, "temperature": 0.5, "stream": true}),
        ),
        (
            Api::Sglang,
            "generate",
            json!({"text": "S\n\nU", "stream": true,
                "sampling_params": {"max_new_tokens": 16, "temperature": 0.5}}),
        ),
        (
            Api::LlamacppCompletion,
            "completion",
            json!({"model": "m", "prompt": "S\n\nU", "n_predict": 16, "temperature": 0.5,
                "stream": true}),
        ),
        (
            Api::of_name("json").unwrap(),
            "",
            json!({"prompt": "S\n\nU", "max_tokens": 16, "temperature": 0.5}),
        ),
        (
            nested(JsonAnswer::Ndjson),
            "ask",
            json!({"prompt": "S\n\nU", "max_tokens": 16, "temperature": 0.5, "stream": true}),
        ),
    ];
    for (api, path, body) in rows {
        let name = api.name();
        assert_eq!(encoded(&api, &request(&chat, true, &json!({}))), (path.into(), body), "{name}");
    }
}

#[test]
fn paths_follow_the_stream_and_extra_fields_win_everywhere() {
    let extra = json!({"stream": false, "ignore_eos": true, "min_tokens": 3,
        "stream_options": {"x": 1}, "chat_template_kwargs": {"enable_thinking": false}});
    for name in Api::NAMES {
        let api = Api::of_name(name).unwrap();
        let asked = request(&[("user", "U")], true, &extra);
        assert!(!dialect::of(&api).streams(&asked), "{name}");
        let (path, body) = encoded(&api, &asked);
        assert!(!path.ends_with("_stream"), "{name}: {path}");
        for (key, value) in extra.as_object().unwrap() {
            let sent = &body[key];
            let whole = sent == value;
            let merged = sent.is_object() && value["x"] == sent["x"];
            assert!(whole || merged, "{name}: {key} is {sent}");
        }
    }
}

#[test]
fn options_merge_and_tgi_spells_greedy_its_own_way() {
    let mut asked =
        request(&[("user", "U")], true, &json!({"options": {"num_ctx": 4096, "num_predict": 2}}));
    let (_, body) = encoded(&Api::OllamaChat, &asked);
    assert_eq!(body["options"], json!({"num_predict": 2, "temperature": 0.5, "num_ctx": 4096}));
    asked.temperature = Some(0.0);
    let (_, body) = encoded(&Api::Tgi, &asked);
    assert_eq!(
        body["parameters"],
        json!({"max_new_tokens": 16, "do_sample": false, "details": true})
    );
    asked.max_tokens = None;
    let (_, body) = encoded(&Api::AnthropicMessages, &asked);
    assert_eq!(body["max_tokens"], 4096, "the API insists on one");
}

#[test]
fn a_body_of_the_plan_is_filled_in_and_nothing_is_added() {
    let template = json!({
        "q": "{{ prompt }}", "say": "{{model}}: {{ prompt }}!", "chat": "{{ messages }}",
        "deep": [{"most": "{{ max_tokens }}", "t": "{{ temperature }}"}], "s": "{{ stream }}",
        "kept": [1, null, "words"],
    });
    let body = template.as_object().cloned();
    let api = Api::Json(Box::new(JsonApi { body, ..JsonApi::default() }));
    let mut asked = request(&[("user", "a {{ prompt }}")], true, &json!({"kept": 2, "more": true}));
    asked.temperature = None;
    let (_, body) = encoded(&api, &asked);
    assert_eq!(
        body,
        json!({
            "q": "a {{ prompt }}", "say": "m: a {{ prompt }}!",
            "chat": [{"role": "user", "content": "a {{ prompt }}"}],
            "deep": [{"most": 16}], "s": true, "kept": 2, "more": true,
        }),
        "data is inserted as it is, what there is none of goes, extra fields win"
    );
}

#[test]
fn a_request_is_shown_as_it_will_be_sent_without_its_secrets() {
    let mut endpoint = endpoint(&"http://127.0.0.1:9/v1".parse().unwrap());
    endpoint.api = Api::AnthropicMessages;
    endpoint.api_key = ApiKey::Key(Secret::new("sk-very-secret"));
    endpoint.headers = vec![("x-team".into(), Secret::new("team-secret"))];
    let client =
        Client::new(&endpoint, &"http://127.0.0.1:9/v1".parse().unwrap(), RunClock::start_now());
    let client = client.unwrap();
    let asked = request(&[("user", "my sk-very-secret")], true, &json!({"top_k": 1}));
    let shown = client.show(&client.prepare(&asked, "m", "r-1").unwrap());
    assert!(shown.starts_with("POST http://127.0.0.1:9/v1/messages\n"), "{shown}");
    for part in [
        "x-api-key: ***\n",
        "x-team: ***\n",
        "anthropic-version: 2023-06-01\n",
        "content-type: application/json\n",
        "x-request-id: r-1\n",
        "  \"model\": \"m\",\n",
        "\"content\": \"my ***\"",
        "  \"top_k\": 1\n}",
    ] {
        assert!(shown.contains(part), "{part:?} is missing in\n{shown}");
    }
    assert!(!shown.contains("secret") && !shown.contains("authorization"), "{shown}");
}

/// Sends one request and returns what the server received.
async fn sent(
    api: Api,
    url_path: &str,
    reply: Vec<u8>,
) -> (String, OutcomeKind, Vec<String>, Option<u64>) {
    let server = FaultyServer::answers(move |_| reply.clone());
    let mut url = server.url();
    url.set_path(url_path);
    let mut endpoint = endpoint(&url);
    endpoint.api = api;
    endpoint.api_key = ApiKey::Key(Secret::new("key-1"));
    let client = Client::new(&endpoint, &url, RunClock::start_now()).unwrap();
    let prepared =
        client.prepare(&request(&[("user", "U")], false, &json!({})), "m", "r-1").unwrap();
    let it = client.send(&prepared, &CancellationToken::new()).await;
    let flags = it.flags.iter().map(ToString::to_string).collect();
    (server.requests()[0].clone(), it.outcome.kind(), flags, it.cached_tokens)
}

#[tokio::test]
async fn native_apis_are_asked_at_the_servers_root() {
    let ollama = json_answer(200, r#"{"response":"hi","done":true,"eval_count":1}"#);
    let (text, outcome, ..) = sent(Api::OllamaGenerate, "/v1", ollama).await;
    assert!(text.starts_with("POST /api/generate HTTP/1.1\r\n"), "{text}");
    assert!(text.to_lowercase().contains("authorization: bearer key-1"), "{text}");
    assert_eq!(outcome, OutcomeKind::Ok);

    let anthropic =
        json_answer(200, r#"{"type":"message","content":[{"type":"text","text":"hi"}]}"#);
    let (text, outcome, ..) = sent(Api::AnthropicMessages, "/v1", anthropic).await;
    assert!(text.starts_with("POST /v1/messages HTTP/1.1\r\n"), "{text}");
    let head = text.to_lowercase();
    assert!(head.contains("x-api-key: key-1") && !head.contains("authorization"), "{text}");
    assert!(head.contains("anthropic-version: 2023-06-01"), "{text}");
    assert_eq!(outcome, OutcomeKind::Ok);
}

#[tokio::test]
async fn a_generate_endpoint_is_the_url_itself() {
    for (body, flag) in [
        (r#"{"text":"hi","cached":true}"#, "from_cache"),
        (r#"{"text":"hi","cached":false}"#, "not_from_cache"),
    ] {
        let api = Api::of_name("json").unwrap();
        let (text, outcome, flags, tokens) = sent(api, "/generate", json_answer(200, body)).await;
        assert!(text.starts_with("POST /generate HTTP/1.1\r\n"), "{text}");
        let sent: Value = serde_json::from_str(text.split("\r\n\r\n").nth(1).unwrap()).unwrap();
        assert_eq!(sent, json!({"prompt": "U", "max_tokens": 16, "temperature": 0.5}));
        assert_eq!((outcome, tokens), (OutcomeKind::Ok, None), "yes and no are no counts");
        assert_eq!(flags, ["not_streamed", flag]);
    }
}

#[tokio::test]
async fn tgis_headers_join_the_record() {
    let headers = "Content-Type: application/json\r\nx-total-time: 90\r\nx-queue-time: 2\r\n\
                   x-inference-time: 80\r\nx-prompt-tokens: 12\r\nx-generated-tokens: 3\r\n";
    let reply = answer(200, headers, r#"[{"generated_text":"hi"}]"#);
    let server = FaultyServer::answers(move |_| reply.clone());
    let mut endpoint = endpoint(&server.url());
    endpoint.api = Api::Tgi;
    let client = Client::new(&endpoint, &server.url(), RunClock::start_now()).unwrap();
    let prepared =
        client.prepare(&request(&[("user", "U")], false, &json!({})), "m", "r-1").unwrap();
    let it = client.send(&prepared, &CancellationToken::new()).await;
    let timings = it.timings.unwrap();
    assert_eq!((timings.total_ms, timings.queue_ms), (Some(90.0), Some(2.0)));
    assert_eq!((timings.inference_ms, timings.predicted_n), (Some(80.0), Some(3)));
    assert_eq!((it.input_tokens, it.output_tokens), (Some(12), Some(3)));
    assert_eq!(it.outcome.kind(), OutcomeKind::Ok);
}

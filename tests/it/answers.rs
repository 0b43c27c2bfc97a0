//! What answers say of themselves: given up, by another model, of reasoning alone, too long, repeated,
//! with counts that can't be; told from answers that are as asked, counted and said.

mod counted;

use runner::client::dialect;
use runner::plan::{Api, JsonApi};
use serde_json::{Value, json};

use crate::client::{class, client, endpoint, request};
use crate::faulty_server::{FaultyServer, answer};
use crate::sandbox::{Sandbox, code, records, stage, stderr, text};

const SSE: &str = "Content-Type: text/event-stream\r\n";
const NDJSON: &str = "Content-Type: application/x-ndjson\r\n";
const JSON: &str = "Content-Type: application/json\r\n";

fn sse(events: &[Value]) -> String {
    events.iter().fold(String::new(), |stream, event| stream + &format!("data: {event}\n\n"))
}

fn ndjson(lines: &[Value]) -> String {
    lines.iter().fold(String::new(), |stream, line| stream + &format!("{line}\n"))
}

/// A JSON API whose answers say why they ended.
fn json_api() -> Api {
    let pointer = |text: &str| Some(text.to_owned());
    Api::Json(Box::new(JsonApi { finish_reason: pointer("/why"), ..JsonApi::default() }))
}

/// An answer that ends for `why` in every API: as a stream, or whole where that is another shape.
fn endings(why: &str) -> Vec<(Api, bool, String)> {
    let delta =
        |delta: Value, why: Value| json!({"choices": [{"delta": delta, "finish_reason": why}]});
    let block = json!({"type": "content_block_delta", "delta": {"text": "so"}});
    let ended = json!({"type": "message_delta", "delta": {"stop_reason": why}});
    let stopped = json!({"type": "message_stop"});
    let tgi = json!({"token": {"text": "so"}, "generated_text": "so", "details": {"finish_reason": why, "generated_tokens": 1}});
    let whole = json!({"choices": [{"message": {"content": "so"}, "finish_reason": why}]});
    let kind = json!({"type": why});
    vec![
        (
            Api::OpenaiChat,
            true,
            sse(&[delta(json!({"content": "so"}), json!(null)), delta(json!({}), json!(why))]),
        ),
        (Api::OpenaiChat, false, whole.to_string()),
        (
            Api::OpenaiCompletions,
            true,
            sse(&[json!({"choices": [{"text": "so", "finish_reason": why}]})]),
        ),
        (Api::AnthropicMessages, true, sse(&[block, ended, stopped])),
        (
            Api::OpenaiResponses,
            false,
            json!({"status": why, "output": [{"type": "message", "content": [{"text": "so"}]}]})
                .to_string(),
        ),
        (
            Api::OllamaChat,
            true,
            ndjson(&[json!({"message": {"content": "so"}, "done": true, "done_reason": why})]),
        ),
        (
            Api::OllamaGenerate,
            true,
            ndjson(&[json!({"response": "so", "done": true, "done_reason": why})]),
        ),
        (Api::Tgi, true, sse(std::slice::from_ref(&tgi))),
        (Api::Tgi, false, tgi.to_string()),
        (Api::Triton, true, sse(&[json!({"text_output": "so", "finish_reason": why})])),
        (Api::Sglang, true, sse(&[json!({"text": "so", "meta_info": {"finish_reason": kind}})])),
        (
            Api::LlamacppCompletion,
            true,
            sse(&[json!({"content": "so", "stop": true, "stop_type": why})]),
        ),
        (json_api(), false, json!({"text": "so", "why": why}).to_string()),
    ]
}

/// How an answer ends for the client.
async fn ending(api: Api, stream: bool, body: &str) -> (String, Option<String>) {
    let framing = dialect::of(&api).framing();
    let kind = match (stream, framing.is("text/event-stream")) {
        (false, _) => JSON,
        (true, true) => SSE,
        (true, false) => NDJSON,
    };
    let bytes = answer(200, kind, body);
    let server = FaultyServer::answers(move |_| bytes.clone());
    let mut endpoint = endpoint(&server.url());
    endpoint.api = api;
    let client = client(&endpoint);
    let prepared = client.prepare(&request(stream), "m", "one").unwrap();
    let exchange = client.send(&prepared, &tokio_util::sync::CancellationToken::new()).await;
    (class(&exchange), exchange.error_message)
}

#[tokio::test]
async fn an_answer_that_the_server_gave_up_is_a_failure_in_every_api() {
    for why in ["abort", "error", "cancelled", "FinishReason.ABORT", "timeout", "failed"] {
        for (api, stream, body) in endings(why) {
            let name = api.name();
            let (class, message) = ending(api, stream, &body).await;
            assert!(class.starts_with("stream."), "{name} {why}: {class}");
            let message = message.expect("a message").to_lowercase();
            assert!(message.contains(&why.to_lowercase()), "{name}: {message}");
        }
    }
}

#[tokio::test]
async fn what_the_model_or_a_filter_ended_is_an_answer() {
    for why in ["stop", "length", "content_filter", "refusal", "tool_use", "incomplete"] {
        for (api, stream, body) in endings(why) {
            let name = api.name();
            let (class, message) = ending(api, stream, &body).await;
            assert_eq!(class, "ok", "{name} {why}: {message:?}");
        }
    }
}

#[tokio::test]
async fn one_choice_of_several_that_was_given_up_is_enough() {
    let choice = |index: u64, why: &str| json!({"index": index, "delta": {"content": "so"}, "finish_reason": why});
    for order in [["stop", "abort"], ["abort", "stop"]] {
        let together = sse(&[json!({"choices": [choice(0, order[0]), choice(1, order[1])]})]);
        let apart = sse(&order.map(|why| json!({"choices": [choice(0, why)]})));
        for body in [together, apart] {
            assert_eq!(ending(Api::OpenaiChat, true, &body).await.0, "stream.aborted", "{body}");
        }
    }
}

/// What the server of [`run`] answers: to every request the next of these chat chunks' parts.
struct Said {
    model: &'static str,
    id: &'static str,
    delta: &'static str,
    why: &'static str,
    usage: Value,
}

impl Said {
    fn plain() -> Self {
        Self {
            model: "m",
            id: "",
            delta: "content",
            why: "stop",
            usage: json!({"prompt_tokens": 9, "completion_tokens": 3}),
        }
    }
}

/// Asks a server that lists the model `m` four times and answers with each of `said` in turn.
fn run(said: Vec<Said>, endpoint: &str, thresholds: &str) -> (Value, Vec<Value>, String, i32) {
    let turn = std::sync::atomic::AtomicUsize::new(0);
    let server = FaultyServer::answers(move |request| {
        if request.starts_with("GET /v1/models ") {
            return answer(200, JSON, r#"{"data":[{"id":"m"}]}"#);
        }
        if !request.starts_with("POST /v1/chat/completions ") {
            return answer(404, "", "{}");
        }
        let turn = turn.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let it = &said[turn % said.len()];
        let chunk = |delta: Value, why: Value| json!({"id": it.id, "model": it.model, "choices": [{"delta": delta, "finish_reason": why}]});
        let mut last = chunk(json!({}), json!(it.why));
        last["usage"] = it.usage.clone();
        let deltas = ["a", "b", "c"].map(|text| chunk(json!({it.delta: text}), json!(null)));
        let body = sse(&[&deltas[..], &[last]].concat()) + "data: [DONE]\n\n";
        answer(200, SSE, &body)
    });
    let sandbox = Sandbox::new();
    let path = sandbox.plan(&format!(
        "version: 1\nendpoint: {{ url: \"http://{}/v1\", metrics: off, tokenizer: estimate{endpoint} }}\n\
         prompt: {{ text: \"Count {{{{ i }}}}\", max_tokens: 3, unique: never }}\n\
         stages: [{{ id: ask, kind: load, concurrency: 1, requests: 4{thresholds} }}]\n",
        server.address()
    ));
    let output = sandbox.run(&["run", "-v", path.to_str().expect("utf-8")]);
    let printed = text(&output.stdout) + &stderr(&output);
    let records = records(&sandbox.run_dir());
    (sandbox.summary(), records, printed, code(&output))
}

fn notes(summary: &Value) -> String {
    summary["run"]["notes"].to_string()
}

#[test]
fn shares_of_finish_reasons_stand_in_summary_and_report() {
    let with = |why| Said { why, ..Said::plain() };
    let all = vec![with("stop"), with("length"), with("stop"), with("abort")];
    let (summary, records, printed, _) = run(all, "", "");
    let ask = stage(&summary, "ask");
    assert_eq!((&ask["counts"]["ok"], &ask["counts"]["errors"]), (&json!(3), &json!(1)));
    assert_eq!(ask["errors"], json!({"stream.aborted": 1}));
    let reasons = &ask["answers"]["finish_reasons"];
    assert_eq!(reasons["stop"], json!({"answers": 2, "share": 0.5}));
    assert_eq!(reasons["abort"], json!({"answers": 1, "share": 0.25}));
    assert!(printed.contains("finish reasons: stop 50 %"), "{printed}");
    assert_eq!(records[3]["error"]["class"], "stream.aborted");

    let (_, _, printed, _) =
        run(vec![Said { model: "", ..Said::plain() }], ", require_model: same", "");
    assert!(printed.contains("finish reasons of failed answers: stop 100 %"), "{printed}");
}

#[test]
fn answers_by_another_model_are_counted_and_can_be_failures() {
    let all = || vec![Said::plain(), Said { model: "m-fallback", ..Said::plain() }];
    let (summary, records, _, code) = run(all(), "", "");
    assert_eq!(code, 0);
    assert_eq!(stage(&summary, "ask")["answers"]["other_models"], json!({"m-fallback": 2}));
    assert_eq!(records[1]["other_model"], "m-fallback");
    assert!(records[0].get("other_model").is_none(), "{}", records[0]);
    let said = "stage ask: 2 answers came from `m-fallback`, not `m`";
    assert!(notes(&summary).contains(said), "{}", notes(&summary));

    let (summary, records, _, _) = run(all(), ", require_model: same", "");
    let ask = stage(&summary, "ask");
    assert_eq!(ask["errors"], json!({"protocol.model": 2}));
    let message = records[1]["error"]["message"].as_str().expect("a message");
    assert!(message.contains("`m` was asked, `m-fallback` answered"), "{message}");

    let nameless = vec![Said { model: "", ..Said::plain() }];
    let (summary, ..) = run(nameless, ", require_model: same", "");
    assert_eq!(stage(&summary, "ask")["errors"], json!({"protocol.model": 4}));
}

#[test]
fn reasoning_alone_too_many_tokens_and_repeated_ids_are_counted_and_noted() {
    let usage = |tokens: u64| json!({"prompt_tokens": 9, "completion_tokens": tokens});
    let (summary, ..) = run(
        vec![
            Said { id: "one", ..Said::plain() },
            Said { id: "two", delta: "reasoning_content", ..Said::plain() },
            Said { id: "three", usage: usage(5), ..Said::plain() },
            Said { id: "one", ..Said::plain() },
        ],
        "",
        "",
    );
    let answers = &stage(&summary, "ask")["answers"];
    assert_eq!(answers["remarks"], json!({"over_max_tokens": 1, "reasoning_only": 1}));
    assert_eq!(answers["repeated_ids"], 1);
    for said in [
        "1 answer had reasoning and nothing else",
        "1 answer had more tokens than `max_tokens` allows",
        "1 answer came under the id of an earlier answer",
    ] {
        assert!(notes(&summary).contains(said), "{said}: {}", notes(&summary));
    }
}

#[test]
fn counts_that_cannot_be_are_left_out_and_noted() {
    let cached = |cached: Value| json!({"prompt_tokens": 40, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": cached}});
    for (usage, left, kept, said) in [
        (
            cached(json!(9000)),
            "input_tokens",
            Some("output_tokens"),
            "cached_tokens 9,000, input_tokens 40",
        ),
        (cached(json!(-1)), "cached_tokens", Some("input_tokens"), "cached_tokens no count"),
        (
            json!({"prompt_tokens": 5_000_000_000_u64, "completion_tokens": 3}),
            "input_tokens",
            Some("output_tokens"),
            "input_tokens 5,000,000,000",
        ),
        (
            json!({"prompt_tokens": 1e30, "completion_tokens": -3}),
            "output_tokens",
            None,
            "input_tokens no count, output_tokens no count",
        ),
        (
            json!({"prompt_tokens": 40, "completion_tokens": 5_000_000_000_u64}),
            "output_tokens",
            Some("input_tokens"),
            "output_tokens 5,000,000,000",
        ),
        (
            json!({"prompt_tokens": 40, "completion_tokens": 0}),
            "output_tokens",
            Some("input_tokens"),
            "output_tokens 0",
        ),
        (
            json!({"prompt_tokens": 0, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 0}}),
            "input_tokens",
            Some("output_tokens"),
            "cached_tokens 0, input_tokens 0",
        ),
        (
            json!({"prompt_tokens": 40, "completion_tokens": 3, "completion_tokens_details": {"reasoning_tokens": 7}}),
            "output_tokens",
            Some("input_tokens"),
            "output_tokens 3, reasoning_tokens 7",
        ),
    ] {
        let (summary, records, _, _) =
            run(vec![Said { usage: usage.clone(), ..Said::plain() }], "", "");
        let server = |record: &Value, name: &str| match name {
            "cached_tokens" => !record[name].is_null(),
            name => record[name].get("server").is_some(),
        };
        assert!(records.iter().all(|record| !server(record, left)), "{usage}: {}", records[0]);
        if let Some(kept) = kept {
            assert!(records.iter().all(|record| server(record, kept)), "{usage}: {}", records[0]);
        }
        let ask = stage(&summary, "ask");
        // What can't be is no ground for a remark.
        assert_eq!(ask["answers"]["remarks"], json!({"impossible_usage": 4}), "{usage}");
        if left == "output_tokens" {
            assert!(ask["throughput"]["output_tokens_per_second"].is_null(), "{usage}: {ask}");
        }
        assert!(notes(&summary).contains("counts of tokens that can't be"), "{}", notes(&summary));
        assert!(notes(&summary).contains(&format!("(the first: {said})")), "{}", notes(&summary));
        let names: Vec<&str> = said.split(", ").filter_map(|it| it.split(' ').next()).collect();
        for record in &records {
            let counts = record["impossible"].as_object().expect("what was left out");
            assert_eq!(counts.keys().collect::<Vec<_>>(), names, "{usage}: {record}");
        }
    }
}

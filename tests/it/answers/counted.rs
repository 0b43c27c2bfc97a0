//! What is said of tokens that nobody counted, of answers that come whole, and of cached shares.

use std::time::Duration;

use serde_json::{Value, json};

use super::{JSON, SSE, sse};
use crate::faulty_server::{FaultyServer, answer, read_request};
use crate::sandbox::{Sandbox, code, read_json, stage, stderr, text};

/// What a run left.
struct Left {
    summary: Value,
    printed: String,
    html: String,
    csv: String,
    code: i32,
    /// What an export printed, and what it wrote beside its files.
    export: (String, Option<String>),
}

/// Runs a plan of one stage `ask` against `server`; `keys` are further keys of the endpoint, `stage`
/// those of the stage.
fn run(server: &FaultyServer, path: &str, keys: &str, prompt: &str, stage: &str) -> Left {
    let sandbox = Sandbox::new();
    let plan = sandbox.plan(&format!(
        "version: 1\nendpoint: {{ url: \"http://{}{path}\"{keys} }}\nprompt: {{ {prompt}, unique: never }}\n\
         stages: [{{ id: ask, kind: load, concurrency: 1, {stage} }}]\n",
        server.address()
    ));
    let output =
        sandbox.run(&["run", plan.to_str().expect("utf-8"), "--sink", "stages:stages.csv"]);
    let directory = sandbox.run_dir();
    let html = std::fs::read_to_string(directory.join("report.html")).expect("a report");
    let csv = std::fs::read_to_string(directory.join("summary.csv")).expect("a table");
    let export =
        sandbox.run(&["report", directory.to_str().expect("utf-8"), "--export", "vllm-bench"]);
    let notes = std::fs::read_to_string(directory.join("export/vllm-bench/NOTES.txt")).ok();
    Left {
        export: (stderr(&export), notes),
        summary: read_json(&directory.join("summary.json")),
        printed: text(&output.stdout) + &stderr(&output),
        html,
        csv,
        code: code(&output),
    }
}

fn check<'a>(left: &'a Left, check: &str) -> &'a Value {
    let all = stage(&left.summary, "ask")["thresholds"].as_array().expect("thresholds");
    all.iter().find(|it| it["check"] == check).unwrap_or_else(|| panic!("{check}: {all:#?}"))
}

/// The cell of a column of `summary.csv`, in its only row.
fn cell(csv: &str, column: &str) -> String {
    let mut lines = csv.lines();
    let head = lines.next().expect("a head");
    let at = head.split(',').position(|name| name == column).expect("the column");
    lines.next().expect("a row").split(',').nth(at).expect("a cell").to_owned()
}

/// A server of chat whose answers are six events 4 ms apart, of seven words each, with this usage.
fn chunky(usage: Option<Value>) -> FaultyServer {
    FaultyServer::serve(move |_, mut stream, stop, _| {
        use std::io::Write;
        while let Ok(request) = read_request(&mut stream, stop) {
            if !request.starts_with("POST /v1/chat/completions ") {
                let list = r#"{"data":[{"id":"m"}]}"#;
                let is_list = request.starts_with("GET /v1/models ");
                let _gone = stream.write_all(&answer(if is_list { 200 } else { 404 }, JSON, list));
                continue;
            }
            let words = "some words of one event in all ";
            let mut events = vec![json!({"choices": [{"delta": {"content": words}}]}); 6];
            events.push(json!({"choices": [{"delta": {}, "finish_reason": "stop"}]}));
            events[6]["usage"] = usage.clone().unwrap_or_default();
            let all: Vec<String> =
                events.iter().map(|event| sse(std::slice::from_ref(event))).collect();
            let length = all.iter().map(String::len).sum::<usize>() + "data: [DONE]\n\n".len();
            let head = format!("HTTP/1.1 200 OK\r\n{SSE}Content-Length: {length}\r\n\r\n");
            let _gone = stream.write_all(head.as_bytes());
            for event in &all {
                std::thread::sleep(Duration::from_millis(4));
                let _gone = stream.write_all(event.as_bytes());
            }
            let _gone = stream.write_all(b"data: [DONE]\n\n");
        }
    })
}

const TOKEN_CHECKS: [&str; 5] = [
    "tpot.p50 < 1h",
    "tokens_per_second.p50 > 0",
    "output_tokens.mean > 0",
    "output_tokens_per_second > 0",
    "goodput > 0",
];

fn thresholds(checks: &[&str]) -> String {
    let all: Vec<String> = checks.iter().map(|check| format!("\"{check}\"")).collect();
    format!("requests: 3, thresholds: [{}]", all.join(", "))
}

#[test]
fn events_are_not_told_as_tokens() {
    let server = chunky(None);
    let checks = [&TOKEN_CHECKS[..], &["tpot.p99 < 1h", "ttft.p50 < 1h", "e2e.p99 < 1h"]].concat();
    let prompt = "text: \"Count {{ i }}\", max_tokens: 64";
    let keys = ", metrics: off, tokenizer: estimate";
    let left = run(&server, "/v1", keys, prompt, &thresholds(&checks));
    assert_eq!(left.code, 10, "{}", left.printed);
    for name in TOKEN_CHECKS {
        let it = check(&left, name);
        assert_eq!((&it["pass"], &it["actual"]), (&json!(false), &Value::Null), "{it}");
        let reason = it["reason"].as_str().expect("a reason");
        assert!(
            reason.starts_with("no data: tokens of 3 of 3 answers were not counted"),
            "{reason}"
        );
    }
    for name in ["ttft.p50 < 1h", "e2e.p99 < 1h"] {
        assert_eq!(check(&left, name)["pass"], true);
    }
    let ask = stage(&left.summary, "ask");
    assert_eq!(
        (&ask["tokens"]["output"]["source"], &ask["tokens"]["input"]["source"]),
        (&json!("events"), &json!("estimate"))
    );
    for gone in ["tpot", "tokens_per_second", "output_tokens", "input_tokens"] {
        assert!(ask["metrics"].get(gone).is_none(), "{gone}");
    }
    assert_eq!(ask["throughput"]["output_tokens_per_second"], Value::Null);
    let events = ask["throughput"]["output_events_per_second"].as_f64().expect("a rate");
    // Six events of each answer, on the clock of the answers' own rate.
    let answers = ask["throughput"]["requests_per_second"].as_f64().expect("a rate");
    let expected = 6.0 * answers;
    assert!((events - expected).abs() < 1e-6, "{events} {expected}");
    assert_eq!(cell(&left.csv, "output_tokens_source"), "events");
    assert_eq!(cell(&left.csv, "output_tokens_per_second"), "");
    assert!(
        left.printed.contains("events/s") && !left.printed.contains("tok/s"),
        "{}",
        left.printed
    );
    assert!(left.html.contains("events/s"), "the page labels them, too");
    let told = "nobody counted the tokens of its answers";
    assert!(left.export.0.contains(told), "{}", left.export.0);
    assert!(
        left.export.1.as_ref().is_some_and(|notes| notes.contains(told)),
        "beside the files, too"
    );
    // 6 × 31 characters make 47 tokens each; 18 events are 87 % fewer than 141.
    let said = "there were 18 events where four characters to a token make about 141 (87 % fewer)";
    assert!(left.printed.contains(said), "{}", left.printed);
}

#[test]
fn counted_tokens_name_who_counted_them() {
    let usage = json!({"prompt_tokens": 9, "completion_tokens": 42});
    let prompt = "text: \"Count {{ i }}\", max_tokens: 64";
    let keys = ", metrics: off, tokenizer: estimate";
    let left = run(&chunky(Some(usage)), "/v1", keys, prompt, &thresholds(&TOKEN_CHECKS[..4]));
    assert_eq!(left.code, 0, "{}", left.printed);
    let ask = stage(&left.summary, "ask");
    assert_eq!(ask["tokens"]["output"]["source"], "server");
    assert!(ask["throughput"].get("output_events_per_second").is_none(), "{}", ask["throughput"]);
    assert_eq!(ask["metrics"]["output_tokens"]["p50"], 42.0);
    assert_eq!(cell(&left.csv, "output_tokens_source"), "server");
    let head = left.printed.lines().find(|line| line.starts_with("  stage ")).expect("a head");
    assert!(head.contains("tokens"), "{head}");
    assert!(left.html.contains("tokens by"), "the page says it, too");
    assert!(left.html.contains("counted by server"), "and so does its tile");
    assert!(!left.export.0.contains("nobody counted the tokens of its answers"));
}

/// A server whose whole answers take 15 ms; from the second one of a prompt on it says that it had
/// it in its cache.
fn whole(chat: bool) -> FaultyServer {
    let seen = std::sync::Mutex::new(std::collections::HashSet::new());
    FaultyServer::answers(move |request| {
        let (head, body) = request.split_once("\r\n\r\n").unwrap_or((request, ""));
        if head.starts_with("GET /v1/models ") {
            return answer(200, JSON, r#"{"data":[{"id":"m"}]}"#);
        }
        if !head.starts_with("POST ") || head.contains("/tokenize") {
            return answer(404, JSON, "{}");
        }
        std::thread::sleep(Duration::from_millis(15));
        let said = if chat {
            json!({"model": "m", "choices": [{"message": {"content": "four words it is"}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 9, "completion_tokens": 4}})
        } else {
            let asked: Value = serde_json::from_str(body).unwrap_or_default();
            let is_new = seen.lock().expect("no panic").insert(asked["prompt"].to_string());
            json!({"text": "four words it is", "cached": !is_new})
        };
        answer(200, JSON, &said.to_string())
    })
}

#[test]
fn whole_answers_have_an_end_and_no_first_token() {
    let checks = [
        "e2e.p99 < 5s",
        "e2e.p50 > 14ms",
        "e2e_due.p50 > 14ms",
        "ttft.p50 < 5s",
        "tpot.p50 < 5s",
        "goodput > 0",
    ];
    let keys = ", metrics: off, tokenizer: estimate";
    let prompt = "text: \"Count {{ i }}\", max_tokens: 8, stream: false";
    let stages = thresholds(&[&checks[..], &["ttft.p99 < 5s"]].concat());
    let left = run(&whole(true), "/v1", keys, prompt, &stages);
    for name in &checks[..3] {
        assert_eq!(check(&left, name)["pass"], true, "{}", check(&left, name));
    }
    for name in &checks[3..] {
        let it = check(&left, name);
        let reason = it["reason"].as_str().expect("a reason");
        assert!(
            it["pass"] == false && reason.starts_with("no data: the answers came whole"),
            "{it}"
        );
    }
    let ask = stage(&left.summary, "ask");
    let (e2e, end) = (&ask["metrics"]["e2e"], &ask["metrics"]["response_end"]);
    assert_eq!((&e2e["count"], &e2e["p50"]), (&json!(3), &end["p50"]));
    assert!(
        ask["metrics"].get("ttft").is_none() && ask["metrics"].get("tokens_per_second").is_some()
    );
    assert!(left.printed.contains("E2E p50"), "{}", left.printed);
    assert!(!left.printed.contains("TTFT p50"), "{}", left.printed);
    assert!(left.html.contains("cdf-e2e"), "the page draws them");
}

#[test]
fn yes_or_no_from_a_cache_is_a_rate_of_hits_and_no_share() {
    let checks = ["cache_hit_rate >= 50%", "cached_share >= 0%", "e2e.p50 > 14ms"];
    let all: Vec<String> = checks.iter().map(|check| format!("\"{check}\"")).collect();
    let stages = format!("requests: 8, thresholds: [{}]", all.join(", "));
    let left = run(
        &whole(false),
        "/generate",
        ", api: json, metrics: off",
        "text: \"Topic {{ i % 2 }}\", max_tokens: 8",
        &stages,
    );
    let ask = stage(&left.summary, "ask");
    assert_eq!(
        (&ask["cache"]["hit_requests"], &ask["cache"]["judged_requests"]),
        (&json!(6), &json!(8))
    );
    assert_eq!(check(&left, checks[0])["pass"], true);
    assert_eq!(check(&left, checks[2])["pass"], true);
    let share = check(&left, checks[1]);
    assert_eq!((&share["pass"], &share["actual"]), (&json!(false), &Value::Null), "{share}");
    assert!(left.printed.contains("mixed 75 % of requests"), "{}", left.printed);
}

/// A server of chat without usage whose timings say that 30 of its prompt's tokens were cached.
fn native(cached: u64, computed: u64) -> FaultyServer {
    FaultyServer::answers(move |request| {
        if request.starts_with("GET /v1/models ") {
            return answer(200, JSON, r#"{"data":[{"id":"m"}]}"#);
        }
        if !request.starts_with("POST /v1/chat/completions ") {
            return answer(404, JSON, "{}");
        }
        let timings = json!({"cache_n": cached, "prompt_n": computed, "prompt_ms": 1.0, "predicted_n": 1, "predicted_ms": 1.0});
        let body = sse(&[
            json!({"choices": [{"delta": {"content": "so"}}]}),
            json!({"choices": [{"delta": {}, "finish_reason": "stop"}], "timings": timings}),
        ]);
        answer(200, SSE, &(body + "data: [DONE]\n\n"))
    })
}

#[test]
fn a_cached_share_is_of_the_prompt_as_the_same_source_counts_it() {
    let checks = ["cached_share <= 100%", "cached_share >= 75%"];
    let keys = ", metrics: off, tokenizer: estimate";
    let left = run(
        &native(60, 15),
        "/v1",
        keys,
        "text: \"hi {{ i }}\", max_tokens: 4",
        &thresholds(&checks),
    );
    let cache = &stage(&left.summary, "ask")["cache"];
    assert_eq!((&cache["cached_tokens"], &cache["prompt_tokens"]), (&json!(180), &json!(225)));
    assert!(checks.iter().all(|name| check(&left, name)["pass"] == true), "{}", left.printed);
    assert!(left.printed.contains("warm 80 %"), "{}", left.printed);
}

#[test]
fn no_verdict_stands_beside_a_share_that_says_otherwise() {
    // A template's start is most of a short prompt: cold, whatever its share.
    let keys = ", metrics: off, tokenizer: estimate";
    let left = run(
        &native(20, 12),
        "/v1",
        keys,
        "text: \"hi {{ i }}\", max_tokens: 4",
        "requests: 3, thresholds: [\"cache == cold\"]",
    );
    assert_eq!(stage(&left.summary, "ask")["cache"]["verdict"], "cold");
    assert!(left.printed.contains("cold (shared start only)"), "{}", left.printed);
    assert!(!left.printed.contains("cold 62"), "{}", left.printed);
}

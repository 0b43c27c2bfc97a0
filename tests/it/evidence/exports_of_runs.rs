//! Exports of real runs: what other tools would have written about the same server.

use std::io::Write;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use runner::metrics::definitions::{TOOLS, find};
use serde_json::Value;

use crate::faulty_server::{FaultyServer, LAST_CHUNK, chunk, json, read_request, stream_head};
use crate::sandbox::{Sandbox, code, read_json, records, stderr, text};

/// From a request to the chunk with the role, and from there to the first word.
const TO_ROLE: Duration = Duration::from_millis(15);
const TO_WORD: Duration = Duration::from_millis(60);
const WORDS: u64 = 9;

/// A server that says its role long before its first word, and refuses prompts that say `busy`.
fn role_first() -> FaultyServer {
    FaultyServer::serve(|_, mut stream, stop, requests| {
        while let Ok(request) = read_request(&mut stream, stop) {
            let said = if !request.starts_with("POST") {
                stream.write_all(&json(200, r#"{"object":"list","data":[{"id":"reef"}]}"#))
            } else if request.contains("busy") {
                stream.write_all(&json(503, r#"{"error":{"message":"full up"}}"#))
            } else {
                talk(&mut stream)
            };
            requests.lock().unwrap().push(request);
            if said.is_err() {
                break;
            }
        }
    })
}

fn talk(stream: &mut dyn Write) -> std::io::Result<()> {
    let delta = |delta: &str| format!(r#"{{"choices":[{{"index":0,"delta":{delta}}}]}}"#);
    let event = |stream: &mut dyn Write, body: &str| {
        stream.write_all(&chunk(format!("data: {body}\n\n")))?;
        stream.flush()
    };
    sleep(TO_ROLE);
    stream.write_all(&stream_head())?;
    event(stream, &delta(r#"{"role":"assistant","content":""}"#))?;
    sleep(TO_WORD);
    for _ in 0..WORDS {
        event(stream, &delta(r#"{"content":" kelp"}"#))?;
        sleep(Duration::from_millis(2));
    }
    event(stream, r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#)?;
    event(
        stream,
        r#"{"choices":[],"usage":{"prompt_tokens":6,"completion_tokens":9,"total_tokens":15}}"#,
    )?;
    event(stream, "[DONE]")?;
    stream.write_all(LAST_CHUNK)
}

/// Runs stages against that server, with six recorded chats of which one is refused.
fn ran(server: &FaultyServer, more: &str, stages: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let url = server.url();
    let plan = format!(
        "version: 1\nname: reef\nendpoint: {{ url: {url}v1 }}\n{more}\nstages:\n{stages}\n"
    );
    sandbox.plan(&plan);
    let chat = |text: &str| {
        format!(
            r#"{{"prompt_content":"Be brief.","cut_chat_history":[{{"role":"user","content":"{text}"}}]}}"#
        )
    };
    let texts = ["Tide?", "Moon?", "busy", "Salt?", "Sand?", "Foam?"].map(chat);
    std::fs::write(sandbox.dir.path().join("chats.json"), format!("[{}]", texts.join(",")))
        .expect("written");
    let output = sandbox.run(&["run", "plan.yaml", "--output-format", "none"]);
    assert!([0, 10].contains(&code(&output)), "{}", stderr(&output));
    sandbox
}

/// The folder of an export of the one run.
fn exported(sandbox: &Sandbox, word: &str, more: &[&str]) -> std::path::PathBuf {
    let run = sandbox.run_dir();
    let args = ["report", run.to_str().expect("a path"), "--export", word];
    let output = sandbox.run(&[&args, more].concat());
    assert!([0, 10].contains(&code(&output)), "{}", stderr(&output));
    run.join("export").join(word)
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("exported");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn number(value: &Value, pointer: &str) -> f64 {
    let found = value.pointer(pointer).and_then(Value::as_f64);
    found.unwrap_or_else(|| panic!("no number at {pointer} in {value}"))
}

fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-6 * expected.abs(), "{found} is not {expected}");
}

/// Seconds between two stamps of a record.
fn took(record: &Value, from: &str, to: &str) -> f64 {
    (number(record, to) - number(record, from)) / 1e9
}

#[test]
fn the_bench_pack_times_the_first_event_of_a_stream() {
    let server = role_first();
    let prompt = "prompt: { messages: [ { role: user, content: How salty? } ], max_tokens: 9 }";
    let ramp = "  - { id: sweep, kind: concurrency_ramp, concurrency: \"1,2\", requests: 5 }";
    let sandbox = ran(&server, prompt, ramp);
    let folder = exported(&sandbox, "bench-pack", &[]);
    let records = records(&sandbox.run_dir());
    let level = |rung: f64| records.iter().filter(move |it| it["rung"] == rung);
    for (name, rung) in [("c1", 1.0), ("c2", 2.0)] {
        let summary = read_json(&folder.join(format!("summary_{name}.json")));
        let sum = |take: &dyn Fn(&Value) -> f64| level(rung).map(take).sum::<f64>();
        let ttft = sum(&|it| took(it, "/sent_ns", "/first_event_ns")) / 5.0;
        let first_word = sum(&|it| took(it, "/sent_ns", "/first_token_ns")) / 5.0;
        assert!(ttft >= TO_ROLE.as_secs_f64() && ttft < first_word, "{ttft} {first_word}");
        close(number(&summary, "/ttft_avg"), ttft);
        let generating = sum(&|it| took(it, "/first_event_ns", "/end_ns"));
        close(number(&summary, "/tps_tokens_per_sec"), 45.0 / generating);
        // From the first request to the last answer, whatever the stage did before and after.
        let at = |key: &str| level(rung).map(|it| number(it, key)).collect::<Vec<_>>();
        let began = at("/sent_ns").into_iter().fold(f64::INFINITY, f64::min);
        let ended = at("/end_ns").into_iter().fold(0.0, f64::max);
        close(number(&summary, "/elapsed_sec"), (ended - began) / 1e9);
        close(number(&summary, "/qps"), 5e9 / (ended - began));
        assert_eq!(summary["concurrency"].to_string(), format!("{rung}"), "a whole number");
        assert!(summary["total_completion_tokens"].is_u64(), "{summary}");
    }
    let overall = read_json(&folder.join("overall_summary.json"));
    assert_eq!(overall["best_qps_at_concurrency"].to_string(), "2");
    let rows = std::fs::read_to_string(folder.join("summary_all.csv")).expect("exported");
    assert!(rows.lines().nth(1).expect("a level").starts_with("1,5,5,0.0,"), "{rows}");
}

#[test]
fn failed_requests_have_a_latency_in_the_bench_pack_and_one_text() {
    let server = role_first();
    let prompt = "prompt: { dataset: chats.json, max_tokens: 9 }";
    let stage = "  - { id: six, kind: load, concurrency: 2, requests: 6 }";
    let sandbox = ran(&server, prompt, stage);
    let folder = exported(&sandbox, "bench-pack", &[]);
    let rows = std::fs::read_to_string(folder.join("requests_c2.csv")).expect("exported");
    assert!(rows.contains(",HTTP 503: full up,"), "{rows}");
    assert!(!rows.contains("HTTP 503: HTTP 503"), "{rows}");
    let summary = read_json(&folder.join("summary_c2.json"));
    assert_eq!((summary["requests"].as_u64(), summary["success"].as_u64()), (Some(6), Some(5)));
    let all = records(&sandbox.run_dir());
    let mean = all.iter().map(|it| took(it, "/sent_ns", "/end_ns")).sum::<f64>() / 6.0;
    close(number(&summary, "/latency_avg"), mean);
    // Nowhere else does the text come twice, either.
    for (word, file) in [("vllm-bench", "six.json"), ("guidellm", "benchmarks.json")] {
        let text =
            std::fs::read_to_string(exported(&sandbox, word, &[]).join(file)).expect("there");
        assert!(text.contains("\"HTTP 503: full up\""), "{word}");
        assert!(!text.contains("http.503: HTTP 503"), "{word}");
    }
}

#[test]
fn a_replay_is_a_line_of_means_for_each_window() {
    let server = role_first();
    let rows: Vec<String> = (0..24)
        .map(|at| {
            let text = if at == 22 { "busy" } else { "How deep?" };
            format!(r#"{{"timestamp":{at},"session_id":"s{at}","prompt":"{text}"}}"#)
        })
        .collect();
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.dir.path().join("asked.jsonl"), rows.join("\n")).expect("written");
    sandbox.plan(&format!(
        "version: 1\nendpoint: {}v1\nprompt: {{ dataset: asked.jsonl, max_tokens: 9 }}\nstages:\n  \
         - {{ id: again, kind: replay, rate: 20, window: 500ms, max_lag: 2s }}\n",
        server.url()
    ));
    let output = sandbox.run(&["run", "plan.yaml", "--output-format", "none"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let folder = exported(&sandbox, "replay-rounds", &[]);
    let rounds = lines(&folder.join("rounds.jsonl"));
    // 24 requests at 20 a second, and the answer to the last: three windows, or more where it is late.
    assert!(rounds.len() >= 3, "{rounds:?}");
    for round in rounds.iter().filter(|round| round["success_rate"] != 0.0) {
        assert_eq!(round["target_qps"], 20.0);
        assert_eq!(
            (round["input_tokens"].as_u64(), round["output_tokens"].as_u64()),
            (Some(6), Some(9))
        );
        assert_eq!(round["TPOT"]["unit"], "ms");
        // Milliseconds a token, of answers that take less than a second in all.
        let (tpot, latency) = (number(round, "/TPOT/p50"), number(round, "/Latency/max"));
        assert!(tpot >= 2.0 && tpot < latency * 1e3, "{round}");
        assert!(number(round, "/TTFT/p50") >= (TO_ROLE + TO_WORD).as_secs_f64(), "{round}");
    }
    // Of whole windows: what was sent in each, over its half second.
    let sent = |round: &Value| number(round, "/actual_qps") * 0.5;
    let whole: Vec<f64> = rounds[..rounds.len() - 1].iter().map(sent).collect();
    assert!(whole.iter().all(|sent| (sent - sent.round()).abs() < 1e-9), "{whole:?}");
    assert!((1.0..=24.0).contains(&whole.iter().sum()), "{whole:?}");
    if rounds[0]["success_rate"] == 100.0 {
        close(number(&rounds[0], "/input_tokens_per_minute"), 6.0 * 20.0 * 60.0);
    }
    let failed: Vec<&Value> = rounds.iter().filter_map(|round| round.get("exceptions")).collect();
    assert_eq!(failed, [&serde_json::json!({ "HTTP 503: full up": 1 })]);
    let rows = std::fs::read_to_string(folder.join("requests.csv")).expect("exported");
    let cells: Vec<&str> = rows.lines().nth(1).expect("a request").split(',').collect();
    assert_eq!((cells[5], cells[6]), ("6", "9"));
}

#[test]
fn a_curve_of_rates_has_its_own_folder_and_says_what_was_asked() {
    let server = role_first();
    let prompt = "prompt: { dataset: { path: chats.json }, max_tokens: 9, temperature: 0.5 }";
    let stages = "  - { id: climb, kind: qps_ladder, rates: \"10,20\", step: 500ms, max_lag: 2s }
  - { id: gusts, kind: load, rate: 20, duration: 300ms, arrival: gamma, burstiness: 0.5, max_lag: 2s }";
    let sandbox = ran(&server, prompt, stages);
    let folder = exported(&sandbox, "qps-benchmark", &["--percentiles", "50,90"]);
    let metadata = read_json(&folder.join("climb/metadata.json"));
    assert_eq!(metadata["endpoint"], format!("{}v1/chat/completions", server.url()));
    assert_eq!(metadata["dataset"], "chats.json");
    assert_eq!(metadata["duration"], 0.5);
    assert_eq!(metadata["qps_levels"].to_string(), "[10.0,20.0]");
    assert_eq!(metadata["max_tokens"].to_string(), "9");
    assert_eq!(metadata["percentiles"].to_string(), "[50,90]");
    let levels = read_json(&folder.join("climb/benchmark_qps_results.json"));
    assert_eq!(levels.as_array().map(Vec::len), Some(2), "the other load is no level of it");
    let all = records(&sandbox.run_dir());
    for (level, rung) in [(&levels[0], 10.0), (&levels[1], 20.0)] {
        let sent: Vec<&Value> = all.iter().filter(|it| it["rung"] == rung).collect();
        let at = |key: &str| sent.iter().map(|it| number(it, key)).collect::<Vec<_>>();
        let began = at("/sent_ns").into_iter().fold(f64::INFINITY, f64::min);
        let ended = at("/end_ns").into_iter().fold(0.0, f64::max);
        let seconds = (ended - began) / 1e9;
        close(number(level, "/actual_qps"), sent.len() as f64 / seconds);
        close(number(level, "/duration"), seconds);
        assert_eq!(level["total_requests"].as_u64(), Some(sent.len() as u64));
        // From the first event on, and not from the first word.
        let words = sent.iter().filter(|it| it["outcome"] == "ok");
        let mut words: Vec<f64> = words.map(|it| took(it, "/sent_ns", "/first_token_ns")).collect();
        words.sort_unstable_by(f64::total_cmp);
        let middle = words[words.len() / 2];
        assert!(number(level, "/ttft/p50") < middle, "{level} {middle}");
    }
    assert_eq!(levels[1]["errors"]["HTTP 503"], levels[1]["failed_requests"]);
    assert!(levels[1]["failed_requests"].as_u64() >= Some(1), "{levels}");
    assert!(folder.join("gusts/benchmark_qps_results.json").is_file());
    // Without a choice now, that of the run counts, and else the tool's own.
    exported(&sandbox, "qps-benchmark", &[]);
    let metadata = read_json(&folder.join("climb/metadata.json"));
    assert_eq!(metadata["percentiles"].to_string(), "[50,95,99]");
}

#[test]
fn every_export_says_the_load_that_was_asked() {
    let sandbox = Sandbox::new();
    sandbox.plan(
        "version: 1\nendpoint: { simulator: {} }\nprompt: { text: hello, max_tokens: 3 }\nstages:
  - { id: crowd, kind: load, concurrency: 6, requests: 18 }
  - { id: first, kind: cold, concurrency: 3, requests: 6 }
  - { id: gusts, kind: load, rate: 30, duration: 400ms, arrival: gamma, burstiness: 0.3, max_lag: 2s }
  - { id: rain, kind: load, rate: 30, duration: 400ms, arrival: poisson, max_lag: 2s,
      endpoint: { simulator: {}, api: openai-completions }, prompt: { text: hi, max_tokens: 3, stream: false } }
  - { id: clock, kind: load, rate: 30, duration: 400ms, arrival: constant, max_in_flight: 5, max_lag: 2s }\n",
    );
    let output = sandbox.run(&["run", "plan.yaml", "--output-format", "none"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));

    let folder = exported(&sandbox, "vllm-bench", &[]);
    let asked = |stage: &str| {
        let it = read_json(&folder.join(format!("{stage}.json")));
        let shown = |key: &str| it[key].to_string();
        [shown("request_rate"), shown("burstiness"), shown("max_concurrency")]
    };
    let api =
        |stage: &str, key: &str| read_json(&folder.join(format!("{stage}.json")))[key].clone();
    assert_eq!(
        (api("crowd", "endpoint_type"), api("crowd", "backend")),
        ("openai-chat".into(), "openai-chat".into())
    );
    assert_eq!(
        (api("rain", "endpoint_type"), api("rain", "backend")),
        ("openai".into(), "openai".into())
    );
    assert_eq!(asked("crowd"), ["\"inf\"", "1.0", "6"]);
    assert_eq!(asked("first"), ["\"inf\"", "1.0", "3"]);
    assert_eq!(asked("gusts"), ["30.0", "0.3", "null"]);
    assert_eq!(asked("rain"), ["30.0", "1.0", "null"]);
    assert_eq!(asked("clock"), ["30.0", "\"inf\"", "5"]);

    let folder = exported(&sandbox, "aiperf", &[]);
    let phase = |stage: &str| {
        let it = read_json(&folder.join(stage).join("profile_export_aiperf.json"));
        let mut phase = it["input_config"]["phases"][0].clone();
        let fields = phase.as_object_mut().expect("a phase");
        fields.remove("name");
        fields.remove("requests");
        phase
    };
    let form = |stage: &str| {
        let it = read_json(&folder.join(stage).join("profile_export_aiperf.json"));
        let it = &it["input_config"]["endpoint"];
        (it["type"].clone(), it["streaming"].clone())
    };
    assert_eq!(form("crowd"), ("chat".into(), true.into()));
    assert_eq!(form("rain"), ("completions".into(), false.into()));
    assert_eq!(phase("crowd"), serde_json::json!({"concurrency":6,"type":"concurrency"}));
    assert_eq!(phase("gusts"), serde_json::json!({"rate":30.0,"smoothness":0.3,"type":"gamma"}));
    assert_eq!(phase("rain"), serde_json::json!({"rate":30.0,"type":"poisson"}));
    assert_eq!(phase("clock"), serde_json::json!({"concurrency":5,"rate":30.0,"type":"constant"}));

    let folder = exported(&sandbox, "genai-perf", &[]);
    let experiment = |stage: &str| {
        let it = read_json(&folder.join(stage).join("profile_export.json"));
        it["experiments"][0]["experiment"].clone()
    };
    assert_eq!(experiment("crowd"), serde_json::json!({"mode":"concurrency","value":6}));
    assert_eq!(experiment("first"), serde_json::json!({"mode":"concurrency","value":3}));
    assert_eq!(experiment("gusts"), serde_json::json!({"mode":"request_rate","value":30.0}));

    let document = read_json(&exported(&sandbox, "guidellm", &[]).join("benchmarks.json"));
    let strategy = |at: usize| document["benchmarks"][at]["config"]["strategy"].clone();
    assert_eq!(strategy(0), serde_json::json!({"streams":6,"type_":"concurrent"}));
    assert_eq!(strategy(1), serde_json::json!({"streams":3,"type_":"concurrent"}));
    assert_eq!(strategy(3), serde_json::json!({"rate":30.0,"type_":"poisson"}));
    assert_eq!(strategy(4), serde_json::json!({"rate":30.0,"type_":"constant"}));
    let label = document["benchmarks"][2]["config"]["label"].to_string();
    assert_eq!(label, r#""gusts (gamma arrivals, burstiness 0.3)""#, "it has no word for them");
    assert_eq!(document["config"]["spec"]["profile"]["kind"], "concurrent");
    assert_eq!(document["config"]["spec"]["data"][0]["output_tokens"].to_string(), "3");

    let folder = exported(&sandbox, "inference-perf", &[]);
    let load = &read_json(&folder.join("stage_0_lifecycle_metrics.json"))["load_summary"];
    assert_eq!(
        (&load["requested_rate"], load["concurrency"].to_string()),
        (&Value::Null, "6".into())
    );
    let folder = exported(&sandbox, "llm-d", &[]);
    let report = read_json(&folder.join("benchmark_report_v0.2_crowd.json"));
    assert_eq!(report["scenario"]["load"]["standardized"]["concurrency"].to_string(), "6");
    // Three ways of arriving are three curves.
    let folder = exported(&sandbox, "qps-benchmark", &[]);
    for curve in ["gusts", "rain", "clock"] {
        let levels = read_json(&folder.join(curve).join("benchmark_qps_results.json"));
        assert_eq!(levels.as_array().map(Vec::len), Some(1), "{curve}");
    }
}

/// Where an export holds a figure of a tool's definitions: word, file, pointer, figure, statistic.
type Held = (&'static str, &'static str, &'static str, &'static str, &'static str);

const HELD: &[Held] = &[
    ("vllm-bench", "sea-2.json", "/mean_ttft_ms", "ttft_ms", "mean"),
    ("vllm-bench", "sea-2.json", "/mean_tpot_ms", "tpot_ms", "mean"),
    ("vllm-bench", "sea-2.json", "/p99_itl_ms", "itl_ms", "p99"),
    ("vllm-bench", "sea-2.json", "/median_e2el_ms", "e2el_ms", "p50"),
    ("vllm-bench", "sea-2.json", "/request_throughput", "request_throughput", ""),
    ("vllm-bench", "sea-2.json", "/output_throughput", "output_throughput", ""),
    ("aiperf", AIPERF, "/time_to_first_token/avg", "time_to_first_token", "mean"),
    ("aiperf", AIPERF, "/inter_token_latency/p95", "inter_token_latency", "p95"),
    ("aiperf", AIPERF, "/request_latency/max", "request_latency", "max"),
    ("aiperf", AIPERF, "/output_token_throughput/avg", "output_token_throughput", ""),
    ("genai-perf", GENAI, "/time_to_first_token/p99", "time_to_first_token", "p99"),
    ("genai-perf", GENAI, "/request_throughput/avg", "request_throughput", ""),
    (
        "guidellm",
        GUIDE,
        "/metrics/time_to_first_token_ms/successful/mean",
        "time_to_first_token_ms",
        "mean",
    ),
    (
        "guidellm",
        GUIDE,
        "/metrics/time_per_output_token_ms/successful/mean",
        "time_per_output_token_ms",
        "mean",
    ),
    ("guidellm", GUIDE, "/metrics/request_latency/successful/median", "request_latency", "p50"),
    ("guidellm", GUIDE, "/metrics/requests_per_second/successful/mean", "requests_per_second", ""),
    (
        "inference-perf",
        STAGE,
        "/successes/latency/time_to_first_token/mean",
        "time_to_first_token",
        "mean",
    ),
    (
        "inference-perf",
        STAGE,
        "/successes/latency/inter_token_latency/p99",
        "inter_token_latency",
        "p99",
    ),
    ("inference-perf", STAGE, "/successes/throughput/requests_per_sec", "requests_per_sec", ""),
    ("bench-pack", "summary_c2.json", "/ttft_avg", "ttft", "mean"),
    ("bench-pack", "summary_c2.json", "/latency_p99", "latency", "p99"),
    ("bench-pack", "summary_c2.json", "/qps", "qps", ""),
    ("bench-pack", "summary_c2.json", "/tps_tokens_per_sec", "tps", ""),
    ("batching-cache", "sea-2/results.json", "/avg_latency_ms", "latency_ms", "mean"),
    ("batching-cache", "sea-2/results.json", "/tpot_avg_ms", "tpot_ms", "mean"),
    (
        "batching-cache",
        "sea-2/results.json",
        "/throughput_tokens_per_sec",
        "throughput_tokens_per_sec",
        "",
    ),
    ("replay-rounds", "rounds.jsonl", "/TTFT/p95", "TTFT", "p95"),
    ("replay-rounds", "rounds.jsonl", "/TPOT/p50", "TPOT", "p50"),
    ("replay-rounds", "rounds.jsonl", "/Throughput/max", "Throughput", "max"),
    ("replay-rounds", "rounds.jsonl", "/actual_qps", "actual_qps", ""),
    ("replay-rounds", "rounds.jsonl", "/success_rate", "success_rate", ""),
    ("ttft-cache", "benchmark.jsonl", "/ttft_seconds", "ttft_seconds", "max"),
];
const AIPERF: &str = "sea-2/profile_export_aiperf.json";
const GENAI: &str = "sea-2/profile_export_genai_perf.json";
const GUIDE: &str = "benchmarks.json";
const STAGE: &str = "stage_1_lifecycle_metrics.json";

#[test]
fn exports_and_definitions_say_the_same() {
    let server = role_first();
    let prompt = "prompt: { dataset: chats.json, max_tokens: 9 }";
    let ramp = "  - { id: sea, kind: concurrency_ramp, concurrency: \"1,2\", requests: 6 }";
    let sandbox = ran(&server, prompt, ramp);
    let run = sandbox.run_dir();
    for (word, file, pointer, figure, statistic) in HELD {
        let folder = exported(&sandbox, word, &[]);
        let of = |args: &[&str]| {
            let output = sandbox.run(&[&["report", run.to_str().expect("a path")], args].concat());
            serde_json::from_str::<Value>(&text(&output.stdout)).expect("JSON")
        };
        let defined = of(&["--definitions", word, "--format", "json"]);
        let stage = &defined["stages"][1];
        assert_eq!(stage["stage"], "sea@2");
        let mut all =
            ["figures", "totals"].iter().flat_map(|key| stage[*key].as_array().expect("a list"));
        let found = all.find(|it| it["name"] == *figure);
        let value = &found.unwrap_or_else(|| panic!("{word} has no {figure}"))["value"];
        let expected = if statistic.is_empty() { value } else { &value[*statistic] };
        let expected = expected.as_f64().expect("a number");
        let documents = if Path::new(file).extension().is_some_and(|it| it == "jsonl") {
            lines(&folder.join(file))
        } else {
            vec![read_json(&folder.join(file))]
        };
        let found = match *word {
            "guidellm" => number(&documents[0]["benchmarks"][1], pointer),
            "replay-rounds" => number(&documents[1], pointer),
            // A line for each answer, in the order of the run; the second level's are the last five.
            "ttft-cache" => documents[5..].iter().map(|it| number(it, pointer)).fold(0.0, f64::max),
            _ => number(&documents[0], pointer),
        };
        assert!(
            (found - expected).abs() <= 1e-6 * expected.abs(),
            "{word} {pointer}: {found} is not {expected}"
        );
    }
    // Every tool that both know of is in the table, and every word of one is a word of the other.
    for format in runner::report::export::FORMATS.iter().filter(|it| it.word != "llm-d") {
        assert!(find(format.word).is_some(), "--definitions {}", format.word);
        let is_held = HELD.iter().any(|held| held.0 == format.word);
        assert!(is_held || format.word == "qps-benchmark", "{} is compared nowhere", format.word);
    }
    assert!(TOOLS.len() >= 13);
}

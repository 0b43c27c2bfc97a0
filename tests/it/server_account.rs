//! The server's own account beside our figures: metrics before, during and after stages, native
//! times of requests, and claims about the cache held against both.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use runner::plan::SimulatorConfig;
use runner::simulator::Simulator;
use serde_json::{Value, json};

use crate::faulty_server::{FaultyServer, answer, json as json_answer, stream};
use crate::sandbox::{Sandbox, code, stage, stderr};

/// Cold and warm with these keys of the endpoint and of the simulator.
fn plan(endpoint: &str, simulator: &str) -> String {
    format!(
        "\
version: 1
nonce: fixed
endpoint:
  simulator: {{ prefill_rate: 100k, decode_rate: 500, overhead: 1ms{simulator} }}
{endpoint}
prompt:
  context: {{ from: filler, tokens: 600 }}
  text: Summarize.
  max_tokens: 4
stages:
  - {{ id: cold, kind: cold, requests: 4 }}
  - {{ id: warm, kind: warm, like: cold }}
"
    )
}

struct Ran {
    code: i32,
    summary: Value,
    text: String,
    sandbox: Sandbox,
}

fn run(plan: &str) -> Ran {
    let sandbox = Sandbox::new();
    let path = sandbox.plan(plan);
    let output = sandbox.run(&["run", "-v", path.to_str().expect("utf-8")]);
    assert!(matches!(code(&output), 0 | 10), "{}", stderr(&output));
    Ran {
        code: code(&output),
        summary: sandbox.summary(),
        text: String::from_utf8_lossy(&output.stdout).into_owned(),
        sandbox,
    }
}

fn notes(summary: &Value) -> String {
    summary["run"]["notes"].to_string()
}

#[test]
fn each_stage_tells_what_the_server_counted_meanwhile() {
    let Ran { code, summary, text, sandbox } = run(&plan("", ""));
    assert_eq!(code, 0, "{text}");
    let (cold, warm) = (stage(&summary, "cold"), stage(&summary, "warm"));
    for stage in [cold, warm] {
        let server = &stage["server"];
        assert!(server["readings"].as_u64() >= Some(2), "{server:#}");
        assert_eq!(server["counters"]["requests"], 4.0, "{server:#}");
        assert_eq!(server["counters"]["generation_tokens"], 16.0, "{server:#}");
        let ours = stage["cache"]["prompt_tokens"].as_f64();
        assert_eq!(server["counters"]["prompt_tokens"].as_f64(), ours, "{server:#}");
        let cached = stage["cache"]["cached_tokens"].as_f64();
        assert_eq!(server["counters"]["prefix_cache_hits"].as_f64(), cached, "{server:#}");
        assert!(server["mean_ms"]["prefill"].is_number(), "{server:#}");
        assert_eq!(stage["contamination"], Value::Null);
    }
    assert!(cold["server"]["prefix_hit_share"].as_f64() < Some(0.05));
    assert!(warm["server"]["prefix_hit_share"].as_f64() > Some(0.9));
    assert!(text.contains("\nServer\n") && text.contains("prefix cache hit 9"), "{text}");

    let manifest = std::fs::read_to_string(sandbox.run_dir().join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    let endpoint = &manifest["endpoints"][0];
    assert!(endpoint["metrics"].as_str().is_some_and(|it| it.ends_with("/metrics")));
    assert_eq!(endpoint["model_details"]["root"], "simulated-8b", "{endpoint:#}");
    assert_eq!(endpoint["context_tokens"], 131_072);
}

#[test]
fn where_answers_are_silent_the_counters_decide() {
    let flush = "  - { id: flush, kind: flush }\n  - { id: again, kind: cold, like: cold }\n";
    let plan = plan("", ", report_cached_tokens: false") + flush;
    let Ran { code, summary, text, sandbox } = run(&plan);
    assert_eq!(code, 0, "{text}");
    let page = std::fs::read_to_string(sandbox.run_dir().join("report.html")).unwrap();
    for id in ["cold", "warm"] {
        // Its figures are the counters', and every output says whose they are.
        let told = stage(&summary, id);
        let hits = &told["server"]["counters"]["prefix_cache_hits"];
        assert_eq!(told["cache"]["cached_tokens"].as_f64(), hits.as_f64(), "{told:#}");
        let mut claims = summary["claims"].as_array().unwrap().iter();
        let claim = claims.find(|it| it["kind"] == "cache_state" && it["stage"] == id).unwrap();
        assert_eq!(claim["figures"]["cached_tokens"]["value"].as_f64(), hits.as_f64(), "{claim:#}");
        let begins = format!("Meant to be {id} and {id} by the server's counters: ");
        assert!(claim["text"].as_str().unwrap().starts_with(&begins), "{claim:#}");
        let row =
            text.lines().find(|it| it.trim_start().starts_with(id) && it.contains("by count"));
        assert!(row.is_some(), "{id}: {text}");
        assert!(page.replace("&#x27;", "'").contains(&begins), "{begins} is not on the page");
    }
    assert!(!page.contains("Proven cold") && !text.contains("Proven "), "{text}");
    for (id, verdict) in [("cold", "cold"), ("warm", "warm"), ("again", "cold")] {
        let cache = &stage(&summary, id)["cache"];
        assert_eq!((&cache["verdict"], &cache["by_counters"]), (&json!(verdict), &json!(true)));
    }
    assert_eq!(stage(&summary, "flush")["flush"]["state"], "proven", "{text}");
    let off = plan.replace("endpoint:\n", "endpoint:\n  metrics: off\n");
    let Ran { summary, .. } = run(&off);
    assert_eq!(stage(&summary, "cold")["cache"]["verdict"], "unknown");
    assert_eq!(stage(&summary, "cold")["server"], Value::Null);
    assert!(!notes(&summary).contains("account"), "off is off: {}", notes(&summary));
}

/// A page of metrics that grows with each reading, restarts at the reading `restarts`, and fails
/// from the reading `fails` on.
fn pages(restarts: usize, fails: usize) -> (FaultyServer, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let server = FaultyServer::answers(move |request| {
        if request.starts_with("GET /gpu ") {
            let text = "DCGM_FI_DEV_GPU_UTIL{gpu=\"0\"} 80\nDCGM_FI_DEV_GPU_UTIL{gpu=\"1\"} 40\n";
            return answer(200, "Content-Type: text/plain\r\n", text);
        }
        let number = counted.fetch_add(1, Ordering::SeqCst);
        if number >= fails {
            return answer(500, "", "down");
        }
        let since = if number >= restarts { number - restarts } else { 100 + number };
        let text = format!(
            "vllm:num_preemptions_total {since}\nvllm:num_requests_running 3\napp_total 7\n"
        );
        answer(200, "Content-Type: text/plain\r\n", &text)
    });
    (server, asked)
}

#[test]
fn any_page_gpus_and_restarts_are_told_and_keys_stay_at_home() {
    let (server, _) = pages(2, usize::MAX);
    let address = server.address();
    let keys = format!(
        "  headers: {{ x-team: canary-value }}\n  metrics: {{ url: \"http://{address}/m\", gpu: \
         \"http://{address}/gpu\", interval: 100ms, names: [app_total] }}"
    );
    let Ran { code, summary, text, .. } = run(&plan(&keys, ""));
    assert_eq!(code, 0, "{text}");
    let cold = &stage(&summary, "cold")["server"];
    assert_eq!(cold["resets"], 1, "the second reading of the stage began anew: {cold:#}");
    assert_eq!(cold["counters"]["app_total"], 0.0, "{cold:#}");
    assert_eq!(cold["gauges"]["gpu_utilisation_percent"]["mean"], 60.0, "{cold:#}");
    assert_eq!(cold["gauges"]["running"]["max"], 3.0, "{cold:#}");
    assert!(notes(&summary).contains("it was restarted"), "{}", notes(&summary));
    let asked = server.requests();
    assert!(asked.iter().any(|request| request.starts_with("GET /gpu ")));
    assert!(asked.iter().all(|request| !request.contains("canary-value")), "{asked:?}");
}

#[test]
fn a_page_that_is_missing_or_breaks_is_a_note_and_no_failure() {
    let (server, asked) = pages(usize::MAX, 2);
    let keys = format!("  metrics: \"http://{}/m\"", server.address());
    let Ran { code, summary, text, .. } = run(&plan(&keys, ""));
    assert_eq!(code, 0, "{text}");
    assert!(notes(&summary).contains("could not be read"), "{}", notes(&summary));
    assert!(stage(&summary, "cold")["server"]["failed"].as_u64() >= Some(1));
    assert!(asked.load(Ordering::SeqCst) <= 5, "three failures are enough");

    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let keys = format!("  metrics: \"http://{dead}/m\"");
    let Ran { code, summary, text, .. } = run(&plan(&keys, ""));
    assert_eq!(code, 0, "{text}");
    assert_eq!(stage(&summary, "cold")["server"], Value::Null);
    assert!(notes(&summary).contains("no account of the server itself"), "{}", notes(&summary));
}

fn start() -> Simulator {
    let config = SimulatorConfig { prefill_rate: 50_000.0, ..SimulatorConfig::default() };
    Simulator::start(config, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a free port")
}

fn against(simulator: &Simulator) -> String {
    let at = plan("", "");
    let from = at.find("  simulator:").unwrap();
    let to = from + at[from..].find('\n').unwrap();
    format!("{}  url: {}{}", &at[..from], simulator.base_url(), &at[to..])
}

#[test]
fn the_doors_of_an_endpoint_that_is_one_call_are_beside_it() {
    let simulator = start();
    let base = simulator.base_url();
    let call = format!("{}/generate", base.trim_end_matches('/').trim_end_matches("/v1"));
    let plan = |json: &str| {
        format!(
            "version: 1\nendpoint: {{ url: \"{call}\", api: json, json: {json} }}\n\
             prompt: {{ text: Hello., max_tokens: 4 }}\nstages:\n  - {{ id: cold, kind: cold, requests: 2 }}\n"
        )
    };
    let ran = run(&plan("{}"));
    let counted = &stage(&ran.summary, "cold")["server"]["counters"];
    assert!(counted["prompt_tokens"].as_f64().is_some_and(|tokens| tokens > 0.0), "{counted}");

    // A pointer that finds nothing: what the answer held is said.
    let sandbox = Sandbox::new();
    let path = sandbox.plan(&plan("{ text: /nowhere }"));
    let output = sandbox.run(&["run", path.to_str().expect("utf-8")]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(code(&output), 5, "{text}");
    assert!(text.contains("without a single token: {\"text\":"), "{text}");
}

#[test]
fn a_cold_stage_that_meets_yesterdays_cache_is_contaminated() {
    let simulator = start();
    let plan = against(&simulator);
    assert_eq!(run(&plan).code, 0);
    // The nonce is fixed, so the second run sends the very prompts of the first.
    let Ran { code, summary, text, .. } = run(&plan);
    assert_eq!(code, 10, "{text}");
    let found = &stage(&summary, "cold")["contamination"][0];
    assert_eq!(found["kind"], "unexpected_hits", "{found:#}");
    assert_eq!((&found["requests"], &found["first"]), (&json!(4), &json!(0)), "{found:#}");
    assert!(found["seen_tokens"].as_u64() > found["expected_tokens"].as_u64(), "{found:#}");
    assert!(text.contains("stage cold: CONTAMINATED: cold was claimed"), "{text}");
}

#[test]
fn traffic_of_somebody_else_contaminates_a_stage() {
    // Between any two readings of its page the server has taken 500 tokens of somebody's prompts.
    let readings = AtomicUsize::new(0);
    let server = FaultyServer::answers(move |request| {
        if request.starts_with("GET /v1/models ") {
            return json_answer(200, r#"{"data":[{"id":"m","owned_by":"vllm"}]}"#);
        }
        if request.starts_with("GET /metrics ") {
            let tokens = 500 * readings.fetch_add(1, Ordering::SeqCst);
            return answer(200, "", &format!("vllm:prompt_tokens_total {tokens}\n"));
        }
        if !request.starts_with("POST /v1/chat/completions ") {
            return answer(404, "", "");
        }
        let usage = json!({"prompt_tokens": 10, "completion_tokens": 1});
        let last = json!({"choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}], "usage": usage});
        stream(&format!("data: {last}\n\ndata: [DONE]\n\n"))
    });
    let Ran { summary, text, .. } = run(&format!(
        "version: 1\nendpoint: {{ url: \"{}\" }}\nprompt: {{ text: Hello., max_tokens: 1 }}\n\
         stages: [{{ id: cold, kind: cold, requests: 4 }}]\n",
        server.url()
    ));
    let found = &stage(&summary, "cold")["contamination"][0];
    assert_eq!(found["kind"], "foreign_traffic", "{text}");
    assert!(text.contains("somebody else uses it"), "{text}");
}

#[test]
fn native_times_of_requests_stand_beside_ours() {
    for api in ["llamacpp-completion", "ollama-chat"] {
        let Ran { summary, text, .. } = run(&plan(&format!("  api: {api}"), ""));
        let metrics = &stage(&summary, "cold")["metrics"];
        let p50 = |name: &str| metrics[name]["p50"].as_f64().unwrap_or_else(|| panic!("{text}"));
        assert!(p50("server_prefill") > 1.0 && p50("server_prefill") < p50("ttft"), "{text}");
        assert!(p50("server_decode") > 1.0 && p50("server_total") < p50("response_end"), "{text}");
        assert!(text.contains("per request (p50): "), "{text}");
    }
}

/// What a run said of a server that has work of others for so long, by its own account, and how long after
/// its first such word it was asked anything.
fn beside_others(busy: Duration) -> (Value, String, Duration) {
    let since = Arc::new(Mutex::new(None));
    let asked = Arc::new(Mutex::new(None));
    let (first, first_asked) = (Arc::clone(&since), Arc::clone(&asked));
    let server = FaultyServer::answers(move |request| {
        let now = Instant::now();
        if request.starts_with("GET /v1/models ") {
            return json_answer(200, r#"{"data":[{"id":"m","owned_by":"vllm"}]}"#);
        }
        if request.starts_with("GET /metrics ") {
            let since = *first.lock().unwrap().get_or_insert(now);
            let running = u8::from(now - since < busy);
            return answer(200, "", &format!("vllm:num_requests_running {running}\n"));
        }
        if !request.starts_with("POST /v1/chat/completions ") {
            return answer(404, "", "");
        }
        first_asked.lock().unwrap().get_or_insert(now);
        let last = json!({"choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}]});
        stream(&format!("data: {last}\n\ndata: [DONE]\n\n"))
    });
    let sandbox = Sandbox::new();
    let path = sandbox.plan(&format!(
        "version: 1\nendpoint: {{ url: \"{}\" }}\nprompt: {{ text: Hello., max_tokens: 1 }}\n\
         stages: [{{ id: ask, kind: load, concurrency: 1, requests: 2 }}]\n",
        server.url()
    ));
    let output = sandbox.run(&["run", path.to_str().expect("utf-8")]);
    let (since, asked) = (since.lock().unwrap().unwrap(), asked.lock().unwrap().unwrap());
    (sandbox.summary(), stderr(&output), asked - since)
}

#[test]
fn a_busy_server_is_waited_for_and_that_is_said() {
    // Readings are at least twice idle before it counts as such.
    let (summary, said, waited) = beside_others(Duration::from_secs(5));
    assert!(waited >= Duration::from_secs(5), "{waited:?}");
    assert!(said.contains("stage ask: its endpoint says that it still has other work"), "{said}");
    assert!(said.contains("waiting for it, 30 s at most"), "{said}");
    assert!(!notes(&summary).contains("other work"), "it had ended: {}", notes(&summary));
    assert_eq!(stage(&summary, "ask")["counts"]["ok"], 2);
}

#[test]
fn a_server_that_stays_busy_is_waited_for_half_a_minute_and_the_notes_say_so() {
    let (summary, said, waited) = beside_others(Duration::from_secs(3_600));
    assert!(waited >= Duration::from_secs(29), "{waited:?}");
    assert!(said.contains("waiting for it, 30 s at most"), "{said}");
    let told = notes(&summary);
    assert!(told.contains("it still had other work, by its own account, when ask began"), "{told}");
    assert!(told.contains("their times are of both"), "{told}");
    assert_eq!(stage(&summary, "ask")["counts"]["ok"], 2, "it is asked all the same");
}

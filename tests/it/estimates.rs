//! `runner plan` tells beforehand what a run will send: held against what a simulator then gets.

use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Output};

use runner::plan::SimulatorConfig;
use runner::simulator::Simulator;
use serde_json::{Value, json};

/// Tokens that the simulator's chat template adds to one user message.
const TEMPLATE: u64 = 11;

struct Bench {
    dir: tempfile::TempDir,
    simulator: Simulator,
}

impl Bench {
    fn new() -> Self {
        let config = SimulatorConfig {
            prefill_rate: f64::INFINITY,
            decode_rate: f64::INFINITY,
            max_model_len: 262_144,
            ..SimulatorConfig::default()
        };
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let simulator = Simulator::start(config, anywhere).expect("it starts");
        Self { dir: tempfile::tempdir().expect("a temporary folder"), simulator }
    }

    fn runner(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
        command.args(args).current_dir(self.dir.path()).env_clear().env("PATH", "/usr/bin:/bin");
        command.output().expect("runner starts")
    }

    fn write(&self, prompt: &str, stages: &str) {
        let url = self.simulator.base_url();
        let text = format!(
            "version: 1\nseed: 3\nnonce: fixed\nendpoint: \"{url}\"\n\
             prompt: {{ max_tokens: 2, text: Hello., {prompt} }}\nstages: [{stages}]\n"
        );
        fs::write(self.dir.path().join("plan.yaml"), text).expect("written");
    }

    /// The stages of `runner plan --format json`.
    fn planned(&self) -> Vec<Value> {
        let output = self.runner(&["plan", "plan.yaml", "--format", "json"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let plan: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        plan["stages"].as_array().expect("stages").clone()
    }

    /// Requests and prompt tokens that arrived in a run, however it is judged.
    fn arrived(&self) -> (u64, u64) {
        self.runner(&["run", "plan.yaml"]);
        let truth = self.simulator.truth();
        let tokens = truth.iter().map(|request| request.prompt_tokens - TEMPLATE).sum();
        (truth.len() as u64, tokens)
    }
}

fn sums(stages: &[Value]) -> (u64, u64) {
    let sum = |key: &str| stages.iter().map(|it| it[key].as_u64().expect("a number")).sum();
    (sum("requests"), sum("estimated_input_tokens"))
}

const COLD: &str = "{ id: cold, kind: cold, requests: 3 }, { id: warm, kind: warm }";

#[test]
fn documents_are_counted_as_long_as_they_will_be() {
    for context in [
        "{ from: filler, tokens: 1000 }",
        "{ from: filler, tokens: 9000, max_ctx_tokens: 4000 }",
        "{ from: filler, max_ctx_tokens: 4000 }",
        "{ from: bundled }",
        "{ from: bundled, max_ctx_tokens: 5000 }",
        "{ from: bundled, tokens: 100 }",
        "{ from: document.txt }",
        "{ from: document.txt, max_ctx_tokens: 3000 }",
    ] {
        let bench = Bench::new();
        let document = "Fifty characters of text stand here in every line\n".repeat(400);
        fs::write(bench.dir.path().join("document.txt"), document).expect("written");
        bench.write(&format!("context: {context}"), COLD);
        let planned = bench.planned();
        assert_eq!(sums(&planned), bench.arrived(), "{context}");
        assert_eq!(planned[0]["estimated_output_tokens"], 6, "{context}");
    }
}

#[test]
fn rows_and_templates_count_as_they_are_rendered() {
    let bench = Bench::new();
    let rows: Vec<String> =
        (1..=6).map(|n| json!({ "question": "why? ".repeat(n * 20) }).to_string()).collect();
    fs::write(bench.dir.path().join("rows.jsonl"), rows.join("\n")).expect("written");
    bench.write("dataset: rows.jsonl", "{ id: cold, kind: cold }");
    let plan = fs::read_to_string(bench.dir.path().join("plan.yaml")).expect("there");
    let plan = plan.replace("text: Hello.", "text: \"{{ row.question }}\"");
    fs::write(bench.dir.path().join("plan.yaml"), plan).expect("written");
    assert_eq!(sums(&bench.planned()), bench.arrived());
}

#[test]
fn a_flush_sends_canaries_and_maybe_traffic() {
    for (flush, sent, perhaps) in [
        ("{ kind: flush, with: http }", (5, 5 * 404), Value::Null),
        ("{ kind: flush, with: traffic, tokens: 5000 }", (15, 5 * 404 + 10 * 504), Value::Null),
        ("{ kind: flush, with: traffic }", (15, 5 * 404 + 10 * 25_004), Value::Null),
        (
            "{ kind: flush, with: auto, tokens: 5000 }",
            (5, 5 * 404),
            json!({ "requests": 10, "input_tokens": 5_040 }),
        ),
        ("{ kind: flush }", (5, 5 * 404), json!({ "requests": 10, "input_tokens": 250_040 })),
    ] {
        let bench = Bench::new();
        bench.write("", flush);
        let planned = bench.planned();
        assert_eq!(sums(&planned), sent, "{flush}");
        assert_eq!(planned[0]["perhaps_foreign_traffic"], perhaps, "{flush}");
        if !flush.contains("traffic }") {
            assert_eq!(bench.arrived(), sent, "{flush}");
        }
    }
}

#[test]
fn loads_count_by_rate_and_time_and_say_where_the_server_decides() {
    let bench = Bench::new();
    let stages = "{ id: load, kind: load, rate: 20/s, duration: 1m30s, warmup_requests: 5 }, \
        { id: ladder, kind: qps_ladder, rates: \"2,4,8\", step: 10s }, \
        { id: users, kind: load, concurrency: 4, requests: 40 }, \
        { id: while, kind: load, concurrency: 4, duration: 10s, warmup_requests: 2 }";
    bench.write("context: { from: filler, tokens: 100 }", stages);
    let planned = bench.planned();
    let each = 102;
    let of =
        |stage: usize| (&planned[stage]["requests"], &planned[stage]["estimated_input_tokens"]);
    assert_eq!(of(0), (&json!(1_805), &json!(1_805 * each)));
    assert_eq!(of(1), (&json!(140), &json!(140 * each)));
    assert_eq!(of(2), (&json!(40), &json!(40 * each)));
    assert_eq!(of(3), (&json!(2), &json!(2 * each)));
    assert_eq!(planned[3]["estimated_input_tokens_each"], each);
    assert_eq!(planned[2]["estimated_input_tokens_each"], Value::Null);

    let text = bench.runner(&["plan", "plan.yaml"]).stdout;
    let text = String::from_utf8_lossy(&text);
    for line in [
        "1,805 requests, about 184,110 prompt tokens, at most 3,610 generated",
        "2 requests to warm up, then as many requests as there is time (or there are rows) for",
        "and what stages without a number of requests get done in their time",
    ] {
        assert!(text.contains(line), "{line} is missing:\n{text}");
    }
}

#[test]
fn a_prompt_that_can_not_be_made_is_said_by_name() {
    let bench = Bench::new();
    fs::write(bench.dir.path().join("document.txt"), b"caf\xe9").expect("written");
    bench.write("context: { from: document.txt }", COLD);
    let output = bench.runner(&["plan", "plan.yaml"]);
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("document.txt") && said.contains("help: "), "{said}");
}

#[test]
fn turns_are_measured_and_what_warms_up_is_beside_them() {
    let bench = Bench::new();
    let row = r#"{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":"c"}]}"#;
    fs::write(bench.dir.path().join("rows.jsonl"), [row, row].join("\n")).expect("rows");
    let talk = "{ id: talk, kind: conversation, concurrency: 1, prompt: { dataset: rows.jsonl } }";
    let warmed = "{ id: steady, kind: load, concurrency: 1, requests: 5, warmup_requests: 3 }";
    for (stages, line) in [
        (talk.to_owned(), None),
        (format!("{talk}, {warmed}"), Some("9 of the requests are measured; the other 3 warm up")),
    ] {
        bench.write("temperature: 0", &stages);
        let shown = bench.runner(&["plan", "plan.yaml"]);
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        assert_eq!(shown.contains("are measured"), line.is_some(), "{shown}");
        assert!(line.is_none_or(|line| shown.contains(line)), "{shown}");
    }
}

#[test]
fn a_limit_that_nobody_chose_is_said_where_it_is_sent() {
    let bench = Bench::new();
    let said = "max_tokens 4096 is sent";
    for (endpoint, prompt, is_said) in [
        ("api: anthropic-messages", "{ text: Hi }", true),
        ("api: anthropic-messages", "{ text: Hi, max_tokens: 9 }", false),
        ("api: anthropic-messages", "{ synthetic: { input_tokens: 9, output_tokens: 9 } }", false),
        ("api: openai-chat", "{ text: Hi }", false),
    ] {
        let plan = format!(
            "version: 1\nendpoint: {{ url: \"http://127.0.0.1:9\", model: m, {endpoint} }}\n\
             prompt: {prompt}\nstages: [ {{ id: s, kind: load, concurrency: 1, requests: 1 }} ]\n"
        );
        fs::write(bench.dir.path().join("plan.yaml"), plan).expect("a plan");
        let shown = bench.runner(&["plan", "plan.yaml"]);
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        assert_eq!(shown.contains(said), is_said, "{endpoint} {prompt}: {shown}");
        let body = bench.runner(&["plan", "plan.yaml", "--request", "s"]);
        let body = String::from_utf8_lossy(&body.stdout).into_owned();
        assert_eq!(body.contains("\"max_tokens\": 4096"), is_said, "{body}");
    }
}

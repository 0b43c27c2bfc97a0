//! Documents, datasets and tokenizers from the plan to the server: what is read before a run, how
//! long a document is when it arrives, and how its tokens are counted.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use runner::plan::SimulatorConfig;
use runner::simulator::Simulator;
use runner::workload::filler::filler;
use runner::workload::prompt::nonce;
use runner::workload::synthetic::text::key_of;
use runner::workload::tokenizer::Tokenizer;
use serde_json::Value;

use crate::faulty_server::{FaultyServer, json, stream};

/// A folder with a plan and its files, and a simulator that keeps its truth for the test.
struct Bench {
    dir: tempfile::TempDir,
    simulator: Simulator,
}

/// Three prompts; the question is "Hello." and the nonce is made of `fixed`.
const COLD: &str = "{ id: cold, kind: cold, requests: 3 }";

/// Tokens that the simulator's chat template adds to one user message.
const TEMPLATE: u64 = 11;

/// Quick, and with room for long documents.
fn quick() -> SimulatorConfig {
    SimulatorConfig {
        prefill_rate: f64::INFINITY,
        decode_rate: f64::INFINITY,
        max_model_len: 262_144,
        ..SimulatorConfig::default()
    }
}

impl Bench {
    fn new() -> Self {
        Self::with(quick())
    }

    fn with(config: SimulatorConfig) -> Self {
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let simulator = Simulator::start(config, anywhere).expect("it starts");
        Self { dir: tempfile::tempdir().expect("a temporary folder"), simulator }
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, content).expect("the file is written");
        path
    }

    /// Runs a plan of one cold stage on the simulator; `endpoint` and `prompt` are lines of theirs.
    fn cold(&self, endpoint: &str, prompt: &str) -> Output {
        self.stages(&self.simulator.base_url(), endpoint, prompt, COLD)
    }

    fn stages(&self, url: &str, endpoint: &str, prompt: &str, stages: &str) -> Output {
        self.run(&format!(
            "version: 1\nname: contexts\nseed: 7\nendpoint: {{ url: \"{url}\"{endpoint} }}\n\
             prompt: {{ max_tokens: 4{prompt} }}\nnonce: fixed\nstages: [{stages}]\n",
        ))
    }

    fn run_dir(&self) -> PathBuf {
        let entries = fs::read_dir(self.dir.path().join("results/contexts")).expect("results");
        let mut folders = entries.map(|entry| entry.expect("readable").path());
        folders.find(|path| path.is_dir() && !path.is_symlink()).expect("a run directory")
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&fs::read(self.run_dir().join(name)).expect("there")).expect("JSON")
    }

    /// The `end` lines of the run.
    fn records(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.run_dir().join("records-000001.jsonl")).expect("a log");
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        lines.filter(|line| line["type"] == "end").collect()
    }

    fn run(&self, plan: &str) -> Output {
        self.file("plan.yaml", plan);
        Command::new(env!("CARGO_BIN_EXE_runner"))
            .args(["run", "plan.yaml"])
            .current_dir(self.dir.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .output()
            .expect("runner starts")
    }

    /// Prompt tokens of every request that arrived.
    fn arrived(&self) -> Vec<u64> {
        self.simulator.truth().iter().map(|truth| truth.prompt_tokens).collect()
    }

    /// Nothing was asked, and no run directory is left behind.
    fn assert_nothing_happened(&self) {
        assert_eq!(self.arrived(), [0_u64; 0]);
        let results = self.dir.path().join("results/contexts");
        let left = fs::read_dir(results).map_or(0, Iterator::count);
        assert_eq!(left, 0, "a run directory was left");
    }
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_file_that_is_no_tokenizer_ends_the_run_before_anything_is_sent() {
    let bench = Bench::new();
    bench.file("tokenizer.json", "{\"version\": \"1.0\"}");
    let output = bench.cold(", tokenizer: tokenizer.json", ", text: Hello.");
    assert_eq!(code(&output), 4, "{}", said(&output));
    let said = said(&output);
    for part in ["`tokenizer`", "plan.yaml:4:", "tokenizer.json", "help: ", "nothing was sent"] {
        assert!(said.contains(part), "{part} is missing: {said}");
    }
    bench.assert_nothing_happened();
}

#[test]
fn a_missing_tokenizer_or_document_is_a_wrong_plan() {
    for (endpoint, context, key) in [
        (", tokenizer: no/tokenizer.json", "", "`tokenizer`"),
        ("", ", context: { from: no/document.txt }", "`context.from`"),
        ("", ", dataset: no/rows.jsonl", "`dataset`"),
    ] {
        let bench = Bench::new();
        let output = bench.cold(endpoint, &format!(", text: Hello.{context}"));
        assert_eq!(code(&output), 3, "{}", said(&output));
        assert!(said(&output).contains(key), "{}", said(&output));
        bench.assert_nothing_happened();
    }
}

#[test]
fn a_document_that_is_no_text_ends_the_run_before_anything_is_sent() {
    for (content, problem) in [(&b"caf\xe9"[..], "UTF-8"), (b" \n", "empty")] {
        let bench = Bench::new();
        bench.file("document.txt", content);
        let output = bench.cold("", ", context: { from: document.txt }, text: Hello.");
        assert_eq!(code(&output), 4, "{}", said(&output));
        let said = said(&output);
        for part in ["`prompt.context.from`", "stage `cold`", "document.txt", problem] {
            assert!(said.contains(part), "{part} is missing: {said}");
        }
        bench.assert_nothing_happened();
    }
}

#[test]
fn a_broken_row_far_down_ends_the_run_before_anything_is_sent() {
    let bench = Bench::new();
    bench.file("rows.jsonl", "{\"q\": \"one\"}\n{\"q\": \"two\"}\n\n{\"q\": \n");
    let output = bench.cold("", ", dataset: rows.jsonl, text: \"{{ row.q }}\"");
    assert_eq!(code(&output), 3, "{}", said(&output));
    let said = said(&output);
    assert!(said.contains("rows.jsonl:4: expected one JSON value"), "{said}");
    assert!(said.contains("E055") && said.contains("plan.yaml:5:35"), "{said}");
    bench.assert_nothing_happened();
}

/// What the request with this index says, by the documented shape of a prompt.
fn content(index: u64, document: &str) -> String {
    format!("{}\n{document}\n\nHello.", nonce("fixed", "cold", index))
}

/// Prompt tokens of such a request by the simulator's tokenizer: four characters each.
fn simulated(document: &str) -> u64 {
    content(0, document).chars().count().div_ceil(4) as u64 + TEMPLATE
}

fn bundled_tokenizer() -> (PathBuf, Tokenizer) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets/tokenizer.json");
    let tokenizer = Tokenizer::from_file(&path).expect("it is one");
    (path, tokenizer)
}

#[test]
fn a_document_leaves_2048_tokens_of_the_given_context_free() {
    let bench = Bench::new();
    let document = "A line about nothing much, again and again.\n".repeat(2_000);
    bench.file("document.txt", &document);
    let output =
        bench.cold("", ", context: { from: document.txt, max_ctx_tokens: 6000 }, text: Hello.");
    assert_eq!(code(&output), 0, "{}", said(&output));
    let cut = &document[..(6_000 - 2_048) * 4];
    assert_eq!(bench.arrived(), [simulated(cut); 3]);
}

#[test]
fn a_document_is_cut_to_the_context_that_the_server_has() {
    let bench = Bench::with(SimulatorConfig { max_model_len: 5_000, ..quick() });
    let document = "A line about nothing much, again and again.\n".repeat(2_000);
    bench.file("document.txt", &document);
    let output = bench.cold("", ", context: { from: document.txt }, text: Hello.");
    assert_eq!(code(&output), 0, "{}", said(&output));
    let cut = &document[..(5_000 - 2_048) * 4];
    assert_eq!(bench.arrived(), [simulated(cut); 3]);
}

#[test]
fn a_plan_that_asks_for_more_context_than_the_server_has_gets_the_servers() {
    let bench = Bench::with(SimulatorConfig { max_model_len: 5_000, ..quick() });
    let document = "A line about nothing much, again and again.\n".repeat(2_000);
    bench.file("document.txt", &document);
    let prompt = ", context: { from: document.txt, max_ctx_tokens: 9000 }, text: Hello.";
    let output = bench.cold("", prompt);
    assert_eq!(code(&output), 0, "{}", said(&output));
    let cut = &document[..(5_000 - 2_048) * 4];
    assert_eq!(bench.arrived(), [simulated(cut); 3]);
}

#[test]
fn a_document_that_fits_arrives_whole() {
    let bench = Bench::new();
    let document = "Short, and \u{17c}\u{f3}\u{142}w.\n";
    bench.file("document.txt", document);
    let prompt = ", context: { from: document.txt, max_ctx_tokens: 100k }, text: Hello.";
    let output = bench.cold("", prompt);
    assert_eq!(code(&output), 0, "{}", said(&output));
    assert_eq!(bench.arrived(), [simulated(document); 3]);
}

#[test]
fn the_bundled_document_needs_no_file() {
    let bench = Bench::new();
    let output = bench.cold("", ", context: { from: bundled }, text: Hello.");
    assert_eq!(code(&output), 0, "{}", said(&output));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets/document.txt");
    let document = fs::read_to_string(path).expect("there");
    assert_eq!(bench.arrived(), [simulated(&document); 3]);
}

#[test]
fn filler_has_its_length_and_tokens_of_all_sources_stand_side_by_side() {
    let (path, tokenizer) = bundled_tokenizer();
    let bench = Bench::new();
    bench.file("tokenizer.json", fs::read(path).expect("there"));
    let output = bench.cold(
        ", tokenizer: tokenizer.json",
        ", context: { from: filler, tokens: 500 }, text: Hello.",
    );
    assert_eq!(code(&output), 0, "{}", said(&output));
    let records = bench.records();
    assert_eq!(records.len(), 3);
    for (at, record) in records.iter().enumerate() {
        let index = at as u64;
        // Each stage has documents of its own.
        let seed = key_of(&[&7_u64.to_le_bytes(), b"cold"]);
        let document = filler(seed, index, 500, &tokenizer);
        assert_eq!(tokenizer.count(&document), 500);
        let content = content(index, &document);
        let input = &record["input_tokens"];
        assert_eq!(input["tokenizer"], tokenizer.count(&content), "{record:#}");
        assert_eq!(input["estimate"], content.len().div_ceil(4), "{record:#}");
        assert_eq!(input["server"], bench.arrived()[at], "{record:#}");
        assert_eq!(input["server"], simulated(&document), "{record:#}");
        let output = &record["output_tokens"];
        assert_eq!((&output["server"], &output["events"]), (&4.into(), &4.into()), "{record:#}");
        assert!(output["tokenizer"].as_u64() >= Some(1), "{record:#}");
    }
}

#[test]
fn the_server_counts_every_prompt_and_every_answer() {
    for tokenizer in ["", ", tokenizer: server"] {
        let bench = Bench::new();
        let prompt = ", context: { from: filler, tokens: 1000 }, text: Hello.";
        let output = bench.stages(
            &bench.simulator.base_url(),
            tokenizer,
            prompt,
            "{ id: cold, kind: cold, requests: 150 }, { id: warm, kind: warm }",
        );
        assert_eq!(code(&output), 0, "{}", said(&output));
        let records = bench.records();
        assert_eq!(records.len(), 300);
        for record in &records {
            let input = &record["input_tokens"];
            let counted = input["tokenizer"].as_u64().expect("the server counted");
            assert_eq!(input["server"], counted + TEMPLATE, "{record:#}");
            // 15 characters of nonce and eight of the question stand around 4,000 of filler.
            assert_eq!(counted, 1_006, "{record:#}");
            let output = &record["output_tokens"];
            assert_eq!((&output["server"], &output["tokenizer"]), (&4.into(), &4.into()));
        }
        let hashes = |records: &[Value]| -> Vec<Value> {
            records.iter().map(|record| record["prompt_hash"].clone()).collect()
        };
        assert_eq!(hashes(&records[..150]), hashes(&records[150..]));
    }
}

/// A server whose tokens are words, that says nothing of usage; its `/tokenize` answers so often.
fn word_server(answers: usize) -> FaultyServer {
    let asked = AtomicUsize::new(0);
    FaultyServer::answers(move |request| {
        let (head, body) = request.split_once("\r\n\r\n").unwrap_or((request, ""));
        match head.split(' ').nth(1) {
            Some("/v1/models") => json(200, "{\"data\":[{\"id\":\"words\"}]}"),
            Some("/tokenize") if asked.fetch_add(1, Ordering::Relaxed) >= answers => {
                json(500, "{\"error\":{\"message\":\"no tokenizer any more\"}}")
            }
            Some("/tokenize") => {
                let body: Value = serde_json::from_str(body).expect("JSON");
                json(200, &format!("{{\"count\":{}}}", words(&body["prompt"])))
            }
            Some("/v1/chat/completions") => stream(concat!(
                "data: {\"choices\":[{\"delta\":{\"content\":\"Well, hello there.\"}}]}\n\n",
                "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
                "data: [DONE]\n\n"
            )),
            _ => json(404, "{}"),
        }
    })
}

fn words(text: &Value) -> u64 {
    text.as_str().expect("a text").split_whitespace().count() as u64
}

/// The prompts of the chats that a server got, and how often it was asked to count after the first.
fn chats(server: &FaultyServer) -> (Vec<Value>, usize) {
    let (mut prompts, mut questions) = (Vec::new(), 0);
    for request in server.requests() {
        let (head, body) = request.split_once("\r\n\r\n").expect("a request");
        if head.starts_with("POST /v1/chat/completions") {
            let body: Value = serde_json::from_str(body).expect("JSON");
            prompts.push(body["messages"][0]["content"].clone());
        } else if head.starts_with("POST /tokenize") && !prompts.is_empty() {
            questions += 1;
        }
    }
    (prompts, questions)
}

#[test]
fn filler_is_sized_by_the_servers_own_tokens() {
    let (bench, server) = (Bench::new(), word_server(usize::MAX));
    let prompt = ", context: { from: filler, tokens: 300 }, text: Hello.";
    let output = bench.stages(server.url().as_str(), ", tokenizer: server", prompt, COLD);
    assert_eq!(code(&output), 0, "{}", said(&output));
    let (prompts, questions) = chats(&server);
    // The nonce, the document, the question.
    assert_eq!(prompts.iter().map(words).collect::<Vec<_>>(), [302; 3]);
    assert_eq!(questions, 3, "only answers are counted once the first request was sent");
    for record in bench.records() {
        assert_eq!(record["input_tokens"]["tokenizer"], 302, "{record:#}");
        assert_eq!(record["input_tokens"]["server"], Value::Null, "{record:#}");
        assert_eq!(record["output_tokens"]["tokenizer"], 3, "{record:#}");
    }
}

#[test]
fn a_tokenizer_that_stops_answering_is_told_once_and_changes_no_run() {
    // Preflight asks twice; then the first document is being cut.
    for answers in [2, 3, 5] {
        let (bench, server) = (Bench::new(), word_server(answers));
        let prompt = ", context: { from: filler, tokens: 300 }, text: Hello.";
        let output = bench.stages(server.url().as_str(), ", tokenizer: server", prompt, COLD);
        assert_eq!(code(&output), 0, "{}", said(&output));
        let notes = bench.json("summary.json")["run"]["notes"].clone();
        let notes: Vec<&str> =
            notes.as_array().expect("notes").iter().filter_map(Value::as_str).collect();
        let told = notes.iter().filter(|note| note.contains("stopped answering")).count();
        assert_eq!(told, 1, "{notes:?}");
        assert!(notes.iter().any(|note| note.contains("no tokenizer any more")), "{notes:?}");
        let records = bench.records();
        assert!(records.iter().all(|record| record["outcome"] == "ok"));
        assert!(records.iter().all(|record| record["input_tokens"]["estimate"].is_u64()));
        assert_eq!(records[2]["input_tokens"]["tokenizer"], Value::Null);
    }
}

#[test]
fn a_server_without_a_tokenizer_is_found_out_before_anything_is_sent() {
    let (bench, server) = (Bench::new(), word_server(0));
    let output = bench.stages(server.url().as_str(), ", tokenizer: server", ", text: Hi.", COLD);
    assert_eq!(code(&output), 4, "{}", said(&output));
    assert!(said(&output).contains("`tokenizer: server`"), "{}", said(&output));
    assert!(said(&output).contains("no tokenizer any more"), "{}", said(&output));
    assert_eq!(chats(&server).0, [Value::Null; 0]);
    // Left to itself, the plan goes by the estimate.
    let output = bench.stages(server.url().as_str(), "", ", text: Hi.", COLD);
    assert_eq!(code(&output), 0, "{}", said(&output));
    assert!(bench.records().iter().all(|it| it["input_tokens"]["tokenizer"] == Value::Null));
}

#[test]
fn under_load_the_server_is_asked_for_nothing_but_the_load() {
    let (bench, server) = (Bench::new(), word_server(usize::MAX));
    let output = bench.stages(
        server.url().as_str(),
        ", tokenizer: server",
        ", context: { from: filler, tokens: 40 }, text: Hello.",
        "{ id: load, kind: load, rate: 400, requests: 200, max_lag: 10s }",
    );
    assert_eq!(code(&output), 0, "{}", said(&output));
    let (prompts, questions) = chats(&server);
    assert_eq!(prompts.len(), 200);
    assert!(questions <= 1, "{questions} questions while requests were measured");
    let counted =
        bench.records().iter().filter(|it| it["input_tokens"]["tokenizer"].is_u64()).count();
    // Prompts are handed over 16 at a time.
    assert!(
        (128..=160).contains(&counted),
        "{counted} prompts were counted before the first was due"
    );
}

#[test]
fn a_simulator_by_its_url_is_called_simulated_everywhere() {
    let bench = Bench::new();
    let mut child = Command::new(env!("CARGO_BIN_EXE_runner"))
        .args(["simulate", "--port", "0"])
        .stderr(Stdio::piped())
        .spawn()
        .expect("runner starts");
    let mut first = String::new();
    BufReader::new(child.stderr.take().expect("piped")).read_line(&mut first).expect("a line");
    let url = first.split_whitespace().find(|word| word.starts_with("http://")).map(str::to_owned);
    let url = url.unwrap_or_else(|| panic!("no address in {first:?}"));
    let output = bench.stages(&url, "", ", text: Hello.", COLD);
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    assert_eq!(code(&output), 0, "{}", said(&output));
    assert_eq!(bench.json("manifest.json")["simulated"], true);
    assert_eq!(bench.json("summary.json")["run"]["simulated"], true);
    let console = String::from_utf8_lossy(&output.stdout);
    assert!(console.contains("SIMULATED"), "{console}");
}

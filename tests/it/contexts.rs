//! Documents, datasets and tokenizers from the plan to the server: what is read before a run, how
//! long a document is when it arrives, and how its tokens are counted.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Output};

use runner::plan::SimulatorConfig;
use runner::simulator::Simulator;

/// A folder with a plan and its files, and a simulator that keeps its truth for the test.
struct Bench {
    dir: tempfile::TempDir,
    simulator: Simulator,
}

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
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let simulator = Simulator::start(quick(), anywhere).expect("it starts");
        Self { dir: tempfile::tempdir().expect("a temporary folder"), simulator }
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, content).expect("the file is written");
        path
    }

    /// Runs a plan of one cold stage on the simulator; `endpoint` and `prompt` are lines of theirs.
    fn cold(&self, endpoint: &str, prompt: &str) -> Output {
        self.run(&format!(
            "version: 1\nname: contexts\nseed: 7\nendpoint: {{ url: \"{}\"{endpoint} }}\n\
             prompt: {{ max_tokens: 4{prompt} }}\n\
             stages: [{{ id: cold, kind: cold, requests: 3 }}]\n",
            self.simulator.base_url(),
        ))
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

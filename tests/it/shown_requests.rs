//! `runner plan --request` shows what a run then sends, byte for byte, whatever kind of stage sends it.

use serde_json::Value;

use crate::faulty_server::FaultyServer;
use crate::sandbox::{Sandbox, code, stderr};
use crate::token_accounts::server;

const STAGES: [(&str, &str); 6] = [
    ("cold", "{ id: cold, kind: cold, requests: 2, concurrency: 1 }"),
    ("steady", "{ id: steady, kind: load, concurrency: 1, requests: 2 }"),
    ("ladder", "{ id: ladder, kind: qps_ladder, rates: [20, 40], step: 100ms }"),
    ("ramp", "{ id: ramp, kind: concurrency_ramp, concurrency: \"1,2\", requests: 2 }"),
    (
        "find",
        "{ id: find, kind: search, over: rate, from: 20, to: 40, step: 100ms, max_probes: 1, \
         thresholds: [error_rate <= 1%] }",
    ),
    ("talk", "{ id: talk, kind: conversation, prompt: { dataset: rows.jsonl, unique: request } }"),
];

#[test]
fn what_is_shown_is_what_is_sent() {
    let server = server(3);
    let sandbox = Sandbox::new();
    let row =
        "{\"session\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":\"Hello there.\"}]}\n";
    std::fs::write(sandbox.dir.path().join("rows.jsonl"), row).expect("rows");
    for (id, stage) in STAGES {
        let path = plan(&sandbox, &server, stage);
        let ran = sandbox.run(&["run", &path]);
        // How the run is judged is up to the machine.
        assert!(!matches!(code(&ran), 1..=4), "{id}: {}", stderr(&ran));
        shown_as_sent(&sandbox, &server, &path, (id, 0));
    }
}

#[test]
fn a_repeated_prompt_is_shown_as_it_is_sent() {
    let server = server(3);
    let sandbox = Sandbox::new();
    let stage = "{ id: again, kind: load, concurrency: 1, requests: 12, repeat_ratio: 0.5 }";
    let path = plan(&sandbox, &server, stage);
    let ran = sandbox.run(&["run", &path]);
    assert!(!matches!(code(&ran), 1..=4), "{}", stderr(&ran));
    let said = |index: u64| {
        shown_as_sent(&sandbox, &server, &path, ("again", index))["messages"].to_string()
    };
    let said: Vec<String> = (0..12).map(said).collect();
    let again = (1..12).filter(|&index| said[..index].contains(&said[index])).count();
    assert_eq!(again, 6, "half of them say again what an earlier one said: {said:?}");
}

/// A plan of one stage.
fn plan(sandbox: &Sandbox, server: &FaultyServer, stage: &str) -> String {
    let path = sandbox.plan(&format!(
        "version: 1\nnonce: fixed\nseed: 4\n\
         endpoint: {{ url: \"http://{}/v1\", metrics: off, tokenizer: estimate }}\n\
         prompt: {{ text: \"Question {{{{ i }}}} of {{{{ stage }}}}.\", max_tokens: 8 }}\n\
         stages: [{stage}]\n",
        server.address()
    ));
    path.to_str().expect("utf-8").to_owned()
}

/// Compares what is shown of a stage's request with what its server was sent; gives its body.
fn shown_as_sent(
    sandbox: &Sandbox,
    server: &FaultyServer,
    path: &str,
    (id, index): (&str, u64),
) -> Value {
    let shown = sandbox.run(&["plan", path, "--request", id, "--index", &index.to_string()]);
    assert_eq!(code(&shown), 0, "{id}: {}", stderr(&shown));
    let text = String::from_utf8(shown.stdout).expect("utf-8");
    let (head, body) = text.split_once("\n\n").expect("a head and a body");
    let wanted: Value = serde_json::from_str(body).expect("JSON");
    let name = head.lines().find(|line| line.starts_with("x-request-id: ")).expect("an id");
    let sent = server.requests().into_iter().find(|request| {
        request.to_ascii_lowercase().contains(&format!("{}\r\n", name.to_ascii_lowercase()))
    });
    let sent = sent.unwrap_or_else(|| panic!("{id}: no request has {name}"));
    let (_, body) = sent.split_once("\r\n\r\n").expect("a body");
    let mut sent: Value = serde_json::from_str(body).expect("JSON");
    // The only thing that the server had to say.
    assert_eq!(sent["model"], "m");
    sent["model"] = wanted["model"].clone();
    assert_eq!(sent, wanted, "{id}");
    sent
}

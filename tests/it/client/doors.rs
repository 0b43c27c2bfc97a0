//! What a whole run asks of a server beside its requests: what the API or an earlier answer says is
//! there, and nothing else.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use runner::plan::{Api, SimulatorConfig};
use runner::simulator::Simulator;

use crate::faulty_server::{FaultyServer, json};
use crate::sandbox::Sandbox;

/// What is asked of the simulator goes to it, and its answer loses the name of the server; other
/// questions are not known but for a list of one model, owned by `owner`.
fn hidden(simulator: SocketAddr, owner: &str) -> FaultyServer {
    let models = format!(r#"{{"data":[{{"id":"simulated-8b","owned_by":"{owner}"}}]}}"#);
    FaultyServer::answers(move |request| {
        let line = line_of(request);
        if line == "GET /v1/models" {
            return json(200, &models);
        }
        if !line.starts_with("POST") || DOORS.contains(&line.as_str()) {
            return json(404, "{}");
        }
        let mut stream = TcpStream::connect(simulator).expect("the simulator");
        let request = request.replacen("\r\n", "\r\nconnection: close\r\n", 1);
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("answered");
        let name = b"server: runner-simulator\r\n";
        let at = answer.windows(name.len()).position(|it| it == name).expect("a named server");
        answer.drain(at..at + name.len());
        answer
    })
}

/// Posts beside the requests.
const DOORS: [&str; 4] = [
    "POST /tokenize",
    "POST /reset_prefix_cache",
    "POST /flush_cache",
    "POST /slots/0?action=erase",
];

/// `METHOD PATH` of a request.
fn line_of(request: &str) -> String {
    request.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// Every distinct question of a run that proves caches, flushes and loads.
fn asked(api: &str, owner: &str) -> BTreeSet<String> {
    let config = SimulatorConfig { prefill_rate: 1e6, decode_rate: 1e4, ..Default::default() };
    let simulator = Simulator::start(config, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let server = hidden(simulator.address(), owner);
    let path = if api == "json" { "generate" } else { "v1" };
    let sandbox = Sandbox::new();
    sandbox.plan(&format!(
        "version: 1\n\
         endpoint: {{ url: \"http://{}/{path}\", api: {api}, model: simulated-8b }}\n\
         prompt: {{ text: Say so., max_tokens: 2 }}\n\
         stages:\n  - {{ id: cold, kind: cold, requests: 2 }}\n  - {{ id: warm, kind: warm }}\n  \
         - {{ id: flush, kind: flush, tokens: 2k, retries: 1 }}\n  \
         - {{ id: load, kind: load, concurrency: 2, requests: 4, always: true }}\n",
        server.address()
    ));
    let output = sandbox.run(&["run", "plan.yaml"]);
    let asked: BTreeSet<String> = server.requests().iter().map(|it| line_of(it)).collect();
    let records = crate::sandbox::records(&sandbox.run_dir());
    let fine = records.iter().filter(|it| it["stage"] == "load" && it["outcome"] == "ok");
    assert_eq!(fine.count(), 4, "{api}: {}", crate::sandbox::stderr(&output));
    asked
}

fn set(lines: &[&str]) -> BTreeSet<String> {
    lines.iter().map(|&line| line.to_owned()).collect()
}

#[test]
fn nothing_is_asked_of_a_server_that_is_not_known_to_have_it() {
    for (api, expected) in [
        ("openai-chat", ["GET /v1/models", "POST /v1/chat/completions"]),
        ("openai-completions", ["GET /v1/models", "POST /v1/completions"]),
        ("openai-responses", ["GET /v1/models", "POST /v1/responses"]),
        ("anthropic-messages", ["GET /v1/models", "POST /v1/messages"]),
        ("ollama-chat", ["GET /api/tags", "POST /api/chat"]),
        ("ollama-generate", ["GET /api/tags", "POST /api/generate"]),
        ("tgi", ["GET /info", "POST /generate_stream"]),
        ("triton", ["GET /v2", "POST /v2/models/simulated-8b/generate_stream"]),
        ("sglang", ["GET /v1/models", "POST /generate"]),
        ("llamacpp-completion", ["GET /v1/models", "POST /completion"]),
        ("json", ["GET /generate", "POST /generate"]),
    ] {
        assert!(Api::NAMES.contains(&api));
        assert_eq!(asked(api, "a stranger"), set(&expected), "{api}");
    }
}

#[test]
fn a_server_that_says_who_it_is_is_asked_what_its_kind_has() {
    let common = ["GET /v1/models", "POST /v1/chat/completions"];
    let doors = ["GET /metrics", "POST /tokenize"];
    for (owner, own, has_doors) in [
        ("vllm", &["GET /version", "POST /reset_prefix_cache"][..], true),
        ("sglang", &["GET /server_info", "GET /get_server_info", "POST /flush_cache"], true),
        ("llamacpp", &["GET /props", "GET /slots", "POST /slots/0?action=erase"], true),
        ("library", &["GET /api/version", "POST /api/generate"], false),
        // TGI lists its model as its own owner; this server then denies to be one.
        ("simulated-8b", &["GET /info"], false),
    ] {
        let expected = [&common[..], own, if has_doors { &doors } else { &[] }].concat();
        assert_eq!(asked("openai-chat", owner), set(&expected), "{owner}");
    }
}

#[test]
fn a_body_that_names_a_model_has_the_first_that_the_server_lists() {
    let server = FaultyServer::answers(|request| match line_of(request).as_str() {
        "GET /v1/models" => json(200, r#"{"data":[{"id":"reef"},{"id":"moor"}]}"#),
        "POST /v1/embeddings" => json(200, r#"{"text":"words","usage":{"prompt_tokens":3}}"#),
        _ => json(404, "{}"),
    });
    let sandbox = Sandbox::new();
    sandbox.plan(&format!(
        "version: 1\nendpoint:\n  url: {}\n  api: json\n  json: {{ path: /embeddings, body: \
         {{ model: \"{{{{ model }}}}\", input: \"{{{{ prompt }}}}\" }} }}\nprompt: Say so.\n\
         stages: [ {{ kind: load, concurrency: 1, requests: 1 }} ]\n",
        server.url()
    ));
    let output = sandbox.run(&["run", "plan.yaml"]);
    assert_eq!(crate::sandbox::code(&output), 0, "{}", crate::sandbox::stderr(&output));
    let asked: Vec<String> = server.requests();
    assert_eq!(line_of(&asked[0]), "GET /v1/models");
    assert!(asked[1].contains(r#""model":"reef""#) && asked.len() == 2, "{asked:?}");
}

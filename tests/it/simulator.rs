//! The simulator over real sockets, by a client that knows nothing but TCP.

mod faults;
mod raw_client;
mod truth;

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use runner::plan::SimulatorConfig;
use runner::simulator::{Simulator, SimulatorError, TruthOutcome};
use serde_json::{Value, json};

use raw_client::Client;

const ANYWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// Long enough for a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(30);

/// No waiting at all, so that tests are quick.
fn fast() -> SimulatorConfig {
    SimulatorConfig {
        prefill_rate: f64::INFINITY,
        decode_rate: f64::INFINITY,
        overhead: Duration::ZERO,
        jitter: 0.0,
        ..SimulatorConfig::default()
    }
}

/// One token every `millis`.
fn paced(millis: f64) -> SimulatorConfig {
    SimulatorConfig { decode_rate: 1_000.0 / millis, ..fast() }
}

fn start(config: SimulatorConfig) -> Simulator {
    Simulator::start(config, ANYWHERE).expect("a loopback port is free")
}

fn question(text: &str, max_tokens: u64) -> Value {
    json!({
        "model": "simulated-8b", "messages": [{"role": "user", "content": text}],
        "max_tokens": max_tokens, "stream": true, "stream_options": {"include_usage": true},
    })
}

/// A text of so many tokens.
fn text(name: &str, tokens: usize) -> String {
    let mut text = format!("{name}: ");
    while text.len() < 4 * tokens {
        text.push_str("words and more ");
    }
    text.truncate(4 * tokens);
    text
}

fn metric(client: &mut Client, name: &str) -> u64 {
    let response = client.get("/metrics");
    assert!(response.head.contains("content-type: text/plain; version=0.0.4"));
    let body = String::from_utf8(response.body).unwrap();
    assert!(body.contains(&format!("# TYPE vllm:{name} ")), "{name} has no type line");
    body.lines()
        .filter(|line| line.starts_with(&format!("vllm:{name}{{")))
        .map(|line| line.strip_suffix(".0").expect("a whole number"))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().expect("a number"))
        .sum()
}

fn wait_for(mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "it never happened");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_stream_has_the_shape_of_vllms() {
    let simulator = start(fast());
    let mut client = Client::new(&simulator);
    let response = client.chat(&question("Hello there", 3));
    assert_eq!(response.status, 200);
    assert!(response.head.contains("content-type: text/event-stream"));
    assert!(response.complete);
    let events = response.events();
    assert_eq!(events.len(), 6, "role, three tokens, usage, end");
    assert_eq!(events[5], "[DONE]");
    let events: Vec<Value> =
        events[..5].iter().map(|event| serde_json::from_str(event).unwrap()).collect();
    assert!(events.iter().all(|event| event["object"] == "chat.completion.chunk"));
    assert!(events.iter().all(|event| event["id"] == events[0]["id"]));
    assert_eq!(events[0]["choices"][0]["delta"], json!({"role": "assistant", "content": ""}));
    assert_eq!(events[2]["choices"][0]["finish_reason"], Value::Null);
    assert_eq!(events[3]["choices"][0]["finish_reason"], "length");
    // 8 of the preamble, 2 of marks, 3 of text, 1 where the answer starts.
    assert_eq!(
        response.usage(),
        json!({
            "prompt_tokens": 14, "total_tokens": 17, "completion_tokens": 3,
            "prompt_tokens_details": {"cached_tokens": 0},
        })
    );
}

#[test]
fn the_whole_answer_says_what_the_stream_says() {
    let simulator = start(fast());
    let mut client = Client::new(&simulator);
    let mut body = question("Tell me something", 20);
    let streamed = client.chat(&body);
    body["stream"] = false.into();
    let whole = client.chat(&body).json();
    let choice = &whole["choices"][0];
    assert_eq!(choice["message"]["content"], streamed.content());
    assert_eq!(choice["finish_reason"], "length");
    assert_eq!(whole["usage"]["completion_tokens"], 20);
    assert_eq!(whole["object"], "chat.completion");
}

#[test]
fn length_follows_the_request() {
    let simulator = start(SimulatorConfig { max_model_len: 500, ..fast() });
    let mut client = Client::new(&simulator);
    let mut tokens = |changes: Value| {
        let mut body = json!({"messages": [{"role": "user", "content": "Hi"}]});
        for (key, value) in changes.as_object().unwrap() {
            body[key] = value.clone();
        }
        let answer = client.chat(&body).json();
        (
            answer["usage"]["completion_tokens"].as_u64().unwrap(),
            answer["choices"][0]["finish_reason"].as_str().unwrap().to_owned(),
        )
    };
    assert_eq!(tokens(json!({})), (64, "stop".into()));
    assert_eq!(tokens(json!({"max_tokens": 5})), (5, "length".into()));
    assert_eq!(tokens(json!({"max_completion_tokens": 6, "max_tokens": 5})), (6, "length".into()));
    assert_eq!(tokens(json!({"max_tokens": 200})), (64, "stop".into()));
    assert_eq!(tokens(json!({"max_tokens": 200, "min_tokens": 90})), (90, "stop".into()));
    assert_eq!(tokens(json!({"max_tokens": 200, "ignore_eos": true})), (200, "length".into()));
    assert_eq!(tokens(json!({"ignore_eos": true})), (500 - 12, "length".into()));
}

#[test]
fn the_cache_is_cold_warm_half_warm_and_reset() {
    // Room for 100 blocks of 16.
    let simulator = start(SimulatorConfig { cache_tokens: 1_600, ..fast() });
    let mut client = Client::new(&simulator);
    let mut cached = |name: &str, tokens: usize| {
        let usage = client.chat(&question(&text(name, tokens), 1)).usage();
        let prompt = usage["prompt_tokens"].as_u64().unwrap();
        assert_eq!(prompt, tokens as u64 + 11);
        usage["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap()
    };
    // 811 tokens: 50 whole blocks.
    assert_eq!(cached("first", 800), 0);
    assert_eq!(cached("first", 800), 800);
    // 70 blocks of another leave 30 of the first.
    assert_eq!(cached("other", 1_120), 0);
    assert_eq!(cached("first", 800), 30 * 16);
    let reply = client.ask("POST", "/reset_prefix_cache", "");
    assert_eq!((reply.status, reply.json()), (200, json!({"success": true})));
    let mut cached = |name: &str| {
        client.chat(&question(&text(name, 800), 1)).usage()["prompt_tokens_details"]
            ["cached_tokens"]
            .clone()
    };
    assert_eq!(cached("first"), 0);
    assert_eq!(metric(&mut client, "prefix_cache_hits_total"), 800 + 480);
    assert_eq!(metric(&mut client, "prefix_cache_queries_total"), 4 * 811 + 1_131);
    assert_eq!(metric(&mut client, "cache_config_info"), 1);
    let page = String::from_utf8(client.get("/metrics").body).unwrap();
    assert!(page.contains(",block_size=\"16\"} 1.0"), "{page}");
    assert_eq!(metric(&mut client, "prompt_tokens_total"), 4 * 811 + 1_131);
    assert_eq!(metric(&mut client, "generation_tokens_total"), 5);
    assert_eq!(metric(&mut client, "request_success_total"), 5);
    assert_eq!(metric(&mut client, "num_requests_running"), 0);
}

#[test]
fn a_warm_prompt_is_answered_sooner_than_a_cold_one() {
    // 2,000 tokens take 200 ms cold, and warm nothing worth mentioning.
    let simulator = start(SimulatorConfig { prefill_rate: 10_000.0, ..fast() });
    let mut client = Client::new(&simulator);
    for _ in 0..2 {
        client.chat(&question(&text("a", 2_000), 1));
    }
    let after: Vec<u64> =
        simulator.truth().iter().map(|truth| truth.token_ns[0] - truth.read_ns).collect();
    assert!(after[0] >= 200_000_000, "{after:?}");
    assert!(after[1] < after[0] / 2, "{after:?}");
}

#[test]
fn cached_tokens_and_the_reset_can_be_switched_off() {
    let simulator =
        start(SimulatorConfig { report_cached_tokens: false, reset_prefix_cache: false, ..fast() });
    let mut client = Client::new(&simulator);
    let usage = client.chat(&question("Hi", 1)).usage();
    assert_eq!(usage["prompt_tokens_details"], Value::Null);
    assert_eq!(client.ask("POST", "/reset_prefix_cache", "").status, 404);
}

#[test]
fn the_side_doors_answer_like_vllms() {
    let simulator = start(fast());
    assert_eq!(simulator.base_url(), format!("http://{}/v1", simulator.address()));
    let mut client = Client::new(&simulator);
    let models = client.get("/v1/models").json();
    assert_eq!(models["data"][0]["id"], "simulated-8b");
    assert_eq!(models["data"][0]["max_model_len"], 131_072);
    assert!(client.get("/version").json()["version"].as_str().unwrap().contains("simulator"));
    assert_eq!(client.get("/health").status, 200);
    assert_eq!(client.get("/nothing").status, 404);
    assert_eq!(client.get("/v1/chat/completions").status, 405);

    let counted = client.ask("POST", "/tokenize", r#"{"prompt": "nine char"}"#).json();
    assert_eq!((&counted["count"], &counted["max_model_len"]), (&json!(3), &json!(131_072)));
    assert_eq!(counted["tokens"].as_array().unwrap().len(), 3);
    let body = json!({"model": "simulated-8b", "messages": question("Hello there", 1)["messages"]});
    assert_eq!(client.ask("POST", "/tokenize", &body.to_string()).json()["count"], 14);
    let body = r#"{"model": "other", "prompt": "x"}"#;
    assert_eq!(client.ask("POST", "/tokenize", body).status, 404);
}

#[test]
fn wrong_requests_are_refused_and_get_no_number() {
    let simulator =
        start(SimulatorConfig { api_key: Some("right".into()), max_model_len: 100, ..fast() });
    let mut client = Client::new(&simulator);
    let mut ask = |key: &str, body: &Value| {
        client.send(
            "POST",
            "/v1/chat/completions",
            &format!("authorization: Bearer {key}\r\n"),
            &body.to_string(),
        );
        let response = client.receive();
        let error =
            if response.status == 200 { Value::Null } else { response.json()["error"].clone() };
        (response.status, error)
    };
    let (status, error) = ask("wrong", &question("Hi", 1));
    assert_eq!((status, &error["code"]), (401, &json!("invalid_api_key")));
    let mut body = question("Hi", 1);
    body["model"] = "other".into();
    let (status, error) = ask("right", &body);
    assert_eq!(status, 404);
    assert_eq!(error["message"], "The model `other` does not exist.");
    for (body, says) in [
        (question(&text("long", 200), 1), "maximum context length is 100 tokens"),
        (question("Hi", 99), "maximum context length"),
        (question("Hi", 0), "max_tokens must be at least 1"),
        (json!({"messages": []}), "must not be empty"),
        (json!({"prompt": "Hi"}), "messages"),
        (json!("nonsense"), "invalid type"),
    ] {
        let (status, error) = ask("right", &body);
        assert_eq!((status, &error["type"]), (400, &json!("BadRequestError")));
        assert!(error["message"].as_str().unwrap().contains(says), "{error}");
    }
    assert!(simulator.truth().is_empty());
    assert_eq!(ask("right", &question("Hi", 1)).0, 200);
    assert_eq!(simulator.truth().len(), 1);
    // The side doors are open, as vLLM's are.
    assert_eq!(Client::new(&simulator).get("/v1/models").status, 401);
    assert_eq!(Client::new(&simulator).get("/metrics").status, 200);
}

#[test]
fn beyond_slots_and_queue_the_answer_is_503() {
    let simulator = start(SimulatorConfig { max_num_seqs: 1, max_queue: 1, ..paced(50.0) });
    let mut clients: Vec<Client> = (0..3).map(|_| Client::new(&simulator)).collect();
    let mut watcher = Client::new(&simulator);
    for (number, client) in clients.iter_mut().enumerate() {
        client.send("POST", "/v1/chat/completions", "", &question("Hi", 10).to_string());
        wait_for(|| simulator.truth().len() == number + 1);
    }
    assert_eq!(metric(&mut watcher, "num_requests_running"), 1);
    assert_eq!(metric(&mut watcher, "num_requests_waiting"), 1);
    assert_eq!(
        watcher.ask("POST", "/reset_prefix_cache", "").json(),
        json!({"success": false}),
        "not while requests run"
    );
    let refused = clients[2].receive();
    assert_eq!((refused.status, refused.json()["error"]["code"].clone()), (503, json!(503)));
    assert_eq!(clients[0].receive().content().len(), 40);
    assert_eq!(clients[1].receive().content().len(), 40);
    let outcomes: Vec<_> = simulator.truth().iter().map(|truth| truth.outcome).collect();
    assert_eq!(
        outcomes,
        [TruthOutcome::Complete, TruthOutcome::Complete, TruthOutcome::Status(503)]
    );
}

#[test]
fn a_client_that_leaves_frees_its_slot() {
    let simulator = start(SimulatorConfig { max_num_seqs: 1, ..paced(20.0) });
    let mut leaver = Client::new(&simulator);
    // It would run for more than half an hour.
    let mut endless = question("Hi", 100_000);
    endless["ignore_eos"] = true.into();
    leaver.send("POST", "/v1/chat/completions", "", &endless.to_string());
    assert_eq!(leaver.head().0, 200);
    let mut next = Client::new(&simulator);
    next.send("POST", "/v1/chat/completions", "", &question("Hi", 1).to_string());
    drop(leaver);
    assert_eq!(next.receive().status, 200);
    assert_eq!(simulator.truth()[0].outcome, TruthOutcome::ClientLeft);
    assert_eq!(metric(&mut next, "num_requests_running"), 0);
}

#[test]
fn the_same_seed_tells_the_same_story() {
    let story = |seed| {
        let simulator = start(SimulatorConfig { seed, ..fast() });
        let mut client = Client::new(&simulator);
        (0..5)
            .map(|number| client.chat(&question(&format!("Question {number}"), 9)).content())
            .collect::<Vec<_>>()
    };
    assert_eq!(story(1), story(1));
    assert_ne!(story(1), story(2));
}

#[test]
fn a_thousand_requests_in_a_row_are_quick() {
    let simulator = start(fast());
    let mut client = Client::new(&simulator);
    let body = question("Hi", 20);
    let begin = Instant::now();
    for _ in 0..1_000 {
        assert!(client.chat(&body).complete);
    }
    let took = begin.elapsed();
    eprintln!("1000 requests of 20 events: {took:?}");
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[test]
fn dropping_it_does_not_wait_for_what_goes_on() {
    let simulator = start(paced(20.0));
    let address = simulator.address();
    let mut endless = question("Hi", 100_000);
    endless["ignore_eos"] = true.into();
    let mut clients: Vec<Client> = (0..20).map(|_| Client::new(&simulator)).collect();
    for client in &mut clients {
        client.send("POST", "/v1/chat/completions", "", &endless.to_string());
        assert_eq!(client.head().0, 200);
    }
    let begin = Instant::now();
    drop(simulator);
    // The answers would take an hour; a second is promised, and the others are for busy cores.
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    assert!(TcpStream::connect(address).is_err());
    for client in &mut clients {
        assert!(!client.receive_rest());
    }
}

/// In an asynchronous caller, too, where dropping a runtime would panic.
#[tokio::test]
async fn a_taken_port_is_an_error_that_names_it() {
    let first = start(fast());
    let error = Simulator::start(fast(), first.address()).unwrap_err();
    assert!(matches!(error, SimulatorError::Bind { .. }));
    assert!(error.to_string().contains(&first.address().to_string()), "{error}");
}

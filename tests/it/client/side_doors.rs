//! Preflight, cache control and `/tokenize`, against servers that answer by path.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{client, endpoint, limited};
use crate::faulty_server::{FaultyServer, Step, answer, json};
use runner::client::Client;
use runner::client::account::Account;
use runner::client::flush::{Idle, reset, wait_until_idle};
use runner::client::probe::{PreflightError, Server, ServerKind, probe};
use runner::client::tokenize::tokenize;
use runner::plan::Endpoint;
use runner::record::RunClock;

/// A server with these routes; `METHOD PATH` → status and JSON. Everything else is 404.
fn routes(routes: &[(&'static str, u16, &'static str)]) -> FaultyServer {
    let routes = routes.to_vec();
    FaultyServer::answers(move |request| {
        let line = request.lines().next().unwrap_or_default();
        let found = routes.iter().find(|(route, ..)| line == format!("{route} HTTP/1.1"));
        found.map_or_else(|| json(404, "{\"detail\":\"Not Found\"}"), |it| json(it.1, it.2))
    })
}

const VLLM: (&str, u16, &str) = (
    "GET /v1/models",
    200,
    "{\"data\":[{\"id\":\"llama-8b\",\"owned_by\":\"vllm\",\"max_model_len\":8192},{\"id\":\"qwen\"}]}",
);

async fn check(endpoint: &Endpoint) -> Result<Server, PreflightError> {
    let runner::plan::Target::Url(url) = endpoint.target.clone() else { panic!("no url") };
    let client = Client::new(endpoint, &url, RunClock::start_now())?;
    probe(&client, (endpoint.model.as_deref(), endpoint.check_model), &CancellationToken::new())
        .await
}

async fn fails(endpoint: &Endpoint, what: &str, help: &str) {
    let error = check(endpoint).await.unwrap_err();
    assert!(error.what.contains(what), "{what}: {error:?}");
    assert!(error.help.contains(help), "{help}: {error:?}");
}

fn asking(server: &FaultyServer, model: &str) -> Endpoint {
    Endpoint { model: Some(model.into()), ..endpoint(&server.url()) }
}

#[tokio::test]
async fn vllm_is_recognised_with_version_context_and_tokenizer() {
    let server = routes(&[
        VLLM,
        ("GET /version", 200, "{\"version\":\"0.32.0\"}"),
        ("POST /tokenize", 200, "{\"count\":2,\"tokens\":[1,2]}"),
    ]);
    let found = check(&endpoint(&server.url())).await.unwrap();
    assert_eq!(found.kind, ServerKind::Vllm);
    assert_eq!((found.version.as_deref(), found.model.as_str()), (Some("0.32.0"), "llama-8b"));
    assert_eq!((found.context_tokens, found.slots), (Some(8192), None));
    assert_eq!(found.models, ["llama-8b", "qwen"]);
    let client = client(&endpoint(&server.url()));
    assert_eq!(tokenize(&client, &found, "hello world").await, Ok(2));
    let asked = server.requests().pop().unwrap();
    assert!(
        asked.contains("\"prompt\":\"hello world\"") && asked.contains("\"model\":\"llama-8b\"")
    );
    assert_eq!(check(&asking(&server, "qwen")).await.unwrap().context_tokens, None);
}

#[tokio::test]
async fn llama_cpp_is_recognised_with_slots_and_takes_any_model_with_a_warning() {
    let server = routes(&[
        (
            "GET /v1/models",
            200,
            "{\"data\":[{\"id\":\"smol\",\"owned_by\":\"llamacpp\",\"meta\":{\"n_ctx\":16384}}]}",
        ),
        (
            "GET /props",
            200,
            "{\"total_slots\":4,\"build_info\":\"b10434\",\"default_generation_settings\":{\"n_ctx\":4096}}",
        ),
        ("POST /tokenize", 200, "{\"tokens\":[28120,905]}"),
    ]);
    let found = check(&asking(&server, "other")).await.unwrap();
    assert_eq!((found.kind, found.model.as_str()), (ServerKind::LlamaCpp, "other"));
    assert_eq!((found.context_tokens, found.slots), (Some(4096), Some(4)));
    assert_eq!(found.version.as_deref(), Some("b10434"));
    assert!(found.warnings[0].contains("smol"), "{:?}", found.warnings);
}

#[tokio::test]
async fn sglang_and_the_simulator_are_recognised() {
    let server =
        routes(&[("GET /v1/models", 200, "{\"data\":[{\"id\":\"m\",\"owned_by\":\"sglang\"}]}")]);
    assert_eq!(check(&endpoint(&server.url())).await.unwrap().kind, ServerKind::Sglang);
    let server = routes(&[(
        "GET /v1/models",
        200,
        "{\"data\":[{\"id\":\"m\",\"owned_by\":\"runner-simulator\"}]}",
    )]);
    let found = check(&endpoint(&server.url())).await.unwrap();
    assert_eq!(found.kind, ServerKind::Simulator);
}

#[tokio::test]
async fn preflight_says_what_is_wrong_and_how_to_put_it_right() {
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let dead = url::Url::parse(&format!("http://{dead}/v1")).unwrap();
    fails(&endpoint(&dead), "no server at http://127.0.0.1:", "start the server").await;
    let name = url::Url::parse("http://no-such-host.invalid/v1").unwrap();
    fails(&endpoint(&name), "does not resolve", "correct the url").await;
    let server = routes(&[("GET /v1/models", 401, "{\"error\":{\"message\":\"Invalid key\"}}")]);
    fails(&endpoint(&server.url()), "Invalid key", "api_key").await;
    let server = routes(&[VLLM]);
    fails(&asking(&server, "lama-8b"), "no model `lama-8b`", "did you mean `llama-8b`").await;
    let mut url = server.url();
    url.set_path("");
    fails(&endpoint(&url), "HTTP 404", &format!("did you mean {} ?", server.url())).await;
    let server = routes(&[("GET /v1/models", 503, "{\"error\":{\"message\":\"Loading model\"}}")]);
    fails(&endpoint(&server.url()), "Loading model", "wait until").await;
    let server = FaultyServer::answers(|_| answer(301, "Location: https://else/v1\r\n", ""));
    fails(&endpoint(&server.url()), "redirects to https://else/v1", "url").await;
    let server = routes(&[("GET /v1/models", 200, "{\"data\":[]}")]);
    fails(&endpoint(&server.url()), "lists no models", "load a model").await;
    let server = FaultyServer::answers(|_| answer(200, "Content-Type: text/html\r\n", "<html>"));
    fails(&endpoint(&server.url()), "no list of models", "set the endpoint's `model`").await;
    let server = FaultyServer::script(vec![Step::Send(b"SSH-2.0-x\r\n".to_vec())]);
    fails(&endpoint(&server.url()), "does not answer as an HTTP server", "port").await;
}

#[tokio::test]
async fn a_server_without_a_list_of_models_is_fine_when_the_plan_names_one() {
    let server = routes(&[]);
    fails(&endpoint(&server.url()), "lists no models", "set the endpoint's `model`").await;
    let found = check(&asking(&server, "m")).await.unwrap();
    assert_eq!((found.model.as_str(), found.kind), ("m", ServerKind::Other));
    assert_eq!(found.warnings.len(), 1, "{:?}", found.warnings);
}

#[tokio::test]
async fn preflight_ends_when_a_server_never_answers() {
    let server = FaultyServer::script(vec![Step::Read, Step::Stall]);
    let client = client(&limited(&server.url(), |_| ()));
    let cancel = CancellationToken::new();
    let stop = cancel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(super::SHORT).await;
        stop.cancel();
    });
    let start = std::time::Instant::now();
    let error = probe(&client, (None, true), &cancel).await.unwrap_err();
    assert_eq!(error.what, "interrupted");
    assert!(start.elapsed() < Duration::from_secs(5));
}

fn known(kind: ServerKind) -> Server {
    Server {
        kind,
        version: None,
        model: "m".into(),
        models: vec![],
        context_tokens: None,
        model_details: std::collections::BTreeMap::new(),
        slots: Some(2),
        warnings: vec![],
    }
}

#[tokio::test]
async fn a_question_on_a_connection_that_was_just_closed_is_put_again() {
    let tokens = || Step::Send(json(200, "{\"tokens\":[7,8,9]}"));
    let server = FaultyServer::scripts(vec![
        vec![Step::Read, tokens(), Step::Read, Step::Reset],
        vec![Step::Read, tokens()],
    ]);
    let client = client(&endpoint(&server.url()));
    let server_is = known(ServerKind::LlamaCpp);
    assert_eq!(tokenize(&client, &server_is, "one").await, Ok(3));
    assert_eq!(tokenize(&client, &server_is, "two").await, Ok(3));
    assert_eq!((server.connections(), server.requests().len()), (2, 3));
    // A server that does so every time is asked no third time.
    let server = FaultyServer::script(vec![Step::Read, Step::Reset]);
    let client = self::client(&endpoint(&server.url()));
    assert!(tokenize(&client, &server_is, "one").await.is_err());
    assert_eq!(server.requests().len(), 2);
}

async fn reset_at(server: &FaultyServer, kind: ServerKind) -> (bool, String) {
    let client = client(&endpoint(&server.url()));
    let reply = reset(&client, &known(kind), None).await.pop().unwrap();
    (reply.accepted, reply.detail)
}

#[tokio::test]
async fn a_vllm_reset_is_judged_by_its_body() {
    for (status, body, accepted, said) in [
        (200, "", true, "HTTP 200"),
        (200, "{\"success\":true}", true, "HTTP 200"),
        (200, "{\"success\":false}", false, "could not"),
        (404, "", false, "VLLM_SERVER_DEV_MODE=1"),
        (500, "{\"error\":\"x\"}", false, "HTTP 500: x"),
    ] {
        let server = routes(&[("POST /reset_prefix_cache", status, body)]);
        let (is, detail) = reset_at(&server, ServerKind::Vllm).await;
        assert!(is == accepted && detail.contains(said), "{status} {body}: {is} {detail}");
    }
}

#[tokio::test]
async fn sglang_is_asked_again_while_it_is_busy() {
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let server = FaultyServer::answers(move |request| {
        assert!(request.starts_with("POST /flush_cache "));
        let busy = asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < 3;
        answer(if busy { 400 } else { 200 }, "", "Cache flushed.")
    });
    let (accepted, detail) = reset_at(&server, ServerKind::Sglang).await;
    assert!(accepted, "{detail}");
    assert_eq!(server.requests().len(), 4);
}

#[tokio::test]
async fn llama_cpp_erases_every_slot_or_says_what_it_needs() {
    let server = routes(&[
        ("POST /slots/0?action=erase", 200, "{\"id_slot\":0,\"n_erased\":30}"),
        ("POST /slots/1?action=erase", 200, "{\"id_slot\":1,\"n_erased\":12}"),
    ]);
    let (accepted, detail) = reset_at(&server, ServerKind::LlamaCpp).await;
    assert!(accepted && detail == "2 slots, 42 tokens erased", "{detail}");
    let server =
        routes(&[("POST /slots/0?action=erase", 501, "{\"error\":{\"message\":\"unsupported\"}}")]);
    let (accepted, detail) = reset_at(&server, ServerKind::LlamaCpp).await;
    assert!(!accepted && detail.contains("--slot-save-path"), "{detail}");
}

#[tokio::test]
async fn the_plans_own_call_is_sent_as_it_says_and_again_while_the_server_is_busy() {
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let server = FaultyServer::answers(move |request| {
        assert!(request.starts_with("DELETE /cache?all=true HTTP/1.1\r\n"), "{request}");
        assert!(request.ends_with("\r\n\r\n{\"which\":\"prefix\"}"), "{request}");
        match asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => answer(503, "", "busy"),
            1 => json(200, "{\"success\":false}"),
            _ => json(200, "{}"),
        }
    });
    let call = runner::plan::FlushCall {
        method: runner::plan::CallMethod::Delete,
        path: "cache?all=true".into(),
        body: Some(serde_json::json!({"which": "prefix"})),
    };
    let client = client(&endpoint(&server.url()));
    let reply = reset(&client, &known(ServerKind::Vllm), Some(&call)).await.pop().unwrap();
    assert!(reply.accepted, "{reply:?}");
    assert_eq!((reply.method.as_str(), server.requests().len()), ("DELETE /cache?all=true", 3));
}

#[tokio::test]
async fn ollama_unloads_and_servers_without_a_call_say_so() {
    let server = routes(&[("POST /api/generate", 200, "{\"done_reason\":\"unload\"}")]);
    let (accepted, detail) = reset_at(&server, ServerKind::Ollama).await;
    assert!(accepted, "{detail}");
    assert!(server.requests()[0].contains("\"keep_alive\":0"), "{:?}", server.requests());
    for kind in [ServerKind::Tgi, ServerKind::Triton, ServerKind::Other] {
        let (accepted, detail) = reset_at(&routes(&[]), kind).await;
        assert!(!accepted && detail.contains("`flush`"), "{detail}");
    }
}

#[tokio::test]
async fn servers_that_list_models_in_ways_of_their_own_are_no_false_refusal() {
    let tags = "{\"models\":[{\"name\":\"llama3:8b\",\"digest\":\"abc\"}]}";
    let ollama =
        [("GET /api/tags", 200, tags), ("GET /api/version", 200, "{\"version\":\"0.9.1\"}")];
    let info = "{\"model_id\":\"org/m\",\"model_sha\":\"f00\",\"version\":\"3.3.4\",\
                \"max_total_tokens\":4096}";
    let tgi = routes(&[
        ("GET /info", 200, info),
        ("GET /v1/models", 200, "{\"data\":[{\"id\":\"org/m\",\"owned_by\":\"org/m\"}]}"),
        (
            "POST /tokenize",
            200,
            "[{\"id\":1,\"text\":\"<s>\",\"start\":0,\"stop\":0},\
              {\"id\":5,\"text\":\"hi\",\"start\":0,\"stop\":2}]",
        ),
    ]);
    // Newer ones list their model as OpenAI's API does, and all count tokens in their own words.
    let found = check(&endpoint(&tgi.url())).await.unwrap();
    assert_eq!((found.kind, found.version.as_deref()), (ServerKind::Tgi, Some("3.3.4")));
    assert_eq!(found.context_tokens, Some(4096));
    assert_eq!(tokenize(&client(&endpoint(&tgi.url())), &found, "hi").await, Ok(1));
    assert!(tgi.requests().pop().unwrap().contains("\"inputs\":\"hi\""));
    let triton = "{\"name\":\"triton\",\"version\":\"2.59.0\",\"extensions\":[]}";
    let rows = [
        (routes(&ollama), "ollama-chat", None, ServerKind::Ollama, "0.9.1", "llama3:8b"),
        (routes(&[("GET /info", 200, info)]), "tgi", None, ServerKind::Tgi, "3.3.4", "org/m"),
        (
            routes(&[("GET /v2", 200, triton)]),
            "triton",
            Some("ensemble"),
            ServerKind::Triton,
            "2.59.0",
            "ensemble",
        ),
    ];
    for (server, api, model, kind, version, found_model) in rows {
        // With and without the /v1 that these servers do not have.
        for path in ["/v1", ""] {
            let mut url = server.url();
            url.set_path(path);
            let mut asking = endpoint(&url);
            asking.api = runner::plan::Api::of_name(api).unwrap();
            asking.model = model.map(str::to_owned);
            let found = check(&asking).await.unwrap_or_else(|error| panic!("{api}: {error:?}"));
            assert_eq!((found.kind, found.version.as_deref()), (kind, Some(version)), "{api}");
            assert_eq!(found.model, found_model, "{api}");
        }
    }
    for api in ["json", "sglang", "llamacpp-completion", "tgi"] {
        let mut asking = endpoint(&routes(&[]).url());
        let server = routes(&[]);
        asking.target = runner::plan::Target::Url(server.url());
        asking.api = runner::plan::Api::of_name(api).unwrap();
        let found = check(&asking).await.unwrap_or_else(|error| panic!("{api}: {error:?}"));
        assert_eq!((found.model.as_str(), found.warnings.len()), ("unnamed", 0), "{api}");
    }
}

#[tokio::test]
async fn idleness_is_known_from_slots_or_metrics_or_not_at_all() {
    let limit = Duration::from_millis(500);
    let slots = |busy: &'static str| routes(&[("GET /slots", 200, busy)]);
    let metrics = |text: &'static str| routes(&[("GET /metrics", 200, text)]);
    for (server, kind, expected) in [
        (slots("[{\"is_processing\":false}]"), ServerKind::LlamaCpp, Idle::Idle),
        (
            slots("[{\"is_processing\":false},{\"is_processing\":true}]"),
            ServerKind::LlamaCpp,
            Idle::Busy,
        ),
        (metrics("llamacpp:requests_processing 0\n"), ServerKind::LlamaCpp, Idle::Idle),
        (
            metrics("vllm:num_requests_running{a=\"b\"} 0.0\nvllm:num_requests_waiting 0\n"),
            ServerKind::Vllm,
            Idle::Idle,
        ),
        (
            metrics("vllm:num_requests_running 0\nvllm:num_requests_waiting 2\n"),
            ServerKind::Vllm,
            Idle::Busy,
        ),
        (metrics("sglang:num_running_reqs 1\n"), ServerKind::Sglang, Idle::Busy),
        (metrics("other 1\n"), ServerKind::Vllm, Idle::Unknown),
        (routes(&[]), ServerKind::Other, Idle::Unknown),
    ] {
        let client = client(&endpoint(&server.url()));
        let found = wait_until_idle(&client, &known(kind), None, limit).await;
        assert_eq!(found, expected, "{kind:?}");
    }
}

/// A server of no known name whose page the plan names is waited for like any other.
#[tokio::test]
async fn idleness_is_known_of_any_server_that_gives_an_account_of_itself() {
    let limit = Duration::from_millis(500);
    for (running, expected) in [("0", Idle::Idle), ("3", Idle::Busy)] {
        let page = format!("vllm:num_requests_running{{a=\"b\"}} {running}\n");
        let server = routes(&[("GET /metrics", 200, page.leak())]);
        let mut endpoint = endpoint(&server.url());
        endpoint.metrics.page = runner::plan::MetricsPage::Usual;
        let who = (&server.url(), ServerKind::Other);
        let account = Account::find(&endpoint, who, RunClock::start_now()).await.expect("a page");
        let (client, other) = (client(&endpoint), known(ServerKind::Other));
        assert_eq!(wait_until_idle(&client, &other, Some(&account), limit).await, expected);
        // Without it nothing is asked of a server of which nothing is known.
        assert_eq!(wait_until_idle(&client, &other, None, limit).await, Idle::Unknown);
    }
}

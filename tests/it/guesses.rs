//! The commonest first tries, as people who come from other tools write them, and what they are told.
//!
//! Each is one mistake, so each is one error, which names the right word, form or place.

use runner::plan::{self, LoadOptions, diagnostic};

/// A plan that is right but for what stands in its stage.
fn stage(kind: &str, keys: &str) -> String {
    top(&format!("stages: [ {{ id: a, kind: {kind}, {keys} }} ]\n"))
}

fn top(rest: &str) -> String {
    format!("version: 1\nendpoint: http://127.0.0.1:8000/v1\nprompt: Hi.\n{rest}")
}

fn load(keys: &str) -> String {
    stage("load", keys)
}

fn check(text: &str) -> String {
    load(&format!("rate: 5, duration: 10s, thresholds: [ \"{text}\" ]"))
}

/// What is said of a plan, and how many errors it has.
fn answer(text: &str) -> (String, usize) {
    match plan::load_text("plan.yaml", text, &LoadOptions::default()) {
        Ok(_) => (String::new(), 0),
        Err(error) => {
            let said =
                diagnostic::render(&error.diagnostics, &error.sources, &error.redactor, false);
            (said, error.diagnostics.len())
        }
    }
}

#[test]
fn the_commonest_first_tries_end_in_the_right_word() {
    let on = "duration: 10s";
    let cold = "stages: [ { kind: cold } ]\n";
    let bare = "version: 1\nprompt: Hi.\n";
    let guesses = [
        (load("qps: 5, duration: 10s"), "did you mean `rate`?"),
        (load("rps: 5, duration: 10s"), "did you mean `rate`?"),
        (load("rates: 5, duration: 10s"), "did you mean `rate`?"),
        (load("request_rate: 5, duration: 10s"), "did you mean `rate`?"),
        (load("users: 5, duration: 10s"), "did you mean `concurrency`?"),
        (load("vus: 5, duration: 10s"), "did you mean `concurrency`?"),
        (load("max_concurrency: 5, duration: 10s"), "did you mean `concurrency`?"),
        (load("rate: 5, num_requests: 100"), "did you mean `requests`?"),
        (load("rate: 5, num_prompts: 100"), "did you mean `requests`?"),
        (load("rate: 5, count: 100"), "did you mean `requests`?"),
        (load("rate: 5, n: 100"), "did you mean `requests`?"),
        (load("rate: 5, time: 10s"), "did you mean `duration`?"),
        (load(&format!("rate: 5, {on}, distribution: poisson")), "did you mean `arrival`?"),
        (load(&format!("rate: 5, {on}, depends_on: [b]")), "did you mean `needs`?"),
        (load(&format!("rate: 5, {on}, model: m")), "belongs under `endpoint`"),
        (load(&format!("rate: 5, {on}, url: \"http://h\"")), "belongs under `endpoint`"),
        (load(&format!("rate: 5, {on}, api_key: x")), "belongs under `endpoint`"),
        (load(&format!("rate: 5, {on}, timeout: 5s")), "belongs under `endpoint`"),
        (load(&format!("rate: 5, {on}, max_tokens: 5")), "belongs under `prompt`"),
        (load(&format!("rate: 5, {on}, stream: false")), "belongs under `prompt`"),
        (load(&format!("rate: 5, {on}, temperature: 0")), "belongs under `prompt`"),
        (load(&format!("rate: 5, {on}, output_tokens: 5")), "belongs under `prompt`"),
        (load(&format!("rate: 5, {on}, input_tokens: 512")), "{ from: filler, tokens: 512 }"),
        (stage("qps_ladder", "rates: \"1,2\", duration: 10s"), "did you mean `step`?"),
        (stage("qps_ladder", "qps: \"1,2\", step: 10s"), "did you mean `rates`?"),
        (stage("qps_ladder", "levels: \"1,2\", step: 10s"), "did you mean `rates`?"),
        (stage("concurrency_ramp", "users: \"1,2\", step: 10s"), "did you mean `concurrency`?"),
        (stage("qps", "rates: \"1\", step: 10s"), "did you mean `qps_ladder`?"),
        (stage("ladder", "rates: \"1\", step: 10s"), "did you mean `qps_ladder`?"),
        (stage("ramp", "concurrency: \"1\", step: 10s"), "did you mean `concurrency_ramp`?"),
        (stage("sleep", "duration: 5s"), "did you mean `pause`?"),
        (top("stages: [ { id: a, type: cold } ]\n"), "did you mean `kind`?"),
        (top("stages: [ { name: a, kind: cold } ]\n"), "did you mean `id`?"),
        (top(&format!("model: m\n{cold}")), "belongs under `endpoint`"),
        (top(&format!("api_key: x\n{cold}")), "belongs under `endpoint`"),
        (top(&format!("max_tokens: 5\n{cold}")), "belongs under `prompt`"),
        (top(&format!("temperature: 0\n{cold}")), "belongs under `prompt`"),
        (top(&format!("dataset: rows.jsonl\n{cold}")), "belongs under `prompt`"),
        (top(&format!("rate: 5\n{cold}")), "under `defaults` for all of them"),
        (top(&format!("junit: out.xml\n{cold}")), "`sinks: [ \"junit:checks.xml\" ]`"),
        (top("steps: [ { kind: cold } ]\n"), "did you mean `stages`?"),
        (top("scenarios: [ { kind: cold } ]\n"), "did you mean `stages`?"),
        (format!("{bare}base_url: http://h/v1\n{cold}"), "did you mean `endpoint`?"),
        (format!("{bare}url: http://h/v1\n{cold}"), "did you mean `endpoint`?"),
        (format!("{bare}endpoint: 8000\n{cold}"), "`http://127.0.0.1:8000/v1`"),
        (format!("{bare}endpoint: gpu1:8000\n{cold}"), "`http://gpu1:8000/v1`"),
        (format!("{bare}endpoint: localhost:8000/v1\n{cold}"), "`http://localhost:8000/v1`"),
        (check("ttft_p95 < 1s"), "did you mean `ttft.p95`?"),
        (check("p95_ttft < 1s"), "did you mean `ttft.p95`?"),
        (check("p95(ttft) < 1s"), "did you mean `ttft.p95`?"),
        (check("ttft_avg < 1s"), "did you mean `ttft.mean`?"),
        (check("ttft < 1s"), "such as `ttft.p50`"),
        (check("ttft.p95 < 500"), "write `500ms` or `500s`"),
        (check("e2e_latency.p95 < 1s"), "did you mean `e2e`?"),
        (check("latency.p95 < 1s"), "did you mean `e2e`?"),
        (check("tokens > 5"), "did you mean `output_tokens`?"),
        (check("tps > 5"), "did you mean `output_tokens_per_second`?"),
        (check("throughput > 5"), "did you mean `requests_per_second`?"),
        (check("errors < 1%"), "did you mean `error_rate`?"),
        (load("rate: 5, duration: 30"), "write `30s`|needs a unit: `30s`"),
    ];
    assert!(guesses.len() >= 60, "{}", guesses.len());
    let mut wrong = Vec::new();
    for (plan, told) in &guesses {
        let (said, errors) = answer(plan);
        if errors != 1 || !told.split('|').any(|told| said.contains(told)) {
            wrong.push(format!("{plan}is to be told {told:?}, {errors} errors:\n{said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn quantities_are_read_as_people_write_them() {
    for keys in [
        "rate: 5, duration: 10 sec",
        "rate: 5, duration: 200 ms",
        "rate: 5, duration: 10 seconds",
        "rate: 5, duration: 1 min 30 s",
        "rate: 5 rps, duration: 10s",
        "rate: 5 req/s, duration: 10s",
        "rate: 5/sec, duration: 10s",
        "rate: 5, duration: 10s, thresholds: [ \"ttft.p95 < 200 ms\", \"error_rate < 1 %\" ]",
    ] {
        assert_eq!(answer(&load(keys)), (String::new(), 0), "{keys}");
    }
}

#[test]
fn nothing_is_proposed_that_merely_looks_alike_and_lists_are_told_once() {
    for (plan, never) in [
        (stage("qps_ladder", "rates: \"1,2\", duration: 10s"), "`drain`"),
        (stage("concurrency_ramp", "concurrency: \"1\", step: 9s, rate: 5"), "`late`"),
        (check("p95_tpot < 1s"), "`ttft`"),
    ] {
        let (said, _) = answer(&plan);
        assert!(!said.contains(&format!("did you mean {never}?")), "{said}");
    }
    let checks = "thresholds: [ aa.p50 < 1s, bb.p50 < 1s, cc.p50 < 1s, dd.p50 < 1s ]";
    let (said, errors) = answer(&load(&format!("rate: 5, duration: 10s, {checks}")));
    assert_eq!((errors, said.matches("help: metrics: ").count()), (4, 1), "{said}");
}

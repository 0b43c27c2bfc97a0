//! What is said of a run is so: each sentence against what the run was.

use std::process::Output;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::faulty_server::{FaultyServer, json, stream};
use crate::sandbox::{Sandbox, code, text};

/// A run of `plan`, and its summary.
fn run(plan: &str) -> (Sandbox, Output, Value) {
    let sandbox = Sandbox::new();
    sandbox.plan(plan);
    let output = sandbox.run(&["run", "plan.yaml"]);
    let summary = sandbox.summary();
    (sandbox, output, summary)
}

fn claims(summary: &Value) -> &[Value] {
    summary["claims"].as_array().expect("claims")
}

fn of_kind<'a>(summary: &'a Value, kind: &str) -> Vec<&'a Value> {
    claims(summary).iter().filter(|claim| claim["kind"] == kind).collect()
}

fn value(claim: &Value, figure: &str) -> f64 {
    claim["figures"][figure]["value"].as_f64().unwrap_or_else(|| panic!("no {figure}: {claim:#}"))
}

/// Says that the run claims no capacity and gives no advice, anywhere.
fn claims_no_capacity(sandbox: &Sandbox, output: &Output, summary: &Value) {
    for kind in ["sustained", "knee", "not_saturated", "production", "best_throughput"] {
        assert!(of_kind(summary, kind).is_empty(), "{kind}: {summary:#}");
    }
    let page = std::fs::read_to_string(sandbox.run_dir().join("report.html")).unwrap_or_default();
    for said in [text(&output.stdout), page] {
        for words in ["production", "sustains", "saturated", "held up to"] {
            assert!(!said.contains(words), "{words}: {said}");
        }
    }
}

#[test]
fn the_cache_is_held_against_the_stage_that_like_names() {
    // Of two cold stages the one on the other endpoint, which is far slower, came last.
    let (_, output, summary) = run("
version: 1
endpoints:
  quick: { simulator: { prefill_rate: 40k, decode_rate: 500 } }
  far: { simulator: { prefill_rate: 2k, decode_rate: 500 } }
endpoint: quick
prompt: { context: { from: filler, tokens: 800 }, text: \"Say {{ i }}.\", max_tokens: 2 }
stages:
  - { id: first, kind: cold, requests: 4, endpoint: quick }
  - { id: other, kind: cold, requests: 4, endpoint: far }
  - { id: again, kind: warm, like: first, endpoint: quick }
");
    assert_eq!(code(&output), 0, "{}", text(&output.stdout));
    let [claim] = of_kind(&summary, "warm_against_cold")[..] else { panic!("{summary:#}") };
    assert_eq!((&claim["stage"], &claim["against"]), (&"again".into(), &"first".into()));
    assert_eq!(claim["endpoint"], "quick");
    let cold = summary["stages"][0]["metrics"]["ttft"]["p50"].as_f64().expect("a figure");
    let warm = summary["stages"][2]["metrics"]["ttft"]["p50"].as_f64().expect("a figure");
    assert!((value(claim, "ratio") - cold / warm).abs() < 1e-9, "{claim:#}");
    // Of four answers each there is no interval, and so no cause.
    assert_eq!(claim["figures"]["ratio"]["n"], 4);
    let said = text(&output.stdout);
    assert!(said.contains("too few answers for an interval"), "{said}");
    assert!(!said.contains("The cache makes"), "{said}");
}

#[test]
fn no_cause_is_claimed_where_the_server_says_that_nothing_was_cached() {
    let body = |n: u64| {
        serde_json::json!({"id": format!("r{n}"), "object": "chat.completion.chunk", "model": "m",
            "choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10,
                "prompt_tokens_details": {"cached_tokens": 0}}})
    };
    let asked = std::sync::atomic::AtomicU64::new(0);
    let server = FaultyServer::answers(move |request| {
        if request.starts_with("GET") {
            return json(200, r#"{"data":[{"id":"m"}]}"#);
        }
        let n = asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        // Later answers come much sooner, for a reason of the server's own.
        thread::sleep(Duration::from_millis(if n < 8 { 40 } else { 4 }));
        stream(&format!("data: {}\n\ndata: [DONE]\n\n", body(n)))
    });
    let (_, output, summary) = run(&format!(
        "version: 1\nendpoint: {{ url: \"{}v1\", metrics: off }}\n\
         prompt: {{ text: \"Name {{{{ i }}}} birds.\", max_tokens: 2 }}\n\
         stages:\n  - {{ id: cold, kind: cold, requests: 8 }}\n  - {{ id: warm, kind: warm, like: cold }}\n",
        server.url()
    ));
    let [claim] = of_kind(&summary, "warm_against_cold")[..] else { panic!("{summary:#}") };
    let p50 = |at: usize| summary["stages"][at]["metrics"]["ttft"]["p50"].as_f64();
    let ratio = p50(0).zip(p50(1)).map(|(cold, warm)| cold / warm).expect("figures");
    assert!((value(claim, "ratio") - ratio).abs() < 1e-9, "{claim:#}");
    assert!(of_kind(&summary, "cache_speed_up").is_empty());
    let said = text(&output.stdout);
    assert!(said.contains("nothing of warm came from the cache"), "{said}");
}

#[test]
fn a_level_that_was_not_reached_is_neither_held_nor_advised() {
    let (_, output, summary) = run("
version: 1
endpoint: { simulator: { prefill_rate: 40k, decode_rate: 200, max_num_seqs: 64 } }
prompt: { text: \"Hello {{ i }}.\", max_tokens: 20 }
stages:
  - { id: sweep, kind: concurrency_ramp, concurrency: \"4,128\", requests: 60 }
");
    assert_eq!(code(&output), 0, "{}", text(&output.stdout));
    let [missed] = of_kind(&summary, "level_not_reached")[..] else { panic!("{summary:#}") };
    assert_eq!((value(missed, "asked"), value(missed, "reached")), (128.0, 60.0));
    assert_eq!(summary["stages"][1]["load"]["peak_in_flight"], 60);
    let [held] = of_kind(&summary, "not_saturated")[..] else { panic!("{summary:#}") };
    assert!((value(held, "sustainable") - 4.0).abs() < 1e-9);
    assert!(of_kind(&summary, "production").is_empty(), "{summary:#}");
    assert!(summary["saturation"]["sweep"]["recommended"].is_null());
}

#[test]
fn a_run_without_any_answer_opens_with_the_error() {
    let (sandbox, output, summary) = run("
version: 1
endpoint: { simulator: { faults: [ { from: 0, count: 10000, status: 503 } ] } }
prompt: { text: \"Say {{ i }}.\", max_tokens: 4 }
stages:
  - { id: ladder, kind: qps_ladder, rates: \"20,40\", step: 500ms, thresholds: [ ttft.p95 < 1s ] }
");
    assert_eq!(code(&output), 5);
    let first = &claims(&summary)[0];
    assert_eq!(first["kind"], "all_failed", "{summary:#}");
    assert!((value(first, "requests_failed") - 10.0).abs() < 1e-9);
    let opening = first["text"].as_str().expect("a sentence");
    assert!(opening.contains("http.503") && opening.contains("scripted fault"), "{opening}");
    // Behind the head of the report, and before any table.
    let said = text(&output.stdout);
    let head = said.split("\n\n").next().expect("a head");
    assert!(head.contains(opening), "{said}");
    claims_no_capacity(&sandbox, &output, &summary);
}

#[test]
fn a_ladder_that_was_interrupted_claims_nothing_of_capacity() {
    let sandbox = Sandbox::new();
    sandbox.plan(
        "
version: 1
endpoint: { simulator: { prefill_rate: 40k, decode_rate: 1000 } }
prompt: { text: \"Say {{ i }}.\", max_tokens: 2 }
stages:
  - { id: ladder, kind: qps_ladder, rates: \"20-140/20\", step: 1s }
",
    );
    let child =
        sandbox.runner().args(["run", "plan.yaml"]).stdout(std::process::Stdio::piped()).spawn();
    let child = child.expect("it starts");
    // Two levels are done when the third has begun.
    let log = || {
        let runs = sandbox.runs("results");
        let log = runs.first().map(|run| run.join("records-000001.jsonl"));
        log.and_then(|log| std::fs::read_to_string(log).ok()).unwrap_or_default()
    };
    let ended =
        |log: &str| log.lines().filter(|line| line.contains("\"type\":\"stage_end\"")).count();
    for _ in 0..600 {
        if ended(&log()) >= 2 {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    let killed =
        std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(killed.expect("kill runs").success());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(code(&output), 130);
    let summary = sandbox.summary();
    let first = &claims(&summary)[0];
    assert_eq!(first["kind"], "ended");
    assert!(first["text"].as_str().is_some_and(|it| it.starts_with("INTERRUPTED: ")), "{first:#}");
    let head = text(&output.stdout).split("\n\n").next().map(str::to_owned).unwrap_or_default();
    assert!(head.contains("INTERRUPTED: "), "{head}");
    let [cut] = of_kind(&summary, "levels_not_run")[..] else { panic!("{summary:#}") };
    assert_eq!((value(cut, "levels_run"), value(cut, "levels")), (2.0, 7.0));
    claims_no_capacity(&sandbox, &output, &summary);
}

#[test]
fn over_cells_a_headline_is_a_range_and_each_cell_has_its_own() {
    let plan = "
version: 1
params: { context: { type: int, default: 64 } }
matrix: { context: [1024, 4096] }
endpoint: { simulator: { prefill_rate: 20k, decode_rate: 1000 } }
prompt: { context: { from: filler, tokens: \"${context}\" }, text: Go., max_tokens: 2 }
stages:
  - { id: cold, kind: cold, requests: 12 }
  - { id: warm, kind: warm, like: cold }
sinks: [ \"html:page.html\" ]
";
    // A machine that is busy may have no interval in a cell; then nothing is claimed over them.
    let mut runs = (0..10).map(|_| run(plan)).inspect(|(_, output, summary)| {
        assert_eq!(code(output), 0, "{}", text(&output.stdout));
        let over = of_kind(summary, "cache_speed_up_over_cells").len();
        let each = of_kind(summary, "cache_speed_up").len();
        assert_eq!(over, usize::from(each == 2), "{summary:#}");
    });
    let told = runs.find(|(_, _, summary)| of_kind(summary, "cache_speed_up").len() == 2);
    let (sandbox, _, summary) = told.expect("an interval in both cells, once in ten runs");
    let first = &claims(&summary)[0];
    let each = of_kind(&summary, "cache_speed_up");
    assert_eq!(first["kind"], "cache_speed_up_over_cells", "{summary:#}");
    assert!(first["cell"].is_null());
    let ratios: Vec<f64> = each.iter().map(|claim| value(claim, "ratio")).collect();
    let [one, other] = ratios[..] else { panic!("{ratios:?}") };
    let (low, high) = (one.min(other), one.max(other));
    assert_eq!((value(first, "lowest"), value(first, "highest")), (low, high));
    assert!(each.iter().all(|claim| claim["cell"].is_string()));
    let page = std::fs::read_to_string(sandbox.dir.path().join("page.html")).expect("a page");
    let tile = page.split("Cache speed-up</dt>").nth(1).expect("a tile");
    assert!(tile[..200].contains("× – ") && tile[..200].contains("in 2 cells"), "{}", &tile[..200]);
}

#[test]
fn a_flush_that_is_not_proven_empties_nothing() {
    // The canary is answered without a word about the cache, as is everything else.
    let (_, output, summary) = run("
version: 1
endpoint:
  simulator: { prefill_rate: 20k, decode_rate: 1000, report_cached_tokens: false }
  metrics: off
prompt: { context: { from: filler, tokens: 500 }, text: \"Say {{ i }}.\", max_tokens: 2 }
stages:
  - { id: cold, kind: cold, requests: 8 }
  - { id: warm, kind: warm, like: cold }
  - { id: flush, kind: flush, with: traffic, tokens: 2000, retries: 1 }
  - { id: after, kind: cold, like: cold }
");
    let state = summary["stages"][2]["flush"]["state"].as_str().unwrap_or_default().to_owned();
    assert_ne!(state, "proven", "{}", text(&output.stdout));
    assert!(of_kind(&summary, "flush_emptied").is_empty(), "{summary:#}");
    let said = text(&output.stdout);
    assert!(!said.contains("cache was empty"), "{said}");
    // What was not checked is no tick, and counts for nothing.
    let [ended] = of_kind(&summary, "ended")[..] else { panic!("{summary:#}") };
    let not_made = value(ended, "checks_not_made");
    assert!(not_made >= 2.0, "{ended:#}");
    let marked =
        |mark: &str| said.lines().filter(|line| line.starts_with(&format!("  {mark} "))).count();
    let is = |count: usize, told: f64| (count as f64 - told).abs() < 1e-9;
    assert!(is(marked("–"), not_made), "{said}");
    assert!(is(marked("✓"), value(ended, "checks_held")), "{said}");
}

#[test]
fn without_a_conclusion_the_headline_is_about_the_stage_that_measures() {
    let (_, output, summary) = run("
version: 1
endpoint: { simulator: { prefill_rate: 40k, decode_rate: 1000 } }
prompt: { text: \"Say {{ i }}.\", max_tokens: 2 }
stages:
  - { id: few, kind: load, concurrency: 1, requests: 3 }
  - { id: main, kind: load, concurrency: 4, requests: 100 }
  - { id: spare, kind: load, concurrency: 1, requests: 200, record: false }
");
    assert_eq!(code(&output), 0, "{}", text(&output.stdout));
    let first = &claims(&summary)[0];
    assert_eq!((&first["kind"], &first["stage"]), (&"measured".into(), &"main".into()));
    assert!(first["text"].as_str().is_some_and(|it| it.starts_with("main: TTFT p50 ")));
    // A hundred samples certify p90 and nothing beyond, where they do not hang together.
    assert_eq!(first["figures"]["p99"]["uncertified"], true);
    let ttft = &summary["stages"][1]["metrics"]["ttft"];
    let (bound, p90) = (ttft["certified"]["p90"].as_f64(), ttft["p90"].as_f64());
    assert_eq!(bound.is_some(), ttft["effective"].as_f64() >= Some(64.0), "{ttft:#}");
    assert!(bound.is_none_or(|bound| Some(bound) >= p90), "{ttft:#}");
    assert!(p90.is_some() && ttft["certified"]["p99"].is_null(), "{ttft:#}");
}

#[test]
fn a_rung_has_one_rate_in_every_output() {
    let (sandbox, output, summary) = run("
version: 1
endpoint: { simulator: { prefill_rate: 40k, decode_rate: 400 } }
prompt: { text: \"Say {{ i }}.\", max_tokens: 20 }
stages:
  - { id: ladder, kind: qps_ladder, rates: \"8,16\", step: 1500ms, settle: 500ms }
sinks: [ \"markdown:report.md\", \"stages:rungs.csv\" ]
");
    assert_eq!(code(&output), 0, "{}", text(&output.stdout));
    let read =
        |name: &str| std::fs::read_to_string(sandbox.dir.path().join(name)).expect("written");
    let (markdown, csv) = (read("report.md"), read("rungs.csv"));
    let mut rows = csv.lines();
    let head: Vec<&str> = rows.next().expect("a head").split(',').collect();
    let column = head.iter().position(|name| *name == "requests_per_second").expect("a column");
    let rungs = summary["stages"].as_array().expect("stages").iter();
    let rungs: Vec<&Value> = rungs.filter(|stage| stage["id"] == "ladder").collect();
    assert_eq!(rungs.len(), 2);
    for rung in rungs {
        let rate = rung["throughput"]["requests_per_second"].as_f64().expect("a rate");
        assert_eq!(rung["load"]["achieved_rate"].as_f64(), Some(rate));
        // Tokens go by the same clock: twenty a request.
        let tokens = rung["throughput"]["output_tokens_per_second"].as_f64().expect("a rate");
        assert!((tokens / rate - 20.0).abs() < 1e-9, "{tokens} {rate}");
        let level = rung["rung"].as_f64().expect("a level");
        let said = text(&output.stdout);
        let mut rows = said.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let line = rows.find(|row| row.first() == Some(&&*level.to_string())).expect("its line");
        let shown: f64 = line[1].parse().expect("a number");
        assert!((shown - rate).abs() <= 0.006 * rate, "{line:?} {rate}");
        assert!(markdown.contains(&format!("{shown}")), "{shown} {markdown}");
        let kept = csv.lines().filter_map(|row| row.split(',').nth(column)?.parse::<f64>().ok());
        assert!(kept.into_iter().any(|kept| (kept - rate).abs() < 1e-9), "{csv}");
    }
}

#[test]
fn a_tail_of_few_samples_is_marked_and_the_mark_explained() {
    let (sandbox, output, summary) = run("
version: 1
endpoint: { simulator: { prefill_rate: 40k, decode_rate: 2000 } }
prompt: { text: \"Say {{ i }}.\", max_tokens: 2 }
stages:
  - { id: few, kind: load, concurrency: 4, requests: 129 }
  - { id: more, kind: load, concurrency: 4, requests: 600 }
sinks: [ \"html:page.html\", \"markdown:report.md\" ]
");
    assert_eq!(code(&output), 0, "{}", text(&output.stdout));
    let said = text(&output.stdout);
    let row =
        |id: &str| said.lines().find(|line| line.trim_start().starts_with(id)).expect("a row");
    // TTFT p95 and p99, E2E p95 of the one; of the other what the summary says: its samples may
    // hang together, and count for fewer then.
    assert_eq!(row("few ").matches('*').count(), 3, "{said}");
    let certified = |metric: &str, percentile: &str| {
        !summary["stages"][1]["metrics"][metric]["certified"][percentile].is_null()
    };
    let shown = [("ttft", "p95"), ("ttft", "p99"), ("e2e", "p95")];
    let marks = shown.iter().filter(|(metric, percentile)| !certified(metric, percentile)).count();
    assert_eq!(row("more ").matches('*').count(), marks, "{said}");
    let legend = "* uncertified: too few independent samples (takes p95 130, p99 662)";
    assert!(said.contains(legend), "{said}");
    let page = std::fs::read_to_string(sandbox.dir.path().join("page.html")).expect("a page");
    assert!(page.contains(legend) && page.contains("at most (99 % confidence)"));
    // The page gives the bounds of every metric of every stage.
    let stages = summary["stages"].as_array().expect("stages");
    let mut metrics =
        stages.iter().flat_map(|stage| stage["metrics"].as_object().expect("metrics").values());
    let bound = metrics.any(|metric| metric["certified"]["p95"].is_number());
    assert_eq!(page.contains("p95 ≤ "), bound, "a bound where samples enough certify one");
    let markdown = std::fs::read_to_string(sandbox.dir.path().join("report.md")).expect("written");
    assert!(markdown.contains("uncertified"), "{markdown}");
}

#[test]
fn a_check_without_data_says_what_there_is() {
    let (_, output, _) = run("
version: 1
endpoint: { simulator: { prefill_rate: 40k, decode_rate: 2000 } }
prompt: { text: \"Say {{ i }}.\", max_tokens: 2 }
stages:
  - { id: a, kind: load, concurrency: 1, requests: 3, thresholds: [ server_decode.p95 <= 1s ] }
");
    assert_eq!(code(&output), 10);
    let said = text(&output.stdout);
    let told = "server_decode has no samples in stage a, which has ttft, ";
    assert!(said.contains(told), "{said}");
}

#[test]
fn a_check_without_data_says_nothing_of_a_level() {
    let (_, output, summary) = run("
version: 1
endpoint: { simulator: { decode_rate: 1000, report_cached_tokens: false }, metrics: off }
prompt: { text: \"Say {{ i }}.\", max_tokens: 2 }
stages:
  - { id: ramp, kind: concurrency_ramp, concurrency: \"1,2\", requests: 40,
      thresholds: [ cached_share > 50% ] }
");
    // The check itself fails, and whether the endpoint bears the load is not known by it.
    assert_eq!(code(&output), 10, "{}", text(&output.stdout));
    for kind in ["lowest_fails", "sustained", "knee", "not_saturated", "production"] {
        assert!(of_kind(&summary, kind).is_empty(), "{kind}: {summary:#}");
    }
    let [unclear] = of_kind(&summary, "level_unclear")[..] else { panic!("{summary:#}") };
    let said = unclear["text"].as_str().expect("a text");
    assert!(said.contains("whether its checks hold can't be told at 2 levels"), "{said}");
    assert!(!text(&output.stdout).contains("saturated"), "{}", text(&output.stdout));
}

#[test]
fn levels_and_probes_that_met_different_caches_have_no_capacity() {
    // The same twelve texts at every level: the first finds none of them in the cache.
    let of = |unique: &str, stage: &str| {
        run(&format!(
            "
version: 1
endpoint: {{ simulator: {{ prefill_rate: 20k, decode_rate: 1000 }} }}
prompt: {{ text: \"{{{{ filler(300, i) }}}}\", max_tokens: 2{unique} }}
stages: [{{ {stage} }}]
"
        ))
    };
    for stage in [
        "id: it, kind: concurrency_ramp, concurrency: \"1,2,4\", requests: 12",
        "id: it, kind: search, over: concurrency, from: 1, to: 2, requests: 12, \
         at_least: 1, thresholds: [\"error_rate <= 1%\"]",
    ] {
        let (sandbox, output, summary) = of("", stage);
        claims_no_capacity(&sandbox, &output, &summary);
        let stages = summary["stages"].as_array().expect("stages");
        for check in stages.iter().flat_map(|it| it["thresholds"].as_array().expect("checks")) {
            assert_eq!((&check["check"], &check["pass"]), (&"best >= 1".into(), &false.into()));
            let why = check["reason"].as_str().expect("a reason");
            assert!(why.ends_with("can't be told: its levels met different caches"), "{why}");
        }
        assert_eq!(code(&output), if stage.contains("at_least") { 10 } else { 0 });
        let [claim] = of_kind(&summary, "not_judged")[..] else { panic!("{summary:#}") };
        assert!(claim["text"].as_str().is_some_and(|it| it.contains("met different caches")));
        assert!(value(claim, "most_cached") - value(claim, "least_cached") > 0.1, "{claim:#}");
        assert!(of_kind(&summary, "search_found").is_empty(), "{summary:#}");
        let (_, _, summary) = of(", unique: request", stage);
        let text = summary["claims"].to_string();
        assert!(!text.contains("met different caches"), "{text}");
    }
}

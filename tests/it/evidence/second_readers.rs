//! What a sink wrote, read by somebody else's reader: as many rows as records, the same figures.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;

use runner::plan::SinkKind;
use runner::record::Line;
use runner::report::view::Background;
use serde_json::{Value, json};

use super::fixture::*;

/// Python's own readers; `None` where there is no python3.
fn read_back(folder: &Path) -> Option<Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/evidence/read_back.py");
    let output =
        match Command::new("python3").arg(script).arg(folder).stderr(Stdio::inherit()).output() {
            Ok(output) => output,
            Err(error) => {
                eprintln!("skipped: python3 is needed as the second reader ({error})");
                return None;
            }
        };
    assert!(output.status.success(), "the second reader failed");
    Some(serde_json::from_slice(&output.stdout).expect("JSON"))
}

fn list<'v>(value: &'v Value, pointer: &str) -> &'v Vec<Value> {
    value.pointer(pointer).and_then(Value::as_array).unwrap_or_else(|| panic!("no {pointer}"))
}

const FILES: [(SinkKind, &str, bool); 5] = [
    (SinkKind::Jsonl, "records.jsonl", true),
    (SinkKind::Csv, "requests.csv", true),
    (SinkKind::Stages, "stages.csv", true),
    (SinkKind::Sqlite, "run.sqlite", true),
    (SinkKind::Junit, "checks.xml", true),
];

#[test]
fn csv_sqlite_and_junit_hold_what_the_log_holds() {
    if cfg!(not(feature = "sqlite")) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let sinks = open_sinks(folder.path(), &FILES);
    let (run, done) = record_run(folder.path(), lines(), sinks);
    assert!(done.sink_failures.is_empty(), "{:?}", done.sink_failures);
    let Some(read) = read_back(folder.path()) else { return };
    let ends: Vec<Value> =
        log_lines(&run).into_iter().filter(|line| line["type"] == "end").collect();
    let ids: Vec<&Value> = ends.iter().map(|end| &end["request_id"]).collect();
    assert_eq!(list(&read, "/csv/ids").iter().collect::<Vec<_>>(), ids);
    assert_eq!(list(&read, "/sqlite/ids").iter().collect::<Vec<_>>(), ids);
    let stamps: Vec<&Value> = ends.iter().map(|end| &end["first_token_ns"]).collect();
    assert_eq!(list(&read, "/sqlite/first_token_ns").iter().collect::<Vec<_>>(), stamps);
    assert_eq!(list(&read, "/csv/ttft_ms")[0], 262.0);
    assert_eq!(read.pointer("/sqlite/absent"), Some(&json!(1)));
    assert_eq!(read["sqlite"]["integrity"], json!(["ok"]));

    let stages: Vec<&str> = done.summary.stages.iter().map(|stage| stage.id.as_str()).collect();
    assert_eq!(read["csv"]["stages"], json!(stages));
    assert_eq!(read["sqlite"]["stages"], json!(stages));
    let p50: Vec<f64> = done
        .summary
        .stages
        .iter()
        .filter_map(|stage| stage.metrics.get("ttft").map(|ttft| ttft.p50))
        .collect();
    assert_eq!(read["sqlite"]["p50"], json!(p50));
    assert_eq!(read["sqlite"]["thresholds"], json!([1, 1, 1, 1, 0]));
    assert_eq!(read["sqlite"]["runs"], json!(["finished 10"]));

    let junit = &read["junit"];
    // A case per check, one per stage, one for the run.
    assert_eq!((&junit["tests"], &junit["failures"]), (&json!(5 + 4 + 1), &json!(1)));
    assert_eq!(junit["suites"][1], "cache-eviction.warm");
    assert_eq!(list(junit, "/cases")[4], "completed");
    let failed = &junit["failed"][0];
    assert_eq!((&failed["line"], failed["file"].as_str()), (&json!("40"), Some(PLAN)));
    let why = failed["why"].as_str().expect("a text");
    for part in ["actual: 12.5 %", "limit: 1 %", "samples: 8", "eviction.yaml:40:9"] {
        assert!(why.contains(part), "{part} is not in {why}");
    }
}

const PLAN: &str = "scenarios/cache-eviction.yaml";

#[test]
fn a_database_keeps_earlier_runs_and_refuses_a_table_of_somebody_else() {
    if cfg!(not(feature = "sqlite")) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    for _ in 0..2 {
        let (_, done) = record_run(folder.path(), lines(), open_sinks(folder.path(), &FILES));
        assert!(done.sink_failures.is_empty(), "{:?}", done.sink_failures);
    }
    let Some(read) = read_back(folder.path()) else { return };
    assert_eq!(list(&read, "/sqlite/ids").len(), 48);
    assert_eq!(list(&read, "/sqlite/runs").len(), 2);
    assert_eq!(list(&read, "/csv/ids").len(), 24);

    let other = folder.path().join("other.sqlite");
    let make =
        "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('CREATE TABLE stages (x)')";
    let done = Command::new("python3").args(["-c", make]).arg(&other).status();
    assert!(done.is_ok_and(|status| status.success()));
    let config = runner::plan::SinkConfig {
        kind: SinkKind::Sqlite,
        target: "other.sqlite".into(),
        required: true,
    };
    let error = runner::sink::open_all(&[config], folder.path(), &Background::default())
        .err()
        .expect("another shape");
    assert!(error.message.contains("`stages` is none of ours"), "{error}");
}

#[test]
fn a_parquet_file_is_whole_after_every_write() {
    let folder = tempfile::tempdir().expect("a folder");
    let targets = [(SinkKind::Parquet, "requests.parquet", true)];
    let sinks = open_sinks(folder.path(), &targets);
    let bytes = || std::fs::read(folder.path().join("requests.parquet")).expect("there");
    let is_whole = |bytes: &[u8]| {
        let end = bytes.len();
        let length = <[u8; 4]>::try_from(&bytes[end - 8..end - 4]).expect("four bytes");
        let footer = usize::try_from(u32::from_le_bytes(length)).expect("small");
        bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1") && footer + 12 <= end
    };
    // Nobody has sent a line yet: what stood there before would stand there still.
    assert!(bytes().is_empty());
    let (_, done) = record_run(folder.path(), lines(), sinks);
    assert!(done.sink_failures.is_empty(), "{:?}", done.sink_failures);
    assert!(is_whole(&bytes()));
    assert!(bytes().windows(11).any(|name| name == b"first_token"));
}

/// A page of metrics, strictly: every sample of a declared family, once, with a number.
fn samples(page: &str) -> std::collections::BTreeMap<String, String> {
    let mut families = std::collections::BTreeMap::new();
    let mut samples = std::collections::BTreeMap::new();
    for line in page.lines() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            let (name, kind) = declared.split_once(' ').expect("a name and a type");
            assert!(families.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} twice");
            continue;
        }
        if line.starts_with("# HELP ") {
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect("a series and a value");
        let name = series.split('{').next().expect("a name");
        let is_declared = families.contains_key(name)
            || ["_bucket", "_sum", "_count"].iter().any(|part| {
                let family = name.strip_suffix(part).and_then(|family| families.get(family));
                family.is_some_and(|kind| kind == "histogram")
            });
        assert!(is_declared, "{name} has no TYPE");
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let known = samples.insert(series.to_owned(), value.to_owned());
        assert!(known.is_none(), "{series} twice");
    }
    samples
}

fn get(address: &str, path: &str) -> String {
    let mut server = TcpStream::connect(address).expect("it listens");
    write!(server, "GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").expect("sent");
    let mut answer = String::new();
    server.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn metrics_are_served_while_the_run_goes_on_and_the_port_is_given_back() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("bound").to_string();
    drop(free);
    let folder = tempfile::tempdir().expect("a folder");
    let mut sinks = open_sinks(folder.path(), &[(SinkKind::Prometheus, &address, true)]);
    let mut sink = sinks.remove(0).sink;
    let mut pages = Vec::new();
    for (seq, line) in (0..).zip(lines()) {
        sink.line(seq, &line).expect("taken");
        if matches!(line, Line::StageEnd(_)) {
            pages.push(get(&address, "/metrics"));
        }
    }
    assert!(get(&address, "/else").starts_with("HTTP/1.1 404"));
    // Somebody who says nothing holds nobody up for long.
    let _silent = TcpStream::connect(&address).expect("it listens");
    let last = get(&address, "/metrics?x=1");
    let (head, page) = last.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    assert!(head.contains("Content-Type: text/plain; version=0.0.4"), "{head}");
    let samples = samples(page);
    let of = |series: &str| samples.get(series).unwrap_or_else(|| panic!("no {series}"));
    let cold = "stage=\"cold\",kind=\"cold\",cell=\"\",rung=\"\"";
    assert_eq!(of(&format!("runner_requests_total{{{cold},outcome=\"ok\"}}")), "8");
    assert_eq!(of(&format!("runner_ttft_seconds_count{{{cold}}}")), "8");
    assert_eq!(of(&format!("runner_ttft_seconds_bucket{{{cold},le=\"0.25\"}}")), "0");
    assert_eq!(of(&format!("runner_ttft_seconds_bucket{{{cold},le=\"0.5\"}}")), "8");
    assert_eq!(of(&format!("runner_output_tokens_total{{{cold}}}")), "128");
    let after = "stage=\"after_flush\",kind=\"cold\",cell=\"\",rung=\"\"";
    assert_eq!(of(&format!("runner_errors_total{{{after},class=\"http.503\"}}")), "1");
    assert_eq!(pages.len(), 4);
    assert!(!pages[0].contains("stage=\"warm\"") && pages[1].contains("stage=\"warm\""));
    drop(sink);
    let patience = std::time::Instant::now();
    while TcpListener::bind(&address).is_err() {
        assert!(patience.elapsed().as_secs() < 20, "the port is still taken");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// A service that takes posts: their head and body.
fn gateway(status: &'static str) -> (String, mpsc::Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://me:open%20sesame@{}", listener.local_addr().expect("bound"));
    let (send, posts) = mpsc::channel();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut reader = BufReader::new(client.expect("a client"));
            let (mut head, mut length) = (String::new(), 0);
            while !head.ends_with("\r\n\r\n") {
                if reader.read_line(&mut head).expect("a line") == 0 {
                    break;
                }
            }
            for line in head.lines() {
                if let Some((name, value)) = line.split_once(':')
                    && name.eq_ignore_ascii_case("content-length")
                {
                    length = value.trim().parse().expect("a length");
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).expect("a body");
            // Told before it is answered, so that a test that got its answer finds it.
            if send.send((head, body)).is_err() {
                return;
            }
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\nbusy\n");
            reader.get_mut().write_all(answer.as_bytes()).expect("answered");
        }
    });
    (url, posts)
}

#[test]
fn a_gateway_gets_the_last_figures_with_the_verdict() {
    let (url, posts) = gateway("200 OK");
    let folder = tempfile::tempdir().expect("a folder");
    let sinks = open_sinks(folder.path(), &[(SinkKind::Prometheus, &url, true)]);
    let (_, done) = record_run(folder.path(), lines(), sinks);
    assert!(done.sink_failures.is_empty(), "{:?}", done.sink_failures);
    let (head, body) = posts.try_iter().last().expect("at least one post");
    assert!(head.starts_with("POST /metrics/job/runner HTTP/1.1"), "{head}");
    assert!(head.contains("authorization: Basic bWU6b3BlbiUyMHNlc2FtZQ=="), "{head}");
    let samples = samples(&String::from_utf8(body).expect("text"));
    assert_eq!(samples["runner_run_exit_code{}"], "10");
    let passed =
        |(name, value): &(&String, &String)| name.starts_with("runner_threshold") && *value == "1";
    assert_eq!(samples.iter().filter(passed).count(), 4);
}

#[test]
fn a_collector_gets_cumulative_metrics_as_otlp_json() {
    let (url, posts) = gateway("200 OK");
    let folder = tempfile::tempdir().expect("a folder");
    let sinks = open_sinks(folder.path(), &[(SinkKind::Otlp, &url, true)]);
    let (_, done) = record_run(folder.path(), lines(), sinks);
    assert!(done.sink_failures.is_empty(), "{:?}", done.sink_failures);
    let (head, body) = posts.try_iter().last().expect("at least one post");
    assert!(head.starts_with("POST /v1/metrics HTTP/1.1"), "{head}");
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    let metrics = list(&body, "/resourceMetrics/0/scopeMetrics/0/metrics");
    let ttft = metrics.iter().find(|metric| metric["name"] == "runner.ttft").expect("there");
    let points = list(ttft, "/histogram/dataPoints");
    assert_eq!(points.len(), 4);
    assert_eq!(points[0]["count"], "8");
    let (counts, bounds) = (list(&points[0], "/bucketCounts"), list(&points[0], "/explicitBounds"));
    assert_eq!(counts.len(), bounds.len() + 1);
    let requests = metrics.iter().find(|metric| metric["name"] == "runner.requests");
    let sum: u64 = list(requests.expect("there"), "/sum/dataPoints")
        .iter()
        .map(|point| point["asInt"].as_str().expect("text").parse::<u64>().expect("a number"))
        .sum();
    assert_eq!(sum, 24);
}

#[test]
fn a_gateway_that_refuses_is_a_note_without_the_password() {
    let (url, _posts) = gateway("503 Service Unavailable");
    let folder = tempfile::tempdir().expect("a folder");
    let sinks = open_sinks(folder.path(), &[(SinkKind::Otlp, &url, false)]);
    let (run, done) = record_run(folder.path(), lines(), sinks);
    let failure = &done.sink_failures[0];
    assert!(failure.message.contains("pushes failed: HTTP 503: busy"), "{failure:?}");
    assert_eq!(done.summary.verdict.exit_code, 10, "the checks decide, not the sink");
    let report = text_report(&run);
    assert!(report.contains("sink otlp:http://127.0.0.1") && !report.contains("sesame"));
}

//! What comes from outside as bytes, with something of it changed: answers of servers (events, dialects,
//! HTTP itself), pages of metrics, record logs, datasets.
//!
//! In: numbers, as for plans; the corpus is `tests/streams`, `datasets/samples` and what tests record. Out:
//! nothing but what breaks. By hand, each for as long as wanted:
//!
//! ```sh
//! RUNNER_FUZZ=streams RUNNER_FUZZ_SECONDS=3600 cargo test --test it bytes::for_a_while -- --ignored --nocapture
//! ```
//!
//! `RUNNER_FUZZ` is `streams`, `http`, `pages`, `logs` or `datasets`; `RUNNER_FUZZ_CASE=NUMBER` runs one case.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use runner::client::dialect::{self, Deltas};
use runner::client::framing::Splitter;
use runner::executor::{rebuild::rebuild, recover::recover};
use runner::metrics::record_log::segment_name;
use runner::metrics::server::{self, GPU, SERVER};
use runner::plan::workload::{DatasetConfig, OnMalformed};
use runner::plan::{Api, Timeouts};
use runner::workload::dataset::Dataset;

use crate::client::{class, exchange, limited};
use crate::evidence::fixture;
use crate::faulty_server::{FaultyServer, Step};

const APIS: [&str; 11] = [
    "openai-chat",
    "openai-completions",
    "openai-responses",
    "anthropic-messages",
    "ollama-chat",
    "ollama-generate",
    "tgi",
    "triton",
    "sglang",
    "llamacpp-completion",
    "json",
];

/// What readers may stumble over.
const NASTY: &[&[u8]] = &[
    b"\n",
    b"\n\n",
    b"\r",
    b"\r\n",
    b"\0",
    b"\x1b[2J",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",
    b"data: ",
    b"data:",
    b": ping\n\n",
    b"event: error\n",
    b"[DONE]",
    b"null",
    b"true",
    b"-1",
    b"1e999",
    b"1e-999",
    b"NaN",
    b"+Inf",
    b"18446744073709551615",
    b"18446744073709551616",
    b"-9223372036854775809",
    b"0.1",
    b"{}",
    b"[]",
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"\\ud83d\\ude00",
    b",",
    b":",
    b"\"choices\":",
    b"\"index\":1,",
    b"\"index\":99999999999,",
    b"\"content\":",
    b"\"finish_reason\":\"stop\"",
    b"\"usage\":null",
    b"\"type\":\"end\"",
    b"\"type\":\"stage_end\"",
    b"\"seq\":",
    b"HTTP/1.1 200 OK\r\n",
    b"Content-Length: 7\r\n",
    b"Content-Length: -1\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Encoding: gzip\r\n",
    b"ffffffff\r\n",
    b"0\r\n\r\n",
    b"# TYPE x counter\n",
    b"{le=\"+Inf\"} ",
    b"\xf0\x9f\xa6\x80",
];

/// A file of the corpus, changed.
fn mutated(corpus: &[Vec<u8>], number: u64) -> (Vec<u8>, ChaCha8Rng) {
    let mut rng = ChaCha8Rng::seed_from_u64(number);
    let mut bytes = corpus[rng.random_range(0..corpus.len())].clone();
    loop {
        let at = rng.random_range(0..=bytes.len());
        let length = rng.random_range(0..80).min(bytes.len() - at);
        let nasty = NASTY[rng.random_range(0..NASTY.len())];
        match rng.random_range(0..9) {
            0 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8_u8),
            1 => drop(bytes.drain(at..at + length)),
            2 => {
                let part = bytes[at..at + length].to_vec();
                drop(bytes.splice(at..at, part));
            }
            3 => {
                let other = &corpus[rng.random_range(0..corpus.len())];
                let from = rng.random_range(0..=other.len());
                let to = (from + rng.random_range(0..300)).min(other.len());
                drop(bytes.splice(at..at, other[from..to].iter().copied()));
            }
            // A number becomes another.
            4 => {
                let is_digit = |byte: &u8| byte.is_ascii_digit();
                if let Some(from) = bytes[at..].iter().position(is_digit).map(|it| at + it) {
                    let length = bytes[from..].iter().take_while(|it| is_digit(it)).count();
                    drop(bytes.splice(from..from + length, nasty.iter().copied()));
                }
            }
            5 if rng.random_range(0..4) == 0 => bytes.truncate(at),
            6 => {
                let many = nasty.repeat(rng.random_range(1..200));
                drop(bytes.splice(at..at, many));
            }
            _ => drop(bytes.splice(at..at, nasty.iter().copied())),
        }
        if rng.random_range(0..5) < 2 {
            return (bytes, rng);
        }
    }
}

fn read(folder: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    paths
        .into_iter()
        .filter(|path| path.is_file())
        .map(|path| fs::read(path).expect("readable"))
        .collect()
}

/// Recorded answers, head and body.
fn answers() -> &'static [Vec<u8>] {
    static ANSWERS: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    ANSWERS.get_or_init(|| [read("tests/streams"), read("tests/streams/published")].concat())
}

/// Their bodies alone.
fn bodies() -> &'static [Vec<u8>] {
    static BODIES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    BODIES.get_or_init(|| {
        let body = |answer: &Vec<u8>| {
            let head =
                answer.windows(4).position(|four| four == b"\r\n\r\n").map_or(0, |it| it + 4);
            answer[head..].to_vec()
        };
        answers().iter().map(body).collect()
    })
}

/// What a stream's events say, in the order of their coming: text by text, and how it ended.
type Said = (Vec<(String, String)>, Option<String>, bool);

fn said(api: &Api, chunks: &[&[u8]]) -> Said {
    let dialect = dialect::of(api);
    let mut splitter = Splitter::new(dialect.framing(), 1 << 20);
    let mut deltas = Deltas::default();
    let (mut texts, mut error) = (Vec::new(), None);
    let mut on_event = |event: &str| {
        if error.is_some() {
            return;
        }
        match dialect.decode(event.as_bytes(), &mut deltas) {
            Ok(()) => texts.push((deltas.content.clone(), deltas.reasoning.clone())),
            Err(why) => error = Some(why.to_string()),
        }
        let parts: usize =
            deltas.parts.iter().map(|(_, content, reasoning)| content + reasoning).sum();
        assert!(deltas.parts.is_empty() || parts == deltas.content.len() + deltas.reasoning.len());
    };
    let mut failed = false;
    for chunk in chunks {
        failed |= splitter.push(chunk, &mut on_event).is_err();
    }
    let lossy = splitter.lossy();
    splitter.finish(&mut on_event);
    (texts, error, failed || lossy)
}

/// Any API reads any stream, and where it is cut changes nothing; nothing is longer than what came. A
/// text that is read without parsing its event is the one that parsing it gives.
fn stream(number: u64) {
    let (bytes, mut rng) = mutated(bodies(), number);
    let name = APIS[rng.random_range(0..APIS.len())];
    let api = Api::of_name(name).expect("an API");
    let whole = said(&api, &[&bytes]);
    let cut = rng.random_range(0..=bytes.len());
    assert_eq!(said(&api, &[&bytes[..cut], &bytes[cut..]]), whole, "{name} cut at {cut}");
    assert_eq!(said(&api, &bytes.chunks(7).collect::<Vec<_>>()), whole, "{name} in sevens");
    let length: usize =
        whole.0.iter().map(|(content, reasoning)| content.len() + reasoning.len()).sum();
    // A byte that is no text becomes three; tools' names and arguments stand between words of ours.
    assert!(length <= 4 * bytes.len() + 64 * whole.0.len(), "{length} of {} bytes", bytes.len());
    let mut deltas = Deltas::default();
    let dialect = dialect::of(&api);
    let _any_answer = dialect.decode_body(&bytes, &mut deltas);
    let _any_message = dialect::body_message(&bytes);
    if matches!(api, Api::OpenaiChat | Api::OpenaiCompletions) {
        let mut splitter = Splitter::new(dialect.framing(), 1 << 20);
        let mut running = Deltas::default();
        let _any_end = splitter.push(&bytes, &mut |event| {
            let mut alone = Deltas::default();
            let event = event.as_bytes();
            let (one, other) =
                (dialect.decode(event, &mut running), dialect.decode(event, &mut alone));
            assert_eq!(one.is_ok(), other.is_ok(), "{}", String::from_utf8_lossy(event));
            if one.is_ok() {
                let of = |it: &Deltas| {
                    (it.content.clone(), it.reasoning.clone(), it.usage, it.done, it.choices)
                };
                assert_eq!(of(&running), of(&alone), "{}", String::from_utf8_lossy(event));
            }
        });
    }
}

/// Over a socket, head and all: each exchange ends in one way, in time.
fn http(number: u64) {
    let (bytes, _) = mutated(answers(), number);
    let length = bytes.len() as u64;
    let server = FaultyServer::script(vec![Step::Read, Step::Send(bytes)]);
    let soon = |limits: &mut Timeouts| {
        limits.headers = Duration::from_secs(5);
        limits.idle = Duration::from_secs(5);
    };
    let endpoint = limited(&server.url(), soon);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let ended = runtime.block_on(exchange(&endpoint));
    let class = class(&ended);
    assert!(ended.bytes_in <= length, "{} of {length} bytes", ended.bytes_in);
    assert!(ended.token_ns.is_sorted() && ended.token_ns.iter().all(|it| *it >= ended.sent_ns));
    assert_eq!(class == "ok", ended.error_message.is_none(), "{class}");
    assert!(!class.starts_with("timeout"), "{class}: a closed connection was waited for");
}

const PAGE: &str = "# HELP vllm:prompt_tokens_total Number of prefill tokens processed.\n\
    # TYPE vllm:prompt_tokens_total counter\n\
    vllm:prompt_tokens_total{model_name=\"a b\",engine=\"0\"} 1.2345e+04 1700000000000\n\
    vllm:prompt_tokens_total{model_name=\"a\\\"}\\\\\\nb\",engine=\"1\"} 7\n\
    vllm:gpu_cache_usage_perc{engine=\"0\"} NaN\n\
    vllm:num_requests_running 3.0\n\
    vllm:time_to_first_token_seconds_bucket{le=\"0.1\"} 5\n\
    vllm:time_to_first_token_seconds_bucket{le=\"+Inf\"} 9\n\
    vllm:time_to_first_token_seconds_sum 1.5 # {trace_id=\"x\"} 0.1\n\
    vllm:time_to_first_token_seconds_count 9\n\
    vllm:cache_config_info{block_size=\"16\",cache_dtype=\"auto\"} 1\n\
    sglang:num_running_reqs 1\nllamacpp:prompt_tokens_total 12\n\n# EOF\n";

/// Any page of metrics is read: finite numbers, and no more of them than it has lines.
fn page(number: u64) {
    let corpus = [PAGE.as_bytes().to_vec(), PAGE.replace(' ', "\t").into_bytes()];
    let (bytes, _) = mutated(&corpus, number);
    let text = String::from_utf8_lossy(&bytes);
    let watched = ["vllm:prompt_tokens_total".to_owned(), "x".to_owned()];
    for table in [SERVER, GPU] {
        let server::Reading { counters, gauges, .. } = server::read(&text, table, &watched);
        let values = || counters.values().chain(gauges.values());
        assert!(values().all(|value| !value.is_nan()), "{counters:?} {gauges:?}");
        let samples = text.lines().count() + 1;
        assert!(values().count() <= 4 * samples * (1 + table.len()), "{} values", values().count());
    }
}

/// Any log is read, put in order and summed up, and what it says adds up or is called damaged.
fn log(number: u64) {
    static LOG: OnceLock<Vec<u8>> = OnceLock::new();
    let log = LOG.get_or_init(|| {
        let results = tempfile::tempdir().expect("a folder");
        let (run, _) = fixture::record_run(results.path(), fixture::lines(), vec![]);
        fs::read(run.join(segment_name(1))).expect("a log")
    });
    let (bytes, mut rng) = mutated(std::slice::from_ref(log), number);
    let folder = tempfile::tempdir().expect("a folder");
    let run = folder.path().join("20260101-000000-abcdef");
    fs::create_dir(&run).expect("made");
    fs::write(run.join(segment_name(1)), &bytes).expect("written");
    if rng.random_range(0..2) == 0 {
        let _any_answer = recover(&run);
    }
    let Ok(rebuilt) = rebuild(&run) else { return };
    for stage in &rebuilt.summary.stages {
        let counts = &stage.counts;
        let adds_up = counts.accounted() == counts.planned;
        assert!(
            adds_up || !rebuilt.summary.run.valid,
            "{counts:?}: {:?}",
            rebuilt.summary.run.notes
        );
    }
}

/// Any dataset is read, or refused in words.
fn dataset(number: u64) {
    static SAMPLES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    let samples = SAMPLES.get_or_init(|| read("datasets/samples"));
    let (bytes, _) = mutated(samples, number);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("any");
    fs::write(&path, &bytes).expect("written");
    for malformed in [OnMalformed::Skip, OnMalformed::Error] {
        let mut config = DatasetConfig::of(path.to_str().expect("UTF-8"));
        config.malformed = malformed;
        match Dataset::open(&config) {
            Ok(dataset) => {
                if let Err(error) = dataset.rows().try_for_each(|row| row.map(drop)) {
                    assert!(!error.to_string().is_empty());
                }
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

/// Name, what is done with a number, and how many numbers every test run takes.
type Target = (&'static str, fn(u64), u64);

const TARGETS: [Target; 5] = [
    ("streams", stream, 3_000),
    ("http", http, 150),
    ("pages", page, 2_000),
    ("logs", log, 300),
    ("datasets", dataset, 400),
];

/// Cases that broke a reader once, beyond those of every run: a Parquet dictionary of 1.3 billion values,
/// for which the library asked for 43 GB.
const FOUND: [(&str, u64); 1] = [("datasets", 4_295_505_436)];

fn every(name: &str) {
    let (_, target, count) = TARGETS.iter().find(|(it, ..)| *it == name).expect("a target");
    let found = FOUND.iter().filter(|(it, _)| *it == name).map(|(_, number)| *number);
    for number in (0..*count).chain(found) {
        let broke = catch_unwind(AssertUnwindSafe(|| target(number))).is_err();
        assert!(!broke, "RUNNER_FUZZ={name} RUNNER_FUZZ_CASE={number} breaks it");
    }
}

#[test]
fn any_mutation_of_what_a_server_sends_is_answered() {
    every("streams");
    every("http");
}

#[test]
fn any_mutation_of_a_page_of_metrics_is_read() {
    every("pages");
}

#[test]
fn any_mutation_of_a_record_log_adds_up_or_is_called_damaged() {
    every("logs");
}

#[test]
fn any_mutation_of_a_dataset_is_read_or_refused() {
    every("datasets");
}

#[test]
#[ignore = "runs for as long as RUNNER_FUZZ_SECONDS says"]
fn for_a_while() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let name = std::env::var("RUNNER_FUZZ").expect("RUNNER_FUZZ names a target");
    let (_, target, _) =
        TARGETS.iter().find(|(it, ..)| *it == name).expect("a target of that name");
    if let Some(case) = number("RUNNER_FUZZ_CASE") {
        return target(case);
    }
    let folder = Path::new("target/fuzz");
    fs::create_dir_all(folder).expect("a folder");
    let end = Instant::now() + Duration::from_secs(number("RUNNER_FUZZ_SECONDS").unwrap_or(60));
    let first = number("RUNNER_FUZZ_FROM").unwrap_or(1 << 32);
    let (mut at, mut failed, mut slowest) = (first, Vec::new(), (Duration::ZERO, 0));
    while Instant::now() < end {
        fs::write(folder.join(format!("current-{name}")), at.to_string()).expect("written");
        let began = Instant::now();
        if catch_unwind(AssertUnwindSafe(|| target(at))).is_err() {
            failed.push(at);
        }
        slowest = slowest.max((began.elapsed(), at));
        at += 1;
    }
    println!("{name}: {} cases, failed {failed:?}, slowest {slowest:?}", at - first);
    assert!(failed.is_empty(), "{failed:?}");
}

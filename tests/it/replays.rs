//! Logs replayed against the simulator and a server that keeps what it was sent.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::process::Output;
use std::time::Duration;

use runner::plan::{SampleHash, SimulatorConfig};
use runner::simulator::{Simulator, Truth};
use runner::workload::dataset::{keeps, md5_place};
use serde_json::{Value, json};

use crate::faulty_server::{FaultyServer, stream};
use crate::sandbox::{Sandbox, code, records, stage, stderr};

/// A row of a log: when, in milliseconds, in which conversation, and what was said in all.
fn row(at_ms: u64, session: &str, said: &[(&str, &str)]) -> Value {
    let messages: Vec<Value> =
        said.iter().map(|(role, text)| json!({ "role": role, "content": text })).collect();
    json!({ "timestamp": at_ms as f64 / 1e3, "session": session, "messages": messages })
}

/// A row whose only message is a question.
fn question(at_ms: u64, session: &str) -> Value {
    row(at_ms, session, &[("user", "What became of the lighthouse after the storm?")])
}

/// A folder with `log.jsonl` and a plan whose only stage replays it.
struct Replayed {
    sandbox: Sandbox,
    plan: String,
}

impl Replayed {
    fn new(rows: &[Value], endpoint: &str, stage: &str) -> Self {
        let sandbox = Sandbox::new();
        let rows: Vec<String> = rows.iter().map(Value::to_string).collect();
        fs::write(sandbox.dir.path().join("log.jsonl"), rows.join("\n")).expect("a log");
        let plan = format!(
            "version: 1\nendpoint: {endpoint}\n\
             prompt: {{ dataset: log.jsonl, max_tokens: 4 }}\n\
             stages: [{{ id: again, kind: replay, max_lag: 60s{stage} }}]\n"
        );
        Self { sandbox, plan }
    }

    fn run(&self) -> Output {
        self.sandbox.plan(&self.plan);
        self.sandbox.run(&["run", "plan.yaml"])
    }

    /// Runs it; it must pass.
    fn passes(&self) -> Vec<Value> {
        let output = self.run();
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        self.records()
    }

    /// The requests' records, by number.
    fn records(&self) -> Vec<Value> {
        let mut records = records(&self.sandbox.run_dir());
        records.retain(|record| record["stage"] == "again");
        records.sort_by_key(|record| record["index"].as_u64());
        records
    }

    fn stage(&self) -> Value {
        stage(&self.sandbox.summary(), "again").clone()
    }
}

const QUICK: &str = "{ simulator: { prefill_rate: 1M, decode_rate: 2k, overhead: 0ms } }";

fn simulator() -> Simulator {
    let config = SimulatorConfig { overhead: Duration::ZERO, ..SimulatorConfig::default() };
    Simulator::start(config, SocketAddr::from(([127, 0, 0, 1], 0))).expect("it starts")
}

/// When requests were read, from the first on, in the order of their numbers.
fn read_at(truth: &[Truth]) -> Vec<f64> {
    let number = |it: &Truth| {
        let id = it.request_id.as_deref().expect("ours have one");
        id.rsplit('-').next().and_then(|number| number.parse::<u64>().ok())
    };
    let by_number: BTreeMap<_, u64> = truth.iter().map(|it| (number(it), it.read_ns)).collect();
    let first = by_number.values().next().copied().expect("some were read");
    by_number.values().map(|read| (*read as f64 - first as f64) / 1e9).collect()
}

#[test]
fn the_server_sees_the_spacing_of_the_log_divided_by_the_speed() {
    let at = [0, 250, 300, 1_000, 1_700, 1_750, 2_400];
    let rows: Vec<Value> =
        at.iter().map(|ms| question(1_700_000_000_100 + ms, &format!("c{ms}"))).collect();
    for speed in [1.0, 2.0] {
        let server = simulator();
        let replay = Replayed::new(&rows, &server.base_url(), &format!(", speed: {speed}"));
        let records = replay.passes();
        let seen = read_at(&server.truth());
        assert_eq!((seen.len(), records.len()), (at.len(), at.len()));
        let due = |index: usize| records[index]["due_ns"].as_f64().expect("due") / 1e9;
        for (index, ms) in at.into_iter().enumerate() {
            let expected = ms as f64 / 1e3 / speed;
            let asked = due(index) - due(0);
            assert!((asked - expected).abs() < 1e-6, "{asked} s for {expected} s at {speed}");
            // The machine may be busy; an hour of the log would still be an hour.
            let late = seen[index] - expected;
            assert!(late.abs() < 1.5, "{late} s late at {expected} s and speed {speed}");
        }
        assert!(seen.is_sorted(), "{seen:?}");
    }
}

#[test]
fn rows_out_of_order_are_sent_by_their_stamps() {
    let rows = [question(900, "late"), question(100, "early"), question(500, "middle")];
    let records = Replayed::new(&rows, QUICK, "").passes();
    let sessions: Vec<&Value> = records.iter().map(|record| &record["session"]).collect();
    assert_eq!(sessions, ["early", "middle", "late"]);
}

/// When the requests of a log of whole seconds are due, in nanoseconds from the first.
fn dues(stage: &str, rows: &[Value]) -> BTreeMap<String, u64> {
    let replay = Replayed::new(rows, QUICK, &format!(", speed: 10{stage}"));
    let records = replay.passes();
    let due = |record: &Value| record["due_ns"].as_u64().expect("it was due");
    let start = due(&records[0]);
    records
        .iter()
        .map(|record| (record["session"].as_str().expect("a name").to_owned(), due(record) - start))
        .collect()
}

#[test]
fn stamps_of_whole_seconds_are_spread_over_them_the_same_in_every_run_and_sample() {
    let rows: Vec<Value> = (0..40_u64)
        .map(|number| question(1_700_000_000_000 + number / 20 * 1_000, &format!("c{number}")))
        .collect();
    let gaps = |dues: &BTreeMap<String, u64>| -> Vec<(String, i64)> {
        let zero = dues["c3"].cast_signed();
        dues.iter().map(|(name, due)| (name.clone(), due.cast_signed() - zero)).collect()
    };
    let first = dues("", &rows);
    assert_eq!(gaps(&first), gaps(&dues("", &rows)), "from run to run");
    let of_second = |from: usize| (from..from + 20).map(|it| first[&format!("c{it}")]);
    assert!(of_second(0).max() < of_second(20).min(), "each stays in its second");
    let mut places: Vec<u64> = of_second(0).collect();
    assert!(places.is_sorted(), "the log's order");
    places.dedup();
    assert_eq!(places.len(), 20, "no two at once");

    let half = dues(", sample: { from: 0%, to: 50% }", &rows);
    assert!(half.len() > 5 && half.len() < 35, "{}", half.len());
    let (names, whole): (Vec<&String>, Vec<u64>) =
        half.keys().map(|name| (name, first[name])).unzip();
    let shift = |name: &String| half[name].cast_signed() - first[name].cast_signed();
    assert!(names.iter().all(|name| shift(name) == shift(names[0])), "{whole:?}");

    let burst = dues(", spread_seconds: false", &rows);
    let at_once: std::collections::BTreeSet<u64> = burst.values().copied().collect();
    assert_eq!(at_once.len(), 2, "two seconds, two bursts");
}

/// Three conversations of four turns, all due within a few milliseconds.
fn hurried() -> Vec<Value> {
    let turn = |number: u64, session: u64| {
        let mut said = vec![("system", "Be brief and kind to every visitor of the museum.")];
        for _ in 0..number {
            said.extend([("user", "And what happened then?"), ("assistant", "Nothing.")]);
        }
        said.push(("user", "And what happened then?"));
        row(number * 10 + session, &format!("s{session}"), &said)
    };
    (0..4).flat_map(|number| (0..3).map(move |session| turn(number, session))).collect()
}

fn by_session(records: &[Value]) -> BTreeMap<&str, Vec<&Value>> {
    let mut sessions: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for record in records {
        sessions.entry(record["session"].as_str().unwrap_or("")).or_default().push(record);
    }
    sessions
}

const SLOW: &str = "{ simulator: { prefill_rate: 1M, decode_rate: 100, overhead: 0ms } }";

#[test]
fn turns_of_one_conversation_never_overlap_unless_they_may() {
    let replay = Replayed::new(&hurried(), SLOW, "");
    let records = replay.passes();
    assert_eq!(records.len(), 12);
    for turns in by_session(&records).values() {
        for pair in turns.windows(2) {
            assert!(pair[0]["end_ns"].as_u64() <= pair[1]["sent_ns"].as_u64(), "{pair:?}");
            // It is due when it may go: the wait is no lag of the generator's.
            assert!(pair[0]["end_ns"].as_u64() <= pair[1]["due_ns"].as_u64(), "{pair:?}");
        }
    }
    let reason = replay.stage()["reason"].to_string();
    assert!(reason.contains("9 turns waited for the one before"), "{reason}");

    let records = Replayed::new(&hurried(), SLOW, ", overlap: true").passes();
    let overlap = by_session(&records).values().any(|turns| {
        turns.windows(2).any(|pair| pair[1]["sent_ns"].as_u64() < pair[0]["end_ns"].as_u64())
    });
    assert!(overlap, "each was sent when it was due");
}

#[test]
fn a_failed_turn_leaves_its_successors_unsent_and_counted() {
    let endpoint = "{ simulator: { prefill_rate: 1M, decode_rate: 100, overhead: 0ms, \
                    faults: [{ from: 1, status: 500 }] } }";
    let replay = Replayed::new(&hurried(), endpoint, "");
    let _some_failed = replay.run();
    let counts = replay.stage()["counts"].clone();
    assert_eq!(
        (&counts["planned"], &counts["ok"], &counts["errors"], &counts["never_started"]),
        (&json!(12), &json!(8), &json!(1), &json!(3)),
        "{counts}"
    );
    let records = replay.records();
    assert_eq!(records.len(), 12, "one line for each");
    let broken: Vec<Vec<&str>> = by_session(&records)
        .values()
        .map(|turns| turns.iter().filter_map(|turn| turn["outcome"].as_str()).collect())
        .filter(|outcomes: &Vec<&str>| outcomes.contains(&"http"))
        .collect();
    assert_eq!(broken, [["http", "never_started", "never_started", "never_started"]]);
    let reason = replay.stage()["reason"].to_string();
    assert!(reason.contains("1 conversation broke off; 3 of their turns"), "{reason}");
}

#[test]
fn a_dropped_turn_breaks_its_conversation_and_everything_is_counted() {
    let replay = Replayed::new(&hurried(), SLOW, ", max_in_flight: 1, when_full: drop");
    let _dropped = replay.run();
    let counts = replay.stage()["counts"].clone();
    let count = |name: &str| counts[name].as_u64().unwrap_or(0);
    assert_eq!(count("planned"), 12);
    assert!(count("dropped_late") > 0 && count("never_started") > 0, "{counts}");
    assert_eq!(count("ok") + count("dropped_late") + count("never_started"), 12, "{counts}");
    let records = replay.records();
    assert!(records.iter().all(|record| record["session"].is_string()), "{records:#?}");
}

#[test]
fn a_large_packed_log_far_out_of_order_is_refused_before_anything_is_sent() {
    let server =
        Simulator::start(SimulatorConfig::default(), SocketAddr::from(([127, 0, 0, 1], 0)));
    let server = server.expect("it starts");
    let endpoint = format!("{{ url: \"{}\" }}", server.base_url());
    let mut replay = Replayed::new(&[], &endpoint, "");
    replay.plan = replay.plan.replace("log.jsonl", "log.jsonl.gz");
    let path = replay.sandbox.dir.path().join("log.jsonl.gz");
    let file = fs::File::create(path).expect("a file");
    // Stored as it is, so that it is large when packed, too.
    let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::none());
    let text = "A long story. ".repeat(35_000);
    for number in 0..80 {
        let row = row(1_000 * (80 - number), &format!("s{number}"), &[("user", &text)]);
        writeln!(packed, "{row}").expect("written");
    }
    packed.finish().expect("written");
    let output = replay.run();
    assert_eq!(code(&output), 4, "{}", stderr(&output));
    let said = stderr(&output);
    assert!(
        said.contains("stage `again`: the log is packed") && said.contains("nothing was sent"),
        "{said}"
    );
    assert!(server.truth().is_empty());
    assert!(replay.sandbox.runs("results").is_empty());
}

#[test]
fn answers_of_this_run_stand_in_later_turns_if_asked() {
    let tokens = |history: &str| -> Vec<u64> {
        let rows = hurried();
        let log: Vec<Value> = rows.into_iter().filter(|row| row["session"] == "s0").collect();
        let mut replay = Replayed::new(&log, QUICK, history);
        replay.plan = replay.plan.replace("max_tokens: 4", "max_tokens: 40");
        let records = replay.passes();
        records.iter().filter_map(|record| record["input_tokens"]["server"].as_u64()).collect()
    };
    let (recorded, live) = (tokens(""), tokens(", history: live"));
    assert_eq!((recorded.len(), live.len()), (4, 4));
    assert_eq!(recorded[0], live[0]);
    // "Nothing." gives way to forty tokens, in each turn once more.
    for turn in 1..4 {
        let more = live[turn] - recorded[turn];
        assert!(more > 25 * turn as u64, "turn {turn}: {live:?} {recorded:?}");
    }
}

#[test]
fn the_sample_takes_whole_conversations_by_the_md5_of_their_ids() {
    // From another implementation: the first four bytes of MD5("conv-N") over 2^32.
    let places = [
        0.546_556_241_344_660_5,
        0.636_327_018_262_818_5,
        0.470_784_909_790_381_8,
        0.290_494_566_084_807_05,
        0.747_123_276_116_326_5,
        0.955_551_798_921_078_4,
    ];
    let rows: Vec<Value> =
        (0..18).map(|number| question(number * 5, &format!("conv-{}", number % 6))).collect();
    for (number, place) in places.iter().enumerate() {
        assert!((md5_place(&format!("conv-{number}")) - place).abs() < 1e-12);
    }
    let replay = Replayed::new(&rows, QUICK, ", sample: { from: 40%, to: 0.7 }");
    let records = replay.passes();
    let shown = replay.sandbox.run(&["plan", "plan.yaml"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains(", 30 % of its conversations"), "{shown}");
    let taken = by_session(&records);
    assert_eq!(taken.keys().copied().collect::<Vec<_>>(), ["conv-0", "conv-1", "conv-2"]);
    assert!(taken.values().all(|turns| turns.len() == 3), "each whole");

    let seeded = runner::plan::Sample { by: SampleHash::Seeded, start: 0.0, end: 0.5 };
    let records = Replayed::new(&rows, QUICK, ", sample: { to: 50%, by: seed }").passes();
    let seed = 0;
    let expected: Vec<String> = (0..6)
        .map(|number| format!("conv-{number}"))
        .filter(|id| keeps(&seeded, id, seed))
        .collect();
    assert_eq!(by_session(&records).keys().copied().collect::<Vec<_>>(), expected);
}

#[test]
fn a_rate_takes_the_place_of_the_logs_times_and_a_log_may_begin_anew() {
    let rows: Vec<Value> = (0..5).map(|number| question(number * 60_000, "one")).collect();
    let replay = Replayed::new(&rows, QUICK, ", rate: 50, cycle: true, requests: 12");
    let records = replay.passes();
    assert_eq!(records.len(), 12);
    let due = |index: usize| records[index]["due_ns"].as_u64().expect("due");
    let seconds = (due(11) - due(0)) as f64 / 1e9;
    assert!((0.2..1.5).contains(&seconds), "{seconds}: 11 gaps of 20 ms, or waits for answers");
    assert_eq!(replay.stage()["load"]["target_rate"], 50.0);

    let replay = Replayed::new(&rows, QUICK, ", speed: 3000, cycle: true, duration: 250ms");
    // The log lasts 241 s, its last second included: three rounds in 241 ms, and the fourth begins.
    let records = replay.passes();
    assert_eq!(records.len(), 16);
    let output = replay.sandbox.run(&["plan", "plan.yaml"]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.contains("replay at 3000 × the log's own pace, 250ms"), "{told}");
    assert!(told.contains(&format!("{} requests", records.len())), "{told}");
}

#[test]
fn the_conversations_id_goes_out_under_the_header_that_the_endpoint_names() {
    let server = FaultyServer::answers(|_| {
        let event = json!({ "choices": [{ "delta": { "content": "hi" } }] });
        stream(&format!("data: {event}\n\ndata: [DONE]\n\n"))
    });
    let endpoint = format!(
        "{{ url: \"{}\", model: m, metrics: off, tokenizer: estimate, session_header: X-Flow-Conversation-Id }}",
        server.url()
    );
    let replay = Replayed::new(&[question(0, "conv-7"), question(20, "conv-8")], &endpoint, "");
    replay.passes();
    let requests = server.requests();
    for id in ["conv-7", "conv-8"] {
        let header = format!("x-flow-conversation-id: {id}\r\n");
        assert_eq!(requests.iter().filter(|it| it.contains(&header)).count(), 1, "{requests:?}");
    }
    let shown = replay.sandbox.run(&["plan", "plan.yaml", "--request", "again", "--index", "1"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("x-flow-conversation-id: conv-8"), "{shown}");
}

#[test]
fn windows_tokens_per_minute_and_the_chat_replays_rounds_come_out_of_a_replay() {
    let rows: Vec<Value> = (0..20).map(|it| question(it * 60, &format!("c{it}"))).collect();
    let replay = Replayed::new(&rows, QUICK, ", window: 400ms");
    replay.passes();
    let stage = replay.stage();
    let windows = stage["windows"].as_array().expect("some").clone();
    assert!(windows.len() >= 3, "{stage}");
    let requests: u64 = windows.iter().filter_map(|it| it["requests"].as_u64()).sum();
    assert_eq!(requests, 20, "{windows:?}");
    let text = windows[0].to_string();
    assert!(text.contains("input_tokens_per_minute") && text.contains("output_"), "{text}");

    let run = replay.sandbox.run_dir();
    let run = run.to_str().expect("a path");
    let output = replay.sandbox.run(&["report", run, "--export", "replay-rounds=out"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let read = |name: &str| {
        fs::read_to_string(replay.sandbox.dir.path().join("out").join(name)).expect("exported")
    };
    let rows = read("requests.csv");
    assert!(rows.lines().any(|line| line.split(',').nth(1) == Some("c19")), "{rows}");
    let rounds = read("rounds.jsonl");
    assert!(rounds.lines().count() >= 3, "a line for each window: {rounds}");
    for round in rounds.lines() {
        let round: Value = serde_json::from_str(round).expect("JSON");
        assert!(round["actual_qps"].is_f64() && round.get("target_qps").is_none(), "{round}");
    }
}

#[test]
fn a_log_that_cannot_be_replayed_is_refused_before_anything_is_sent() {
    let unstamped = json!({ "session": "a", "messages": [{ "role": "user", "content": "hi" }] });
    let rows = [question(0, "a"), unstamped];
    let replay = Replayed::new(&rows, QUICK, "");
    let output = replay.run();
    assert_eq!(code(&output), 3, "{}", stderr(&output));
    assert!(stderr(&output).contains("request 2 of the log has no time"), "{}", stderr(&output));
    let records = Replayed::new(&rows, QUICK, ", rate: 100").passes();
    assert_eq!(records.len(), 2);
}

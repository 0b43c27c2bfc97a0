//! Datasets as plans name them: what is asked, in which order, and what is refused.

use std::fs;
use std::io::Write as _;
use std::process::Command;

use runner::plan::diagnostic::{Code, Diagnostic};
use runner::plan::{self, LoadOptions, Loaded};
use runner::request::Request;
use runner::workload::Workload;
use runner::workload::check;
use runner::workload::dataset::{Dataset, Row, Timeline};
use runner::workload::prompt::{PromptSettings, PromptWorkload};
use runner::workload::store::Store;
use runner::workload::tokenizer::Tokenizer;

use super::{open, sample, write};
use crate::load::{repeat, said};

/// A plan whose prompt is `prompt`, with a cold and a warm stage and a stage of load, after
/// everything was looked into.
fn plan(folder: &tempfile::TempDir, prompt: &str) -> (Loaded, Vec<Diagnostic>) {
    let text = format!(
        "version: 1\nendpoint: http://127.0.0.1:8000/v1\nseed: 5\nprompt: {prompt}\nstages:\n  \
         - kind: cold\n  - kind: warm\n  - {{ kind: warm, id: alone, needs: [], prompt: {prompt} }}\n"
    );
    let path = folder.path().join("plan.yaml");
    fs::write(&path, text).unwrap();
    let options = LoadOptions { allow_outside_root: true, ..LoadOptions::default() };
    let mut loaded = plan::load(&path, &options).unwrap_or_else(|error| panic!("{}", said(&error)));
    let found = check::check(&mut loaded.plan, &loaded.sources);
    (loaded, found)
}

/// The first requests of a stage, as one of load or one that claims something of the cache.
fn requests(loaded: &Loaded, stage: &str, is_load: bool, count: u64) -> Vec<Request> {
    let settings = PromptSettings {
        stage,
        seed: loaded.plan.seed,
        run_nonce: "monday",
        params: &serde_json::Value::Null,
        context_tokens: None,
        headers: &[],
        is_load,
        api: &runner::plan::Api::OpenaiChat,
    };
    let repeat = repeat(&loaded.plan, stage);
    let store = Store::open(&loaded.plan).unwrap();
    let workload = PromptWorkload::new(&repeat, &settings, &store, Tokenizer::Estimate).unwrap();
    (0..count).map(|index| workload.request(index).unwrap()).collect()
}

fn contents(requests: &[Request]) -> Vec<&str> {
    requests.iter().map(|request| request.messages[0].plain().unwrap()).collect()
}

#[test]
fn rows_are_asked_as_they_are_and_a_cold_stage_opens_them_with_a_nonce() {
    let folder = tempfile::tempdir().unwrap();
    let prompt = format!("{{ dataset: {}, max_tokens: 9 }}", sample("openai-messages.jsonl"));
    let (loaded, found) = plan(&folder, &prompt);
    assert_eq!(found, []);
    let dataset = open(sample("openai-messages.jsonl"));
    let rows: Vec<_> = dataset.rows().map(Result::unwrap).collect();
    let count = rows.len() as u64;
    assert_eq!(repeat(&loaded.plan, "cold").requests, count);

    let load = requests(&loaded, "cold", true, count + 2);
    for (request, row) in load.iter().zip(rows.iter().cycle()) {
        assert_eq!(request.messages, row.ask().unwrap());
        assert_eq!(request.max_tokens, row.token_limit().or(Some(9)));
    }
    let cold = requests(&loaded, "cold", false, count);
    let warm = requests(&loaded, "warm", false, count);
    for ((cold, warm), row) in cold.iter().zip(&warm).zip(&rows) {
        assert_eq!(cold.messages, warm.messages);
        let (first, asked) = (cold.messages[0].said(), row.ask().unwrap()[0].said());
        assert!(first.starts_with('[') && first.ends_with(asked.as_str()), "{first}");
    }
}

#[test]
fn a_shuffled_dataset_comes_whole_each_time_round_and_the_same_for_a_seed() {
    let folder = tempfile::tempdir().unwrap();
    let lines = (0..50).map(|line| format!("prompt {line}")).collect::<Vec<_>>().join("\n");
    write(folder.path(), "lines.txt", lines);
    let prompt = "{ unique: never, dataset: { path: lines.txt, order: shuffle } }";
    let (mut loaded, found) = plan(&folder, &prompt.replace("unique: never, ", ""));
    assert_eq!(found, []);
    let asked = requests(&loaded, "alone", true, 50);
    let mut sorted = contents(&asked);
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted.len(), 50);
    assert_ne!(contents(&asked)[..3], ["prompt 0", "prompt 1", "prompt 2"]);
    assert_eq!(contents(&asked), contents(&requests(&loaded, "alone", true, 50)));
    loaded.plan.seed = 6;
    assert_ne!(contents(&asked), contents(&requests(&loaded, "alone", true, 50)));
}

#[test]
fn patterns_limits_and_pointers_of_a_plan_reach_the_rows() {
    let folder = tempfile::tempdir().unwrap();
    for (name, city) in [("a.csv", "Paris"), ("b.csv", "Lima"), ("c.csv", "Oslo")] {
        write(folder.path(), name, format!("town,tokens\n{city},7\n{city} again,8\n"));
    }
    let prompt = "{ dataset: { path: \"?.csv\", limit: 5, fields: { prompt: /town, max_tokens: /tokens } } }";
    let (loaded, found) = plan(&folder, prompt);
    assert_eq!(found, []);
    let asked = requests(&loaded, "alone", true, 6);
    let towns = ["Paris", "Paris again", "Lima", "Lima again", "Oslo", "Paris"];
    assert_eq!(contents(&asked), towns);
    assert_eq!(asked[1].max_tokens, Some(8));
}

#[test]
fn how_far_prompts_are_told_apart_is_the_plans_to_say() {
    let folder = tempfile::tempdir().unwrap();
    let with = |unique: &str| {
        let (loaded, found) = plan(&folder, &format!("{{ text: Hello. {unique} }}"));
        assert_eq!(found, []);
        let asked = requests(&loaded, "alone", true, 1);
        let later = requests(&loaded, "cold", true, 2);
        [asked[0].clone(), later[1].clone()].map(|request| request.messages[0].said())
    };
    let options = LoadOptions::default();
    assert!(plan::load_text("plan.yaml", "version: 1", &options).is_err());
    assert_eq!(with(""), ["Hello.", "Hello."]);
    let [one, other] = with(", unique: request");
    assert_ne!(one, other);
    // The cold stage of this plan would refuse the others.
    let texts = |unique: &str| {
        let text = format!(
            "version: 1\nendpoint: http://127.0.0.1:8000/v1\nprompt: {{ text: Hello., unique: {unique} }}\n\
             stages:\n  - kind: warm\n"
        );
        let loaded = plan::load_text("plan.yaml", &text, &options).unwrap();
        let asked = requests(&loaded, "warm", true, 2);
        [asked[0].clone(), asked[1].clone()].map(|request| request.messages[0].said())
    };
    let [one, other] = texts("run");
    assert_eq!(one, other);
    assert!(one.starts_with('[') && one.ends_with("Hello."), "{one}");
    assert_eq!(texts("never"), ["Hello.", "Hello."]);
}

#[test]
fn malformed_rows_are_known_before_anything_is_sent_or_left_out_and_told() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "rows.jsonl", "{\"prompt\": \"a\"}\n{\"prompt\"\n{\"prompt\": \"b\"}\n");
    let (_, found) = plan(&folder, "{ dataset: rows.jsonl }");
    let [error] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(error.code, Code::Dataset);
    assert!(error.message.contains("rows.jsonl:2: expected"), "{error}");
    let (loaded, found) = plan(&folder, "{ dataset: { path: rows.jsonl, on_malformed: skip } }");
    let [warning] = found.as_slice() else { panic!("{found:?}") };
    assert!(warning.message.starts_with("1 malformed row"), "{warning}");
    assert_eq!(repeat(&loaded.plan, "cold").requests, 2);

    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
        command.current_dir(folder.path()).env_clear();
        command.args(arguments).output().expect("runner starts")
    };
    let plan = "version: 1\nendpoint: { simulator: {} }\nprompt: { dataset: DATASET }\nstages:\n  - kind: warm\n";
    fs::write(folder.path().join("bad.yaml"), plan.replace("DATASET", "rows.jsonl")).unwrap();
    let output = run(&["run", "bad.yaml"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("rows.jsonl:2: expected"));
    let skips = plan.replace("DATASET", "{ path: rows.jsonl, on_malformed: skip }");
    fs::write(folder.path().join("good.yaml"), skips).unwrap();
    let output = run(&["run", "good.yaml"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains("1 malformed row is left out"), "{told}");
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    let note = "1 malformed row was left out (the first: ";
    assert!(report.contains(note) && report.contains("rows.jsonl:2: expected"), "{report}");
    let output = run(&["plan", "good.yaml"]);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(shown.contains("rows.jsonl: jsonl (") && shown.contains("2 rows"), "{shown}");
}

#[test]
fn a_large_packed_file_in_random_order_is_refused_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(b"{\"prompt\": \"a\"}\n{\"prompt\": \"b\"}\n").unwrap();
    let mut bytes = packed.finish().unwrap();
    write(folder.path(), "small.jsonl.gz", &bytes);
    // What follows is never read: the size is enough.
    bytes.resize(33 << 20, 0);
    write(folder.path(), "rows.jsonl.gz", &bytes);
    let of =
        |file: &str| plan(&folder, &format!("{{ dataset: {{ path: {file}, order: shuffle }} }}")).1;
    assert_eq!(of("small.jsonl.gz"), []);
    let found = of("rows.jsonl.gz");
    assert!(!found.is_empty());
    for error in &found {
        assert_eq!(error.code, Code::Dataset);
        assert!(error.message.contains("can't be read in random order; unpack it"), "{error}");
    }
}

#[test]
fn a_timeline_has_stamps_sessions_and_turns_in_the_order_of_the_rows() {
    let dataset: Dataset = open(sample("mooncake-sessions.jsonl"));
    let rows: Vec<_> = dataset.rows().map(Result::unwrap).collect();
    let timeline = Timeline::read(&dataset, |_| true).unwrap();
    assert_eq!(timeline.arrivals.len(), rows.len());
    assert_eq!((timeline.rows, timeline.unstamped), (rows.len() as u64, unstamped(&rows)));
    for (arrival, row) in timeline.arrivals.iter().zip(&rows) {
        assert_eq!((arrival.row, arrival.stamp_ns), (row.number, row.timestamp_ns.unwrap_or(0)));
        let first =
            rows.iter().find(|other| other.session.is_some() && other.session == row.session);
        assert_eq!(arrival.session, first.unwrap_or(row).number);
        let before = rows[..usize::try_from(row.number).unwrap()]
            .iter()
            .filter(|other| other.session.is_some() && other.session == row.session);
        assert_eq!(usize::try_from(arrival.turn).unwrap(), before.count());
    }
    let first = rows[0].session.clone();
    let some = Timeline::read(&dataset, |row| row.session == first).unwrap();
    assert!(some.arrivals.len() < rows.len());
    assert!(some.arrivals.iter().all(|arrival| arrival.session == some.arrivals[0].session));
}

/// The first row without a stamp.
fn unstamped(rows: &[Row]) -> Option<u64> {
    rows.iter().find(|row| row.timestamp_ns.is_none()).map(|row| row.number)
}

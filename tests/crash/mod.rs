//! SIGKILL at random moments: what a server had answered stands in the log, but for the last moment.
//!
//! In: plans of every way to ask, against a server that notes when it had sent each answer. Out: after a
//! kill, answers that were sent and are not recorded: how many, how old, how many bytes; and a log of
//! whole lines, none twice, whose counts add up. `RUNNER_CRASH_KILLS=200` kills so often (20 unless given) and
//! prints the figures; `RUNNER_CRASH_BINARY` names another build to kill.

use std::collections::{HashMap, HashSet};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use runner::record::UNWRITTEN;
use serde_json::Value;

use crate::sandbox::{Sandbox, text};

/// More than any of the plans below has under way.
const MOST_UNDER_WAY: usize = 64;
const MODELS: &str = "{\"data\":[{\"id\":\"m\"}]}";
const WHOLE: &str = "{\"choices\":[{\"message\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}],\
                     \"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2}}";

/// When each answer had been sent, by the id of its request.
type Sent = Arc<Mutex<HashMap<String, Instant>>>;

/// Serves for as long as the tests run.
fn serve() -> (u16, Sent) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let sent = Sent::default();
    let log = Arc::clone(&sent);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let log = Arc::clone(&log);
            thread::spawn(move || answer_all(stream, &log));
        }
    });
    (port, sent)
}

fn answer_all(mut stream: TcpStream, sent: &Sent) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut bytes = Vec::new();
    let mut piece = [0; 16384];
    loop {
        let head = loop {
            match bytes.windows(4).position(|it| it == b"\r\n\r\n") {
                Some(end) => break end + 4,
                None => match stream.read(&mut piece) {
                    Ok(0) | Err(_) => return None,
                    Ok(count) => bytes.extend_from_slice(&piece[..count]),
                },
            }
        };
        let lower = text(&bytes[..head]).to_ascii_lowercase();
        let length = lower.split("content-length: ").nth(1).and_then(|it| it.split("\r\n").next());
        let length: usize = length.and_then(|it| it.parse().ok()).unwrap_or(0);
        while bytes.len() < head + length {
            match stream.read(&mut piece) {
                Ok(0) | Err(_) => return None,
                Ok(count) => bytes.extend_from_slice(&piece[..count]),
            }
        }
        let body = text(&bytes[head..head + length]);
        bytes.drain(..head + length);
        if lower.starts_with("get") {
            stream.write_all(&whole(MODELS)).ok()?;
            continue;
        }
        if body.contains("\"stream\":true") {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                        Transfer-Encoding: chunked\r\n\r\n";
            stream.write_all(head.as_bytes()).ok()?;
            let word = "data: {\"choices\":[{\"delta\":{\"content\":\"word \"}}]}\n\n";
            for _ in 0..5 {
                stream.write_all(&chunk(word)).ok()?;
                thread::sleep(Duration::from_millis(2));
            }
            let end = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":\
                       {\"prompt_tokens\":5,\"completion_tokens\":5}}\n\ndata: [DONE]\n\n";
            stream.write_all(&[chunk(end), b"0\r\n\r\n".to_vec()].concat()).ok()?;
        } else {
            stream.write_all(&whole(WHOLE)).ok()?;
        }
        let id = lower.split("x-request-id: ").nth(1).and_then(|it| it.split("\r\n").next());
        sent.lock().ok()?.insert(id?.to_owned(), Instant::now());
    }
}

fn whole(body: &str) -> Vec<u8> {
    let length = body.len();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ";
    format!("{head}{length}\r\n\r\n{body}").into_bytes()
}

fn chunk(body: &str) -> Vec<u8> {
    format!("{:x}\r\n{body}\r\n", body.len()).into_bytes()
}

/// Ways to ask, each for longer than it is let live.
const WAYS: [(&str, &str); 6] = [
    ("closed", "  - { id: load, kind: load, concurrency: 16, duration: 60s }\n"),
    ("streaming", "  - { id: load, kind: load, rate: 300, duration: 60s }\n"),
    ("ladder", "  - { id: ladder, kind: qps_ladder, rates: \"100-1000/100\", step: 300ms }\n"),
    (
        "replay",
        "  - { id: replay, kind: replay, prompt: { dataset: rows.jsonl }, rate: 400, duration: 60s }\n",
    ),
    (
        "search",
        "  - { id: search, kind: search, over: rate, from: 50, to: 2000, step: 400ms, thresholds: [ttft.p95 < 5s] }\n",
    ),
    ("resume", "  - { id: ladder, kind: concurrency_ramp, concurrency: \"1-40\", step: 200ms }\n"),
];

/// A run that was killed.
struct Killed {
    run: PathBuf,
    from: Instant,
    at: Instant,
}

fn binary() -> PathBuf {
    let other = std::env::var_os("RUNNER_CRASH_BINARY");
    other.map_or_else(|| env!("CARGO_BIN_EXE_runner").into(), PathBuf::from)
}

/// Starts a run and kills it so long after its first answer was recorded; `None` when it was over by then.
fn kill_after(sandbox: &Sandbox, arguments: &[&str], time: Duration) -> Option<Killed> {
    let before = sandbox.runs("results");
    let from = Instant::now();
    let mut command = Command::new(binary());
    command.args(["run", "plan.yaml"]).args(arguments).current_dir(sandbox.dir.path());
    let quiet = command.env_clear().stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = quiet.spawn().expect("it starts");
    let run = loop {
        assert!(child.try_wait().expect("ours").is_none(), "it ended by itself");
        let new = sandbox.runs("results").into_iter().find(|it| !before.contains(it));
        if let Some(run) = new.filter(|run| log_of(run).contains("\"type\":\"end\"")) {
            break run;
        }
        thread::sleep(Duration::from_millis(5));
    };
    thread::sleep(time);
    let is_over = child.try_wait().expect("ours").is_some();
    child.kill().expect("it can be killed");
    let at = Instant::now();
    child.wait().expect("it ended");
    (!is_over).then_some(Killed { run, from, at })
}

fn log_of(run: &Path) -> String {
    std::fs::read_to_string(run.join("records-000001.jsonl")).unwrap_or_default()
}

/// Answers that had been sent and are not recorded.
#[derive(Debug, Default, Clone, Copy)]
struct Lost {
    answers: usize,
    oldest: Duration,
    bytes: usize,
}

impl Lost {
    fn most(self, other: Self) -> Self {
        Self {
            answers: self.answers.max(other.answers),
            oldest: self.oldest.max(other.oldest),
            bytes: self.bytes.max(other.bytes),
        }
    }
}

/// Holds the log of a killed run against what the server had sent by then.
fn lost(killed: &Killed, sent: &Sent) -> Lost {
    let log = log_of(&killed.run);
    let mut recorded = HashSet::new();
    // A last line without its newline was cut short.
    let whole = log.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    for (number, line) in whole.enumerate() {
        let line: Value = serde_json::from_str(line).expect("each whole line is JSON");
        assert_eq!(line["seq"].as_u64(), Some(number as u64), "no line is missing");
        if line["type"] == "end" {
            let id = line["request_id"].as_str().expect("an id").to_ascii_lowercase();
            assert!(recorded.insert(id), "recorded twice: {line}");
        }
    }
    let sent = sent.lock().expect("no panic");
    let ours = sent.iter().filter(|(_, at)| (killed.from..=killed.at).contains(*at));
    let missing = ours.filter(|(id, _)| !recorded.contains(*id));
    let ages: Vec<Duration> = missing.map(|(_, at)| killed.at - *at).collect();
    Lost {
        answers: ages.len(),
        oldest: ages.iter().max().copied().unwrap_or_default(),
        bytes: ages.len() * (log.len() / recorded.len().max(1)),
    }
}

/// What `report` makes of the killed run: all that it planned is accounted for, and what may be missing said.
fn reported(sandbox: &Sandbox, run: &Path) {
    let mut report = sandbox.runner();
    let output =
        report.arg("report").arg(run).args(["--format", "json"]).output().expect("it starts");
    let summary: Value = serde_json::from_slice(&output.stdout).expect("a summary");
    assert_eq!(
        (&summary["run"]["state"], &summary["run"]["valid"]),
        (&"aborted".into(), &true.into())
    );
    for stage in summary["stages"].as_array().expect("stages") {
        let counts = stage["counts"].as_object().expect("counts");
        let parts = counts.iter().filter(|(name, _)| *name != "planned");
        let sum: u64 = parts.filter_map(|(_, count)| count.as_u64()).sum();
        assert_eq!(counts["planned"].as_u64(), Some(sum), "{stage:#}");
    }
    let notes = summary["run"]["notes"].to_string();
    assert!(notes.contains("of the last moment may lack their line"), "{notes}");
}

/// Kills a run of that kind once; what it lacks.
fn kill(way: usize, number: u64, (port, sent): &(u16, Sent)) -> Lost {
    let (name, stage) = WAYS[way];
    let sandbox = Sandbox::new();
    let is_streamed = name == "streaming";
    sandbox.plan(&format!(
        "version: 1\nendpoint: {{ url: \"http://127.0.0.1:{port}/v1\", model: m, metrics: off, \
         tokenizer: estimate }}\nprompt: {{ text: \"Hello {{{{ i }}}}.\", max_tokens: 8, stream: \
         {is_streamed} }}\nstages:\n{stage}"
    ));
    let row = "{\"messages\":[{\"role\":\"user\",\"content\":\"Hello.\"}]}\n";
    std::fs::write(sandbox.dir.path().join("rows.jsonl"), row.repeat(40_000)).expect("written");
    // A run of numbers without a pattern: the golden ratio's multiples.
    let random = (number as f64 * 0.618_033_988_75).fract();
    let time = Duration::from_secs_f64(0.05 + 0.9 * random);
    let mut killed = kill_after(&sandbox, &[], time).expect("it goes on for long");
    if name == "resume" {
        let resumed = killed.run.display().to_string();
        killed = kill_after(&sandbox, &["--resume", &resumed], time).expect("it goes on for long");
    }
    let lost = lost(&killed, sent);
    if std::env::var_os("RUNNER_CRASH_BINARY").is_none() {
        reported(&sandbox, &killed.run);
    }
    lost
}

#[test]
fn a_killed_run_lacks_its_last_moment_and_no_more() {
    let kills = std::env::var("RUNNER_CRASH_KILLS").ok().and_then(|it| it.parse().ok());
    let server = serve();
    let mut most = [Lost::default(); WAYS.len()];
    for (number, way) in (0..kills.unwrap_or(20_u64)).zip((0..WAYS.len()).cycle()) {
        let found = kill(way, number, &server);
        // Whatever the machine is busy with, no request is sent while more than that waits to be written;
        // those that are under way then still end.
        let bound = UNWRITTEN + MOST_UNDER_WAY * found.bytes / found.answers.max(1);
        assert!(found.bytes <= bound, "{}: {found:?}", WAYS[way].0);
        most[way] = most[way].most(found);
    }
    for ((way, _), lost) in WAYS.iter().zip(most) {
        println!("{way}: at most {lost:?}");
    }
}

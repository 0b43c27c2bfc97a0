//! The faults of what stands beside the requests: the list of models, the page of metrics, the tokenizer.

use std::io::Write;
use std::time::Duration;

use super::{USUAL, watched};
use crate::client::{DONE, FINISH, delta};
use crate::faulty_server::Step::{Drip, Flood, Send, Stall};
use crate::faulty_server::{FaultyServer, Step, answer, json, play, read_request, stream};
use crate::sandbox::{Sandbox, code, stderr, text};

/// A fault of a door.
pub struct Door {
    pub name: &'static str,
    pub fault: &'static str,
    pub promise: &'static str,
    /// The last part of its path.
    path: &'static str,
    script: fn() -> Vec<Step>,
    /// What the plan's endpoint says beside its URL.
    settings: &'static str,
    code: i32,
    /// What is said of it.
    said: &'static str,
}

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n";
const METRICS: &str = "model: m, metrics: { url: \"URL/metrics\", interval: 100ms }";

pub const DOORS: &[Door] = &[
    Door {
        name: "endless-models",
        fault: "sends a list of models without end",
        promise: "cut at 8 MiB; nothing is sent",
        path: "/models",
        script: || vec![Send(HEAD.to_vec()), Flood(vec![b'['; 65536])],
        settings: "model: m",
        code: 4,
        said: "longer than 8 MiB",
    },
    Door {
        name: "endless-models-error",
        fault: "refuses to list its models, without end",
        promise: "cut at 8 MiB; what it says first is told, shortened",
        path: "/models",
        script: || {
            let head =
                b"HTTP/1.1 401 X\r\nContent-Type: application/json\r\n\r\n{\"error\":\"no key ";
            vec![Send(head.to_vec()), Flood(vec![b'x'; 65536])]
        },
        settings: "model: m",
        code: 4,
        said: "asks for a key",
    },
    Door {
        name: "endless-metrics",
        fault: "has a page of metrics without end",
        promise: "cut at 8 MiB or 2 s; the run goes without, and says so",
        path: "/metrics",
        script: || {
            vec![Send(HEAD.to_vec()), Flood(b"vllm:prompt_tokens_total{a=\"b\"} 1\n".repeat(100))]
        },
        settings: METRICS,
        code: 0,
        said: "longer than 8 MiB",
    },
    Door {
        name: "a-million-series",
        fault: "has a page of metrics with a million series",
        promise: "as above: half a page would be read as all of it",
        path: "/metrics",
        script: || {
            let line = |number| format!("vllm:prompt_tokens_total{{series=\"{number}\"}} 1\n");
            vec![Send(
                [HEAD.to_vec(), (0..1_000_000).map(line).collect::<String>().into_bytes()].concat(),
            )]
        },
        settings: METRICS,
        code: 0,
        said: "longer than 8 MiB",
    },
    Door {
        name: "metrics-in-drips",
        fault: "sends its page of metrics byte by byte",
        promise: "given up after 2 s",
        path: "/metrics",
        script: || vec![Send(HEAD.to_vec()), Drip(vec![b'a'; 400], Duration::from_millis(50))],
        settings: METRICS,
        code: 0,
        said: "no answer within 2 s",
    },
    Door {
        name: "silent-metrics",
        fault: "takes the question for its metrics and says nothing",
        promise: "as above",
        path: "/metrics",
        script: || vec![Stall],
        settings: METRICS,
        code: 0,
        said: "no answer within 2 s",
    },
    Door {
        name: "endless-tokens-count",
        fault: "counts tokens without end",
        promise: "cut at 8 MiB; the run does not begin, for its plan asks for counts by the server",
        path: "/tokenize",
        script: || {
            let head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"tokens\":[";
            vec![Send(head.to_vec()), Flood(b"1,".repeat(4096))]
        },
        settings: "model: m, tokenizer: server",
        code: 4,
        said: "longer than 8 MiB",
    },
];

/// A server with that one door.
fn serve(door: &'static Door) -> FaultyServer {
    FaultyServer::serve(move |_, mut stream, stop, log| {
        while let Ok(request) = read_request(&mut stream, stop) {
            let path = request.split(' ').nth(1).unwrap_or_default();
            if path.ends_with(door.path) {
                for step in (door.script)() {
                    if play(step, &mut stream, stop, log).is_err() {
                        return;
                    }
                }
                return;
            }
            let answer = match path {
                _ if path.ends_with("/chat/completions") => {
                    stream_of(&[&delta("a "), &delta("b"), FINISH, DONE])
                }
                _ if path.ends_with("/models") => {
                    json(200, "{\"data\":[{\"id\":\"m\",\"owned_by\":\"vllm\"}]}")
                }
                _ => answer(404, "", ""),
            };
            if stream.write_all(&answer).is_err() {
                return;
            }
        }
    })
}

fn stream_of(events: &[&str]) -> Vec<u8> {
    stream(&events.concat())
}

#[test]
fn every_fault_beside_the_requests_ends_as_promised() {
    let failures: Vec<String> = std::thread::scope(|scope| {
        let started: Vec<_> =
            DOORS.iter().map(|door| scope.spawn(|| (door.name, wrong(door)))).collect();
        let ended = started.into_iter().map(|it| it.join().expect("no panic"));
        ended.flat_map(|(name, it)| it.into_iter().map(move |it| format!("{name}: {it}"))).collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn wrong(door: &'static Door) -> Vec<String> {
    let server = serve(door);
    let sandbox = Sandbox::new();
    let base = format!("http://{}", server.address());
    let settings = door.settings.replace("URL", &base);
    sandbox.plan(&format!(
        "version: 1\nname: door\nendpoint: {{ url: \"{base}/v1\", {settings} }}\nprompt: {{ text: \
         \"hello {{{{ i }}}}\", max_tokens: 8 }}\nstages:\n  - {{ id: s, kind: load, requests: 20, \
         concurrency: 2 }}\n"
    ));
    let (output, peak) = match watched(&sandbox) {
        Ok(found) => found,
        Err(why) => return vec![why],
    };
    let said = stderr(&output) + &text(&output.stdout);
    let is_busy = said.contains("stage s: generator") || said.contains("stood still");
    let mut wrong = Vec::new();
    let mut check = |holds: bool, what: String| wrong.extend((!holds).then_some(what));
    check(code(&output) == door.code || is_busy, format!("exit {}: {said}", code(&output)));
    check(said.contains(door.said), format!("does not say {:?}: {said}", door.said));
    check(said.len() < 200_000, format!("says {} bytes", said.len()));
    check(peak <= USUAL, format!("{peak} MiB of memory"));
    if door.code == 0 {
        let summary = sandbox.summary();
        check(summary["stages"][0]["counts"]["ok"] == 20, "not all were answered".to_owned());
    }
    wrong
}

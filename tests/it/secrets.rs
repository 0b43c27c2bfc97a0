//! Secrets are in nothing that a run leaves or says, whatever a server does with them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use runner::report::export::FORMATS;

use crate::faulty_server::{self, FaultyServer};
use crate::sandbox::{Sandbox, children, code, read_json, stderr};

/// With what JSON has to escape in one of them.
const SECRETS: [&str; 3] = ["kanari-key-7731", "kanari-\"header\"-7732", "kanari-param-7733"];

/// What is left of them in JSON and elsewhere.
const MARK: &str = "kanari-";

fn answer(status: u16, kind: &str, head: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nx-echo: {head}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A server that says everything it was told in everything it says.
fn echo() -> FaultyServer {
    let asked = AtomicUsize::new(0);
    FaultyServer::answers(move |request| {
        let (head, body) = request.split_once("\r\n\r\n").unwrap_or((request, ""));
        let key = head
            .lines()
            .find(|line| line.to_lowercase().starts_with("authorization"))
            .unwrap_or("");
        if head.starts_with("GET") {
            let model = json!({ "data": [{ "id": format!("m {} {key}", key.get(8..).unwrap_or_default()), "owned_by": key, "root": key }] });
            return if head.contains("/models") {
                answer(200, "application/json", key, &model.to_string())
            } else {
                answer(404, "text/plain", key, head)
            };
        }
        let event = |value: &serde_json::Value| format!("data: {value}\n\n");
        match asked.fetch_add(1, Ordering::SeqCst) % 4 {
            0 => answer(
                401,
                "application/json",
                key,
                &json!({ "error": { "message": format!("bad {head} {body}") } }).to_string(),
            ),
            1 => {
                let choice = json!({ "index": 0, "delta": { "content": head }, "finish_reason": format!("stop {head}") });
                let all = json!({ "choices": [choice], "model": head, "id": key, "system_fingerprint": head });
                answer(200, "text/event-stream", key, &(event(&all) + "data: [DONE]\n\n"))
            }
            2 => answer(
                200,
                "text/event-stream",
                key,
                &event(&json!({ "error": { "message": head, "code": key, "type": key } })),
            ),
            _ => answer(200, &format!("text/html; x={key}"), key, head),
        }
    })
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let of = |path: PathBuf| if path.is_dir() { files(&path) } else { vec![path] };
    children(folder).into_iter().filter(|path| !path.is_symlink()).flat_map(of).collect()
}

#[test]
fn a_server_that_echoes_everything_gets_no_secret_into_what_is_left_or_said() {
    let server = echo();
    // It takes whatever it is pushed.
    let collector = FaultyServer::answers(|_| faulty_server::json(200, "{}"));
    let gateway = format!("http://{}", collector.address());
    let sandbox = Sandbox::new();
    sandbox.plan(&format!(
        "version: 1\nname: sec\nparams: {{ tok: {{ type: string, secret: true, env: [TOKP] }} }}\n\
         endpoint:\n  url: \"{}\"\n  api_key: \"${{secret:MYKEY}}\"\n  insecure: true\n\
         \x20 headers: {{ X-Api-Token: \"${{secret:HKEY}}\", X-Tok: \"${{tok}}\" }}\n\
         prompt: {{ text: Hello., max_tokens: 8 }}\n\
         sinks: [csv:out/a.csv, jsonl:out/a.jsonl, sqlite:out/a.db, parquet:out/a.parquet, junit:out/a.xml, \
         markdown:out/a.md, html:out/a.html, svg:out/a.svg, png:out/a.png, stages:out/st.csv, \
         summary:out/s.json, \"prometheus:{gateway}\", \"otlp:{gateway}/v1/metrics\"]\n\
         stages:\n  - {{ id: c, kind: cold, requests: 8, concurrency: 2, thresholds: [ \"error_rate < 1%\" ] }}\n\
         \x20 - {{ id: f, kind: flush, with: auto }}\n\
         \x20 - {{ id: l, kind: load, always: true, requests: 8, concurrency: 2 }}\n",
        server.url()
    ));
    let runner = |args: &[&str]| {
        let mut command = sandbox.runner();
        command.args(args).env("MYKEY", SECRETS[0]).env("HKEY", SECRETS[1]).env("TOKP", SECRETS[2]);
        command.env("RUST_LOG", "trace").output().expect("runner starts")
    };
    let clean = |what: &str, bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        let around = text.find(MARK).map(|at| {
            let near: String = text[..at].chars().rev().take(200).collect();
            near.chars().rev().collect::<String>()
                + &text[at..].chars().take(60).collect::<String>()
        });
        assert_eq!(around, None, "{what}");
    };
    let output = runner(&["run", "plan.yaml", "-vv"]);
    assert!(server.requests().iter().filter(|it| it.starts_with("POST")).count() >= 16);
    clean("standard output", &output.stdout);
    clean("standard error", &output.stderr);
    let run = sandbox.run_dir();
    let run = run.to_str().expect("UTF-8");
    for format in ["text", "json", "html", "markdown", "svg"] {
        let told = runner(&["report", run, "--format", format]);
        clean(format, &told.stdout);
        clean(format, &told.stderr);
    }
    for format in FORMATS {
        let told = runner(&["report", run, &format!("--export={0}=out/export-{0}", format.word)]);
        clean(format.word, &told.stderr);
        let is_left = sandbox.dir.path().join(format!("out/export-{}", format.word)).exists();
        // Those that ask for more than the run has (rates, rounds) say so.
        assert!(is_left || !told.stderr.is_empty(), "{}", format.word);
    }
    let pushes = collector.requests();
    for door in ["/metrics/job/", "/v1/metrics"] {
        assert!(pushes.iter().any(|it| it.contains(door)), "nothing was pushed to {door}");
    }
    clean("what was pushed", pushes.concat().as_bytes());
    let left = files(sandbox.dir.path());
    assert!(left.len() > 15, "{left:?}");
    for file in left {
        clean(&file.display().to_string(), &fs::read(&file).expect("readable"));
        #[cfg(unix)]
        if !file.ends_with("plan.yaml") {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(&file).expect("there").permissions().mode();
            assert_eq!(mode & 0o77, 0, "{}", file.display());
        }
    }
}

#[test]
fn an_endpoint_whose_certificate_nobody_checks_says_so_wherever_somebody_reads() {
    let whole = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}\n\n\
                 data: [DONE]\n\n";
    let server = FaultyServer::answers(move |request| {
        if request.starts_with("GET") {
            faulty_server::json(200, "{\"data\":[{\"id\":\"m\"}]}")
        } else {
            faulty_server::stream(whole)
        }
    });
    let collector = FaultyServer::answers(|_| faulty_server::json(200, "{}"));
    let gateway = format!("http://{}", collector.address());
    for is_insecure in [true, false] {
        let sandbox = Sandbox::new();
        let at = |file: &str| sandbox.dir.path().join(file);
        sandbox.plan(&format!(
            "version: 1\nname: tls\nendpoint: {{ url: \"{}\", insecure: {is_insecure}, metrics: off }}\n\
             prompt: {{ text: Hello., max_tokens: 8 }}\n\
             sinks: [csv:out/a.csv, jsonl:out/a.jsonl, parquet:out/a.parquet, sqlite:out/a.db, junit:out/a.xml, \
             markdown:out/a.md, html:out/a.html, svg:out/a.svg, stages:out/st.csv, summary:out/s.json, \
             \"prometheus:{gateway}\", \"otlp:{gateway}/v1/metrics\"]\n\
             stages: [{{ id: l, kind: load, requests: 8, concurrency: 2 }}]\n",
            server.url()
        ));
        let output = sandbox.run(&["run", "plan.yaml"]);
        let run = sandbox.run_dir();
        // Texts, pages and pictures.
        let read =
            |path: &Path| String::from_utf8_lossy(&fs::read(path).expect("there")).into_owned();
        let mut told = vec![
            ("standard output".to_owned(), String::from_utf8_lossy(&output.stdout).into_owned()),
            ("report.html".to_owned(), read(&run.join("report.html"))),
        ];
        for file in ["out/a.xml", "out/a.md", "out/a.html", "out/a.svg"] {
            told.push((file.to_owned(), read(&at(file))));
        }
        let shown = run.to_str().expect("UTF-8");
        for args in [
            &["report", shown][..],
            &["report", shown, "--definitions", "vllm"],
            &["compare", shown, shown],
            &["compare", shown, shown, "--format", "markdown"],
            &["history", "results"],
        ] {
            let output = sandbox.run(args);
            told.push((args.join(" "), String::from_utf8_lossy(&output.stdout).into_owned()));
        }
        for (what, text) in told {
            let text = text.to_lowercase();
            let says = text.contains("insecure") || text.contains("any certificate was accepted");
            assert_eq!(says, is_insecure, "{what}: {text}");
        }
        // Rows, and documents for programs.
        for file in [at("out/a.csv"), at("out/st.csv"), run.join("summary.csv")] {
            let mut rows = csv::Reader::from_path(&file).expect("CSV");
            let column = rows.headers().expect("a header").iter().position(|it| it == "insecure");
            let column = column.expect("a column");
            let said: Vec<String> =
                rows.records().map(|row| row.expect("a row")[column].into()).collect();
            assert!(
                !said.is_empty() && said.iter().all(|it| *it == is_insecure.to_string()),
                "{said:?}"
            );
        }
        for file in [at("out/s.json"), run.join("summary.json")] {
            assert_eq!(
                read_json(&file)["run"]["insecure"] == true,
                is_insecure,
                "{}",
                file.display()
            );
        }
        for file in [at("out/a.jsonl"), run.join("records-000001.jsonl")] {
            let says = read(&file).lines().next().expect("a line").contains("\"insecure\":true");
            assert_eq!(says, is_insecure, "{}", file.display());
        }
        let said = if is_insecure { "true" } else { "false" };
        let id = sandbox.summary()["run"]["id"].as_str().expect("an id").to_owned();
        let pushes: Vec<String> = collector.requests();
        let pushes: Vec<&String> = pushes.iter().filter(|it| it.contains(&id)).collect();
        assert!(pushes.iter().any(|it| it.contains(&format!("insecure=\"{said}\""))), "{pushes:?}");
        let attribute = format!("\"key\":\"runner.insecure\",\"value\":{{\"boolValue\":{said}}}");
        assert!(pushes.iter().any(|it| it.contains(&attribute)), "{pushes:?}");
        let parquet = read(&at("out/a.parquet"));
        let says = parquet
            .split("runner.insecure")
            .nth(1)
            .is_some_and(|it| it[..10.min(it.len())].contains("true"));
        assert_eq!(says, is_insecure, "out/a.parquet");
        #[cfg(feature = "sqlite")]
        {
            let database = rusqlite::Connection::open(at("out/a.db")).expect("opened");
            let said = database.query_row("SELECT insecure FROM manifest", [], |row| row.get(0));
            assert_eq!(said, Ok(is_insecure));
        }
    }
}

#[test]
fn a_key_in_the_wrong_place_is_not_shown_by_what_refuses_it() {
    for wrong in [
        "stages:\n  - kind: cold\n    api_key: kanari-key-7731\n",
        "stages: [{ kind: cold, requests: sk-kanari-key-7731 }]\napi_key: kanari-key-7731\n",
        "stages: [{ kind: cold }]\nprompt: { text: hi, token: kanari-key-7731-0001 }\n",
        "stages: [{ kind: cold }\nheaders: { Authorization: Bearer kanari-key-7731 \n",
    ] {
        let sandbox = Sandbox::new();
        sandbox.plan(&format!("version: 1\nendpoint: http://127.0.0.1:1/v1\n{wrong}"));
        for args in [
            &["validate", "plan.yaml"][..],
            &["validate", "plan.yaml", "--format", "json"],
            &["run", "plan.yaml"],
        ] {
            let output = sandbox.run(args);
            assert_eq!(code(&output), 3, "{wrong}");
            let said = stderr(&output) + &String::from_utf8_lossy(&output.stdout);
            assert!(!said.contains(MARK) && said.contains("plan.yaml"), "{said}");
        }
    }
}

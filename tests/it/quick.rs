//! `quick`: what its flags become, and that the plan it saves is the plan that it ran.

use std::net::SocketAddr;

use runner::plan::SimulatorConfig;
use runner::simulator::Simulator;
use serde_json::Value;

use crate::ci::{Folder, err, out};

fn simulator() -> (Simulator, String) {
    let config = SimulatorConfig { decode_rate: 5e3, prefill_rate: 1e5, ..Default::default() };
    let simulator = Simulator::start(config, SocketAddr::from(([127, 0, 0, 1], 0)));
    let simulator = simulator.expect("it starts");
    let port = url::Url::parse(&simulator.base_url()).ok().and_then(|url| url.port());
    (simulator, port.expect("a port").to_string())
}

#[test]
fn flags_become_a_plan_that_is_run_and_can_be_kept() {
    let (simulator, port) = simulator();
    let folder = Folder::new();
    folder.write("rows.jsonl", "{\"prompt\":\"One.\"}\n{\"prompt\":\"Two.\"}\n");
    let cases: [(&[&str], &str); 6] = [
        (&["-n", "5", "-c", "2"], "    concurrency: 2\n    requests: 5\n"),
        (
            &["-r", "200", "-d", "50ms"],
            "    rate: \"200\"\n    arrival: poisson\n    duration: \"50ms\"\n",
        ),
        (&["-r", "100", "-c", "3", "-n", "4"], "    max_in_flight: 3\n    requests: 4\n"),
        (&["--cold-warm", "-n", "3", "--input", "64"], "kind: cold, requests: 3 }\n"),
        (&["--data", "rows.jsonl", "-n", "2"], "prompt:\n  dataset: \"rows.jsonl\"\n\nstages:"),
        (
            &["--prompt", "A ${x} \"{{ i }}\"", "--output", "3", "-n", "2", "--no-stream"],
            "  text: \"A $${x} \\\"{{ i }}\\\"\"\n  max_tokens: 3\n  stream: false\n",
        ),
    ];
    for (number, (flags, written)) in cases.into_iter().enumerate() {
        let file = format!("plan-{number}.yaml");
        let mut args = vec!["quick", &port, "--save", &file, "--output-format", "json"];
        args.extend(flags);
        let output = folder.runner(&args, false);
        assert_eq!(output.status.code(), Some(0), "{flags:?}: {}", err(&output));
        let plan = folder.read(&file);
        assert!(plan.contains(written), "{flags:?}: {plan}");
        let first = "# yaml-language-server: $schema=./schemas/plan.v1.json\n";
        assert!(plan.starts_with(first) && folder.read("schemas/plan.v1.json").len() > 1000);
        let summary: Value = serde_json::from_slice(&output.stdout).expect("a summary");
        let again = folder.runner(&["run", &file, "--output-format", "json"], false);
        let repeated: Value = serde_json::from_slice(&again.stdout).expect("a summary");
        assert_eq!(summary["plan"]["sha256"], repeated["plan"]["sha256"], "{flags:?}");
        // What is there is left as it is.
        let over = folder.runner(&args, false);
        assert_eq!(over.status.code(), Some(2), "{}", err(&over));
        assert_eq!(folder.read(&file), plan);
    }
    let bodies = simulator.truth().len();
    assert!(bodies >= 2 * (5 + 1 + 4 + 6 + 2 + 2), "{bodies} requests");
}

#[test]
fn a_plan_that_is_not_kept_leaves_results_alone() {
    let (_simulator, port) = simulator();
    let folder = Folder::new();
    folder.write("rows.jsonl", "{\"prompt\":\"One.\"}\n");
    let args = ["quick", &port, "--data", "rows.jsonl", "-n", "1", "--api-key", "sk-quick-secret"];
    let output = folder.runner(&args, false);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert!(err(&output).contains("`--save plan.yaml`"), "{}", err(&output));
    assert!(out(&output).starts_with("quick · "), "{}", out(&output));
    assert_eq!(folder.names(), ["results", "rows.jsonl"]);
    assert!(!folder.holds("sk-quick-secret"), "the key is written down");
}

#[test]
fn what_is_no_measurement_is_refused_before_anything_is_sent() {
    let folder = Folder::new();
    for (flags, code, said) in [
        (vec!["--rate", "fast"], 3, "is not a rate"),
        (vec!["--api", "openai"], 3, "openai-chat"),
        (vec!["--data", "no.jsonl"], 3, "there is no such file"),
        (vec!["-n", "0"], 2, "0 is not in 1.."),
        (vec!["--cold-warm", "--rate", "5"], 2, "cannot be used with"),
    ] {
        let mut args = vec!["quick", "9"];
        args.extend(flags);
        let output = folder.runner(&args, false);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", err(&output));
        assert!(err(&output).contains(said), "{args:?}: {}", err(&output));
    }
}

#[test]
fn a_url_with_too_much_or_too_little_is_corrected_in_words() {
    let (simulator, port) = simulator();
    let folder = Folder::new();
    let right = simulator.base_url();
    for path in ["v1/chat/completions", "v1/completions", "v1/v1", "v1/models/"] {
        let url = format!("http://127.0.0.1:{port}/{path}");
        let output = folder.runner(&["quick", &url, "-n", "1"], false);
        assert_eq!(output.status.code(), Some(4), "{url}: {}", err(&output));
        let help = format!("did you mean {right} ?");
        assert!(err(&output).contains(&help), "{url}: {}", err(&output));
    }
}

#[test]
fn a_flag_that_can_not_be_read_is_one_error_under_the_plans_name() {
    for (flags, code) in [(&["--rate", "abc"][..], "E014"), (&["-d", "soon"], "E014")] {
        let folder = Folder::new();
        let output = folder.runner(&[&["quick", "127.0.0.1:1"], flags].concat(), false);
        let said = err(&output);
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert_eq!(said.matches("error[").count(), 1, "{said}");
        assert!(said.contains(&format!("error[{code}]")) && said.contains("--> quick:"), "{said}");
        assert!(!said.contains("plan.yaml"), "{said}");
    }
}

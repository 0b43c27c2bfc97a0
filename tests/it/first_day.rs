//! The helpers of a first day: `init`, `explain`, `test`.

use runner::plan::diagnostic::Code;
use runner::plan::metric::METRICS;
use serde_json::Value;

use crate::ci::{Folder, err, out};

#[test]
fn init_writes_a_plan_that_is_valid_and_overwrites_nothing() {
    let listed = Folder::new().runner(&["list", "--format", "json"], false);
    let listed: Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    let names = listed.as_array().expect("a list").iter().filter_map(|it| it["name"].as_str());
    let names: Vec<&str> = names.map(|name| name.trim_start_matches('@')).collect();
    assert!(names.len() >= 12, "{names:?}");
    for (scenario, format) in names.iter().flat_map(|name| [(*name, "yaml"), (*name, "toml")]) {
        let folder = Folder::new();
        let args = ["init", "mine", "--template", scenario, "--format", format];
        let output = folder.runner(&args, false);
        assert_eq!(output.status.code(), Some(0), "{}", err(&output));
        let file = format!("mine.{format}");
        let first = folder.read(&file).lines().next().map(str::to_owned).unwrap_or_default();
        match format {
            "yaml" => assert_eq!(first, "# yaml-language-server: $schema=./schemas/plan.v1.json"),
            _ => assert_eq!(first, "#:schema ./schemas/plan.v1.json"),
        }
        assert!(folder.read("schemas/plan.v1.json").contains("\"$schema\""));
        let output = folder.runner(&["validate", &file], false);
        assert_eq!(output.status.code(), Some(0), "{}", err(&output));
        let before = folder.read(&file);
        let again = folder.runner(&args, false);
        assert_eq!(again.status.code(), Some(2));
        assert!(err(&again).contains("is left as it is"), "{}", err(&again));
        assert_eq!(folder.read(&file), before);
    }
    let folder = Folder::new();
    let output = folder.runner(&["init", "--template", "cache-evictoin"], false);
    assert_eq!(output.status.code(), Some(2));
    assert!(err(&output).contains("did you mean `@cache-eviction`?"), "{}", err(&output));
    for name in ["../mine", "a b", "", ".hidden", "mine.test.yaml", "a\"b"] {
        let output = folder.runner(&["init", name], false);
        assert_eq!(output.status.code(), Some(2), "{name}: {}", err(&output));
    }
    let output = folder.runner(&["init", "mine.toml", "--format", "yaml"], false);
    assert!(err(&output).contains("two formats"), "{}", err(&output));
    // A file's name says its format.
    for name in ["mine.toml", "other.yaml", "llama-3.1"] {
        let output = folder.runner(&["init", name], false);
        assert_eq!(output.status.code(), Some(0), "{}", err(&output));
        let file = if name.contains("ml") { name.to_owned() } else { format!("{name}.yaml") };
        let output = folder.runner(&["validate", &file], false);
        assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    }
    assert!(folder.read("mine.toml").contains("name = \"mine\""));
}

#[test]
fn every_code_is_explained() {
    let folder = Folder::new();
    let all = out(&folder.runner(&["explain"], false));
    for code in Code::ALL {
        assert!(all.contains(code.number()), "{code}");
    }
    let one = out(&folder.runner(&["explain", "e011"], false));
    assert!(one.starts_with("E011\n") && one.contains("What to do: "), "{one}");
    assert_eq!(folder.runner(&["explain", "E999"], false).status.code(), Some(2));
}

#[test]
fn metrics_kinds_and_keys_are_explained_by_their_own_sources() {
    let explained = |word: &str| out(&Folder::new().runner(&["explain", word], false));
    for metric in METRICS {
        assert!(explained(metric.name).contains(metric.definition), "{}", metric.name);
    }
    assert!(explained("ttft.p95").starts_with("ttft (metric, ms)"));
    let kind = explained("qps_ladder");
    assert!(
        kind.starts_with("qps_ladder (kind of stage)") && kind.contains("    rates: "),
        "{kind}"
    );
    let key = explained("unique");
    assert!(key.contains("key of prompt") && key.contains("    never: "), "{key}");
}

#[test]
fn an_endpoint_makes_a_plan_of_a_few_lines() {
    let folder = Folder::new();
    let output = folder.runner(&["init", "mine", "--endpoint", "8000"], false);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let plan = folder.read("mine.yaml");
    assert!(plan.contains("endpoint: \"http://127.0.0.1:8000/v1\"\n"), "{plan}");
    assert_eq!(plan.lines().filter(|line| !line.starts_with('#')).count(), 6, "{plan}");
    let output = folder.runner(&["validate", "mine.yaml"], false);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let output = folder.runner(&["init", "mine", "--endpoint", "8000"], false);
    assert_eq!(output.status.code(), Some(2), "what is there is left as it is");
}

#[test]
fn flags_of_other_tools_and_bare_names_end_in_ours() {
    let folder = Folder::new();
    for (flag, ours) in [
        ("--num-prompts", "`--requests` of `runner quick`, and `requests`"),
        ("--request-rate", "`--rate`"),
        ("--max-concurrency=8", "`--concurrency`"),
        ("--vus", "`--concurrency`"),
        ("--random-input-len", "`--input`"),
        ("--target", "`endpoint` in a plan"),
    ] {
        let output = folder.runner(&["quick", "http://127.0.0.1:9/v1", flag, "5"], false);
        assert_eq!(output.status.code(), Some(2), "{flag}");
        assert!(err(&output).contains(ours), "{flag}: {}", err(&output));
    }
    let output = folder.runner(&["validate", "soak"], false);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
}

const PLAN: &str = "version: 1
params: { docs: { type: int, default: 2, min: 1 } }
endpoint: { simulator: { decode_rate: 1k, prefill_rate: 50k } }
prompt: { text: Say hello., max_tokens: 2 }
stages:
  - { kind: cold, requests: \"${docs}\" }
  - { kind: warm, thresholds: [error_rate <= 0%] }
";

#[test]
fn tests_of_plans_say_what_is_not_as_expected() {
    let folder = Folder::new();
    folder.write("plan.yaml", PLAN);
    folder.write(
        "plan.test.yaml",
        "version: 1
cases:
  - name: right
    params: { docs: 3 }
    expect: { resolved: { /stages/0/requests: 3 }, order: [cold, warm] }
  - name: wrong value
    expect: { resolved: { /stages/0/requests: 9, /stages/7: 1 } }
  - name: wrong order
    expect: { order: [warm, cold] }
  - name: not refused
    expect: { diagnostics: [E021] }
  - name: fails as scripted
    simulator: { faults: [{ from: 2, count: 1, status: 503 }] }
    expect: { exit: 10, fail: [\"warm: error_rate <= 0%\"], pass: [\"cold: cache == cold\"] }
  - name: does not fail
    expect: { exit: 10, fail: [error_rate <= 0%], pass: [nothing == 1] }
",
    );
    let output = folder.runner(&["test", "--junit", "out.xml"], false);
    let said = out(&output);
    assert_eq!(output.status.code(), Some(10), "{said}{}", err(&output));
    for line in [
        "/stages/0/requests: 2, expected 9",
        "/stages/7: nothing there, expected 1",
        "stages run in the order cold, warm; expected warm, cold",
        "expected the diagnostic E021, got nothing",
        "exit code 0, expected 10",
        "warm: `error_rate <= 0%` passed",
        "no check `nothing == 1` was judged",
        "6 cases, 4 failed",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    assert!(said.contains("pass  ./plan.test.yaml: fails as scripted"), "{said}");
    let xml = folder.read("out.xml");
    assert!(xml.contains("tests=\"6\" failures=\"4\""), "{xml}");
}

#[test]
fn wrong_test_files_are_refused_like_wrong_plans() {
    let folder = Folder::new();
    folder.write("plan.yaml", PLAN);
    folder.write(
        "plan.test.yaml",
        "version: 1
cases:
  - name: expects nothing
  - name: misspelt
    expct: { exit: 0 }
  - name: no code
    expect: { diagnostics: [E999] }
",
    );
    let output = folder.runner(&["test", "--junit", "out.xml"], false);
    let said = err(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    // Who reads the XML alone must see it, too.
    let xml = folder.read("out.xml");
    assert!(xml.contains("tests=\"1\" failures=\"0\" errors=\"1\""), "{xml}");
    assert!(xml.contains("the test file can be used") && xml.contains("expects nothing"), "{xml}");
    for words in ["expects nothing", "did you mean `expect`?", "no diagnostic has the code `E999`"]
    {
        assert!(said.contains(words), "{words}\n{said}");
    }
    let empty = Folder::new();
    assert_eq!(empty.runner(&["test"], false).status.code(), Some(11));
}

#[test]
fn a_test_finds_its_plan_or_says_how_to_name_it() {
    let folder = Folder::new();
    let cases = "version: 1\ncases: [{ name: order, expect: { order: [cold, warm] } }]\n";
    folder.write("plan.yml", PLAN);
    folder.write("plan.test.yaml", cases);
    let output = folder.runner(&["test"], false);
    assert_eq!(output.status.code(), Some(0), "{}{}", out(&output), err(&output));

    folder.write("other.test.yaml", cases);
    folder.write("named.test.yaml", &cases.replace("cases:", "plan: plans/gone.yaml\ncases:"));
    let output = folder.runner(&["test"], false);
    assert_eq!(output.status.code(), Some(3), "{}", out(&output));
    let said = err(&output);
    for words in [
        "there is no plan beside this test: no `./other.yaml`",
        "other.test.yaml:1:1",
        "say which plan it tests: `plan: PATH`",
        "there is no plan `./plans/gone.yaml`",
        "named.test.yaml:2:7",
    ] {
        assert!(said.contains(words), "{words}\n{said}");
    }
}

//! Good plans: what is written and what is meant.

use std::fs;
use std::time::Duration;

use runner::plan::{
    self, Action, Aggregate, ApiKey, ContextSource, FaultKind, Level, Limit, LoadOptions, Nonce,
    Plan, Target, TokenizerConfig,
};

use crate::load::{SMALLEST, environment, load, load_with, params, repeat, said};

/// Everything of a plan but places, which differ between formats, and what the text alone fixes.
fn meaning(mut plan: Plan) -> String {
    plan.path = "-".into();
    plan.hash = String::new();
    // The document keeps the order in which keys are written.
    plan.resolved = serde_json::Value::Null;
    plan.params.sort_by(|left, right| left.name.cmp(&right.name));
    let printed = format!("{plan:#?}");
    let mut kept = Vec::new();
    let mut skip = None;
    for line in printed.lines() {
        let indent = line.len() - line.trim_start().len();
        match skip {
            Some(depth) if indent > depth => {}
            Some(_) => skip = None,
            None if ["location: Location {", "lines: ["]
                .iter()
                .any(|place| line.trim_start().starts_with(place)) =>
            {
                skip = Some(indent);
            }
            None => kept.push(line),
        }
    }
    kept.join("\n")
}

#[test]
fn the_smallest_plan_has_every_default() {
    let Plan { name, stages, seed, nonce, results, .. } = load(SMALLEST).plan;
    assert_eq!((name.as_str(), seed, nonce), ("plan", 0, Nonce::Run));
    assert_eq!(results.to_str(), Some("results"));
    let [cold, warm] = stages.as_slice() else { panic!("two stages") };
    assert_eq!((cold.id.as_str(), warm.id.as_str()), ("cold", "warm"));
    assert!(cold.needs.is_empty());
    assert_eq!(warm.needs[0].id, "cold");
    let (Action::Cold(first), Action::Warm(second)) = (&cold.action, &warm.action) else {
        panic!("cold, then warm")
    };
    assert_eq!((first.requests, first.concurrency), (10, 1));
    assert_eq!((second.requests, second.nonce_key.as_str()), (10, "cold"));
    assert!(first.prompt.streams());
    assert_eq!(first.prompt.messages[0].content, "Say hello.");
    assert_eq!(first.prompt.messages[0].location.to_string(), "plan.yaml:3:9");
    assert_eq!(warm.location.to_string(), "plan.yaml:6:5");
    let endpoint = &cold.endpoint;
    assert!(matches!(&endpoint.target, Target::Url(url) if url.as_str().ends_with(":8000/v1")));
    assert_eq!(endpoint.name, "127.0.0.1:8000");
    assert_eq!(endpoint.timeouts.connect, Duration::from_secs(5));
    assert_eq!(endpoint.timeouts.headers, Duration::from_secs(300));
    assert_eq!(endpoint.timeouts.first_token, Duration::from_secs(300));
    assert_eq!(endpoint.timeouts.idle, Duration::from_secs(60));
    assert_eq!(endpoint.timeouts.total, Duration::from_secs(600));
    assert_eq!(endpoint.tokenizer, TokenizerConfig::Auto);
    assert!(endpoint.model.is_none() && endpoint.api_key == ApiKey::Unset);
    assert!(cold.thresholds[0].implicit);
    assert!(warm.thresholds.is_empty());
}

#[test]
fn every_scenario_loads_without_a_warning() {
    for entry in fs::read_dir("scenarios").expect("scenarios/ is there") {
        let path = entry.expect("an entry").path();
        if path.to_string_lossy().contains(".test.") {
            continue;
        }
        if path.extension().is_some_and(|ending| ending == "yaml" || ending == "toml") {
            let loaded = plan::load(&path, &LoadOptions::default())
                .unwrap_or_else(|error| panic!("{}", said(&error)));
            assert!(loaded.warnings.is_empty(), "{}: {:?}", path.display(), loaded.warnings);
        }
    }
}

#[test]
fn the_toml_twin_means_the_same() {
    let of = |path: &str| {
        let loaded = plan::load(path.as_ref(), &LoadOptions::default());
        meaning(loaded.unwrap_or_else(|error| panic!("{}", said(&error))).plan)
    };
    assert_eq!(of("scenarios/cache-eviction.yaml"), of("scenarios/cache-eviction.toml"));
}

#[test]
fn the_main_scenario_is_what_it_says() {
    let options = LoadOptions {
        params: params(&[("docs", "3"), ("model", "small")]),
        environment: environment(&[("BENCH_DOCS", "5"), ("BENCH_CONTEXT_TOKENS", "4k")]),
        ..LoadOptions::default()
    };
    let plan = plan::load("scenarios/cache-eviction.yaml".as_ref(), &options)
        .unwrap_or_else(|error| panic!("{}", said(&error)))
        .plan;
    let ids: Vec<&str> = plan.stages.iter().map(|stage| stage.id.as_str()).collect();
    assert_eq!(ids, ["cold", "warm", "flush", "after_flush"]);
    for id in ["cold", "warm", "after_flush"] {
        let repeat = repeat(&plan, id);
        assert_eq!((repeat.requests, repeat.nonce_key.as_str()), (3, "cold"));
        let context = repeat.prompt.context.expect("a context");
        assert_eq!((context.from, context.tokens), (ContextSource::Filler, Some(4_000)));
    }
    let cold = &plan.stages[0];
    assert_eq!(cold.endpoint.name, "simulated");
    assert_eq!(cold.endpoint.model.as_deref(), Some("small"));
    let Target::Simulator(simulator) = &cold.endpoint.target else { panic!("a simulator") };
    assert_eq!((simulator.cache_tokens, simulator.seed), (100_000, 7));
    let warm = &plan.stages[1].thresholds[0];
    assert_eq!(warm.left.aggregate, Some(Aggregate::Percentile(50.0)));
    assert!(matches!(&warm.right, Limit::Times { factor, .. } if (factor - 0.5).abs() < 1e-9));
    let text = fs::read_to_string(&warm.location.file).expect("the location names the file");
    assert_eq!(text.get(warm.location.start..warm.location.end), Some(warm.check.as_str()));
    assert_eq!(plan.stages[3].thresholds.len(), 3);
}

#[test]
fn the_command_line_swaps_targets_and_keeps_what_is_written_over_them() {
    let text = "version: 1
endpoints:
  here: { url: http://here/v1, model: a }
  there: { url: http://there/v1/, model: b }
endpoint: { profile: here, headers: { X-Team: blue }, timeouts: { idle: 7s } }
prompt: Say hello.
stages:
  - kind: cold
  - { kind: warm, endpoint: { model: c } }
  - { kind: cold, endpoint: { url: http://else/v1, model: d } }
";
    let seen = |target: Option<&str>| {
        let options = LoadOptions { endpoint: target.map(str::to_owned), ..LoadOptions::default() };
        let plan = load_with("plan.yaml", text, &options).plan;
        assert_eq!(plan.stages[0].endpoint.headers[0].0, "X-Team");
        assert_eq!(plan.stages[1].endpoint.timeouts.idle, Duration::from_secs(7));
        let of = |endpoint: &plan::Endpoint| match &endpoint.target {
            Target::Url(url) => format!("{url} {}", endpoint.model.as_deref().unwrap_or("-")),
            Target::Simulator(_) => "simulator".into(),
        };
        plan.stages.iter().map(|stage| of(&stage.endpoint)).collect::<Vec<_>>()
    };
    assert_eq!(seen(None), ["http://here/v1 a", "http://here/v1 c", "http://else/v1 d"]);
    assert_eq!(
        seen(Some("there")),
        ["http://there/v1 b", "http://there/v1 c", "http://there/v1 d"]
    );
    assert_eq!(
        seen(Some("http://new:1/v1")),
        ["http://new:1/v1 -", "http://new:1/v1 c", "http://new:1/v1 d"]
    );
}

#[test]
fn anchors_and_merge_keys_work() {
    let text = "version: 1
x-common: &common { requests: 4, concurrency: 2, tags: [a] }
endpoint: http://127.0.0.1:8000/v1
prompt: Say hello.
stages:
  - { kind: cold, <<: *common, concurrency: 3 }
  - kind: cold
    <<: [*common]
    id: other
";
    let plan = load(text).plan;
    let cold = repeat(&plan, "cold");
    assert_eq!((cold.requests, cold.concurrency), (4, 3));
    assert_eq!(repeat(&plan, "other").concurrency, 2);
    assert_eq!(plan.stages[1].tags, ["a"]);
}

#[test]
fn a_stage_repeats_what_it_is_like() {
    let text = "version: 1
endpoint: http://127.0.0.1:8000/v1
prompt: Say hello.
stages:
  - { kind: cold, id: first, requests: 4, concurrency: 2, prompt: One. }
  - { kind: cold, id: second, requests: 5, prompt: Two. }
  - { kind: warm, id: nearest }
  - { kind: warm, id: chained, like: first, requests: 3 }
  - { kind: warm, id: end, like: chained }
  - { kind: warm, id: own, prompt: Three. }
";
    let plan = load(text).plan;
    let of = |id: &str| {
        let repeat = repeat(&plan, id);
        let prompt = repeat.prompt.messages[0].content.clone();
        (repeat.requests, repeat.concurrency, prompt, repeat.nonce_key)
    };
    assert_eq!(of("nearest"), (5, 1, "Two.".into(), "second".into()));
    assert_eq!(of("chained"), (3, 2, "One.".into(), "first".into()));
    assert_eq!(of("end"), (3, 2, "One.".into(), "first".into()));
    assert_eq!(of("own"), (10, 1, "Three.".into(), "own".into()));
}

#[test]
fn needs_may_be_empty_or_any_stage() {
    let text = "version: 1
endpoint: http://127.0.0.1:8000/v1
prompt: Say hello.
stages:
  - { kind: cold, id: a, needs: [c] }
  - { kind: cold, id: b, needs: [] }
  - { kind: cold, id: c }
";
    let plan = load(text).plan;
    let needs = |index: usize| {
        plan.stages[index].needs.iter().map(|need| need.id.as_str()).collect::<Vec<_>>()
    };
    assert_eq!((needs(0), needs(1), needs(2)), (vec!["c"], vec![], vec!["b"]));
    assert_eq!(plan.stages[0].needs[0].location.to_string(), "plan.yaml:5:34");
}

#[test]
fn an_own_verdict_replaces_the_implied_one() {
    let text = SMALLEST.replace(
        "- kind: cold\n",
        "- kind: cold\n    thresholds:\n      - { check: cache == cold, level: warn }\n",
    );
    let thresholds = load(&text).plan.stages[0].thresholds.clone();
    assert_eq!(thresholds.len(), 1);
    assert_eq!((thresholds[0].level, thresholds[0].implicit), (Level::Warn, false));

    let text = format!("{SMALLEST}thresholds:\n  - warm.ttft.p50 < cold.ttft.p50\n");
    let warm = load(&text).plan.stages[1].thresholds.clone();
    assert_eq!((warm.len(), warm[0].left.stage.as_deref()), (1, None));
}

#[test]
fn sinks_are_short_or_long_and_off_when_empty() {
    let text = format!(
        "{SMALLEST}sinks:
  - csv:out/${{plan.name}}.csv
  - jsonl:${{env:ROWS:-}}
  - {{ kind: summary, target: \"-\", required: true }}
"
    );
    let sinks = load(&text).plan.sinks;
    assert_eq!(sinks.len(), 2);
    assert_eq!((sinks[0].target.as_str(), sinks[0].required), ("out/plan.csv", false));
    assert!(sinks[1].required);
}

#[test]
fn the_simulator_takes_all_its_keys() {
    let text = "version: 1
endpoint:
  simulator:
    model: tiny
    cache_tokens: 0
    overhead: 2ms
    api_key: open-sesame
    reset_prefix_cache: false
    faults:
      - { from: 2, count: 3, status: 503 }
      - { stall: 4 }
      - { from: 9, crash: true }
prompt: Say hello.
stages: [{ kind: cold }]
";
    let plan = load(text).plan;
    let Target::Simulator(simulator) = &plan.stages[0].endpoint.target else {
        panic!("a simulator")
    };
    assert_eq!((simulator.model.as_str(), simulator.cache_tokens), ("tiny", 0));
    assert_eq!(simulator.overhead, Duration::from_millis(2));
    assert!(!simulator.reset_prefix_cache && simulator.report_cached_tokens);
    let kinds: Vec<&FaultKind> = simulator.faults.iter().map(|fault| &fault.kind).collect();
    assert_eq!(kinds, [&FaultKind::Status(503), &FaultKind::Stall(4), &FaultKind::Crash]);
    assert_eq!((simulator.faults[0].from, simulator.faults[1].count), (2, 1));
}

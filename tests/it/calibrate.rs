//! `runner calibrate` with tiny settings, and the warning of a run that asks for more.

use std::path::Path;
use std::process::{Command, Output};

use runner::executor::calibration::{Calibration, Ceiling, Effort, calibrate, store};
use runner::executor::manifest::Host;
use runner::executor::progress::ProgressMode;

fn tiny() -> Effort {
    Effort {
        levels: vec![(1, 20), (8, 80)],
        rates: vec![200.0],
        rate_seconds: 0.2,
        accuracy: vec![(4, 12)],
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_is_measured_against_the_truth() {
    let it = calibrate(&tiny(), ProgressMode::None).await.expect("measured");
    let levels: Vec<_> = it.ceilings.iter().map(|it| (it.streams, it.ok, it.failed)).collect();
    assert_eq!(levels, [(1, 20, 0), (8, 80, 0)]);
    for ceiling in &it.ceilings {
        assert!(ceiling.requests_per_second > 1.0, "{ceiling:?}");
        // 16 tokens each.
        assert!((ceiling.events_per_second / ceiling.requests_per_second - 16.0).abs() < 0.1);
    }
    let schedule = &it.schedules[0];
    let kept = schedule.sent_rate / schedule.target_rate;
    assert!(kept > 0.0 && kept < 1.5, "{schedule:?}");
    assert!(schedule.lag_ms.p50 >= 0.0 && schedule.lag_ms.p50 <= schedule.lag_ms.p99);
    let accuracy = &it.accuracy[0];
    assert!((1..=12).contains(&accuracy.requests), "{accuracy:?}");
    // The client can't hear of a token before it was sent, whatever the machine does.
    assert!(accuracy.ttft_ms.p50 > 0.0 && accuracy.e2e_ms.p50 > 0.0, "{accuracy:?}");
    let text = serde_json::to_string(&it).expect("JSON");
    assert_eq!(serde_json::from_str::<Calibration>(&text).expect("the same"), it);
}

fn known(host: Host) -> Calibration {
    Calibration {
        calibration_version: 1,
        runner_version: "0.1.0".into(),
        measured_at: "2026-01-02T03:04:05Z".into(),
        host,
        ceilings: vec![Ceiling {
            streams: 2,
            ok: 10,
            failed: 0,
            requests_per_second: 50.0,
            events_per_second: 800.0,
            cpu_us_per_request: None,
        }],
        schedules: Vec::new(),
        accuracy: Vec::new(),
    }
}

/// A run of one stage of load, with that calibration.
fn run(folder: &Path, calibration: &Path, load: &str) -> Output {
    let plan = folder.join("plan.yaml");
    let text = format!(
        "version: 1\nname: small\nendpoint: {{ simulator: {{ decode_rate: 1000 }} }}\n\
         prompt: {{ text: Hi., max_tokens: 2 }}\nstages:\n  - {{ id: load, kind: load, {load} }}\n"
    );
    std::fs::write(&plan, text).expect("written");
    Command::new(env!("CARGO_BIN_EXE_runner"))
        .arg("run")
        .arg(&plan)
        .arg("--results")
        .arg(folder.join("results"))
        .env(store::VARIABLE, calibration)
        .output()
        .expect("it runs")
}

#[test]
fn a_plan_that_asks_for_more_than_was_seen_is_run_with_a_warning() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("kept/calibration.json");
    store::save(&known(Host::this()), &file).expect("kept");
    for (load, warning) in [
        ("rate: 200/s, requests: 4", Some("200 requests/s are more than this machine")),
        ("concurrency: 3, requests: 4", Some("3 streams at a time are more than this machine")),
        ("concurrency: 2, requests: 4", None),
        ("rate: 40/s, requests: 4", None),
    ] {
        let output = run(folder.path(), &file, load);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{load}: {said}");
        let warned = said.lines().find(|line| line.contains("than this machine was seen"));
        assert_eq!(warned.is_some(), warning.is_some(), "{load}: {said}");
        if let Some(warning) = warning {
            assert!(said.contains(warning) && said.contains("2026-01-02"), "{load}: {said}");
            let noted = String::from_utf8_lossy(&output.stdout).contains(warning);
            assert!(noted, "the notes say it, too");
        }
    }
}

#[test]
fn the_calibration_of_another_machine_says_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("calibration.json");
    let elsewhere = Host { hostname: Some("another-machine".into()), ..Host::this() };
    store::save(&known(elsewhere), &file).expect("kept");
    assert_eq!(store::last(&file), None);
    std::fs::write(&file, "{}").expect("written");
    assert_eq!(store::last(&file), None, "nor does one that is none");
    assert_eq!(store::last(&folder.path().join("missing.json")), None);
}

#[test]
fn the_last_calibration_lies_where_the_user_says() {
    let place = |set: &[(&str, &str)]| {
        store::path(|name| {
            let found = set.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| value.into())
        })
    };
    assert_eq!(place(&[]), None);
    let home = ("HOME", "/home/u");
    let in_home = Path::new("/home/u/.local/state/runner/calibration.json");
    assert_eq!(place(&[home]).as_deref(), Some(in_home));
    let state = ("XDG_STATE_HOME", "/state");
    let in_state = Path::new("/state/runner/calibration.json");
    assert_eq!(place(&[home, state]).as_deref(), Some(in_state));
    let named = place(&[home, state, (store::VARIABLE, "here.json")]);
    assert_eq!(named.as_deref(), Some(Path::new("here.json")));
}

//! A typical run as lines, and how the executor would record it.

use std::path::{Path, PathBuf};

use runner::executor::manifest::{
    Host, MANIFEST_VERSION, Manifest, ManifestEndpoint, ManifestPlan,
};
use runner::executor::rebuild::rebuild;
use runner::executor::recorder::{Recorded, Recorder};
use runner::executor::run_dir::RunDir;
use runner::metrics::record_log;
use runner::metrics::summary::{RunEnd, RunState};
use runner::plan::{
    Aggregate, CacheWord, Durability, Level, Limit, Location, MetricRef, Op, SinkConfig, SinkKind,
    Threshold,
};
use runner::record::{
    CacheState, Connection, ErrorInfo, FlushAttempt, FlushLine, FlushState, Line, OutcomeKind,
    RECORD_VERSION, Record, RecordSender, RunLine, ServerTimings, StageEnd, StageStart, StageState,
    StartLine, TokenCounts,
};
use runner::report::console;
use runner::report::look::Look;
use runner::sink::{self, OpenSink};
use serde_json::Value;

pub fn ms(ms: u64) -> u64 {
    ms * 1_000_000
}

pub fn run_line(run: &RunDir) -> RunLine {
    RunLine {
        record_version: RECORD_VERSION,
        run_id: run.id().into(),
        plan: "cache-eviction".into(),
        plan_hash: "c0ffee".into(),
        started_at: "2026-11-21T22:40:15Z".into(),
        seed: 7,
        simulated: true,
        insecure: false,
        runner_version: "0.1.0".into(),
    }
}

pub fn manifest(run: &RunDir, end: Option<RunEnd>, exit_code: Option<i32>) -> Manifest {
    Manifest {
        schema_version: MANIFEST_VERSION,
        run_id: run.id().into(),
        state: end.as_ref().map_or(RunState::Running, |end| end.state),
        resumes: None,
        plan: ManifestPlan {
            resolved: serde_json::json!({"version": 1}),
            name: "cache-eviction".into(),
            path: "scenarios/cache-eviction.yaml".into(),
            hash: "c0ffee".into(),
        },
        simulated: true,
        seed: 7,
        params: [("docs".to_owned(), 8.into())].into(),
        cells: Vec::new(),
        tags: [].into(),
        endpoints: vec![ManifestEndpoint {
            insecure: false,
            name: "simulated".into(),
            url: "simulator".into(),
            request_url: None,
            model: Some("simulated-8b".into()),
            server: None,
            server_version: None,
            model_details: std::collections::BTreeMap::new(),
            context_tokens: None,
            slots: None,
            addresses: Vec::new(),
            metrics: None,
        }],
        arguments: vec!["run".into(), "scenarios/cache-eviction.yaml".into()],
        choices: Vec::new(),
        runner_version: "0.1.0".into(),
        host: Host::this(),
        started_at: "2026-11-21T22:40:15Z".into(),
        ended_at: end.as_ref().map(|_| "2026-11-21T22:40:25Z".into()),
        ended_ns: None,
        exit_code,
        end,
    }
}

pub fn p50(stage: Option<&str>) -> MetricRef {
    let aggregate = Some(Aggregate::Percentile(50.0));
    MetricRef { stage: stage.map(Into::into), metric: "ttft".into(), aggregate }
}

pub fn threshold(check: &str, left: MetricRef, op: Op, right: Limit) -> Threshold {
    let file = "scenarios/cache-eviction.yaml".into();
    Threshold {
        check: check.into(),
        left,
        op,
        right,
        level: Level::Fail,
        min_samples: 1,
        rungs: None,
        over_ms: None,
        from: None,
        allow_no_data: false,
        implicit: false,
        location: Location { file, line: 40, column: 9, start: 0, end: 1 },
    }
}

pub fn stage_start(
    stage: &str,
    planned: u64,
    expects: CacheState,
    thresholds: Vec<Threshold>,
) -> Line {
    Line::StageStart(StageStart {
        stage: stage.into(),
        kind: if expects == CacheState::Warm { "warm" } else { "cold" }.into(),
        cell: None,
        rung: None,
        endpoint: "simulated".into(),
        api: Some("openai-chat".into()),
        model: Some("simulated-8b".into()),
        planned,
        expects: Some(expects),
        like: None,
        reported: true,
        load: None,
        concurrency: None,
        thresholds,
        at_ns: 0,
    })
}

pub fn stage_end(id: &str, state: StageState, at: u64) -> Line {
    let reason = (state != StageState::Completed).then(|| "three requests failed in a row".into());
    Line::StageEnd(StageEnd {
        stage: id.into(),
        cell: None,
        rung: None,
        state,
        reason,
        planned: None,
        aborted: false,
        cpu_ns: None,
        wake_lag: None,
        at_ns: ms(at),
    })
}

pub fn start(stage: &str, index: u64) -> Line {
    let at = ms(500 * index);
    Line::Start(StartLine {
        stage: stage.into(),
        cell: None,
        rung: None,
        index,
        due_ns: at,
        sent_ns: at + 40_000,
    })
}

/// A complete answer with this TTFT (in microseconds, for uneven figures).
pub fn answer(stage: &str, index: u64, ttft_us: u64, cached: u64) -> Record {
    let due = ms(500 * index);
    let first = due + 40_000 + ttft_us * 1000;
    let count = |server| TokenCounts { server: Some(server), ..TokenCounts::default() };
    let token_ns: Vec<u64> = (0..16).map(|token| first + token * 10_123_457).collect();
    Record {
        stage: stage.into(),
        cell: None,
        rung: None,
        index,
        request_id: format!("{stage}-{index}"),
        prompt_hash: Some(format!("{index:016x}")),
        session: None,
        due_ns: Some(due),
        sent_ns: Some(due + 40_000),
        connecting_ns: None,
        connected_ns: (index == 0).then_some(due + 90_000),
        headers_ns: Some(first - 5_000),
        first_event_ns: Some(first - 4_000),
        first_token_ns: Some(first),
        first_content_ns: Some(first),
        last_token_ns: token_ns.last().copied(),
        usage_ns: token_ns.last().map(|last| last + 1000),
        end_ns: token_ns.last().map(|last| last + 2000),
        token_ns,
        choices: Vec::new(),
        outcome: OutcomeKind::Ok,
        http_status: Some(200),
        error: None,
        input_tokens: count(2100),
        output_tokens: count(16),
        reasoning_tokens: None,
        cached_tokens: Some(cached),
        cache: if cached > 1000 { CacheState::Warm } else { CacheState::Cold },
        finish_reason: Some("length".into()),
        asked_model: None,
        other_model: None,
        response_id: None,
        timings: Some(ServerTimings { prompt_ms: Some(0.1 + 0.2), ..ServerTimings::default() }),
        connection: Connection { reused: index > 0, address: None },
        bytes_in: 4096,
        flags: vec![],
        impossible: std::collections::BTreeMap::new(),
    }
}

pub fn failure(stage: &str, index: u64, message: &str) -> Record {
    let error = ErrorInfo { class: "http.503".into(), message: message.into(), raw: None };
    Record {
        first_token_ns: None,
        first_content_ns: None,
        last_token_ns: None,
        token_ns: vec![],
        choices: Vec::new(),
        outcome: OutcomeKind::Http,
        http_status: Some(503),
        error: Some(error),
        cached_tokens: None,
        cache: CacheState::Unknown,
        ..answer(stage, index, 1000, 0)
    }
}

pub fn flush_line() -> Line {
    Line::Flush(FlushLine {
        stage: "flush".into(),
        cell: None,
        state: FlushState::Proven,
        before: CacheState::Warm,
        prompt_tokens: Some(2100),
        cached_tokens: Some(2096),
        ttft_cold_ms: Some(262.100_000_1),
        ttft_warm_ms: Some(0.1 + 0.2),
        attempts: vec![FlushAttempt {
            method: "vllm POST /reset_prefix_cache".into(),
            accepted: true,
            detail: "{\"success\":true}".into(),
            after: CacheState::Cold,
            cached_tokens: Some(0),
            ttft_ms: Some(261.7),
        }],
        summary: "a prompt that was warm is cold again".into(),
        at_ns: ms(500),
    })
}

/// A cold, warm, flush and again cold run of eight documents with one failure at its end.
pub fn lines() -> Vec<Line> {
    let mut lines = Vec::new();
    let stage = |lines: &mut Vec<Line>, id: &str, ttft: u64, cached, thresholds| {
        let expects = if cached > 1000 { CacheState::Warm } else { CacheState::Cold };
        let mut begins = stage_start(id, 8, expects, thresholds);
        if let Line::StageStart(begins) = &mut begins {
            begins.like = (id != "cold").then(|| "cold".to_owned());
        }
        lines.push(begins);
        for index in 0..8 {
            lines.push(start(id, index));
            let record = answer(id, index, ttft + 317 * index, cached);
            let fails = id == "after_flush" && index == 7;
            let record = if fails { failure(id, 7, "=busy\u{1b}[31m") } else { record };
            lines.push(Line::End(Box::new(record)));
        }
        lines.push(stage_end(id, StageState::Completed, 4000));
    };
    stage(&mut lines, "cold", 262_000, 24, vec![]);
    let half = Limit::Times { factor: 0.5, of: p50(Some("cold")) };
    let cache = MetricRef { stage: None, metric: "cache".into(), aggregate: None };
    let warm_checks = vec![
        threshold("ttft.p50 <= 0.5 * cold.ttft.p50", p50(None), Op::Le, half),
        threshold("cache == warm", cache, Op::Eq, Limit::Cache(CacheWord::Warm)),
    ];
    stage(&mut lines, "warm", 12_000, 2096, warm_checks);
    let flush = stage_start("flush", 0, CacheState::Cold, vec![]);
    let Line::StageStart(flush) = flush else { unreachable!("just made") };
    lines.push(Line::StageStart(StageStart { kind: "flush".into(), expects: None, ..flush }));
    lines.push(flush_line());
    lines.push(stage_end("flush", StageState::Completed, 600));
    let errors = MetricRef { stage: None, metric: "error_rate".into(), aggregate: None };
    let twice = Limit::Times { factor: 2.0, of: p50(Some("warm")) };
    let after_checks = vec![
        threshold("ttft.p50 >= 2 * warm.ttft.p50", p50(None), Op::Ge, twice),
        threshold("error_rate <= 1%", errors, Op::Le, Limit::Value(0.01)),
    ];
    stage(&mut lines, "after_flush", 260_000, 24, after_checks);
    lines
}

pub fn send(sender: &RecordSender, lines: Vec<Line>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        for line in lines {
            sender.send(line).await;
        }
    });
}

pub fn open_sinks(base: &Path, targets: &[(SinkKind, &str, bool)]) -> Vec<OpenSink> {
    let config = |(kind, target, required): &(SinkKind, &str, bool)| SinkConfig {
        kind: *kind,
        target: (*target).to_owned(),
        required: *required,
    };
    let configs: Vec<_> = targets.iter().map(config).collect();
    sink::open_all(&configs, base, &runner::report::view::Background::default())
        .expect("sinks open")
}

/// Records `lines` as a run and closes it as the executor does. Returns its directory.
pub fn record_run(results: &Path, lines: Vec<Line>, sinks: Vec<OpenSink>) -> (PathBuf, Recorded) {
    let run = RunDir::create(results, "cache-eviction").expect("a run directory");
    run.write_manifest(&manifest(&run, None, None)).expect("a manifest");
    let (sender, recorder) =
        Recorder::start(run.path(), run_line(&run), Durability::Machine, sinks, |_| {})
            .expect("a recorder");
    send(&sender, lines);
    drop(sender);
    let done = recorder.finish(RunEnd::new(RunState::Finished)).expect("done");
    let path = run.path().to_owned();
    let exit_code = done.summary.verdict.exit_code;
    let last = manifest(&run, Some(done.end.clone()), Some(exit_code));
    run.finish(&last, &done.summary).expect("closed");
    (path, done)
}

pub fn read_json(path: &Path) -> Value {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&bytes).expect("strict JSON")
}

pub fn log_lines(run: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(run.join(record_log::segment_name(1))).expect("a log");
    text.lines().map(|line| serde_json::from_str(line).expect("strict JSON")).collect()
}

/// What `runner report` shows of the run in `run`.
pub fn text_report(run: &Path) -> String {
    console::render(&rebuild(run).expect("rebuilt").summary, Look::PLAIN)
}

/// The heads of the columns of a report's first table, and its first row.
pub fn table_of(text: &str) -> (Vec<&str>, Vec<&str>) {
    let lines: Vec<&str> = text.lines().collect();
    let rule = lines.iter().position(|line| line.starts_with("  ──")).expect("a table");
    let cells = |line: usize| {
        lines[line].split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()
    };
    (cells(rule - 2), cells(rule + 1))
}

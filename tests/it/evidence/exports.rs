//! Exports in other tools' formats: their files, their keys, their formulas.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use runner::metrics::aggregator::Aggregator;
use runner::metrics::summary::{RunEnd, RunState};
use runner::record::{CacheState, Line, Record};
use runner::report::export::{self, Beside, Collector, Evidence, FORMATS};
use serde_json::Value;

use super::fixture::*;
use crate::synthetic_run::{self, TYPICAL};

/// A synthetic run with cold, warm, flush and a ladder of rates.
fn evidence() -> Evidence {
    let (mut aggregator, mut collector) = (Aggregator::new(), Collector::default());
    synthetic_run::lines(TYPICAL, &mut |line: Line| {
        aggregator.line(&line);
        collector.line(line);
    });
    let summary = aggregator.finish(&RunEnd::new(RunState::Finished));
    let plan = serde_json::json!({ "prompt": { "max_tokens": 64, "dataset": "chats.json" } });
    collector.finish(summary, Beside { plan, ..Beside::default() }).expect("a run line")
}

fn written(evidence: &Evidence, word: &str) -> Vec<(String, Vec<u8>)> {
    let format = export::format(word).expect("known");
    let files = (format.write)(evidence).unwrap_or_else(|why| panic!("{word}: {why}"));
    files.into_iter().map(|file| (file.name, file.bytes)).collect()
}

fn json(files: &[(String, Vec<u8>)], name: &str) -> Value {
    let file = files.iter().find(|(found, _)| found == name);
    let names: Vec<&String> = files.iter().map(|(name, _)| name).collect();
    let (_, bytes) = file.unwrap_or_else(|| panic!("no {name} in {names:?}"));
    serde_json::from_slice(bytes).expect("JSON")
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

fn has(value: &Value, wanted: &str) {
    let keys = keys(value);
    for key in wanted.split_whitespace() {
        assert!(keys.contains(key), "no {key} in {keys:?}");
    }
}

fn number(value: &Value, pointer: &str) -> f64 {
    let found = value.pointer(pointer).and_then(Value::as_f64);
    found.unwrap_or_else(|| panic!("no number at {pointer}"))
}

#[test]
fn vllm_bench_has_its_keys_and_its_figures() {
    let evidence = evidence();
    let files = written(&evidence, "vllm-bench");
    assert_eq!(files.len(), evidence.stages.len());
    let cold = json(&files, "cold.json");
    has(
        &cold,
        "date endpoint_type model_id tokenizer_id num_prompts request_rate burstiness
        max_concurrency duration completed failed total_input_tokens total_output_tokens
        request_throughput request_goodput output_throughput total_token_throughput
        max_output_tokens_per_s max_concurrent_requests input_lens output_lens ttfts itls latencies
        start_times queue_times generated_texts errors",
    );
    for metric in ["ttft", "tpot", "itl", "e2el"] {
        for figure in ["mean", "median", "std", "p99"] {
            assert!(number(&cold, &format!("/{figure}_{metric}_ms")) >= 0.0);
        }
    }
    let ours = &evidence.summary.stages.iter().find(|stage| stage.id == "cold").expect("cold");
    let close = |pointer, ours: f64| {
        let theirs = number(&cold, pointer);
        assert!((theirs - ours).abs() < 1e-6 * ours.abs(), "{pointer}: {theirs} is not {ours}");
    };
    // To it a chunk with only a role is a token.
    assert!(number(&cold, "/median_ttft_ms") <= ours.metrics["ttft"].p50);
    close("/p99_e2el_ms", ours.metrics["e2e"].p99);
    assert_eq!(cold["completed"], ours.counts.ok);
    let ttfts = cold["ttfts"].as_array().expect("a list").len();
    assert_eq!(cold["num_prompts"], ttfts);
}

#[test]
fn aiperf_and_genai_perf_have_their_keys() {
    let evidence = evidence();
    let files = written(&evidence, "aiperf");
    let cold = json(&files, "cold/profile_export_aiperf.json");
    has(
        &cold,
        "schema_version aiperf_version benchmark_id start_time end_time was_cancelled
        input_config run_info telemetry_data error_summary output_token_throughput
        request_throughput request_count output_token_throughput_per_user",
    );
    for metric in [
        "time_to_first_token",
        "inter_token_latency",
        "request_latency",
        "output_sequence_length",
        "input_sequence_length",
    ] {
        has(&cold[metric], "unit avg p1 p5 p10 p25 p50 p75 p90 p95 p99 min max std count sum");
    }
    // What its own model (0.13) knows of a configuration, and nothing else.
    let config = &cold["input_config"];
    assert_eq!(keys(config), BTreeSet::from(["models", "endpoint", "datasets", "phases"]));
    let (_, lines) =
        &files.iter().find(|(name, _)| name == "cold/profile_export.jsonl").expect("lines");
    let lines: Vec<Value> = std::str::from_utf8(lines)
        .expect("text")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    // Its own model wants a start in every line: what was never sent has none.
    let sent = evidence.stages[0].records.iter().filter(|record| record.sent_ns.is_some());
    assert_eq!(lines.len(), sent.count());
    assert!(lines.iter().all(|line| line["metadata"]["request_start_ns"].is_i64()));
    has(&lines[0], "metadata metrics error");
    has(
        &lines[0]["metadata"],
        "session_num x_request_id x_correlation_id conversation_id turn_index
        request_start_ns request_ack_ns request_end_ns worker_id record_processor_id
        benchmark_phase was_cancelled",
    );
    has(&lines[0]["metrics"]["time_to_first_token"], "value unit");
    assert!(
        lines[0]["metadata"]["request_start_ns"].as_i64().expect("a stamp")
            > 1_500_000_000_000_000_000
    );

    let files = written(&evidence, "genai-perf");
    let cold = json(&files, "cold/profile_export_genai_perf.json");
    has(&cold["time_to_first_token"], "unit avg p25 p50 p75 p90 p95 p99 min max std");
    has(&cold["input_config"], "endpoint loadgen input");
    let raw = json(&files, "cold/profile_export.json");
    has(&raw["experiments"][0]["experiment"], "mode value");
    has(
        &raw["experiments"][0]["requests"][0],
        "timestamp request_inputs response_timestamps response_outputs",
    );
    has(&raw["experiments"][0]["requests"][0]["request_inputs"], "delay session_id payload");
}

#[test]
fn guidellm_inference_perf_and_llm_d_have_their_keys() {
    let evidence = evidence();
    let document = json(&written(&evidence, "guidellm"), "benchmarks.json");
    assert_eq!(document["metadata"]["version"], 2);
    let first = &document["benchmarks"][0];
    has(first, "config scheduler_state scheduler_metrics metrics requests");
    has(
        &first["metrics"],
        "request_totals requests_per_second request_concurrency request_latency
        prompt_token_count output_token_count time_to_first_token_ms time_to_first_output_token_ms
        time_per_output_token_ms inter_token_latency_ms output_tokens_per_second tokens_per_second",
    );
    has(&first["metrics"]["time_to_first_token_ms"], "successful incomplete errored total");
    let ttft = &first["metrics"]["time_to_first_token_ms"]["successful"];
    has(ttft, "mean median mode variance std_dev min max count total_sum percentiles");
    has(&ttft["percentiles"], "p001 p01 p05 p10 p25 p50 p75 p90 p95 p99 p999");
    // What its own model (0.8) asks for beside those; read back with it by hand.
    has(&document["config"]["spec"], "backend profile data");
    has(
        &first["config"],
        "run_id run_index strategy constraints profile requests backend environment",
    );
    has(
        &first["scheduler_metrics"],
        "start_time request_start_time measure_start_time measure_end_time request_end_time
        end_time requests_made queued_time_avg request_time_avg resolve_time_avg",
    );
    has(
        &first["metrics"],
        "total_token_count request_streaming_iterations_count output_tokens_per_iteration
        iter_tokens_per_iteration text image video audio tool_call",
    );
    assert_eq!(first["metrics"]["request_latency"]["errored"]["count"], 0);
    let request = &first["requests"]["successful"][0];
    has(request, "request_id info input_metrics output_metrics");
    let timings = |at: &str| number(request, &format!("/info/timings/{at}"));
    assert!(timings("request_start") < timings("first_token_iteration"), "{request}");
    assert!(timings("first_token_iteration") < timings("request_end"), "{request}");
    // Its time per output token holds the first one too.
    let of = |metric: &str| number(first, &format!("/metrics/{metric}/successful/mean"));
    assert!(of("time_per_output_token_ms") > of("inter_token_latency_ms"));

    let files = written(&evidence, "inference-perf");
    assert_eq!(files.len(), evidence.stages.len() + 1);
    let stage = json(&files, "stage_0_lifecycle_metrics.json");
    has(&stage["load_summary"], "count schedule_delay send_duration requested_rate achieved_rate");
    has(&stage["successes"], "count latency throughput prompt_len output_len");
    has(
        &stage["successes"]["latency"],
        "request_latency normalized_time_per_output_token
        time_per_output_token time_to_first_token inter_token_latency",
    );
    has(&stage["failures"], "count by_label");
    let all = json(&files, "summary_lifecycle_metrics.json");
    let records: usize = evidence.stages.iter().map(|stage| stage.records.len()).sum();
    assert_eq!(all["load_summary"]["count"], records);

    let report = json(&written(&evidence, "llm-d"), "benchmark_report_v0.2_cold.json");
    assert_eq!(keys(&report), BTreeSet::from(["version", "run", "scenario", "results"]));
    let aggregate = &report["results"]["request_performance"]["aggregate"];
    has(&aggregate["requests"], "total failures incomplete input_length output_length");
    has(
        &aggregate["latency"],
        "time_to_first_token normalized_time_per_output_token
        time_per_output_token inter_token_latency request_latency",
    );
    has(
        &aggregate["throughput"],
        "input_token_rate output_token_rate total_token_rate request_rate",
    );
    has(
        &aggregate["latency"]["time_to_first_token"],
        "units mean mode stddev min p0p1 p1 p5 p10 p25 p50 p75 p90 p95 p99 p99p9 max",
    );
    has(
        &report["scenario"]["load"]["standardized"],
        "tool tool_version parallelism source stage input_seq_len",
    );
}

#[test]
fn the_small_tools_files_have_their_keys() {
    let evidence = evidence();
    let files = written(&evidence, "ttft-cache");
    let text = String::from_utf8(files[0].1.clone()).expect("text");
    let lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(keys(&lines[0]), BTreeSet::from(["run_index", "context_tokens", "ttft_seconds"]));
    assert_eq!(lines[0]["run_index"], 1);
    assert!(lines.iter().any(|line| line["run_index"] == 2), "warm asks again");

    let files = written(&evidence, "qps-benchmark");
    has(
        &json(&files, "metadata.json"),
        "timestamp endpoint model dataset qps_levels duration
        max_tokens temperature percentiles show_tokens",
    );
    let levels = json(&files, "benchmark_qps_results.json");
    has(
        &levels[0],
        "qps_target actual_qps duration total_requests successful_requests
        failed_requests success_rate ttft e2e_latency tokens_per_sec errors status_codes",
    );
    has(&levels[0]["ttft"], "p50 p90 p95 p99");
    if cfg!(feature = "plots") {
        let (_, png) = files.iter().find(|(name, _)| name == "benchmark_qps.png").expect("a PNG");
        assert_eq!(&png[1..4], b"PNG");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report");
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("benchmark_qps.png"), png).expect("written");
    }

    let files = written(&evidence, "replay-rounds");
    let round = String::from_utf8(files[0].1.clone()).expect("text");
    let round: Value = serde_json::from_str(round.lines().next().expect("a round")).expect("JSON");
    has(
        &round,
        "actual_qps success_rate input_tokens output_tokens model
        input_tokens_per_minute output_tokens_per_minute Latency Throughput TTFT TPOT",
    );
    assert_eq!(round["TPOT"]["unit"], "ms");
    assert!(round["input_tokens"].is_u64() && round["output_tokens"].is_u64(), "{round}");
    has(&round["TTFT"], "unit min p50 p90 p95 p99 max");
    let header =
        "request_id,conversation_id,send_time,ttft_time,total_time,tokens_in,tokens_out,ttft,tpot";
    assert!(files[1].1.starts_with(header.as_bytes()));

    let files = written(&evidence, "bench-pack");
    let names: BTreeSet<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    // Cold and warm are no levels of one curve, and rates are none of it.
    let of = ["requests_c1.csv", "summary_c1.json", "summary_all.csv", "requests_all.csv"];
    for name in of.iter().flat_map(|name| [format!("cold/{name}"), format!("warm/{name}")]) {
        assert!(names.contains(name.as_str()), "no {name} in {names:?}");
    }
    assert!(names.iter().all(|name| !name.starts_with("ladder")), "{names:?}");
    has(
        &json(&files, "cold/summary_c1.json"),
        "concurrency requests success error_rate elapsed_sec qps
        latency_avg latency_p50 latency_p95 latency_p99 ttft_avg ttft_p99 total_completion_tokens
        total_gen_time_sec tps_tokens_per_sec",
    );
    has(
        &json(&files, "cold/overall_summary.json"),
        "best_qps best_qps_at_concurrency min_p99_latency saturation_hint",
    );
}

/// A search tries its ends again, so one level may come twice.
#[test]
fn levels_that_come_twice_have_files_of_their_own() {
    let (mut aggregator, mut collector) = (Aggregator::new(), Collector::default());
    let mut take = |line: Line| {
        aggregator.line(&line);
        collector.line(line);
    };
    synthetic_run::lines(TYPICAL, &mut |line| {
        if matches!(line, Line::Run(_)) {
            take(line);
        }
    });
    for index in 0..2 {
        let Line::StageStart(mut begun) = stage_start("find", 1, CacheState::Unknown, vec![])
        else {
            unreachable!("it is the start of a stage");
        };
        begun.rung = Some(36.5);
        take(Line::StageStart(begun));
        let record = Record { rung: Some(36.5), ..answer("find", index, 900, 0) };
        take(Line::End(Box::new(record)));
    }
    let summary = aggregator.finish(&RunEnd::new(RunState::Finished));
    let evidence = collector.finish(summary, Beside::default()).expect("a run line");
    for format in FORMATS.iter().filter(|format| format.word != "qps-benchmark") {
        let files = written(&evidence, format.word);
        let names: BTreeSet<&String> = files.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), files.len(), "{}: {names:?}", format.word);
    }
}

fn runner(args: &[&str], run: &Path) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
    command.arg("report").arg(run).args(args).output().expect("started")
}

#[test]
fn the_report_command_writes_exports_and_refuses_what_it_does_not_know() {
    let results = tempfile::tempdir().expect("a folder");
    let (run, _) = record_run(results.path(), lines(), vec![]);
    let folder = results.path().join("theirs");
    let named = format!("guidellm={}", folder.display());
    let output = runner(&["--export", "vllm-bench", "--export", &named, "--format", "none"], &run);
    assert_eq!(output.status.code(), Some(10), "{output:?}");
    assert!(run.join("export/vllm-bench/warm.json").is_file());
    assert!(folder.join("benchmarks.json").is_file());

    let output = runner(&["--export", "vlm-bench"], &run);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("no export is called `vlm-bench`") && said.contains("guidellm"),
        "{said}"
    );
    // A run without rates has nothing for the QPS benchmark.
    let output = runner(&["--export", "qps-benchmark"], &run);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no stage of the run has a rate"));
}

#[test]
fn every_format_has_a_word_of_its_own_and_a_meaning() {
    let words: BTreeSet<&str> = FORMATS.iter().map(|format| format.word).collect();
    assert_eq!(words.len(), FORMATS.len());
    assert!(FORMATS.iter().all(|format| format.meaning.contains(':')));
}

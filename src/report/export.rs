//! A run in the formats of other tools, so that what reads those tools' files goes on working.
//!
//! In: the lines of a run and its summary. Out: files with the names, fields, units and formulas of
//! the tool, one module each. Invariants: figures are derived anew from the records under the other
//! tool's formulas (its percentiles, its standard deviation, its idea of TPOT); what a record does not
//! hold (generated text) is left empty, never made up; each file says that `runner` wrote it where the
//! format has a place for that.

mod aiperf;
mod bench_pack;
mod figures;
mod genai_perf;
mod guidellm;
mod inference_perf;
mod llm_d;
mod qps_benchmark;
mod replay_rounds;
mod ttft_cache;
mod vllm_bench;

use std::collections::BTreeMap;

use serde_json::Value;

use self::figures::Sample;
use crate::metrics::summary::Summary;
use crate::record::{Line, OutcomeKind, Record, RunLine, StageStart};

/// The formats, by the word that chooses them.
pub const FORMATS: &[Format] = &[
    Format {
        word: "vllm-bench",
        meaning: "vllm bench serve: a JSON file per stage",
        write: vllm_bench::files,
    },
    Format {
        word: "aiperf",
        meaning: "AIPerf: profile_export_aiperf.json and profile_export.jsonl per stage",
        write: aiperf::files,
    },
    Format {
        word: "genai-perf",
        meaning: "genai-perf: profile_export_genai_perf.json and profile_export.json per stage",
        write: genai_perf::files,
    },
    Format { word: "guidellm", meaning: "GuideLLM: benchmarks.json", write: guidellm::files },
    Format {
        word: "inference-perf",
        meaning: "inference-perf: summary_ and stage_N_lifecycle_metrics.json",
        write: inference_perf::files,
    },
    Format {
        word: "llm-d",
        meaning: "llm-d Benchmark Report v0.2: a JSON file per stage",
        write: llm_d::files,
    },
    Format {
        word: "ttft-cache",
        meaning: "the TTFT cache benchmark: benchmark.jsonl",
        write: ttft_cache::files,
    },
    Format {
        word: "qps-benchmark",
        meaning: "the QPS benchmark: metadata.json, benchmark_qps_results.json and benchmark_qps.png",
        write: qps_benchmark::files,
    },
    Format {
        word: "replay-rounds",
        meaning: "the chat replay benchmark: a line per round, a row per request",
        write: replay_rounds::files,
    },
    Format {
        word: "bench-pack",
        meaning: "the OpenAI bench pack: requests_cX.csv, summary_cX.json, summary_all.csv, overall_summary.json",
        write: bench_pack::files,
    },
];

/// One format.
#[derive(Debug, Clone, Copy)]
pub struct Format {
    /// What `--export` calls it.
    pub word: &'static str,
    /// What comes out.
    pub meaning: &'static str,
    /// The files of a run, or why there are none.
    pub write: fn(&Evidence) -> Result<Vec<File>, String>,
}

/// The format of that word.
pub fn format(word: &str) -> Option<Format> {
    FORMATS.iter().find(|format| format.word == word).copied()
}

/// A file to be written.
#[derive(Debug, Clone)]
pub struct File {
    /// Its path below the folder of the export, with forward slashes.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

impl File {
    /// A document with indentation.
    fn json(name: impl Into<String>, document: &Value) -> Result<Self, String> {
        let mut bytes = serde_json::to_vec_pretty(document).map_err(|error| error.to_string())?;
        bytes.push(b'\n');
        Ok(Self { name: name.into(), bytes })
    }

    /// A document per line.
    fn json_lines(name: impl Into<String>, lines: impl Iterator<Item = Value>) -> Self {
        let mut bytes = Vec::new();
        for line in lines {
            bytes.extend(line.to_string().into_bytes());
            bytes.push(b'\n');
        }
        Self { name: name.into(), bytes }
    }

    /// Rows below a header.
    fn csv(
        name: impl Into<String>,
        header: &[&str],
        rows: impl Iterator<Item = Vec<String>>,
    ) -> Result<Self, String> {
        let mut out = csv::Writer::from_writer(Vec::new());
        out.write_record(header).map_err(|error| error.to_string())?;
        for row in rows {
            out.write_record(row).map_err(|error| error.to_string())?;
        }
        let bytes = out.into_inner().map_err(|error| error.to_string())?;
        Ok(Self { name: name.into(), bytes })
    }
}

/// All that a run left behind, in memory.
#[derive(Debug)]
pub struct Evidence {
    /// Which run it is.
    pub run: RunLine,
    /// Its figures under our own definitions.
    pub summary: Summary,
    /// Where its requests went: names and URLs.
    pub endpoints: BTreeMap<String, String>,
    /// The plan as one document; null in runs of old.
    pub plan: Value,
    /// The stages that sent something and are reported.
    pub stages: Vec<StageEvidence>,
}

/// A stage (or rung) and its requests.
#[derive(Debug)]
pub struct StageEvidence {
    /// What it set out to do.
    pub start: StageStart,
    /// Its name in files, which no other stage has: `ladder-8`.
    slug: String,
    /// Its requests in the order in which they ended.
    pub records: Vec<Record>,
    /// When it ended, in nanoseconds of the run.
    pub ended_ns: u64,
}

/// Collects [`Evidence`] from the lines of a record log.
#[derive(Debug, Default)]
pub struct Collector {
    run: Option<RunLine>,
    stages: Vec<StageEvidence>,
}

impl Collector {
    /// Takes one line, in order.
    pub fn line(&mut self, line: Line) {
        match line {
            Line::Run(run) => self.run = Some(run),
            Line::StageStart(start) => {
                let ended_ns = start.at_ns;
                let slug = self.slug(&start);
                self.stages.push(StageEvidence { start, slug, records: Vec::new(), ended_ns });
            }
            Line::End(record) => {
                let key = (record.stage.clone(), record.cell.clone(), record.rung);
                if let Some(stage) = self.open(&key) {
                    // A stage that was never closed lasted at least until its last answer.
                    stage.ended_ns = stage.ended_ns.max(record.end_ns.unwrap_or(0));
                    stage.records.push(*record);
                }
            }
            Line::StageEnd(end) => {
                if let Some(stage) = self.open(&(end.stage, end.cell, end.rung)) {
                    stage.ended_ns = end.at_ns;
                }
            }
            Line::Start(_) | Line::Flush(_) | Line::Round(_) | Line::Server(_) => {}
        }
    }

    /// A name with nothing that a file's name can't hold, and with a number where an earlier stage
    /// has it: a search may try a level twice.
    fn slug(&self, start: &StageStart) -> String {
        let cell = start.cell.as_ref().map(|cell| format!("-{cell}")).unwrap_or_default();
        let rung = start.rung.map(|rung| format!("-{rung}")).unwrap_or_default();
        let safe =
            |letter: char| letter.is_alphanumeric() || ['-', '_', '.', '='].contains(&letter);
        let base: String = format!("{}{cell}{rung}", start.stage)
            .chars()
            .map(|letter| if safe(letter) { letter } else { '_' })
            .collect();
        let mut slug = base.clone();
        for number in 2.. {
            if self.stages.iter().all(|stage| stage.slug != slug) {
                break;
            }
            slug = format!("{base}_{number}");
        }
        slug
    }

    /// From the back: the stage that ran last is the one that began last.
    fn open(
        &mut self,
        (stage, cell, rung): &(String, Option<String>, Option<f64>),
    ) -> Option<&mut StageEvidence> {
        self.stages
            .iter_mut()
            .rev()
            .find(|of| of.start.stage == *stage && of.start.cell == *cell && of.start.rung == *rung)
    }

    /// The evidence; nothing without a run line.
    pub fn finish(
        self,
        summary: Summary,
        endpoints: BTreeMap<String, String>,
        plan: Value,
    ) -> Option<Evidence> {
        let is_shown = |stage: &StageEvidence| stage.start.reported && !stage.records.is_empty();
        let stages = self.stages.into_iter().filter(is_shown).collect();
        Some(Evidence { run: self.run?, summary, endpoints, plan, stages })
    }
}

impl Evidence {
    /// Where a stage's requests went.
    fn url<'e>(&'e self, stage: &'e StageEvidence) -> &'e str {
        self.endpoints.get(&stage.start.endpoint).map_or(&stage.start.endpoint, String::as_str)
    }

    /// Wall-clock nanoseconds since 1970 of a stamp.
    fn wall_ns(&self, ns: u64) -> i128 {
        let start: Option<jiff::Timestamp> = self.run.started_at.parse().ok();
        start.map_or(0, jiff::Timestamp::as_nanosecond) + i128::from(ns)
    }

    /// RFC 3339 of a stamp.
    fn wall(&self, ns: u64) -> String {
        let stamp = jiff::Timestamp::from_nanosecond(self.wall_ns(ns));
        stamp.map(|stamp| stamp.to_string()).unwrap_or_default()
    }

    /// A value of the plan, such as `/prompt/max_tokens`; null when it is not there.
    fn planned(&self, pointer: &str) -> Value {
        self.plan.pointer(pointer).cloned().unwrap_or(Value::Null)
    }
}

impl StageEvidence {
    /// Its name in files.
    fn slug(&self) -> &str {
        &self.slug
    }

    /// The complete answers.
    fn ok(&self) -> Vec<Sample<'_>> {
        self.records.iter().filter_map(Sample::of).collect()
    }

    /// Requests that failed.
    fn failed(&self) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(|record| record.outcome.is_error())
    }

    /// Requests that were sent and cut, or never sent.
    fn incomplete(&self) -> impl Iterator<Item = &Record> {
        let is_it =
            |record: &&Record| record.outcome != OutcomeKind::Ok && !record.outcome.is_error();
        self.records.iter().filter(is_it)
    }

    /// Its wall time in seconds.
    fn seconds(&self) -> f64 {
        self.ended_ns.saturating_sub(self.start.at_ns) as f64 / 1e9
    }

    /// The model asked for, or nothing.
    fn model(&self) -> &str {
        self.start.model.as_deref().unwrap_or_default()
    }

    /// Requests per second asked for, where the clock decides.
    fn target_rate(&self) -> Option<f64> {
        let load = self.start.load.as_ref().and_then(|load| load.target_rate);
        // A rung of a ladder of rates is a rate, also in records that do not say so elsewhere.
        load.or(self.start.rung.filter(|_| self.start.kind == "qps_ladder"))
    }

    /// How many requests were under way at a time, where that is what was asked for.
    fn concurrency(&self) -> Option<f64> {
        self.start.rung.filter(|_| self.target_rate().is_none())
    }
}

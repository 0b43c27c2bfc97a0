//! A run in the formats of other tools, so that what reads those tools' files goes on working.
//!
//! In: the lines of a run and its summary. Out: files with the names, fields, units and formulas of
//! the tool, one module each. Invariants: figures are those of [`definitions`](crate::metrics::definitions),
//! so that `--export` and `--definitions` agree; statistics over them are the tool's own; the load that
//! is named is the one that was asked for; what a record does not hold (generated text) is left empty,
//! never made up; each file says that `runner` wrote it where the format has a place for that.

mod aiperf;
mod batching_cache;
mod bench_pack;
mod figures;
mod genai_perf;
mod guidellm;
mod inference_perf;
mod llm_d;
mod qps_benchmark;
mod replay_rounds;
mod stage;
mod ttft_cache;
mod vllm_bench;

use std::collections::BTreeMap;

use serde_json::Value;

pub use self::stage::StageEvidence;
use crate::metrics::summary::Summary;
use crate::metrics::token_account::TokenBasis;
use crate::record::{Line, RunLine, StageStart};

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
        word: "batching-cache",
        meaning: "the batching and caching MWE: results.json",
        write: batching_cache::files,
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
    /// What is known of the run besides its log.
    pub beside: Beside,
    /// The stages that sent something and are reported.
    pub stages: Vec<StageEvidence>,
}

/// What is known of a run besides its log.
#[derive(Debug, Clone, Default)]
pub struct Beside {
    /// Where requests went: names and URLs, with the API's path where it is known.
    pub endpoints: BTreeMap<String, String>,
    /// The plan as one document; null in runs of old.
    pub plan: Value,
    /// The percentiles that were asked for; none where nobody chose.
    pub percentiles: Vec<f64>,
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
                let slug = self.slug(&start);
                self.stages.push(StageEvidence::new(start, slug));
            }
            Line::End(record) => {
                let key = (record.stage.clone(), record.cell.clone(), record.rung);
                if let Some(stage) = self.open(&key) {
                    stage.records.push(*record);
                }
            }
            Line::Round(round) => {
                let key = (round.stage.clone(), round.cell.clone(), None);
                if let Some(stage) = self.open(&key) {
                    stage.rounds.push((round.from_ns, round.at_ns));
                }
            }
            Line::Start(_)
            | Line::NeverStarted(_)
            | Line::Flush(_)
            | Line::Server(_)
            | Line::StageEnd(_) => {}
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
            if self.stages.iter().all(|stage| stage.slug() != slug) {
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
    pub fn finish(self, summary: Summary, beside: Beside) -> Option<Evidence> {
        let is_shown = |stage: &StageEvidence| stage.start.reported && !stage.records.is_empty();
        let stages = self.stages.into_iter().filter(is_shown).collect();
        Some(Evidence { run: self.run?, summary, beside, stages })
    }
}

impl Evidence {
    /// What a reader of the files must know: where nobody counted tokens, what stands in for them.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let stages = self.summary.stages.iter().filter(|stage| stage.reported);
        for (stage, tokens) in stages.filter_map(|stage| Some((stage, stage.tokens.as_ref()?))) {
            for (what, side) in [("prompts", &tokens.input), ("answers", &tokens.output)] {
                let stand_in = match side.source {
                    Some(TokenBasis::Events) => "events of the stream",
                    Some(TokenBasis::Estimate) => "estimates by the number of characters",
                    _ => continue,
                };
                notes.push(format!(
                    "stage {}: nobody counted the tokens of its {what}; what these files call tokens \
                     of them are {stand_in}",
                    stage.label()
                ));
            }
        }
        notes
    }

    /// Where a stage's requests went.
    fn url<'e>(&'e self, stage: &'e StageEvidence) -> &'e str {
        self.beside
            .endpoints
            .get(&stage.start.endpoint)
            .map_or(&stage.start.endpoint, String::as_str)
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

    /// A key of a stage's prompt as the plan has it: its own, else that of the plan; null when it is
    /// nowhere.
    fn prompt(&self, stage: &StageEvidence, key: &str) -> Value {
        let stages = self.beside.plan.pointer("/stages").and_then(Value::as_array);
        let id = &stage.start.stage;
        let own = stages.and_then(|all| all.iter().find(|it| it["id"] == id.as_str()));
        let of = |at: Option<&Value>| at?.get("prompt")?.get(key).cloned();
        of(own).or_else(|| of(Some(&self.beside.plan))).unwrap_or(Value::Null)
    }
}

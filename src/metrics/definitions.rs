//! Other tools' names and formulas over the same records.
//!
//! In: a tool's word and the records of a run. Out: that tool's figures, each with its formula: for
//! `--definitions` as a whole, for exports one by one, so that both say the same. Invariants: figures
//! are derived anew from raw stamps, never from ours; where a record does not hold what the tool would
//! have seen, the formula says what stands in. Sources: each tool's code, as named with it.

use serde::Serialize;

use super::distribution::distribution;
use super::summary::Distribution;
use crate::record::{Line, OutcomeKind, Record};

mod peers;
mod small_tools;
mod sums;
mod take;
mod tools;

pub use peers::{AIPERF, GENAI_PERF, GUIDELLM, INFERENCE_PERF, VLLM};
pub use small_tools::{BATCHING_CACHE, BENCH_PACK, CHAT_REPLAY, QPS_BENCHMARK, TTFT_CACHE};
pub use sums::Sums;
use take::{Answer, Take};
pub use tools::{TOOLS, find};

/// A tool with its definitions.
#[derive(Debug, Clone, Copy)]
pub struct Tool {
    /// What `--definitions` calls it.
    pub word: &'static str,
    /// What `--export` calls it, where that is another word.
    pub export: Option<&'static str>,
    /// The tool, and where its formulas stand.
    pub name: &'static str,
    /// Figures of single requests.
    pub figures: &'static [Figure],
    /// Figures of whole stages.
    pub totals: &'static [Total],
}

/// A figure of single requests.
#[derive(Debug, Clone, Copy)]
pub struct Figure {
    /// The tool's name for it.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// Its formula in our stamps.
    pub formula: &'static str,
    take: Take,
    whose: Whose,
}

/// The requests that a figure is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// Complete answers.
    Answers,
    /// All that ended, failed ones among them.
    Ended,
}

/// A figure of a whole stage.
#[derive(Debug, Clone, Copy)]
pub struct Total {
    /// The tool's name for it.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// Its formula in our stamps.
    pub formula: &'static str,
    take: fn(&Sums) -> Option<f64>,
}

/// A stage under a tool's definitions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Redefined {
    /// Stage, cell and rung.
    pub stage: String,
    /// The stage's kind.
    pub kind: String,
    /// Answered requests.
    pub completed: u64,
    /// Distributions by the tool's names, in its order.
    pub figures: Vec<Named<Distribution>>,
    /// Totals by the tool's names.
    pub totals: Vec<Named<f64>>,
}

/// A figure with its name and formula.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Named<T> {
    /// The tool's name for it.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// Its formula in our stamps.
    pub formula: &'static str,
    /// The figure.
    pub value: T,
}

/// Takes the lines of a run.
#[derive(Debug)]
pub struct Collector {
    tool: &'static Tool,
    stages: Vec<Stage>,
}

#[derive(Debug)]
struct Stage {
    id: String,
    kind: String,
    cell: Option<String>,
    rung: Option<f64>,
    reported: bool,
    columns: Vec<Vec<f64>>,
    sums: Sums,
}

impl Collector {
    /// Will derive the figures of `tool`.
    pub fn new(tool: &'static Tool) -> Self {
        Self { tool, stages: Vec::new() }
    }

    /// Takes one line.
    pub fn line(&mut self, line: &Line) {
        match line {
            Line::StageStart(start) => self.stages.push(Stage {
                id: start.stage.clone(),
                kind: start.kind.clone(),
                cell: start.cell.clone(),
                rung: start.rung,
                reported: start.reported,
                columns: vec![Vec::new(); self.tool.figures.len()],
                sums: Sums::default(),
            }),
            Line::End(record) => self.record(record),
            Line::Run(_)
            | Line::Start(_)
            | Line::StageEnd(_)
            | Line::Flush(_)
            | Line::NeverStarted(_)
            | Line::Round(_)
            | Line::Server(_) => {}
        }
    }

    fn stage(&mut self, id: &str, cell: Option<&str>, rung: Option<f64>) -> Option<&mut Stage> {
        let bits = rung.map(f64::to_bits);
        self.stages.iter_mut().rfind(|stage| {
            stage.id == id && stage.cell.as_deref() == cell && stage.rung.map(f64::to_bits) == bits
        })
    }

    fn record(&mut self, record: &Record) {
        let figures = self.tool.figures;
        let Some(stage) = self.stage(&record.stage, record.cell.as_deref(), record.rung) else {
            return;
        };
        stage.sums.add(record);
        for (figure, column) in figures.iter().zip(&mut stage.columns) {
            figure.samples(record, column);
        }
    }

    /// Every reported stage that got answers.
    pub fn finish(self) -> Vec<Redefined> {
        let tool = self.tool;
        let stages = self.stages.into_iter().filter(|stage| stage.reported && stage.sums.ok > 0);
        stages.map(|stage| stage.finish(tool)).collect()
    }
}

impl Stage {
    fn finish(self, tool: &'static Tool) -> Redefined {
        let cell = self.cell.map(|cell| format!("[{cell}]")).unwrap_or_default();
        let rung = self.rung.map(|rung| format!("@{rung}")).unwrap_or_default();
        let figures = tool.figures.iter().zip(self.columns).filter_map(|(figure, mut samples)| {
            samples.retain(|sample| sample.is_finite());
            samples.sort_unstable_by(f64::total_cmp);
            let value = distribution(&samples, figure.unit)?;
            let Figure { name, unit, formula, .. } = *figure;
            Some(Named { name, unit, formula, value })
        });
        let totals = tool.totals.iter().filter_map(|total| {
            let value = (total.take)(&self.sums).filter(|value| value.is_finite())?;
            let Total { name, unit, formula, .. } = *total;
            Some(Named { name, unit, formula, value })
        });
        Redefined {
            stage: format!("{}{cell}{rung}", self.id),
            kind: self.kind,
            completed: self.sums.ok,
            figures: figures.collect(),
            totals: totals.collect(),
        }
    }
}

impl Figure {
    /// Appends what a record gives for it, in its unit.
    fn samples(&self, record: &Record, out: &mut Vec<f64>) {
        let counts = match self.whose {
            Whose::Answers => record.outcome == OutcomeKind::Ok,
            Whose::Ended => record.outcome == OutcomeKind::Ok || record.outcome.is_error(),
        };
        let Some(sent) = record.sent_ns.filter(|_| counts) else { return };
        let scale = if self.unit == "ms" { 1e3 } else { 1.0 };
        self.take.samples(&Answer { record, sent }, scale, out);
    }
}

impl Tool {
    /// What a record gives for the figure of that name, in its unit; nothing where there is no such
    /// figure, and nothing where the record holds no sample of it.
    pub fn samples(&self, name: &str, record: &Record) -> Vec<f64> {
        let mut samples = Vec::new();
        if let Some(figure) = self.figures.iter().find(|figure| figure.name == name) {
            figure.samples(record, &mut samples);
        }
        samples
    }

    /// The total of that name.
    pub fn total(&self, name: &str, sums: &Sums) -> Option<f64> {
        let total = self.totals.iter().find(|total| total.name == name)?;
        (total.take)(sums).filter(|value| value.is_finite())
    }
}

/// Seconds from one stamp to a later one.
fn seconds(from: Option<u64>, to: Option<u64>) -> Option<f64> {
    Some(to?.checked_sub(from?)? as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tally::fixture::{record, stage_end, stage_start};
    use crate::record::StageState;

    /// The figures of the typical record: sent 110, first event 305, first token 310 (reasoning),
    /// first content 350, tokens at 310, 350, 350, 410, last token 410, end 430; 7 output tokens.
    fn derived(word: &str) -> Redefined {
        let mut collector = Collector::new(find(word).expect("a tool"));
        collector.line(&Line::StageStart(stage_start(1)));
        collector.line(&Line::End(Box::new(record())));
        collector.line(&Line::StageEnd(stage_end(StageState::Completed)));
        collector.finish().remove(0)
    }

    fn mean(found: &Redefined, name: &str) -> f64 {
        let figure = found.figures.iter().find(|figure| figure.name == name);
        figure.unwrap_or_else(|| panic!("{name} in {found:?}")).value.mean
    }

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
    }

    #[test]
    fn vllm_counts_the_role_chunk_as_the_first_token() {
        let found = derived("vllm");
        close(mean(&found, "ttft_ms"), 195.0);
        close(mean(&found, "tpot_ms"), (300.0 - 195.0) / 6.0);
        close(mean(&found, "itl_ms"), (5.0 + 40.0 + 0.0 + 60.0) / 4.0);
        close(mean(&found, "e2el_ms"), 300.0);
        let throughput = found.totals.iter().find(|it| it.name == "output_throughput");
        close(throughput.expect("a total").value, 7.0 / 0.32);
    }

    #[test]
    fn guidellms_tpot_includes_the_first_token() {
        let found = derived("guidellm");
        close(mean(&found, "time_per_output_token_ms"), 300.0 / 7.0);
        close(mean(&found, "inter_token_latency_ms"), 100.0 / 6.0);
        close(mean(&found, "time_to_first_token_ms"), 200.0);
        close(mean(&found, "time_to_first_output_token_ms"), 240.0);
        close(mean(&found, "request_latency"), 0.32);
    }

    #[test]
    fn inference_perf_does_not_see_reasoning() {
        let found = derived("inference-perf");
        close(mean(&found, "time_to_first_token"), 0.24);
        close(mean(&found, "time_per_output_token"), (0.32 - 0.24) / 6.0);
        close(mean(&found, "normalized_time_per_output_token"), 0.32 / 7.0);
    }

    #[test]
    fn aiperf_and_llmperf_differ_in_what_a_gap_is() {
        let aiperf = derived("aiperf");
        close(mean(&aiperf, "inter_token_latency"), 100.0 / 6.0);
        close(mean(&aiperf, "time_to_second_token"), 40.0);
        close(mean(&aiperf, "request_latency"), 300.0);
        let llmperf = derived("llmperf");
        close(mean(&llmperf, "inter_token_latency_s"), 0.3 / 4.0);
    }

    #[test]
    fn every_tool_has_words_of_its_own_and_derives_something() {
        for tool in TOOLS {
            let found = derived(tool.word);
            assert!(!found.figures.is_empty() && !found.totals.is_empty(), "{}", tool.word);
            for (name, formula) in tool
                .figures
                .iter()
                .map(|it| (it.name, it.formula))
                .chain(tool.totals.iter().map(|it| (it.name, it.formula)))
            {
                assert!(!formula.is_empty(), "{} {name}", tool.word);
            }
        }
        assert!(find("vLLM").is_none());
    }
}

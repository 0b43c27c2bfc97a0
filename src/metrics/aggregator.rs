//! The lines of a record log → [`Summary`].
//!
//! In: every [`Line`] of a run, in order, live from the recorder or read back from the log. Out:
//! each stage's summary as it ends, and the run's. Invariant: it reads nothing but lines and the
//! [`RunEnd`], so a summary rebuilt from the log equals the one made while the run went on.

use super::gate;
use super::quantity;
use super::summary::{RunEnd, RunSummary, SUMMARY_VERSION, StageSummary, Summary};
use super::tally::{Measured, StageTally};
use super::verdict;
use crate::record::{Line, RECORD_VERSION, RunLine, StageEnd};

/// Requests sent later than this after they were due (99th percentile, in milliseconds) mean that
/// the generator, not the server, set the pace. A human-scale bound: a tenth of a second is far
/// above the lag of a healthy closed loop (well under a millisecond) and below what a TTFT hides.
pub const SCHEDULE_LAG_LIMIT_MS: f64 = 100.0;

/// Builds summaries from lines.
#[derive(Debug, Default)]
pub struct Aggregator {
    run: Option<RunLine>,
    slots: Vec<Slot>,
    invalid: Vec<String>,
    strays: u64,
}

/// A stage at its place in the order of the run.
#[derive(Debug)]
enum Slot {
    Open(Box<StageTally>),
    Done(Box<Measured>),
}

impl Aggregator {
    /// Nothing read yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one line. Returns the stage's summary when the line ends a stage.
    pub fn line(&mut self, line: &Line) -> Option<&StageSummary> {
        match line {
            Line::Run(run) => self.begin(run),
            Line::StageStart(start) => {
                self.slots.push(Slot::Open(Box::new(StageTally::new(start.clone()))));
            }
            Line::Start(start) => {
                match self.open(&start.stage, start.cell.as_deref(), start.rung) {
                    Some(stage) => stage.started(start),
                    None => self.strays += 1,
                }
            }
            Line::End(record) => {
                match self.open(&record.stage, record.cell.as_deref(), record.rung) {
                    Some(stage) => stage.ended(record),
                    None => self.strays += 1,
                }
            }
            Line::Flush(flush) => match self.open(&flush.stage, flush.cell.as_deref(), None) {
                Some(stage) => stage.flushed(flush),
                None => self.strays += 1,
            },
            Line::StageEnd(end) => return self.end_stage(end),
        }
        None
    }

    /// Says that lines are missing, so that the numbers must not be trusted.
    pub fn distrust(&mut self, why: impl Into<String>) {
        self.invalid.push(why.into());
    }

    /// The run is over, or the log is: closes what is open and sums up. May be asked again with
    /// another end.
    pub fn finish(&mut self, end: &RunEnd) -> Summary {
        for slot in 0..self.slots.len() {
            if matches!(self.slots[slot], Slot::Open(_)) {
                self.close(slot, None);
            }
        }
        let stages: Vec<StageSummary> = self.slots.iter().filter_map(Slot::summary).collect();
        let invalid = self.invalid(end);
        let mut notes: Vec<String> = invalid.iter().map(|why| format!("INVALID: {why}")).collect();
        notes.extend(end.incomplete.iter().map(|what| format!("incomplete: {what}")));
        notes.extend(stages.iter().filter_map(lag_note));
        notes.extend(stages.iter().filter_map(loss_note));
        notes.extend(end.notes.iter().cloned());
        let run = run_summary(self.run.clone(), end, invalid.is_empty(), notes);
        let verdict = verdict::verdict(&run, &stages, end);
        Summary { schema_version: SUMMARY_VERSION, run, stages, verdict }
    }

    /// Every reason not to trust the numbers.
    fn invalid(&self, end: &RunEnd) -> Vec<String> {
        let strays = (self.strays > 0).then(|| {
            let lines = quantity::plural(self.strays, "line");
            format!("{lines} of the record log outside of any stage")
        });
        let headless = (self.run.is_none())
            .then(|| "the record log does not begin with a run line".to_owned());
        self.invalid
            .iter()
            .cloned()
            .chain(strays)
            .chain(headless)
            .chain(end.invalid.clone())
            .collect()
    }

    fn begin(&mut self, run: &RunLine) {
        if run.record_version != RECORD_VERSION {
            let (theirs, ours) = (run.record_version, RECORD_VERSION);
            self.invalid.push(format!("record version {theirs}; this runner reads version {ours}"));
        }
        if self.run.replace(run.clone()).is_some() {
            self.invalid.push("the record log holds more than one run".to_owned());
        }
    }

    fn position(&self, stage: &str, cell: Option<&str>, rung: Option<f64>) -> Option<usize> {
        // From the back: the stage that runs now is the one that began last.
        self.slots
            .iter()
            .rposition(|slot| matches!(slot, Slot::Open(tally) if tally.holds(stage, cell, rung)))
    }

    fn open(
        &mut self,
        stage: &str,
        cell: Option<&str>,
        rung: Option<f64>,
    ) -> Option<&mut StageTally> {
        let position = self.position(stage, cell, rung)?;
        match &mut self.slots[position] {
            Slot::Open(tally) => Some(tally),
            Slot::Done(_) => None,
        }
    }

    fn end_stage(&mut self, end: &StageEnd) -> Option<&StageSummary> {
        let Some(slot) = self.position(&end.stage, end.cell.as_deref(), end.rung) else {
            self.strays += 1;
            return None;
        };
        self.close(slot, Some(end));
        match &self.slots[slot] {
            Slot::Done(measured) => Some(&measured.summary),
            Slot::Open(_) => None,
        }
    }

    /// Turns an open slot into a measured one and judges it against the stages measured so far.
    fn close(&mut self, slot: usize, end: Option<&StageEnd>) {
        let Slot::Open(tally) = self.slots.remove(slot) else { return };
        let thresholds = tally.start().thresholds.clone();
        let (mut measured, faults) = tally.close(end);
        let earlier: Vec<&Measured> = self.slots.iter().filter_map(Slot::measured).collect();
        measured.summary.thresholds = thresholds
            .iter()
            .map(|threshold| gate::judge(threshold, &measured, &earlier))
            .collect();
        let label = measured.summary.label();
        self.invalid.extend(faults.into_iter().map(|fault| format!("stage {label}: {fault}")));
        self.slots.insert(slot, Slot::Done(Box::new(measured)));
    }
}

impl Slot {
    fn measured(&self) -> Option<&Measured> {
        match self {
            Self::Done(measured) => Some(measured),
            Self::Open(_) => None,
        }
    }

    fn summary(&self) -> Option<StageSummary> {
        self.measured().map(|measured| measured.summary.clone())
    }
}

fn run_summary(run: Option<RunLine>, end: &RunEnd, valid: bool, notes: Vec<String>) -> RunSummary {
    let run = run.unwrap_or_else(|| RunLine {
        record_version: RECORD_VERSION,
        run_id: String::new(),
        plan: String::new(),
        plan_hash: String::new(),
        started_at: String::new(),
        seed: 0,
        simulated: false,
        runner_version: String::new(),
    });
    RunSummary {
        id: run.run_id,
        plan: run.plan,
        state: end.state,
        valid,
        simulated: run.simulated,
        started_at: run.started_at,
        seed: run.seed,
        notes,
    }
}

fn lag_note(stage: &StageSummary) -> Option<String> {
    let lag = stage.metrics.get("schedule_lag").filter(|lag| lag.p99 > SCHEDULE_LAG_LIMIT_MS)?;
    Some(format!(
        "stage {}: requests left up to {} after they were due (p99; limit {}): this machine was \
         the bottleneck",
        stage.label(),
        quantity::show(lag.p99, "ms"),
        quantity::show(SCHEDULE_LAG_LIMIT_MS, "ms"),
    ))
}

fn loss_note(stage: &StageSummary) -> Option<String> {
    let lost = stage.counts.lost_in_flight;
    (lost > 0).then(|| {
        format!(
            "stage {}: {lost} requests were in flight when the record log ended (lines of the last \
             moment may be missing, so some of these may have ended, or some more have started)",
            stage.label()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::summary::RunState;
    use crate::metrics::tally::fixture::{record, stage_end, stage_start, start_line};
    use crate::record::{CacheState, ErrorInfo, OutcomeKind, Record, StageState, TokenCounts};

    fn run_line() -> Line {
        Line::Run(RunLine {
            record_version: RECORD_VERSION,
            run_id: "20261121-224015-a1b2c3".into(),
            plan: "demo".into(),
            plan_hash: "00".into(),
            started_at: "2026-11-21T22:40:15Z".into(),
            seed: 7,
            simulated: true,
            runner_version: "0.1.0".into(),
        })
    }

    fn end(index: u64, outcome: OutcomeKind) -> Line {
        let error = outcome.is_error().then(|| ErrorInfo {
            class: "http.503".into(),
            message: "busy".into(),
            raw: None,
        });
        Line::End(Box::new(Record { index, outcome, error, ..record() }))
    }

    fn summarise(lines: &[Line], state: RunState) -> Summary {
        let mut aggregator = Aggregator::new();
        for line in lines {
            aggregator.line(line);
        }
        aggregator.finish(&RunEnd::new(state))
    }

    #[test]
    fn a_complete_run_is_counted_and_passes() {
        let lines = [
            run_line(),
            Line::StageStart(stage_start(3)),
            Line::Start(start_line(0)),
            end(0, OutcomeKind::Ok),
            Line::Start(start_line(1)),
            end(1, OutcomeKind::Http),
            Line::Start(start_line(2)),
            end(2, OutcomeKind::Cancelled),
            Line::StageEnd(stage_end(StageState::Completed)),
        ];
        let summary = summarise(&lines, RunState::Finished);
        let stage = &summary.stages[0];
        assert_eq!(stage.counts.ok + stage.counts.errors + stage.counts.cancelled, 3);
        assert_eq!(stage.success_rate, Some(0.5));
        assert_eq!(stage.errors["http.503"], 1);
        assert_eq!(stage.error_samples["http.503"], "busy");
        assert_eq!(stage.metrics["ttft"].count, 1);
        assert_eq!(stage.throughput.requests_per_second, Some(0.5));
        assert_eq!(stage.throughput.output_tokens_per_second, Some(3.5));
        assert_eq!(stage.cache.verdict, CacheState::Cold);
        assert_eq!((stage.cache.cached_tokens, stage.cache.prompt_tokens), (Some(24), Some(2100)));
        assert!(summary.run.valid, "{:?}", summary.run.notes);
        assert_eq!((summary.verdict.pass, summary.verdict.exit_code), (true, 0));
    }

    #[test]
    fn a_request_without_a_record_makes_the_run_invalid() {
        let lines = [
            run_line(),
            Line::StageStart(stage_start(2)),
            end(0, OutcomeKind::Ok),
            Line::StageEnd(stage_end(StageState::Completed)),
        ];
        let summary = summarise(&lines, RunState::Finished);
        assert!(!summary.run.valid);
        assert!(summary.run.notes[0].contains("2 requests planned, 1 accounted for"));
        assert_eq!(summary.verdict.exit_code, 5);
    }

    #[test]
    fn a_request_that_ended_twice_can_not_stand_in_for_a_missing_one() {
        let lines = [
            run_line(),
            Line::StageStart(stage_start(2)),
            end(0, OutcomeKind::Ok),
            end(0, OutcomeKind::Ok),
            Line::StageEnd(stage_end(StageState::Completed)),
        ];
        let summary = summarise(&lines, RunState::Finished);
        assert!(!summary.run.valid);
        assert!(summary.run.notes[0].contains("request 0 ended more than once"));
    }

    #[test]
    fn a_log_that_breaks_off_accounts_for_every_request() {
        let lines = [
            run_line(),
            Line::StageStart(stage_start(10)),
            Line::Start(start_line(0)),
            end(0, OutcomeKind::Ok),
            Line::Start(start_line(1)),
            Line::Start(start_line(2)),
        ];
        let summary = summarise(&lines, RunState::Aborted);
        let stage = &summary.stages[0];
        assert_eq!(stage.counts.lost_in_flight, 2);
        assert_eq!(stage.counts.never_started, 7);
        assert_eq!(stage.counts.accounted(), stage.counts.planned);
        assert_eq!(stage.state, StageState::Interrupted);
        assert!(summary.run.valid);
        assert!(summary.run.notes[0].contains("in flight"));
        assert_eq!(summary.verdict.exit_code, 5);
    }

    #[test]
    fn a_skipped_stage_never_started_anything() {
        let lines = [
            run_line(),
            Line::StageStart(stage_start(4)),
            Line::StageEnd(stage_end(StageState::Skipped)),
        ];
        let summary = summarise(&lines, RunState::Finished);
        assert_eq!(summary.stages[0].counts.never_started, 4);
        assert!(summary.run.valid);
        assert_eq!(summary.verdict.exit_code, 5);
    }

    #[test]
    fn without_a_success_every_figure_is_null_and_none_is_nan() {
        let lines = [
            run_line(),
            Line::StageStart(stage_start(1)),
            Line::Start(start_line(0)),
            end(0, OutcomeKind::Http),
            Line::StageEnd(stage_end(StageState::Completed)),
        ];
        let summary = summarise(&lines, RunState::Finished);
        let json = serde_json::to_value(&summary).expect("strict JSON");
        let stage = &json["stages"][0];
        assert!(stage["metrics"].get("ttft").is_none());
        assert!(stage["throughput"]["output_tokens_per_second"].is_null());
        assert!(stage["cache"]["cached_tokens"].is_null());
        assert_eq!(stage["success_rate"], 0.0);
        assert!(!json.to_string().contains("NaN"));
    }

    #[test]
    fn a_stage_without_time_or_requests_has_no_rates() {
        let mut start = stage_start(0);
        start.at_ns = stage_end(StageState::Completed).at_ns;
        let lines =
            [run_line(), Line::StageStart(start), Line::StageEnd(stage_end(StageState::Completed))];
        let summary = summarise(&lines, RunState::Finished);
        assert_eq!(summary.stages[0].throughput.requests_per_second, None);
        assert_eq!(summary.stages[0].success_rate, None);
        assert_eq!(summary.verdict.exit_code, 0);
    }

    #[test]
    fn lines_of_no_stage_make_the_run_invalid() {
        let summary = summarise(&[run_line(), end(0, OutcomeKind::Ok)], RunState::Finished);
        assert!(!summary.run.valid);
        assert!(summary.run.notes[0].contains("1 line of the record log outside of any stage"));
    }

    #[test]
    fn a_late_generator_is_noted() {
        let late = Record { due_ns: Some(0), output_tokens: TokenCounts::default(), ..record() };
        let lines = [
            run_line(),
            Line::StageStart(stage_start(1)),
            Line::End(Box::new(late)),
            Line::StageEnd(stage_end(StageState::Completed)),
        ];
        let summary = summarise(&lines, RunState::Finished);
        assert!(summary.run.notes[0].contains("110 ms after they were due"));
    }
}

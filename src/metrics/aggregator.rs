//! The lines of a record log → [`Summary`].
//!
//! In: every [`Line`] of a run, in order, live from the recorder or read back from the log. Out:
//! each stage's summary as it ends, and the run's. Invariant: it reads nothing but lines and the
//! [`RunEnd`], so a summary rebuilt from the log equals the one made while the run went on.

use super::answers::{self, AnswerIds};
use super::claims;
use super::contamination::Unanswered;
use super::gate;
use super::generator;
use super::quantity;
use super::saturation;
use super::search;
use super::summary::{RunEnd, RunSummary, SUMMARY_VERSION, StageSummary, Summary};
use super::tally::{Measured, StageTally};
use super::token_account;
use super::verdict;
use super::way;
use crate::plan::{Aggregate, Threshold};
use crate::record::{Line, RECORD_VERSION, RunLine, ServerLine, StageEnd, unread_version};

mod notes;

/// Different reasons for gaps in the server's own account that are told.
const MOST_UNREAD: usize = 8;

/// Builds summaries from lines.
#[derive(Debug, Default)]
pub struct Aggregator {
    run: Option<RunLine>,
    slots: Vec<Slot>,
    invalid: Vec<String>,
    strays: u64,
    unjudged: Vec<Unjudged>,
    ids: AnswerIds,
    unanswered: Unanswered,
    /// Why the server's own account has gaps.
    unread: Vec<String>,
}

/// A check with `where:` that no rung of its stage has had so far.
#[derive(Debug)]
struct Unjudged {
    stage: String,
    cell: Option<String>,
    threshold: Threshold,
    /// The rung was one it chooses.
    was_judged: bool,
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
                let mut tally = StageTally::new(start.clone());
                for slot in &mut self.slots {
                    if let Slot::Open(other) = slot
                        && other.start().endpoint == start.endpoint
                    {
                        other.share();
                        tally.share();
                    }
                }
                self.slots.push(Slot::Open(Box::new(tally)));
            }
            Line::Start(start) => {
                match self.open(&start.stage, start.cell.as_deref(), start.rung) {
                    Some(stage) => stage.started(start),
                    None => self.strays += 1,
                }
            }
            Line::End(record) => {
                let place = self.position(&record.stage, record.cell.as_deref(), record.rung);
                match place.and_then(|place| self.slots.get_mut(place)) {
                    Some(Slot::Open(stage)) => {
                        stage.ended(record);
                        if let Some(cold) = self.unanswered.take(record, stage.start()) {
                            stage.failed_before(record, cold);
                        }
                        if self.ids.is_repeated(record, &stage.start().endpoint) {
                            stage.repeated_id();
                        }
                    }
                    _ => self.strays += 1,
                }
            }
            Line::NeverStarted(line) => {
                match self.open(&line.stage, line.cell.as_deref(), line.rung) {
                    Some(stage) => stage.never_started(line),
                    None => self.strays += 1,
                }
            }
            Line::Flush(flush) => match self.open(&flush.stage, flush.cell.as_deref(), None) {
                Some(stage) => stage.flushed(flush),
                None => self.strays += 1,
            },
            Line::Round(round) => match self.open(&round.stage, round.cell.as_deref(), None) {
                Some(stage) => stage.round_over(round),
                None => self.strays += 1,
            },
            Line::Server(reading) => self.read_server(reading),
            Line::StageEnd(end) => return self.end_stage(end),
        }
        None
    }

    /// A reading belongs to every stage that runs on that endpoint, and to none between stages.
    fn read_server(&mut self, reading: &ServerLine) {
        for slot in &mut self.slots {
            if let Slot::Open(tally) = slot
                && tally.start().endpoint == reading.endpoint
            {
                tally.read_server(reading);
            }
        }
        if let Some(error) = &reading.error {
            let why = format!(
                "endpoint {}: its metrics could not be read: {error}; the server's own account \
                 lacks that moment",
                reading.endpoint
            );
            if !self.unread.contains(&why) && self.unread.len() < MOST_UNREAD {
                self.unread.push(why);
            }
        }
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
        let mut stages: Vec<StageSummary> = self.slots.iter().filter_map(Slot::summary).collect();
        let saturation = saturation::of_stages(&stages);
        let searches = search::of_stages(&stages);
        let invalid = self.invalid(end, &stages);
        let mut notes: Vec<String> = invalid.iter().map(|why| format!("INVALID: {why}")).collect();
        notes.extend(end.incomplete.iter().map(|what| format!("incomplete: {what}")));
        notes.extend(stages.iter().filter_map(|stage| notes::nothing(stage, &stages)));
        notes.extend(stages.iter().filter_map(generator::note));
        notes.extend(stages.iter().filter_map(notes::loss));
        notes.extend(stages.iter().flat_map(|stage| {
            stage.contamination.iter().map(|found| found.sentence(&stage.label()))
        }));
        notes.extend(token_account::warnings(&stages));
        notes.extend(stages.iter().flat_map(answers::notes));
        notes.extend(way::notes(&stages));
        let told = stages.iter().filter_map(|it| Some((it.label(), it.server.as_ref()?)));
        notes.extend(told.flat_map(|(label, server)| server.doubts(&label)));
        notes.extend(self.unread.iter().cloned());
        notes.extend(end.notes.iter().cloned());
        let run = run_summary(self.run.clone(), end, invalid.is_empty(), notes);
        self.judge_the_unjudged(&mut stages);
        search::gate(&mut stages, &searches, claims::withheld(&run));
        let verdict = verdict::verdict(&run, &stages, end);
        let claims = Vec::new();
        Summary {
            schema_version: SUMMARY_VERSION,
            run,
            stages,
            saturation,
            searches,
            verdict,
            claims,
        }
        .with_claims()
    }

    /// The percentile `percent` (0 to 100) of a metric of a stage that is over.
    pub fn percentile(&self, stage: &StageSummary, metric: &str, percent: f64) -> Option<f64> {
        // A search may try one level several times.
        let place = |it: &StageSummary| {
            let probe = it.probe.as_ref().map(|probe| probe.search.probe);
            (it.id.clone(), it.cell.clone(), it.rung.map(f64::to_bits), probe)
        };
        let wanted = place(stage);
        let is_it = |measured: &&Measured| place(&measured.summary) == wanted;
        let measured = self.slots.iter().rev().filter_map(Slot::measured).find(is_it)?;
        measured.samples(metric)?.aggregate(Aggregate::Percentile(percent))
    }

    /// Every reason not to trust the numbers.
    fn invalid(&self, end: &RunEnd, stages: &[StageSummary]) -> Vec<String> {
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
            .chain(stages.iter().filter_map(generator::saturated))
            .chain(stages.iter().filter_map(generator::starved))
            .chain(stages.iter().filter_map(generator::exhausted))
            .chain(end.invalid.clone())
            .collect()
    }

    fn begin(&mut self, run: &RunLine) {
        self.invalid.extend(unread_version(run.record_version));
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
        let search = tally.start().load.as_ref().and_then(|load| load.search.clone());
        let (mut measured, faults) = tally.close(end);
        let earlier: Vec<&Measured> = self.slots.iter().filter_map(Slot::measured).collect();
        measured.summary.thresholds = thresholds
            .iter()
            .filter(|threshold| threshold.judges(measured.summary.rung))
            .map(|threshold| gate::judge(threshold, &measured, &earlier))
            .chain(measured.summary.flush.as_ref().map(gate::judge_flush))
            .collect();
        if let Some(line) = search {
            // They decide about the level, and the search about the run.
            let checks = std::mem::take(&mut measured.summary.thresholds);
            let probe = search::judge(&line, &measured.summary, checks, end);
            measured.summary.probe = Some(probe);
        }
        self.note_rungs(&thresholds, &measured.summary);
        let label = measured.summary.label();
        self.invalid.extend(faults.into_iter().map(|fault| format!("stage {label}: {fault}")));
        self.slots.insert(slot, Slot::Done(Box::new(measured)));
    }
}

impl Aggregator {
    /// Remembers which checks with `where:` have met a rung that they choose.
    fn note_rungs(&mut self, thresholds: &[Threshold], stage: &StageSummary) {
        for threshold in thresholds.iter().filter(|it| it.rungs.is_some()) {
            let was_judged = threshold.judges(stage.rung);
            let known = self.unjudged.iter_mut().find(|it| {
                it.stage == stage.id && it.cell == stage.cell && it.threshold == *threshold
            });
            match known {
                Some(known) => known.was_judged |= was_judged,
                None => self.unjudged.push(Unjudged {
                    stage: stage.id.clone(),
                    cell: stage.cell.clone(),
                    threshold: threshold.clone(),
                    was_judged,
                }),
            }
        }
    }

    /// A check that chose no rung at all fails, on the last rung of its stage. What the rungs
    /// themselves show is read before that: it says nothing of any of them.
    fn judge_the_unjudged(&self, stages: &mut [StageSummary]) {
        for unjudged in self.unjudged.iter().filter(|it| !it.was_judged) {
            let last = stages
                .iter_mut()
                .rfind(|stage| stage.id == unjudged.stage && stage.cell == unjudged.cell);
            if let Some(last) = last {
                last.thresholds.push(gate::not_judged(&unjudged.threshold));
            }
        }
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
        insecure: false,
        runner_version: String::new(),
    });
    RunSummary {
        id: run.run_id,
        plan: run.plan,
        state: end.state,
        valid,
        simulated: run.simulated,
        insecure: run.insecure,
        started_at: run.started_at,
        seed: run.seed,
        notes,
    }
}

#[cfg(test)]
mod tests;

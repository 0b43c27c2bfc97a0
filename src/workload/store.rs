//! The files that a plan's prompts and counts are made of.
//!
//! In: a checked plan. Out: a [`Store`] that has read each file once, however many stages and cells
//! name it. Invariant: it is made before anything is sent, so a file that can't be used ends no run
//! halfway; from then on documents and tokenizers come from memory, and a file that changes changes
//! no run. Datasets alone are read on while they are asked, however large they are.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::dataset::{Dataset, DatasetError, IndexedDataset, Timeline, Unfit, keeps_row};
use super::tokenizer::{Tokenizer, TokenizerError};
use crate::plan::workload::{DatasetConfig, PrefixText, RowSource};
use crate::plan::{Action, ContextSource, Plan, Sample, Stage, TokenizerConfig};

/// What was read.
#[derive(Default)]
pub struct Store {
    tokenizers: HashMap<PathBuf, Tokenizer>,
    documents: HashMap<PathBuf, Arc<str>>,
    datasets: Vec<(DatasetConfig, Arc<IndexedDataset>)>,
    timelines: Vec<(DatasetConfig, Sample, Arc<Timeline>)>,
    sessions: Vec<(DatasetConfig, Arc<[u64]>)>,
}

/// A file of the plan can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{owner}: `{key}`: {problem}\n  help: {help}")]
pub struct StoreError {
    /// The stage or endpoint that names it, and where that stands in the plan.
    owner: String,
    /// The key that names the file.
    key: &'static str,
    /// The file and what is wrong with it.
    problem: String,
    /// What to do.
    help: &'static str,
}

impl Store {
    /// Reads every file that a stage of `plan` will need.
    pub fn open(plan: &Plan) -> Result<Self, StoreError> {
        let mut store = Self::default();
        for stage in &plan.stages {
            store.add_tokenizer(stage)?;
            store.add_texts(stage)?;
            store.add_log(stage, plan.seed)?;
            store.add_sessions(stage)?;
        }
        Ok(store)
    }

    /// The same without tokenizers, to look at prompts and not to count them.
    pub fn texts(plan: &Plan) -> Result<Self, StoreError> {
        let mut store = Self::default();
        for stage in &plan.stages {
            store.add_texts(stage)?;
            store.add_log(stage, plan.seed)?;
            store.add_sessions(stage)?;
        }
        Ok(store)
    }

    /// The tokenizer of a `tokenizer.json` that the plan names.
    pub fn tokenizer(&self, path: &Path) -> Option<Tokenizer> {
        self.tokenizers.get(path).cloned()
    }

    /// The text of a document that the plan names.
    pub fn document(&self, path: &Path) -> Option<Arc<str>> {
        self.documents.get(path).cloned()
    }

    /// The rows of a dataset that the plan names; at least one.
    pub fn dataset(&self, config: &DatasetConfig) -> Option<Arc<IndexedDataset>> {
        let known = self.datasets.iter().find(|(known, _)| known == config);
        known.map(|(_, rows)| Arc::clone(rows))
    }

    /// What was left out of datasets while the run read them, one line each.
    pub fn notes(&self) -> Vec<String> {
        let note = |(config, rows): &(DatasetConfig, Arc<IndexedDataset>)| {
            let words = rows.dataset().left_out().in_words()?;
            Some(format!("dataset {}: {words}", config.files.join(", ")))
        };
        self.datasets.iter().filter_map(note).collect()
    }

    /// When the rows of a log were asked that a stage replays; at least one.
    pub fn timeline(&self, config: &DatasetConfig, sample: &Sample) -> Option<Arc<Timeline>> {
        let is_it = |known: &DatasetConfig, of: &Sample| known == config && of == sample;
        let found = self.timelines.iter().find(|(known, of, _)| is_it(known, of));
        found.map(|(.., timeline)| Arc::clone(timeline))
    }

    /// Numbers of the rows of a dataset that a stage makes conversations of, session after session.
    pub fn sessions(&self, config: &DatasetConfig) -> Option<Arc<[u64]>> {
        let known = self.sessions.iter().find(|(known, _)| known == config);
        known.map(|(_, order)| Arc::clone(order))
    }

    fn add_tokenizer(&mut self, stage: &Stage) -> Result<(), StoreError> {
        if let TokenizerConfig::File(path) = &stage.endpoint.tokenizer
            && !self.tokenizers.contains_key(path)
        {
            let read = Tokenizer::from_file(path).map_err(|error| StoreError {
                owner: format!("endpoint `{}` at {}", stage.endpoint.name, stage.endpoint.location),
                key: "tokenizer",
                help: match &error {
                    TokenizerError::Unreadable { .. } => "give a file that this user may read",
                    TokenizerError::Malformed { .. } => {
                        "give the tokenizer.json that comes with the model, or `tokenizer: auto`"
                    }
                },
                problem: error.to_string(),
            })?;
            self.tokenizers.insert(path.clone(), read);
        }
        Ok(())
    }

    fn add_texts(&mut self, stage: &Stage) -> Result<(), StoreError> {
        let Some(prompt) = stage.action.prompt() else { return Ok(()) };
        let wrong = |key, problem, help| StoreError {
            owner: format!("stage `{}` at {}", stage.id, stage.location),
            key,
            problem,
            help,
        };
        let prefix = prompt.synthetic.as_ref().and_then(|config| config.prefix.as_ref());
        let documents = [
            match prompt.context.as_ref().map(|context| &context.from) {
                Some(ContextSource::File(path)) => Some(("prompt.context.from", path)),
                _ => None,
            },
            match prefix.map(|prefix| &prefix.text) {
                Some(PrefixText::File(path)) => Some(("prompt.synthetic.prefix.from", path)),
                _ => None,
            },
        ];
        for (key, path) in documents.into_iter().flatten() {
            if self.documents.contains_key(path) {
                continue;
            }
            let help = "give a UTF-8 text file that this user may read";
            let text = read(path).map_err(|it| wrong(key, it, help))?;
            if text.trim().is_empty() {
                let problem = format!("{}: the document is empty", path.display());
                return Err(wrong(key, problem, "give a file with text in it"));
            }
            self.documents.insert(path.clone(), text.into());
        }
        if let Some(source) = &prompt.dataset
            && self.dataset(&source.config).is_none()
        {
            let rows = open(source).map_err(|it| wrong("prompt.dataset", it.to_string(), MEND))?;
            self.datasets.push((source.config.clone(), Arc::new(rows)));
        }
        Ok(())
    }

    /// Finds the rows of each session of a conversation's dataset.
    fn add_sessions(&mut self, stage: &Stage) -> Result<(), StoreError> {
        let Action::Conversation(conversation) = &stage.action else { return Ok(()) };
        let Some(source) = &conversation.prompt.dataset else { return Ok(()) };
        let Some(rows) = self.dataset(&source.config) else { return Ok(()) };
        if self.sessions(&source.config).is_some() {
            return Ok(());
        }
        let wrong = |problem, help| StoreError {
            owner: format!("stage `{}` at {}", stage.id, stage.location),
            key: "prompt.dataset",
            problem,
            help,
        };
        let timeline = Timeline::read(rows.dataset(), |_| true);
        let order = timeline.map_err(|it| wrong(it.to_string(), MEND))?.by_session();
        if !order.is_sorted() && rows.dataset().can_be_shuffled().is_err() {
            let problem = "rows of one session stand between those of others in a packed file";
            return Err(wrong(problem.to_owned(), "unpack it, or sort its rows by session"));
        }
        self.sessions.push((source.config.clone(), order));
        Ok(())
    }

    /// Reads a log to its end once.
    fn add_log(&mut self, stage: &Stage, seed: u64) -> Result<(), StoreError> {
        let Action::Replay(replay) = &stage.action else { return Ok(()) };
        let Some(source) = &replay.traffic.prompt.dataset else { return Ok(()) };
        if self.timeline(&source.config, &replay.sample).is_none() {
            let timeline = self
                .dataset(&source.config)
                .map(|rows| {
                    Timeline::read(rows.dataset(), |row| keeps_row(&replay.sample, row, seed))
                })
                .transpose()
                .map_err(|error| log_error(stage, error.to_string(), MEND))?;
            if let Some(timeline) = timeline {
                let entry = (source.config.clone(), replay.sample, Arc::new(timeline));
                self.timelines.push(entry);
            }
        }
        let Some(timeline) = self.timeline(&source.config, &replay.sample) else { return Ok(()) };
        match timeline.unfit(replay) {
            Some(Unfit { problem, help }) => Err(log_error(stage, problem, help)),
            None => Ok(()),
        }
    }
}

/// What to do about a file whose rows can't be read.
const MEND: &str = "mend the file, or say how it is read in `dataset: { path, format, … }`";

fn log_error(stage: &Stage, problem: String, help: &'static str) -> StoreError {
    let owner = format!("stage `{}` at {}", stage.id, stage.location);
    StoreError { owner, key: "log", problem, help }
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Opens a dataset and reads its first row.
fn open(source: &RowSource) -> Result<IndexedDataset, DatasetError> {
    let rows = Dataset::open(&source.config)?.indexed();
    rows.cycled(0)?;
    Ok(rows)
}

//! What a dataset holds, in numbers.
//!
//! In: a [`Dataset`] and who counts tokens. Out: a [`Survey`]: rows, what was left out, lengths,
//! sessions, time span. Invariant: one pass in bounded memory; what is estimated says so.

mod tally;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use tally::{Distinct, Histogram};

use super::Dataset;
use super::row::{DatasetError, Row, RowPrompt};
use crate::plan::printable::printable;
use crate::workload::tokenizer::Tokenizer;

/// A dataset in numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Survey {
    /// Its files.
    pub files: Vec<SurveyedFile>,
    /// Its format's name.
    pub format: &'static str,
    /// Why it is read as that.
    pub why: String,
    /// Rows read.
    pub rows: u64,
    /// Malformed rows left out.
    pub malformed: u64,
    /// The first few of them, each with file and line.
    pub problems: Vec<String>,
    /// Pieces that are no rows of this format, such as other lines of a log.
    pub other: u64,
    /// Rows left out because the trace marks them as failed.
    pub recorded_failures: u64,
    /// Rows by what they ask: `messages`, `text`, `token ids`, `token ids for text`, `length`,
    /// `blocks`, `fields`.
    pub prompts: Vec<(&'static str, u64)>,
    /// Tokens of a block, where rows name blocks: each size once.
    pub block_tokens: BTreeSet<u64>,
    /// Prompt tokens of the rows that have a prompt.
    pub input_tokens: Option<Lengths>,
    /// Tokens that were generated, of the rows that say.
    pub output_tokens: Option<Lengths>,
    /// Most tokens to generate, of the rows that bound them.
    pub max_tokens: Option<Lengths>,
    /// Who speaks in recorded messages, and in how many rows. APIs of one text send no roles.
    pub roles: BTreeMap<String, u64>,
    /// Sessions, where rows name them.
    pub sessions: Option<Sessions>,
    /// Times, where rows have them.
    pub time: Option<Span>,
    /// The models that were asked, eight at most.
    pub models: Vec<String>,
    /// Parts of rows that are sent under no plan, and recorded answers: name and number of rows.
    pub left_out: BTreeMap<String, u64>,
}

/// A file of a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SurveyedFile {
    /// Where it is.
    pub path: String,
    /// How it is packed, if it is.
    pub packing: Option<&'static str>,
    /// What it holds, if not UTF-8 text: `UTF-16`, `Parquet`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<&'static str>,
    /// Its size on disk.
    pub bytes: u64,
}

/// A distribution of token counts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Lengths {
    /// Who counted: `trace`, `tokenizer`, `estimate`, or two of them.
    pub source: String,
    /// Rows counted.
    pub count: u64,
    /// Tokens in all.
    pub total: u64,
    /// Fewest.
    pub min: u64,
    /// Most.
    pub max: u64,
    /// Mean.
    pub mean: f64,
    /// Median, at most 4 % too high.
    pub p50: u64,
    /// 90th percentile, at most 4 % too high.
    pub p90: u64,
    /// 99th percentile, at most 4 % too high.
    pub p99: u64,
    /// Rows by powers of two.
    pub histogram: Vec<Bar>,
}

/// One bar of a histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Bar {
    /// Fewest tokens.
    pub from: u64,
    /// Most tokens.
    pub to: u64,
    /// Rows.
    pub count: u64,
}

/// The sessions of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Sessions {
    /// How many there are.
    pub count: u64,
    /// Whether `count` is an estimate (within about 1 %): there are too many to remember.
    pub is_estimate: bool,
    /// Rows that name a session.
    pub rows: u64,
    /// Rows per session.
    pub mean_turns: f64,
}

/// The times of a dataset.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Span {
    /// Earliest stamp, as a calendar time where it is one, else in seconds.
    pub first: String,
    /// Latest stamp.
    pub last: String,
    /// Seconds between the two.
    pub seconds: f64,
    /// Rows per second over that span; `None` when it is zero.
    pub rows_per_second: Option<f64>,
    /// Rows with a stamp.
    pub rows: u64,
    /// Rows that stand after a later one in the file.
    pub out_of_order: u64,
}

/// Models that are listed.
const MOST_MODELS: usize = 8;

/// Reads a whole dataset once.
pub fn survey(dataset: &Dataset, tokenizer: &Tokenizer) -> Result<Survey, DatasetError> {
    let mut tally = Tally::default();
    let mut rows = dataset.rows();
    for row in rows.by_ref() {
        tally.add(&row?, tokenizer);
    }
    let counts = rows.counts();
    Ok(Survey {
        files: dataset
            .files()
            .iter()
            .map(|file| SurveyedFile {
                path: file.path.display().to_string(),
                packing: file.packing.name(),
                content: file.content.name(),
                bytes: file.bytes,
            })
            .collect(),
        format: dataset.format().word(),
        why: dataset.why().to_owned(),
        rows: counts.rows,
        malformed: counts.malformed,
        problems: rows.problems().iter().map(ToString::to_string).collect(),
        other: counts.other,
        recorded_failures: counts.recorded_failures,
        prompts: tally.prompts(),
        block_tokens: std::mem::take(&mut tally.block_tokens),
        input_tokens: tally.input.lengths(&tally.input_source(tokenizer)),
        output_tokens: tally.output.lengths("trace"),
        max_tokens: tally.limit.lengths("row"),
        roles: std::mem::take(&mut tally.roles),
        sessions: tally.sessions(),
        time: tally.time.as_ref().map(Times::span),
        models: tally.models.into_iter().collect(),
        left_out: tally.left_out,
    })
}

#[derive(Default)]
struct Tally {
    kinds: [u64; 8],
    input: Histogram,
    output: Histogram,
    limit: Histogram,
    roles: BTreeMap<String, u64>,
    sessions: Distinct,
    with_session: u64,
    time: Option<Times>,
    models: BTreeSet<String>,
    block_tokens: BTreeSet<u64>,
    left_out: BTreeMap<String, u64>,
}

const KINDS: [&str; 8] = [
    "messages",
    "text",
    "token ids",
    "token ids for text",
    "length",
    "blocks",
    "fields",
    "answers alone",
];

impl Tally {
    fn add(&mut self, row: &Row, tokenizer: &Tokenizer) {
        let kind = match row.prompt {
            _ if row.is_answer_alone() => 7,
            RowPrompt::Messages(_) => 0,
            RowPrompt::Text(_) => 1,
            RowPrompt::Ids(_) => 2,
            RowPrompt::TokenIds(_) => 3,
            RowPrompt::Length(_) => 4,
            RowPrompt::Blocks(_) => 5,
            RowPrompt::Fields => 6,
        };
        self.kinds[kind] += 1;
        if let RowPrompt::Blocks(blocks) = &row.prompt {
            self.block_tokens.insert(blocks.block_tokens);
        }
        let known = row.known_input_tokens();
        if let Some(tokens) = known.or_else(|| row.count_input(|text| tokenizer.count(text))) {
            self.input.add(tokens);
        }
        if let Some(tokens) = row.output_tokens {
            self.output.add(tokens);
        }
        if let Some(tokens) = row.max_tokens {
            self.limit.add(tokens);
        }
        for role in row.roles() {
            *self.roles.entry(printable(role).into_owned()).or_default() += 1;
        }
        for name in row.unsent() {
            *self.left_out.entry(name).or_default() += 1;
        }
        if let Some(session) = &row.session {
            self.with_session += 1;
            self.sessions.add(session);
        }
        if let Some(ns) = row.timestamp_ns {
            self.time.get_or_insert_with(|| Times::at(ns)).add(ns);
        }
        if let Some(model) = &row.model
            && self.models.len() < MOST_MODELS
            && !self.models.contains(printable(model).as_ref())
        {
            self.models.insert(printable(model).into_owned());
        }
    }

    fn prompts(&self) -> Vec<(&'static str, u64)> {
        KINDS.into_iter().zip(self.kinds).filter(|(_, rows)| *rows > 0).collect()
    }

    fn input_source(&self, tokenizer: &Tokenizer) -> String {
        let counted = self.kinds[0] + self.kinds[1] > 0;
        let known = self.kinds[2..6].iter().any(|rows| *rows > 0);
        match (counted, known) {
            (true, true) => format!("trace and {}", tokenizer.source()),
            (true, false) => tokenizer.source().to_owned(),
            (false, _) => "trace".to_owned(),
        }
    }

    fn sessions(&self) -> Option<Sessions> {
        let count = self.sessions.count();
        (self.with_session > 0).then(|| Sessions {
            count,
            is_estimate: self.sessions.is_estimate(),
            rows: self.with_session,
            mean_turns: self.with_session as f64 / count.max(1) as f64,
        })
    }
}

struct Times {
    first: u64,
    last: u64,
    rows: u64,
    out_of_order: u64,
}

impl Times {
    fn at(ns: u64) -> Self {
        Self { first: ns, last: ns, rows: 0, out_of_order: 0 }
    }

    fn add(&mut self, ns: u64) {
        self.rows += 1;
        self.out_of_order += u64::from(ns < self.last);
        self.first = self.first.min(ns);
        self.last = self.last.max(ns);
    }

    fn span(&self) -> Span {
        let seconds = (self.last - self.first) as f64 / 1e9;
        Span {
            first: stamp(self.first),
            last: stamp(self.last),
            seconds,
            rows_per_second: (seconds > 0.0).then(|| self.rows as f64 / seconds),
            rows: self.rows,
            out_of_order: self.out_of_order,
        }
    }
}

/// A stamp as a calendar time if it is later than 2001 (10⁹ s), which no relative trace reaches.
fn stamp(ns: u64) -> String {
    const CALENDAR: u64 = 1_000_000_000_000_000_000;
    let seconds = || format!("{:.3} s", ns as f64 / 1e9);
    if ns < CALENDAR {
        return seconds();
    }
    jiff::Timestamp::from_nanosecond(i128::from(ns))
        .map_or_else(|_| seconds(), |stamp| stamp.to_string())
}

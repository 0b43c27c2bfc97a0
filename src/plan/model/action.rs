//! What a stage does: one arm for each kind.
//!
//! In: what lowering made of a stage's own keys. Out: values that the kind's file in `stage/` walks
//! through. Invariant: whatever differs between kinds is an arm of [`Action`], matched once in each
//! place that asks.

use crate::plan::model::words::words;
use std::time::Duration;

use super::workload::{ConversationConfig, RowSource, Unique};
use super::{
    ConcurrencyRamp, Load, Prompt, QpsLadder, Rate, Replay, Search, Shape, Traffic, Until,
};

/// What a stage does.
#[derive(Debug, Clone)]
pub enum Action {
    /// Sends prompts that no cache can hold, one at a time unless `concurrency` says otherwise.
    Cold(Repeat),
    /// Sends prompts that a cache should hold.
    Warm(Repeat),
    /// Empties the server's prefix cache and proves it.
    Flush(Flush),
    /// Waits.
    Pause(Duration),
    /// One load, for a while.
    Load(Box<Load>),
    /// One rate after the other.
    QpsLadder(Box<QpsLadder>),
    /// One concurrency after the other.
    ConcurrencyRamp(Box<ConcurrencyRamp>),
    /// The highest level at which the stage's thresholds hold.
    Search(Box<Search>),
    /// Sessions of several turns.
    Conversation(Box<Conversation>),
    /// What a log says was asked, again.
    Replay(Box<Replay>),
}

impl Action {
    /// Cuts the work down to one request (a pause to a second), to try a plan out.
    pub fn smoke(&mut self) {
        match self {
            Self::Cold(repeat) | Self::Warm(repeat) => {
                repeat.requests = 1;
                repeat.concurrency = 1;
            }
            Self::Flush(flush) => flush.retries = 1,
            Self::Pause(length) => *length = (*length).min(Duration::from_secs(1)),
            Self::Load(load) => {
                load.traffic.warmup_requests = 0;
                load.measure.settle = Duration::ZERO;
                (load.measure.warmup, load.measure.cooldown) = (None, None);
                load.until = Until::Requests(1);
                load.rounds = 1;
                if let Shape::Closed(closed) = &mut load.shape {
                    (closed.users, closed.start_users) = (1, 1);
                }
            }
            Self::QpsLadder(ladder) => {
                ladder.traffic.warmup_requests = 0;
                ladder.measure.settle = Duration::ZERO;
                ladder.rates.truncate(1);
                ladder.step = Until::Requests(1);
            }
            Self::ConcurrencyRamp(ramp) => {
                ramp.traffic.warmup_requests = 0;
                ramp.measure.settle = Duration::ZERO;
                ramp.levels.truncate(1);
                ramp.step = Until::Requests(1);
            }
            Self::Search(search) => {
                search.traffic.warmup_requests = 0;
                search.measure.settle = Duration::ZERO;
                (search.max_probes, search.confirmations) = (1, 1);
                search.at_least = None;
                search.step = Until::Requests(1);
            }
            Self::Conversation(conversation) => {
                conversation.sessions = Some(1);
                conversation.config.max_turns = Some(1);
            }
            Self::Replay(replay) => {
                replay.traffic.warmup_requests = 0;
                replay.measure.settle = Duration::ZERO;
                (replay.measure.warmup, replay.measure.cooldown) = (None, None);
                (replay.until, replay.cycle) = (Some(Until::Requests(1)), false);
            }
        }
    }

    /// The plan's word for it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Cold(_) => "cold",
            Self::Warm(_) => "warm",
            Self::Flush(_) => "flush",
            Self::Pause(_) => "pause",
            Self::Load(_) => "load",
            Self::QpsLadder(_) => "qps_ladder",
            Self::ConcurrencyRamp(_) => "concurrency_ramp",
            Self::Search(_) => "search",
            Self::Conversation(_) => "conversation",
            Self::Replay(_) => "replay",
        }
    }

    /// How far its prompts are told apart; `None` where it has none.
    pub fn unique(&self) -> Option<Unique> {
        let claims_cache = matches!(self, Self::Cold(_) | Self::Warm(_));
        self.prompt().map(|prompt| prompt.unique_in(!claims_cache))
    }

    /// Requests that will each have a record, without warm-up. About so many where the times are
    /// drawn at random, and 0 where it is up to the server how many there will be.
    pub fn planned(&self) -> u64 {
        match self {
            Self::Cold(repeat) | Self::Warm(repeat) => repeat.requests,
            // A conversation has as many as the sessions that join have turns.
            Self::Flush(_) | Self::Pause(_) | Self::Conversation(_) => 0,
            Self::Load(load) => {
                let each = match &load.shape {
                    Shape::Open(open) => open.rate.about(load.until),
                    Shape::Closed(_) => load.until.requests().unwrap_or(0),
                };
                each.saturating_mul(load.rounds)
            }
            Self::QpsLadder(ladder) => {
                let each = ladder.rates.iter().map(|rate| Rate::Constant(*rate).about(ladder.step));
                each.fold(0, u64::saturating_add)
            }
            Self::ConcurrencyRamp(ramp) => {
                ramp.step.requests().unwrap_or(0).saturating_mul(ramp.levels.len() as u64)
            }
            Self::Search(search) => search.max_requests.unwrap_or(0),
            Self::Replay(replay) => replay.about(),
        }
    }

    /// What is sent, by stages of load.
    pub fn traffic(&self) -> Option<&Traffic> {
        match self {
            Self::Load(load) => Some(&load.traffic),
            Self::QpsLadder(ladder) => Some(&ladder.traffic),
            Self::ConcurrencyRamp(ramp) => Some(&ramp.traffic),
            Self::Search(search) => Some(&search.traffic),
            Self::Replay(replay) => Some(&replay.traffic),
            Self::Cold(_)
            | Self::Warm(_)
            | Self::Conversation(_)
            | Self::Flush(_)
            | Self::Pause(_) => None,
        }
    }

    /// What is asked, by stages that ask.
    pub fn prompt(&self) -> Option<&Prompt> {
        match self {
            Self::Cold(repeat) | Self::Warm(repeat) => Some(&repeat.prompt),
            Self::Conversation(conversation) => Some(&conversation.prompt),
            _ => self.traffic().map(|traffic| &traffic.prompt),
        }
    }

    /// The same, to fill in what only its files can say.
    pub fn prompt_mut(&mut self) -> Option<&mut Prompt> {
        match self {
            Self::Cold(repeat) | Self::Warm(repeat) => Some(&mut repeat.prompt),
            Self::Load(load) => Some(&mut load.traffic.prompt),
            Self::QpsLadder(ladder) => Some(&mut ladder.traffic.prompt),
            Self::ConcurrencyRamp(ramp) => Some(&mut ramp.traffic.prompt),
            Self::Search(search) => Some(&mut search.traffic.prompt),
            Self::Conversation(conversation) => Some(&mut conversation.prompt),
            Self::Replay(replay) => Some(&mut replay.traffic.prompt),
            Self::Flush(_) | Self::Pause(_) => None,
        }
    }
}

/// A list of prompts sent in order: the body of cold and warm stages.
#[derive(Debug, Clone)]
pub struct Repeat {
    /// How many requests; 0 until [`Repeat::rows_of`] is counted.
    pub requests: u64,
    /// How many different prompts: request `i` asks prompt `i % distinct`; 0 until
    /// [`Repeat::rows_of`] is counted.
    pub distinct: u64,
    /// The dataset whose number of rows the two above are, where they are 0. Files are opened
    /// when the plan is otherwise sound, by `workload::check`, which leaves `None` here.
    pub rows_of: Option<Box<RowSource>>,
    /// How many at a time.
    pub concurrency: u64,
    /// What is asked.
    pub prompt: Prompt,
    /// The stage whose prompts it repeats: the one at the end of its `like:` chain.
    pub like: Option<String>,
    /// The stage whose nonces its prompts carry: its own id, or that of the stage at the end of
    /// its `like:` chain. Equal keys and equal prompts mean equal requests.
    pub nonce_key: String,
}

/// `kind: conversation`: sessions of several turns.
#[derive(Debug, Clone)]
pub struct Conversation {
    /// Whose dataset holds the sessions.
    pub prompt: Prompt,
    /// How they go on.
    pub config: ConversationConfig,
    /// How many join; all of the dataset, once, when `None` and there is no `duration`.
    pub sessions: Option<u64>,
    /// No session joins after this long.
    pub duration: Option<Duration>,
}

/// How to empty a cache.
#[derive(Debug, Clone)]
pub struct Flush {
    /// By which means.
    pub with: FlushMethod,
    /// Foreign tokens to send in all when flushing by traffic; ten requests of 100,000 characters
    /// when `None` (the way of the TTFT cache benchmark).
    pub tokens: Option<u64>,
    /// Attempts before giving up.
    pub retries: u32,
    /// How its prompts are asked.
    pub manner: Manner,
}

/// How prompts of our own are asked, so that an endpoint takes them as it takes those of the plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manner {
    /// The name under which the upper bound of generated tokens is sent; the API's when `None`.
    pub max_tokens_field: Option<String>,
    /// That of the plan's rows, where the API has it, too.
    pub row_max_tokens_field: Option<&'static str>,
    /// Top-level fields of the body that are not sent.
    pub without: Vec<String>,
    /// Headers that the plan has as templates, rendered once.
    pub headers: Vec<(String, String)>,
}

words! {
    /// How to flush.
    #[derive(Default)]
    pub enum FlushMethod {
        /// The server's own reset if it has one, else foreign traffic.
        #[default]
        Auto = "auto",
        /// The server's own reset.
        Http = "http",
        /// Foreign prompts that evict the old ones.
        Traffic = "traffic",
    }
}

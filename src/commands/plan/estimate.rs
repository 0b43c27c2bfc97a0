//! What a plan will cost, with nothing sent.
//!
//! In: a checked plan. Out: about how many requests and tokens each stage takes. A few of its prompts
//! are made as the run would make them, at four characters per token, so that documents, datasets
//! and templates count as they are. Invariant: what only the server decides is told apart from what
//! is known.

use std::time::Duration;

use crate::metrics::quantity::grouped;
use crate::plan::{Action, Conversation, Flush, FlushMethod, Plan, Repeat, Stage, Target};
use crate::request::{Message, Request};
use crate::stage::flush_cost::{self, CANARIES, CANARY_TOKENS};
use crate::stage::log::Log;
use crate::workload::conversation::Rehearsal;
use crate::workload::prompt::{PromptSettings, PromptWorkload, nonce};
use crate::workload::store::Store;
use crate::workload::tokenizer::Tokenizer;
use crate::workload::{Workload, WorkloadError};

/// Prompts that are made of a dataset's rows, whose lengths differ.
const ROWS: u64 = 32;

/// Prompts that are made otherwise.
const ALIKE: u64 = 4;

/// In plans with more stages than this, one prompt stands for all of a stage.
const MANY_STAGES: usize = 60;

/// Sessions of a conversation that are played through.
const MOST_SESSIONS: u64 = 256;

/// Longest answer that they are played with, in tokens.
const LONGEST_ANSWER: u64 = 4_096;

/// What a stage will cost.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Estimate {
    /// Requests that will be sent, about.
    pub requests: u64,
    /// Those of them that are not measured: they warm up, or flush and prove it.
    pub beside: u64,
    /// Their prompt tokens, about.
    pub input_tokens: u64,
    /// Their generated tokens, at most; `None` when the server decides.
    pub output_tokens: Option<u64>,
    /// Prompt tokens of one request where time ends the stage and the server decides how many
    /// requests fit into it.
    pub each: Option<u64>,
    /// Requests and prompt tokens of foreign traffic, sent where the server has no other way to
    /// flush.
    pub traffic: (u64, u64),
    /// From its first request to its last, where a log says so.
    pub lasts: Option<Duration>,
}

/// The estimate of every stage of a plan, or which prompt can't be made and why.
pub(super) fn all(plan: &Plan) -> Result<Vec<Estimate>, String> {
    let store = Store::texts(plan).map_err(|error| error.to_string())?;
    let of = |stage| Estimate::of(plan, stage, &store).map_err(|error| error.to_string());
    plan.stages.iter().map(of).collect()
}

impl Estimate {
    /// Nothing, to add to.
    pub(super) fn none() -> Self {
        Self { output_tokens: Some(0), ..Self::default() }
    }

    fn of(plan: &Plan, stage: &Stage, store: &Store) -> Result<Self, WorkloadError> {
        let context_tokens = match &stage.endpoint.target {
            Target::Simulator(config) => Some(config.max_model_len),
            Target::Url(_) => None,
        };
        if let Action::Flush(flush) = &stage.action {
            return Ok(Self::of_flush(flush, context_tokens));
        }
        let Some(prompt) = stage.action.prompt() else { return Ok(Self::none()) };
        let params = plan.template_params(stage);
        let settings = PromptSettings {
            context_tokens,
            ..PromptSettings::of(plan, stage, "estimate", &params)
        };
        if let Action::Conversation(conversation) = &stage.action {
            return Self::of_conversation(conversation, &settings, store);
        }
        let log = match &stage.action {
            Action::Replay(replay) => {
                let log = Log::of(replay, store, plan.seed, &stage.key());
                Some(log.map_err(WorkloadError)?)
            }
            _ => None,
        };
        let planned = log.as_ref().map_or(stage.action.planned(), |log| log.schedule.planned());
        let lasts = log.as_ref().and_then(|log| log.schedule.iter().last());
        let lasts = lasts.map(|last| Duration::from_nanos(last.offset_ns));
        let beside = stage.action.traffic().map_or(0, |traffic| traffic.warmup_requests);
        let requests = planned.saturating_add(beside);
        let each = |tokens: u64| (planned == 0).then_some(tokens);
        if let Some(config) = &prompt.synthetic {
            // Lengths that are drawn have a mean; a few of them would only come near it.
            let (tokens, _) = super::synthetic_tokens(config);
            return Ok(Self {
                requests,
                beside,
                input_tokens: requests.saturating_mul(tokens),
                output_tokens: super::generated(prompt).map(|most| requests.saturating_mul(most)),
                each: each(tokens),
                lasts,
                ..Self::default()
            });
        }
        let own;
        let repeat = match &stage.action {
            Action::Cold(repeat) | Action::Warm(repeat) => repeat,
            _ => {
                own = Repeat {
                    requests: u64::MAX,
                    distinct: u64::MAX,
                    rows_of: None,
                    concurrency: 1,
                    prompt: prompt.clone(),
                    like: None,
                    nonce_key: stage.id.clone(),
                };
                &own
            }
        };
        let workload = PromptWorkload::new(repeat, &settings, store, Tokenizer::Estimate)?;
        let samples = match prompt.dataset {
            _ if plan.stages.len() > MANY_STAGES => 1,
            Some(_) => ROWS,
            None => ALIKE,
        };
        let samples = samples.min(repeat.distinct).max(1);
        let (mut input, mut output) = (0, Some(0));
        for index in 0..samples {
            let request = match log.as_ref().map(|log| log.turn(index)) {
                Some(turn) => {
                    let session = (turn.conversation.1, turn.number.into());
                    workload.request_of_row(turn.row, session, index)?
                }
                None => workload.request(index)?,
            };
            input += tokens(&request);
            output = output.zip(request.max_tokens).map(|(sum, tokens)| sum + tokens);
        }
        let scaled = |sum: u64| {
            let of_all = u128::from(sum) * u128::from(requests) / u128::from(samples);
            u64::try_from(of_all).unwrap_or(u64::MAX)
        };
        Ok(Self {
            requests,
            beside,
            input_tokens: scaled(input),
            output_tokens: output.map(scaled),
            each: each(input / samples),
            lasts,
            ..Self::default()
        })
    }

    /// The turns of its sessions, played through with answers as long as they may be. What was
    /// played stands for the sessions beyond the first few hundred.
    fn of_conversation(
        conversation: &Conversation,
        settings: &PromptSettings<'_>,
        store: &Store,
    ) -> Result<Self, WorkloadError> {
        let longest = conversation.prompt.max_tokens.unwrap_or(0).min(LONGEST_ANSWER);
        let answer = "word".repeat(usize::try_from(longest).unwrap_or(0));
        let rehearsal =
            Rehearsal::new(conversation, settings, store, &Tokenizer::Estimate, answer)?;
        let (mut sessions, mut turns, mut rows_played) = (0_u64, 0_u64, 0_u64);
        let (mut input, mut output) = (0_u64, Some(0_u64));
        for turn in rehearsal {
            let turn = turn?;
            if turn.id.turn == 0 {
                if sessions == MOST_SESSIONS {
                    break;
                }
                sessions += 1;
            }
            turns += 1;
            rows_played = rows_played.max(turn.row.number + 1);
            let texts = turn.messages.iter().flat_map(Message::texts);
            let chars = texts.map(|text| text.chars().count()).sum();
            input += Tokenizer::Estimate.count_chars(chars);
            let most = turn.row.token_limit().or(conversation.prompt.max_tokens);
            output = output.zip(most).map(|(sum, most)| sum.saturating_add(most));
        }
        let source = conversation.prompt.dataset.as_deref();
        let rows = source.and_then(|source| source.seen.as_ref()?.rows);
        let all = match (conversation.duration, conversation.sessions) {
            (Some(_), _) => None,
            (None, Some(sessions)) => Some(sessions),
            (None, None) if sessions < MOST_SESSIONS => Some(sessions),
            // The others have as many rows each as those that were played.
            (None, None) => rows.map(|rows| rows.saturating_mul(sessions) / rows_played.max(1)),
        };
        let Some(all) = all else {
            return Ok(Self { each: Some(input / turns.max(1)), ..Self::default() });
        };
        let scaled = |sum: u64| {
            let of_all = u128::from(sum) * u128::from(all) / u128::from(sessions.max(1));
            u64::try_from(of_all).unwrap_or(u64::MAX)
        };
        Ok(Self {
            requests: scaled(turns),
            input_tokens: scaled(input),
            output_tokens: output.map(scaled),
            ..Self::default()
        })
    }

    /// The canaries, and the foreign traffic of one round.
    fn of_flush(flush: &Flush, context_tokens: Option<u64>) -> Self {
        let opening = nonce("", "", 0).len().div_ceil(4) as u64;
        let (requests, size) = flush_cost::traffic(flush, context_tokens);
        let traffic = (requests, requests.saturating_mul(size.saturating_add(opening)));
        let room = flush_cost::room(context_tokens).unwrap_or(CANARY_TOKENS);
        let canaries = Self {
            requests: CANARIES,
            beside: CANARIES,
            input_tokens: CANARIES * (CANARY_TOKENS.min(room) + opening),
            output_tokens: Some(CANARIES),
            ..Self::default()
        };
        match flush.with {
            FlushMethod::Http => canaries,
            FlushMethod::Auto => Self { traffic, ..canaries },
            FlushMethod::Traffic => canaries.plus(Self {
                requests: traffic.0,
                beside: traffic.0,
                input_tokens: traffic.1,
                output_tokens: Some(traffic.0),
                ..Self::default()
            }),
        }
    }

    /// Both together.
    pub(super) fn plus(self, other: Self) -> Self {
        let sum = u64::saturating_add;
        Self {
            requests: sum(self.requests, other.requests),
            beside: sum(self.beside, other.beside),
            input_tokens: sum(self.input_tokens, other.input_tokens),
            output_tokens: self.output_tokens.zip(other.output_tokens).map(|(a, b)| sum(a, b)),
            each: self.each.or(other.each),
            traffic: (sum(self.traffic.0, other.traffic.0), sum(self.traffic.1, other.traffic.1)),
            lasts: None,
        }
    }

    /// Whether there is anything to say.
    pub(super) fn is_something(&self) -> bool {
        self.requests > 0 || self.each.is_some()
    }

    /// For one stage.
    pub(super) fn in_words(&self) -> String {
        match self.each {
            Some(each) => {
                let before = match self.requests {
                    0 => String::new(),
                    requests => format!("{} requests to warm up, then ", grouped(requests)),
                };
                format!(
                    "{before}as many requests as there is time (or there are rows) for, of about {} prompt tokens",
                    grouped(each)
                )
            }
            None => match self.lasts {
                Some(lasts) => {
                    let millis = u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX);
                    let lasts = Duration::from_millis(millis);
                    format!("{}; the last is due after {lasts:?}", self.sum_in_words())
                }
                None => self.sum_in_words(),
            },
        }
    }

    /// For a whole plan.
    pub(super) fn sum_in_words(&self) -> String {
        let output = match self.output_tokens {
            Some(tokens) => format!("at most {} generated", grouped(tokens)),
            None => "generated tokens up to the server".into(),
        };
        let traffic = match self.traffic {
            (0, _) => String::new(),
            (requests, tokens) => format!(
                "; {} more with about {} prompt tokens where foreign traffic has to flush",
                grouped(requests),
                grouped(tokens)
            ),
        };
        format!(
            "{}, about {} prompt tokens, {output}{traffic}",
            match self.requests {
                1 => "1 request".to_owned(),
                requests => format!("{} requests", grouped(requests)),
            },
            grouped(self.input_tokens)
        )
    }
}

/// Tokens of a prompt at four characters each.
fn tokens(request: &Request) -> u64 {
    Tokenizer::Estimate.count_chars(request.chars())
}

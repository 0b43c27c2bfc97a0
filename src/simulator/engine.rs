//! The model of time: which token is due when.
//!
//! In: jobs and cancellations, each with the time at which it happens, in nanoseconds. Out: one
//! [`Step`] per token. It is a pure event simulation: it never looks at a clock, so that tests run
//! it in virtual time and the server in real time. Invariant: every due time follows from other due
//! times and never from when somebody looked, so lateness of the caller does not add up.
//!
//! A job waits while `max_num_seqs` others run (first come, first served). Once running it pays
//! `overhead`, then queues for prefill, where one prompt at a time is computed at the full rate;
//! what the cache holds when its prefill starts is not computed again. The first token comes at the
//! end of prefill, each next one after `1 / decode_rate * (1 + batch_cost * (running - 1))`.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::cache::{self, PrefixCache};
use super::tokens::Answer;
use crate::plan::SimulatorConfig;

/// A generation to do.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its request number, unique.
    pub number: u64,
    /// The prompt.
    pub prompt: Vec<u32>,
    /// What will be said.
    pub answer: Answer,
    /// How many tokens of it, at least 1.
    pub output_tokens: u64,
    /// Whether the answer was cut by the request's limit (for the counters only).
    pub cut: bool,
}

/// One generated token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The job's request number.
    pub number: u64,
    /// When it is due.
    pub at: u64,
    /// Which token of the answer, from 0.
    pub index: u64,
    /// Whether the job is done with it.
    pub last: bool,
    /// Prompt tokens that came from the cache.
    pub cached: u64,
    /// From the job's submission to the start of its prefill.
    pub queued: u64,
    /// From the start of prefill to the first token.
    pub prefill: u64,
}

/// Too many are waiting already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy;

/// Counters since the start, and gauges, as `/metrics` shows them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Counters {
    /// Sequences running now.
    pub running: u64,
    /// Sequences waiting now.
    pub waiting: u64,
    /// Tokens of running sequences as a share of the cache's capacity, at most 1.
    pub kv_usage: f64,
    /// Prompt tokens looked up in the cache.
    pub cache_queries: u64,
    /// Prompt tokens found there.
    pub cache_hits: u64,
    /// Prompt tokens, cached ones included.
    pub prompt_tokens: u64,
    /// Generated tokens.
    pub generation_tokens: u64,
    /// Answers that began.
    pub begun: u64,
    /// Time that those waited before their prefill, summed, in nanoseconds.
    pub queued_ns: u64,
    /// Time of their prefill, summed, in nanoseconds.
    pub prefill_ns: u64,
    /// Jobs that ended by themselves.
    pub stopped: u64,
    /// Jobs that ended at the request's limit.
    pub cut: u64,
    /// Jobs whose client left.
    pub aborted: u64,
}

/// What is due next for a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Prefill,
    Token,
}

#[derive(Debug)]
struct Sequence {
    job: Job,
    /// Hashes of the prompt's whole blocks.
    blocks: Vec<u64>,
    cached: u64,
    generated: u64,
    submitted_at: u64,
    prefill_at: u64,
    first_token_at: u64,
    /// Absent without jitter.
    jitter: Option<ChaCha8Rng>,
}

/// The simulated scheduler, cache and accelerator.
#[derive(Debug)]
pub struct Engine {
    config: SimulatorConfig,
    block_tokens: usize,
    cache: PrefixCache,
    /// Jobs without a slot, each with the time of its submission.
    waiting: VecDeque<(Job, u64)>,
    running: HashMap<u64, Sequence>,
    /// Those that wait for prefill, in order; the first is in prefill when `prefilling`.
    prefill: VecDeque<u64>,
    prefilling: bool,
    due: BinaryHeap<Reverse<(u64, u64, Due)>>,
    counters: Counters,
    running_tokens: u64,
}

impl Engine {
    /// An idle engine with an empty cache.
    pub fn new(config: &SimulatorConfig) -> Self {
        let block_tokens = usize::try_from(config.block_tokens.max(1)).unwrap_or(usize::MAX);
        let capacity = usize::try_from(config.cache_tokens).unwrap_or(usize::MAX) / block_tokens;
        Self {
            config: config.clone(),
            block_tokens,
            cache: PrefixCache::new(capacity),
            waiting: VecDeque::new(),
            running: HashMap::new(),
            prefill: VecDeque::new(),
            prefilling: false,
            due: BinaryHeap::new(),
            counters: Counters::default(),
            running_tokens: 0,
        }
    }

    /// Takes a job at `now`, or refuses it when the queue is full. Everything due before `now` must
    /// have been taken with [`Engine::advance`].
    pub fn submit(&mut self, job: Job, now: u64) -> Result<(), Busy> {
        if self.has_room() {
            self.admit(job, now, now);
        } else if (self.waiting.len() as u64) < self.config.max_queue {
            self.waiting.push_back((job, now));
        } else {
            return Err(Busy);
        }
        Ok(())
    }

    /// Drops a job at `now`, wherever it is; one that is done or unknown is no error.
    pub fn cancel(&mut self, number: u64, now: u64) {
        let queued = self.waiting.len();
        self.waiting.retain(|(job, _)| job.number != number);
        if self.waiting.len() < queued {
            self.counters.aborted += 1;
        } else if self.running.contains_key(&number) {
            self.counters.aborted += 1;
            self.leave(number, now);
        }
    }

    /// When something is due next.
    pub fn next_due(&self) -> Option<u64> {
        self.due.peek().map(|Reverse((at, _, _))| *at)
    }

    /// Does everything due until `now`, in order of its due times, and hands every token to `emit`.
    pub fn advance(&mut self, now: u64, mut emit: impl FnMut(Step)) {
        while let Some(&Reverse((at, number, due))) = self.due.peek() {
            if at > now {
                break;
            }
            self.due.pop();
            match due {
                Due::Prefill if self.running.contains_key(&number) => {
                    self.prefill.push_back(number);
                    self.start_prefill(at);
                }
                Due::Token => {
                    if let Some(step) = self.generate(number, at) {
                        emit(step);
                    }
                }
                // The job was cancelled meanwhile.
                Due::Prefill => {}
            }
        }
    }

    /// Empties the cache, unless somebody runs or waits; says whether it did.
    pub fn reset_cache(&mut self) -> bool {
        let idle = self.running.is_empty() && self.waiting.is_empty();
        if idle {
            self.cache.clear();
        }
        idle
    }

    /// Counters and gauges now.
    pub fn counters(&self) -> Counters {
        let capacity = self.config.cache_tokens.max(1);
        Counters {
            running: self.running.len() as u64,
            waiting: self.waiting.len() as u64,
            kv_usage: (self.running_tokens as f64 / capacity as f64).min(1.0),
            ..self.counters
        }
    }

    fn has_room(&self) -> bool {
        (self.running.len() as u64) < self.config.max_num_seqs.max(1)
    }

    /// Gives a slot at `at` to a job that was submitted at `submitted_at`.
    fn admit(&mut self, job: Job, submitted_at: u64, at: u64) {
        let number = job.number;
        let jitter = (self.config.jitter > 0.0).then(|| {
            let mut rng = ChaCha8Rng::seed_from_u64(self.config.seed);
            rng.set_stream(number);
            rng
        });
        self.running_tokens += job.prompt.len() as u64;
        let mut blocks = Vec::new();
        cache::extend_hashes(&mut blocks, &job.prompt, self.block_tokens);
        let sequence = Sequence {
            job,
            blocks,
            cached: 0,
            generated: 0,
            submitted_at,
            prefill_at: at,
            first_token_at: at,
            jitter,
        };
        self.running.insert(number, sequence);
        self.plan(at, self.config.overhead, number, Due::Prefill);
    }

    /// Starts the next prefill, if none is going on.
    fn start_prefill(&mut self, at: u64) {
        if self.prefilling {
            return;
        }
        let Some(&number) = self.prefill.front() else { return };
        let Some(sequence) = self.running.get_mut(&number) else { return };
        let prompt_tokens = sequence.job.prompt.len();
        // As in vLLM, the last token is always computed, or there would be nothing to go on from.
        let most = prompt_tokens.saturating_sub(1) / self.block_tokens;
        let usable = &sequence.blocks[..most.min(sequence.blocks.len())];
        let matched = self.cache.matched(usable);
        self.cache.touch(&usable[..matched]);
        let cached = matched * self.block_tokens;
        sequence.cached = cached as u64;
        sequence.prefill_at = at;
        self.counters.cache_queries += prompt_tokens as u64;
        self.counters.cache_hits += cached as u64;
        let seconds = (prompt_tokens - cached) as f64 / self.config.prefill_rate
            * spread(sequence.jitter.as_mut(), self.config.jitter);
        self.prefilling = true;
        self.plan(at, seconds_to_duration(seconds), number, Due::Token);
    }

    /// The token of `number` that is due at `at`; `None` when it was cancelled.
    fn generate(&mut self, number: u64, at: u64) -> Option<Step> {
        let running = self.running.len().saturating_sub(1) as f64;
        let sequence = self.running.get_mut(&number)?;
        let index = sequence.generated;
        sequence.generated += 1;
        self.running_tokens += 1;
        self.counters.generation_tokens += 1;
        let last = sequence.generated >= sequence.job.output_tokens;
        let cut = sequence.job.cut;
        if index == 0 {
            sequence.first_token_at = at;
        }
        let step = Step {
            number,
            at,
            index,
            last,
            cached: sequence.cached,
            queued: sequence.prefill_at.saturating_sub(sequence.submitted_at),
            prefill: sequence.first_token_at.saturating_sub(sequence.prefill_at),
        };
        let interval = (1.0 + self.config.batch_cost * running) / self.config.decode_rate
            * spread(sequence.jitter.as_mut(), self.config.jitter);
        if index == 0 {
            self.counters.begun += 1;
            self.counters.queued_ns += step.queued;
            self.counters.prefill_ns += step.prefill;
            self.counters.prompt_tokens += sequence.job.prompt.len() as u64;
            self.cache.touch(&sequence.blocks);
            self.end_prefill(at);
        }
        if last {
            if cut {
                self.counters.cut += 1;
            } else {
                self.counters.stopped += 1;
            }
            self.leave(number, at);
        } else {
            self.plan(at, seconds_to_duration(interval), number, Due::Token);
        }
        Some(step)
    }

    fn end_prefill(&mut self, at: u64) {
        self.prefill.pop_front();
        self.prefilling = false;
        self.start_prefill(at);
    }

    /// Frees the slot of a running sequence: what it computed becomes the newest of the cache, and
    /// the first that waits moves up.
    fn leave(&mut self, number: u64, at: u64) {
        let Some(sequence) = self.running.remove(&number) else { return };
        let Sequence { job, mut blocks, generated, .. } = sequence;
        self.running_tokens -= job.prompt.len() as u64 + generated;
        if self.prefill.front() == Some(&number) && self.prefilling {
            self.end_prefill(at);
        } else {
            self.prefill.retain(|other| *other != number);
        }
        if generated > 0 {
            // The last token was never fed back, so it was not computed.
            let mut tokens = job.prompt;
            tokens.extend((0..generated - 1).map(|index| job.answer.token(index)));
            cache::extend_hashes(&mut blocks, &tokens, self.block_tokens);
            self.cache.touch(&blocks);
        }
        while self.has_room() {
            let Some((job, submitted_at)) = self.waiting.pop_front() else { break };
            self.admit(job, submitted_at, at);
        }
    }

    fn plan(&mut self, at: u64, after: Duration, number: u64, due: Due) {
        let after = u64::try_from(after.as_nanos()).unwrap_or(u64::MAX);
        self.due.push(Reverse((at.saturating_add(after), number, due)));
    }
}

/// A factor around 1, uniform within the relative spread.
fn spread(rng: Option<&mut ChaCha8Rng>, jitter: f64) -> f64 {
    rng.map_or(1.0, |rng| (1.0 + jitter * (2.0 * rng.random::<f64>() - 1.0)).max(0.0))
}

/// A rate of zero means never.
fn seconds_to_duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests;

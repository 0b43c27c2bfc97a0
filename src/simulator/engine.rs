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
    /// Absent without jitter.
    jitter: Option<ChaCha8Rng>,
}

/// The simulated scheduler, cache and accelerator.
#[derive(Debug)]
pub struct Engine {
    config: SimulatorConfig,
    block_tokens: usize,
    cache: PrefixCache,
    waiting: VecDeque<Job>,
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
            self.admit(job, now);
        } else if (self.waiting.len() as u64) < self.config.max_queue {
            self.waiting.push_back(job);
        } else {
            return Err(Busy);
        }
        Ok(())
    }

    /// Drops a job at `now`, wherever it is; one that is done or unknown is no error.
    pub fn cancel(&mut self, number: u64, now: u64) {
        let queued = self.waiting.len();
        self.waiting.retain(|job| job.number != number);
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

    fn admit(&mut self, job: Job, at: u64) {
        let number = job.number;
        let jitter = (self.config.jitter > 0.0).then(|| {
            let mut rng = ChaCha8Rng::seed_from_u64(self.config.seed);
            rng.set_stream(number);
            rng
        });
        self.running_tokens += job.prompt.len() as u64;
        let mut blocks = Vec::new();
        cache::extend_hashes(&mut blocks, &job.prompt, self.block_tokens);
        let sequence = Sequence { job, blocks, cached: 0, generated: 0, jitter };
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
        let step = Step { number, at, index, last, cached: sequence.cached };
        let interval = (1.0 + self.config.batch_cost * running) / self.config.decode_rate
            * spread(sequence.jitter.as_mut(), self.config.jitter);
        if index == 0 {
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
            let Some(job) = self.waiting.pop_front() else { break };
            self.admit(job, at);
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
mod tests {
    use super::*;
    use crate::simulator::tokens;

    const MS: u64 = 1_000_000;

    /// 1 token/ms of prefill, 100 tokens/s of decoding, 10 blocks of 4 tokens, no jitter.
    fn config() -> SimulatorConfig {
        SimulatorConfig {
            cache_tokens: 40,
            block_tokens: 4,
            prefill_rate: 1_000.0,
            decode_rate: 100.0,
            batch_cost: 0.0,
            overhead: Duration::from_millis(5),
            jitter: 0.0,
            ..SimulatorConfig::default()
        }
    }

    fn job(number: u64, prompt: std::ops::Range<u32>, output_tokens: u64) -> Job {
        let prompt: Vec<u32> = prompt.collect();
        let answer = Answer::new(0, &prompt);
        Job { number, prompt, answer, output_tokens, cut: true }
    }

    fn drain(engine: &mut Engine, until: u64) -> Vec<Step> {
        let mut steps = Vec::new();
        engine.advance(until, |step| steps.push(step));
        steps
    }

    /// Runs one job alone, from `now` on: when its first token came, and what was cached.
    fn first_token(engine: &mut Engine, job: Job, now: u64) -> (u64, u64) {
        engine.submit(job, now).unwrap();
        let steps = drain(engine, u64::MAX);
        (steps[0].at - now, steps[0].cached)
    }

    #[test]
    fn cold_warm_and_evicted_first_tokens_come_from_the_cache() {
        let mut engine = Engine::new(&config());
        // 22 tokens are 5 blocks and 2 tokens more.
        assert_eq!(first_token(&mut engine, job(0, 0..22, 1), 0), (27 * MS, 0));
        assert_eq!(first_token(&mut engine, job(1, 0..22, 1), 1_000 * MS), (7 * MS, 20));
        // 7 foreign blocks in a cache of 10 leave 3 of the 5, the first ones.
        assert_eq!(first_token(&mut engine, job(2, 100..128, 1), 2_000 * MS), (33 * MS, 0));
        assert_eq!(first_token(&mut engine, job(3, 0..22, 1), 3_000 * MS), (15 * MS, 12));
        assert!(engine.reset_cache());
        assert_eq!(first_token(&mut engine, job(4, 0..22, 1), 4_000 * MS), (27 * MS, 0));
        let counters = engine.counters();
        assert_eq!((counters.cache_queries, counters.cache_hits), (116, 32));
        assert_eq!((counters.prompt_tokens, counters.generation_tokens), (116, 5));
    }

    #[test]
    fn at_least_one_prompt_token_is_computed() {
        let mut engine = Engine::new(&config());
        first_token(&mut engine, job(0, 0..8, 1), 0);
        // Both of its blocks are held, but the second is whole only with the prompt's last token.
        assert_eq!(first_token(&mut engine, job(1, 0..8, 1), 1_000 * MS), (9 * MS, 4));
    }

    #[test]
    fn without_a_cache_every_prompt_is_cold() {
        let mut engine = Engine::new(&SimulatorConfig { cache_tokens: 0, ..config() });
        for number in 0..3 {
            let (after, cached) =
                first_token(&mut engine, job(number, 0..22, 4), number * 1_000 * MS);
            assert_eq!((after, cached), (27 * MS, 0));
        }
    }

    #[test]
    fn a_conversation_finds_its_own_answer_in_the_cache() {
        let mut engine = Engine::new(&config());
        let first = job(0, 0..10, 7);
        let mut grown = first.prompt.clone();
        grown.extend((0..7).map(|index| first.answer.token(index)));
        grown.extend(200..205);
        first_token(&mut engine, first, 0);
        let answer = Answer::new(0, &grown);
        let next = Job { number: 1, prompt: grown, answer, output_tokens: 1, cut: true };
        // 10 prompt tokens and 6 of the 7 generated ones were computed: 4 whole blocks.
        assert_eq!(first_token(&mut engine, next, 1_000 * MS).1, 16);
    }

    #[test]
    fn tokens_follow_the_decode_rate_and_the_batch_slows_it() {
        let mut engine = Engine::new(&SimulatorConfig { batch_cost: 0.5, ..config() });
        engine.submit(job(0, 0..10, 3), 0).unwrap();
        let at: Vec<u64> = drain(&mut engine, u64::MAX).iter().map(|step| step.at).collect();
        assert_eq!(at, [15 * MS, 25 * MS, 35 * MS]);
        engine.submit(job(1, 100..101, 2), 1_000 * MS).unwrap();
        engine.submit(job(2, 200..201, 2), 1_000 * MS).unwrap();
        let steps = drain(&mut engine, u64::MAX);
        let at: Vec<_> = steps.iter().map(|step| (step.number, step.at / MS - 1_000)).collect();
        // Prefill is one after the other; with two running each interval is 15 ms.
        assert_eq!(at, [(1, 6), (2, 7), (1, 21), (2, 22)]);
    }

    #[test]
    fn only_so_many_run_the_rest_wait_in_order_and_too_many_are_refused() {
        let limits = SimulatorConfig { max_num_seqs: 2, max_queue: 2, ..config() };
        let mut engine = Engine::new(&limits);
        for number in 0..4 {
            let start = u32::try_from(number).unwrap() * 100;
            engine.submit(job(number, start..start + 1, 2), 0).unwrap();
        }
        assert_eq!(engine.submit(job(4, 900..901, 2), 0), Err(Busy));
        let counters = engine.counters();
        assert_eq!((counters.running, counters.waiting), (2, 2));
        let steps = drain(&mut engine, u64::MAX);
        let firsts: Vec<_> = steps
            .iter()
            .filter(|step| step.index == 0)
            .map(|step| (step.number, step.at))
            .collect();
        // The third starts when the first ends at 16 ms, the fourth with the second at 17 ms.
        assert_eq!(firsts, [(0, 6 * MS), (1, 7 * MS), (2, 22 * MS), (3, 23 * MS)]);
        assert_eq!(
            engine.counters(),
            Counters { running: 0, waiting: 0, kv_usage: 0.0, ..engine.counters() }
        );
    }

    #[test]
    fn a_cancelled_job_frees_its_slot_and_the_prefill_at_once() {
        let mut engine = Engine::new(&SimulatorConfig { max_num_seqs: 2, ..config() });
        engine.submit(job(0, 0..1_000, 5), 0).unwrap();
        engine.submit(job(1, 2_000..2_010, 1), 0).unwrap();
        engine.submit(job(2, 3_000..3_010, 1), 0).unwrap();
        assert!(!engine.reset_cache());
        assert!(drain(&mut engine, 100 * MS).is_empty());
        engine.cancel(0, 100 * MS);
        let steps = drain(&mut engine, u64::MAX);
        let at: Vec<_> = steps.iter().map(|step| (step.number, step.at / MS)).collect();
        // The second's prefill starts at 100; the third is admitted then and pays its overhead.
        assert_eq!(at, [(1, 110), (2, 120)]);
        let counters = engine.counters();
        assert_eq!((counters.running, counters.aborted), (0, 1));
        assert!(engine.reset_cache());
    }

    #[test]
    fn cancelling_who_waits_or_has_ended_disturbs_nobody() {
        let mut engine = Engine::new(&SimulatorConfig { max_num_seqs: 1, ..config() });
        engine.submit(job(0, 0..4, 2), 0).unwrap();
        engine.submit(job(1, 10..14, 2), 0).unwrap();
        engine.cancel(1, MS);
        engine.cancel(7, MS);
        assert_eq!(drain(&mut engine, u64::MAX).len(), 2);
        engine.cancel(0, 1_000 * MS);
        assert_eq!(engine.counters().aborted, 1);
    }

    #[test]
    fn looking_late_changes_nothing() {
        let run = |look_every: u64| {
            let mut engine = Engine::new(&SimulatorConfig { jitter: 0.2, ..config() });
            for number in 0..5 {
                let start = u32::try_from(number).unwrap() * 100;
                engine.submit(job(number, start..start + 20, 10), 0).unwrap();
            }
            let mut steps = Vec::new();
            for look in 1..=1_000_000 * MS / look_every {
                engine.advance(look * look_every, |step| steps.push(step));
                if engine.next_due().is_none() {
                    break;
                }
            }
            steps
        };
        assert_eq!(run(MS), run(333 * MS));
    }

    #[test]
    fn the_same_seed_gives_the_same_times_and_another_seed_others() {
        let run = |seed| {
            let mut engine = Engine::new(&SimulatorConfig { jitter: 0.1, seed, ..config() });
            engine.submit(job(3, 0..20, 20), 0).unwrap();
            drain(&mut engine, u64::MAX).iter().map(|step| step.at).collect::<Vec<_>>()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
        let gaps: Vec<u64> = run(1).windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.iter().all(|gap| (9 * MS..=11 * MS).contains(gap)), "{gaps:?}");
    }

    #[test]
    fn rates_beyond_measure_take_no_time_and_a_rate_of_zero_takes_for_ever() {
        let fast = SimulatorConfig {
            prefill_rate: f64::INFINITY,
            decode_rate: f64::INFINITY,
            overhead: Duration::ZERO,
            ..config()
        };
        let mut engine = Engine::new(&fast);
        engine.submit(job(0, 0..20, 20), 7).unwrap();
        assert!(drain(&mut engine, 7).iter().all(|step| step.at == 7));
        let mut engine = Engine::new(&SimulatorConfig { prefill_rate: 0.0, ..config() });
        engine.submit(job(0, 0..20, 20), 0).unwrap();
        assert!(drain(&mut engine, u64::MAX - 1).is_empty());
    }

    #[test]
    fn a_chat_prompt_of_default_size_is_cold_at_first_and_warm_but_for_its_last_block() {
        let mut engine = Engine::new(&SimulatorConfig::default());
        let text = "word ".repeat(4_000);
        let prompt = tokens::chat([("user", text.as_str())]);
        let whole = (prompt.len() as u64 - 1) / 16 * 16;
        let job = |number| Job {
            number,
            prompt: prompt.clone(),
            answer: Answer::new(0, &prompt),
            output_tokens: 4,
            cut: true,
        };
        let (cold, cached) = first_token(&mut engine, job(0), 0);
        assert_eq!(cached, 0);
        let (warm, cached) = first_token(&mut engine, job(1), 10_000 * MS);
        assert_eq!(cached, whole);
        assert!(cold > 50 * warm, "{cold} {warm}");
    }
}

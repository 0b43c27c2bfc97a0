//! The engine in virtual time: jobs in, due times out, no clock and no socket.

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
        let (after, cached) = first_token(&mut engine, job(number, 0..22, 4), number * 1_000 * MS);
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
    let firsts: Vec<_> =
        steps.iter().filter(|step| step.index == 0).map(|step| (step.number, step.at)).collect();
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
    let prompt = tokens::chat(None, &[serde_json::json!({"role": "user", "content": text})]);
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

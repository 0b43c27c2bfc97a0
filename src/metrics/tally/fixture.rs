//! One typical record and its stage, for the tests of this folder.

use crate::record::{
    CacheState, Connection, OutcomeKind, Record, StageEnd, StageStart, StageState, StartLine,
    TokenCounts,
};

/// Milliseconds of the run's clock.
pub fn ms(ms: u64) -> u64 {
    ms * 1_000_000
}

/// A cold request on a new connection that reasons before it answers.
pub fn record() -> Record {
    let count = |server| TokenCounts { server: Some(server), ..TokenCounts::default() };
    Record {
        stage: "cold".into(),
        cell: None,
        rung: None,
        index: 0,
        request_id: "r-0".into(),
        prompt_hash: None,
        session: None,
        due_ns: Some(ms(100)),
        sent_ns: Some(ms(110)),
        connecting_ns: None,
        connected_ns: Some(ms(111)),
        headers_ns: Some(ms(300)),
        first_event_ns: Some(ms(305)),
        first_token_ns: Some(ms(310)),
        first_content_ns: Some(ms(350)),
        last_token_ns: Some(ms(410)),
        usage_ns: Some(ms(420)),
        end_ns: Some(ms(430)),
        token_ns: [310, 350, 350, 410].map(ms).to_vec(),
        choices: Vec::new(),
        outcome: OutcomeKind::Ok,
        http_status: Some(200),
        error: None,
        input_tokens: count(2100),
        output_tokens: count(7),
        reasoning_tokens: None,
        cached_tokens: Some(24),
        cache: CacheState::Cold,
        finish_reason: Some("stop".into()),
        asked_model: None,
        other_model: None,
        response_id: None,
        timings: None,
        connection: Connection { reused: false, address: None },
        bytes_in: 1000,
        flags: Vec::new(),
        impossible: std::collections::BTreeMap::new(),
    }
}

/// The start of a cold stage.
pub fn stage_start(planned: u64) -> StageStart {
    StageStart {
        stage: "cold".into(),
        kind: "cold".into(),
        cell: None,
        rung: None,
        endpoint: "simulated".into(),
        api: None,
        model: Some("simulated-8b".into()),
        planned,
        expects: Some(CacheState::Cold),
        like: None,
        reported: true,
        load: None,
        concurrency: None,
        thresholds: Vec::new(),
        at_ns: ms(100),
    }
}

/// The end of that stage, two seconds later.
pub fn stage_end(state: StageState) -> StageEnd {
    let reason = (state != StageState::Completed).then(|| "because".to_owned());
    StageEnd {
        stage: "cold".into(),
        cell: None,
        rung: None,
        state,
        reason,
        planned: None,
        aborted: false,
        cpu_ns: None,
        wake_lag: None,
        at_ns: ms(2100),
    }
}

/// A start line of that stage.
pub fn start_line(index: u64) -> StartLine {
    let (due_ns, sent_ns) = (ms(100), ms(110));
    StartLine { stage: "cold".into(), cell: None, rung: None, index, due_ns, sent_ns }
}

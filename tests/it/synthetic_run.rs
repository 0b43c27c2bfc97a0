//! A run that never happened: the lines of a record log from a small model of a server, the same on
//! every machine. Cold, warm, flush, after the flush; then a ladder that saturates.

use runner::plan::{Aggregate, CacheWord, Level, Limit, Location, MetricRef, Op, Threshold};
use runner::record::{
    ArrivalLine, CacheState, Connection, ErrorInfo, FlushAttempt, FlushLine, FlushState, Line,
    LoadLine, OutcomeKind, RECORD_VERSION, Record, RunLine, StageEnd, StageStart, StageState,
    StartLine, TokenCounts,
};

const MS: u64 = 1_000_000;

/// Text that must never be more than text, wherever a report shows it.
pub const HOSTILE: &str = "</script><script>document.title='owned'</script><img src=x \
    onerror=\"document.title='owned'\"><style>*{display:none}</style>\u{1b}[31m\u{202e} & 'quoted' \"too\" \
    | [link](javascript:alert(1)) {{ 7*7 }} @team";

/// What to make up.
#[derive(Clone, Copy)]
pub struct Shape {
    /// Requests of each cold and warm stage.
    pub repeats: u64,
    /// Requests per unit of rate of each rung (so its seconds).
    pub rung_seconds: u64,
    /// Put [`HOSTILE`] wherever text comes from a plan or a server.
    pub hostile: bool,
}

/// A typical run of 40 requests per stage and a ladder of eight rungs.
pub const TYPICAL: Shape = Shape { repeats: 40, rung_seconds: 60, hostile: false };

/// Hands every line of the run to `each`, in order.
pub fn lines(shape: Shape, each: &mut dyn FnMut(Line)) {
    let mut run = Run { shape, each, now: 120 * MS, dice: 7 };
    run.begin();
    run.repeat("cold", CacheState::Cold, 1_010.0, Vec::new());
    let warm = vec![
        check("ttft.p50 <= 0.5 * cold.ttft.p50", Op::Le, 0.5, "cold", 31),
        cache_check("cache == warm", 32),
    ];
    run.repeat("warm", CacheState::Warm, 99.0, warm);
    run.flush();
    let after = vec![check("ttft.p50 >= 2 * warm.ttft.p50", Op::Ge, 2.0, "warm", 41)];
    run.repeat("after_flush", CacheState::Cold, 1_022.0, after);
    for rate in [1, 2, 4, 8, 12, 16, 24, 32] {
        run.rung(rate);
    }
}

struct Run<'a> {
    shape: Shape,
    each: &'a mut dyn FnMut(Line),
    now: u64,
    dice: u64,
}

impl Run<'_> {
    fn put(&mut self, line: Line) {
        (self.each)(line);
    }

    /// A number in 0..1 (splitmix64).
    fn chance(&mut self) -> f64 {
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.dice;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Around `middle`, sometimes much later, as latencies are.
    fn latency_ms(&mut self, middle: f64) -> f64 {
        let spread = (0..6).map(|_| self.chance()).sum::<f64>() / 6.0 - 0.5;
        let slow = if self.chance() > 0.97 { 1.5 } else { 1.0 };
        middle * (1.0 + 0.35 * spread) * slow
    }

    fn begin(&mut self) {
        let plan = if self.shape.hostile { HOSTILE } else { "cache-eviction" };
        self.put(Line::Run(RunLine {
            record_version: RECORD_VERSION,
            run_id: "20261121-224015-a1b2c3".into(),
            plan: plan.into(),
            plan_hash: "5f1d3c0a9b8e7f6d5c4b3a29181716151413121110".into(),
            started_at: "2026-11-21T22:40:15Z".into(),
            seed: 7,
            simulated: true,
            insecure: false,
            runner_version: "0.1.0".into(),
        }));
    }

    fn start(&mut self, stage: &str, kind: &str, planned: u64) -> StageStart {
        let hostile = self.shape.hostile;
        StageStart {
            stage: stage.into(),
            kind: kind.into(),
            cell: hostile.then(|| HOSTILE.to_owned()),
            rung: None,
            endpoint: if hostile { HOSTILE } else { "http://127.0.0.1:8000/v1" }.into(),
            api: hostile.then(|| HOSTILE.to_owned()),
            model: Some(if hostile { HOSTILE } else { "simulated-8b" }.into()),
            planned,
            expects: None,
            like: None,
            reported: true,
            load: None,
            concurrency: Some(1),
            thresholds: Vec::new(),
            at_ns: self.now,
        }
    }

    fn end(&mut self, start: &StageStart) {
        self.put(Line::StageEnd(StageEnd {
            stage: start.stage.clone(),
            cell: start.cell.clone(),
            rung: start.rung,
            state: StageState::Completed,
            reason: None,
            planned: None,
            aborted: false,
            cpu_ns: None,
            wake_lag: None,
            at_ns: self.now,
        }));
        self.now += 40 * MS;
    }

    fn repeat(&mut self, stage: &str, expects: CacheState, ttft: f64, thresholds: Vec<Threshold>) {
        let kind = if expects == CacheState::Warm { "warm" } else { "cold" };
        let mut start = self.start(stage, kind, self.shape.repeats);
        start.expects = Some(expects);
        start.like = (stage != "cold").then(|| "cold".to_owned());
        start.thresholds = thresholds;
        self.put(Line::StageStart(start.clone()));
        for index in 0..self.shape.repeats {
            let sent = self.now + MS / 20;
            let ttft = self.latency_ms(ttft);
            let record = self.answer(&start, index, sent, sent, ttft, expects);
            self.now = record.end_ns.unwrap_or(sent) + MS / 5;
            self.request(record);
        }
        self.end(&start);
    }

    fn flush(&mut self) {
        let start = self.start("flush", "flush", 0);
        self.put(Line::StageStart(start.clone()));
        self.now += 2_400 * MS;
        let detail = if self.shape.hostile { HOSTILE } else { "200 {\"success\":true}" };
        self.put(Line::Flush(FlushLine {
            stage: start.stage.clone(),
            cell: start.cell.clone(),
            state: FlushState::Proven,
            before: CacheState::Warm,
            prompt_tokens: Some(2_104),
            cached_tokens: Some(2_096),
            ttft_cold_ms: Some(1_015.0),
            ttft_warm_ms: Some(97.0),
            attempts: vec![FlushAttempt {
                method: "vllm POST /reset_prefix_cache".into(),
                accepted: true,
                detail: detail.into(),
                after: CacheState::Cold,
                cached_tokens: Some(0),
                ttft_ms: Some(1_009.0),
            }],
            summary:
                "the canary was warm (2,096 of 2,104 tokens cached) and is cold after the flush"
                    .into(),
            at_ns: self.now,
        }));
        self.end(&start);
    }

    /// Arrivals at `rate` to a server with 16 slots and a queue of 40.
    fn rung(&mut self, rate: u64) {
        let planned = rate * self.shape.rung_seconds;
        let mut start = self.start("ladder", "qps_ladder", planned);
        start.rung = Some(rate as f64);
        start.concurrency = None;
        start.load = Some(Box::new(LoadLine {
            target_rate: start.rung,
            arrival: Some(ArrivalLine::Poisson),
            ..LoadLine::default()
        }));
        self.put(Line::StageStart(start.clone()));
        let mut slots = [self.now; 16];
        let mut due = self.now;
        let mut last = self.now;
        for index in 0..planned {
            due += nanoseconds(-(1.0 - self.chance()).ln() / rate as f64 * 1e3);
            let (slot, free) =
                (0..16).map(|n| (n, slots[n])).min_by_key(|slot| slot.1).expect("16 slots");
            let waits = free.saturating_sub(due);
            let record = if waits > 1_900 * MS {
                self.refusal(&start, index, due)
            } else {
                let ttft = waits as f64 / 1e6 + self.latency_ms(180.0);
                let record = self.answer(&start, index, due, due + MS / 20, ttft, CacheState::Warm);
                slots[slot] = record.end_ns.unwrap_or(due);
                record
            };
            last = last.max(record.end_ns.unwrap_or(due));
            self.request(record);
        }
        self.now = last;
        self.end(&start);
    }

    fn request(&mut self, record: Record) {
        self.put(Line::Start(StartLine {
            stage: record.stage.clone(),
            cell: record.cell.clone(),
            rung: record.rung,
            index: record.index,
            due_ns: record.due_ns.unwrap_or(0),
            sent_ns: record.sent_ns.unwrap_or(0),
        }));
        self.put(Line::End(Box::new(record)));
    }

    fn answer(
        &mut self,
        start: &StageStart,
        index: u64,
        due: u64,
        sent: u64,
        ttft_ms: f64,
        cache: CacheState,
    ) -> Record {
        let first = sent + nanoseconds(ttft_ms);
        let mut token_ns = vec![first];
        for _ in 1..16 {
            let gap = self.latency_ms(if start.rung.is_some() { 42.0 } else { 11.0 });
            token_ns.push(token_ns[token_ns.len() - 1] + nanoseconds(gap));
        }
        let last = token_ns[15];
        let count = |server| TokenCounts { server: Some(server), ..TokenCounts::default() };
        Record {
            stage: start.stage.clone(),
            cell: start.cell.clone(),
            rung: start.rung,
            index,
            request_id: format!("{}-{index}", start.stage),
            prompt_hash: None,
            session: None,
            due_ns: Some(due),
            sent_ns: Some(sent),
            connecting_ns: None,
            connected_ns: None,
            headers_ns: Some(first - MS / 10),
            first_event_ns: Some(first),
            first_token_ns: Some(first),
            first_content_ns: Some(first),
            last_token_ns: Some(last),
            usage_ns: Some(last),
            end_ns: Some(last + MS / 10),
            token_ns,
            choices: Vec::new(),
            outcome: OutcomeKind::Ok,
            http_status: Some(200),
            error: None,
            input_tokens: count(2_104),
            output_tokens: count(16),
            reasoning_tokens: None,
            cached_tokens: Some(if cache == CacheState::Warm { 2_080 } else { 16 }),
            cache,
            finish_reason: Some("length".into()),
            asked_model: None,
            other_model: None,
            response_id: None,
            timings: None,
            connection: Connection { reused: true, address: None },
            bytes_in: 4_100,
            flags: Vec::new(),
            impossible: std::collections::BTreeMap::new(),
        }
    }

    fn refusal(&mut self, start: &StageStart, index: u64, due: u64) -> Record {
        let answer = self.answer(start, index, due, due + MS / 20, 3.0, CacheState::Unknown);
        let message = "HTTP 503 Service Unavailable: the queue is full";
        Record {
            token_ns: Vec::new(),
            choices: Vec::new(),
            first_event_ns: None,
            first_token_ns: None,
            first_content_ns: None,
            last_token_ns: None,
            usage_ns: None,
            end_ns: answer.headers_ns,
            outcome: OutcomeKind::Http,
            http_status: Some(503),
            error: Some(ErrorInfo {
                class: "http.503".into(),
                message: if self.shape.hostile { HOSTILE } else { message }.into(),
                raw: Some(
                    if self.shape.hostile { HOSTILE } else { "{\"error\":\"queue full\"}" }.into(),
                ),
            }),
            input_tokens: TokenCounts::default(),
            output_tokens: TokenCounts::default(),
            cached_tokens: None,
            finish_reason: None,
            ..answer
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "minutes at most")]
fn nanoseconds(ms: f64) -> u64 {
    (ms * 1e6) as u64
}

fn check(text: &str, op: Op, factor: f64, of: &str, line: usize) -> Threshold {
    let ttft = |stage: Option<&str>| MetricRef {
        stage: stage.map(str::to_owned),
        metric: "ttft".into(),
        aggregate: Some(Aggregate::Percentile(50.0)),
    };
    Threshold {
        check: text.into(),
        left: ttft(None),
        op,
        right: Limit::Times { factor, of: ttft(Some(of)) },
        level: Level::Fail,
        min_samples: 1,
        rungs: None,
        over_ms: None,
        from: None,
        allow_no_data: false,
        implicit: false,
        location: place(line),
    }
}

fn cache_check(text: &str, line: usize) -> Threshold {
    Threshold {
        check: text.into(),
        left: MetricRef { stage: None, metric: "cache".into(), aggregate: None },
        op: Op::Eq,
        right: Limit::Cache(CacheWord::Warm),
        level: Level::Fail,
        min_samples: 1,
        rungs: None,
        over_ms: None,
        from: None,
        allow_no_data: false,
        implicit: false,
        location: place(line),
    }
}

fn place(line: usize) -> Location {
    Location { file: "scenarios/cache-eviction.yaml".into(), line, column: 9, start: 0, end: 0 }
}

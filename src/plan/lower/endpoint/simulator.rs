//! `simulator:` → [`SimulatorConfig`].

use crate::plan::bind::Spanned;
use crate::plan::diagnostic::Code;
use crate::plan::file::{FaultKeys, Ratio, SimulatorKeys};
use crate::plan::lower::Lowering;
use crate::plan::{Fault, FaultKind, SimulatorConfig};

impl Lowering<'_> {
    pub(super) fn simulator(
        &mut self,
        written: &Spanned<SimulatorKeys>,
        seed: u64,
    ) -> SimulatorConfig {
        self.simulator_over(written, SimulatorConfig { seed, ..SimulatorConfig::default() })
    }

    /// A simulator whose missing keys are those of `default`.
    pub(in crate::plan) fn simulator_over(
        &mut self,
        written: &Spanned<SimulatorKeys>,
        default: SimulatorConfig,
    ) -> SimulatorConfig {
        let keys = &written.value;
        let faults: Vec<Fault> = keys.faults.iter().filter_map(|fault| self.fault(fault)).collect();
        SimulatorConfig {
            model: keys.model.clone().filter(|model| !model.is_empty()).unwrap_or(default.model),
            max_model_len: self
                .positive("max_model_len", keys.max_model_len)
                .unwrap_or(default.max_model_len),
            cache_tokens: keys.cache_tokens.map_or(default.cache_tokens, |count| count.value.0),
            block_tokens: self
                .positive("block_tokens", keys.block_tokens)
                .unwrap_or(default.block_tokens),
            prefill_rate: self.above_zero("prefill_rate", keys.prefill_rate, default.prefill_rate),
            decode_rate: self.above_zero("decode_rate", keys.decode_rate, default.decode_rate),
            batch_cost: keys.batch_cost.map_or(default.batch_cost, |cost| cost.value.0),
            max_num_seqs: self
                .positive("max_num_seqs", keys.max_num_seqs)
                .unwrap_or(default.max_num_seqs),
            max_queue: keys.max_queue.map_or(default.max_queue, |count| count.value.0),
            overhead: keys.overhead.map_or(default.overhead, |overhead| overhead.value.0),
            jitter: self.jitter(keys.jitter, default.jitter),
            seed: keys.seed.map_or(default.seed, |seed| seed.value.0),
            api_key: keys.api_key.as_ref().map_or(default.api_key, |key| {
                self.redactor.register(&key.value);
                Some(key.value.clone())
            }),
            reset_prefix_cache: keys.reset_prefix_cache.unwrap_or(default.reset_prefix_cache),
            report_cached_tokens: keys.report_cached_tokens.unwrap_or(default.report_cached_tokens),
            faults: if keys.faults.is_empty() { default.faults } else { faults },
            json: default.json,
        }
    }

    fn above_zero(&mut self, key: &str, written: Option<Spanned<Ratio>>, default: f64) -> f64 {
        let Some(written) = written else { return default };
        if written.value.0 <= 0.0 {
            self.error(Code::Value, written.at.span, format!("`{key}` must be more than zero"), "");
        }
        written.value.0
    }

    fn jitter(&mut self, written: Option<Spanned<Ratio>>, default: f64) -> f64 {
        let Some(written) = written else { return default };
        if written.value.0 > 1.0 {
            let help = "0.05 spreads times by 5 %";
            self.error(Code::Value, written.at.span, "`jitter` must be at most 1", help);
        }
        written.value.0
    }

    fn fault(&mut self, written: &Spanned<FaultKeys>) -> Option<Fault> {
        let keys = &written.value;
        let status = keys.status.and_then(|status| {
            let code = u16::try_from(status.value.0).ok().filter(|code| (100..=599).contains(code));
            if code.is_none() {
                let message = format!("{} is not an HTTP status", status.value.0);
                self.error(Code::Value, status.at.span, message, "100 to 599");
            }
            code
        });
        let after = |count: &Option<Spanned<_>>, kind: fn(u64) -> FaultKind| {
            count.as_ref().map(|count: &Spanned<crate::plan::file::Count>| kind(count.value.0))
        };
        let kinds: Vec<FaultKind> = [
            status.map(FaultKind::Status),
            after(&keys.truncate, FaultKind::Truncate),
            after(&keys.disconnect, FaultKind::Disconnect),
            after(&keys.stall, FaultKind::Stall),
            after(&keys.error_event, FaultKind::ErrorEvent),
            after(&keys.malformed, FaultKind::Malformed),
            keys.crash.filter(|crash| *crash).map(|_| FaultKind::Crash),
        ]
        .into_iter()
        .flatten()
        .collect();
        let count = self.positive("count", keys.count).unwrap_or(1);
        let from = keys.from.map_or(0, |from| from.value.0);
        match <[FaultKind; 1]>::try_from(kinds) {
            Ok([kind]) => Some(Fault { from, count, kind }),
            Err(_) if self.has_bad(written.at) || keys.status.is_some() && status.is_none() => None,
            Err(kinds) => {
                let message = if kinds.is_empty() {
                    "this fault does nothing"
                } else {
                    "a fault does one thing at a time"
                };
                let help = "exactly one of: status, truncate, disconnect, stall, error_event, \
                            malformed, crash";
                self.error(Code::Conflict, written.at.span, message, help);
                None
            }
        }
    }
}

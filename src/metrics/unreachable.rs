//! How often and how long an endpoint took no connections.
//!
//! In: records as they end. Out: [`Unreachable`]. Invariant: what this machine lacked (file descriptors,
//! local ports) is none of it; a request that is sent later and answered in full ends it, whoever was first
//! to fail. A server that says that it still loads its model is not back.

use serde::{Deserialize, Serialize};

use crate::record::{LOCAL_CLASSES, OutcomeKind, Record};

/// An endpoint that was away.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Unreachable {
    /// Requests that failed because the endpoint took no connection.
    pub requests: u64,
    /// How often it was away.
    pub times: u64,
    /// Longest time to recovery, in seconds: from when the first such request was sent to the first
    /// byte of a complete answer to one that was sent later; absent where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_s: Option<f64>,
    /// True where no request that was sent after the last time was answered.
    pub to_the_end: bool,
}

/// The same while records come in.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct UnreachableTally {
    requests: u64,
    times: u64,
    longest_ns: Option<u64>,
    since_ns: Option<u64>,
    /// When the last request was sent that was answered.
    answered_ns: Option<u64>,
}

impl UnreachableTally {
    /// A request ended.
    pub(super) fn take(&mut self, record: &Record) {
        let Some(sent) = record.sent_ns else { return };
        if is_unreachable(record) {
            self.requests += 1;
            match &mut self.since_ns {
                Some(since) => *since = sent.min(*since),
                None if self.answered_ns < Some(sent) => {
                    self.times += 1;
                    self.since_ns = Some(sent);
                }
                None => {}
            }
        } else if let Some(headers) = record.headers_ns
            && record.outcome == OutcomeKind::Ok
        {
            self.answered_ns = self.answered_ns.max(Some(sent));
            if let Some(since) = self.since_ns.take_if(|since| *since < sent) {
                self.longest_ns = self.longest_ns.max(Some(headers.saturating_sub(since)));
            }
        }
    }

    /// What it comes to; nothing where the endpoint was there all the time.
    pub(super) fn finish(self) -> Option<Unreachable> {
        (self.requests > 0).then(|| Unreachable {
            requests: self.requests,
            times: self.times.max(1),
            recovery_s: self.longest_ns.map(|longest| longest as f64 / 1e9),
            to_the_end: self.since_ns.is_some(),
        })
    }
}

fn is_unreachable(record: &Record) -> bool {
    let class = record.error.as_ref().map(|error| error.class.as_str());
    record.outcome == OutcomeKind::Connect && class.is_none_or(|it| !LOCAL_CLASSES.contains(&it))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tally::fixture::{ms, record};
    use crate::record::ErrorInfo;

    fn answered(sent: u64) -> Record {
        Record { sent_ns: Some(ms(sent)), headers_ns: Some(ms(sent + 10)), ..record() }
    }

    fn refused(sent: u64, class: &str) -> Record {
        let error = ErrorInfo { class: class.into(), message: String::new(), raw: None };
        let (outcome, error) = (OutcomeKind::Connect, Some(error));
        Record { sent_ns: Some(ms(sent)), headers_ns: None, outcome, error, ..record() }
    }

    fn told(records: &[Record]) -> Option<Unreachable> {
        let mut tally = UnreachableTally::default();
        for record in records {
            tally.take(record);
        }
        tally.finish()
    }

    #[test]
    fn it_is_away_from_the_first_failure_to_the_next_answer() {
        let away = |sent| refused(sent, "connect.refused");
        // One that was sent before and answered late ends nothing.
        let found = told(&[answered(0), away(200), away(300), answered(150), answered(600)]);
        let found = found.expect("away");
        assert_eq!((found.requests, found.times, found.to_the_end), (2, 1, false));
        assert_eq!(found.recovery_s, Some(0.41));
        let found = told(&[away(0), answered(50), away(100), away(150)]).expect("away");
        assert_eq!((found.requests, found.times, found.to_the_end), (3, 2, true));
        assert_eq!(found.recovery_s, Some(0.06));
    }

    #[test]
    fn a_server_that_loads_its_model_is_not_back() {
        let loading = |sent| Record { outcome: OutcomeKind::Http, ..answered(sent) };
        let away = refused(200, "connect.refused");
        let found = told(&[answered(0), away.clone(), loading(300), loading(400)]).expect("away");
        assert_eq!((found.recovery_s, found.to_the_end), (None, true));
        let found = told(&[answered(0), away, loading(300), answered(600)]).expect("away");
        assert_eq!((found.recovery_s, found.to_the_end), (Some(0.41), false));
    }

    #[test]
    fn what_this_machine_lacks_is_not_the_endpoints() {
        assert_eq!(told(&[refused(0, "connect.fd_limit"), answered(50)]), None);
        assert_eq!(told(&[refused(0, "connect.no_local_port")]), None);
    }
}

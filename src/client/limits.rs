//! The five limits of a request, and the cancel token, as one alarm; and how large an answer may become.
//!
//! In: what has happened so far. Out: the work's result, or a [`Stop`]. Invariant: whatever the
//! server does or leaves undone, waiting ends at the nearest limit, and a stream at its [`Extent`].

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

use crate::metrics::quantity::grouped;
use crate::plan::Timeouts;
use crate::record::Phase;

/// Longer than any run; stands for limits beyond the clock's range.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// Why waiting ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    Cancelled,
    Timeout(Phase),
}

/// How far an exchange has come, as far as its limits care.
#[derive(Debug)]
pub(super) struct Limits {
    timeouts: Timeouts,
    sent: Instant,
    stream: bool,
    /// When the headers came, then each read: the idle limit counts from here.
    last_read: Option<Instant>,
    token: bool,
}

impl Limits {
    pub fn new(timeouts: Timeouts, sent: Instant, stream: bool) -> Self {
        Self { timeouts, sent, stream, last_read: None, token: false }
    }

    /// Bytes came at `at`; `token` says whether any token has come so far.
    pub fn read(&mut self, at: Instant, token: bool) {
        self.last_read = Some(at);
        self.token = token;
    }

    /// The nearest limit. While a stream has sent no token, the first-token limit rules and the
    /// idle limit does not: servers that send headers at once are silent all through prefill.
    pub fn next(&self) -> (Instant, Phase) {
        let after = |start: Instant, limit: Duration| start.checked_add(limit.min(FAR));
        let mut nearest = (after(self.sent, self.timeouts.total), Phase::Total);
        let mut consider = |start: Instant, limit: Duration, phase: Phase| {
            let due = after(start, limit);
            if due < nearest.0 {
                nearest = (due, phase);
            }
        };
        if self.stream && !self.token {
            consider(self.sent, self.timeouts.first_token, Phase::FirstToken);
        }
        match self.last_read {
            None => consider(self.sent, self.timeouts.headers, Phase::Headers),
            Some(last) if self.token || !self.stream => {
                consider(last, self.timeouts.idle, Phase::Idle);
            }
            Some(_) => {}
        }
        (nearest.0.unwrap_or(self.sent), nearest.1)
    }

    /// How long the limit of `phase` is.
    pub fn of(&self, phase: Phase) -> Duration {
        match phase {
            Phase::Connect => self.timeouts.connect,
            Phase::Headers => self.timeouts.headers,
            Phase::FirstToken => self.timeouts.first_token,
            Phase::Idle => self.timeouts.idle,
            Phase::Total => self.timeouts.total,
        }
    }
}

/// How much came of a stream, or may come.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// Events, whatever they hold.
    pub events: u64,
    /// Bytes, decompressed.
    pub bytes: u64,
    /// Bytes of generated text.
    pub text: u64,
}

impl Extent {
    /// An answer to a request for fewer tokens may still be so many events long: servers that do not heed
    /// the limit are measured, not cut.
    const LEAST_EVENTS: u64 = 1 << 17;
    /// More are never kept, whatever was asked for.
    const MOST_EVENTS: u64 = 1 << 22;
    /// Events for a token that was asked for: some servers send letter by letter.
    const EVENTS_A_TOKEN: u64 = 8;
    /// Bytes of an event on average: with twenty log probabilities beside each token it has about as many.
    const BYTES_AN_EVENT: u64 = 2048;
    /// Bytes of text.
    const MOST_TEXT: u64 = 64 << 20;

    /// The most that a stream may come to, which was asked for so many tokens in each of its choices.
    pub fn of(tokens: Option<u64>, choices: u64) -> Self {
        let tokens = tokens.unwrap_or_default().saturating_mul(choices);
        let events = tokens.saturating_mul(Self::EVENTS_A_TOKEN);
        let events = events.clamp(Self::LEAST_EVENTS, Self::MOST_EVENTS);
        Self { events, bytes: events * Self::BYTES_AN_EVENT, text: Self::MOST_TEXT }
    }

    /// Which bound is passed, in words.
    pub fn beyond(&self, most: &Self) -> Option<String> {
        let parts = [
            (self.events, most.events, "events"),
            (self.bytes, most.bytes, "bytes"),
            (self.text, most.text, "bytes of text"),
        ];
        let (_, most, what) = parts.into_iter().find(|(is, most, _)| is > most)?;
        Some(format!("{} {what}", grouped(most)))
    }
}

/// Waits for work, the nearest limit or the cancel token. One timer serves the whole exchange: it
/// is moved when it fires early, not on every chunk.
pub(super) struct Guard<'c> {
    alarm: Pin<Box<Sleep>>,
    cancelled: Pin<Box<WaitForCancellationFuture<'c>>>,
}

impl<'c> Guard<'c> {
    pub fn new(limits: &Limits, cancel: &'c CancellationToken) -> Self {
        Self {
            alarm: Box::pin(tokio::time::sleep_until(limits.next().0.into())),
            cancelled: Box::pin(cancel.cancelled()),
        }
    }

    /// The result of `work`, unless the token or a limit comes first. Work that is ready beats a
    /// limit that passed while this task was not scheduled, and costs no look at the timer at all.
    pub async fn wait<T>(
        &mut self,
        limits: &Limits,
        work: impl Future<Output = T>,
    ) -> Result<T, Stop> {
        let mut work = pin!(work);
        poll_fn(|cx| {
            if let Poll::Ready(result) = work.as_mut().poll(cx) {
                return Poll::Ready(Ok(result));
            }
            if self.cancelled.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(Stop::Cancelled));
            }
            let (due, phase) = limits.next();
            if due < self.alarm.deadline().into_std() {
                self.alarm.as_mut().reset(due.into());
            }
            while self.alarm.as_mut().poll(cx).is_ready() {
                if Instant::now() >= due {
                    return Poll::Ready(Err(Stop::Timeout(phase)));
                }
                self.alarm.as_mut().reset(due.into());
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(stream: bool) -> (Limits, Instant) {
        let sent = Instant::now();
        let seconds = Duration::from_secs;
        let timeouts = Timeouts {
            connect: seconds(1),
            headers: seconds(10),
            first_token: seconds(20),
            idle: seconds(5),
            total: seconds(60),
        };
        (Limits::new(timeouts, sent, stream), sent)
    }

    #[test]
    fn the_idle_limit_counts_only_after_the_first_token() {
        let (mut limits, sent) = limits(true);
        let after = |seconds| sent + Duration::from_secs(seconds);
        assert_eq!(limits.next(), (after(10), Phase::Headers));
        limits.read(after(2), false);
        assert_eq!(limits.next(), (after(20), Phase::FirstToken));
        limits.read(after(3), true);
        assert_eq!(limits.next(), (after(8), Phase::Idle));
        limits.read(after(58), true);
        assert_eq!(limits.next(), (after(60), Phase::Total));
    }

    #[test]
    fn a_whole_answer_has_no_first_token_limit() {
        let (mut limits, sent) = limits(false);
        limits.read(sent + Duration::from_secs(9), false);
        assert_eq!(limits.next(), (sent + Duration::from_secs(14), Phase::Idle));
    }

    #[test]
    fn a_stream_has_room_for_what_was_asked_and_an_end() {
        let of = |tokens, choices| Extent::of(tokens, choices).events;
        assert_eq!(of(None, 1), of(Some(8), 2));
        assert!(of(Some(100_000), 4) >= 8 * 400_000);
        assert_eq!(of(Some(u64::MAX), u64::MAX), Extent::MOST_EVENTS);
        let most = Extent::of(Some(8), 1);
        assert_eq!(most.beyond(&most), None);
        let said = |more: Extent| more.beyond(&most).unwrap();
        assert_eq!(said(Extent { events: most.events + 1, ..most }), "131,072 events");
        assert_eq!(said(Extent { bytes: u64::MAX, ..most }), "268,435,456 bytes");
        assert_eq!(said(Extent { text: u64::MAX, ..most }), "67,108,864 bytes of text");
    }

    #[test]
    fn endless_limits_are_fine() {
        let sent = Instant::now();
        let max = Duration::MAX;
        let timeouts =
            Timeouts { connect: max, headers: max, first_token: max, idle: max, total: max };
        let limits = Limits::new(timeouts, sent, true);
        assert!(limits.next().0 > sent + Duration::from_secs(3600));
    }
}

//! What came back: the raw stamps of every exchange and the lines of the record log.
//!
//! In: a finished [`Exchange`] from the client. Out: [`Line`]s, written one per row to
//! `records-000001.jsonl`. Invariant: the log alone is enough to rebuild every number of a run, and
//! every planned request has exactly one `end` line, is one of those that a `never_started` line counts, or
//! is lost in flight.

mod channel;
mod clock;
mod exchange;
mod line;
mod never_started;
mod outcome;
mod place;

pub use channel::{Parcel, RecordReceiver, RecordSender, Room, UNWRITTEN};
pub use clock::RunClock;
pub use exchange::{
    CacheState, Connection, Exchange, IMPOSSIBLE_USAGE, ImpossibleCounts, NO_TEXT, NOT_STREAMED,
    READS_HIDDEN, Record, STALE_REUSE_RESENT, ServerTimings, TokenCounts,
};
pub use line::{
    ArrivalLine, FlushAttempt, FlushLine, FlushState, Line, LoadLine, RoundLine, RunLine, STOPPED,
    SearchLine, ServerLine, StageEnd, StageStart, StageState, StartLine, SteadyLine, WakeLag,
};
pub use never_started::NeverStartedLine;
pub use outcome::{ErrorInfo, LOCAL_CLASSES, Outcome, OutcomeKind, Phase};
pub use place::Place;

/// Version of the record log's format, in its first line. 2 has `never_started` lines.
pub const RECORD_VERSION: u32 = 2;

/// Says that records of that version can't be read, if they can't.
pub fn unread_version(version: u32) -> Option<String> {
    (!(1..=RECORD_VERSION).contains(&version)).then(|| {
        format!("record version {version}; this runner reads versions 1 to {RECORD_VERSION}")
    })
}

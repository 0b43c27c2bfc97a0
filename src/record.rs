//! What came back: the raw stamps of every exchange and the lines of the record log.
//!
//! In: a finished [`Exchange`] from the client. Out: [`Line`]s, written one per row to
//! `records-000001.jsonl`. Invariant: the log alone is enough to rebuild every number of a run, and
//! every planned request has exactly one `end` line (or is counted as lost in flight).

mod channel;
mod clock;
mod exchange;
mod line;
mod outcome;
mod place;

pub use channel::{Parcel, RecordReceiver, RecordSender};
pub use clock::RunClock;
pub use exchange::{
    CacheState, Connection, Exchange, NOT_STREAMED, READS_HIDDEN, Record, STALE_REUSE_RESENT,
    ServerTimings, TokenCounts,
};
pub use line::{
    ArrivalLine, FlushAttempt, FlushLine, FlushState, Line, LoadLine, RoundLine, RunLine,
    SearchLine, ServerLine, StageEnd, StageStart, StageState, StartLine, SteadyLine, WakeLag,
};
pub use outcome::{ErrorInfo, Outcome, OutcomeKind, Phase};
pub use place::Place;

/// Version of the record log's format, in its first line.
pub const RECORD_VERSION: u32 = 1;

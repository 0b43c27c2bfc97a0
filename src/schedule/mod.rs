//! Floor 3: when it is due.
//!
//! In: the plan's load values and its seed. Out: due times, start offsets, think times. Invariant: everything but [`pacer`] is a pure function of (plan, seed): arrival *i* has one
//! time whoever asks, so a schedule can be striped over workers and resumed. Nothing here knows
//! how a request is sent.
//!
//! | file | what it turns into what |
//! |---|---|
//! | [`draw`] | (seed, key, purpose, index) → random numbers, the same on every machine |
//! | [`profile`] | rate over time ↔ arrivals so far (the rate's integral and its inverse) |
//! | [`arrivals`] | process + rate → [`Arrival`]s; stripes |
//! | [`trace`] | a log's stamps → [`Arrival`]s |
//! | [`turns`] | turns that are due → those that may go, one at a time of a conversation |
//! | [`closed`] | users → start offsets and think times |
//! | [`repeats`] | index → the earlier index whose prompt it repeats |
//! | [`admission`] | due + in flight → send, queue or drop |
//! | [`pacer`] | [`Arrival`]s → [`pacer::Due`]s, on time, from one thread |

pub mod admission;
pub mod arrivals;
pub mod closed;
pub mod draw;
pub mod pacer;
pub mod profile;
pub mod repeats;
pub mod trace;
pub mod turns;

pub use arrivals::{Arrival, Schedule, ScheduleError, Stripe};

//! Floor 3: numbers → something to read.
//!
//! In: a [`Summary`](crate::metrics::summary::Summary). Out: text. Invariants: a report computes
//! nothing that a summary does not hold; whatever came from a server or a plan is escaped; figures
//! from the embedded simulator are marked *simulated* before any of them is shown.

mod checks;
mod conclusion;
pub mod console;
pub mod escape;
mod evidence;
pub mod look;
mod table;

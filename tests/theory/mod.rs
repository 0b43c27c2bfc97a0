//! What is concluded from requests that queue, held against queueing theory.
//!
//! Each file draws latencies from a law that it knows in full, writes the lines of a run with them,
//! and asks the library what it concludes. What is right follows from theory, or from a simulation
//! in this folder that shares no code with the library.
//!
//! A few seconds of it run with the tests. All of it, with a table of figures:
//! `RUNNER_THEORY=300 cargo test --test it theory:: -- --ignored --nocapture` (300 runs a row).

mod capacity;
mod laws;
mod log;
mod omission;
mod queueing;

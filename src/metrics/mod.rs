//! Floor 2: records → numbers and verdicts.
//!
//! In: the lines of the record log, live or read back. Out: a [`summary::Summary`]. Invariant: the
//! same lines always give the same summary, so anything but the log can be rebuilt from the log.
//!
//! | file | what it turns into what |
//! |---|---|
//! | [`record_log`] | [`Line`](crate::record::Line) ↔ bytes of `records-*.jsonl` |
//! | [`catalogue`] | record → samples of each metric |
//! | [`distribution`] | samples → exact statistics |
//! | [`samples`] | any number of samples → statistics in bounded memory |
//! | [`certified`] | samples → what a percentile is at most, with 99 % confidence |
//! | [`check`] | how one check went |
//! | [`claims`] | summary → what may be said of the run, in sentences |
//! | [`estimate`] | distributions → how sure a median, or the ratio of two, is |
//! | [`histogram`] | samples → live quantiles in constant memory; `HdrHistogram`'s own format |
//! | [`cache_verdict`] | token counts → cold, warm, mixed, unknown |
//! | [`prometheus`], [`server`] | the server's page → its own account of a stage |
//! | [`contamination`] | claims of cold and warm against what the server counted |
//! | [`tally`], [`aggregator`] | lines → [`summary::StageSummary`], [`summary::Summary`] |
//! | `goodput` | thresholds + records → requests that kept every limit |
//! | [`window`] | samples → statistics of each stretch of a running stage |
//! | [`steady`] | samples over time → the part that is in steady state |
//! | [`rounds`] | the rounds of a load → each by itself, and how far they lie apart |
//! | [`pace`] | requests of a load → answers per second, and whether the endpoint kept up |
//! | [`saturation`] | rungs → capacity, sustainable level, advice |
//! | [`definitions`] | records → figures under other tools' formulas |
//! | [`compare`] | two runs → better, worse, the same, or not enough data |
//! | [`search`] | verdicts on levels → next level to try, or the result |
//! | [`baseline`] | summary of an earlier run → limits of `baseline ± n%` |
//! | [`live`] | records → whether a running stage must end |
//! | [`gate`] | threshold + numbers → [`summary::ThresholdResult`] |
//! | [`verdict`] | summary → validity and exit code |
//! | [`quantity`] | number + unit → text for people |
//! | [`schema`] | types → `schemas/record.v1.json`, `schemas/summary.v1.json` |

pub mod aggregator;
pub mod answers;
pub mod baseline;
pub mod cache_verdict;
pub mod catalogue;
pub mod certified;
pub mod check;
pub mod claims;
pub mod compare;
pub mod contamination;
pub mod definitions;
pub mod distribution;
pub mod due;
pub mod effective;
pub mod estimate;
pub mod gate;
pub mod generator;
mod goodput;
pub mod histogram;
pub mod live;
pub mod models;
pub mod pace;
pub mod prometheus;
pub mod pulse;
pub mod quantity;
pub mod record_log;
pub mod rounds;
pub mod samples;
pub mod saturation;
pub mod schema;
pub mod search;
pub mod server;
pub mod steady;
pub mod stretch;
pub mod summary;
pub mod tally;
pub mod thinned;
pub mod token_account;
pub mod unreachable;
pub mod verdict;
mod way;
pub mod window;

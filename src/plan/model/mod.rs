//! The checked plan: what the floors above read.
//!
//! In: what lowering made of the written plan. Out: plain values. Invariant: every param is
//! resolved, every default filled in, every name known to exist; nothing is left to parse.

mod action;
mod api;
mod endpoint;
mod load;
mod plan;
mod prompt;
mod replay;
mod simulator;
mod sink;
mod stage;
mod threshold;
mod words;
pub mod workload;

pub use action::{Action, Conversation, Flush, FlushMethod, Manner, Repeat};
pub use api::{
    ANTHROPIC_MAX_TOKENS, Api, JsonAnswer, JsonApi, PLACEHOLDERS, TextPart, names, text_parts,
};
pub use endpoint::{
    Addresses, ApiKey, CallMethod, Endpoint, FlushCall, HeaderTemplate, MetricsConfig, MetricsPage,
    Secret, Target, Timeouts, TokenizerConfig,
};
pub use load::{
    ArrivalProcess, ClosedLoop, ConcurrencyRamp, Late, Load, Measure, OpenLoop, Pacing, QpsLadder,
    Rate, RatePiece, Search, SearchAxis, Shape, Think, Traffic, Until, WhenFull,
};
pub use plan::{Cell, Durability, Location, Nonce, Param, Plan, SimulatorUse};
pub use prompt::{
    Context, ContextSource, FileAccess, LIMIT_NAMES, MessageTemplate, ModelChoice, OPTIONS, Prompt,
};
pub use replay::{Replay, ReplayTiming, Sample, SampleHash, Sessions};
pub use simulator::{Fault, FaultKind, SimulatorConfig};
pub use sink::{SinkConfig, SinkKind};
pub use stage::{Need, Stage};
pub use threshold::{
    Aggregate, BaselineValue, CacheWord, Ending, Level, Limit, LiveCheck, MetricRef, Op,
    RungFilter, Threshold,
};

//! A judged check: what was measured, what it was held against, and how it went.
//!
//! Invariant: a check that could not be made is never one that held.

use serde::{Deserialize, Serialize};

use crate::plan::Level;

/// One judged threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ThresholdResult {
    /// The check as written.
    pub check: String,
    /// `fail` or `warn`.
    pub level: Level,
    /// What was measured; absent without data (a word for verdicts).
    pub actual: Option<serde_json::Value>,
    /// What it was held against.
    pub limit: Option<serde_json::Value>,
    /// Unit of `actual` and `limit`.
    pub unit: String,
    /// Samples behind `actual`.
    pub samples: u64,
    /// Whether it held, or could not be made and need not be.
    pub pass: bool,
    /// False when there was nothing to judge and the check lets that pass, or the stage was cut short
    /// before it failed.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub judged: bool,
    /// One sentence: why it failed, or what it compared.
    pub reason: String,
    /// Where it stands in the plan, `file:line:column`.
    pub location: String,
}

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// It held.
    Held,
    /// It did not, which fails the run.
    Failed,
    /// It did not, which is worth a look.
    Warned,
    /// There was nothing to judge, which it lets pass.
    NotMade,
}

impl ThresholdResult {
    /// How it went.
    pub fn judgement(&self) -> Judgement {
        match (self.pass, self.judged, self.level) {
            (true, true, _) => Judgement::Held,
            (true, false, _) => Judgement::NotMade,
            (false, _, Level::Fail) => Judgement::Failed,
            (false, _, Level::Warn) => Judgement::Warned,
        }
    }

    /// Whether it failed for want of data: that says nothing of what it asks about.
    pub(super) fn is_untold(&self) -> bool {
        let no_data = self.actual.is_none() || self.limit.is_none();
        !self.pass && (no_data || self.reason.starts_with("too little data"))
    }
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands references")]
fn is_yes(value: &bool) -> bool {
    *value
}

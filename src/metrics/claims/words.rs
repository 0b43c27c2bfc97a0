//! Words that several claims share.

use super::{Claim, ClaimFigure};
use crate::metrics::estimate::Estimate;
use crate::metrics::quantity::{plural, show, significant};
use crate::metrics::saturation::{Axis, HEADROOM};
use crate::metrics::summary::{Distribution, StageSummary};

/// Up to two decimals, without trailing zeros; small numbers keep four digits.
pub(super) fn number(value: f64) -> String {
    let text = if value < 1.0 { format!("{value:.4}") } else { format!("{value:.2}") };
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// What a ladder raises, in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Load {
    /// Requests per second.
    Rate,
    /// Requests under way.
    Concurrency,
    /// Users who pause between their requests.
    Users,
}

impl Load {
    pub(super) fn of(axis: Axis, rungs: &[&StageSummary]) -> Self {
        let pauses = rungs.iter().any(|stage| stage.load.is_some_and(|load| load.pauses));
        match axis {
            Axis::Rate => Self::Rate,
            Axis::Concurrency if pauses => Self::Users,
            Axis::Concurrency => Self::Concurrency,
        }
    }

    pub(super) fn unit(self) -> &'static str {
        match self {
            Self::Rate => "requests/s",
            Self::Concurrency => "concurrent requests",
            Self::Users => "users",
        }
    }

    /// A level in words.
    pub(super) fn say(self, level: f64) -> String {
        match (self, number(level).as_str()) {
            (Self::Concurrency, "1") => "1 concurrent request".to_owned(),
            (Self::Users, "1") => "1 user".to_owned(),
            (_, level) => format!("{level} {}", self.unit()),
        }
    }

    /// A level as a figure.
    pub(super) fn figure(self, level: f64) -> ClaimFigure {
        ClaimFigure::new(level, self.unit())
    }

    /// A range of levels in words, in whole numbers where only those can be run.
    pub(super) fn range(self, (low, high): (f64, f64)) -> String {
        // Of one or two at a time there is no share to take.
        if number(self.whole(low)) == number(self.whole(high)) {
            return self.say(self.whole(low));
        }
        format!("{} to {}", number(self.whole(low)), self.say(self.whole(high)))
    }

    /// `70 to 80 %`: the shares that the range, as [`Load::range`] says it, is of the level of which it
    /// leaves headroom. Nothing where it leaves none: of one at a time there is no less.
    pub(super) fn shares(self, range: (f64, f64)) -> Option<(f64, f64)> {
        let level = range.1 / HEADROOM.1;
        let (low, high) = (self.whole(range.0) / level, self.whole(range.1) / level);
        (high < 1.0).then_some((low, high))
    }

    /// The claim with the range that [`Load::range`] says, and the shares that it is.
    pub(super) fn advised(self, claim: Claim, range: (f64, f64), shares: (f64, f64)) -> Claim {
        claim
            .with("from", self.figure(self.whole(range.0)))
            .with("to", self.figure(self.whole(range.1)))
            .with("from_share", ClaimFigure::new(shares.0, "share"))
            .with("to_share", ClaimFigure::new(shares.1, "share"))
    }

    fn whole(self, level: f64) -> f64 {
        match self {
            Self::Rate => level,
            Self::Concurrency | Self::Users => level.floor().max(1.0),
        }
    }
}

/// `70 to 80 %`, or one figure where both are alike.
pub(super) fn percents((low, high): (f64, f64)) -> String {
    let (low, high) = (show(low, "share"), show(high, "share"));
    if low == high { high } else { format!("{} to {high}", low.trim_end_matches(" %")) }
}

/// ` (95 % CI 3 to 4)`, where there is one.
pub(super) fn interval(of: Option<Estimate>) -> String {
    of.map_or_else(String::new, |Estimate { low, high, .. }| {
        format!(" (95 % CI {} to {})", significant(low, 3), significant(high, 3))
    })
}

/// `, p99 30 ms`, and what it is worth.
pub(super) fn tail(of: &Distribution, percent: f64, value: f64) -> String {
    let value = show(value, &of.unit);
    if let Some(bound) = of.certified.bound(percent) {
        format!(", p{percent} {value} (at most {})", show(bound, &of.unit))
    } else {
        format!(", p{percent} {value} (uncertified: {})", plural(of.count, "sample"))
    }
}

/// `words` with a capital at their beginning and a full stop at their end.
pub(super) fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    let stop = if words.ends_with(['.', '!', '?', '…']) { "" } else { "." };
    format!("{first}{}{stop}", letters.as_str())
}

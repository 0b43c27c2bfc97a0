//! The kinds of claims, and when each may be made.

use serde::{Deserialize, Serialize};

/// What a claim says.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ClaimKind {
    /// How the run ended, and how its checks went.
    Ended,
    /// Nothing was answered: the commonest error.
    AllFailed,
    /// The cache makes the first token come sooner.
    CacheSpeedUp,
    /// The same over several cells of a matrix.
    CacheSpeedUpOverCells,
    /// The cache was used and bought nothing that can be measured.
    CacheNoEffect,
    /// Times of a warm stage beside those of the cold one it repeats, without a cause.
    WarmAgainstCold,
    /// A flush emptied the cache.
    FlushEmptied,
    /// A flush did not empty the cache.
    FlushDidNothing,
    /// A cold stage after a flush of which nothing is proven.
    AfterFlush,
    /// A ladder ended before all of its levels were run.
    LevelsNotRun,
    /// No level of a ladder could be judged, or levels met different caches.
    NotJudged,
    /// The highest level of load that is sustained, and the one that is not.
    Sustained,
    /// The same over several cells of a matrix.
    SustainedOverCells,
    /// The concurrency beyond which throughput hardly grows.
    Knee,
    /// Every level of a ladder held.
    NotSaturated,
    /// Not even the lowest level of a ladder held.
    LowestFails,
    /// A level above the limit held nevertheless.
    HeldAbove,
    /// The most answers per second of all levels.
    BestThroughput,
    /// What to run production at.
    Production,
    /// The lowest level at which requests fail.
    ErrorsRise,
    /// The lowest level at which latency rises steeply.
    LatencyRises,
    /// Levels at which the generator was the bottleneck.
    GeneratorLimited,
    /// A level of concurrency that was asked for and never came about.
    LevelNotReached,
    /// Levels of which it can't be told whether they hold.
    LevelUnclear,
    /// Requests were held back, so that times count from when they were due.
    TimesFromDue,
    /// What users who wait for answers did not see.
    UnseenByUsers,
    /// The endpoint took no connections for a while.
    Unreachable,
    /// What a search found.
    SearchFound,
    /// A search was cut short.
    SearchCutShort,
    /// Why the level above the one found does not hold.
    SearchLimit,
    /// Where the limit of a search lies.
    SearchInterval,
    /// What was answered at the level that a search found.
    SearchThroughput,
    /// What the run's largest stage measured.
    Measured,
    /// The same stage over several cells of a matrix.
    MeasuredOverCells,
    /// All requests of the run.
    Totals,
    /// How the requests of a stage ended.
    Requests,
    /// The times to first token of a stage.
    FirstToken,
    /// What was served from the cache in a stage.
    CacheState,
}

impl ClaimKind {
    /// When a claim of this kind may be made.
    pub fn condition(self) -> &'static str {
        match self {
            Self::Ended => "always",
            Self::AllFailed => "requests were sent, and none was answered",
            Self::CacheSpeedUp => {
                "the run is valid; same endpoint, cell, prompts (`like:`) and load; first tokens came \
                 by themselves; by the server's account the cold stage was cold and the warm one was \
                 served from the cache, wholly or in part; the 95 % interval of the ratio of medians \
                 lies above 1"
            }
            Self::CacheSpeedUpOverCells => "the speed-up may be claimed in at least two cells",
            Self::CacheNoEffect => {
                "as for a speed-up, but the 95 % interval of the ratio lies below 1.1"
            }
            Self::WarmAgainstCold => {
                "same endpoint, cell and prompts; something else a speed-up needs is missing, or the \
                 samples give no interval or one too wide, so no cause is claimed"
            }
            Self::FlushEmptied => "the flush is proven, and the stage behind it was cold",
            Self::FlushDidNothing => "the stage behind the flush was served from the cache",
            Self::AfterFlush => {
                "a flush that is not proven, or a stage of which the server says nothing"
            }
            Self::LevelsNotRun => "levels of the ladder were not run to their end",
            Self::NotJudged => {
                "the run is complete; no level was reached, answered and kept up with, or the levels \
                 met caches more than 10 points of prompt tokens apart"
            }
            Self::Sustained => {
                "the run is complete and valid; both levels were reached, and the higher one failed"
            }
            Self::SustainedOverCells => "the sustained level may be claimed in at least two cells",
            Self::Knee => {
                "the run is complete and valid; levels above it were reached and are worth less than \
                 they cost: under 5 % of throughput, or under a tenth for each doubling of latency"
            }
            Self::NotSaturated => "the run is complete and valid; every level was reached and held",
            Self::LowestFails => {
                "the run is complete and valid; the lowest level was answered in part"
            }
            Self::HeldAbove | Self::BestThroughput | Self::Production => {
                "the run is complete and valid, and a limit was found"
            }
            Self::ErrorsRise | Self::LatencyRises => "the run is complete and valid",
            Self::GeneratorLimited => "requests left later than the plan's `max_lag` allows",
            Self::LevelNotReached => {
                "fewer requests were under way at once than the level asks for"
            }
            Self::LevelUnclear => {
                "the level was too short, or held too few requests, to tell its growth from chance, or a \
                 check has no data there"
            }
            Self::TimesFromDue => {
                "a percentile from due is longer than the one from sent by more than a tenth and 2 ms"
            }
            Self::UnseenByUsers => {
                "users wait for an answer before they ask again; at their usual pace they would have \
                 met a p99 more than twice as long"
            }
            Self::Unreachable => {
                "requests failed because the endpoint took no connection, and not for want of this \
                 machine's ports or file descriptors"
            }
            Self::SearchFound
            | Self::SearchLimit
            | Self::SearchInterval
            | Self::SearchThroughput => {
                "the run is complete and valid, and the search came to its end"
            }
            Self::SearchCutShort => "the search did not come to its end",
            Self::Measured => "it is the stage with the most answers, and no warm-up",
            Self::MeasuredOverCells => {
                "it is the stage with the most answers, and no warm-up; it ran in several cells"
            }
            Self::Totals => "stages that are reported sent requests",
            Self::Requests => "the stage planned requests",
            Self::FirstToken => "the stage has times to first token",
            Self::CacheState => "the stage has answers",
        }
    }

    /// Whether it stands in a stage's own section only, and not among the run's findings.
    pub fn is_detail(self) -> bool {
        matches!(self, Self::Totals | Self::Requests | Self::FirstToken | Self::CacheState)
    }

    /// Whether it can open a report of a run that went well.
    pub(super) fn is_headline(self) -> bool {
        !self.is_detail()
            && !matches!(
                self,
                Self::LevelNotReached
                    | Self::LevelUnclear
                    | Self::GeneratorLimited
                    | Self::ErrorsRise
                    | Self::TimesFromDue
                    | Self::UnseenByUsers
                    | Self::Unreachable
            )
    }
}

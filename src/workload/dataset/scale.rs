//! What the numbers of rows count: units of time, tokens of a block.
//!
//! In: the plan's words and a format. Out: what a number means. Invariant: what the plan says stands
//! over what the row says, and that over what the format has.

use crate::plan::workload::{DatasetConfig, DatasetFormat, TimestampUnit};

/// How numbers are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    /// What times count.
    unit: TimestampUnit,
    /// Whether a time too large for `unit` is taken for a smaller one.
    is_by_size: bool,
    /// Tokens of a block, if the plan says.
    block_tokens: Option<u64>,
}

impl Scale {
    /// Nanoseconds, as fields that name them have.
    pub const NANOSECONDS: Self =
        Self { unit: TimestampUnit::Nanoseconds, is_by_size: false, block_tokens: None };

    /// How the numbers of a dataset are read.
    pub fn of(config: &DatasetConfig, format: DatasetFormat) -> Self {
        Self {
            unit: config.timestamp_unit.unwrap_or(usual_unit(format)),
            is_by_size: config.timestamp_unit.is_none(),
            block_tokens: config.block_tokens,
        }
    }

    /// The unit of a time that is written so. Seconds from 10¹¹ on lie behind the year 5000: since
    /// 1973 so many milliseconds have passed, and the same goes for the smaller units.
    pub fn unit_of(self, number: &str) -> TimestampUnit {
        let size = number.parse::<f64>().unwrap_or(0.0);
        if !self.is_by_size || size < 1e11 {
            return self.unit;
        }
        match size {
            ..1e14 => TimestampUnit::Milliseconds,
            ..1e17 => TimestampUnit::Microseconds,
            _ => TimestampUnit::Nanoseconds,
        }
    }

    /// Tokens of a block, where the row says `said` and its format `usual`.
    pub fn block_tokens(self, said: Option<u64>, usual: u64) -> u64 {
        self.block_tokens.or(said).unwrap_or(usual)
    }
}

/// What times count in files of a format.
pub(super) fn usual_unit(format: DatasetFormat) -> TimestampUnit {
    match format {
        DatasetFormat::Mooncake => TimestampUnit::Milliseconds,
        _ => TimestampUnit::Seconds,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit_of(number: &str, config: &DatasetConfig, format: DatasetFormat) -> TimestampUnit {
        Scale::of(config, format).unit_of(number)
    }

    #[test]
    fn a_time_too_large_for_its_unit_is_taken_for_a_smaller_one() {
        let config = DatasetConfig::default();
        for (number, seconds, milliseconds) in [
            ("1700000000.25", TimestampUnit::Seconds, TimestampUnit::Milliseconds),
            ("1700000000000", TimestampUnit::Milliseconds, TimestampUnit::Milliseconds),
            ("1.7e12", TimestampUnit::Milliseconds, TimestampUnit::Milliseconds),
            ("1700000000000000", TimestampUnit::Microseconds, TimestampUnit::Microseconds),
            ("1700000000000000000", TimestampUnit::Nanoseconds, TimestampUnit::Nanoseconds),
        ] {
            assert_eq!(unit_of(number, &config, DatasetFormat::Jsonl), seconds, "{number}");
            assert_eq!(unit_of(number, &config, DatasetFormat::Mooncake), milliseconds, "{number}");
        }
    }

    #[test]
    fn what_the_plan_says_stands_over_size_row_and_format() {
        let config = DatasetConfig {
            timestamp_unit: Some(TimestampUnit::Seconds),
            block_tokens: Some(32),
            ..DatasetConfig::default()
        };
        let scale = Scale::of(&config, DatasetFormat::Mooncake);
        assert_eq!(scale.unit_of("1700000000000"), TimestampUnit::Seconds);
        assert_eq!(scale.block_tokens(Some(16), 512), 32);
        let scale = Scale::of(&DatasetConfig::default(), DatasetFormat::Mooncake);
        assert_eq!(scale.block_tokens(Some(16), 512), 16);
        assert_eq!(scale.block_tokens(None, 512), 512);
    }
}

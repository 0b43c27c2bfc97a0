//! Quantities as people write them.
//!
//! In: `250ms`, `4KiB`, `10k`, `30/min`, `5%`. Out: numbers. Invariant: a duration has a unit; what
//! does not parse comes back as a sentence that says how to write it.

use std::time::Duration;

/// A duration such as `250ms`, `30s`, `1m30s` or `10 sec`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wanted = || {
        if text.trim().parse::<f64>().is_ok_and(f64::is_finite) {
            let number = text.trim();
            format!("a duration needs a unit: `{number}s` or `{number}ms`")
        } else {
            format!("`{}` is not a duration; write `250ms`, `30s` or `1m30s`", text.trim())
        }
    };
    let mut rest = text.trim();
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err("a duration is empty; write `250ms`, `30s` or `1m30s`".into());
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.');
        let (number, after) = rest.split_at(digits.ok_or_else(wanted)?);
        let number: f64 = number.parse().map_err(|_| wanted())?;
        let after = after.trim_start();
        let letters = after
            .find(|letter: char| letter.is_ascii_digit() || letter.is_whitespace())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        seconds += number
            * match unit {
                "ns" => 1e-9,
                "us" | "µs" | "μs" => 1e-6,
                "ms" | "msec" | "millis" => 1e-3,
                "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
                "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
                "h" | "hr" | "hour" | "hours" => 3_600.0,
                "d" | "day" | "days" => 86_400.0,
                _ => return Err(wanted()),
            };
        rest = after.trim_start();
    }
    // Rounded, since 0.1 s as a float is a nanosecond off.
    let nanos = (seconds * 1e9).round();
    if nanos > 1e18 {
        return Err(format!("`{}` is longer than 30 years", text.trim()));
    }
    whole(nanos).map(Duration::from_nanos).ok_or_else(wanted)
}

/// A size in bytes, such as `4KiB` or `10MB`; a bare number is bytes.
pub fn size(text: &str) -> Result<u64, String> {
    let wanted = || format!("`{}` is not a size; write `4096`, `4KiB` or `10MB`", text.trim());
    let (number, unit) = split_number(text.trim());
    let number: f64 = number.parse().map_err(|_| wanted())?;
    let factor = match unit.trim() {
        "" | "B" => 1.0,
        "kB" | "KB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "TB" => 1e12,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        "TiB" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return Err(wanted()),
    };
    whole((number * factor).round()).ok_or_else(wanted)
}

/// A whole number such as `10000`, `10k`, `1.5M` or `-3`.
pub fn count(text: &str) -> Result<i64, String> {
    let text = text.trim();
    if let Ok(number) = text.replace('_', "").parse() {
        return Ok(number);
    }
    let wanted = || format!("`{text}` is not a whole number; write `12`, `10k` or `2M`");
    let number = number(text).map_err(|_| wanted())?;
    let magnitude = whole(number.abs()).and_then(|it| i64::try_from(it).ok()).ok_or_else(wanted)?;
    Ok(if number < 0.0 { -magnitude } else { magnitude })
}

/// A number such as `0.5`, `8k` or `1e3`.
pub fn number(text: &str) -> Result<f64, String> {
    let text = text.trim();
    let wanted = || format!("`{text}` is not a number");
    let (digits, factor) = match text.chars().last() {
        Some('k' | 'K') => (&text[..text.len() - 1], 1e3),
        Some('M') => (&text[..text.len() - 1], 1e6),
        Some('G') => (&text[..text.len() - 1], 1e9),
        _ => (text, 1.0),
    };
    // Only what looks like a number: Rust also reads `inf` and `nan`.
    if !digits.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first)) {
        return Err(wanted());
    }
    let value = digits.parse::<f64>().map_err(|_| wanted())? * factor;
    // Decimal factors make 2.3k a hair less than 2300.
    let near = value.round();
    let value = if factor > 1.0 && (value - near).abs() < 1e-6 { near } else { value };
    if value.is_finite() { Ok(value) } else { Err(wanted()) }
}

/// A rate per second such as `8`, `8/s`, `30/min` or `8 rps`.
pub fn rate(text: &str) -> Result<f64, String> {
    let text = text.trim();
    let wanted = || format!("`{text}` is not a rate; write `8`, `8/s` or `30/min`");
    let (digits, per) = match text.split_once('/') {
        None => (["rps", "qps"].iter().find_map(|unit| text.strip_suffix(unit)), 1.0),
        Some((digits, unit)) => (
            ["requests", "req"]
                .iter()
                .find_map(|what| digits.trim_end().strip_suffix(what))
                .or(Some(digits)),
            match unit.trim() {
                "s" | "sec" | "second" => 1.0,
                "m" | "min" | "minute" => 60.0,
                "h" | "hour" => 3_600.0,
                _ => return Err(wanted()),
            },
        ),
    };
    let digits = digits.unwrap_or(text).trim();
    let value = number(digits).map_err(|_| wanted())? / per;
    if value >= 0.0 { Ok(value) } else { Err(wanted()) }
}

/// A share of one such as `5%` or `0.05`.
pub fn share(text: &str) -> Result<f64, String> {
    let text = text.trim();
    let value = match text.strip_suffix('%') {
        Some(percent) => number(percent).map(|percent| percent / 100.0),
        None => number(text),
    };
    let share = value.ok().filter(|value| (0.0..=1.0).contains(value));
    share.ok_or_else(|| format!("`{text}` is not a share; write `1%` or a number from 0 to 1"))
}

/// Most values of one series.
const MAX_SERIES: usize = 10_000;

/// A series such as `1,2,4-32*2` (1, 2, 4, 8, 16, 32), `1-4` (1, 2, 3, 4) or `0-10/5` (0, 5, 10).
pub fn series(text: &str) -> Result<Vec<f64>, String> {
    let mut values = Vec::new();
    for part in text.split(',').map(str::trim) {
        let bad = |what: &str| {
            Err(format!("`{part}` in a series: {what}; write `1,2,4-32*2`, `1-8` or `0-100/25`"))
        };
        let Some((from, rest)) = part.split_once('-').filter(|(from, _)| !from.is_empty()) else {
            match number(part) {
                Ok(value) => values.push(value),
                Err(_) if part.is_empty() => return bad("a value is missing"),
                Err(_) => return bad("not a number"),
            }
            continue;
        };
        let (to, step, factor) = match (rest.split_once('/'), rest.split_once('*')) {
            (Some((to, step)), _) => (to, number(step), Ok(1.0)),
            (None, Some((to, factor))) => (to, Ok(0.0), number(factor)),
            (None, None) => (rest, Ok(1.0), Ok(1.0)),
        };
        let (Ok(from), Ok(to), Ok(step), Ok(factor)) = (number(from), number(to), step, factor)
        else {
            return bad("not a range");
        };
        if to < from {
            return bad("it runs backwards");
        }
        if factor <= 1.0 && step <= 0.0 || factor > 1.0 && from <= 0.0 {
            return bad("it never ends");
        }
        // Computed from the start each time, so that errors do not add up.
        for index in 0..=MAX_SERIES {
            let value = from * factor.powf(index as f64) + step * index as f64;
            if value > to * (1.0 + 1e-9) {
                break;
            }
            values.push(value);
            if values.len() > MAX_SERIES {
                return bad("it has more than 10000 values");
            }
        }
    }
    Ok(values)
}

/// The number at the front and what follows it.
fn split_number(text: &str) -> (&str, &str) {
    let end =
        text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    text.split_at(end)
}

/// A float that is a whole, non-negative number.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be whole and in range"
)]
fn whole(value: f64) -> Option<u64> {
    ((0.0..9.2e18).contains(&value) && value.fract() == 0.0).then_some(value as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1_500)));
        assert_eq!(duration("0.1s"), Ok(Duration::from_millis(100)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        assert_eq!(duration("10 sec"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("1 min 30 seconds"), Ok(Duration::from_secs(90)));
        assert!(duration("30").is_err_and(|help| help.contains("`30s`")));
        for bad in ["", "s", "1x", "-1s", "1s2", "1..2s", "99999999d", "∞s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_know_both_kinds_of_prefix() {
        assert_eq!(size("4KiB"), Ok(4_096));
        assert_eq!(size("10MB"), Ok(10_000_000));
        assert_eq!(size("17"), Ok(17));
        assert!(size("4 apples").is_err());
        assert!(size("-4KiB").is_err());
    }

    #[test]
    fn counts_are_whole() {
        assert_eq!(count("10k"), Ok(10_000));
        assert_eq!(count("1.5M"), Ok(1_500_000));
        assert_eq!(count("2.3k"), Ok(2_300));
        assert_eq!(count("-3"), Ok(-3));
        assert_eq!(count("1_000"), Ok(1_000));
        for bad in ["1.5", "ten", "", "k", "inf", "nan", "1kk"] {
            assert!(count(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn rates_and_shares() {
        assert_eq!(rate("8/s"), Ok(8.0));
        assert_eq!(rate("30/min"), Ok(0.5));
        assert_eq!([rate("5 rps"), rate("5qps"), rate("5 req/s")], [Ok(5.0), Ok(5.0), Ok(5.0)]);
        assert_eq!(share("1%"), Ok(0.01));
        assert!(share("2").is_err());
        assert!(rate("-1").is_err());
    }

    #[test]
    fn series_step_and_multiply() {
        assert_eq!(series("1,2,4-32*2"), Ok(vec![1.0, 2.0, 4.0, 8.0, 16.0, 32.0]));
        assert_eq!(series("1-4"), Ok(vec![1.0, 2.0, 3.0, 4.0]));
        assert_eq!(series("0-10/5"), Ok(vec![0.0, 5.0, 10.0]));
        assert_eq!(series("0.1-0.3/0.1").map(|values| values.len()), Ok(3));
        for bad in ["", "1,,2", "4-2", "1-8/0", "1-8*1", "0-8*2", "a-b", "1-1000000"] {
            assert!(series(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,24}") {
            let _ = (duration(&text), size(&text), count(&text), number(&text));
            let _ = (rate(&text), share(&text), series(&text));
        }

        #[test]
        fn milliseconds_read_back(millis in 0_u64..10_000_000) {
            prop_assert_eq!(duration(&format!("{millis}ms")), Ok(Duration::from_millis(millis)));
        }

        #[test]
        fn counts_read_back(value in any::<i64>()) {
            prop_assert_eq!(count(&value.to_string()), Ok(value));
        }
    }
}

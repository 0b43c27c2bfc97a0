//! Numbers for people: `412 ms`, `1.62 s`, `2.5 %`, `38.4 tokens/s`.
//!
//! In: a value in its metric's own unit. Out: text with at least three significant digits and the
//! unit a person would pick. Invariant: two values that differ never look the same when shown side
//! by side ([`show_apart`]).

/// The value with the unit a person would pick; `unit` is one of the metric catalogue's.
pub fn show(value: f64, unit: &str) -> String {
    show_with(value, unit, 3)
}

/// Both values in the same way, with as many more digits as it takes to tell them apart.
pub fn show_apart(left: f64, right: f64, unit: &str) -> (String, String) {
    let with = |digits| (show_with(left, unit, digits), show_with(right, unit, digits));
    (3..10)
        .map(with)
        .find(|(shown_left, shown_right)| shown_left != shown_right || left.eq(&right))
        .unwrap_or_else(|| (format!("{left} {unit}"), format!("{right} {unit}")))
}

/// `1 sample`, `2 samples`.
pub fn plural(count: u64, what: &str) -> String {
    format!("{} {what}{}", grouped(count), if count == 1 { "" } else { "s" })
}

/// A whole number with a comma every three digits.
pub fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `value` with `significant` digits, no fewer than its whole part has and no more than that many
/// decimals.
pub fn significant(value: f64, significant: usize) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let whole_digits = if value.abs() < 1.0 { 0 } else { significant_whole(value) };
    format!("{value:.*}", significant.saturating_sub(whole_digits))
}

/// How many digits stand before the point.
fn significant_whole(value: f64) -> usize {
    let mut digits = 1;
    let mut rest = value.abs();
    while rest >= 10.0 {
        rest /= 10.0;
        digits += 1;
    }
    digits
}

fn show_with(value: f64, unit: &str, digits: usize) -> String {
    let times = [(1000.0, "µs"), (1.0, "ms"), (0.001, "s")];
    let number = |value| {
        let number = significant(value, digits);
        if !number.contains('.') {
            return number;
        }
        number.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match unit {
        // As it is written, not as it was: 999.96 µs are 1 ms.
        "ms" if value != 0.0 => {
            let mut all = times.into_iter().map(|(factor, unit)| (number(value * factor), unit));
            let is_short = |shown: &str| shown.parse::<f64>().is_ok_and(|it| it.abs() < 1000.0);
            let shown = all.find(|(shown, unit)| *unit == "s" || is_short(shown));
            shown.map_or_else(String::new, |(shown, unit)| format!("{shown} {unit}"))
        }
        "share" => format!("{} %", number(value * 100.0)),
        unit => format!("{} {unit}", number(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_those_a_person_would_pick() {
        assert_eq!(show(412.0, "ms"), "412 ms");
        assert_eq!(show(1623.4, "ms"), "1.62 s");
        assert_eq!(show(0.0253, "ms"), "25.3 µs");
        assert_eq!(show(0.0, "ms"), "0 ms");
        for (ms, shown) in [
            (0.99996, "1 ms"),
            (0.99949, "999 µs"),
            (1.0, "1 ms"),
            (999.6, "1 s"),
            (-999.6, "-1 s"),
            (999.4, "999 ms"),
            (3_600_000.0, "3600 s"),
        ] {
            assert_eq!(show(ms, "ms"), shown, "{ms}");
        }
        assert_eq!(show(0.025, "share"), "2.5 %");
        assert_eq!(show(38.41, "tokens/s"), "38.4 tokens/s");
        assert_eq!(show(131_072.0, "tokens"), "131072 tokens");
    }

    #[test]
    fn values_that_differ_never_look_the_same() {
        let (left, right) = show_apart(800.04, 800.0, "ms");
        assert_eq!((left.as_str(), right.as_str()), ("800.04 ms", "800 ms"));
        let (left, right) = show_apart(800.0, 800.0, "ms");
        assert_eq!(left, right);
    }

    #[test]
    fn thousands_are_grouped() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1000), "1,000");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }
}

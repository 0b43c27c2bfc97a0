//! A [`Saturation`] in plain words.
//!
//! In: the figures. Out: a few sentences, the most important first. Invariant: every number in
//! them stands in the figures as well.

use super::{Axis, Saturation, Sign};

/// The sentences.
pub(super) fn advice(found: &Saturation) -> Vec<String> {
    let mut lines = vec![verdict(found)];
    if let Some(at) = found.held_above.last() {
        lines.push(format!(
            "Yet it held up at {}: what was seen below may be a disturbance and not its limit. Run \
             the ladder again, with longer steps.",
            level(found.axis, *at)
        ));
    }
    if let (Some(best), Some(at)) = (found.best_requests_per_second, found.best_at)
        && found.saturated_at.is_some()
        && best > 0.0
    {
        lines.push(format!(
            "Best throughput: {} requests/s, at {}.",
            number(best),
            level(found.axis, at)
        ));
    }
    if let Some((low, high)) = found.recommended {
        lines.push(headroom(found, low, high));
    }
    if let Some(at) = found.errors_rise_at {
        lines.push(format!(
            "Requests fail, or are cut off unanswered, at {}.",
            level(found.axis, at)
        ));
    }
    if let Some(at) = found.p99_rises_at {
        lines.push(format!("p99 latency rises steeply at {}.", level(found.axis, at)));
    }
    if !found.generator_limited.is_empty() {
        let levels: Vec<String> = found.generator_limited.iter().map(|at| number(*at)).collect();
        lines.push(format!(
            "At {} the load generator was the bottleneck, so these levels say nothing about the \
             endpoint: give it more cores, or spread the run over more workers.",
            levels.join(", ")
        ));
    }
    lines
}

fn verdict(found: &Saturation) -> String {
    match (found.saturated_at, found.sustainable) {
        (None, None) => "No level could be judged.".into(),
        (None, Some(held)) => format!(
            "Not saturated: it held up to {}, the highest level judged. Try higher levels to find \
             its capacity.",
            level(found.axis, held)
        ),
        (Some(at), None) => format!(
            "Saturated at {} already ({}), the lowest level tried. Try lower levels.",
            level(found.axis, at),
            signs(found)
        ),
        (Some(at), Some(_)) if found.signs == [Sign::Flat] => format!(
            "Saturated at {}: more of them raise latency but hardly the throughput.",
            level(found.axis, at)
        ),
        (Some(at), Some(held)) => format!(
            "Sustains {}; saturated at {} ({}).",
            level(found.axis, held),
            level(found.axis, at),
            signs(found)
        ),
    }
}

fn headroom(found: &Saturation, low: f64, high: f64) -> String {
    match found.axis {
        Axis::Rate => format!(
            "Run production at {} to {} requests/s, 70 to 80 % of what it sustains, to leave \
             headroom.",
            number(low),
            number(high)
        ),
        Axis::Concurrency => {
            let (low, high) = (number(low.floor().max(1.0)), number(high.floor().max(1.0)));
            // Of one or two at a time there is no share to take.
            let range = if low == high { low.clone() } else { format!("{low} to {high}") };
            let of = match (found.saturated_at, found.signs.as_slice()) {
                (Some(_), [Sign::Flat]) => "the saturation point",
                (Some(_), _) => "what it sustains",
                (None, _) => "the highest level that was judged",
            };
            format!(
                "Limit production to {range} concurrent {}, 70 to 80 % of {of}, to leave headroom.",
                if high == "1" { "request" } else { "requests" }
            )
        }
    }
}

fn signs(found: &Saturation) -> String {
    let words: Vec<&str> = found
        .signs
        .iter()
        .map(|sign| match sign {
            Sign::Errors => "requests fail",
            Sign::Throughput => "it falls behind the asked rate",
            Sign::Latency => "p99 latency rises",
            Sign::Threshold => "a threshold fails",
            Sign::Flat => "throughput stops growing",
        })
        .collect();
    words.join(", ")
}

fn level(axis: Axis, level: f64) -> String {
    match axis {
        Axis::Rate => format!("{} requests/s", number(level)),
        Axis::Concurrency if number(level) == "1" => "1 concurrent request".to_owned(),
        Axis::Concurrency => format!("{} concurrent requests", number(level)),
    }
}

/// Up to two decimals, without trailing zeros.
fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::{Axis, Limits, Rung, saturation};
    use super::*;

    #[test]
    fn the_seeds_recommendation_is_said_in_words() {
        let rung = |level: f64, success| Rung {
            level,
            achieved: level * success,
            success_rate: Some(success),
            p99_ms: Some(100.0),
            ..Rung::default()
        };
        let ladder = [rung(8.0, 1.0), rung(16.0, 0.8)];
        let lines = saturation(Axis::Rate, &ladder, &Limits::default()).advice;
        assert_eq!(
            lines,
            [
                "Sustains 8 requests/s; saturated at 16 requests/s (requests fail, it falls behind \
                 the asked rate).",
                "Best throughput: 12.8 requests/s, at 16 requests/s.",
                "Run production at 5.6 to 6.4 requests/s, 70 to 80 % of what it sustains, to leave \
                 headroom.",
                "Requests fail, or are cut off unanswered, at 16 requests/s.",
            ]
        );
    }

    #[test]
    fn a_ramp_that_was_not_saturated_has_no_saturation_point() {
        let rung = |level: f64| Rung {
            level,
            achieved: level,
            success_rate: Some(1.0),
            p99_ms: Some(100.0),
            ..Rung::default()
        };
        let lines =
            saturation(Axis::Concurrency, &[rung(2.0), rung(4.0)], &Limits::default()).advice;
        assert!(lines[0].starts_with("Not saturated"), "{lines:?}");
        assert!(
            lines[1].contains("2 to 3 concurrent requests, 70 to 80 % of the highest level"),
            "{lines:?}"
        );
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in [(8.0, "8"), (0.05, "0.05"), (100.0, "100"), (12.345, "12.35")] {
            assert_eq!(number(value), text);
        }
    }
}

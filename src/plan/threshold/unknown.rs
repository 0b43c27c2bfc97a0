//! Metrics that there are none of, and what was meant.

use super::Problem;
use crate::plan::diagnostic::Code;
use crate::plan::metric::METRICS;
use crate::plan::suggest;

/// What to say of a metric's name in a check, at this place of it.
pub(super) fn unknown_metric(
    name: &str,
    at: (usize, usize),
    stages: &[&str],
    rest: Option<&str>,
) -> Problem {
    let names = METRICS.iter().map(|metric| metric.name);
    if stages.contains(&name) {
        let problem = Problem::new(Code::Metric, at, format!("`{name}` is a stage, not a metric"));
        let label = rest.map_or_else(
            || format!("such as `{name}.ttft.p50`"),
            |rest| suggest::did_you_mean(rest.split('.').next().unwrap_or(rest), names.clone()),
        );
        return problem.label(label).help(format!("metrics: {}", suggest::list(names)));
    }
    let near = suggest::did_you_mean(name, names.clone());
    Problem::new(Code::Metric, at, format!("no metric is called `{name}`"))
        .label(respelt(name).map_or(near, |meant| format!("did you mean `{meant}`?")))
        .help(format!("metrics: {}", suggest::list(names)))
}

/// `ttft.p95` for `ttft_p95`, `p95_ttft` and `p95(ttft)`.
fn respelt(name: &str) -> Option<String> {
    let words: Vec<&str> = name.split(['_', '(', ')']).filter(|word| !word.is_empty()).collect();
    let (first, last) = (*words.first()?, *words.last()?);
    let is_aggregate = |word: &str| {
        let digits = word.strip_prefix('p').and_then(|digits| digits.parse::<f64>().ok());
        digits.is_some() || ["mean", "avg", "max", "min", "median"].contains(&word)
    };
    let (aggregate, metric) = match words.len() {
        0 | 1 => return None,
        _ if is_aggregate(last) => (last, &words[..words.len() - 1]),
        _ if is_aggregate(first) => (first, &words[1..]),
        _ => return None,
    };
    let metric = suggest::nearest(&metric.join("_"), METRICS.iter().map(|it| it.name))?;
    let aggregate = match aggregate {
        "avg" => "mean",
        "median" => "p50",
        other => other,
    };
    Some(format!("{metric}.{aggregate}"))
}

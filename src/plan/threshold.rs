//! The grammar of checks: `[stage.]metric[.aggregate] op limit`.
//!
//! In: a check's text and the stages of its plan. Out: both sides with every name known to exist,
//! or what is wrong at which byte. Invariant: a check that parses can be answered, or fails for
//! want of data; it never passes by a misspelt name.

use super::diagnostic::Code;
use super::metric::{self, Metric};
use super::{Aggregate, CacheWord, Limit, MetricRef, Op, RungFilter, suggest, units};

mod unknown;

use self::unknown::unknown_metric;

/// The two sides of a check.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Check {
    pub(crate) left: MetricRef,
    pub(crate) op: Op,
    pub(crate) right: Limit,
    /// Where the left side stands in the text: first byte and length.
    pub(crate) left_at: (usize, usize),
    /// Where the metric on the right side stands, or the limit.
    pub(crate) right_at: (usize, usize),
}

/// A metric and where it stands in the text.
struct Side {
    metric: MetricRef,
    at: (usize, usize),
}

/// What is wrong with a check, in bytes of its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) code: Code,
    pub(crate) at: (usize, usize),
    pub(crate) message: String,
    pub(crate) label: String,
    pub(crate) help: String,
}

const FORMS: &str = "write a check such as `ttft.p99 < 800ms`, `error_rate <= 1%`, \
                     `ttft.p50 <= 0.5 * cold.ttft.p50`, `ttft.p95 <= baseline + 10%` or \
                     `cache == warm`";

impl Problem {
    fn new(code: Code, at: (usize, usize), message: impl Into<String>) -> Self {
        Self { code, at, message: message.into(), label: String::new(), help: String::new() }
    }
    fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }
    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }
}

/// Parses a check. `stages` are the ids that may be named.
pub(crate) fn parse(text: &str, stages: &[&str]) -> Result<Check, Problem> {
    let (op, at, len) = operator(text)?;
    let left_text = text[..at].trim_end();
    if left_text.contains(['*', '+', '/']) {
        let whole = (start_of(left_text), left_text.trim_start().len());
        let problem = Problem::new(Code::Threshold, whole, "nothing is calculated on the left");
        return Err(
            problem.help("the factor stands on the right: `ttft.p50 <= 0.5 * cold.ttft.p50`")
        );
    }
    let left = side(left_text, start_of(left_text), stages)?;
    let unit = unit_of(&left.metric);
    let from = at + len + start_of(&text[at + len..]);
    let right = text[from..].trim_end();
    if right.is_empty() {
        return Err(Problem::new(Code::Threshold, (at, len), "the limit is missing").help(FORMS));
    }
    let place = (from, right.len());
    if unit == "verdict" {
        return verdict(left, op, (at, len), right, place);
    }
    if let Some(baseline) = baseline(right, place)? {
        return Ok(check(left, op, baseline, place));
    }
    if let Some((factor, other)) = right.split_once('*') {
        let factor_at = (from, factor.trim_end().len());
        let other_from = from + factor.len() + 1 + start_of(other);
        let Ok(factor) = units::number(factor) else {
            let swapped = units::number(other).is_ok();
            let problem = Problem::new(Code::Threshold, factor_at, "the factor must be a number");
            return Err(problem.help(if swapped {
                format!("the factor comes first: `{} * {}`", other.trim(), factor.trim())
            } else {
                FORMS.to_owned()
            }));
        };
        if factor <= 0.0 {
            let message = "the factor must be more than 0";
            return Err(Problem::new(Code::Threshold, factor_at, message).help(FORMS));
        }
        return times(left, op, factor, (other.trim(), other_from), stages);
    }
    // A word alone that is neither a stage nor a metric is a limit gone wrong.
    let first = right.split('.').next().unwrap_or(right);
    let is_name = right.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    if is_name && (right.contains('.') || stages.contains(&first) || metric::find(first).is_some())
    {
        return times(left, op, 1.0, (right, from), stages);
    }
    let value = value(right, unit, left_text.trim()).map_err(|message| {
        let near = suggest::did_you_mean(right.split(' ').next().unwrap_or(right), ["baseline"]);
        Problem::new(Code::Unit, place, message).label(near)
    })?;
    Ok(check(left, op, Limit::Value(value), place))
}

/// `baseline`, `baseline + 10%`, `baseline - 5%`; `None` when the limit is something else.
fn baseline(right: &str, place: (usize, usize)) -> Result<Option<Limit>, Problem> {
    const WAYS: &str = "write `baseline`, `baseline + 10%` or `baseline - 5%`";
    let of = |share| Ok(Some(Limit::Baseline { share, values: Vec::new() }));
    let wrong = |message: String| Err(Problem::new(Code::Threshold, place, message).help(WAYS));
    let Some(rest) = right.strip_prefix("baseline") else {
        let named = right.split(|it: char| !it.is_ascii_alphanumeric() && it != '.');
        if named.into_iter().any(|word| word == "baseline") {
            return wrong("a baseline is compared with by adding or taking off a share".into());
        }
        return Ok(None);
    };
    // A stage may be called so, or begin so.
    if rest.starts_with(|next: char| next == '.' || next == '_' || next.is_ascii_alphanumeric()) {
        return Ok(None);
    }
    let rest = rest.trim();
    let (sign, share) = match rest.chars().next() {
        None => return of(0.0),
        Some('+') => (1.0, rest[1..].trim()),
        Some('-') => (-1.0, rest[1..].trim()),
        Some(_) => return wrong(format!("`{rest}` can't follow `baseline`")),
    };
    match share.strip_suffix('%').map(|number| units::number(number.trim())) {
        Some(Ok(percent)) if (0.0..=100_000.0).contains(&percent) => of(sign * percent / 100.0),
        _ if share.is_empty() => wrong("the share of the baseline is missing".into()),
        _ => wrong(format!("`{share}` is not a share of the baseline")),
    }
}

/// Parses `where: rate <= 8` against the names that a stage's rungs go by.
pub(crate) fn rungs(text: &str, names: &[&str]) -> Result<RungFilter, Problem> {
    const WAYS: &str = "write `rung <= 8`, or `rate <= 8` in a ladder of rates";
    let (op, at, len) =
        operator(text).map_err(|problem| Problem { help: WAYS.into(), ..problem })?;
    let from = start_of(text);
    let name = text[..at].trim();
    if !names.contains(&name) {
        let place = (from.min(at), name.len().max(1));
        return Err(Problem::new(Code::Metric, place, format!("rungs have no `{name}`"))
            .label(suggest::did_you_mean(name, names.iter().copied()))
            .help(format!("known here: {}", suggest::list(names.iter().copied()))));
    }
    let written = &text[at + len..];
    let place = (at + len + start_of(written), written.trim().len().max(1));
    let value = if name == "concurrency" { units::number(written) } else { units::rate(written) };
    let value = value.map_err(|_| {
        let message = format!("`{}` is not a number to compare rungs with", written.trim());
        Problem::new(Code::Unit, place, message).help(WAYS)
    })?;
    Ok(RungFilter { text: text.trim().to_owned(), op, value })
}

fn check(left: Side, op: Op, right: Limit, right_at: (usize, usize)) -> Check {
    Check { left: left.metric, left_at: left.at, op, right, right_at }
}

fn start_of(text: &str) -> usize {
    text.len() - text.trim_start().len()
}

/// The comparison with its place.
fn operator(text: &str) -> Result<(Op, usize, usize), Problem> {
    const OPS: [(&str, Op); 5] =
        [("<=", Op::Le), (">=", Op::Ge), ("==", Op::Eq), ("<", Op::Lt), (">", Op::Gt)];
    let Some(at) = text.find(['<', '>', '=', '!']) else {
        let whole = (start_of(text), text.trim().len());
        return Err(Problem::new(Code::Threshold, whole, "this check compares nothing").help(FORMS));
    };
    for (word, op) in OPS {
        if text[at..].starts_with(word) {
            return Ok((op, at, word.len()));
        }
    }
    let len = text[at..].find(|letter| !"<>=!".contains(letter)).unwrap_or(text.len() - at);
    let problem = Problem::new(
        Code::Threshold,
        (at, len),
        format!("`{}` is not a comparison", &text[at..at + len]),
    );
    Err(problem.help("comparisons: <, <=, >, >=, =="))
}

/// `cache == cold`.
fn verdict(
    left: Side,
    op: Op,
    op_at: (usize, usize),
    right: &str,
    place: (usize, usize),
) -> Result<Check, Problem> {
    if op != Op::Eq {
        let problem = Problem::new(Code::Threshold, op_at, "`cache` is a verdict, not a number");
        return Err(problem.help("write `cache == cold` or `cache == warm`"));
    }
    let word = match right {
        "cold" => CacheWord::Cold,
        "warm" => CacheWord::Warm,
        other => {
            let message = format!("`cache` can't be required to be `{other}`");
            return Err(Problem::new(Code::Unit, place, message)
                .label(suggest::did_you_mean(other, ["cold", "warm"]))
                .help("write `cache == cold` or `cache == warm`"));
        }
    };
    Ok(check(left, op, Limit::Cache(word), place))
}

/// `k * stage.metric.aggregate`.
fn times(
    left: Side,
    op: Op,
    factor: f64,
    (text, from): (&str, usize),
    stages: &[&str],
) -> Result<Check, Problem> {
    let other = side(text, from, stages)?;
    let (mine, its) = (unit_of(&left.metric), unit_of(&other.metric));
    if mine != its {
        let message =
            format!("the left side is {}, but `{text}` is {}", unit_words(mine), unit_words(its));
        return Err(Problem::new(Code::Unit, other.at, message).help("compare like with like"));
    }
    Ok(check(left, op, Limit::Times { factor, of: other.metric }, other.at))
}

fn unit_words(unit: &str) -> &'static str {
    match unit {
        "ms" => "a time",
        "share" => "a share",
        "verdict" => "a verdict",
        "count" => "a number of samples",
        "tokens" => "a number of tokens",
        _ => "a rate",
    }
}

/// The unit of what a reference comes to.
fn unit_of(reference: &MetricRef) -> &'static str {
    match reference.aggregate {
        Some(Aggregate::Count) => "count",
        _ => metric::find(&reference.metric).map_or("", |metric| metric.unit),
    }
}

/// A plain limit in the metric's unit.
fn value(text: &str, unit: &str, name: &str) -> Result<f64, String> {
    match unit {
        "ms" => {
            if let Ok(number) = units::number(text) {
                return Err(format!("`{name}` is a time: write `{number}ms` or `{number}s`"));
            }
            let limit = units::duration(text)
                .map_err(|_| format!("`{name}` is a time, and `{text}` is not: write `800ms`"))?;
            Ok(limit.as_secs_f64() * 1e3)
        }
        "share" => units::share(text)
            .map_err(|_| format!("`{name}` is a share: write `1%` or a number from 0 to 1")),
        "tokens" | "count" => units::number(text).map_err(|_| {
            format!(
                "`{name}` is a number of {}: write `12` or `10k`",
                match unit {
                    "tokens" => "tokens",
                    _ => "samples",
                }
            )
        }),
        _ => units::rate(text)
            .map_err(|_| format!("`{name}` is in {unit}: write `8`, `8/s` or `30/min`")),
    }
}

/// Parses `[stage.]metric[.aggregate]` that begins at byte `from` of the check.
fn side(text: &str, from: usize, stages: &[&str]) -> Result<Side, Problem> {
    let text = text.trim();
    let whole = (from, text.len());
    if text.is_empty() {
        return Err(Problem::new(Code::Threshold, (0, 1), "the metric is missing").help(FORMS));
    }
    let (first, rest) = text.split_once('.').map_or((text, None), |(a, b)| (a, Some(b)));
    // A stage may be called like a metric; then what follows tells.
    let second = rest.map(|rest| rest.split('.').next().unwrap_or(rest));
    let names_stage = stages.contains(&first)
        && second.is_some_and(|word| metric::find(word).is_some())
        || metric::find(first).is_none() && second.is_some_and(|word| metric::find(word).is_some());
    let (stage, metric_from, metric_text) = match (names_stage, rest) {
        (true, Some(rest)) => (Some(first), from + first.len() + 1, rest),
        _ => (None, from, text),
    };
    if let Some(stage) = stage
        && !stages.contains(&stage)
    {
        let problem = Problem::new(
            Code::ThresholdStage,
            (from, stage.len()),
            format!("no stage is called `{stage}`"),
        );
        return Err(problem
            .label(suggest::did_you_mean(stage, stages.iter().copied()))
            .help(format!("stages: {}", suggest::list(stages.iter().copied()))));
    }
    let (name, aggregate) =
        metric_text.split_once('.').map_or((metric_text, None), |(a, b)| (a, Some(b)));
    let Some(found) = metric::find(name) else {
        return Err(unknown_metric(name, (metric_from, name.len()), stages, rest));
    };
    let aggregate = match aggregate {
        None if found.distribution => {
            let problem = Problem::new(
                Code::Aggregate,
                whole,
                format!("`{name}` is a distribution: say which number of it"),
            );
            return Err(problem
                .label(format!("such as `{text}.p50`"))
                .help(format!("aggregates: {AGGREGATES}")));
        }
        None => None,
        Some(word) => Some(one_aggregate(found, word, metric_from + name.len() + 1)?),
    };
    let metric = MetricRef { stage: stage.map(str::to_owned), metric: name.to_owned(), aggregate };
    Ok(Side { metric, at: whole })
}

const AGGREGATES: &str = "mean, std, min, max, count, p50, p90, p99, p99.9, …";

fn one_aggregate(metric: &Metric, word: &str, at: usize) -> Result<Aggregate, Problem> {
    let place = (at, word.len());
    if !metric.distribution {
        let problem = Problem::new(
            Code::Aggregate,
            place,
            format!("`{}` is one number and has no `{word}`", metric.name),
        );
        return Err(problem.label("leave this out"));
    }
    Ok(match word {
        "mean" => Aggregate::Mean,
        "std" => Aggregate::Std,
        "min" => Aggregate::Min,
        "max" => Aggregate::Max,
        "count" => Aggregate::Count,
        _ => {
            let percent = word.strip_prefix('p').filter(|digits| {
                !digits.is_empty()
                    && digits.chars().all(|letter| letter.is_ascii_digit() || letter == '.')
            });
            match percent.and_then(|digits| digits.parse::<f64>().ok()) {
                Some(percent) if percent <= 100.0 => Aggregate::Percentile(percent),
                Some(_) => {
                    let message = "a percentile lies between 0 and 100";
                    return Err(Problem::new(Code::Aggregate, place, message));
                }
                None => {
                    let known = ["mean", "std", "min", "max", "count", "p50", "p90", "p95", "p99"];
                    let label = match word {
                        "avg" | "average" => "did you mean `mean`?".to_owned(),
                        "median" => "did you mean `p50`?".to_owned(),
                        _ => suggest::did_you_mean(word, known),
                    };
                    let message = format!("no aggregate is called `{word}`");
                    return Err(Problem::new(Code::Aggregate, place, message)
                        .label(label)
                        .help(format!("aggregates: {AGGREGATES}")));
                }
            }
        }
    })
}

#[cfg(test)]
mod tests;

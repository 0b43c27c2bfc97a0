//! "Did you mean".
//!
//! In: a word and the words allowed. Out: the one that is meant: what other tools call by that word, else
//! the nearest in spelling, if near enough; for a key that stands in the wrong place, where it belongs.
//! Invariant: nothing is proposed that merely looks alike (`drain` for `duration`).

/// What other tools, and first guesses, call our words; of several, the first that is allowed.
const OTHERS: &[(&[&str], &[&str])] = &[
    (&["rate", "rates"], &["qps", "rps", "requests_per_second", "request_rate", "req_per_s"]),
    (&["rates"], &["rate"]),
    (&["rates", "concurrency"], &["levels", "steps"]),
    (&["requests"], &["num_requests", "num_prompts", "request_count", "iterations", "count", "n"]),
    (
        &["concurrency"],
        &["users", "vus", "clients", "workers", "threads", "parallelism", "max_concurrency"],
    ),
    (&["step", "duration"], &["duration", "time", "length", "seconds", "hold", "step_duration"]),
    (&["needs"], &["depends_on", "after", "requires", "dependencies"]),
    (&["arrival"], &["distribution", "arrivals", "arrival_process"]),
    (&["id"], &["name"]),
    (&["kind"], &["type"]),
    (&["stages"], &["steps", "scenarios", "phases", "jobs", "tests", "workload"]),
    (&["endpoint"], &["base_url", "url", "host", "server", "target"]),
    (&["prompt"], &["messages", "input"]),
    (&["thresholds"], &["checks", "slo", "slos", "assertions", "asserts", "criteria"]),
    (&["sinks"], &["output", "outputs", "exports"]),
    (&["results"], &["output_dir", "results_dir"]),
    (&["url"], &["base_url", "host", "address", "uri"]),
    (&["api_key"], &["key", "token", "apikey", "auth", "bearer"]),
    (
        &["max_tokens"],
        &["output_tokens", "max_new_tokens", "max_completion_tokens", "num_predict", "n_predict"],
    ),
    (&["text"], &["content", "message"]),
    (&["dataset"], &["data", "rows"]),
    // Kinds of stages.
    (&["qps_ladder"], &["ladder", "qps", "rate_ladder", "sweep"]),
    (&["concurrency_ramp"], &["ramp", "users_ramp", "concurrency_ladder"]),
    (&["pause"], &["sleep", "wait"]),
    (&["load"], &["constant", "burst", "poisson", "soak", "stress"]),
    // Metrics.
    (&["e2e"], &["latency", "e2e_latency", "request_latency", "end_to_end", "duration"]),
    (&["ttft"], &["time_to_first_token", "first_token"]),
    (&["itl"], &["inter_token_latency", "tbt"]),
    (&["tpot"], &["time_per_output_token"]),
    (&["output_tokens_per_second"], &["tps", "tokens_per_s", "token_throughput"]),
    (&["output_tokens"], &["tokens"]),
    (&["requests_per_second"], &["throughput", "qps", "rps"]),
    (&["error_rate"], &["errors", "failures", "failure_rate"]),
];

/// Where keys belong that are often written elsewhere.
const PLACES: &[(&str, &[&str])] = &[
    (
        "belongs under `endpoint`",
        &[
            "model",
            "url",
            "base_url",
            "api_key",
            "api",
            "headers",
            "timeout",
            "tokenizer",
            "metrics",
        ],
    ),
    (
        "belongs under `prompt`",
        &[
            "max_tokens",
            "output_tokens",
            "stream",
            "temperature",
            "top_p",
            "messages",
            "text",
            "dataset",
            "context",
            "body",
        ],
    ),
    (
        "write `prompt: { context: { from: filler, tokens: 512 } }`",
        &["input_tokens", "prompt_tokens", "input_len"],
    ),
    ("write `sinks: [ \"junit:checks.xml\" ]`", &["junit"]),
    ("write `sinks: [ \"csv:requests.csv\" ]`", &["csv"]),
];

/// Keys of stages, as they are written at the top of a plan.
const OF_STAGES: &[&str] =
    &["rate", "rates", "qps", "duration", "concurrency", "users", "requests", "kind"];

fn plain(text: &str) -> String {
    text.to_lowercase().replace(['-', ' ', '.'], "_")
}

/// The allowed word that `word` stands for, or is nearest to; `None` when there is none.
pub(crate) fn nearest<'w>(
    word: &str,
    allowed: impl IntoIterator<Item = &'w str>,
) -> Option<&'w str> {
    let word = plain(word);
    let allowed: Vec<&str> = allowed.into_iter().collect();
    let called = OTHERS.iter().filter(|(_, others)| others.contains(&word.as_str()));
    let mut meant = called.flat_map(|(ours, _)| ours.iter());
    let found = meant.find_map(|ours| allowed.iter().find(|it| *it == ours));
    if let Some(found) = found {
        return Some(found);
    }
    // A key that is right elsewhere is not misspelt.
    let is_placed = place(&word).is_some() || OF_STAGES.contains(&word.as_str());
    let score = |other: &str| {
        let other = plain(other);
        let typed = strsim::damerau_levenshtein(&word, &other);
        let is_part = other.starts_with(&word) || word.starts_with(&other);
        let is_near = typed <= 1.max(word.chars().count() / 3) && !is_placed;
        let score = strsim::jaro_winkler(&word, &other);
        ((is_near || is_part) && score >= 0.8).then_some(score)
    };
    allowed
        .into_iter()
        .filter_map(|other| Some((score(other)?, other)))
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, other)| other)
}

/// Where a key belongs, if it is known to be one of another place.
fn place(word: &str) -> Option<&'static str> {
    PLACES.iter().find(|(_, keys)| keys.contains(&word)).map(|(place, _)| *place)
}

/// `did you mean `x`?`, or nothing.
pub(crate) fn did_you_mean<'w>(word: &str, allowed: impl IntoIterator<Item = &'w str>) -> String {
    nearest(word, allowed).map_or_else(String::new, |near| format!("did you mean `{near}`?"))
}

/// The same of a key in `what` of a plan; where it is one of another place, which that is.
pub(crate) fn key<'w>(
    word: &str,
    what: &str,
    allowed: impl IntoIterator<Item = &'w str>,
) -> String {
    let (is_plan, word) = (what == "the plan", plain(word));
    let place = place(&word).filter(|_| is_plan || what.ends_with(" stage"));
    let meant = || did_you_mean(&word, allowed);
    match place {
        Some(place) if !is_plan => place.to_owned(),
        _ if is_plan && OF_STAGES.contains(&word.as_str()) => {
            "belongs in a stage, or under `defaults` for all of them".to_owned()
        }
        place => match meant() {
            none if none.is_empty() => place.unwrap_or_default().to_owned(),
            meant => meant,
        },
    }
}

/// Words as `a, b, c`.
pub(crate) fn list<'w>(words: impl IntoIterator<Item = &'w str>) -> String {
    words.into_iter().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swapped_letter_is_close_and_a_stranger_is_not() {
        let allowed = ["duration", "requests", "concurrency"];
        assert_eq!(nearest("durration", allowed), Some("duration"));
        assert_eq!(nearest("banana", allowed), None);
        assert_eq!(nearest("max-tokens", ["max_tokens"]), Some("max_tokens"));
        assert_eq!(nearest("duration", ["drain", "step"]), Some("step"));
        assert_eq!(nearest("duration", ["drain"]), None);
        assert_eq!(nearest("rate", ["late"]), None);
        assert_eq!(key("model", "a `load` stage", ["kind"]), "belongs under `endpoint`");
        assert_eq!(key("rate", "a `pause` stage", ["late"]), "");
    }
}

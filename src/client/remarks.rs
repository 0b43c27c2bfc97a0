//! What is remarkable about an answer that came: things that its timing does not show.
//!
//! In: what was asked for, and the answer. Out: flags on the [`Exchange`], or why it is a failure.
//! Invariant: a remark compares what the server itself says with what was asked; what it does not say
//! is no remark.

use std::borrow::Cow;

use serde_json::Value;

use super::ending::Ending;
use crate::record::{Exchange, IMPOSSIBLE_USAGE, ServerTimings};
use crate::request::Request;

/// More tokens than this in one answer or prompt are no count: a thousand times the longest context.
const MOST_TOKENS: u64 = 1_000_000_000;

/// The generated text is reasoning and nothing else.
const REASONING_ONLY: &str = "reasoning_only";
/// The server counts more tokens than it was allowed.
const OVER_MAX_TOKENS: &str = "over_max_tokens";

/// Names of counts, as records have them.
const INPUT: &str = "input_tokens";
const OUTPUT: &str = "output_tokens";
const CACHED: &str = "cached_tokens";
const REASONING: &str = "reasoning_tokens";

/// Names under which bodies hold the longest answer, where a plan or row writes it there itself.
const LIMITS: [&str; 5] =
    ["max_tokens", "max_completion_tokens", "max_output_tokens", "n_predict", "max_new_tokens"];

/// What of a request its answer is held against.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// Empty where none was named.
    model: String,
    /// The longest answer; of all choices together.
    pub most_tokens: Option<u64>,
}

impl Asked {
    /// Of `request`, sent for `model`; fields of its body win, as they do in what is sent.
    pub fn of(request: &Request, model: &str) -> Self {
        let body = &request.body;
        let written = LIMITS.iter().find_map(|key| body.get(*key));
        let limit = written.map_or(request.max_tokens, Value::as_u64);
        let choices = request.beside("n").and_then(Value::as_u64).unwrap_or(1).max(1);
        Self {
            model: body.get("model").and_then(Value::as_str).unwrap_or(model).to_owned(),
            most_tokens: limit.and_then(|limit| limit.checked_mul(choices)),
        }
    }
}

/// Marks what is remarkable about a complete answer. With `must_be_same`, one by another model (or
/// by nobody says which) is a failure.
pub(super) fn judge(
    exchange: &mut Exchange,
    asked: &Asked,
    must_be_same: bool,
) -> Result<(), Ending> {
    let mut flag = |flag: &'static str| exchange.flags.push(Cow::Borrowed(flag));
    if !exchange.text.is_empty() && exchange.content_from.is_none() {
        flag(REASONING_ONLY);
    }
    if exchange.output_tokens.zip(asked.most_tokens).is_some_and(|(said, most)| said > most) {
        flag(OVER_MAX_TOKENS);
    }
    let is_other = |served: &&String| !asked.model.is_empty() && !is_same(&asked.model, served);
    exchange.other_model = exchange.model.as_ref().filter(is_other).cloned();
    if !must_be_same {
        return Ok(());
    }
    let who = match (&exchange.model, &exchange.other_model) {
        (Some(_), None) => return Ok(()),
        (_, Some(other)) => format!("`{other}` answered"),
        (None, None) => "the answer does not say which model it is from".to_owned(),
    };
    Err(Ending::protocol(
        "model",
        format!("`{}` was asked, {who} (require_model: same)", asked.model),
    ))
}

/// Leaves out counts that can't be, and takes them down: prompts and answers of more than
/// [`MOST_TOKENS`]; with their parts those of none (every prompt has tokens, and so has an answer with
/// text); and parts that are larger than their whole (then neither is known).
pub(super) fn leave_out_impossible(exchange: &mut Exchange) {
    let timings = exchange.timings.get_or_insert_default();
    let ServerTimings { cache_n, prompt_n, predicted_n, .. } = timings;
    let left_out = &mut exchange.impossible;
    let mut leave_out = |name: &'static str, count: &mut Option<u64>| {
        left_out.extend(count.take().map(|count| (Cow::Borrowed(name), count)));
    };
    for (name, count) in [
        (INPUT, &mut exchange.input_tokens),
        (OUTPUT, &mut exchange.output_tokens),
        (CACHED, &mut exchange.cached_tokens),
        (REASONING, &mut exchange.reasoning_tokens),
        ("timings.cache_n", cache_n),
        ("timings.prompt_n", prompt_n),
        ("timings.predicted_n", predicted_n),
    ] {
        if count.is_some_and(|count| count > MOST_TOKENS) {
            leave_out(name, count);
        }
    }
    let has_text = !exchange.text.is_empty();
    for ((part, of_part), (whole, of_whole), has_some) in [
        ((CACHED, &mut exchange.cached_tokens), (INPUT, &mut exchange.input_tokens), true),
        (
            (REASONING, &mut exchange.reasoning_tokens),
            (OUTPUT, &mut exchange.output_tokens),
            has_text,
        ),
    ] {
        let is_more = |(part, whole)| part > whole;
        if (has_some && *of_whole == Some(0)) || of_part.zip(*of_whole).is_some_and(is_more) {
            leave_out(part, of_part);
            leave_out(whole, of_whole);
        }
    }
    if exchange.timings == Some(ServerTimings::default()) {
        exchange.timings = None;
    }
    if !exchange.impossible.is_empty() {
        exchange.flags.push(Cow::Borrowed(IMPOSSIBLE_USAGE));
    }
}

/// Whether a served name is the asked one: the same but for case, with a date or `:latest` behind
/// it, or with or without the path before it.
fn is_same(asked: &str, served: &str) -> bool {
    let (asked, served) = (asked.trim().to_lowercase(), served.trim().to_lowercase());
    let is_longer = |long: &str, short: &str| {
        let is_stamp = |end: &str| {
            let end = end.strip_prefix(['-', '@']).unwrap_or_default();
            end.len() >= 4 && end.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
        };
        long.strip_prefix(short).is_some_and(|end| end == ":latest" || is_stamp(end))
            || long.strip_suffix(short).is_some_and(|start| start.ends_with('/'))
    };
    asked == served || is_longer(&served, &asked) || is_longer(&asked, &served)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_are_the_same_model_and_brothers_are_not() {
        for (asked, served, same) in [
            ("m", "m", true),
            ("gpt-4o", "gpt-4o-2024-08-06", true),
            ("gpt-4", "gpt-4-0613", true),
            ("claude-3-5-haiku-latest", "claude-3-5-haiku-20241022", false),
            ("llama3", "llama3:latest", true),
            ("openai/gpt-4o", "gpt-4o", true),
            ("Qwen/Qwen3-8B", "qwen/qwen3-8b", true),
            ("base.gguf", "/models/base.gguf", true),
            ("gpt-4o", "gpt-4o-mini", false),
            ("qwen-7b", "qwen-72b", false),
            ("llama3", "llama3:70b", false),
            ("lora-1", "lora-12", false),
            ("lora", "lora-1", false),
            ("m", "", false),
        ] {
            assert_eq!(is_same(asked, served), same, "{asked} {served}");
        }
    }

    #[test]
    fn a_limit_is_that_of_the_body_and_of_all_choices() {
        let request = |body: serde_json::Value| Request {
            max_tokens: Some(8),
            body: body.as_object().cloned().unwrap_or_default(),
            ..Request::default()
        };
        let most = |body| Asked::of(&request(body), "m").most_tokens;
        assert_eq!(most(serde_json::json!({})), Some(8));
        assert_eq!(most(serde_json::json!({"n": 3})), Some(24));
        assert_eq!(most(serde_json::json!({"max_completion_tokens": 5})), Some(5));
        assert_eq!(most(serde_json::json!({"max_tokens": null})), None);
        let asked = Asked::of(&request(serde_json::json!({"model": "row"})), "plan");
        assert_eq!(asked.model, "row");
    }
}

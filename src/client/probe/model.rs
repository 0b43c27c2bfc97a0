//! The model to ask for.
//!
//! In: the plan's model and those that the server lists. Out: its name, or what is there instead.
//! Invariant: a server that answers to any name is found out before numbers are put under a wrong one.

use super::{PreflightError, ServerKind};

/// How many models an error lists.
const LISTED: usize = 10;

/// The model to ask for.
pub(super) fn choose(
    (asked, checked): (Option<&str>, bool),
    models: &[String],
    kind: ServerKind,
    warnings: &mut Vec<String>,
) -> Result<String, PreflightError> {
    let listed = || {
        let more = models.len().saturating_sub(LISTED);
        let names = models.iter().take(LISTED).cloned().collect::<Vec<_>>().join(", ");
        if more == 0 { names } else { format!("{names} and {more} more") }
    };
    match (asked, models.first()) {
        (None, Some(first)) => Ok(first.clone()),
        (None, None) => Err(PreflightError::new(
            "the server lists no models",
            "load a model into the server, or set the endpoint's `model`",
        )),
        (Some(asked), None) => Ok(asked.to_owned()),
        (Some(asked), Some(_)) if models.iter().any(|model| covers(model, asked)) => {
            Ok(asked.to_owned())
        }
        (Some(asked), Some(_)) if kind == ServerKind::LlamaCpp => {
            warnings.push(format!(
                "llama.cpp answers to any model name: `{asked}` will be answered by {}",
                listed()
            ));
            Ok(asked.to_owned())
        }
        (Some(asked), Some(_)) if !checked => {
            warnings.push(format!(
                "`check_model: false`: asks for `{asked}`, which the server does not list; it has {}",
                listed()
            ));
            Ok(asked.to_owned())
        }
        (Some(asked), Some(_)) => {
            let near = models
                .iter()
                .map(|model| (strsim::jaro_winkler(model, asked), model))
                .max_by(|a, b| a.0.total_cmp(&b.0))
                .filter(|(likeness, _)| *likeness > 0.7);
            let help = match near {
                Some((_, model)) => format!("did you mean `{model}`? it has: {}", listed()),
                None => format!("it has: {}", listed()),
            };
            let help = format!("{help}; `check_model: false` asks all the same");
            Err(PreflightError::new(format!("the server has no model `{asked}`"), help))
        }
    }
}

/// Whether a listed model stands for `asked`; gateways list patterns such as `openai/*`.
fn covers(model: &str, asked: &str) -> bool {
    model == asked || model.strip_suffix('*').is_some_and(|stem| asked.starts_with(stem))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick(
        asked: Option<&str>,
        models: &[&str],
        kind: ServerKind,
    ) -> Result<String, PreflightError> {
        let models: Vec<String> = models.iter().map(|&model| model.into()).collect();
        choose((asked, true), &models, kind, &mut Vec::new())
    }

    #[test]
    fn the_first_model_is_taken_when_none_is_asked_for() {
        assert_eq!(pick(None, &["a", "b"], ServerKind::Vllm).unwrap(), "a");
        assert!(pick(None, &[], ServerKind::Vllm).is_err());
    }

    #[test]
    fn an_unknown_model_lists_those_there_and_the_nearest() {
        let error = pick(Some("lama-8b"), &["qwen-7b", "llama-8b"], ServerKind::Vllm).unwrap_err();
        assert_eq!(error.what, "the server has no model `lama-8b`");
        let help = "did you mean `llama-8b`? it has: qwen-7b, llama-8b; `check_model: false` asks all the same";
        assert_eq!(error.help, help);
        let error = pick(Some("zz"), &["qwen-7b"], ServerKind::Vllm).unwrap_err();
        assert_eq!(error.help, "it has: qwen-7b; `check_model: false` asks all the same");
    }

    #[test]
    fn a_model_that_is_not_listed_is_asked_for_where_the_plan_says_so() {
        let mut warnings = Vec::new();
        let models = ["org/m".to_owned()];
        let asked = (Some("routed"), false);
        assert_eq!(choose(asked, &models, ServerKind::Other, &mut warnings).unwrap(), "routed");
        assert!(warnings[0].contains("`routed`") && warnings[0].contains("org/m"), "{warnings:?}");
        warnings.clear();
        let asked = (Some("org/m"), false);
        assert_eq!(choose(asked, &models, ServerKind::Other, &mut warnings).unwrap(), "org/m");
        assert!(warnings.is_empty(), "{warnings:?}");
    }

    #[test]
    fn wildcards_and_servers_without_a_list_take_any_name() {
        assert_eq!(pick(Some("openai/x"), &["openai/*"], ServerKind::Other).unwrap(), "openai/x");
        assert_eq!(pick(Some("x"), &[], ServerKind::Other).unwrap(), "x");
    }

    #[test]
    fn llama_cpp_takes_any_name_with_a_warning() {
        let mut warnings = Vec::new();
        let models = ["smollm2".to_owned()];
        let model =
            choose((Some("x"), true), &models, ServerKind::LlamaCpp, &mut warnings).unwrap();
        assert_eq!(model, "x");
        assert!(warnings[0].contains("smollm2"), "{warnings:?}");
    }
}

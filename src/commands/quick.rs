//! `runner quick URL`: a first measurement without a plan of one's own.
//!
//! In: flags. Out: a run like any other. Invariant: what is run is a plan, the text that `--save`
//! writes, so that whoever wants more goes on from there.

use std::fmt::Write;
use std::path::Path;

use serde_json::Value;
use url::Url;

use super::builtin::Place;
use super::{init, run};
use crate::cli::{Conditions, EndpointArgs, PlanInputs, QuickArgs, RunArgs};
use crate::output::note;
use crate::plan::LoadOptions;

/// Where the plan has the key from.
const KEY: &str = "RUNNER_API_KEY";

/// Writes the plan and runs it; the exit code is the run's verdict.
pub fn run(args: &QuickArgs) -> anyhow::Result<u8> {
    let url = told_base(&args.endpoint.url);
    let place = if let Some(file) = &args.save {
        let text = plan(args, &url, args.data.as_deref())?;
        if let Err(code) = init::write(&init::with_schema(file.clone(), &text)) {
            return Ok(code);
        }
        Place::of_file(file)
    } else {
        // The plan lies elsewhere than its reader, whose paths begin here.
        let data = args.data.as_ref().map(std::path::absolute).transpose()?;
        Place::of_text("quick", &plan(args, &url, data.as_deref())?)?
    };
    let inputs = PlanInputs { allow_outside_root: args.save.is_none(), ..PlanInputs::default() };
    let mut options = super::load_options(&inputs);
    set_key(&args.endpoint, &mut options);
    let asked = RunArgs {
        plan: place.path.clone(),
        inputs,
        outputs: args.outputs.clone(),
        baseline: None,
        resume: None,
        conditions: Conditions::default(),
        fail_fast: false,
    };
    let code = run::run_from(place, &asked, options)?;
    if args.save.is_none() && code == super::PASS {
        note!("  help: `--save plan.yaml` keeps this as a plan to build on");
    }
    Ok(code)
}

/// The base URL that was meant, told where it is not what was written.
pub(super) fn told_base(written: &str) -> String {
    let url = base(written);
    if url != written {
        note!("endpoint: {url}");
    }
    url
}

/// Gives the plan its key.
pub(super) fn set_key(endpoint: &EndpointArgs, options: &mut LoadOptions) {
    if let Some(key) = &endpoint.api_key {
        options.environment.insert(KEY.into(), key.clone());
    }
}

/// The base URL that was meant: `8000`, `gpu1:8000`, `http://gpu1:8000` and URLs in full.
fn base(written: &str) -> String {
    let (first, rest) = written.split_at(written.find('/').unwrap_or(written.len()));
    let with_scheme = match first {
        _ if written.contains("://") => written.to_owned(),
        port if port.parse::<u16>().is_ok() => format!("http://127.0.0.1:{port}{rest}"),
        _ => format!("http://{written}"),
    };
    match Url::parse(&with_scheme) {
        Ok(mut url) if url.path() == "/" => {
            url.set_path("/v1");
            url.into()
        }
        // What is no URL is for the plan's reader to refuse.
        _ => with_scheme,
    }
}

/// The plan's `endpoint:`.
pub(super) fn endpoint(args: &EndpointArgs, url: &str) -> String {
    let mut text = format!("endpoint:\n  url: {}\n", quoted(url));
    if let Some(model) = &args.model {
        text.extend(["  model: ", &quoted(model), "\n"]);
    }
    text.extend(["  api: ", &quoted(&args.api), "\n"]);
    if args.api_key.is_some() {
        text.extend(["  api_key: ${secret:", KEY, "}\n"]);
    }
    text
}

/// The plan's text; `data` is the dataset's path as the plan is to have it.
fn plan(args: &QuickArgs, url: &str, data: Option<&Path>) -> anyhow::Result<String> {
    let mut text = format!("version: 1\nname: quick\n\n{}", endpoint(&args.endpoint, url));
    text.push_str("\nprompt:\n");
    match (&args.prompt, data) {
        (Some(prompt), _) => writeln!(text, "  text: {}", quoted(prompt))?,
        (None, Some(file)) => writeln!(text, "  dataset: {}", quoted(&file.to_string_lossy()))?,
        (None, None) => {
            writeln!(text, "  context: {{ from: filler, tokens: {} }}", args.input)?;
            text.push_str("  text: Summarize the document above.\n");
        }
    }
    let output = args.output.or(data.is_none().then_some(64));
    if let Some(tokens) = output {
        writeln!(text, "  max_tokens: {tokens}")?;
    }
    if args.no_stream {
        text.push_str("  stream: false\n");
    }
    text.push_str("\nstages:\n");
    if args.cold_warm {
        let requests = args.requests.unwrap_or(16);
        writeln!(text, "  - {{ id: cold, kind: cold, requests: {requests} }}")?;
        text.push_str("  - { id: warm, kind: warm, like: cold }\n");
        return Ok(text);
    }
    text.push_str("  - id: load\n    kind: load\n");
    match &args.rate {
        Some(rate) => {
            writeln!(text, "    rate: {}\n    arrival: poisson", quoted(rate))?;
            if let Some(most) = args.concurrency {
                writeln!(text, "    max_in_flight: {most}")?;
            }
        }
        None => writeln!(text, "    concurrency: {}", args.concurrency.unwrap_or(8))?,
    }
    if let Some(requests) = args.requests.or(args.duration.is_none().then_some(100)) {
        writeln!(text, "    requests: {requests}")?;
    }
    if let Some(duration) = &args.duration {
        writeln!(text, "    duration: {}", quoted(duration))?;
    }
    Ok(text)
}

/// A text as YAML has it, with nothing in it that the plan's reader would fill in.
pub(super) fn quoted(text: &str) -> String {
    Value::from(text.replace("${", "$${")).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_known_by_what_people_write() {
        for (written, meant) in [
            ("8000", "http://127.0.0.1:8000/v1"),
            ("8000/v1", "http://127.0.0.1:8000/v1"),
            ("gpu1:8000", "http://gpu1:8000/v1"),
            ("http://gpu1:8000", "http://gpu1:8000/v1"),
            ("http://gpu1:8000/", "http://gpu1:8000/v1"),
            ("https://gpu1/v1", "https://gpu1/v1"),
            ("https://gpu1/llm/v1/", "https://gpu1/llm/v1/"),
            ("[::1]:8000", "http://[::1]:8000/v1"),
        ] {
            assert_eq!(base(written), meant, "{written}");
        }
    }
}

//! `runner doctor URL`: what an endpoint is and can, and what to switch on.
//!
//! In: an endpoint as `quick` takes it. Out: findings. Invariant: nothing on the server is emptied or
//! set; what it costs is a few short answers.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use url::Url;

use super::builtin::Place;
use super::quick;
use crate::cli::{DiagnosticFormat, DoctorArgs, PlanInputs};
use crate::client::Client;
use crate::client::account::Account;
use crate::client::checkup::{self, Finding, State};
use crate::client::probe::{self, PreflightError, Server};
use crate::metrics::quantity::{grouped, plural};
use crate::output::{self, note};
use crate::plan::{Endpoint, Redactor, Target};
use crate::record::RunClock;
use crate::workload::filler::filler;
use crate::workload::tokenizer::Tokenizer;

/// Longest answer that is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// Tokens of the prompt that is sent twice: APIs are known that cache nothing shorter than 1,024.
const LONG: u64 = 1200;

/// What a plan can do because of what was found.
const USES: [(&str, &str); 6] = [
    ("streaming", "TTFT, ITL, TPOT"),
    ("usage", "tokens and tok/s by the server's count"),
    ("cached tokens", "verdicts of cold and warm stages"),
    ("cache reset", "`kind: flush` by a call"),
    ("tokenizer", "prompts of exact length"),
    ("metrics", "the server's own figures beside ours"),
];

/// Looks the endpoint over and tells what was found. Exit codes: 0, or 4 when it does not answer.
pub fn run(args: &DoctorArgs) -> anyhow::Result<u8> {
    let is_json = args.format == DiagnosticFormat::Json;
    let base = quick::told_base(&args.endpoint.url);
    let endpoint = quick::endpoint(&args.endpoint, &base);
    let text = format!(
        "version: 1\n{endpoint}prompt: Hi.\nstages: [ {{ id: a, kind: load, requests: 1, concurrency: 1 }} ]\n"
    );
    let mut options = super::load_options(&PlanInputs::default());
    quick::set_key(&args.endpoint, &mut options);
    let ready = match super::load_from(Place::of_text("doctor", &text)?, &options, is_json) {
        Ok(ready) => ready,
        Err(code) => return Ok(code),
    };
    let Some(stage) = ready.loaded.plan.stages.first() else { return Ok(super::BUG) };
    let mut endpoint = stage.endpoint.clone();
    endpoint.timeouts.total = endpoint.timeouts.total.min(PATIENCE);
    let Target::Url(url) = endpoint.target.clone() else { return Ok(super::BUG) };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let examined = runtime.block_on(examine(&endpoint, &url, &ready.loaded.redactor));
    runtime.shutdown_background();
    let (server, findings, secrets) = match examined {
        Ok(examined) => examined,
        Err(error) => {
            note!("error: {error}\n  help: {}", error.help);
            return Ok(super::PREFLIGHT);
        }
    };
    let said = if is_json {
        output::json(&document(&base, &server, &findings))?
    } else {
        text_of(&base, &server, &findings)
    };
    // A server may say its keys in any of its words, its models' names included.
    output::print(&secrets.redact(&said));
    let answers = findings.iter().any(|it| it.name == "answers" && it.state == State::Yes);
    Ok(if answers { super::PASS } else { super::PREFLIGHT })
}

async fn examine(
    endpoint: &Endpoint,
    url: &Url,
    secrets: &Redactor,
) -> Result<(Server, Vec<Finding>, Redactor), PreflightError> {
    let clock = RunClock::start_now();
    let mut client = Client::new(endpoint, url, clock)?;
    client.hide(secrets);
    let never = tokio_util::sync::CancellationToken::new();
    let asked = (endpoint.model.as_deref(), endpoint.check_model);
    let server = probe::probe(&client, asked, &never).await?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    // No longer than half of what the model reads at a time.
    let length = server.context_tokens.map_or(LONG, |most| LONG.min(most / 2));
    let prompt = filler(now.subsec_nanos().into(), now.as_secs(), length, &Tokenizer::Estimate);
    let mut findings = checkup::asked((endpoint, url, clock), (&client, &server), &prompt).await;
    findings.push(checkup::tokens(&client, &server).await);
    findings.push(checkup::reset(&client, &server).await);
    let account = Account::find(endpoint, (url, server.kind), clock).await;
    findings.push(checkup::metrics(account.as_ref().map(Account::page), server.kind));
    findings.extend(checkup::way(&client).await);
    Ok((server, findings, client.redactor().clone()))
}

/// For programs.
fn document(url: &str, server: &Server, findings: &[Finding]) -> Value {
    json!({
        "url": url,
        "server": server.kind.name(),
        "version": server.version,
        "model": server.model,
        "models": server.models,
        "context_tokens": server.context_tokens,
        "slots": server.slots,
        "warnings": server.warnings,
        "findings": findings,
    })
}

/// For people.
fn text_of(url: &str, server: &Server, findings: &[Finding]) -> String {
    let mut out = format!("{url}\n");
    let mut line = |mark: &str, name: &str, detail: &str| {
        // Writing into a string can't fail.
        let _ = writeln!(out, "{mark} {name:<14} {detail}");
    };
    let version = server.version.as_deref().unwrap_or("(version not said)");
    line(" ", "server", &format!("{} {version}", server.kind.name()));
    let mut model = server.model.clone();
    if server.models.len() > 1 {
        let _ = write!(model, ", of {} listed", plural(server.models.len() as u64, "model"));
    }
    if let Some(context) = server.context_tokens {
        let _ = write!(model, ", context {} tokens", grouped(context));
    }
    if let Some(slots) = server.slots {
        let _ = write!(model, ", {}", plural(slots, "slot"));
    }
    line(" ", "model", &model);
    for warning in &server.warnings {
        line("!", "note", warning);
    }
    for finding in findings {
        let mark = match finding.state {
            State::Yes => "✓",
            State::No => "✗",
            State::Untold => "?",
        };
        line(mark, finding.name, &finding.detail);
        if let Some(help) = &finding.help {
            line(" ", "", &format!("help: {help}"));
        }
    }
    for (state, head) in [
        (State::Yes, "a plan has here"),
        (State::No, "a plan lacks here"),
        (State::Untold, "not known here"),
    ] {
        let is = |name| findings.iter().any(|it| it.name == name && it.state == state);
        let uses: Vec<_> =
            USES.iter().filter(|(name, _)| is(*name)).map(|(_, use_)| *use_).collect();
        if !uses.is_empty() {
            let _ = write!(out, "\n{head}: {}", uses.join("; "));
        }
    }
    out.push('\n');
    out
}

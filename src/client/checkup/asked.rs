//! What answers tell: streams, counts, the prefix cache, and which APIs there are.
//!
//! In: an endpoint and a long prompt that nobody has sent before. Out: findings. Invariant: the long
//! prompt is sent twice, one after the other, before anything else is asked.

use futures::future::join_all;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::super::Client;
use super::super::probe::{Server, ServerKind};
use super::{Finding, State};
use crate::metrics::cache_verdict;
use crate::metrics::quantity::{grouped, plural, show};
use crate::plan::{Api, Endpoint};
use crate::record::{CacheState, Exchange, NOT_STREAMED, Outcome, RunClock};
use crate::request::{Message, Request};

/// Tokens of each answer; fewer are refused by some APIs.
const ANSWER: u64 = 16;

/// What requests to the endpoint tell, in its own API and then in others.
pub async fn asked(
    (endpoint, url, clock): (&Endpoint, &Url, RunClock),
    (client, server): (&Client, &Server),
    long: &str,
) -> Vec<Finding> {
    let name = endpoint.api.name();
    let mut streams = true;
    let mut first = ask(client, server, (long, streams)).await;
    if first.as_ref().is_ok_and(|it| it.outcome == Outcome::Protocol("content_type")) {
        streams = false;
        first = ask(client, server, (long, streams)).await;
    }
    let again = match &first {
        Ok(answer) if answer.outcome == Outcome::Ok => {
            Some(ask(client, server, (long, streams)).await)
        }
        _ => None,
    };
    let own = Finding { name: "answers", ..told(name, first.as_ref()) };
    let mut findings = vec![own];
    if let (Ok(first), Some(Ok(again))) = (first, again) {
        findings.push(stream(&first));
        findings.push(usage(&first));
        findings.push(cache(&first, &again, server.kind));
    } else {
        let failed = |name| Finding::untold(name, "not tried: the request before it failed");
        findings.extend(["streaming", "usage", "cached tokens"].map(failed));
    }
    findings.push(apis(endpoint, (url, clock), server).await);
    findings
}

async fn ask(
    client: &Client,
    server: &Server,
    (text, stream): (&str, bool),
) -> Result<Exchange, String> {
    let request = Request {
        messages: vec![Message::text("user", text)],
        max_tokens: Some(ANSWER),
        stream,
        ..Request::default()
    };
    let prepared = client.prepare(&request, &server.model, "runner-doctor");
    let prepared = prepared.map_err(|refused| refused.to_string())?;
    Ok(client.send(&prepared, &CancellationToken::new()).await)
}

/// Whether a request was answered to its end.
fn told(api: &'static str, answer: Result<&Exchange, &String>) -> Finding {
    match answer {
        Ok(answer) if answer.outcome == Outcome::Ok => {
            let took = show(ms(answer.sent_ns, answer.end_ns), "ms");
            Finding::yes(api, format!("{api}, in {took}"))
        }
        Ok(Exchange { outcome: Outcome::Http(404 | 405), http_status: Some(status), .. }) => {
            Finding::no(api, format!("{api}: HTTP {status}"))
        }
        Ok(answer) => Finding::no(api, format!("{api}: {}", failure(answer))),
        Err(refused) => Finding::no(api, format!("{api}: {refused}")),
    }
}

fn failure(answer: &Exchange) -> String {
    let class = answer.outcome.class().unwrap_or_else(|| "no answer".into());
    match &answer.error_message {
        Some(said) => format!("{class}: {said}"),
        None => class,
    }
}

fn ms(from_ns: u64, to_ns: u64) -> f64 {
    to_ns.saturating_sub(from_ns) as f64 / 1e6
}

fn stream(answer: &Exchange) -> Finding {
    const NAME: &str = "streaming";
    let events = answer.token_ns.len() as u64;
    if answer.flags.iter().any(|flag| flag == NOT_STREAMED) {
        return Finding::no(NAME, "a stream was asked for, and the answer came whole").with_help(
            "write `stream: false` under `prompt`, and there is no TTFT, ITL or TPOT; does a gateway gather \
             the answer?",
        );
    }
    let (Some(first), Some(last)) = (answer.first_token_ns, answer.last_token_ns) else {
        return Finding::untold(NAME, "the answer had no text");
    };
    if events == 1 {
        return match answer.output_tokens {
            Some(tokens @ 2..) => {
                Finding::no(NAME, format!("one event held all {tokens} tokens of the answer"))
                    .with_help("does a gateway gather the answer? ITL can't be measured so")
            }
            _ => Finding::untold(NAME, "one event held the answer, which may be one token"),
        };
    }
    let to_first = show(ms(answer.sent_ns, first), "ms");
    let rest = show(ms(first, last), "ms");
    Finding::yes(
        NAME,
        format!("{events} events, the first after {to_first}, the last {rest} later"),
    )
}

fn usage(answer: &Exchange) -> Finding {
    const NAME: &str = "usage";
    let help =
        "tokens are then counted by the endpoint's `tokenizer`, which leaves out the chat template";
    match (answer.input_tokens, answer.output_tokens) {
        (Some(input), Some(output)) => {
            let input = grouped(input);
            Finding::yes(NAME, format!("{input} tokens of the prompt, {output} of the answer"))
        }
        (Some(input), None) => Finding::no(
            NAME,
            format!("{} tokens of the prompt, none of the answer", grouped(input)),
        )
        .with_help(help),
        (None, Some(output)) => {
            let said = plural(output, "token");
            Finding::no(NAME, format!("{said} of the answer, none of the prompt")).with_help(help)
        }
        (None, None) => Finding::no(NAME, "not said by the server").with_help(help),
    }
}

/// Whether the server says what came from its prefix cache, by a prompt that was sent twice.
fn cache(first: &Exchange, again: &Exchange, kind: ServerKind) -> Finding {
    const NAME: &str = "cached tokens";
    if again.outcome != Outcome::Ok {
        let why = failure(again);
        return Finding::untold(NAME, format!("the same prompt sent again failed: {why}"));
    }
    let of = |answer: &Exchange| {
        answer.cached_tokens.or(answer.timings.and_then(|timings| timings.cache_n))
    };
    let times = match (first.first_token_ns, again.first_token_ns) {
        (Some(cold), Some(warm)) => {
            let cold = show(ms(first.sent_ns, cold), "ms");
            let warm = show(ms(again.sent_ns, warm), "ms");
            format!("; first token after {cold}, the second time after {warm}")
        }
        _ => String::new(),
    };
    let whole = again.input_tokens.map_or_else(String::new, |it| format!(" of {}", grouped(it)));
    match (of(again), cache_verdict::of_exchange(again, None)) {
        (Some(0), _) => {
            let detail = format!("reported, but 0{whole} for a prompt sent again{times}");
            Finding::yes(NAME, detail).with_help(
                "is the prefix cache on, and does each prompt reach the same replica? many caches hold whole \
                 blocks only",
            )
        }
        (Some(cached), _) => {
            let detail = format!("{}{whole} for a prompt sent again{times}", grouped(cached));
            Finding::yes(NAME, detail)
        }
        (None, CacheState::Unknown) => {
            let help = match kind {
                ServerKind::Vllm => {
                    "start vLLM with --enable-prompt-tokens-details and prefix caching on; some versions say \
                     nothing where nothing was cached"
                }
                ServerKind::Sglang => "start SGLang with --enable-cache-report",
                ServerKind::Simulator => "leave out `report_cached_tokens: false` of the simulator",
                _ => {
                    "without it the verdict of cold and warm stages is `unknown`; their TTFTs can be compared"
                }
            };
            Finding::no(NAME, format!("not said by the server{times}")).with_help(help)
        }
        (None, verdict) => Finding::yes(NAME, format!("not counted, but said: {verdict}{times}")),
    }
}

/// Which other APIs answer a short request.
async fn apis(endpoint: &Endpoint, (url, clock): (&Url, RunClock), server: &Server) -> Finding {
    let native: &[Api] = match server.kind {
        ServerKind::Ollama => &[Api::OllamaChat, Api::OllamaGenerate],
        ServerKind::LlamaCpp => &[Api::LlamacppCompletion],
        ServerKind::Sglang => &[Api::Sglang],
        ServerKind::Tgi => &[Api::Tgi],
        ServerKind::Triton => &[Api::Triton],
        ServerKind::Vllm | ServerKind::Simulator | ServerKind::Other => &[],
    };
    let common =
        [Api::OpenaiChat, Api::OpenaiCompletions, Api::OpenaiResponses, Api::AnthropicMessages];
    let all = common.iter().chain(native).filter(|api| **api != endpoint.api);
    let told = join_all(all.map(async |api| {
        let endpoint = Endpoint { api: api.clone(), ..endpoint.clone() };
        let answer = match Client::new(&endpoint, url, clock) {
            Ok(client) => ask(&client, server, ("Say OK.", true)).await,
            Err(error) => Err(error.to_string()),
        };
        told(api.name(), answer.as_ref())
    }))
    .await;
    let said = told.iter().map(|finding| match finding.state {
        State::Yes => format!("{} answers", finding.name),
        _ => format!("not {}", finding.detail.replacen(':', "", 1)),
    });
    let detail = said.collect::<Vec<_>>().join("; ");
    if told.iter().any(|finding| finding.state == State::Yes) {
        Finding::yes("other APIs", detail)
    } else {
        Finding::no("other APIs", detail)
    }
}

//! `endpoint:`, `endpoints:` and `--endpoint` → [`Endpoint`].
//!
//! In: keys in layers. Out: one endpoint. Invariant: its URL carries no credentials, every
//! credential is registered with the redactor.

mod addresses;
mod credential;
mod json;
mod server;
mod simulator;

use std::time::Duration;

use super::merge::{filled, over};
use super::{Lowering, optional};
use crate::plan::bind::{Named, Spanned};
use crate::plan::diagnostic::{Code, Diagnostic};
use crate::plan::file::{ApiWord, EndpointFile, EndpointKeys, TimeSpan, TimeoutKeys};
use crate::plan::source::{At, Span};
use crate::plan::{
    Api, ApiKey, Endpoint, Location, SimulatorConfig, Target, Timeouts, TokenizerConfig, suggest,
};

/// The file that the place of `--endpoint` is in: none.
const COMMAND_LINE: &str = "--endpoint";

/// Keys in one layer, and what they are called.
#[derive(Debug, Clone)]
pub(super) struct Layered {
    keys: EndpointKeys,
    /// The profile's name, if one was chosen.
    name: Option<String>,
    /// Where the endpoint is written.
    at: At,
}

/// The profiles of the plan.
pub(super) type Profiles = Named<Spanned<EndpointKeys>>;

impl Lowering<'_> {
    /// Refuses profiles that lie over other profiles.
    pub(super) fn profiles(&mut self, profiles: &Profiles) {
        for (name, keys) in &profiles.0 {
            if let Some(profile) = &keys.value.profile {
                let message = format!("the profile `{}` names another profile", name.value);
                let help = "give it a `url:` or a `simulator:` of its own";
                self.error(Code::Conflict, profile.at.span, message, help);
            }
            if let (Some(url), Some(simulator)) = (&keys.value.url, &keys.value.simulator) {
                self.two_targets(url.at.span, simulator.at.span);
            }
            if name.value.contains("://") {
                let help = "write `NAME: { url: … }`";
                self.error(Code::Value, name.at.span, "a profile's name is not a URL", help);
            }
        }
    }

    /// What `endpoint:` and `--endpoint` say, laid over `below` when they name no target.
    pub(super) fn layered(
        &mut self,
        written: Option<&Spanned<EndpointFile>>,
        below: Option<&Layered>,
        profiles: &Profiles,
    ) -> Option<Layered> {
        let at = written.map_or(At::default(), |written| written.at);
        let mut keys = match written.map(|written| &written.value) {
            None => EndpointKeys::default(),
            Some(EndpointFile::Text(text)) => {
                EndpointKeys { profile: Some(text.clone()), ..EndpointKeys::default() }
            }
            Some(EndpointFile::Map(keys)) => (**keys).clone(),
        };
        let names_target = keys.profile.is_some() || keys.url.is_some() || keys.simulator.is_some();
        if let Some(target) = self.options.endpoint.clone() {
            if names_target || below.is_none() {
                (keys.url, keys.simulator) = (None, None);
                keys.profile = Some(Spanned { value: target, at: At::default() });
            }
        } else if let (Some(url), Some(simulator)) = (&keys.url, &keys.simulator) {
            self.two_targets(url.at.span, simulator.at.span);
        }
        let Some(chosen) = keys.profile.take() else {
            return Some(match below {
                Some(below) if !names_target => {
                    Layered { keys: over(below.keys.clone(), keys), name: below.name.clone(), at }
                }
                _ => Layered { keys, name: None, at },
            });
        };
        let text = chosen.value.trim().to_owned();
        if text.contains("://") {
            let url = Spanned { value: text, at: chosen.at };
            let base = EndpointKeys { url: Some(url), ..EndpointKeys::default() };
            return Some(Layered { keys: over(base, keys), name: None, at });
        }
        let found = profiles.0.iter().find(|(name, _)| name.value == text);
        let Some((name, base)) = found else {
            self.unknown_profile(&text, chosen.at, profiles);
            return None;
        };
        let base = EndpointKeys { profile: None, ..base.value.clone() };
        Some(Layered { keys: over(base, keys), name: Some(name.value.clone()), at })
    }

    fn two_targets(&mut self, url: Span, simulator: Span) {
        self.push(
            Diagnostic::error(Code::Conflict, "`url` and `simulator` can't stand together")
                .at(self.location(simulator))
                .at(self.location(url))
                .help("keep one of the two"),
        );
    }

    fn unknown_profile(&mut self, text: &str, at: At, profiles: &Profiles) {
        // A profile whose declaration was refused exists all the same.
        if self.tree.get("endpoints").is_some_and(|section| section.get(text).is_some()) {
            return;
        }
        let names = || profiles.0.iter().map(|(name, _)| name.value.as_str());
        let from_outside = at == At::default();
        let message = if text.is_empty() {
            "the endpoint is empty".to_owned()
        } else if from_outside {
            format!("--endpoint {text}: no endpoint profile is called `{text}`")
        } else {
            format!("no endpoint profile is called `{text}`")
        };
        let mut diagnostic = Diagnostic::error(Code::Profile, message);
        let near = suggest::did_you_mean(text, names());
        if !from_outside {
            diagnostic = diagnostic.label(self.location(at.span), near);
        } else if !near.is_empty() {
            diagnostic = diagnostic.help(near);
        }
        diagnostic = match suggest::list(names()) {
            none if none.is_empty() => {
                diagnostic.help("the plan has no profiles under `endpoints`")
            }
            known => diagnostic.help(format!("profiles: {known}")),
        };
        let host = match text {
            port if port.parse::<u16>().is_ok() => format!("127.0.0.1:{port}/v1"),
            url if url.contains('/') => url.to_owned(),
            host if host.contains([':', '.']) || host == "localhost" => format!("{host}/v1"),
            _ => "127.0.0.1:8000/v1".to_owned(),
        };
        self.push(diagnostic.help(format!("a URL begins with its scheme: `http://{host}`")));
    }

    /// One endpoint out of its keys.
    pub(super) fn endpoint(&mut self, layered: &Layered, seed: u64) -> Option<Endpoint> {
        let Layered { keys, name, at } = layered;
        let api = self.api(keys);
        let target = match (&keys.simulator, &keys.url) {
            (Some(simulator), _) => {
                let json = match &api {
                    Api::Json(json) => Some(json.clone()),
                    _ => None,
                };
                let config = SimulatorConfig { json, ..self.simulator(simulator, seed) };
                Some(Target::Simulator(Box::new(config)))
            }
            (None, Some(url)) => self.url("url", url).map(|mut url| {
                // A slash at its end means something only where the URL itself is called.
                if !api.calls_base() {
                    url.set_path(url.path().trim_end_matches('/').to_owned().as_str());
                }
                Target::Url(url)
            }),
            (None, None) => {
                let keys = ["url", "simulator", "profile"];
                if !self.has_bad(*at)
                    && !self.endpoints_have_bad()
                    && !self.may_be_given(*at, &keys)
                {
                    match name {
                        Some(name) => self.error(
                            Code::Incomplete,
                            self.profile_span(name).unwrap_or(at.span),
                            format!("the profile `{name}` has no target"),
                            "add `url:` or `simulator:`",
                        ),
                        None => self.error(
                            Code::Incomplete,
                            at.span,
                            "the endpoint has no target",
                            "add `url:`, `simulator:` or `profile:`",
                        ),
                    }
                }
                None
            }
        };
        let api_key = filled(keys.api_key.clone());
        let headers = self.headers(keys, api_key.is_some());
        let header_templates = self.header_templates(keys);
        let api_key = api_key.map_or(ApiKey::Unset, |key| self.api_key(&key));
        let model = filled(keys.model.clone()).map(|model| model.value.trim().to_owned());
        let check_model = keys.check_model.is_none_or(|check| check.value);
        if let (Some(check), None, false) = (&keys.check_model, &model, check_model) {
            let message =
                "`check_model: false` asks for a model without looking, and none is named";
            self.error(Code::Conflict, check.at.span, message, "add `model: NAME`, or remove it");
        }
        let session_header = self.session_header(keys.session_header.as_ref());
        let timeouts = self.timeouts(keys.timeouts.as_ref());
        let ca_file = filled(keys.ca_file.clone()).map(|path| self.file("ca_file", &path));
        let proxy = filled(keys.proxy.clone()).map(|url| self.url("proxy", &url));
        let addresses = self.addresses(keys.addresses.as_ref());
        let tokenizer = self.tokenizer(keys.tokenizer.as_ref());
        let metrics = self.metrics(keys.metrics.as_ref());
        let flush = keys.flush.as_ref().map(|flush| self.flush_call(flush));
        let target = target?;
        Some(Endpoint {
            name: name.clone().unwrap_or_else(|| match &target {
                Target::Simulator(_) => "simulator".into(),
                Target::Url(url) => authority(url),
            }),
            target,
            must_be_same_model: self.requires_model(keys, &api),
            api,
            model,
            check_model,
            api_key,
            headers,
            header_templates,
            session_header,
            timeouts,
            ca_file: optional(ca_file)?,
            insecure: keys.insecure.unwrap_or(false),
            proxy: optional(proxy)?.map(|url| url.to_string()),
            addresses: addresses?,
            tokenizer: tokenizer?,
            metrics: metrics?,
            flush: optional(flush)?,
            location: if *at == At::default() {
                Location { file: COMMAND_LINE.into(), ..Location::default() }
            } else {
                self.location(at.span)
            },
        })
    }

    /// The API, with what the plan says of a JSON one.
    fn api(&mut self, keys: &EndpointKeys) -> Api {
        match (keys.api.map_or(Api::OpenaiChat, api), &keys.json) {
            (Api::Json(_), Some(json)) => Api::Json(Box::new(self.json_api(json))),
            (api, None) => api,
            (api, Some(json)) => {
                let message = format!("`json` says nothing to `api: {}`", api.name());
                self.error(Code::Conflict, json.at.span, message, "write `api: json`");
                api
            }
        }
    }

    /// Where a profile's name stands.
    fn profile_span(&self, name: &str) -> Option<Span> {
        let section = self.tree.get("endpoints")?;
        section.entries().iter().find(|entry| entry.key == name).map(|entry| entry.key_span)
    }

    fn endpoints_have_bad(&self) -> bool {
        self.tree.get("endpoints").is_some_and(|section| self.has_bad(section.at))
    }

    /// A URL without credentials.
    pub(super) fn url(&mut self, key: &str, written: &Spanned<String>) -> Option<url::Url> {
        let text = written.value.trim();
        let from_outside = written.at == At::default();
        let mut refuse = |code, message: String, help: &str| {
            let diagnostic = if from_outside {
                Diagnostic::error(code, format!("--endpoint: {message}"))
            } else {
                Diagnostic::error(code, message).at(self.sources.location(written.at.span))
            };
            let diagnostic =
                if help.is_empty() { diagnostic } else { diagnostic.help(help.to_owned()) };
            if !self.found.contains(&diagnostic) {
                self.found.push(diagnostic);
            }
            None
        };
        let url = match url::Url::parse(text) {
            Ok(url) => url,
            Err(url::ParseError::RelativeUrlWithoutBase) => {
                let message = format!("`{key}`: `{text}` has no scheme");
                return refuse(Code::Url, message, &format!("write `http://{text}`"));
            }
            Err(error) => {
                let message = format!("`{key}`: `{text}` is not a URL: {error}");
                return refuse(Code::Url, message, "write it like `http://127.0.0.1:8000/v1`");
            }
        };
        if !url.username().is_empty() || url.password().is_some() {
            self.redactor.register(url.password().unwrap_or(url.username()));
            let message = format!("`{key}` carries credentials, which would show up everywhere");
            return refuse(
                Code::Credential,
                message,
                "use `api_key: ${secret:NAME}` or a header with `${secret:NAME}`",
            );
        }
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            let message = format!("`{key}`: `{text}` is not an http or https URL");
            // `localhost:8000` parses, with `localhost` for a scheme.
            let help =
                if text.contains("://") { String::new() } else { format!("write `http://{text}`") };
            return refuse(Code::Url, message, &help);
        }
        if url.fragment().is_some() {
            let message = format!("`{key}`: a base URL has no `#` part");
            return refuse(Code::Url, message, "remove it");
        }
        Some(url)
    }

    fn timeouts(&mut self, keys: Option<&TimeoutKeys>) -> Timeouts {
        let keys = keys.copied().unwrap_or_default();
        let mut limit = |key: &str, written: Option<Spanned<TimeSpan>>, default: u64| {
            let Some(written) = written else { return Duration::from_secs(default) };
            if written.value.0.is_zero() {
                let message = format!("the timeout `{key}` must be more than zero");
                self.error(Code::Value, written.at.span, message, "");
            }
            written.value.0
        };
        Timeouts {
            connect: limit("connect", keys.connect, 5),
            headers: limit("headers", keys.headers, 300),
            first_token: limit("first_token", keys.first_token, 300),
            idle: limit("idle", keys.idle, 60),
            total: limit("total", keys.total, 600),
        }
    }

    fn tokenizer(&mut self, written: Option<&Spanned<String>>) -> Option<TokenizerConfig> {
        const WORDS: [&str; 3] = ["auto", "server", "estimate"];
        let Some(written) = written else { return Some(TokenizerConfig::Auto) };
        match written.value.trim() {
            "" | "auto" => Some(TokenizerConfig::Auto),
            "server" => Some(TokenizerConfig::Server),
            "estimate" => Some(TokenizerConfig::Estimate),
            word if !word.contains(['.', '/', '\\']) => {
                let message = format!("`tokenizer` can't be `{word}`");
                self.push(
                    Diagnostic::error(Code::Choice, message)
                        .label(self.location(written.at.span), suggest::did_you_mean(word, WORDS))
                        .help(
                            "allowed here: auto, server, estimate, or the path of a tokenizer.json",
                        ),
                );
                None
            }
            _ => self.file("tokenizer", written).map(TokenizerConfig::File),
        }
    }

    /// Reports that the plan has no endpoint.
    pub(super) fn no_endpoint(&mut self, profiles: &Profiles, span: Span) {
        if self.may_be_given(self.tree.at, &["endpoint"]) && self.tree.get("endpoints").is_none() {
            return;
        }
        let names = suggest::list(profiles.0.iter().map(|(name, _)| name.value.as_str()));
        let help = if names.is_empty() {
            "add `endpoint: http://127.0.0.1:8000/v1`, or `endpoint: { simulator: {} }`".to_owned()
        } else {
            format!("add `endpoint: NAME`; profiles: {names}")
        };
        self.error(Code::Incomplete, span, "the plan has no endpoint", &help);
    }
}

/// Host and port as written.
fn authority(url: &url::Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The API that a plan's word means.
fn api(word: ApiWord) -> Api {
    match word {
        ApiWord::OpenaiChat => Api::OpenaiChat,
        ApiWord::OpenaiCompletions => Api::OpenaiCompletions,
        ApiWord::OpenaiResponses => Api::OpenaiResponses,
        ApiWord::AnthropicMessages => Api::AnthropicMessages,
        ApiWord::OllamaChat => Api::OllamaChat,
        ApiWord::OllamaGenerate => Api::OllamaGenerate,
        ApiWord::Tgi => Api::Tgi,
        ApiWord::Triton => Api::Triton,
        ApiWord::Sglang => Api::Sglang,
        ApiWord::LlamacppCompletion => Api::LlamacppCompletion,
        ApiWord::Json => Api::Json(Box::default()),
    }
}

//! `endpoint.metrics` and `endpoint.flush`: the server's side doors, where they are not as usual.
//!
//! In: keys as written. Out: [`MetricsConfig`] and [`FlushCall`], or diagnostics.

use std::time::Duration;

use crate::plan::bind::Spanned;
use crate::plan::diagnostic::{Code, Diagnostic};
use crate::plan::file::{EndpointKeys, FlushCallKeys, MetricsFile, MetricsKeys, RequireModelWord};
use crate::plan::lower::Lowering;
use crate::plan::{Api, FlushCall, MetricsConfig, MetricsPage, suggest};

/// Shortest interval: a page of a large vLLM takes milliseconds to make, of the server's own time.
const SHORTEST: Duration = Duration::from_millis(100);

impl Lowering<'_> {
    /// Whether an answer by another model is a failure; refused where no answer names its model.
    pub(super) fn requires_model(&mut self, keys: &EndpointKeys, api: &Api) -> bool {
        let Some(written) = &keys.require_model else { return false };
        let is_same = written.value == RequireModelWord::Same;
        let names_model = match api {
            Api::Tgi | Api::Sglang => false,
            Api::Json(json) => json.model.is_some(),
            _ => true,
        };
        if is_same && !names_model {
            let message = format!(
                "`require_model: same` can't be checked: answers of `api: {}` name no model",
                api.name()
            );
            let help = "remove it; with `api: json`, say where the model's name stands (`model:`)";
            self.error(Code::Conflict, written.at.span, message, help);
        }
        is_same
    }

    /// Where the server's own account is read; `None` when that was refused.
    pub(super) fn metrics(&mut self, written: Option<&MetricsFile>) -> Option<MetricsConfig> {
        let default = MetricsConfig::default();
        match written {
            None => Some(default),
            Some(MetricsFile::Text(text)) => {
                match text.value.trim() {
                    "" | "auto" => Some(default),
                    "off" => Some(MetricsConfig { page: MetricsPage::Off, ..default }),
                    word if !word.contains([':', '/', '.']) => {
                        let message = format!("`metrics` can't be `{word}`");
                        let near = suggest::did_you_mean(word, ["auto", "off"]);
                        self.push(
                        Diagnostic::error(Code::Choice, message)
                            .label(self.location(text.at.span), near)
                            .help("allowed here: auto, off, the URL of a Prometheus page, or a map"),
                    );
                        None
                    }
                    _ => {
                        let page = MetricsPage::At(self.url("metrics", text)?);
                        Some(MetricsConfig { page, ..default })
                    }
                }
            }
            Some(MetricsFile::Map(keys)) => {
                let MetricsKeys { url, interval, gpu, names } = &keys.value;
                let url = url.as_ref().map(|url| self.url("metrics.url", url));
                let gpu = gpu.as_ref().map(|gpu| self.url("metrics.gpu", gpu));
                let interval = interval.map(|interval| {
                    if interval.value.0 < SHORTEST {
                        let message = "`metrics.interval` must be at least 100ms";
                        let help = "reading more often would disturb what is measured";
                        self.error(Code::Value, interval.at.span, message, help);
                    }
                    interval.value.0
                });
                Some(MetricsConfig {
                    page: match url {
                        Some(url) => MetricsPage::At(url?),
                        None => MetricsPage::Usual,
                    },
                    interval: interval.unwrap_or(default.interval),
                    gpu: match gpu {
                        Some(gpu) => Some(gpu?),
                        None => None,
                    },
                    names: names.clone(),
                })
            }
        }
    }

    /// The plan's own flush; `None` when it was refused.
    pub(super) fn flush_call(&mut self, written: &Spanned<FlushCallKeys>) -> Option<FlushCall> {
        let FlushCallKeys { method, path, body } = &written.value;
        let Some(path) = path else {
            if !self.has_bad(written.at) && !self.may_be_given(written.at, &["path"]) {
                let help = "add `path:`, such as `/reset_prefix_cache`";
                self.error(Code::MissingKey, written.at.span, "`flush` needs `path`", help);
            }
            return None;
        };
        let text = path.value.trim();
        if text.contains("://") || text.contains(char::is_whitespace) || text.contains('#') {
            let message = format!("`flush.path` can't be `{text}`");
            let help = "a path at the server's root, such as `/reset_prefix_cache`";
            self.error(Code::Value, path.at.span, message, help);
            return None;
        }
        Some(FlushCall {
            method: method.unwrap_or_default(),
            path: text.trim_start_matches('/').to_owned(),
            body: body.clone(),
        })
    }
}

//! Why an exchange did not end well, in a stable class and one sentence that says what to do.
//!
//! In: what stopped it. Out: an [`Ending`]. Invariant: one cause, one class.

use std::time::Duration;

use super::dialect;
use super::limits::{Limits, Stop};
use super::transport::{Fault, FaultKind};
use crate::record::{Outcome, Phase};

/// An outcome other than ok, and its line for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ending {
    pub outcome: Outcome,
    /// Secrets are not redacted yet.
    pub message: String,
}

impl Ending {
    pub fn stream(kind: &'static str, message: impl Into<String>) -> Self {
        Self { outcome: Outcome::Stream(kind), message: message.into() }
    }

    pub fn protocol(kind: &'static str, message: impl Into<String>) -> Self {
        Self { outcome: Outcome::Protocol(kind), message: message.into() }
    }

    /// A limit or the cancel token.
    pub fn stopped(stop: Stop, limits: &Limits) -> Self {
        let phase = match stop {
            Stop::Cancelled => return Self { outcome: Outcome::Cancelled, message: String::new() },
            Stop::Timeout(phase) => phase,
        };
        let limit = seconds(limits.of(phase));
        let message = match phase {
            Phase::Connect => format!(
                "no connection within {limit} (timeouts.connect): is the host up, and does a \
                 firewall drop the packets?"
            ),
            Phase::Headers => format!(
                "no response headers within {limit} (timeouts.headers): the server is stuck, or \
                 its queue is longer than this limit"
            ),
            Phase::FirstToken => format!(
                "no token within {limit} (timeouts.first_token): the prompt takes longer to \
                 process, or the server is stuck"
            ),
            Phase::Idle => format!("no bytes for {limit} (timeouts.idle) in mid-answer"),
            Phase::Total => format!("not finished within {limit} (timeouts.total)"),
        };
        Self { outcome: Outcome::Timeout(phase), message }
    }

    /// The connection failed before the headers; `waited` for a request that was sent once.
    pub fn unanswered(fault: &Fault, limits: &Limits, waited: Option<Duration>) -> Self {
        match fault.kind {
            FaultKind::Connect(kind) => Self {
                outcome: Outcome::Connect(kind),
                message: connect_help(kind, &fault.message),
            },
            FaultKind::ConnectTimeout => Self::stopped(Stop::Timeout(Phase::Connect), limits),
            FaultKind::Closed | FaultKind::Reset if fault.is_stale_reuse() => match waited {
                Some(waited) => Self::stream(
                    "reset",
                    format!(
                        "the server closed the kept connection {} after the request was sent, \
                         without an answer: it was at work on it, so it was not sent again",
                        seconds(waited)
                    ),
                ),
                None => Self::stream(
                    "stale_reuse",
                    "the server closed kept-alive connections while the request was on its way, \
                     twice",
                ),
            },
            FaultKind::Reset => {
                Self::stream("reset", format!("reset before any answer ({})", fault.message))
            }
            FaultKind::Closed => Self::stream(
                "reset",
                "the server closed the connection without an answer: has it crashed?",
            ),
            FaultKind::Http => Self::protocol(
                "http",
                format!("what came back is no HTTP answer ({}): is the port right?", fault.message),
            ),
        }
    }

    /// The body broke off after `bytes` bytes.
    pub fn cut(fault: &Fault, bytes: u64) -> Self {
        match fault.kind {
            FaultKind::Reset => Self::stream(
                "reset",
                format!("the connection was reset after {bytes} bytes of the answer"),
            ),
            FaultKind::Http => Self::protocol(
                "http",
                format!("the body's framing broke after {bytes} bytes ({})", fault.message),
            ),
            _ => Self::stream(
                "incomplete_body",
                format!("the connection closed inside the body, after {bytes} bytes"),
            ),
        }
    }

    /// A stream that went on beyond any answer to what was asked: `beyond` so much.
    pub fn too_long(beyond: &str, asked: Option<u64>) -> Self {
        let asked = asked.map_or_else(
            || "the request sets no max_tokens".to_owned(),
            |tokens| format!("it was asked for {tokens} tokens at most"),
        );
        Self::stream(
            "too_long",
            format!(
                "the stream was cut, as it went on beyond {beyond}: {asked}; does the server loop?"
            ),
        )
    }

    /// A status other than 2xx, with what the server said about it.
    pub fn status(status: u16, body: &[u8]) -> Self {
        let said = dialect::body_message(body);
        let mut message = format!("HTTP {status}");
        // Some servers say the status themselves.
        let said = said.as_deref().unwrap_or_default();
        let said = match said.strip_prefix(message.as_str()) {
            Some(rest) => rest.trim_start_matches([':', ' ']),
            None => said,
        };
        for part in [said, status_help(status)] {
            if !part.is_empty() {
                message.push_str(": ");
                message.push_str(part);
            }
        }
        Self { outcome: Outcome::Http(status), message }
    }

    /// A 3xx, which is never followed.
    pub fn redirect(status: u16, location: Option<&str>) -> Self {
        let target = location.unwrap_or("an unnamed place");
        Self::protocol(
            "redirect",
            format!(
                "HTTP {status} to {target}; redirects are not followed: set the endpoint's url to \
                 where the API really is"
            ),
        )
    }
}

/// Whether a finish reason means that the server gave the answer up, in the words of any API. What
/// the model or a filter ended (`refusal`, `content_filter`) is an answer.
pub(super) fn is_given_up(reason: &str) -> bool {
    const WORDS: [&str; 15] = [
        "abort",
        "aborted",
        "cancel",
        "canceled",
        "cancelled",
        "error",
        "error_finish",
        "fail",
        "failed",
        "failure",
        "insufficient_system_resource",
        "internal_error",
        "server_error",
        "timeout",
        "timed_out",
    ];
    let reason = reason.trim().to_ascii_lowercase().replace('-', "_");
    // Enums come with their type before them (`FinishReason.ABORT`), or with who did it.
    let word = reason.rsplit(['.', ':']).next().unwrap_or_default();
    let word = word.strip_prefix("finish_reason_").unwrap_or(word);
    let word = word.strip_prefix("user_").unwrap_or(word);
    WORDS.contains(&word)
}

/// What to do about a connection that was not made, and what was wrong.
pub(super) fn connect_help(kind: &str, message: &str) -> String {
    let help = match kind {
        "refused" => "nothing listens there: start the server, or correct host and port",
        "dns" => "the host's name does not resolve: correct the url",
        "tls" if message.contains("CaUsedAsEndEntity") => {
            "the server shows the certificate of an authority (CA:TRUE), which can't be a server's: \
             make it with `openssl req … -addext basicConstraints=critical,CA:FALSE`, or set \
             `insecure: true`"
        }
        "tls" => {
            "the TLS handshake failed: set ca_file for a private certificate authority, or correct \
             the host name or scheme of the url"
        }
        "reset" => {
            "the connection was closed while it was being made: does the port speak the \
                    url's scheme (http, https)?"
        }
        "fd_limit" => {
            "out of file descriptors on this machine: raise `ulimit -n`, or lower the \
                       concurrency"
        }
        "no_local_port" => {
            "out of local ports on this machine: lower the rate, or widen ip_local_port_range"
        }
        _ => "the connection could not be made",
    };
    format!("{help} ({message})")
}

fn status_help(status: u16) -> &'static str {
    match status {
        401 | 403 => "check the endpoint's api_key",
        404 => "check the endpoint's url (does it lack /v1?) and model",
        413 => "the prompt is too large for the server",
        _ => "",
    }
}

/// `1.5 s`, `200 ms`.
pub(super) fn seconds(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{} ms", duration.as_millis())
    } else {
        format!("{} s", duration.as_millis() as f64 / 1000.0)
    }
}

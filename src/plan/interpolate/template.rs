//! Where `{{ … }}` runs, and what it reads of the params.
//!
//! In: the path of keys to a text, and the text. Out: what may stand there. Templates themselves
//! are compiled by the workload; here they are only kept to their place.

use super::reference::Reference;
use crate::plan::Location;
use crate::plan::diagnostic::{Code, Diagnostic};

/// What may stand at a place of the plan.
pub(super) struct Place {
    /// The text is rendered for each request.
    pub(super) runs_templates: bool,
    /// A credential belongs here.
    pub(super) takes_secrets: bool,
    /// The key, where a run has one of it, so that no two cells of a matrix may differ in it.
    pub(super) of_run: Option<&'static str>,
}

/// What a run has one of, whatever its cells.
const OF_RUN: [&str; 7] = ["name", "description", "seed", "nonce", "results", "sinks", "tags"];

impl Place {
    /// Judges by the keys from the root to the text (list items are empty), and by the text: a header
    /// is a template where it is written as one.
    pub(super) fn of(path: &[String], text: &str) -> Self {
        let keys: Vec<&str> = path.iter().map(String::as_str).collect();
        let prompt = match keys.as_slice() {
            ["prompt", below @ ..]
            | ["stages", "", "prompt", below @ ..]
            | ["defaults", "prompt", below @ ..]
            | ["prompts", _, below @ ..] => Some(below),
            _ => None,
        };
        let is_json_body = matches!(
            keys.as_slice(),
            ["endpoint", "json", "body", ..]
                | ["endpoints", _, "json", "body", ..]
                | ["stages", "", "endpoint", "json", "body", ..]
                | ["defaults", "endpoint", "json", "body", ..]
        );
        let is_endpoint = matches!(
            keys.as_slice(),
            ["endpoint" | "endpoints", ..]
                | ["stages", "", "endpoint", ..]
                | ["defaults", "endpoint", ..]
        );
        let is_header = is_endpoint && matches!(keys.as_slice(), [.., "headers", _]);
        let runs_templates = is_json_body
            || (is_header && is_template(text))
            || matches!(prompt, Some([] | ["text"] | ["messages", "", "content"] | ["body", ..]));
        let takes_secrets = is_header && !runs_templates
            || is_endpoint && matches!(keys.as_slice(), [.., "api_key"]);
        let of_run = OF_RUN.into_iter().find(|key| keys.first() == Some(key));
        Self { runs_templates, takes_secrets, of_run }
    }
}

impl Place {
    /// Whether the text is for people only.
    pub(super) fn is_prose(&self) -> bool {
        self.of_run == Some("description")
    }
}

/// Whether a text holds template syntax.
pub(super) fn is_template(text: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|open| text.contains(open))
}

/// A template where none runs.
pub(super) fn misplaced(location: Location) -> Diagnostic {
    Diagnostic::error(Code::Template, "templates run only in `prompt` and in `headers`")
        .at(location)
        .help("`${name}` inserts a param anywhere, when the plan is read")
}

/// A value from outside that would run as a template.
pub(super) fn injected(reference: &Reference, location: Location) -> Diagnostic {
    let (what, help) = match reference {
        Reference::Param(name) => (
            format!("the value of param `{name}`"),
            format!("insert it as data: `{{{{ params.{name} }}}}`"),
        ),
        Reference::Environment(name, _) | Reference::Secret(name, _) => (
            format!("the value of {name}"),
            format!(
                "declare a param with `env: {name}` and insert it as data: `{{{{ params.… }}}}`"
            ),
        ),
        Reference::Plan(_) => ("the plan's name".into(), "rename the plan".into()),
    };
    Diagnostic::error(
        Code::Template,
        format!("{what} holds template syntax, which would run in this prompt"),
    )
    .at(location)
    .help(help)
}

/// The names that `{{ params.NAME }}` reads, with their first byte.
pub(super) fn params_read(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(open) = text[at..].find('{').map(|open| at + open) {
        let close = match text.as_bytes().get(open + 1) {
            Some(b'{') => "}}",
            Some(b'%') => "%}",
            _ => {
                at = open + 1;
                continue;
            }
        };
        let start = open + 2;
        let end = text[start..].find(close).map_or(text.len(), |len| start + len);
        names(&text[start..end], start, &mut found);
        at = end;
    }
    found
}

/// The params that the inside of one `{{ }}` or `{% %}` reads; it begins at byte `start`.
fn names<'t>(inside: &'t str, start: usize, found: &mut Vec<(usize, &'t str)>) {
    const WORD: &str = "params.";
    for (at, _) in inside.match_indices(WORD) {
        let before = inside[..at].chars().next_back();
        let is_word = before.is_none_or(|it| !(it.is_alphanumeric() || it == '_' || it == '.'));
        let rest = &inside[at + WORD.len()..];
        let len = rest
            .find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'))
            .unwrap_or(rest.len());
        if is_word && len > 0 {
            found.push((start + at + WORD.len(), &rest[..len]));
        }
    }
}

/// What to say of a secret param in a prompt.
pub(super) fn secret(name: &str, place: Location) -> Diagnostic {
    Diagnostic::error(Code::Secret, format!("the secret param `{name}` can't stand in a prompt"))
        .at(place)
        .help("secrets go to `api_key` and `headers`; declare it without `secret: true` if it is none")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(path: &[&str]) -> Place {
        holding(path, "text")
    }

    fn holding(path: &[&str], text: &str) -> Place {
        Place::of(&path.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>(), text)
    }

    #[test]
    fn templates_run_in_prompts_only() {
        assert!(place(&["prompt"]).runs_templates);
        assert!(place(&["stages", "", "prompt", "messages", "", "content"]).runs_templates);
        assert!(place(&["prompt", "body", "a", "b"]).runs_templates);
        assert!(!place(&["prompt", "dataset"]).runs_templates);
        assert!(!place(&["endpoint", "url"]).runs_templates);
    }

    #[test]
    fn secrets_go_to_endpoints_only() {
        assert!(place(&["endpoint", "api_key"]).takes_secrets);
        assert!(place(&["endpoints", "a", "headers", "X"]).takes_secrets);
        assert!(!place(&["prompt", "body", "headers", "X"]).takes_secrets);
        assert!(!place(&["endpoint", "url"]).takes_secrets);
    }

    #[test]
    fn a_header_is_a_template_or_holds_a_secret() {
        let header = ["endpoints", "a", "headers", "X"];
        for (text, runs) in [("{{ i }}", true), ("${secret:KEY}", false), ("{ a }", false)] {
            let place = holding(&header, text);
            assert_eq!((place.runs_templates, place.takes_secrets), (runs, !runs), "{text}");
        }
        assert!(!holding(&["endpoint", "api_key"], "{{ i }}").runs_templates);
    }

    #[test]
    fn params_are_seen_inside_templates_only() {
        let names = |text| params_read(text).iter().map(|(_, name)| *name).collect::<Vec<_>>();
        assert_eq!(names("{{ params.a + params.b_1 }} params.c"), ["a", "b_1"]);
        assert_eq!(names("{% if my.params.x %}"), Vec::<&str>::new());
        assert_eq!(names("{{ i }} {% if params.a %}{{params.b}}{% endif %} params.c"), ["a", "b"]);
        assert_eq!(names("{ {{ params.open"), ["open"]);
    }
}

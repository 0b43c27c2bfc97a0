//! The grammar of `${…}`.
//!
//! In: a text. Out: its plain parts and references, or what is wrong at which byte.

use crate::plan::params::is_name;

/// A piece of a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    Reference { reference: Reference, at: usize, len: usize },
}

/// What a `${…}` refers to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reference {
    /// `${name}`
    Param(String),
    /// `${plan.field}`
    Plan(String),
    /// `${env:NAME}`
    Environment(String, Fallback),
    /// `${secret:NAME}`
    Secret(String, Fallback),
}

/// What stands after the name of a variable.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fallback {
    None,
    /// `:-text`
    Default(String),
    /// `:?text`
    Message(String),
}

/// What is wrong with a text, in bytes of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) at: usize,
    pub(super) len: usize,
    pub(super) message: String,
    pub(super) help: Option<&'static str>,
}

/// Splits a text; neighbouring plain parts are one part.
pub(super) fn parts(text: &str) -> Result<Vec<Part>, Problem> {
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut at = 0;
    while let Some(found) = text[at..].find("${") {
        let dollar = at + found;
        if text[at..dollar].ends_with('$') {
            // `$${` is a written-out `${`.
            plain.push_str(&text[at..dollar]);
            plain.push('{');
            at = dollar + 2;
            continue;
        }
        plain.push_str(&text[at..dollar]);
        let inner_at = dollar + 2;
        let Some(len) = text[inner_at..].find('}') else {
            return Err(Problem {
                at: dollar,
                len: 2,
                message: "`${` is not closed".into(),
                help: Some("close it with `}`, or write `$${` for the characters themselves"),
            });
        };
        let inner = &text[inner_at..inner_at + len];
        let whole = len + 3;
        let reference = parse(inner).map_err(|(message, help)| Problem {
            at: dollar,
            len: whole,
            message,
            help: Some(help),
        })?;
        if !plain.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut plain)));
        }
        parts.push(Part::Reference { reference, at: dollar, len: whole });
        at = dollar + whole;
    }
    plain.push_str(&text[at..]);
    if !plain.is_empty() {
        parts.push(Part::Text(plain));
    }
    Ok(parts)
}

/// Reads what stands between the braces.
fn parse(inner: &str) -> Result<Reference, (String, &'static str)> {
    const FORMS: &str = "write `${name}`, `${env:NAME}`, `${env:NAME:-fallback}` or \
                         `${secret:NAME}`; `$${` for the characters themselves";
    if inner.contains("${") {
        return Err(("references do not nest".into(), FORMS));
    }
    let variable = |rest: &str| {
        let (name, fallback) = match (rest.split_once(":-"), rest.split_once(":?")) {
            // Whichever comes first; the other is part of its text.
            (Some((name, text)), other) if other.is_none_or(|it| name.len() < it.0.len()) => {
                (name, Fallback::Default(text.to_owned()))
            }
            (_, Some((name, text))) => (name, Fallback::Message(text.to_owned())),
            (_, None) => (rest, Fallback::None),
        };
        is_name(name).then(|| (name.to_owned(), fallback))
    };
    let bad = || (format!("`${{{inner}}}` is not a reference"), FORMS);
    if let Some(rest) = inner.strip_prefix("env:") {
        let (name, fallback) = variable(rest).ok_or_else(bad)?;
        return Ok(Reference::Environment(name, fallback));
    }
    if let Some(rest) = inner.strip_prefix("secret:") {
        let (name, fallback) = variable(rest).ok_or_else(bad)?;
        return Ok(Reference::Secret(name, fallback));
    }
    if let Some(field) = inner.strip_prefix("plan.").filter(|field| is_name(field)) {
        return Ok(Reference::Plan(field.to_owned()));
    }
    if is_name(inner) {
        return Ok(Reference::Param(inner.to_owned()));
    }
    if inner.split_once(":-").is_some_and(|(name, _)| is_name(name)) {
        let message = format!("`${{{inner}}}`: a param has its default where it is declared");
        return Err((message, "give it a `default:` under `params`"));
    }
    Err(bad())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn param(name: &str) -> Reference {
        Reference::Param(name.into())
    }

    #[test]
    fn a_lone_reference_is_one_part() {
        let expected = Part::Reference { reference: param("a"), at: 0, len: 4 };
        assert_eq!(parts("${a}"), Ok(vec![expected]));
    }

    #[test]
    fn two_dollars_write_the_characters() {
        assert_eq!(parts("a $${b} c"), Ok(vec![Part::Text("a ${b} c".into())]));
        assert_eq!(parts("$HOME $5"), Ok(vec![Part::Text("$HOME $5".into())]));
    }

    #[test]
    fn variables_have_fallbacks() {
        let fallback = |text| match parts(text).expect("it parses").remove(0) {
            Part::Reference { reference: Reference::Environment(_, fallback), .. } => fallback,
            other => panic!("{other:?}"),
        };
        assert_eq!(fallback("${env:A}"), Fallback::None);
        assert_eq!(fallback("${env:A:-}"), Fallback::Default(String::new()));
        assert_eq!(fallback("${env:A:-b:?c}"), Fallback::Default("b:?c".into()));
        assert_eq!(fallback("${env:A:?set it}"), Fallback::Message("set it".into()));
    }

    #[test]
    fn malformed_references_say_where() {
        for (text, at) in [("ab ${", 3), ("${}", 0), ("é ${1x}", 3), ("${env:}", 0), ("${a b}", 0)]
        {
            assert_eq!(parts(text).map_err(|problem| problem.at), Err(at), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[${}a:?\\-é .]{0,40}") {
            let _ = parts(&text);
        }

        #[test]
        fn escaped_text_reads_back(text in "[a-z{} ]{0,20}") {
            let escaped = format!("x{}", text.replace('{', "$${"));
            let expected = format!("x{}", text.replace('{', "${"));
            prop_assert_eq!(parts(&escaped), Ok(vec![Part::Text(expected)]));
        }
    }
}

//! The Prometheus text format (0.0.4, and `OpenMetrics` as far as it is the same).
//!
//! In: a page as a server gives it. Out: its samples. Invariant: any text is fine: a line that is no
//! sample is passed over, and nothing is copied but unescaped label values.

use std::borrow::Cow;
use std::collections::HashMap;

/// One line of a page: a metric, its labels and its value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample<'t> {
    /// The metric's name, with its suffix (`_total`, `_sum`, …).
    pub name: &'t str,
    /// What stands between the braces.
    labels: &'t str,
    /// The value; may be infinite or no number.
    pub value: f64,
}

impl<'t> Sample<'t> {
    /// The labels as they stand between the braces.
    pub fn labels(&self) -> &'t str {
        self.labels
    }

    /// The value of a label.
    pub fn label(&self, name: &str) -> Option<Cow<'t, str>> {
        let mut rest = self.labels;
        while let Some((key, after)) = rest.split_once('=') {
            let after = after.trim_start().strip_prefix('"')?;
            let end = closing_quote(after)?;
            if key.trim().trim_start_matches(',').trim() == name {
                return Some(unescaped(&after[..end]));
            }
            rest = after.get(end + 1..)?;
        }
        None
    }
}

/// Every sample of a page, in order.
pub fn samples(page: &str) -> impl Iterator<Item = Sample<'_>> {
    page.lines().filter_map(sample)
}

/// The kind that a page's `# TYPE` lines state, by metric.
pub fn types(page: &str) -> HashMap<&str, &str> {
    let stated = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    stated.filter_map(|stated| stated.trim().split_once(' ')).collect()
}

fn sample(line: &str) -> Option<Sample<'_>> {
    let line = line.trim();
    let end = line.find(|it: char| !(it.is_ascii_alphanumeric() || "_:".contains(it)))?;
    let (name, rest) = line.split_at(end);
    if name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let (labels, rest) = match rest.trim_start().strip_prefix('{') {
        None => ("", rest),
        Some(inside) => {
            let end = closing_brace(inside)?;
            (&inside[..end], &inside[end + 1..])
        }
    };
    // Behind the value a time or an exemplar may stand.
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some(Sample { name, labels, value })
}

/// Where the labels end; braces in their values don't count.
fn closing_brace(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'}' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

/// Where a label's value ends.
fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at),
            _ => {}
        }
    }
    None
}

fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('n') => out.push('\n'),
                Some(other) => out.push(other),
                None => {}
            },
            letter => out.push(letter),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn samples_have_names_labels_and_values_whatever_stands_around_them() {
        let page = "# HELP vllm:a words\n# TYPE vllm:a gauge\n\
            vllm:a{engine=\"0\",model_name=\"x } \\\"y\\\" \\\\ \\n\"} 2.5 1700000000\n\
            plain 4\nbig_total{le=\"+Inf\"} 1e3 # {trace_id=\"q\"} 0.5\nnan NaN\ninf +Inf\n\
            9wrong 1\nno_value\nopen{a=\"b\n{} 3\n";
        let found: Vec<Sample<'_>> = samples(page).collect();
        let names: Vec<&str> = found.iter().map(|it| it.name).collect();
        assert_eq!(names, ["vllm:a", "plain", "big_total", "nan", "inf"]);
        assert_eq!(found[0].label("model_name").as_deref(), Some("x } \"y\" \\ \n"));
        assert_eq!(found[0].label("engine").as_deref(), Some("0"));
        assert_eq!(found[0].label("gone"), None);
        assert_eq!((found[0].value, found[1].value, found[2].value), (2.5, 4.0, 1000.0));
        assert!(found[3].value.is_nan() && found[4].value.is_infinite());
        assert_eq!(types(page).get("vllm:a"), Some(&"gauge"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            name in "[a-zA-Z_:][a-zA-Z0-9_:]{0,20}",
            labels in proptest::collection::vec(("[a-z_]{1,8}", any::<String>()), 0..4),
            value in any::<f64>().prop_filter("a number", |it| !it.is_nan()),
        ) {
            let quote = |text: &str| {
                let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
                // The format has no escape for these two, and `lines` takes them for ends.
                text.replace('\r', " ")
            };
            let inside: Vec<String> =
                labels.iter().map(|(key, value)| format!("{key}=\"{}\"", quote(value))).collect();
            let braces =
                if inside.is_empty() { String::new() } else { format!("{{{}}}", inside.join(",")) };
            let line = format!("{name}{braces} {value:?} 17");
            let found: Vec<Sample<'_>> = samples(&line).collect();
            prop_assert_eq!(found.len(), 1, "{}", line);
            prop_assert_eq!((found[0].name, found[0].value), (name.as_str(), value));
            if let Some((key, written)) = labels.first() {
                let read = found[0].label(key).map(Cow::into_owned);
                prop_assert_eq!(read, Some(written.replace('\r', " ")));
            }
        }

        #[test]
        fn any_text_is_read_without_harm(page in any::<String>()) {
            for sample in samples(&page) {
                let _any = sample.label("a");
            }
            let _any = types(&page);
        }
    }
}

//! Test results → `JUnit` XML, which every CI reads.
//!
//! In: suites of cases with their failures. Out: XML. Invariant: what stands in names and failures
//! can't break the document.

use std::fmt::Write as _;

/// The cases of one file.
#[derive(Debug, Clone)]
pub struct Suite {
    /// The file.
    pub name: String,
    /// In order.
    pub cases: Vec<Case>,
}

/// One case.
#[derive(Debug, Clone)]
pub struct Case {
    /// What it is called.
    pub name: String,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Why it failed; empty when it passed.
    pub failures: Vec<String>,
}

/// The suites as one document.
pub fn render(suites: &[Suite]) -> String {
    let all = || suites.iter().flat_map(|suite| &suite.cases);
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // Writing into a String can't fail.
    let _ = writeln!(out, "<testsuites name=\"runner\" {}>", counts(all()));
    for suite in suites {
        let name = escaped(&suite.name);
        let _ = writeln!(out, "  <testsuite name=\"{name}\" {}>", counts(suite.cases.iter()));
        for case in &suite.cases {
            let _ = write!(
                out,
                "    <testcase classname=\"{name}\" name=\"{}\" time=\"{:.3}\"",
                escaped(&case.name),
                case.seconds
            );
            if let Some(first) = case.failures.first() {
                let message = escaped(first.lines().next().unwrap_or_default());
                let _ = writeln!(
                    out,
                    ">\n      <failure message=\"{message}\">{}</failure>\n    </testcase>",
                    escaped(&case.failures.join("\n"))
                );
            } else {
                out.push_str("/>\n");
            }
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

fn counts<'c>(cases: impl Iterator<Item = &'c Case>) -> String {
    let (mut tests, mut failures, mut seconds) = (0, 0, 0.0);
    for case in cases {
        tests += 1;
        failures += usize::from(!case.failures.is_empty());
        seconds += case.seconds;
    }
    format!("tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" time=\"{seconds:.3}\"")
}

/// XML 1.0 has no way at all to say most control characters.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push(' '),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            control if control.is_control() => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_failures_can_not_break_the_document() {
        let case = Case {
            name: "a \"b\" <c> & \u{1b}".into(),
            seconds: 0.25,
            failures: vec!["x < 1\n]]>".into()],
        };
        let text = render(&[Suite { name: "p.test.yaml".into(), cases: vec![case] }]);
        assert!(text.contains("name=\"a &quot;b&quot; &lt;c&gt; &amp; \u{fffd}\""), "{text}");
        assert!(text.contains("<failure message=\"x &lt; 1\">x &lt; 1&#10;]]&gt;</failure>"));
        assert!(text.contains("tests=\"1\" failures=\"1\""));
    }
}

//! Test results → `JUnit` XML, which every CI reads.
//!
//! In: suites of cases with their results. Out: XML. Invariant: what stands in names and failures
//! can't break the document.

use std::fmt::Write as _;

/// The cases of one file, or of one stage.
#[derive(Debug, Clone)]
pub struct Suite {
    /// The file, or the stage.
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
    /// How it ended.
    pub result: CaseResult,
    /// The file and line where it is written.
    pub at: Option<(String, usize)>,
    /// What else there is to say.
    pub remark: Option<String>,
}

/// How a case ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CaseResult {
    /// It held.
    Passed,
    /// It did not hold: a headline, then details.
    Failed(String),
    /// It could not be judged.
    Broken(String),
    /// It had no turn.
    Skipped(String),
}

impl Case {
    /// A case that failed if there are failures.
    pub fn of(name: String, seconds: f64, failures: &[String]) -> Self {
        let result = match failures {
            [] => CaseResult::Passed,
            _ => CaseResult::Failed(failures.join("\n")),
        };
        Self { name, seconds, result, at: None, remark: None }
    }
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
            case.write(&name, &mut out);
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

impl Case {
    fn write(&self, suite: &str, out: &mut String) {
        let name = escaped(&self.name);
        let _ = write!(
            out,
            "    <testcase classname=\"{suite}\" name=\"{name}\" time=\"{:.3}\"",
            self.seconds
        );
        if let Some((file, line)) = &self.at {
            let _ = write!(out, " file=\"{}\" line=\"{line}\"", escaped(file));
        }
        let mut inner = match &self.result {
            CaseResult::Passed => String::new(),
            CaseResult::Failed(why) => element("failure", why),
            CaseResult::Broken(why) => element("error", why),
            CaseResult::Skipped(why) => element("skipped", why),
        };
        if let Some(remark) = &self.remark {
            let _ = writeln!(inner, "      <system-out>{}</system-out>", escaped(remark));
        }
        if inner.is_empty() {
            out.push_str("/>\n");
        } else {
            let _ = writeln!(out, ">\n{inner}    </testcase>");
        }
    }
}

/// The first line as the headline, all of it as the text.
fn element(name: &str, why: &str) -> String {
    let headline = escaped(why.lines().next().unwrap_or_default());
    format!("      <{name} message=\"{headline}\">{}</{name}>\n", escaped(why))
}

fn counts<'c>(cases: impl Iterator<Item = &'c Case>) -> String {
    let (mut tests, mut failures, mut errors, mut skipped, mut seconds) = (0, 0, 0, 0, 0.0);
    for case in cases {
        tests += 1;
        seconds += case.seconds;
        match case.result {
            CaseResult::Passed => {}
            CaseResult::Failed(_) => failures += 1,
            CaseResult::Broken(_) => errors += 1,
            CaseResult::Skipped(_) => skipped += 1,
        }
    }
    format!(
        "tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\" \
         time=\"{seconds:.3}\""
    )
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
        let case = Case::of("a \"b\" <c> & \u{1b}".into(), 0.25, &["x < 1\n]]>".into()]);
        let text = render(&[Suite { name: "p.test.yaml".into(), cases: vec![case] }]);
        assert!(text.contains("name=\"a &quot;b&quot; &lt;c&gt; &amp; \u{fffd}\""), "{text}");
        assert!(text.contains("<failure message=\"x &lt; 1\">x &lt; 1&#10;]]&gt;</failure>"));
        assert!(text.contains("tests=\"1\" failures=\"1\""));
    }
}

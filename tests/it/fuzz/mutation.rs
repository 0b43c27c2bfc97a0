//! A number → a plan's text with something changed.
//!
//! In: every plan of `scenarios/` and `tests/plans/`. Out: cases. Invariant: a case depends on its
//! number and these files alone, so that a panic can be had again.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use runner::plan::LoadOptions;

/// Words that a reader may stumble over.
const NASTY: &[&str] = &[
    "${",
    "}",
    "${x}",
    "$${",
    "${env:HOME}",
    "${env:X:-}",
    "${env:X:?why}",
    "${secret:K}",
    "${plan.name}",
    "{{",
    "}}",
    "{{ row.a }}",
    "{{ params.x }}",
    "{% for x in range(9) %}",
    "{% endfor %}",
    "{#",
    "{{ filler(5) }}",
    "{{ read('x') }}",
    "{{ truncate(context, 3) }}",
    "{{ rng.int(1, 2) }}",
    "{{ rng.int(to=2, from=1) }}",
    "{{ filler(tokens=5, number=1) }}",
    "{{ x | truncate(tokens=2) }}",
    "&a",
    "*a",
    "<<:",
    "!!str",
    "!x",
    "|",
    ">-",
    "? ",
    "---",
    "...",
    "%YAML 1.2",
    "\t",
    "\u{feff}",
    "\u{0}",
    "\u{85}",
    "\u{2028}",
    "\u{202e}",
    "é",
    "🦀",
    "e\u{301}",
    "\r\n",
    "\r",
    "\"",
    "'",
    "\\",
    "\"\"\"",
    "'''",
    "\\u0000",
    "\\xff",
    "[",
    "]",
    "{",
    "}",
    "[[",
    "]]",
    ",",
    ":",
    ": ",
    "- ",
    "#",
    "null",
    "~",
    "true",
    "yes",
    ".inf",
    ".nan",
    "inf",
    "nan",
    "-0",
    "0x10",
    "0o7",
    "1_000",
    "1e400",
    "1e-400",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775809",
    "18446744073709551615",
    "340282366920938463463374607431768211456",
    "0.1",
    "-1",
    "0",
    "00",
    "1k",
    "1M",
    "99999999G",
    "1h30m",
    "1e9s",
    "999999999d",
    "0ms",
    "4KiB",
    "1,2,4-32*2",
    "1-1000000",
    "5-1",
    "1-9*1",
    "1-9/0",
    "100%",
    "-5%",
    "1e300%",
    "8/s",
    "30/min",
    "1/0",
    "ttft.p99 < 800ms",
    "ttft.p100.5 < 1s",
    "error_rate > ",
    "cache == warm",
    "a.b.c < 0.5 * d.e.f",
    "0.5 * ",
    "baseline",
    "baseline + 10%",
    "baseline - ",
    "ttft.p50 <= baseline * 2",
    "where",
    "over",
    "abort",
    "stop_when",
    "min_samples",
    "extends: base.yaml",
    "include: [parts/endpoints.yaml]",
    "matrix: { a: [1, 2] }",
    "like: cold",
    "needs: []",
    "kind: cold",
    "kind: qps_ladder",
    "kind: replay",
    "kind: search",
    "kind: conversation",
    "a.b.c < d.e.f",
    "{ check: ttft.p50 < 1s, where: rate <= 8 }",
    "version: 1",
    "http://[::1",
    "http://u:p@h",
    "csv:",
    "2026-11-22T00:00:00Z",
];

/// Files of values, right and wrong.
const PARAM_FILES: [&str; 6] =
    ["mixed.env", "names.env", "values.env", "values.json", "values.toml", "values.yaml"];

/// A plan and what the command line says.
pub struct Case {
    pub name: String,
    pub text: String,
    pub options: LoadOptions,
}

/// What cases are made of.
pub struct Corpus {
    /// Path and text; those of `scenarios/` last.
    plans: Vec<(String, String)>,
    /// The first of `scenarios/`.
    good: usize,
    words: Vec<String>,
}

impl Corpus {
    pub fn of_the_repository() -> Self {
        let mut paths: Vec<PathBuf> = Vec::new();
        for folder in ["scenarios", "tests/plans/bad", "tests/plans/bad/parts"] {
            let entries = fs::read_dir(folder).expect("the folder is there");
            paths.extend(entries.map(|entry| entry.expect("an entry").path()));
        }
        let is_plan = |path: &Path| {
            path.extension().is_some_and(|ending| ending == "yaml" || ending == "toml")
        };
        paths.retain(|path| is_plan(path));
        paths.sort_by_key(|path| (path.starts_with("scenarios"), path.clone()));
        let plans: Vec<(String, String)> = paths
            .iter()
            .filter_map(|path| Some((path.display().to_string(), fs::read_to_string(path).ok()?)))
            // The bomb and its like are tests of their own, and too slow to be tried a million times.
            .filter(|(_, text)| text.len() < 20_000)
            .collect();
        let is_border = |it: char| it.is_whitespace() || "[]{},:\"'".contains(it);
        let words: BTreeSet<&str> = plans
            .iter()
            .flat_map(|(_, text)| text.split(is_border))
            .filter(|word| !word.is_empty() && word.len() < 40)
            .collect();
        let words = words.into_iter().map(str::to_owned).collect();
        let good = plans.iter().position(|(path, _)| path.starts_with("scenarios")).unwrap_or(0);
        Self { plans, good, words }
    }

    pub fn plans(&self) -> usize {
        self.plans.len()
    }

    /// A plan as it is.
    pub fn plain(&self, index: usize) -> Case {
        let (name, text) = self.plans[index].clone();
        Case { name, text, options: LoadOptions::default() }
    }

    /// The case of a number.
    pub fn case(&self, number: u64) -> Case {
        let mut rng = ChaCha8Rng::seed_from_u64(number);
        // Half of the cases begin with a plan that is right, and most change little: what does not
        // parse says nothing of the steps behind the parser.
        let first = if rng.random_range(0..2) == 0 { self.good } else { 0 };
        let (name, text) = self.plans[rng.random_range(first..self.plans.len())].clone();
        let mut text = text.into_bytes();
        self.mutate(&mut text, &mut rng);
        while rng.random_range(0..5) < 3 {
            self.mutate(&mut text, &mut rng);
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        // Now and then, one format's text under the other's name.
        let name = match rng.random_range(0..40) {
            0 => name.replace(".yaml", ".toml"),
            1 => name.replace(".toml", ".yaml"),
            _ => name,
        };
        Case { name, text, options: self.options(&mut rng) }
    }

    fn word(&self, rng: &mut ChaCha8Rng) -> &str {
        if rng.random_range(0..2) == 0 {
            NASTY[rng.random_range(0..NASTY.len())]
        } else {
            &self.words[rng.random_range(0..self.words.len())]
        }
    }

    fn mutate(&self, text: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
        let at = rng.random_range(0..=text.len());
        let len = rng.random_range(0..60).min(text.len() - at);
        match rng.random_range(0..12) {
            // one bit, one byte
            0 if at < text.len() => text[at] ^= 1 << rng.random_range(0..8_u8),
            1 if at < text.len() => text[at] = rng.random_range(9..127_u8),
            // a word: put in, or in place of one that is there
            2 => insert(text, at, self.word(rng).as_bytes()),
            3 | 4 => {
                let from = text[..at].iter().rposition(|it| is_border(*it)).map_or(0, |it| it + 1);
                let rest = text[at..].iter().position(|it| is_border(*it));
                let to = rest.map_or(text.len(), |it| at + it);
                let _out = text.splice(from..to, self.word(rng).bytes()).count();
            }
            // a stretch: gone, or twice
            5 => drop(text.drain(at..at + len)),
            6 => {
                let part = text[at..at + len].to_vec();
                insert(text, at, &part);
            }
            // lines: of another plan, one's own elsewhere, further in or out
            7 | 8 => {
                let (_, other) = &self.plans[rng.random_range(0..self.plans.len())];
                let lines: Vec<&str> = other.split_inclusive('\n').collect();
                if lines.is_empty() {
                    return;
                }
                let first = rng.random_range(0..lines.len());
                let last = (first + rng.random_range(1..8)).min(lines.len());
                insert(text, line_start(text, at), lines[first..last].concat().as_bytes());
            }
            9 => {
                let from = line_start(text, at);
                let to = text[from..].iter().position(|it| *it == b'\n');
                let to = to.map_or(text.len(), |it| from + it + 1);
                let line: Vec<u8> = text.drain(from..to).collect();
                let to = line_start(text, rng.random_range(0..=text.len()));
                insert(text, to, &line);
            }
            10 => {
                let from = line_start(text, at);
                if rng.random_range(0..2) == 0 {
                    insert(text, from, b"  ");
                } else if text[from..].starts_with(b"  ") {
                    drop(text.drain(from..from + 2));
                }
            }
            // the end is missing, or there is too much of it
            _ if rng.random_range(0..4) == 0 => text.truncate(at),
            _ => {
                let word = self.word(rng).repeat(rng.random_range(1..30));
                insert(text, at, word.as_bytes());
            }
        }
    }

    /// Flags, mostly none.
    fn options(&self, rng: &mut ChaCha8Rng) -> LoadOptions {
        let mut options = LoadOptions::default();
        if rng.random_range(0..3) > 0 {
            return options;
        }
        let mut word = || self.word(rng).to_owned();
        for (name, value) in
            [("HOME", word()), ("X", word()), ("BENCH_DOCS", word()), ("K", word())]
        {
            options.environment.insert(name.to_owned(), value);
        }
        let (name, value, other) = (word(), word(), word());
        match rng.random_range(0..10) {
            8 => options.shard = Some((1, 3)),
            9 => {
                let file = PARAM_FILES[value.len() % PARAM_FILES.len()];
                options.params_files.push(Path::new("tests/plans/bad/parts").join(file));
            }
            0 => options.params.push((name, value)),
            1 => options.set.push(format!("{name}={value}")),
            2 => options.set.push(format!("stages.{name}.{value}={other}")),
            3 => options.select.push(name),
            4 => options.exclude.push(format!("+{name}")),
            5 => options.matrix.push((name, value)),
            6 => options.endpoint = Some(value),
            _ => options.smoke = true,
        }
        options
    }
}

fn is_border(byte: u8) -> bool {
    byte.is_ascii_whitespace() || b"[]{},:\"'=".contains(&byte)
}

fn line_start(text: &[u8], at: usize) -> usize {
    text[..at].iter().rposition(|it| *it == b'\n').map_or(0, |it| it + 1)
}

fn insert(text: &mut Vec<u8>, at: usize, part: &[u8]) {
    let _out = text.splice(at..at, part.iter().copied()).count();
}

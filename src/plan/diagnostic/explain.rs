//! `runner explain CODE`: what a diagnostic means, at length.
//!
//! In: a [`Code`]. Out: why it is said, what causes it, and what to do. Invariant: every code has
//! all three, and the cause is something a person can type.

use super::Code;

/// What is to be said about a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explanation {
    /// What it means and why it matters.
    pub meaning: &'static str,
    /// Something that causes it.
    pub example: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

const fn of(meaning: &'static str, example: &'static str, remedy: &'static str) -> Explanation {
    Explanation { meaning, example, remedy }
}

impl Code {
    /// Why it is said, what causes it, what to do.
    #[expect(clippy::too_many_lines, reason = "one entry per code, nothing to divide")]
    pub fn explanation(self) -> Explanation {
        match self {
            Self::File => of(
                "The plan's file can't be read, or its name says neither YAML nor TOML.",
                "runner run plan.txt",
                "Check the path, which is relative to the current directory, and name the file `….yaml`, `….yml` or `….toml`.",
            ),
            Self::Syntax => of(
                "The text is not YAML (or TOML), so nothing more can be said about it. In YAML a `${…}` or `{{ … }}` inside `[ ]` or `{ }` must be quoted.",
                "requests: [${docs}",
                "Mend the text at the place shown; quote values that contain `{`, `}`, `[`, `]`, `#` or `: `.",
            ),
            Self::DuplicateKey => of(
                "A key stands twice in one map. Parsers disagree on which one counts, so neither does.",
                "seed: 1\nseed: 2",
                "Keep one of them.",
            ),
            Self::Limit => of(
                "The plan is larger, deeper or more repetitive than any plan needs to be: 1 MiB of text, 32 levels, or aliases that multiply.",
                "x-a: &a [*a0, *a0, *a0]   # ten levels of this",
                "Keep data in a dataset file and name it in `prompt.dataset`; flatten what is nested.",
            ),
            Self::Tag => of(
                "YAML tags such as `!include` run code or change types in some tools; here they mean nothing.",
                "prompt: !include prompt.txt",
                "Remove the tag. Files are named by keys made for them, and `{{ read('prompt.txt') }}` reads one in a prompt.",
            ),
            Self::Reuse => of(
                "A file under `extends` or `include` can't be used: it is missing, no regular file, outside the plan's root, or holds what such a file may not hold. Libraries hold endpoints, params, defaults and prompts, never stages.",
                "include: [../../secret/endpoints.yaml]",
                "Check the path, which is relative to the file that names it; move the file below the plan's root, or allow it with --allow-outside-root.",
            ),
            Self::Clash => of(
                "A library declares a name that the plan or another library declares, too, and nothing says which is meant.",
                "include: [team.yaml, local.yaml]   # both declare the endpoint `canary`",
                "Rename one of them. Only a plan that `extends` another may replace what that has.",
            ),
            Self::FileCycle => of(
                "Plans extend one another in a circle, so that none of them has a beginning.",
                "extends: b.yaml   # and b.yaml says extends: a.yaml",
                "Take one of the links out; what both need belongs into a third file.",
            ),
            Self::ParamFile => of(
                "A file of `--params-file` can't be read as YAML, TOML, JSON or dotenv, or holds something other than names and values.",
                "runner run plan.yaml --params-file params.txt",
                "Write `NAME: value` (YAML), `NAME = value` (TOML), a JSON object, or `NAME=value` lines (`.env`).",
            ),
            Self::Matrix => of(
                "An axis or a cell of `matrix` makes no sense: an axis without values, a value the param refuses, an exclude that matches nothing, or too many cells.",
                "matrix:\n  docs: []",
                "Give each axis at least one value of its param's type, and let `include` and `exclude` name axes that exist.",
            ),
            Self::Selection => of(
                "The plan is fine, but `--select`, `--exclude`, `--matrix` or `--shard` leaves nothing of it to run. The exit code is 11, so that CI can tell it from a broken plan.",
                "runner run plan.yaml --select tag:nightly",
                "Look at the ids, tags and kinds with `runner plan`, and choose one that exists.",
            ),
            Self::Set => of(
                "`--set` names a place that the plan does not have.",
                "runner run plan.yaml --set stages.clod.requests=5",
                "Write the path as the plan has it, stages by their id: `stages.cold.requests=5`.",
            ),
            Self::Version => of(
                "A plan says which version of the language it is written in, so that it still means the same in years.",
                "name: my-plan",
                "Begin the plan with `version: 1`.",
            ),
            Self::UnknownKey => of(
                "No such key exists at this place. A key that is ignored would be a setting that silently does nothing.",
                "stages:\n  - kind: cold\n    request: 10",
                "Follow the suggestion, or remove the key. At the top level, keys that begin with `x-` are free for anchors and notes.",
            ),
            Self::Type => of(
                "A value of one shape stands where another is needed: a list instead of a number, a text instead of a map.",
                "stages: cold",
                "Write the shape that the message names; an editor with the plan's schema shows it on hover.",
            ),
            Self::MissingKey => of(
                "A key that has no sensible default is missing.",
                "stages:\n  - id: first",
                "Add the key that the message names.",
            ),
            Self::Value => of(
                "The value has the right type and still says nothing sensible, such as a count of zero or a duration without a unit.",
                "requests: 0",
                "Write a value within the limits that the message names. Durations need a unit: `250ms`, `30s`, `1m30s`.",
            ),
            Self::Choice => of(
                "The word is not among those allowed here.",
                "kind: hot",
                "Use one of the words in the message.",
            ),
            Self::Conflict => of(
                "Two keys contradict each other, or one of them would have no effect.",
                "prompt:\n  text: Hello\n  messages: []",
                "Keep one of them.",
            ),
            Self::ParamMissing => of(
                "A param has no default, and no value came from `--param`, a params file, `RUNNER_PARAM_NAME` or the environment variables it lists. A variable that is set but empty counts as unset.",
                "params:\n  url: { type: url, env: BENCH_URL }   # and BENCH_URL is not set",
                "Give it by one of the ways that the message lists, or declare a `default`.",
            ),
            Self::ParamValue => of(
                "A param's value breaks its own declaration: its type, `min`, `max`, `choices` or `pattern`.",
                "runner run plan.yaml --param docs=many",
                "Give a value that fits; `runner params PLAN` shows each param with its type and source.",
            ),
            Self::ParamUndeclared => of(
                "A value was given for a param that the plan does not declare. It would have had no effect.",
                "runner run plan.yaml --param dosc=4",
                "Mend the name, or declare the param under `params:`.",
            ),
            Self::ParamDeclaration => of(
                "A param's declaration contradicts itself, such as a `min` above its `max`.",
                "docs: { type: int, min: 5, max: 3 }",
                "Mend the declaration.",
            ),
            Self::ParamUnused => of(
                "A param is declared, but nothing refers to it, so that setting it would change nothing.",
                "params:\n  docs: { type: int, default: 8 }   # and no ${docs} anywhere",
                "Use it as `${name}` (or `{{ params.name }}` in a prompt), or remove it.",
            ),
            Self::Reference => of(
                "`${name}` refers to something that does not exist: not a param, not `plan.name`.",
                "requests: ${dosc}",
                "Mend the name, or declare the param. Environment variables are `${env:NAME}`.",
            ),
            Self::ReferenceSyntax => of(
                "A `${` that does not begin a reference, or is never closed.",
                "name: ${docs",
                "Write `${name}`, `${env:NAME:-default}` or `${secret:NAME}`; a literal `${` is written `$${`.",
            ),
            Self::Environment => of(
                "`${env:NAME}` names a variable that is not set (or is empty), and gives no default.",
                "name: ${env:BRANCH}",
                "Set the variable, or give a default: `${env:BRANCH:-main}`.",
            ),
            Self::Secret => of(
                "A secret stands where it could leak, or is not set. Secrets go into `api_key` and `headers` only, and are hidden in everything that is printed or written.",
                "prompt: \"My key is ${secret:KEY}\"",
                "Move it to `api_key` or `headers` of an endpoint, and set the variable.",
            ),
            Self::Template => of(
                "`{{ }}` stands where no template runs, or would come in with a value from outside.",
                "name: \"{{ i }}\"",
                "Use `${name}` for what is known when the plan is read; `{{ … }}` belongs to `prompt` (and to an endpoint's `json.body`) only. Insert params as data: `{{ params.name }}`.",
            ),
            Self::TemplateFails => of(
                "A template can't be compiled, or fails with the first row of its dataset. Found before anything is sent, since a run that fails at its first request has cost time already.",
                "prompt: \"{{ row.qestion }}\"",
                "Mend the template at the line shown. It knows row, i, stage, params, context, rng, and the functions filler, random_text, read, truncate and uuid.",
            ),
            Self::StageId => of(
                "Two stages have one id, or an id has letters that can't stand in file names and thresholds.",
                "- { kind: cold, id: a }\n- { kind: warm, id: a }",
                "Give each stage an id of its own: letters, digits, `_` and `-`, beginning with a letter.",
            ),
            Self::Needs => of(
                "`needs` names a stage that does not exist, or the stage itself.",
                "- { kind: warm, needs: [clod] }",
                "Mend the name. Without `needs` a stage waits for the one before it; `needs: []` waits for none.",
            ),
            Self::Like => of(
                "`like` names no earlier cold or warm stage, so there are no prompts to repeat.",
                "- { kind: warm, like: flush }",
                "Name a cold or warm stage that stands before this one.",
            ),
            Self::Incomplete => of(
                "Something that a run needs is given nowhere: an endpoint, a prompt, stages.",
                "version: 1\nstages: [{ kind: cold }]",
                "Add the key that the message names.",
            ),
            Self::Profile => of(
                "An endpoint names a profile that `endpoints:` does not have.",
                "endpoint: prod   # and no endpoints.prod",
                "Mend the name, add the profile, or give a URL.",
            ),
            Self::Url => of(
                "An endpoint's URL can't be used: no http or https, credentials in it, a query.",
                "endpoint: { url: localhost:8000 }",
                "Write `http://HOST:PORT/v1`; keys belong to `api_key`.",
            ),
            Self::Credential => of(
                "A credential is written into the plan, where version control keeps it for ever.",
                "api_key: sk-1234",
                "Write `${secret:NAME}` and set the variable NAME.",
            ),
            Self::Header => of(
                "A header's name or value is not allowed by HTTP, or runner sets it itself.",
                "headers: { \"X Key\": 1 }",
                "Mend the name; letters, digits and `-`.",
            ),
            Self::Path => of(
                "A file that the plan names can't be used: it does not exist, is no regular file, or lies outside the plan's root.",
                "prompt: { text: hi, dataset: ../../secret.jsonl }",
                "Mend the path, which is relative to the plan's file. `--allow-outside-root` lets data lie elsewhere.",
            ),
            Self::Dataset => of(
                "The rows of a dataset can't be read, are not what its format promises, or say nothing that could be asked.",
                "prompt: { dataset: rows.csv }   # and its columns are no prompt",
                "Mend the row at the line that is named, name the `format:`, leave such rows out with `on_malformed: skip`, or say in `text:` how a row's fields make a prompt.",
            ),
            Self::Threshold => of(
                "A check can't be read.",
                "thresholds: [ttft.p50 is fast]",
                "Write `metric.aggregate op limit`, such as `ttft.p99 < 800ms`, `ttft.p50 <= 0.5 * cold.ttft.p50` or `ttft.p95 <= baseline + 10%`.",
            ),
            Self::Metric => of(
                "A check names a metric that does not exist. It would never have had data.",
                "thresholds: [tftt.p50 < 1s]",
                "Follow the suggestion; the help lists all metrics.",
            ),
            Self::Aggregate => of(
                "A distribution needs an aggregate (`ttft.p50`), and a plain number has none (`error_rate`).",
                "thresholds: [ttft < 1s]",
                "Add `.p50`, `.p99`, `.mean`, `.min`, `.max`, `.std` or `.count`, or remove it.",
            ),
            Self::ThresholdStage => of(
                "A check is about a stage that can't answer it: it does not exist, sends no requests, has not run by then, or has no rungs where rungs are spoken of (and the other way round).",
                "thresholds: [ttft.p50 < later.ttft.p50]",
                "Name a stage that sends requests, has run before the check is judged, and has the rungs of the stage that is judged.",
            ),
            Self::Unit => of(
                "A limit has no unit, or the wrong one.",
                "thresholds: [ttft.p50 < 800]",
                "Times need a unit (`800ms`), shares are `1%` or 0 to 1, rates are `8`, `8/s` or `30/min`.",
            ),
            Self::Baseline => of(
                "A check compares with an earlier run, and that run is not given, or has no such stage or number.",
                "thresholds: [ttft.p95 <= baseline + 10%]   # without --baseline",
                "Run with `--baseline results/PLAN/RUN`. Stages are matched by id, rung and cell.",
            ),
            Self::Sink => of(
                "A sink can't be read, its kind is unknown, or its target does not suit it.",
                "sinks: [cvs:rows.csv]",
                "Write `KIND:TARGET`: `csv:PATH` and the like, `prometheus:HOST:PORT`, `otlp:URL`; `-` is standard output, which one sink may have; an empty target turns it off.",
            ),
            Self::Cycle => of(
                "Stages wait for one another, so none can ever begin.",
                "- { kind: cold, id: a, needs: [b] }\n- { kind: cold, id: b, needs: [a] }",
                "Remove one of the `needs`.",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_meaning_an_example_and_a_remedy() {
        for code in Code::ALL {
            let Explanation { meaning, example, remedy } = code.explanation();
            for text in [meaning, example, remedy] {
                assert!(text.len() > 5, "{code}: {text:?}");
            }
            assert!(meaning.ends_with('.') && remedy.ends_with('.'), "{code}");
            assert_eq!(Code::find(code.number()), Some(*code));
        }
    }

    #[test]
    fn numbers_are_unique() {
        let mut numbers: Vec<_> = Code::ALL.iter().map(|code| code.number()).collect();
        numbers.sort_unstable();
        let count = numbers.len();
        numbers.dedup();
        assert_eq!(numbers.len(), count);
    }
}

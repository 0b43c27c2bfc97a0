//! The reader on any text at all: it answers, and never falls over.

use proptest::prelude::*;
use runner::plan::diagnostic::Code;
use runner::plan::{self, LoadOptions, diagnostic};

/// Loads a text as both formats and renders what is said of it.
fn read(text: &str) {
    for name in ["any.yaml", "any.toml"] {
        if let Err(error) = plan::load_text(name, text, &LoadOptions::default()) {
            let shown =
                diagnostic::render(&error.diagnostics, &error.sources, &error.redactor, true);
            assert!(shown.contains("error"), "{text:?} is refused without a word");
            let _ = diagnostic::render_json(&error.diagnostics, &error.sources);
        }
    }
}

/// A line of a plan, right or wrong.
fn line() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "version: 1",
        "endpoint: http://a/v1",
        "endpoint:",
        "  url: ${x}",
        "  simulator: {}",
        "prompt: hi",
        "prompt:",
        "  text: \"{{ row.a }}\"",
        "  context: { tokens: 4k }",
        "stages:",
        "  - kind: cold",
        "  - kind: warm",
        "  - kind: [",
        "    like: cold",
        "    needs: [a]",
        "    requests: ${docs}",
        "    requests: -1",
        "    thresholds:",
        "      - ttft.p50 < 1s",
        "      - cache == ",
        "      - ttft.p95 <= baseline + 10%",
        "      - { check: error_rate <= baseline -, where: rate <= 8, allow_no_data: true }",
        "    abort: [error_rate > 20%]",
        "    stop_when:",
        "      - { check: ttft.p99 > 5s, over: 30s, min_samples: 50 }",
        "params:",
        "  docs: { type: int, default: 3 }",
        "  x: { type: }",
        "x-a: &a",
        "    <<: *a",
        "  - *a",
        "- ",
        "\t",
        "é: ü",
        "sinks: [csv:]",
        "name: ${",
        "[endpoint]",
        "[[stages]]",
        "kind = \"cold\"",
        "version = 1",
        "a.b = 3",
        "[params]",
        "docs = { type = \"int\" }",
        "prompt = \"\"\"",
        "endpoint = \"${env:X:-http://b}\"",
        "endpoints: { a: { url: http://u:p@h } }",
        "nonce: \"\"",
        "tags: { a: 1.10 }",
        "? x",
        "...",
        "!!binary x",
        "seed: 99999999999999999999999999",
        "  headers: { \"a b\": \"c\\nd\" }",
    ]);
    prop_oneof![9 => words.prop_map(str::to_owned), 1 => "\\PC{0,12}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_text_is_answered(text in "\\PC{0,80}") {
        read(&text);
    }

    #[test]
    fn any_pile_of_lines_is_answered(lines in prop::collection::vec(line(), 0..14)) {
        read(&lines.join("\n"));
    }

    #[test]
    fn any_cut_of_a_real_plan_is_answered(from in 0_usize..1_800, len in 0_usize..1_800) {
        for name in ["scenarios/cache-eviction.yaml", "scenarios/cache-eviction.toml"] {
            let text = std::fs::read_to_string(name).expect("it reads");
            let chars: Vec<char> = text.chars().collect();
            let start = from.min(chars.len());
            let end = (start + len).min(chars.len());
            let cut: String = chars[..start].iter().chain(&chars[end..]).collect();
            read(&cut);
        }
    }
}

/// What this thread has had of a core, whatever else the machine was at.
fn cpu_seconds() -> i64 {
    rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime).tv_sec
}

#[test]
fn hostile_texts_are_refused_quickly() {
    let bomb = {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
            let line = format!("a{level}: &a{level} [{aliases}]\n");
            text.push_str(&line);
        }
        text
    };
    let deep = "[".repeat(200_000);
    let maps = "{a: ".repeat(100_000);
    let wide = format!("version: 1\nx-a: [{}]", "1, ".repeat(300_000));
    for (name, text) in
        [("bomb.yaml", &bomb), ("deep.yaml", &deep), ("maps.yaml", &maps), ("wide.yaml", &wide)]
    {
        let error = plan::load_text(name, text, &LoadOptions::default()).expect_err("hostile");
        let codes: Vec<Code> = error.diagnostics.iter().map(|it| it.code).collect();
        // What is never closed is a mistake of syntax as well; either is a refusal.
        assert!(matches!(codes.as_slice(), [Code::Limit | Code::Syntax]), "{name}: {codes:?}");
    }
    let dollars = format!("version: 1\nprompt: \"{}\"", "${".repeat(100_000));
    let dotted = format!("{} = 1\n[{}]", vec!["a"; 20_000].join("."), vec!["b"; 20_000].join("."));
    let references = format!("version: 1\nname: \"\\n{}\"", "${plan.x}".repeat(100_000));
    let templates = format!("version: 1\nprompt: '{{{{ {}'", "params.a ".repeat(100_000));
    let tables = (0..60_000).fold(String::new(), |text, n| text + &format!("[a{n}.b.c]\n"));
    let checks = format!(
        "version: 1\nendpoint: http://a/v1\nprompt: hi\nstages: [{{ kind: cold, thresholds: [{}] }}]",
        "tftt.p50 < 1s, ".repeat(40_000)
    );
    let stairs = (0..3_000).fold(String::new(), |text, n| text + &" ".repeat(n % 200) + "a:\n");
    let many = [references, templates, tables, checks];
    for text in [bomb, deep, maps, wide, dollars, dotted, stairs].into_iter().chain(many) {
        let before = cpu_seconds();
        read(&text);
        // A tenth of a second in a release build; this is a debug one.
        assert!(cpu_seconds() - before < 10, "{text:.20}…");
    }
}

/// Half a gigabyte out of a text of a few kilobytes.
#[test]
fn references_that_multiply_are_refused() {
    let text = format!(
        "version: 1\nparams: {{ a: {{ type: string, default: {} }} }}\nprompt: \"{}\"\n",
        "x".repeat(400_000),
        "${a}".repeat(2_000)
    );
    let long = "x".repeat(400_000);
    let alone = format!(
        "version: 1\nparams: {{ a: {{ type: string, default: {long} }} }}\nprompt: {{ text: hi, body: {{ \
         a: [{}] }} }}\n",
        "\"${a}\",".repeat(2_000)
    );
    let defaults = format!(
        "version: 1\ndefaults: {{ prompt: {long} }}\nstages:\n{}",
        "  - kind: cold\n".repeat(2_000)
    );
    for text in [text, alone, defaults] {
        let error =
            plan::load_text("plan.yaml", &text, &LoadOptions::default()).expect_err("too large");
        let codes: Vec<Code> = error.diagnostics.iter().map(|it| it.code).collect();
        assert!(codes.contains(&Code::Limit), "{codes:?}");
    }
}

#[test]
fn of_very_many_problems_the_first_are_shown_and_all_are_counted() {
    let keys = (0..5_000).fold(String::new(), |text, n| format!("{text}k{n}: 1\n"));
    let error = plan::load_text("plan.yaml", &keys, &LoadOptions::default()).expect_err("refused");
    let shown = diagnostic::render(&error.diagnostics, &error.sources, &error.redactor, false);
    let count = error.diagnostics.len();
    assert!(count > 5_000 && shown.contains(&format!("… and {} more", count - 200)), "{count}");
    assert!(shown.ends_with(&format!("{count} errors\n")));
    let json = diagnostic::json(&error.diagnostics, &error.sources);
    assert_eq!(json.as_array().map(Vec::len), Some(count));
}

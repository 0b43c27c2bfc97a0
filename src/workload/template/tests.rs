//! Templates: what they draw, what they may read, where they end, what their errors say.

use serde_json::{Value, json};

use super::*;

fn render(text: &str, index: u64) -> Result<String, TemplateProblem> {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("inner")).expect("a folder");
    std::fs::write(folder.path().join("inner/a.txt"), "inside").expect("a file");
    std::fs::write(folder.path().join("b.txt"), "outside").expect("a file");
    let inner = folder.path().join("inner");
    let files = FileAccess { folder: inner.clone(), root: Some(inner) };
    let mut templates = Templates::new(&files, &Tokenizer::Estimate);
    templates.add("t".into(), text)?;
    let (row, params) = (json!({ "q": "a secret question" }), Value::Null);
    let functions = Functions::new(7, "cold", index, &Tokenizer::Estimate);
    let variables = scope(&row, &params, index).variables(&functions);
    templates.render("t", &variables, &[&row])
}

fn scope<'s>(row: &'s Value, params: &'s Value, i: u64) -> Scope<'s> {
    Scope { row, params, i, stage: "cold", context: "", session: Some("s-1"), turn: None }
}

/// A text as a value of JSON, with a row of several types.
fn value(text: &str) -> Result<Value, TemplateProblem> {
    let files = FileAccess { folder: ".".into(), root: None };
    let templates = Templates::new(&files, &Tokenizer::Estimate);
    let row = json!({ "n": 12, "x": 0.5, "ok": true, "none": null, "text": "{{ i }}\n",
                      "tools": [{ "type": "f", "a": { "z": 1, "b": 2 } }] });
    let functions = Functions::new(7, "cold", 3, &Tokenizer::Estimate);
    let variables = scope(&row, &Value::Null, 3).variables(&functions);
    templates.render_value(text, &variables, &[&row])
}

#[test]
fn the_last_line_end_stays() {
    assert_eq!(render("a\n", 0).as_deref(), Ok("a\n"));
    assert_eq!(render("{{ i }}\n\n", 5).as_deref(), Ok("5\n\n"));
    assert_eq!(render("a\r\n", 0).as_deref(), Ok("a\r\n"));
}

#[test]
fn a_value_that_is_one_expression_keeps_its_type() {
    let tools = json!([{ "type": "f", "a": { "z": 1, "b": 2 } }]);
    for (text, right) in [
        ("{{ row.n }}", json!(12)),
        ("{{row.x}}", json!(0.5)),
        ("{{- row.ok -}}", json!(true)),
        ("{{ row.none }}", json!(null)),
        ("{{ row.tools }}", tools.clone()),
        ("{{ row.tools[0].a.b + 1 }}", json!(3)),
        ("{{ row.text }}", json!("{{ i }}\n")),
        ("{{ { 'n': row.n, 'list': [i] } }}", json!({ "n": 12, "list": [3] })),
        ("{{ row.n | string }}", json!("12")),
        ("{{ row.tools[0].a | tojson }}", json!("{\"z\": 1, \"b\": 2}")),
        ("{{ rng.choice([7]) }}", json!(7)),
        // More than one expression is a text.
        ("{{ i }}{{ i }}", json!("33")),
        ("{{ i }} ", json!("3 ")),
        ("n={{ row.n }}", json!("n=12")),
        ("{{ '}}' }}", json!("}}")),
    ] {
        assert_eq!(value(text), Ok(right), "{text}");
    }
    // The order of keys is the row's, too.
    assert_eq!(value("{{ row.tools }}").unwrap().to_string(), tools.to_string());
    assert!(value("{{ row.m }}").unwrap_err().message.contains("row.m"));
    assert!(value("{{ turn }}").unwrap_err().message.contains("`turn` is undefined"));
    assert!(value("{{ range }}").is_err());
    assert!(value("{{ [filler(4000000), filler(4000000), filler(4000000)] }}").is_err());
}

#[test]
fn a_template_knows_the_session() {
    assert_eq!(render("{{ session }}", 0).as_deref(), Ok("s-1"));
    assert_eq!(render("{{ turn | default('none') }}", 0).as_deref(), Ok("none"));
}

fn fails(text: &str) -> TemplateProblem {
    render(text, 0).expect_err("it must not render")
}

#[test]
fn what_is_drawn_depends_on_seed_and_index_alone() {
    let text = "{{ uuid() }} {{ rng.int(1, 1000000) }} {{ rng.choice([1, 2, 3]) }} \
                {{ random_text(20) }} {{ filler(20) }} {{ rng.float() }}";
    assert_eq!(render(text, 3), render(text, 3));
    assert_ne!(render(text, 3), render(text, 4));
}

#[test]
fn a_numbered_filler_is_the_same_in_every_request() {
    assert_eq!(render("{{ filler(50, 1) }}", 3), render("{{ filler(50, 1) }}", 4));
    assert_ne!(render("{{ filler(50, 1) }}", 3), render("{{ filler(50, 2) }}", 3));
    assert_ne!(render("{{ filler(50) }}", 3), render("{{ filler(50) }}", 4));
}

#[test]
fn lengths_are_in_tokens() {
    for text in ["{{ filler(30) }}", "{{ random_text(30) }}", "{{ truncate(filler(90), 30) }}"] {
        let rendered = render(text, 0).expect("it renders");
        assert_eq!(Tokenizer::Estimate.count(&rendered), 30, "{text}");
    }
    assert_eq!(render("{{ random_text(0) }}", 0).as_deref(), Ok(""));
}

#[test]
fn arguments_have_names() {
    for (named, plain) in [
        ("{{ filler(tokens=30) }}", "{{ filler(30) }}"),
        ("{{ filler(30, number=2) }}", "{{ filler(30, 2) }}"),
        ("{{ random_text(tokens=9) }}", "{{ random_text(9) }}"),
        ("{{ read(file='a.txt') }}", "{{ read('a.txt') }}"),
        ("{{ truncate(tokens=1, text=row.q) }}", "{{ truncate(row.q, 1) }}"),
        ("{{ row.q | truncate(tokens=1) }}", "{{ row.q | truncate(1) }}"),
        ("{{ rng.int(to=9, from=2) }}", "{{ rng.int(2, 9) }}"),
        ("{{ rng.choice(list=[1, 2, 3]) }}", "{{ rng.choice([1, 2, 3]) }}"),
    ] {
        assert_eq!(render(named, 3), render(plain, 3), "{named}");
        assert!(render(named, 3).is_ok(), "{named}: {:?}", render(named, 3));
    }
    let unknown = fails("{{ filler(token=5) }}").message;
    assert!(unknown.contains("no argument `token`; it takes tokens, number"), "{unknown}");
    let twice = fails("{{ filler(5, tokens=6) }}").message;
    assert!(twice.contains("`tokens` is given twice"), "{twice}");
    fails("{{ filler() }}");
    fails("{{ filler(number=5) }}");
    fails("{{ uuid(5) }}");
}

#[test]
fn a_uuid_looks_like_one() {
    let text = render("{{ uuid() }}", 0).expect("it renders");
    let parts: Vec<usize> = text.split('-').map(str::len).collect();
    assert_eq!(parts, [8, 4, 4, 4, 12]);
    assert_eq!(&text[14..15], "4");
    assert!("89ab".contains(&text[19..20]), "{text}");
}

#[test]
fn files_are_read_below_the_root_only() {
    assert_eq!(render("{{ read('a.txt') }}", 0).as_deref(), Ok("inside"));
    assert!(fails("{{ read('../b.txt') }}").message.contains("outside the plan's root"));
    assert!(fails("{{ read('/etc/passwd') }}").message.contains("outside the plan's root"));
    assert!(fails("{{ read('none.txt') }}").message.contains("no such file"));
}

#[test]
fn there_is_no_environment_and_no_clock() {
    for name in ["env", "now", "env('HOME')", "now()", "debug()"] {
        fails(&format!("{{{{ {name} }}}}"));
    }
}

#[test]
fn endless_and_boundless_templates_are_ended() {
    let endless = "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
    assert!(fails(endless).message.contains("endless"));
    let boundless = "{% for a in range(20) %}{{ filler(1000000) }}{% endfor %}";
    assert!(fails(boundless).message.contains("MiB"));
    assert!(fails("{{ filler(5000000) }}").message.contains("at most"));
}

#[test]
fn an_error_names_the_line_and_prints_no_value() {
    let problem = fails("first\nsecond {{ row.quetsion }}");
    assert_eq!(problem.line, Some(2));
    assert!(problem.message.contains("quetsion"), "{problem:?}");
    for text in ["{{ row.q + 1 }}", "{{ row.q | int }}", "{{ rng.int(row.q, 2) }}"] {
        assert!(!fails(text).message.contains("secret"), "{text}: {:?}", fails(text));
    }
    let place = problem.at("plan.yaml:4", Some(5)).to_string();
    let words = "plan.yaml:4: the template fails with row 5: ";
    assert!(place.starts_with(words), "{place}");
}

#[test]
fn what_is_bounded_says_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let plain = |text: &str| {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_syntax(syntax());
        environment.render_str(text, context! { row => context! { q => "ebb", n => 3 }, i => 2 })
    };
    let files = FileAccess { folder: folder.path().into(), root: None };
    let mut templates = Templates::new(&files, &Tokenizer::Estimate);
    let (row, params) = (json!({ "q": "ebb", "n": 3 }), Value::Null);
    let functions = Functions::new(7, "cold", 2, &Tokenizer::Estimate);
    let variables = scope(&row, &params, 2).variables(&functions);
    for text in [
        "{{ row.q ~ ' and ' ~ row.q ~ i }}",
        "{{ (row.n + 1) * (i + 2) }} {{ row.n * i + 1 }} {{ 2 * row.n * i }} {{ 1 + 2 * 3 - 4 }}",
        "{{ -row.n * 2 }} {{ 2 * -row.n }} {{ 1.5 * i }} {{ i * 1.5 ~ 'x' }} {{ true * 3 }}",
        "{{ 'ab' * i }}{{ i * 'ab' }}{{ ('a' ~ 'b') * (i + 1) }} {{ [1] * 2 }} {{ (1, 2) * i }}",
        "{{ 170141183460469231 * 1000 }} {{ 4 * 0.5 }} {{ 2 ** 3 * 2 }} {{ 7 // 2 * 3 % 4 }}",
        "{% set a = row.q ~ '!' %}{{ a }}{% set b, c = [1, 2] %}{{ b + c }}",
        "{% set ns = namespace(x='a') %}{% for k in range(3) %}{% set ns.x = ns.x ~ k %}{% endfor %}{{ ns.x }}",
        "{% for k in [1, 2] + [3] %}{{ k }}{% if not loop.last %}, {% endif %}{% endfor %}",
        "{% macro m(x, y='b' ~ 'c') -%}  <{{ x ~ y }}>  {%- endmacro %}{{ m('a') }} {{ m(x='q' * 2) }}",
        "{{ row.q[0:2] ~ row.q[::-1] }} {{ {'a': [1, (2, 3)]} }} {{ 2 in [1, 2] }} {{ row.q is string }}",
        "{{ 'a,b' | split(',') | join('-') | upper ~ '!' }} {{ 'x' | replace('x', 'y' * 2) }}",
        "{{ [3, 1] | sort | list }} {{ 'ab' | list }} {{ 'a' | indent(2, true) }} {{ '%03d' | format(7) }}",
        "{{ range(4) | batch(2) | list }} {{ {'a': 1} | tojson(indent=2) }} {{ [1, 2] | sum }}",
        "{{ ['a', 'b'] | map('upper') | list }} {{ [1, 2, 3] | select('odd') | list }} {{ [2, 1] | max }}",
        "{{ 'a' ~ 'b' if i == 2 else 'c' * 9 }} {{ (row.n * 2) | string ~ (i) }} {{ ((i) + (1)) * ((2)) }}",
        "{% set t %}{{ row.q }} x{% endset %}{{ t ~ t }}{% filter upper %}a{{ 'b' ~ i }}{% endfilter %}",
        "{% with a = 'x' ~ i, b = 2 * i %}{{ a }}{{ b }}{% endwith %}",
        "{% for k in range(2) recursive %}{{ k * 2 }}{% endfor %}\n \u{263a} {{ '\u{263a}' ~ '\u{263a}' * 2 }}\n",
        "{{ [1, 2][1] }} {{ {'a': 3}['a'] }} {{ {'a': 3}.a }} {{ ('a' ~ 'b')[0] }} {{ (1, 2)[0] }}",
        "{{ [1, 2] | length * 2 }} {{ -[1][0] * 2 }} {{ ([1] + [2])[1] }} {{ ('a' * 3)[1:] }}",
        "{{ row.n*i }}{{row.q~row.q}}{{-i*2-}} x {%- set y=1+1*2 %}{{ y }}",
    ] {
        templates.add("t".into(), text).expect("it compiles");
        let bounded = templates.render("t", &variables, &[&row]);
        assert_eq!(bounded, Ok(plain(text).expect("it renders")), "{text}");
    }
}

#[test]
fn what_is_made_in_between_is_bounded() {
    const START: &str = "{% set ns = namespace(x='aaaaaaaaaa', l=['aaaaaaaaaa'], t=(1, 2)) %}";
    for step in [
        "{% for k in range(40) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        "{% for k in range(40) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        "{% for k in range(40) %}{% set ns.x = [ns.x, ns.x] | join %}{% endfor %}",
        "{% for k in range(40) %}{% set ns.x = ns.x | replace('a', 'aa') %}{% endfor %}",
        "{% for k in range(40) %}{% set ns.x = '%s%s' | format(ns.x, ns.x) %}{% endfor %}",
        "{% for k in range(40) %}{% set ns.x %}{{ ns.x }}{{ ns.x }}{% endset %}{% endfor %}",
        "{% for k in range(40) %}{% set ns.l = ns.l + ns.l %}{% endfor %}{{ ns.l | length }}",
        "{% for k in range(40) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l }}",
        "{% for k in range(100000) %}{% set ns.l = [ns.l] %}{% endfor %}",
        "{% for k in range(100000) %}{% set ns.l = {'a': ns.l} %}{% endfor %}",
        "{% for k in range(100000) %}{% set ns.l = ns.l + [k ~ ns.x * 1000] %}{% endfor %}",
        "{% macro m(x) %}{{ m(x ~ x) }}{% endmacro %}{{ m('aaaaaaaaaa') }}",
        "{% for k in [1] recursive %}{{ loop([k ~ k]) }}{% endfor %}",
        "{{ 'x' * 10 ** 9 }}",
        "{{ ['x' * 10 ** 8, 'y' * 10 ** 8, 'z' * 10 ** 8] | length }}",
        "{{ ([1] * 10 ** 9) | length }}",
        "{{ ([1] * 10 ** 8) | list | length }}",
        "{{ ((1, 2) * 10 ** 8) | length }}",
        "{{ range(10 ** 9) | list }}",
        "{{ 'a' | indent(10 ** 9, true) | length }}",
        "{{ '%1000000000d' | format(1) | length }}",
        "{{ '%*d' | format(1000000000, 1) | length }}",
        "{{ [1] | batch(10 ** 9, 'x') | list | length }}",
        "{{ [1] | slice(10 ** 9, 'x') | list | length }}",
        "{{ {'a': [1]} | tojson(indent=10 ** 9) | length }}",
        "{{ range(100000) | join('x' * 100000) | length }}",
        "{{ range(100000) | map('replace', '1', 'x' * 100000) | list | length }}",
        "{{ ('a' * 10 ** 7) | list | length }}",
        "{% for k in range(100000) %}{% set ns.l = ns.l + [filler(100000)] %}{% endfor %}",
    ] {
        let problem = render(&format!("{START}{step}"), 0).expect_err(step);
        let is_told = ["MiB", "deep", "columns", "elements", "steps", "recursion"];
        assert!(is_told.iter().any(|part| problem.message.contains(part)), "{step}: {problem:?}");
    }
    // A text of the template's own, again and again.
    let raw = "x".repeat(100_000);
    let again =
        format!("{{% set t %}}{{% for k in range(99999) %}}{raw}{{% endfor %}}{{% endset %}}");
    assert!(render(&again, 0).expect_err("too long").message.contains("steps"));
}

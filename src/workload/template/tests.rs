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
    templates.add("t".into(), text.into())?;
    let (row, params) = (json!({ "q": "a secret question" }), Value::Null);
    let functions = Functions::new(7, "cold", index, &Tokenizer::Estimate);
    let variables = variables((&row, &params), (index, "cold", ""), &functions);
    templates.render("t", &variables, &[&row])
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

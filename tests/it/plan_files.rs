//! Files: plans that are none, and data that plans name.

use std::fs;

use runner::plan::diagnostic::Code;
use runner::plan::{self, LoadOptions};

use crate::load::{SMALLEST, codes, load, repeat, said};

#[test]
fn datasets_count_for_requests_and_stay_within_the_root() {
    let folder = tempfile::tempdir().expect("a folder");
    let inner = folder.path().join("plans");
    fs::create_dir(&inner).expect("a folder");
    fs::write(inner.join("rows.jsonl"), "{\"q\": 1}\n\n{\"q\": 2}\n{\"q\": 3}").expect("rows");
    fs::write(folder.path().join("outside.jsonl"), "{}\n").expect("rows");
    let path = inner.join("plan.yaml");
    let text = SMALLEST.replace("Say hello.", "{ text: \"{{ row.q }}\", dataset: rows.jsonl }");
    fs::write(&path, &text).expect("a plan");
    let mut loaded = plan::load(&path, &LoadOptions::default())
        .unwrap_or_else(|error| panic!("{}", said(&error)));
    let found = runner::workload::check::check(&mut loaded.plan, &loaded.sources);
    assert_eq!(found, []);
    for stage in ["cold", "warm"] {
        let repeat = repeat(&loaded.plan, stage);
        assert_eq!((repeat.requests, repeat.distinct), (3, 3), "{stage}");
        let source = repeat.prompt.dataset.expect("it has one");
        assert_eq!(source.config.files, [inner.join("rows.jsonl").to_str().expect("UTF-8")]);
        assert_eq!(source.seen.and_then(|seen| seen.rows), Some(3));
    }

    fs::write(&path, text.replace("rows.jsonl", "../outside.jsonl")).expect("a plan");
    let error = plan::load(&path, &LoadOptions::default()).expect_err("it leaves the root");
    assert_eq!(codes(&error), [Code::Path]);
    assert!(said(&error).contains("--allow-outside-root"));
    let options = LoadOptions { allow_outside_root: true, ..LoadOptions::default() };
    assert!(plan::load(&path, &options).is_ok());
}

#[cfg(unix)]
#[test]
fn a_link_that_leads_outside_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let inner = folder.path().join("plans");
    fs::create_dir(&inner).expect("a folder");
    fs::write(folder.path().join("outside.txt"), "text").expect("a file");
    std::os::unix::fs::symlink("../outside.txt", inner.join("link.txt")).expect("a link");
    let path = inner.join("plan.yaml");
    let prompt = "{ text: Summarize., context: { from: ./link.txt } }";
    fs::write(&path, SMALLEST.replace("Say hello.", prompt)).expect("a plan");
    let error = plan::load(&path, &LoadOptions::default()).expect_err("it leaves the root");
    assert_eq!(codes(&error), [Code::Path]);
}

#[test]
fn files_that_are_no_plans_are_refused_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = |path: &std::path::Path| {
        let error = plan::load(path, &LoadOptions::default()).expect_err("no plan");
        (codes(&error)[0], said(&error))
    };
    assert_eq!(refused(&folder.path().join("none.yaml")).0, Code::File);
    assert_eq!(refused(&folder.path().join("plan.json")).0, Code::File);
    let directory = folder.path().join("folder.yaml");
    fs::create_dir(&directory).expect("a folder");
    assert!(refused(&directory).1.contains("is a directory"));
    let binary = folder.path().join("binary.yaml");
    fs::write(&binary, [0xff, 0xfe, 0x00]).expect("a file");
    assert!(refused(&binary).1.contains("not UTF-8"));
    let large = folder.path().join("large.yaml");
    fs::write(&large, vec![b'#'; (1 << 20) + 1]).expect("a file");
    assert_eq!(refused(&large).0, Code::Limit);
}

#[test]
fn a_byte_order_mark_moves_nothing() {
    let plan = load(&format!("\u{feff}{SMALLEST}")).plan;
    assert_eq!(plan.stages[0].location.to_string(), "plan.yaml:5:5");
}

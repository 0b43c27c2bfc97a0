//! Synthetic prompts from the plan to the server: exact lengths, and shares that a cache serves.

use std::fs;
use std::process::Command;

use serde_json::Value;

/// Runs a plan on the embedded simulator; gives the `end` lines of its records.
fn records(plan: &str) -> Vec<Value> {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("plan.yaml"), plan).expect("a plan");
    let output = Command::new(env!("CARGO_BIN_EXE_runner"))
        .args(["run", "plan.yaml", "--allow-outside-root", "--sink", "jsonl:records.jsonl"])
        .current_dir(folder.path())
        .env_clear()
        .output()
        .expect("runner starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&output.stdout));
    let text = fs::read_to_string(folder.path().join("records.jsonl")).expect("records");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn of<'r>(records: &'r [Value], stage: &str) -> Vec<&'r Value> {
    let found: Vec<_> = records.iter().filter(|record| record["stage"] == stage).collect();
    assert!(!found.is_empty(), "no record of {stage}");
    found
}

#[test]
fn the_cached_share_seen_is_the_share_stated_to_a_block() {
    let records = records(
        "version: 1\nseed: 3\nendpoint: { simulator: { cache_tokens: 200k, prefill_rate: 1M, overhead: 0ms } }\n\
         prompt: { synthetic: { input_tokens: 640, output_tokens: 2, prefix: { share: 0.6, groups: 3 } } }\n\
         stages:\n\
           - { id: fill, kind: load, concurrency: 1, requests: 30 }\n\
           - { id: shared, kind: load, concurrency: 2, requests: 30 }\n\
           - { id: cold, kind: cold, requests: 6 }\n\
           - { id: warm, kind: warm }\n",
    );
    // The chat template's own tokens stand before the prompt's.
    let (block, template) = (16, 9);
    for record in of(&records, "shared") {
        let cached = record["cached_tokens"].as_i64().expect("the simulator says");
        assert!((cached - (384 + template)).abs() < block, "{cached} of 384 shared tokens");
    }
    for record in of(&records, "cold") {
        assert!(record["cached_tokens"].as_i64().expect("said") < block);
        assert_eq!(record["output_tokens"]["server"], 2);
    }
    let hashes =
        |stage| of(&records, stage).iter().map(|it| it["prompt_hash"].clone()).collect::<Vec<_>>();
    assert_eq!(hashes("cold"), hashes("warm"));
    assert!(hashes("fill").iter().all(|hash| !hashes("shared").contains(hash)));
}

#[test]
fn prompts_have_exactly_the_tokens_that_the_tokenizer_counts() {
    let tokenizer = concat!(env!("CARGO_MANIFEST_DIR"), "/datasets/tokenizer.json");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/datasets/document.txt");
    let records = records(&format!(
        "version: 1\nendpoint: {{ tokenizer: {tokenizer}, simulator: {{ prefill_rate: 1M, overhead: 0ms }} }}\n\
         prompt: {{ max_tokens: 3, synthetic: {{ input_tokens: 200, prefix: {{ from: {file}, share: 0.25 }} }} }}\n\
         stages:\n\
           - {{ id: load, kind: load, concurrency: 1, requests: 5 }}\n\
           - {{ id: cold, kind: cold, requests: 3 }}\n\
           - {{ id: spread, kind: load, concurrency: 1, requests: 20, prompt: {{ synthetic: {{ \
         input_tokens: {{ distribution: uniform, min: 40, max: 60 }}, \
         output_tokens: {{ distribution: empirical, values: [2, 5] }} }} }} }}\n",
    ));
    for stage in ["load", "cold"] {
        for record in of(&records, stage) {
            assert_eq!(record["input_tokens"]["tokenizer"], 200, "{stage}");
        }
    }
    let spread = of(&records, "spread");
    let lengths: Vec<i64> =
        spread.iter().filter_map(|record| record["input_tokens"]["tokenizer"].as_i64()).collect();
    assert!(lengths.iter().all(|tokens| (40..=60).contains(tokens)), "{lengths:?}");
    assert!(lengths.iter().min() != lengths.iter().max());
    for record in spread {
        assert!(["2", "5"].contains(&record["output_tokens"]["server"].to_string().as_str()));
    }
}

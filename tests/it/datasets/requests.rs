//! Rows as requests: exact lengths, shared blocks, limits, going round.

use runner::plan::workload::{OutputLimit, Uniqueness};
use runner::request::Request;
use runner::workload::WorkloadError;
use runner::workload::dataset::{self, IndexedDataset};
use runner::workload::synthetic::Ask;
use runner::workload::synthetic::text::Texts;
use runner::workload::tokenizer::Tokenizer;

use super::{open, sample, write};

/// Rows, one request each, over and over.
struct Asked {
    rows: IndexedDataset,
    texts: Texts,
    ask: Ask,
    limit: OutputLimit,
}

impl Asked {
    fn request(&self, index: u64) -> Result<Request, WorkloadError> {
        let row = self.rows.cycled(index)?;
        dataset::request(&row, index, &self.texts, &self.ask, self.limit)
    }
}

fn workload(name: &str, tokenizer: Tokenizer, limit: OutputLimit) -> Asked {
    let texts = Texts::new(3, "run", Uniqueness::PerRun, tokenizer);
    let ask = Ask { max_tokens: Some(99), stream: true, ..Ask::default() };
    Asked { rows: open(sample(name)).indexed(), texts, ask, limit }
}

#[test]
fn traces_become_prompts_of_exact_length_that_share_what_their_blocks_share() {
    let bundled = concat!(env!("CARGO_MANIFEST_DIR"), "/datasets/tokenizer.json");
    for tokenizer in [Tokenizer::from_file(bundled).unwrap(), Tokenizer::Estimate] {
        for (name, lengths) in [
            ("mooncake.jsonl", vec![1200, 1536, 700]),
            ("weka.json", vec![150, 60, 250]),
            ("weka.jsonl", vec![130, 190, 64]),
            ("azure.csv", vec![374, 396, 879]),
            ("token-log.jsonl", vec![4, 9, 2]),
        ] {
            let workload = workload(name, tokenizer.clone(), OutputLimit::Row);
            for (index, length) in lengths.into_iter().enumerate() {
                let request = workload.request(index as u64).unwrap();
                let tokens: u64 = request.texts().map(|text| tokenizer.count(text)).sum();
                assert_eq!(tokens, length, "{name} {index} by {}", tokenizer.source());
            }
        }
        let workload = workload("mooncake.jsonl", tokenizer.clone(), OutputLimit::Row);
        let text = |index| workload.request(index).unwrap().messages[0].said();
        let (one, two, other) = (text(0), text(1), text(2));
        let common =
            |a: &str, b: &str| a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
        let shared = tokenizer.count(&one[..common(&one, &two)]);
        assert!((1_022..1_040).contains(&shared), "{shared} tokens are shared");
        assert!(common(&one, &other) < 24);
        // Going round asks the same again.
        assert_eq!(text(3), one);
    }
}

#[test]
fn a_trace_with_an_absurd_length_is_an_error_and_not_a_full_memory() {
    let folder = tempfile::tempdir().unwrap();
    for line in [
        "{\"input_length\": 900000000000, \"output_length\": 1}",
        "{\"input_length\": 5, \"output_length\": 1, \"hash_ids\": [1], \"block_size\": 900000000000}",
    ] {
        let file = write(folder.path(), "a.jsonl", line);
        let texts = Texts::new(3, "run", Uniqueness::PerRun, Tokenizer::Estimate);
        let rows = open(file).indexed();
        let workload = Asked { rows, texts, ask: Ask::default(), limit: OutputLimit::Row };
        let error = workload.request(0).unwrap_err().to_string();
        assert!(error.contains("a.jsonl:1: the row asks for 900000000000 tokens"), "{error}");
    }
}

#[test]
fn a_trace_without_prefix_ids_shares_nothing() {
    let workload = workload("azure.csv", Tokenizer::Estimate, OutputLimit::Row);
    let (one, two) = (workload.request(0).unwrap(), workload.request(1).unwrap());
    assert_ne!(one.messages[0].said()[..24], two.messages[0].said()[..24]);
    assert_eq!(one.max_tokens, Some(44));
    assert!(one.stream);
}

#[test]
fn recorded_lengths_can_be_matched_and_recorded_settings_are_kept() {
    let row = workload("evalscope-trace.jsonl", Tokenizer::Estimate, OutputLimit::Recorded);
    let first = row.request(0).unwrap();
    assert_eq!((first.max_tokens, &first.recorded["ignore_eos"]), (Some(12), &true.into()));
    assert_eq!(first.temperature, Some(0.1));
    assert!(!first.recorded.contains_key("temperature") && first.recorded.contains_key("tools"));
    let second = row.request(1).unwrap();
    assert_eq!((second.max_tokens, second.recorded.get("ignore_eos")), (Some(9), None));
    let planned = workload("evalscope-trace.jsonl", Tokenizer::Estimate, OutputLimit::Plan);
    assert_eq!(planned.request(0).unwrap().max_tokens, Some(99));
}

#[test]
fn recorded_chats_go_round_and_round() {
    let workload = workload("chat-history.json", Tokenizer::Estimate, OutputLimit::Row);
    for index in 0..7 {
        let request = workload.request(index).unwrap();
        assert_eq!(request.index, index);
        assert_eq!(request.messages.len(), if index % 2 == 0 { 2 } else { 3 });
        assert_eq!(request.max_tokens, Some(99));
    }
}

#[test]
fn rows_for_templates_cannot_be_asked_as_they_are() {
    let error = workload("questions.jsonl", Tokenizer::Estimate, OutputLimit::Row)
        .request(1)
        .unwrap_err()
        .to_string();
    assert!(error.contains("questions.jsonl:2: the row has no prompt of its own"), "{error}");
}

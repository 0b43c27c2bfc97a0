//! Several answers in one stream (`n: 2`): whose token each is.
//!
//! In: what each event said, and for which choices. Out: a stamp for each choice that an event holds
//! words of, the text choice by choice, and whether all of them came to their end. Invariants: a
//! request for one choice costs nothing; a choice that the server cannot mean is nobody's, and then no
//! gap is told.

use serde_json::Value;

use super::dialect::Deltas;
use crate::record::{Exchange, Record};
use crate::request::Request;

/// The most choices that are told apart.
const MOST: u64 = 127;

/// How many answers `request` asks for: `n` of each of its prompts.
pub(super) fn asked(request: &Request) -> u64 {
    let count = request.beside("n").and_then(Value::as_u64).unwrap_or(1);
    // Token ids are one prompt.
    let is_prompt = |part: &Value| part.is_string() || part.is_array();
    let prompts = match request.body.get("prompt") {
        Some(Value::Array(prompts)) if prompts.iter().all(is_prompt) => prompts.len() as u64,
        _ => 1,
    };
    count.max(1).saturating_mul(prompts.max(1))
}

/// The choices of one answer.
#[derive(Debug)]
pub(super) struct Choices {
    asked: u64,
    /// Those that said something, a bit for each.
    spoken: u128,
    finished: u64,
    /// Parts of the text in the order of their coming: whose, whether content, and how long.
    parts: Vec<(u8, bool, usize)>,
}

impl Choices {
    /// For an answer with so many.
    pub fn new(asked: u64) -> Self {
        Self { asked, spoken: 0, finished: 0, parts: Vec::new() }
    }

    /// Whether there are several.
    pub fn are_several(&self) -> bool {
        self.asked > 1
    }

    /// Takes an event that arrived at `at` and holds words: a stamp for each choice that they are of.
    pub fn stamp(&mut self, deltas: &Deltas, at: u64, exchange: &mut Exchange) {
        let most = u32::try_from(self.asked.min(MOST)).unwrap_or_default();
        let known = deltas.choices & ((1_u128 << most) - 1);
        self.spoken |= known;
        if known != deltas.choices || known == 0 {
            exchange.token_ns.push(at);
            exchange.choices.push(Record::NOBODYS);
        } else {
            for choice in (0..most).filter(|choice| known >> choice & 1 == 1) {
                exchange.token_ns.push(at);
                exchange.choices.push(u8::try_from(choice).unwrap_or(Record::NOBODYS));
            }
        }
    }

    /// Takes the text of an event, or of a whole answer: which part is whose.
    pub fn take_text(&mut self, deltas: &Deltas) {
        if !self.are_several() {
            return;
        }
        let one = [(
            Some(deltas.choices.trailing_zeros().into()),
            deltas.content.len(),
            deltas.reasoning.len(),
        )];
        let parts = if deltas.parts.is_empty() { &one[..] } else { &deltas.parts };
        let whose = |index: Option<u64>| {
            let asked = Some(index.unwrap_or(0)).filter(|index| *index < self.asked.min(MOST));
            asked.and_then(|index| u8::try_from(index).ok()).unwrap_or(Record::NOBODYS)
        };
        // The text is the reasoning of all its choices, and then the content of all.
        let reasoning = parts.iter().map(|(index, _, length)| (whose(*index), false, *length));
        let content = parts.iter().map(|(index, length, _)| (whose(*index), true, *length));
        self.parts.extend(reasoning.chain(content));
    }

    /// Takes the ends that an event holds.
    pub fn finish(&mut self, deltas: &Deltas) {
        self.finished += u64::from(deltas.finishes);
    }

    /// Whether each that said something has come to its end.
    pub fn are_finished(&self) -> bool {
        !self.are_several() || self.finished >= u64::from(self.spoken.count_ones())
    }

    /// Puts the text of `exchange` in order: all reasoning, then content, each choice by choice.
    pub fn put_in_order(self, exchange: &mut Exchange) {
        if !self.are_several() || self.parts.is_empty() {
            return;
        }
        let mut at = 0;
        let mut parts = Vec::with_capacity(self.parts.len());
        for (choice, is_content, length) in self.parts {
            parts.push((is_content, choice, at..at + length));
            at += length;
        }
        parts.sort_by_key(|(is_content, choice, _)| (*is_content, *choice));
        let pieces = parts.iter().filter_map(|(.., part)| exchange.text.get(part.clone()));
        let text: String = pieces.collect();
        let reasoning: usize =
            parts.iter().filter(|(is_content, ..)| !is_content).map(|(.., part)| part.len()).sum();
        let firsts = parts.iter().filter(|(is_content, choice, _)| *is_content && *choice == 0);
        let first_content: usize = firsts.map(|(.., part)| part.len()).sum();
        exchange.content_from = exchange.content_from.map(|_| reasoning);
        exchange.first_content_to = Some(reasoning + first_content);
        exchange.text = text;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(body: &Value) -> Request {
        Request { body: body.as_object().cloned().unwrap_or_default(), ..Request::default() }
    }

    #[test]
    fn a_body_says_how_many_answers_it_asks_for() {
        for (body, count) in [
            (serde_json::json!({}), 1),
            (serde_json::json!({"n": 3}), 3),
            (serde_json::json!({"n": 0}), 1),
            (serde_json::json!({"n": "two"}), 1),
            (serde_json::json!({"prompt": ["a", "b"], "n": 2}), 4),
            (serde_json::json!({"prompt": [[1, 2], [3]]}), 2),
            (serde_json::json!({"prompt": [1, 2, 3]}), 1),
            (serde_json::json!({"prompt": []}), 1),
        ] {
            assert_eq!(asked(&request(&body)), count, "{body}");
        }
    }
}

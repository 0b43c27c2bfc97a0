//! What was left out of a dataset while it was read.
//!
//! In: pieces that the plan's policies leave out, by whoever reads and however often. Out: how many,
//! and the first malformed one. Invariant: a piece that is read again is not counted again: files
//! are read from front to back, so only what lies beyond everything left out so far is new.

use std::collections::BTreeMap;

use super::row::Malformed;
use super::unit::Mark;

/// Pieces that were left out so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Malformed rows (policy `on_malformed: skip`).
    pub malformed: u64,
    /// The first of them: file, line, what was expected and found.
    pub first: Option<String>,
    /// Rows that the trace marks as failed (policy `recorded_failures: skip`).
    pub recorded_failures: u64,
    /// Whether lengths of recorded answers that were asked for are estimates.
    pub estimates_lengths: bool,
    /// Parts of rows that are not sent, by name: a bit for each row, since rows are asked in any order,
    /// more than once, and in several ways.
    parts: BTreeMap<String, Vec<u64>>,
    furthest_malformed: Option<(usize, u64)>,
    furthest_failure: Option<(usize, u64, usize)>,
}

impl LeftOut {
    /// A malformed piece at `mark` of file number `file`.
    pub(super) fn malformed(&mut self, file: usize, mark: Mark, what: &Malformed) {
        let place = Some((file, mark.offset));
        if place > self.furthest_malformed {
            self.furthest_malformed = place;
            self.malformed += 1;
            self.first.get_or_insert_with(|| what.to_string());
        }
    }

    /// A row marked as failed: number `within` of the piece at `mark` of file number `file`.
    pub(super) fn failure(&mut self, file: usize, mark: Mark, within: usize) {
        let place = Some((file, mark.offset, within));
        if place > self.furthest_failure {
            self.furthest_failure = place;
            self.recorded_failures += 1;
        }
    }

    /// Parts of row `number` that are not sent.
    pub(super) fn parts(&mut self, number: u64, names: &[String]) {
        let Ok(word) = usize::try_from(number / 64) else { return };
        for name in names {
            let rows = self.parts.entry(name.clone()).or_default();
            if rows.len() <= word {
                rows.resize(word + 1, 0);
            }
            rows[word] |= 1 << (number % 64);
        }
    }

    /// What of the rows is not sent: `left out of rows: tools in 12, images in 3`.
    pub fn parts_in_words(&self) -> Option<String> {
        let of = |(name, rows): (&String, &Vec<u64>)| {
            let rows: u32 = rows.iter().map(|rows| rows.count_ones()).sum();
            format!("{name} in {rows}")
        };
        let parts: Vec<String> = self.parts.iter().map(of).collect();
        (!parts.is_empty()).then(|| format!("left out of rows: {}", parts.join(", ")))
    }

    /// One line for people; `None` when nothing was left out.
    pub fn in_words(&self) -> Option<String> {
        let rows = |count: u64| if count == 1 { "row was" } else { "rows were" };
        let mut parts = Vec::new();
        if self.malformed > 0 {
            let first = self.first.as_deref().map(|first| format!(" (the first: {first})"));
            parts.push(format!(
                "{} malformed {} left out{}",
                self.malformed,
                rows(self.malformed),
                first.unwrap_or_default()
            ));
        }
        if self.recorded_failures > 0 {
            parts.push(format!(
                "{} {} left out because the trace marks them as failed",
                self.recorded_failures,
                rows(self.recorded_failures)
            ));
        }
        parts.extend(self.parts_in_words());
        if self.estimates_lengths {
            let words = "lengths of recorded answers were estimated from their characters and sent as \
                         limits: give the endpoint `tokenizer: server` or its model's tokenizer.json";
            parts.push(words.to_owned());
        }
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::super::row::Place;
    use super::*;

    #[test]
    fn what_is_read_again_is_counted_once() {
        let place = Place { file: Arc::from(Path::new("rows.jsonl")), line: 7 };
        let what = Malformed { place, expected: "an object".into(), found: "3".into() };
        let mut out = LeftOut::default();
        assert_eq!(out.in_words(), None);
        let at = |offset| Mark { offset, line: 1, inside: false };
        for (file, offset) in [(0, 10), (0, 40), (0, 10), (1, 0), (0, 40), (1, 0)] {
            out.malformed(file, at(offset), &what);
        }
        for within in [0, 1, 0, 1] {
            out.failure(0, at(5), within);
        }
        assert_eq!((out.malformed, out.recorded_failures), (3, 2));
        let mut parts = LeftOut::default();
        for number in [70, 3, 70, 3, 200] {
            parts.parts(number, &["tools".into()]);
        }
        // Asked in another way, too.
        parts.parts(3, &["images".into()]);
        parts.parts(4, &["images".into()]);
        let words = "left out of rows: images in 2, tools in 3";
        assert_eq!(parts.in_words().as_deref(), Some(words));
        assert_eq!(
            out.in_words().as_deref(),
            Some(
                "3 malformed rows were left out (the first: rows.jsonl:7: expected an object, \
                 found 3); 2 rows were left out because the trace marks them as failed"
            )
        );
    }
}

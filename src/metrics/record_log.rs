//! The record log's bytes: `records-000001.jsonl`, `records-000002.jsonl`, …
//!
//! In: [`Line`]s to encode, or a run directory to read. Out: whole lines
//! `{"type":…,"seq":N,…}\n`, or the [`Line`]s with what was lost. Invariants: a line counts only if
//! it ends in a newline and parses; a bad end of the last file is a torn tail (the process died
//! while it wrote), a bad line with good ones behind it is data loss, and so is a gap in `seq`.

mod encode;

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::record::{Line, Record};

pub use encode::encode;

/// The name of segment `number` (from 1).
pub fn segment_name(number: u32) -> String {
    format!("records-{number:06}.jsonl")
}

/// No run has counts beyond this, so that their sums are numbers; a damaged line may.
const MOST: u64 = 1 << 56;

/// Reads one line without its newline.
pub fn decode(bytes: &[u8]) -> serde_json::Result<(u64, Line)> {
    // The bulk of a log are ends; going straight to the record avoids buffering every value once
    // more, as serde does to find an enum's tag.
    let line = if bytes.starts_with(b"{\"type\":\"end\"") {
        let record: Box<Record> = serde_json::from_slice(bytes)?;
        Line::End(record)
    } else {
        serde_json::from_slice(bytes)?
    };
    let seq = seq_of(bytes)?;
    if most(&line).max(seq) > MOST {
        return Err(serde::de::Error::custom("it holds a count that can't be"));
    }
    Ok((seq, line))
}

/// The largest count that a line adds to others.
fn most(line: &Line) -> u64 {
    match line {
        Line::End(record) => {
            let tokens = [record.input_tokens, record.output_tokens];
            let tokens =
                tokens.iter().flat_map(|it| [it.server, it.tokenizer, it.events, it.estimate]);
            let others = [record.cached_tokens, record.reasoning_tokens, Some(record.bytes_in)];
            tokens.chain(others).flatten().max().unwrap_or(0).max(record.index)
        }
        Line::Start(start) => start.index,
        Line::NeverStarted(line) => line.first.max(line.count),
        Line::StageStart(stage) => stage.planned,
        Line::StageEnd(stage) => stage.planned.unwrap_or(0),
        _ => 0,
    }
}

/// What reading a log found beside its lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogLosses {
    /// Good lines.
    pub lines: u64,
    /// Bytes of the good lines.
    pub bytes: u64,
    /// Lines at the log's end that were cut short.
    pub torn_lines: u64,
    /// The file in which those begin, and how long it is without them.
    pub torn_from: Option<(PathBuf, u64)>,
    /// Lines that are no lines of a record log, with good ones behind them.
    pub bad_lines: u64,
    /// Sequence numbers that never came.
    pub missing_lines: u64,
    /// Where the first bad line is and what is wrong with it.
    pub first_bad: Option<String>,
}

impl LogLosses {
    /// Why the numbers must not be trusted, if so.
    pub fn data_loss(&self) -> Option<String> {
        let mut parts = Vec::new();
        if self.bad_lines > 0 {
            let first = self.first_bad.as_deref().unwrap_or("unknown");
            parts.push(format!("{} unreadable lines (first: {first})", self.bad_lines));
        }
        if self.missing_lines > 0 {
            parts.push(format!("{} missing lines", self.missing_lines));
        }
        (!parts.is_empty()).then(|| format!("data loss in the record log: {}", parts.join(", ")))
    }

    /// What a reader should know though it does no harm.
    pub fn note(&self) -> Option<String> {
        (self.torn_lines > 0)
            .then(|| "the record log's last line was cut short and is not counted".to_owned())
    }
}

/// Why a log can't be read at all.
#[derive(Debug, thiserror::Error)]
pub enum ReadLogError {
    /// There is no record log.
    #[error("{0}: no {first} in it, so it is not a run directory", first = segment_name(1))]
    Absent(PathBuf),
    /// The disk says no.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
}

/// Reads every line of the run in `dir` (or of one file of lines), in order.
pub fn read(dir: &Path, mut each: impl FnMut(u64, Line)) -> Result<LogLosses, ReadLogError> {
    let mut losses = LogLosses::default();
    let mut next_seq = 0;
    // Bad lines wait here until it is known whether good ones follow.
    let mut pending = 0;
    let segments = segments(dir)?;
    // Behind the last good line: its segment, and where in it.
    let mut good = (0, 0);
    for (segment, path) in segments.iter().enumerate() {
        let failed = |source| ReadLogError::Io { path: path.clone(), source };
        let mut read_bytes = 0;
        let mut reader = BufReader::with_capacity(1 << 18, File::open(path).map_err(failed)?);
        let mut bytes = Vec::new();
        for number in 1.. {
            bytes.clear();
            if reader.read_until(b'\n', &mut bytes).map_err(failed)? == 0 {
                break;
            }
            read_bytes += bytes.len() as u64;
            match whole(&bytes) {
                Ok((seq, line)) => {
                    losses.bad_lines += std::mem::take(&mut pending);
                    losses.missing_lines += seq.saturating_sub(next_seq);
                    losses.lines += 1;
                    losses.bytes += bytes.len() as u64;
                    next_seq = seq + 1;
                    good = (segment, read_bytes);
                    each(seq, line);
                }
                Err(why) => {
                    pending += 1;
                    losses
                        .first_bad
                        .get_or_insert_with(|| format!("{}:{number}: {why}", path.display()));
                }
            }
        }
    }
    losses.torn_lines = pending;
    if pending > 0 {
        losses.torn_from = segments.into_iter().nth(good.0).map(|path| (path, good.1));
    }
    // A bad line in the middle is one of the missing numbers; it is not lost twice.
    losses.missing_lines = losses.missing_lines.saturating_sub(losses.bad_lines);
    Ok(losses)
}

fn segments(dir: &Path) -> Result<Vec<PathBuf>, ReadLogError> {
    let failed = |source| ReadLogError::Io { path: dir.to_owned(), source };
    if dir.is_file() {
        return Ok(vec![dir.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if is_segment(Path::new(&name)) {
            found.push(dir.join(name));
        }
    }
    if found.is_empty() {
        return Err(ReadLogError::Absent(dir.to_owned()));
    }
    found.sort();
    Ok(found)
}

/// Whether a file is a part of a run's log, by its name.
pub fn is_segment(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let number = name.strip_prefix("records-").and_then(|rest| rest.strip_suffix(".jsonl"));
    number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn whole(bytes: &[u8]) -> Result<(u64, Line), String> {
    let line = bytes.strip_suffix(b"\n").ok_or("cut short")?;
    decode(line).map_err(|error| error.to_string())
}

/// The sequence number, without reading the rest where the line is in the form we write.
fn seq_of(line: &[u8]) -> serde_json::Result<u64> {
    #[derive(Deserialize)]
    struct Numbered {
        seq: u64,
    }
    match written_seq(line) {
        Some(seq) => Ok(seq),
        None => serde_json::from_slice::<Numbered>(line).map(|numbered| numbered.seq),
    }
}

fn written_seq(line: &[u8]) -> Option<u64> {
    let rest = line.strip_prefix(b"{\"type\":\"")?;
    let tag = rest.iter().position(|byte| *byte == b'"')?;
    let digits = rest[tag..].strip_prefix(b"\",\"seq\":")?;
    let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    str::from_utf8(&digits[..end]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tally::fixture::{record, stage_end, stage_start, start_line};
    use crate::record::{Record, StageState};

    fn lines() -> Vec<Line> {
        vec![
            Line::StageStart(stage_start(1)),
            Line::Start(start_line(0)),
            Line::End(Box::new(Record { flags: vec!["no_done".into()], ..record() })),
            Line::StageEnd(stage_end(StageState::Completed)),
        ]
    }

    fn encoded(lines: &[Line]) -> Vec<Vec<u8>> {
        let encode_one = |(seq, line): (usize, &Line)| {
            let mut bytes = Vec::new();
            encode(line, seq as u64, &mut bytes).expect("plain data");
            bytes
        };
        lines.iter().enumerate().map(encode_one).collect()
    }

    fn read_back(files: &[Vec<u8>]) -> (Vec<Line>, LogLosses) {
        let dir = tempfile::tempdir().expect("a folder");
        for (number, bytes) in (1..).zip(files) {
            std::fs::write(dir.path().join(segment_name(number)), bytes).expect("written");
        }
        let mut lines = Vec::new();
        let losses = read(dir.path(), |_, line| lines.push(line)).expect("a log");
        (lines, losses)
    }

    #[test]
    fn type_and_seq_stand_first_in_each_line() {
        let encoded = encoded(&lines());
        assert!(encoded[2].starts_with(b"{\"type\":\"end\",\"seq\":2,\"stage\":\"cold\","));
        assert!(encoded[3].starts_with(b"{\"type\":\"stage_end\",\"seq\":3,"));
        for (seq, line) in lines().iter().enumerate() {
            let mut plain = serde_json::to_value(line).expect("plain data");
            plain["seq"] = seq.into();
            let ours: serde_json::Value = serde_json::from_slice(&encoded[seq]).expect("JSON");
            assert_eq!(ours, plain);
        }
    }

    #[test]
    fn what_was_written_is_read_back_over_all_segments() {
        let bytes = encoded(&lines());
        let (read, losses) = read_back(&[bytes[..2].concat(), bytes[2..].concat()]);
        assert_eq!(read, lines());
        let bytes = bytes.concat().len() as u64;
        assert_eq!(losses, LogLosses { lines: 4, bytes, ..LogLosses::default() });
        assert_eq!((losses.data_loss(), losses.note()), (None, None));
    }

    #[test]
    fn keys_in_another_order_are_read_too() {
        let line = b"{\"index\":0,\"seq\":7,\"due_ns\":1,\"sent_ns\":2,\"stage\":\"a\",\"type\":\"start\"}";
        let (seq, line) = decode(line).expect("a line");
        assert_eq!(seq, 7);
        assert!(matches!(line, Line::Start(start) if start.stage == "a"));
    }

    #[test]
    fn a_torn_tail_is_noted_wherever_it_is_cut() {
        let all = encoded(&lines());
        let good = all[..3].concat();
        for cut in 1..all[3].len() {
            let (read, losses) = read_back(&[[good.as_slice(), &all[3][..cut]].concat()]);
            assert_eq!((read.len(), losses.torn_lines), (3, 1), "cut at {cut}");
            assert_eq!(losses.data_loss(), None);
            assert!(losses.note().is_some());
        }
    }

    #[test]
    fn a_bad_line_in_the_middle_is_data_loss() {
        let mut all = encoded(&lines());
        all[1] = b"{\"type\":\"start\",\"se\n".to_vec();
        let (read, losses) = read_back(&[all.concat()]);
        assert_eq!((read.len(), losses.bad_lines, losses.missing_lines), (3, 1, 0));
        let why = losses.data_loss().expect("data loss");
        assert!(why.contains("1 unreadable lines") && why.contains(":2: "), "{why}");
    }

    #[test]
    fn a_fused_line_is_data_loss() {
        // A torn line that somebody appended to: both are gone.
        let mut all = encoded(&lines());
        all[1].truncate(20);
        let (read, losses) = read_back(&[all.concat()]);
        assert_eq!((read.len(), losses.bad_lines, losses.missing_lines), (2, 1, 1));
    }

    #[test]
    fn a_gap_in_the_numbers_is_data_loss() {
        let all = encoded(&lines());
        let (_, losses) = read_back(&[[all[0].as_slice(), &all[3]].concat()]);
        assert_eq!(losses.missing_lines, 2);
        assert_eq!(
            losses.data_loss().as_deref(),
            Some("data loss in the record log: 2 missing lines")
        );
    }

    #[test]
    fn a_folder_without_a_log_is_no_run() {
        let dir = tempfile::tempdir().expect("a folder");
        let error = read(dir.path(), |_, _| {}).expect_err("nothing there");
        assert!(error.to_string().contains("not a run directory"), "{error}");
    }
}

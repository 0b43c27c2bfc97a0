//! The record log on disk.
//!
//! In: [`Line`]s. Out: `records-000001.jsonl` and its successors, whole lines only. Invariants: what
//! [`LogWriter::write_out`] returned from survives the death of the process, what
//! [`LogWriter::sync`] returned from survives the death of the machine; after a failed write the
//! file is cut back to its last whole line and nothing more is written.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::executor::run_dir::release_reserve;
use crate::metrics::record_log;
use crate::record::Line;
use crate::sink::atomic_file::{private, sync_dir};

/// Written out at the latest when this much is waiting.
pub(super) const BUFFER_BYTES: usize = 64 * 1024;
/// A new segment begins when this much stands in one.
const SEGMENT_BYTES: u64 = 256 * 1024 * 1024;
/// The machine may die and take at most this much with it.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// Appends lines to the segments of one run.
#[derive(Debug)]
pub(super) struct LogWriter {
    dir: PathBuf,
    file: File,
    segment: u32,
    segment_bytes: u64,
    /// Bytes of whole lines in this segment.
    length: u64,
    seq: u64,
    buffer: Vec<u8>,
    buffered_lines: u64,
    unsynced_since: Option<Instant>,
    failure: Option<String>,
    lost_lines: u64,
}

impl LogWriter {
    /// Creates the first segment; fails if there is one.
    pub(super) fn create(dir: &Path) -> io::Result<Self> {
        Self::with_segments_of(dir, SEGMENT_BYTES)
    }

    pub(super) fn with_segments_of(dir: &Path, segment_bytes: u64) -> io::Result<Self> {
        Ok(Self {
            file: create_segment(dir, 1)?,
            dir: dir.to_owned(),
            segment: 1,
            segment_bytes,
            length: 0,
            seq: 0,
            buffer: Vec::with_capacity(2 * BUFFER_BYTES),
            buffered_lines: 0,
            unsynced_since: None,
            failure: None,
            lost_lines: 0,
        })
    }

    /// Numbers a line and puts it behind those that wait to be written.
    pub(super) fn push(&mut self, line: &Line) -> u64 {
        let seq = self.seq;
        self.seq += 1;
        if self.failure.is_some() {
            self.lost_lines += 1;
            return seq;
        }
        let whole = self.buffer.len();
        match record_log::encode(line, seq, &mut self.buffer) {
            Ok(()) => self.buffered_lines += 1,
            Err(error) => {
                self.buffer.truncate(whole);
                self.lost_lines += 1;
                self.fail(&error);
            }
        }
        seq
    }

    /// Whether so much waits that it should be written out.
    pub(super) fn is_full(&self) -> bool {
        self.buffer.len() >= BUFFER_BYTES
    }

    /// Hands everything that waits to the operating system.
    pub(super) fn write_out(&mut self) {
        if self.failure.is_some() || self.buffer.is_empty() {
            return;
        }
        if let Err(error) = self.rotate_if_full().and_then(|()| self.append()) {
            self.fail(&error);
        }
    }

    /// When the next sync is due, if one is.
    pub(super) fn sync_due(&self) -> Option<Instant> {
        self.unsynced_since.map(|since| since + SYNC_EVERY)
    }

    /// Makes everything written out so far survive the machine.
    pub(super) fn sync(&mut self) {
        if self.unsynced_since.take().is_some()
            && let Err(error) = self.file.sync_data()
        {
            self.fail(&error);
        }
    }

    /// Why the log could not be kept up, and how many lines it lacks.
    pub(super) fn failure(&self) -> Option<(&str, u64)> {
        self.failure.as_deref().map(|why| (why, self.lost_lines))
    }

    /// Lines numbered so far.
    pub(super) fn lines(&self) -> u64 {
        self.seq
    }

    fn append(&mut self) -> io::Result<()> {
        let mut written = 0;
        while written < self.buffer.len() {
            match self.file.write(&self.buffer[written..]) {
                Ok(0) => return Err(self.cut_back(written, io::ErrorKind::WriteZero.into())),
                Ok(more) => written += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.cut_back(written, error)),
            }
        }
        self.length += written as u64;
        self.buffer.clear();
        self.buffered_lines = 0;
        self.unsynced_since.get_or_insert_with(Instant::now);
        Ok(())
    }

    /// After `written` bytes of the buffer the disk said no: keeps the whole lines among them.
    fn cut_back(&mut self, written: usize, error: io::Error) -> io::Error {
        let whole_lines = self.buffer[..written].iter().rposition(|byte| *byte == b'\n');
        let whole = whole_lines.map_or(0, |newline| newline + 1);
        let kept = memchr::memchr_iter(b'\n', &self.buffer[..whole]).count() as u64;
        self.buffered_lines -= kept;
        self.length += whole as u64;
        match self.file.set_len(self.length) {
            Ok(()) => error,
            // The torn line stays; reading the log notes and skips it.
            Err(cut) => io::Error::new(error.kind(), format!("{error}; cutting back: {cut}")),
        }
    }

    fn rotate_if_full(&mut self) -> io::Result<()> {
        if self.length < self.segment_bytes {
            return Ok(());
        }
        self.file.sync_data()?;
        self.file = create_segment(&self.dir, self.segment + 1)?;
        self.segment += 1;
        self.length = 0;
        Ok(())
    }

    /// The log ends here: frees the reserve so that the run can still be closed properly.
    pub(super) fn fail(&mut self, error: &dyn std::fmt::Display) {
        self.failure.get_or_insert_with(|| error.to_string());
        self.lost_lines += std::mem::take(&mut self.buffered_lines);
        self.buffer.clear();
        release_reserve(&self.dir);
    }
}

fn create_segment(dir: &Path, number: u32) -> io::Result<File> {
    let path = dir.join(record_log::segment_name(number));
    let file = private().append(true).create_new(true).open(path)?;
    sync_dir(dir)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::record_log::read;
    use crate::record::StartLine;

    fn line(index: u64) -> Line {
        let stage = "cold".to_owned();
        Line::Start(StartLine { stage, cell: None, rung: None, index, due_ns: 1, sent_ns: 2 })
    }

    #[test]
    fn segments_follow_one_another_without_a_gap() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut log = LogWriter::with_segments_of(dir.path(), 400).expect("created");
        for index in 0..50 {
            log.push(&line(index));
            log.write_out();
        }
        log.sync();
        let mut indexes = Vec::new();
        let losses = read(dir.path(), |seq, line| {
            assert!(matches!(line, Line::Start(start) if start.index == seq));
            indexes.push(seq);
        });
        assert_eq!(losses.expect("a log").data_loss(), None);
        assert_eq!(indexes, (0..50).collect::<Vec<_>>());
        assert!(dir.path().join(record_log::segment_name(5)).exists());
    }

    #[test]
    fn another_runs_log_is_never_touched() {
        let dir = tempfile::tempdir().expect("a folder");
        let first = dir.path().join(record_log::segment_name(1));
        std::fs::write(&first, "theirs").expect("written");
        let error = LogWriter::create(dir.path()).expect_err("taken");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&first).expect("there"), b"theirs");
    }

    #[test]
    fn a_segment_that_can_not_be_made_ends_the_log_at_a_whole_line() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut log = LogWriter::with_segments_of(dir.path(), 1).expect("created");
        std::fs::write(dir.path().join(record_log::segment_name(2)), "").expect("in the way");
        for index in 0..3 {
            log.push(&line(index));
            log.write_out();
        }
        let (why, lost) = log.failure().expect("failed");
        assert!(why.contains("exists"), "{why}");
        assert_eq!(lost, 2);
        let losses = read(dir.path(), |_, _| {}).expect("a log");
        assert_eq!((losses.lines, losses.torn_lines), (1, 0));
    }
}

//! The record log on disk.
//!
//! In: [`Line`]s. Out: `records-000001.jsonl` and its successors, whole lines only. Invariants: what
//! was written out survives the death of the process; with `durability: machine`, what was written out a
//! second ago or before the end of a stage survives the death of the machine; nothing here waits for a
//! sync but the end; after a failed write the file is cut back to its last whole line and nothing more is
//! written.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::syncer::Syncer;
use crate::executor::run_dir::release_reserve;
use crate::metrics::record_log;
use crate::plan::Durability;
use crate::record::Line;
use crate::sink::atomic_file::private;

/// Written out at the latest when this much is waiting.
pub(super) const BUFFER_BYTES: usize = 64 * 1024;
/// The same where the plan does not mind (`durability: none`), and after this long.
const LAZY_BYTES: usize = 1024 * 1024;
const LAZY_AFTER: Duration = Duration::from_secs(1);
/// A new segment begins when this much stands in one.
const SEGMENT_BYTES: u64 = 256 * 1024 * 1024;
/// The machine may die and take at most this much with it.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// Appends lines to the segments of one run.
#[derive(Debug)]
pub(super) struct LogWriter {
    dir: PathBuf,
    file: Arc<File>,
    segment: u32,
    segment_bytes: u64,
    /// Bytes of whole lines in this segment.
    length: u64,
    /// The same of those before it.
    lengths: Vec<u64>,
    seq: u64,
    buffer: Vec<u8>,
    buffered_lines: u64,
    /// Since when a lazy log has lines that wait.
    waiting_since: Option<Instant>,
    is_lazy: bool,
    unsynced_since: Option<Instant>,
    /// Absent where nothing is synced.
    syncer: Option<Syncer>,
    failure: Option<String>,
    lost_lines: u64,
}

impl LogWriter {
    /// Creates the first segment; fails if there is one.
    pub(super) fn create(dir: &Path, durability: Durability) -> io::Result<Self> {
        Self::with_segments_of(dir, SEGMENT_BYTES, durability)
    }

    pub(super) fn with_segments_of(
        dir: &Path,
        segment_bytes: u64,
        durability: Durability,
    ) -> io::Result<Self> {
        let is_synced = durability == Durability::Machine;
        let log = Self {
            file: create_segment(dir, 1)?,
            dir: dir.to_owned(),
            segment: 1,
            segment_bytes,
            length: 0,
            lengths: Vec::new(),
            seq: 0,
            buffer: Vec::with_capacity(2 * BUFFER_BYTES),
            buffered_lines: 0,
            waiting_since: None,
            is_lazy: durability == Durability::None,
            unsynced_since: None,
            syncer: if is_synced { Some(Syncer::start()?) } else { None },
            failure: None,
            lost_lines: 0,
        };
        log.sync_dir()?;
        Ok(log)
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
        self.buffer.len() >= if self.is_lazy { LAZY_BYTES } else { BUFFER_BYTES }
    }

    /// Hands everything that waits to the operating system, unless the plan lets it wait, and asks for
    /// what is due to be made safe.
    pub(super) fn write_what_is_due(&mut self) {
        let now = Instant::now();
        if self.is_lazy && !self.buffer.is_empty() && !self.is_full() {
            let since = *self.waiting_since.get_or_insert(now);
            if now < since + LAZY_AFTER {
                return;
            }
        }
        self.write_out();
        if self.unsynced_since.is_some_and(|since| since + SYNC_EVERY <= now) {
            self.sync();
        }
        if let Some(why) = self.syncer.as_ref().and_then(Syncer::failure) {
            self.fail(&why.to_owned());
        }
    }

    /// Hands everything that waits to the operating system.
    pub(super) fn write_out(&mut self) {
        self.waiting_since = None;
        if self.failure.is_some() || self.buffer.is_empty() {
            return;
        }
        if let Err(error) = self.rotate_if_full().and_then(|()| self.append()) {
            self.fail(&error);
        }
    }

    /// When something is due without a further line, if anything is.
    pub(super) fn due(&self) -> Option<Instant> {
        let lazy = self.waiting_since.map(|since| since + LAZY_AFTER);
        let sync = self.syncer.as_ref().and(self.unsynced_since).map(|since| since + SYNC_EVERY);
        lazy.into_iter().chain(sync).min()
    }

    /// Writes everything out and asks for it to be made safe.
    pub(super) fn settle(&mut self) {
        self.write_out();
        self.sync();
    }

    /// Writes everything out and waits until it is safe.
    pub(super) fn close(&mut self) {
        self.settle();
        if let Some(why) = self.syncer.take().and_then(Syncer::finish) {
            self.fail(&why);
        }
    }

    fn sync(&mut self) {
        if self.unsynced_since.take().is_some()
            && let Some(syncer) = &self.syncer
        {
            syncer.ask(&self.file);
        }
    }

    /// A segment that was made is found again after the death of the machine.
    fn sync_dir(&self) -> io::Result<()> {
        if let Some(syncer) = &self.syncer {
            syncer.ask(&Arc::new(File::open(&self.dir)?));
        }
        Ok(())
    }

    /// Why the log could not be kept up, and how many lines it lacks.
    pub(super) fn failure(&self) -> Option<(&str, u64)> {
        self.failure.as_deref().map(|why| (why, self.lost_lines))
    }

    /// The first segment that is not there any more as it was written, and what became of it: somebody
    /// else was at it.
    pub(super) fn tampered(&self) -> Option<String> {
        let lengths = self.lengths.iter().chain(std::iter::once(&self.length));
        let changed = |(number, length): (u32, &u64)| {
            let name = record_log::segment_name(number);
            match std::fs::metadata(self.dir.join(&name)) {
                Ok(file) if file.len() == *length => None,
                Ok(_) => Some(format!("{name} was changed by somebody else while the run went on")),
                Err(_) => Some(format!("{name} was removed or renamed while the run went on")),
            }
        };
        (1..).zip(lengths).find_map(changed)
    }

    /// Lines numbered so far.
    pub(super) fn lines(&self) -> u64 {
        self.seq
    }

    fn append(&mut self) -> io::Result<()> {
        let mut written = 0;
        while written < self.buffer.len() {
            match (&*self.file).write(&self.buffer[written..]) {
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
        self.sync();
        self.file = create_segment(&self.dir, self.segment + 1)?;
        self.sync_dir()?;
        self.segment += 1;
        self.lengths.push(std::mem::take(&mut self.length));
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

fn create_segment(dir: &Path, number: u32) -> io::Result<Arc<File>> {
    let path = dir.join(record_log::segment_name(number));
    private().append(true).create_new(true).open(path).map(Arc::new)
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
        let mut log =
            LogWriter::with_segments_of(dir.path(), 400, Durability::Machine).expect("created");
        for index in 0..50 {
            log.push(&line(index));
            log.write_out();
        }
        log.close();
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
        let error = LogWriter::create(dir.path(), Durability::Machine).expect_err("taken");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&first).expect("there"), b"theirs");
    }

    #[test]
    fn a_segment_that_can_not_be_made_ends_the_log_at_a_whole_line() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut log =
            LogWriter::with_segments_of(dir.path(), 1, Durability::Machine).expect("created");
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

    #[test]
    fn a_lazy_log_waits_and_another_one_does_not() {
        for (durability, is_there) in
            [(Durability::None, false), (Durability::Process, true), (Durability::Machine, true)]
        {
            let dir = tempfile::tempdir().expect("a folder");
            let mut log = LogWriter::create(dir.path(), durability).expect("created");
            log.push(&line(0));
            log.write_what_is_due();
            let lines = || read(dir.path(), |_, _| {}).expect("a log").lines;
            assert_eq!(lines() == 1, is_there, "{durability:?}");
            assert_eq!(log.due().is_some(), durability != Durability::Process);
            log.close();
            assert_eq!(lines(), 1);
        }
    }
}

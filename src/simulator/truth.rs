//! The truth log: what the simulator did and when, to hold a client's measurements against.
//!
//! In: stamps taken just before each write. Out: one [`Truth`] per generation request. Invariant: a
//! stamp is in the log before its bytes leave, so whoever has seen the bytes finds the stamp; and
//! the log's memory is bounded, the oldest entries leave first and are counted.

use std::collections::VecDeque;
use std::io::{BufWriter, Write};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::Serialize;

/// Requests kept at most.
const MOST_REQUESTS: usize = 1 << 18;
/// Token stamps kept at most, over all requests.
const MOST_STAMPS: usize = 1 << 23;

/// One generation request as the simulator saw it; times are nanoseconds on its own clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Truth {
    /// Its number, from 0: requests that passed the checks of key, model and length, in the order
    /// in which they were fully read. Faults go by it.
    pub number: u64,
    /// Its `X-Request-Id`.
    pub request_id: Option<String>,
    /// When its last byte was read.
    pub read_ns: u64,
    /// Just before the write that held the response's first byte.
    pub headers_ns: Option<u64>,
    /// For each token, just before the write that held it.
    pub token_ns: Vec<u64>,
    /// Just before the last write of the response, or when the client was seen to have left.
    pub end_ns: Option<u64>,
    /// Prompt tokens.
    pub prompt_tokens: u64,
    /// Prompt tokens from the cache; known from the first token on.
    pub cached_tokens: Option<u64>,
    /// How it ended.
    pub outcome: TruthOutcome,
}

/// How a generation request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TruthOutcome {
    /// Not ended.
    Running,
    /// Answered in full.
    Complete,
    /// Refused with this status, by overload or by a fault.
    Status(u16),
    /// Cut short or spoiled by the scripted fault of this name.
    Fault(&'static str),
    /// The client left before the end.
    ClientLeft,
    /// The simulator was stopped, or crashed as scripted, before the end.
    Stopped,
}

/// The log in memory, with an optional copy on its way to a file.
#[derive(Debug, Default)]
pub struct TruthLog {
    entries: VecDeque<Truth>,
    first: u64,
    stamps: usize,
    copy: Option<Sender<Truth>>,
}

impl TruthLog {
    /// An empty log that also sends each ended entry to `copy`.
    pub fn new(copy: Option<Sender<Truth>>) -> Self {
        Self { copy, ..Self::default() }
    }

    /// Opens the entry of the next request and returns its number.
    pub fn open(&mut self, request_id: Option<String>, read_ns: u64, prompt_tokens: u64) -> u64 {
        while self.entries.len() >= MOST_REQUESTS || self.stamps >= MOST_STAMPS {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.first += 1;
            self.stamps -= oldest.token_ns.len();
        }
        let number = self.first + self.entries.len() as u64;
        self.entries.push_back(Truth {
            number,
            request_id,
            read_ns,
            headers_ns: None,
            token_ns: Vec::new(),
            end_ns: None,
            prompt_tokens,
            cached_tokens: None,
            outcome: TruthOutcome::Running,
        });
        number
    }

    /// A write is about to happen that holds this many tokens.
    pub fn write(&mut self, number: u64, at: u64, tokens: usize, cached: Option<u64>) {
        let Some(entry) = self.entry(number) else { return };
        entry.headers_ns.get_or_insert(at);
        entry.token_ns.extend(std::iter::repeat_n(at, tokens));
        entry.cached_tokens = entry.cached_tokens.or(cached);
        self.stamps += tokens;
    }

    /// The request ends at `at`; a later end replaces an earlier one (the last write failed).
    pub fn end(&mut self, number: u64, at: u64, outcome: TruthOutcome) {
        let Some(entry) = self.entry(number) else { return };
        entry.end_ns = Some(at);
        entry.outcome = outcome;
    }

    /// The entry will not change any more: sends it to the file.
    pub fn close(&mut self, number: u64) {
        let Some(copy) = &self.copy else { return };
        let place = number.checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
        if let Some(entry) = place.and_then(|place| self.entries.get(place)) {
            // A writer that gave up has said so already.
            drop(copy.send(entry.clone()));
        }
    }

    /// Sends no more copies, so that the file can be finished.
    pub fn end_copy(&mut self) {
        self.copy = None;
    }

    /// All entries still kept, in order of their numbers.
    pub fn entries(&self) -> Vec<Truth> {
        self.entries.iter().cloned().collect()
    }

    /// How many entries had to go to keep memory bounded, taken ones included.
    pub fn dropped(&self) -> u64 {
        self.first
    }

    /// Hands out and forgets the entries up to the first that is still running.
    pub fn take(&mut self) -> Vec<Truth> {
        let ended = self
            .entries
            .iter()
            .position(|entry| entry.outcome == TruthOutcome::Running)
            .unwrap_or(self.entries.len());
        self.first += ended as u64;
        let taken: Vec<Truth> = self.entries.drain(..ended).collect();
        self.stamps -= taken.iter().map(|entry| entry.token_ns.len()).sum::<usize>();
        taken
    }

    fn entry(&mut self, number: u64) -> Option<&mut Truth> {
        let place = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.entries.get_mut(place)
    }
}

/// Starts the thread that writes entries as JSON lines, flushed whenever it has a quiet moment; it
/// ends with [`TruthLog::end_copy`].
pub fn start_writer(
    out: impl Write + Send + 'static,
) -> std::io::Result<(Sender<Truth>, JoinHandle<()>)> {
    let (sender, receiver) = mpsc::channel();
    let thread = std::thread::Builder::new()
        .name("simulator-truth".into())
        .spawn(move || write_lines(&receiver, BufWriter::new(out)))?;
    Ok((sender, thread))
}

fn write_lines(entries: &Receiver<Truth>, mut out: impl Write) {
    loop {
        let written = match entries.recv_timeout(Duration::from_millis(100)) {
            Ok(entry) => serde_json::to_writer(&mut out, &entry)
                .map_err(std::io::Error::from)
                .and_then(|()| out.write_all(b"\n")),
            Err(RecvTimeoutError::Timeout) => out.flush(),
            Err(RecvTimeoutError::Disconnected) => {
                if let Err(error) = out.flush() {
                    tracing::error!("the truth log can't be written: {error}");
                }
                return;
            }
        };
        if let Err(error) = written {
            tracing::error!("the truth log can't be written: {error}");
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_one_write_share_its_stamp() {
        let mut log = TruthLog::default();
        let number = log.open(Some("a".into()), 5, 10);
        log.write(number, 6, 0, None);
        log.write(number, 7, 2, Some(0));
        log.end(number, 8, TruthOutcome::Complete);
        let entry = &log.entries()[0];
        assert_eq!(entry.headers_ns, Some(6));
        assert_eq!(entry.token_ns, [7, 7]);
        assert_eq!((entry.end_ns, entry.cached_tokens), (Some(8), Some(0)));
    }

    #[test]
    fn memory_is_bounded_and_what_left_is_counted() {
        let mut log = TruthLog::default();
        for _ in 0..=MOST_REQUESTS {
            log.open(None, 0, 1);
        }
        assert_eq!(log.dropped(), 1);
        assert_eq!(log.entries.len(), MOST_REQUESTS);
        log.write(1, 1, MOST_STAMPS, None);
        let number = log.open(None, 0, 1);
        assert_eq!((number, log.dropped()), (MOST_REQUESTS as u64 + 1, 2));
        assert_eq!(log.stamps, 0);
        log.write(0, 9, 1, None); // gone: no harm
        assert_eq!(log.stamps, 0);
    }

    #[test]
    fn taking_leaves_what_still_runs_and_numbers_go_on() {
        let mut log = TruthLog::default();
        for _ in 0..3 {
            log.open(None, 0, 1);
        }
        log.end(0, 1, TruthOutcome::Complete);
        log.end(2, 1, TruthOutcome::Complete);
        assert_eq!(log.take().iter().map(|entry| entry.number).collect::<Vec<_>>(), [0]);
        assert_eq!(log.open(None, 0, 1), 3);
        assert_eq!(log.entries().len(), 3);
    }

    #[test]
    fn the_copy_is_one_json_line_per_closed_entry() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let (sender, thread) = start_writer(file.reopen().unwrap()).unwrap();
        let mut log = TruthLog::new(Some(sender));
        let number = log.open(Some("id-1".into()), 1, 2);
        log.end(number, 3, TruthOutcome::Status(503));
        log.close(number);
        drop(log);
        thread.join().unwrap();
        let text = std::fs::read_to_string(file.path()).unwrap();
        let line: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
        assert_eq!(line["outcome"], serde_json::json!({"status": 503}));
        assert_eq!(line["request_id"], "id-1");
    }
}

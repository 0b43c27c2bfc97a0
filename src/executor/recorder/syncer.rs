//! What is written survives the machine: `fdatasync`, on a thread of its own.
//!
//! In: files that were written to. Out: the same, safe. Invariant: whoever asks never waits, for a sync of
//! some megabytes takes tens of milliseconds and one of a busy disk seconds.

use std::fs::File;
use std::io;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

/// The thread.
#[derive(Debug)]
pub(super) struct Syncer {
    files: Sender<Arc<File>>,
    thread: JoinHandle<()>,
    failure: Arc<OnceLock<String>>,
}

impl Syncer {
    /// Starts it.
    pub(super) fn start() -> io::Result<Self> {
        let (files, asked) = channel::<Arc<File>>();
        let failure = Arc::new(OnceLock::new());
        let failed = Arc::clone(&failure);
        let thread = thread::Builder::new().name("sync".into()).spawn(move || {
            for file in &asked {
                if let Err(error) = file.sync_data() {
                    let _said_before = failed.set(error.to_string());
                }
            }
        })?;
        Ok(Self { files, thread, failure })
    }

    /// Asks for a file (or folder) to be made safe.
    pub(super) fn ask(&self, file: &Arc<File>) {
        let _gone = self.files.send(Arc::clone(file));
    }

    /// Why something could not be made safe, if so.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// Waits until all that was asked for is safe; gives why something is not.
    pub(super) fn finish(self) -> Option<String> {
        drop(self.files);
        if self.thread.join().is_err() {
            return Some("the thread that syncs died".to_owned());
        }
        self.failure.get().cloned()
    }
}

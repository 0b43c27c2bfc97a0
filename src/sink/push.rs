//! What the sinks that push have in common: figures that go to a URL every few seconds.
//!
//! In: lines. Out: the run so far as the `render` of a sink writes it, posted by a thread of its own,
//! and once more at the end. Invariants: whatever the far end does, no push lasts longer than
//! [`LIMIT`] and none is waited for but the last; a push that is left out is no loss, because every
//! push holds all figures so far.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use url::Url;

use super::{Sink, SinkError};
use crate::client::gateway::Gateway;
use crate::metrics::pulse::Pulse;
use crate::metrics::summary::Summary;
use crate::record::Line;

/// Pushes are this far apart.
const EVERY: Duration = Duration::from_secs(5);
/// The longest that one push may take.
const LIMIT: Duration = Duration::from_secs(2);

/// How the run so far becomes a body.
pub(super) type Render = fn(&Pulse) -> Vec<u8>;

pub(super) struct Push {
    name: String,
    render: Render,
    pulse: Pulse,
    bodies: SyncSender<Vec<u8>>,
    report: Receiver<Tally>,
    pushed: Instant,
}

/// How the pushes went.
#[derive(Debug, Default)]
struct Tally {
    tried: u64,
    failed: u64,
    /// Why the last one failed.
    last: Option<String>,
}

impl Push {
    /// Checks the URL and starts the thread; nothing is sent yet.
    pub(super) fn open(
        name: String,
        url: &Url,
        content_type: &'static str,
        render: Render,
    ) -> Result<Self, SinkError> {
        let mut gateway =
            Gateway::new(url, content_type).map_err(|error| SinkError::new(&name, error))?;
        let (bodies, waiting) = sync_channel(1);
        let (result, report) = sync_channel(1);
        thread::Builder::new()
            .name("push".into())
            .spawn(move || {
                let _nobody_waits_any_more = result.send(push_all(&mut gateway, &waiting));
            })
            .map_err(|error| SinkError::new(&name, error))?;
        let pulse = Pulse::default();
        Ok(Self { name, render, pulse, bodies, report, pushed: Instant::now() })
    }
}

impl Sink for Push {
    fn line(&mut self, _seq: u64, line: &Line) -> Result<(), SinkError> {
        self.pulse.line(line);
        Ok(())
    }

    fn tick(&mut self) -> Result<(), SinkError> {
        if self.pushed.elapsed() >= EVERY {
            self.pushed = Instant::now();
            match self.bodies.try_send((self.render)(&self.pulse)) {
                Ok(()) | Err(TrySendError::Full(_)) => {}
                Err(TrySendError::Disconnected(_)) => {
                    return Err(SinkError::new(&self.name, "its thread died"));
                }
            }
        }
        Ok(())
    }

    fn finish(self: Box<Self>, summary: &Summary) -> Result<(), SinkError> {
        let Self { name, render, mut pulse, bodies, report, .. } = *self;
        pulse.summary = Some(summary.clone());
        let _told_below = bodies.send(render(&pulse));
        drop(bodies);
        let tally = report.recv().map_err(|_| SinkError::new(&name, "its thread died"))?;
        match tally.last {
            None => Ok(()),
            Some(why) => {
                let Tally { tried, failed, .. } = tally;
                Err(SinkError::new(&name, format!("{failed} of {tried} pushes failed: {why}")))
            }
        }
    }
}

/// Pushes what comes until the sink is gone.
fn push_all(gateway: &mut Gateway, bodies: &Receiver<Vec<u8>>) -> Tally {
    let mut tally = Tally::default();
    for body in bodies {
        tally.tried += 1;
        tally.last = gateway.post(body, LIMIT).err();
        tally.failed += u64::from(tally.last.is_some());
    }
    tally
}

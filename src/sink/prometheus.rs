//! `prometheus:HOST:PORT` serves `/metrics` while the run goes on; `prometheus:URL` pushes the same
//! text to a gateway.
//!
//! In: lines. Out: the text exposition format 0.0.4. Invariants: the port is taken (or the URL
//! understood) before the run; a slow or hostile reader holds up nobody but the next reader.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use url::Url;

use super::push::Push;
use super::{Sink, SinkError, exposition};
use crate::metrics::pulse::Pulse;
use crate::metrics::summary::Summary;
use crate::output::note;
use crate::record::Line;

/// What the text is.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Where a gateway that is given without a path takes the figures of a job.
const GROUP: &str = "/metrics/job/runner";
/// A reader that takes longer than this is left.
const READER: Duration = Duration::from_secs(2);
/// The longest request that is read.
const REQUEST_BYTES: usize = 8 * 1024;

/// `prometheus:URL`.
pub(super) fn push(name: String, target: &str) -> Result<Push, SinkError> {
    let mut url = Url::parse(target).map_err(|error| SinkError::new(&name, error))?;
    if matches!(url.path(), "" | "/") {
        url.set_path(GROUP);
    }
    let render = |pulse: &Pulse| exposition::render(pulse).into_bytes();
    Push::open(name, &url, CONTENT_TYPE, render)
}

/// `prometheus:HOST:PORT`.
pub(super) struct Served {
    pulse: Arc<Mutex<Pulse>>,
    stop: Arc<AtomicBool>,
    address: SocketAddr,
}

impl Served {
    /// Takes the port and begins to answer. Nothing but this host is let in unless the target names
    /// another address.
    pub(super) fn open(name: &str, target: &str) -> Result<Self, SinkError> {
        let failed = |error: io::Error| SinkError::new(name, error);
        let target = match target.strip_prefix(':') {
            Some(port) => format!("127.0.0.1:{port}"),
            None => target.to_owned(),
        };
        let mut addresses = target.to_socket_addrs().map_err(failed)?;
        let wanted = addresses.next().ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        let listener = TcpListener::bind(wanted).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let served = Self {
            pulse: Arc::new(Mutex::new(Pulse::default())),
            stop: Arc::new(AtomicBool::new(false)),
            address,
        };
        let (pulse, stop) = (Arc::clone(&served.pulse), Arc::clone(&served.stop));
        thread::Builder::new()
            .name("metrics".into())
            .spawn(move || serve(&listener, &pulse, &stop))
            .map_err(failed)?;
        note!("metrics: http://{address}/metrics while the run goes on");
        Ok(served)
    }

    fn update(&self, act: impl FnOnce(&mut Pulse)) {
        act(&mut self.pulse.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Sink for Served {
    fn line(&mut self, _seq: u64, line: &Line) -> Result<(), SinkError> {
        self.update(|pulse| pulse.line(line));
        Ok(())
    }

    fn finish(self: Box<Self>, summary: &Summary) -> Result<(), SinkError> {
        self.update(|pulse| pulse.summary = Some(summary.clone()));
        Ok(())
    }
}

impl Drop for Served {
    /// Wakes the thread, which then gives the port back.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let mut here = self.address;
        if here.ip().is_unspecified() {
            here.set_ip(match here.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        let _woken = TcpStream::connect_timeout(&here, Duration::from_millis(200));
    }
}

fn serve(listener: &TcpListener, pulse: &Mutex<Pulse>, stop: &AtomicBool) {
    for reader in listener.incoming() {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        match reader {
            Ok(reader) => {
                let _gone = answer(reader, pulse);
            }
            // Out of file descriptors: try again later.
            Err(_) => thread::sleep(Duration::from_millis(100)),
        }
    }
}

fn answer(mut reader: TcpStream, pulse: &Mutex<Pulse>) -> io::Result<()> {
    reader.set_write_timeout(Some(READER))?;
    let request = request(&mut reader)?;
    let mut words = request.split(|byte| *byte == b' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = path.split(|byte| *byte == b'?').next().unwrap_or_default();
    let (status, body) = match (method, path) {
        (b"GET" | b"HEAD", b"/metrics" | b"/") => {
            let pulse = pulse.lock().unwrap_or_else(PoisonError::into_inner);
            ("200 OK", exposition::render(&pulse))
        }
        (b"GET" | b"HEAD", _) => ("404 Not Found", "the metrics are at /metrics\n".to_owned()),
        _ => ("405 Method Not Allowed", "only GET is answered\n".to_owned()),
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n"
    );
    reader.write_all(head.as_bytes())?;
    if method != b"HEAD" {
        reader.write_all(body.as_bytes())?;
    }
    reader.flush()
}

/// A request's head, within bounds of time and size.
fn request(reader: &mut TcpStream) -> io::Result<Vec<u8>> {
    let deadline = Instant::now() + READER;
    let mut head = Vec::new();
    let mut chunk = [0; 1024];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || head.len() > REQUEST_BYTES {
            return Err(io::ErrorKind::TimedOut.into());
        }
        reader.set_read_timeout(Some(left))?;
        match reader.read(&mut chunk)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => head.extend_from_slice(&chunk[..length]),
        }
    }
    Ok(head)
}

//! A scripted TCP server for tests: it does to its clients exactly what a script says.
//!
//! In: one script per connection (the last one serves all later connections), or an answer per
//! request. Out: an address, and the log of what was received. It runs on plain threads, so a
//! client's runtime cannot influence it, and ends when it is dropped.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// One thing to do on a connection. After the last one the connection is closed cleanly.
#[derive(Debug, Clone)]
pub enum Step {
    /// Reads one whole request.
    Read,
    /// Writes bytes.
    Send(Vec<u8>),
    /// Writes bytes one at a time with a pause after each.
    Drip(Vec<u8>, Duration),
    /// Writes bytes again and again until the client leaves.
    Flood(Vec<u8>),
    /// Pauses.
    Wait(Duration),
    /// Closes with RST.
    Reset,
    /// Does nothing until the client leaves.
    Stall,
}

/// A running server.
pub struct FaultyServer {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
    acceptor: Option<JoinHandle<()>>,
}

impl FaultyServer {
    /// Serves connection `i` by script `i`; later ones by the last.
    pub fn scripts(scripts: Vec<Vec<Step>>) -> Self {
        Self::serve(move |number, mut stream, stop, requests| {
            let script = scripts.get(number).or(scripts.last()).cloned().unwrap_or_default();
            for step in script {
                if play(step, &mut stream, stop, requests).is_err() {
                    break;
                }
            }
        })
    }

    /// Serves every connection by the same script.
    pub fn script(script: Vec<Step>) -> Self {
        Self::scripts(vec![script])
    }

    /// Answers each request (its head and body as text) by a function.
    pub fn answers(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::serve(move |_, mut stream, stop, requests| {
            while let Ok(request) = read_request(&mut stream, stop) {
                let bytes = answer(&request);
                requests.lock().unwrap().push(request);
                if stream.write_all(&bytes).is_err() {
                    break;
                }
            }
        })
    }

    /// Runs `handle` on a thread for each connection.
    pub fn serve(
        handle: impl Fn(usize, TcpStream, &AtomicBool, &Mutex<Vec<String>>) + Send + Sync + 'static,
    ) -> Self {
        Self::serve_at(TcpListener::bind("127.0.0.1:0").unwrap(), handle)
    }

    /// The same on a port of the caller's.
    pub fn serve_at(
        listener: TcpListener,
        handle: impl Fn(usize, TcpStream, &AtomicBool, &Mutex<Vec<String>>) + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let connections = Arc::new(AtomicUsize::new(0));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let handle = Arc::new(handle);
        let acceptor = {
            let (stop, connections, requests) =
                (Arc::clone(&stop), Arc::clone(&connections), Arc::clone(&requests));
            std::thread::spawn(move || {
                for stream in listener.incoming() {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    let Ok(stream) = stream else { continue };
                    stream.set_nodelay(true).unwrap();
                    stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
                    let number = connections.fetch_add(1, Ordering::SeqCst);
                    let (handle, stop, requests) =
                        (Arc::clone(&handle), Arc::clone(&stop), Arc::clone(&requests));
                    std::thread::spawn(move || handle(number, stream, &stop, &requests));
                }
            })
        };
        Self { address, stop, connections, requests, acceptor: Some(acceptor) }
    }

    /// `http://ADDRESS/v1`.
    pub fn url(&self) -> url::Url {
        url::Url::parse(&format!("http://{}/v1", self.address)).unwrap()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Requests read so far, head and body.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for FaultyServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _wakes_the_acceptor = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ended = acceptor.join();
        }
    }
}

pub fn play(
    action: Step,
    stream: &mut TcpStream,
    stop: &AtomicBool,
    requests: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    match action {
        Step::Read => {
            // Read first: other connections need the lock meanwhile.
            let request = read_request(stream, stop)?;
            requests.lock().unwrap().push(request);
        }
        Step::Send(bytes) => stream.write_all(&bytes)?,
        Step::Drip(bytes, gap) => {
            for byte in bytes {
                stream.write_all(&[byte])?;
                std::thread::sleep(gap);
            }
        }
        Step::Flood(bytes) => {
            while !stop.load(Ordering::SeqCst) {
                stream.write_all(&bytes)?;
            }
        }
        Step::Wait(time) => std::thread::sleep(time),
        Step::Reset => {
            socket2::SockRef::from(&*stream).set_linger(Some(Duration::ZERO))?;
            return Err(ErrorKind::ConnectionReset.into());
        }
        Step::Stall => while read_some(stream, stop, &mut [0; 1024])? > 0 {},
    }
    Ok(())
}

/// Reads a request with its `Content-Length` body.
pub fn read_request(stream: &mut impl Read, stop: &AtomicBool) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .and_then(|(_, value)| value.trim().parse().ok())
                .unwrap_or(0);
            if body.len() >= length {
                return Ok(text.into_owned());
            }
        }
        let count = read_some(stream, stop, &mut piece)?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&piece[..count]);
    }
}

fn read_some(
    stream: &mut impl Read,
    stop: &AtomicBool,
    piece: &mut [u8],
) -> std::io::Result<usize> {
    loop {
        match stream.read(piece) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if stop.load(Ordering::SeqCst) {
                    return Ok(0);
                }
            }
            result => return result,
        }
    }
}

/// The head of a chunked event stream.
pub fn stream_head() -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        .to_vec()
}

/// One chunk of chunked transfer encoding.
pub fn chunk(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// The last chunk.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Head and body of an answer in `tests/streams`, as they were recorded.
pub fn recorded(file: &str) -> (Vec<u8>, Vec<u8>) {
    let path = format!("{}/tests/streams/{file}.txt", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(path).expect("a recorded answer");
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    let (head, body) = bytes.split_at(end);
    (head.to_vec(), body.to_vec())
}

/// A whole event stream with a clean end.
pub fn stream(body: &str) -> Vec<u8> {
    [stream_head(), chunk(body), LAST_CHUNK.to_vec()].concat()
}

/// A whole answer of any status and type; `headers` are lines with their ends.
pub fn answer(status: u16, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\n\r\n{body}").into_bytes()
}

/// A whole JSON answer.
pub fn json(status: u16, body: &str) -> Vec<u8> {
    answer(status, "Content-Type: application/json\r\n", body)
}

//! The poll floor: the least that a keep-alive HTTP client costs on this machine at all.
//!
//! One thread, one poll of the system (epoll, kqueue), connections opened ahead. What is ready is
//! read first and stamped as it is read; only then is anything looked at or sent. An answer is over
//! where its bytes end in the last chunk: no head is parsed and no body decoded. It prints what
//! `hyper_floor` prints, and takes the same arguments.
//!
//! ```text
//! taskset -c 0 cargo run --release --example epoll_floor -- \
//!     http://127.0.0.1:8000/v1/chat/completions --concurrency 64 --requests 100000
//! ```

mod floor;

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, bail};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use floor::{Arguments, Totals};

/// The end of a chunked answer without trailers.
const LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";
/// How much is read of one socket at a time.
const READ: usize = 64 * 1024;

/// A connection with one request in flight.
struct Stream {
    socket: TcpStream,
    /// What of the request is not written yet.
    unsent: usize,
    sent: Instant,
    texts: Vec<Instant>,
    /// The last bytes of what was read, as many as the last chunk has.
    tail: Vec<u8>,
    is_ok: Option<bool>,
}

impl Stream {
    fn open(address: SocketAddr, poll: &Poll, token: Token) -> anyhow::Result<Self> {
        let connected = std::net::TcpStream::connect(address)?;
        connected.set_nodelay(true)?;
        connected.set_nonblocking(true)?;
        let mut socket = TcpStream::from_std(connected);
        poll.registry().register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self {
            socket,
            unsent: 0,
            sent: Instant::now(),
            texts: Vec::new(),
            tail: Vec::new(),
            is_ok: None,
        })
    }

    /// Writes as much of the request as the socket takes.
    fn write(&mut self, request: &[u8]) -> std::io::Result<()> {
        while self.unsent > 0 {
            match self.socket.write(&request[request.len() - self.unsent..]) {
                Ok(written) => self.unsent -= written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes bytes of the answer; true where it is over.
    fn take(&mut self, bytes: &[u8]) -> bool {
        if self.is_ok.is_none() {
            self.is_ok = Some(bytes.starts_with(b"HTTP/1.1 200"));
        }
        self.tail.extend_from_slice(&bytes[bytes.len().saturating_sub(LAST_CHUNK.len())..]);
        self.tail.drain(..self.tail.len().saturating_sub(LAST_CHUNK.len()));
        self.tail == LAST_CHUNK
    }
}

fn main() -> anyhow::Result<()> {
    let (arguments, body) = Arguments::read()?;
    let url = &arguments.url;
    let mut request = format!(
        "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
         authorization: Bearer EMPTY\r\ncontent-length: {}\r\n\r\n",
        url.path(),
        url.authority(),
        body.len()
    )
    .into_bytes();
    request.extend(body);
    let address = *url.socket_addrs(|| None)?.first().context("the URL's host has no address")?;
    let mut poll = Poll::new()?;
    let mut streams = (0..usize::try_from(arguments.concurrency)?)
        .map(|number| Stream::open(address, &poll, Token(number)))
        .collect::<anyhow::Result<Vec<_>>>()?;

    let mut totals = Totals::new(&arguments);
    let mut to_send: Vec<usize> = (0..streams.len()).collect();
    let mut in_flight = 0;
    let mut events = Events::with_capacity(streams.len().max(1));
    let (mut read, mut bytes) = (Vec::new(), vec![0; READ]);
    loop {
        for number in to_send.drain(..) {
            if totals.begun < arguments.requests {
                totals.begun += 1;
                in_flight += 1;
                let stream = &mut streams[number];
                (stream.unsent, stream.is_ok, stream.sent) = (request.len(), None, Instant::now());
                stream.tail.clear();
                stream.write(&request)?;
            }
        }
        if in_flight == 0 {
            break;
        }
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other?,
        }
        // All that is ready is read before any of it is looked at.
        for event in &events {
            let number = event.token().0;
            let stream = &mut streams[number];
            stream.write(&request)?;
            loop {
                match stream.socket.read(&mut bytes) {
                    Ok(0) => bail!("the server closed a connection"),
                    Ok(count) => {
                        read.push((number, Instant::now(), bytes[..count].to_vec()));
                        // Less than asked for was all there was (edge-triggered polls allow it).
                        if count < bytes.len() {
                            break;
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        for (number, now, chunk) in read.drain(..) {
            let stream = &mut streams[number];
            totals.read(&chunk, now, &mut stream.texts);
            if stream.take(&chunk) {
                totals.end(stream.is_ok == Some(true), stream.sent, &mut stream.texts);
                in_flight -= 1;
                to_send.push(number);
            }
        }
    }
    totals.print();
    Ok(())
}

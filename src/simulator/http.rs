//! HTTP/1.1, as much of it as an inference server needs: bytes of a socket ↔ requests and responses.
//!
//! In: a socket. Out: whole requests; responses are written as given. It is our own because the
//! truth log must know the moment of each write and faults must cut a body anywhere, which an HTTP
//! library hides; it also costs a fraction of one. Invariant: whatever a client sends, memory is
//! bounded and a wrong request ends in an error, not a panic.

mod answer;

use std::io::{self, ErrorKind};

use tokio::net::TcpStream;

pub use answer::{LAST_CHUNK, push_chunk, push_event, response, response_with, stream_head};

/// Longest request line and headers together.
const MOST_HEAD: usize = 64 * 1024;
/// Longest request body; a million tokens of text are about 4 MiB.
const MOST_BODY: usize = 64 * 1024 * 1024;
/// Room for each read.
const READ: usize = 8 * 1024;

/// A request, fully read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Incoming {
    /// `GET`, `POST`, …
    pub method: String,
    /// The path without its query.
    pub path: String,
    /// The value of `Authorization`, or what `X-Api-Key` means in its words.
    pub authorization: Option<String>,
    /// The value of `X-Request-Id`.
    pub request_id: Option<String>,
    /// Whether the connection may be used again.
    pub keep_alive: bool,
    /// The body.
    pub body: Vec<u8>,
}

/// Why no request could be read.
#[derive(Debug)]
pub enum ReadError {
    /// The connection ended or broke.
    Gone,
    /// The client sent something wrong: the status to answer with before closing.
    Bad(u16, &'static str),
}

impl From<io::Error> for ReadError {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

/// A client's connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// The unread part of `buffer`.
    start: usize,
    end: usize,
}

/// How the body's length is told.
#[derive(Debug, Clone, Copy)]
enum Framing {
    Length(usize),
    Chunked,
}

impl Connection {
    /// A fresh connection.
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: Vec::new(), start: 0, end: 0 }
    }

    /// Reads the next request.
    pub async fn read(&mut self) -> Result<Incoming, ReadError> {
        let head = loop {
            let unread = &self.buffer[self.start..self.end];
            if let Some(length) = memchr::memmem::find(unread, b"\r\n\r\n") {
                break length;
            }
            if unread.len() > MOST_HEAD {
                return Err(ReadError::Bad(431, "request head too long"));
            }
            self.fill().await?;
        };
        let text = String::from_utf8_lossy(&self.buffer[self.start..self.start + head]);
        let (mut request, framing, expects) = parse_head(&text)?;
        self.start += head + 4;
        if expects {
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        request.body = match framing {
            Framing::Length(length) => self.read_exactly(length).await?,
            Framing::Chunked => self.read_chunked().await?,
        };
        Ok(request)
    }

    /// Writes all of `bytes`; the first attempt happens at once.
    pub async fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.stream.try_write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.stream.writable().await?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Returns when the client has closed or broken the connection. What it sends meanwhile is kept
    /// for the next read; one that sends very much is watched no longer.
    pub async fn gone(&mut self) {
        while self.end - self.start <= MOST_HEAD {
            if self.fill().await.is_err() {
                return;
            }
        }
        std::future::pending::<()>().await;
    }

    /// Reads once into the buffer. Nothing is lost when this is cancelled.
    async fn fill(&mut self) -> Result<(), ReadError> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        if self.buffer.len() - self.end < READ {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            self.buffer.resize(self.end + READ, 0);
        }
        self.end += read_some(&self.stream, &mut self.buffer[self.end..]).await?;
        Ok(())
    }

    async fn read_exactly(&mut self, length: usize) -> Result<Vec<u8>, ReadError> {
        let have = length.min(self.end - self.start);
        let mut body = vec![0; length];
        body[..have].copy_from_slice(&self.buffer[self.start..self.start + have]);
        self.start += have;
        let mut filled = have;
        while filled < length {
            filled += read_some(&self.stream, &mut body[filled..]).await?;
        }
        Ok(body)
    }

    async fn read_line(&mut self) -> Result<String, ReadError> {
        loop {
            let unread = &self.buffer[self.start..self.end];
            if let Some(length) = memchr::memmem::find(unread, b"\r\n") {
                let line = String::from_utf8_lossy(&unread[..length]).into_owned();
                self.start += length + 2;
                return Ok(line);
            }
            if unread.len() > MOST_HEAD {
                return Err(ReadError::Bad(400, "line of a chunked body too long"));
            }
            self.fill().await?;
        }
    }

    async fn read_chunked(&mut self) -> Result<Vec<u8>, ReadError> {
        let mut body = Vec::new();
        loop {
            let line = self.read_line().await?;
            let digits = line.split(';').next().unwrap_or_default().trim();
            let length = usize::from_str_radix(digits, 16)
                .map_err(|_| ReadError::Bad(400, "wrong chunk length"))?;
            if length > MOST_BODY - body.len() {
                return Err(ReadError::Bad(413, "request body too long"));
            }
            body.extend(self.read_exactly(length).await?);
            // The line's end after a chunk; after the last one, trailers up to an empty line.
            while !self.read_line().await?.is_empty() && length == 0 {}
            if length == 0 {
                return Ok(body);
            }
        }
    }
}

async fn read_some(stream: &TcpStream, into: &mut [u8]) -> Result<usize, ReadError> {
    loop {
        stream.readable().await?;
        match stream.try_read(into) {
            Ok(0) => return Err(ReadError::Gone),
            Ok(read) => return Ok(read),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn parse_head(head: &str) -> Result<(Incoming, Framing, bool), ReadError> {
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target), Some(version)) = (words.next(), words.next(), words.next())
    else {
        return Err(ReadError::Bad(400, "wrong request line"));
    };
    if !version.starts_with("HTTP/1.") {
        return Err(ReadError::Bad(505, "only HTTP/1 is spoken here"));
    }
    let mut request = Incoming {
        method: method.to_owned(),
        path: target.split(['?', '#']).next().unwrap_or_default().to_owned(),
        keep_alive: version != "HTTP/1.0",
        ..Incoming::default()
    };
    let (mut framing, mut expects) = (Framing::Length(0), false);
    for line in lines {
        let Some((name, value)) = line.split_once(':') else {
            return Err(ReadError::Bad(400, "wrong header line"));
        };
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            let length = value.parse().map_err(|_| ReadError::Bad(400, "wrong content length"))?;
            if length > MOST_BODY {
                return Err(ReadError::Bad(413, "request body too long"));
            }
            framing = Framing::Length(length);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            if !value.eq_ignore_ascii_case("chunked") {
                return Err(ReadError::Bad(501, "unknown transfer encoding"));
            }
            framing = Framing::Chunked;
        } else if name.eq_ignore_ascii_case("connection") {
            if value.eq_ignore_ascii_case("close") {
                request.keep_alive = false;
            } else if value.eq_ignore_ascii_case("keep-alive") {
                request.keep_alive = true;
            }
        } else if name.eq_ignore_ascii_case("expect") {
            expects = value.eq_ignore_ascii_case("100-continue");
        } else if name.eq_ignore_ascii_case("authorization") {
            request.authorization = Some(value.to_owned());
        } else if name.eq_ignore_ascii_case("x-api-key") {
            // Anthropic's way to say it.
            request.authorization.get_or_insert_with(|| format!("Bearer {value}"));
        } else if name.eq_ignore_ascii_case("x-request-id") {
            request.request_id = Some(value.to_owned());
        }
    }
    Ok((request, framing, expects))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// What the connection makes of `pieces`, each sent in a write of its own.
    async fn read(pieces: &[&[u8]]) -> (Result<Incoming, ReadError>, Connection) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = TcpStream::connect(address).await.unwrap();
        let mut connection = Connection::new(listener.accept().await.unwrap().0);
        let send = async {
            for piece in pieces {
                client.writable().await.unwrap();
                assert_eq!(client.try_write(piece).unwrap(), piece.len());
                tokio::task::yield_now().await;
            }
            drop(client);
        };
        let (request, ()) = tokio::join!(connection.read(), send);
        (request, connection)
    }

    #[tokio::test]
    async fn a_request_is_read_however_it_is_cut() {
        let text = b"POST /v1/x?y=1 HTTP/1.1\r\nHost: a\r\nX-Request-ID: r1\r\n\
            Authorization: Bearer k\r\ncontent-length: 5\r\n\r\nhello";
        for cut in 1..text.len() {
            let request = read(&[&text[..cut], &text[cut..]]).await.0.unwrap();
            assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/v1/x"));
            assert_eq!(request.request_id.as_deref(), Some("r1"));
            assert_eq!(request.authorization.as_deref(), Some("Bearer k"));
            assert_eq!(request.body, b"hello");
            assert!(request.keep_alive);
        }
    }

    #[tokio::test]
    async fn a_chunked_body_is_joined_and_the_next_request_follows() {
        let (request, mut connection) = read(&[
            b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
            b"2;x=1\r\nde\r\n0\r\nTrailer: t\r\n\r\nGET /next HTTP/1.1\r\nConnection: close\r\n\r\n",
        ])
        .await;
        assert_eq!(request.unwrap().body, b"abcde");
        let next = connection.read().await.unwrap();
        assert_eq!((next.path.as_str(), next.keep_alive), ("/next", false));
        assert!(matches!(connection.read().await, Err(ReadError::Gone)));
    }

    #[tokio::test]
    async fn wrong_requests_get_a_status_and_no_panic() {
        let long = vec![b'a'; MOST_HEAD + READ + 1];
        for (text, status) in [
            (&b"\r\n\r\n"[..], 400),
            (b"GET / HTTP/2\r\n\r\n", 505),
            (b"GET / HTTP/1.1\r\nnonsense\r\n\r\n", 400),
            (b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n", 400),
            (b"POST / HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n", 413),
            (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400),
            (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nffffffff\r\n", 413),
            (b"POST / HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n", 501),
            (&long, 431),
        ] {
            let request = read(&[text]).await.0;
            assert!(matches!(request, Err(ReadError::Bad(got, _)) if got == status), "{status}");
        }
    }
}

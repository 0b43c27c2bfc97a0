//! The head of a response: status line and headers.
//!
//! In: the bytes at the start of a response. Out: a [`Head`] and how long it is. Invariant: what
//! the headers say of the body's end and of the connection is read once, by RFC 9112.

use std::mem::MaybeUninit;

use httparse::{Response, Status};

/// The most headers that are read.
const MAX_HEADERS: usize = 100;

/// A response's head.
#[derive(Debug)]
pub(super) struct Head {
    pub status: u16,
    /// Where the body ends.
    pub framing: Framing,
    /// Whether the connection stays open behind the body.
    pub keep_alive: bool,
    /// Its bytes, status line and all.
    bytes: Box<[u8]>,
}

/// Where a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// After so many bytes.
    Length(u64),
    /// After the chunk of no bytes.
    Chunked,
    /// Where the connection does.
    Close,
}

/// What the start of a response comes to.
#[derive(Debug)]
pub(super) enum Parsed {
    /// More bytes are needed.
    Partial,
    /// A `100 Continue` or the like, so many bytes long; the answer follows.
    Informational(usize),
    /// The head, so many bytes long.
    Answer(Head, usize),
}

impl Head {
    /// Reads a head; an error says what is no HTTP.
    pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, String> {
        let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let mut response = Response::new(&mut []);
        let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
            &mut response,
            bytes,
            &mut headers,
        );
        let length = match parsed.map_err(|error| error.to_string())? {
            Status::Partial => return Ok(Parsed::Partial),
            Status::Complete(length) => length,
        };
        let status = response.code.unwrap_or_default();
        if (100..200).contains(&status) {
            return Ok(Parsed::Informational(length));
        }
        let mut facts = Facts { keep_alive: response.version == Some(1), ..Facts::default() };
        for header in response.headers.iter() {
            facts.note(header.name, header.value)?;
        }
        let head = Self {
            status,
            framing: facts.framing(status),
            keep_alive: facts.keep_alive,
            bytes: bytes[..length].into(),
        };
        Ok(Parsed::Answer(head, length))
    }

    /// The first header of that name; `None` when it is missing or not text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.bytes.split(|byte| *byte == b'\n').skip(1);
        let value = lines.filter_map(|line| {
            let (key, value) = line.split_at_checked(name.len())?;
            let value = value.strip_prefix(b":")?;
            key.eq_ignore_ascii_case(name.as_bytes()).then(|| value.trim_ascii())
        });
        std::str::from_utf8(value.into_iter().next()?).ok()
    }
}

/// What the headers say of framing and connection.
#[derive(Debug, Default)]
struct Facts {
    keep_alive: bool,
    length: Option<u64>,
    coded: bool,
    chunked: bool,
}

impl Facts {
    fn note(&mut self, name: &str, value: &[u8]) -> Result<(), String> {
        if name.eq_ignore_ascii_case("content-length") {
            let text = std::str::from_utf8(value).unwrap_or_default();
            for part in text.split(',').map(str::trim) {
                let is_number = !part.is_empty() && part.bytes().all(|it| it.is_ascii_digit());
                let length = part.parse().ok().filter(|_| is_number);
                let length = length.ok_or_else(|| "a broken content-length".to_owned())?;
                if self.length.replace(length).is_some_and(|other| other != length) {
                    return Err("two content-lengths".to_owned());
                }
            }
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            self.coded = true;
            let last = value.rsplit(|byte| *byte == b',').next().unwrap_or_default();
            self.chunked = last.trim_ascii().eq_ignore_ascii_case(b"chunked");
        } else if name.eq_ignore_ascii_case("connection") {
            for word in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                if word.eq_ignore_ascii_case(b"close") {
                    self.keep_alive = false;
                } else if word.eq_ignore_ascii_case(b"keep-alive") {
                    self.keep_alive = true;
                }
            }
        }
        Ok(())
    }

    fn framing(&self, status: u16) -> Framing {
        match self.length {
            _ if matches!(status, 204 | 304) => Framing::Length(0),
            _ if self.chunked => Framing::Chunked,
            Some(length) if !self.coded => Framing::Length(length),
            _ => Framing::Close,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Head {
        match Head::parse(text.as_bytes()) {
            Ok(Parsed::Answer(head, length)) => {
                assert_eq!(length, text.len());
                head
            }
            other => panic!("{text:?}: {other:?}"),
        }
    }

    #[test]
    fn the_body_ends_where_the_headers_say() {
        for (headers, framing) in [
            ("Content-Length: 12\r\n", Framing::Length(12)),
            ("Content-Length: 12, 12\r\n", Framing::Length(12)),
            ("Transfer-Encoding: chunked\r\n", Framing::Chunked),
            ("transfer-encoding: gzip, Chunked\r\nContent-Length: 3\r\n", Framing::Chunked),
            ("Transfer-Encoding: gzip\r\nContent-Length: 3\r\n", Framing::Close),
            ("", Framing::Close),
        ] {
            assert_eq!(head(&format!("HTTP/1.1 200 OK\r\n{headers}\r\n")).framing, framing);
        }
        assert_eq!(head("HTTP/1.1 204 No\r\n\r\n").framing, Framing::Length(0));
    }

    #[test]
    fn a_connection_stays_unless_it_is_said_to_close() {
        for (text, stays) in [
            ("HTTP/1.1 200 OK\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\nConnection: Close\r\n\r\n", false),
            ("HTTP/1.0 200 OK\r\n\r\n", false),
            ("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\n\r\n", true),
        ] {
            assert_eq!(head(text).keep_alive, stays, "{text:?}");
        }
    }

    #[test]
    fn headers_are_found_in_any_case() {
        let head =
            head("HTTP/1.1 200 OK\r\nContent-Types: no\r\ncontent-TYPE:  text/plain \r\n\r\n");
        assert_eq!(head.header("content-type"), Some("text/plain"));
        assert_eq!(head.header("content"), None);
    }

    #[test]
    fn what_is_no_head_is_refused() {
        for text in [
            "SSH-2.0-OpenSSH_9.2\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        ] {
            assert!(Head::parse(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(matches!(Head::parse(b"HTTP/1.1 200 OK\r\nA: b\r\n"), Ok(Parsed::Partial)));
        let early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 ";
        assert!(matches!(Head::parse(early), Ok(Parsed::Informational(25))));
    }
}

//! HTTP/1.1 over plain TCP, for speed.
//!
//! In: requests with all their bytes. Out: a [`Reply`], or a [`Fault`]. Invariants: a request
//! leaves in one write where the socket takes it; bytes are read into one buffer per thread,
//! which every connection shares, so that ten thousand of them cost no memory while they wait;
//! a connection is kept only when its answer ended exactly where HTTP says.
//!
//! `head` and `body` know what HTTP's bytes mean, `dialing` makes connections, `pool` keeps those that
//! are open, this file moves bytes.

mod body;
mod dialing;
mod head;
mod pool;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use url::Url;

use self::body::{Body, Taken, Then};
use self::dialing::Host;
use self::head::{Head, Parsed};
use self::pool::{Idle, Pool};
use super::{Fault, FaultKind, Post};
use crate::client::addresses::Resolver;
use crate::client::dial::{Dial, Used};
use crate::plan::Endpoint;

/// Most bytes read at once. An answer's chunks are far smaller; the buffer stays in the cache.
const READ_BYTES: usize = 32 * 1024;
/// The longest head of a response.
const MAX_HEAD_BYTES: usize = 64 * 1024;

thread_local! {
    /// Where every connection of this thread reads; emptied before the next one's turn.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// The connections to one host. Clones share them.
#[derive(Debug, Clone)]
pub(in crate::client) struct Wire {
    pool: Arc<Pool>,
    /// What every request carries, as text: lines with their ends.
    headers: Arc<[u8]>,
}

impl Wire {
    /// Sets up the pool; `None` when the URL has no host. Nothing is sent.
    pub(super) fn new(endpoint: &Endpoint, base: &Url, headers: &HeaderMap) -> Option<Self> {
        let mut all = HeaderMap::new();
        let agent = concat!("runner/", env!("CARGO_PKG_VERSION"));
        all.insert(header::USER_AGENT, HeaderValue::from_static(agent));
        all.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        all.extend(headers.iter().map(|(name, value)| (name.clone(), value.clone())));
        // What belongs to one request is written with it.
        let own = [header::CONTENT_TYPE, header::CONTENT_LENGTH, header::TRANSFER_ENCODING];
        for name in own {
            all.remove(name);
        }
        let mut text = Vec::new();
        if !all.contains_key(header::HOST) {
            let host = &base[url::Position::BeforeHost..url::Position::AfterPort];
            push_header(&mut text, "host", host.as_bytes());
        }
        for (name, value) in &all {
            push_header(&mut text, name.as_str(), value.as_bytes());
        }
        let pool = Pool::new(Host::of(base, &endpoint.addresses)?, endpoint.timeouts.connect);
        Some(Self { pool: Arc::new(pool), headers: text.into() })
    }

    /// Connections made so far.
    pub(super) fn connections(&self) -> u64 {
        self.pool.made()
    }

    /// What became of the host's addresses, where it has several.
    pub(super) fn resolver(&self) -> &Resolver {
        self.pool.resolver()
    }

    /// Opens connections until `count` are idle, some at a time; the first that fails ends it.
    pub(super) async fn open_ahead(&self, count: usize) {
        self.pool.open_ahead(count).await;
    }

    /// The part of the head that every request to `url` shares, from the path on.
    pub(super) fn head(&self, url: &Url) -> Vec<u8> {
        let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let mut head = format!("{target} HTTP/1.1\r\n").into_bytes();
        head.extend_from_slice(&self.headers);
        head
    }

    /// Writes the request's bytes; its body is from then on a part of them.
    #[expect(clippy::unused_self, reason = "only a wire has requests that are bytes")]
    pub(super) fn complete(&self, post: &mut Post) {
        let Post { method, target, own, body, .. } = &*post;
        let mut whole = Vec::with_capacity(target.head.len() + body.len() + 160);
        whole.extend_from_slice(method.as_str().as_bytes());
        whole.push(b' ');
        whole.extend_from_slice(&target.head);
        if !body.is_empty() {
            push_header(&mut whole, "content-type", target.content_type.as_bytes());
        }
        if let Some(id) = &own.request_id {
            push_header(&mut whole, "x-request-id", id.as_bytes());
        }
        for (name, value) in &own.named {
            push_header(&mut whole, name.as_str(), value.as_bytes());
        }
        if !body.is_empty() || *method != super::Method::Get {
            push_header(&mut whole, "content-length", body.len().to_string().as_bytes());
        }
        whole.extend_from_slice(b"\r\n");
        let start = whole.len();
        whole.extend_from_slice(body);
        post.whole = whole.into();
        post.body = post.whole.slice(start..);
    }

    /// Sends it and waits for the response's head. Dropping the future closes the connection.
    pub(super) async fn send(
        &self,
        whole: &Bytes,
        dial: &Dial,
        again: bool,
    ) -> Result<Reply, Fault> {
        let kept = if again { None } else { self.pool.take() };
        dial.begin(kept.as_ref().is_none_or(|idle| idle.ahead.is_some()));
        let (mut stream, used) = match kept {
            Some(Idle { stream, ahead: None, address, .. }) => {
                dial.addressed(address);
                (stream, Used { reused: true, address, ..Used::default() })
            }
            Some(Idle { stream, since, ahead, address }) => {
                dial.connected(&stream, since, address);
                (stream, Used { ahead, connected: Some(since), address, ..Used::default() })
            }
            None => {
                let Idle { stream, since, address, .. } = self.pool.connect().await?;
                dial.connected(&stream, since, address);
                (stream, Used { connected: Some(since), address, ..Used::default() })
            }
        };
        let mut asking = Asking { unsent: whole, head: Vec::new() };
        let answer = poll_fn(|cx| asking.poll(&mut stream, cx)).await;
        let Answer { head, body, taken } = answer.map_err(|broken| {
            let heard = !asking.head.is_empty();
            Fault { heard, ..broken.fault(used) }
        })?;
        let mut reply = Reply {
            body,
            keep: head.keep_alive && asking.unsent.is_empty(),
            head,
            used,
            piece: None,
            broken: None,
            stream: Some(stream),
            pool: Arc::clone(&self.pool),
        };
        reply.note(taken);
        Ok(reply)
    }
}

fn push_header(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

/// What went wrong with an open connection.
#[derive(Debug)]
enum Broken {
    /// The peer closed it where no answer may end.
    Closed,
    Io(io::Error),
    Http(String),
}

impl Broken {
    fn fault(self, used: Used) -> Fault {
        let (kind, message) = match self {
            Self::Closed => (FaultKind::Closed, "the connection closed".to_owned()),
            Self::Io(error) => (FaultKind::Reset, error.to_string()),
            Self::Http(message) => (FaultKind::Http, message),
        };
        Fault { kind, message, used, heard: false }
    }
}

/// A request on its way, until the head of its answer is there.
struct Asking<'a> {
    unsent: &'a [u8],
    /// The start of a head that came in pieces.
    head: Vec<u8>,
}

impl Asking<'_> {
    /// Writes what can be written and reads what is there: a server may refuse a long prompt
    /// before all of it is sent.
    fn poll(
        &mut self,
        stream: &mut TcpStream,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Answer, Broken>> {
        let mut failed = None;
        while !self.unsent.is_empty() {
            match Pin::new(&mut *stream).poll_write(cx, self.unsent) {
                Poll::Ready(Ok(written)) => self.unsent = &self.unsent[written..],
                Poll::Ready(Err(error)) => {
                    failed = Some(error);
                    break;
                }
                Poll::Pending => break,
            }
        }
        loop {
            let read = poll_read(stream, cx, |bytes| self.parse(bytes));
            return match read {
                Poll::Ready(Ok(Ok(None))) => continue,
                Poll::Ready(Ok(Ok(Some(found)))) => Poll::Ready(Ok(found)),
                Poll::Ready(Ok(Err(broken))) => Poll::Ready(Err(broken)),
                Poll::Ready(Err(error)) => Poll::Ready(Err(Broken::Io(error))),
                Poll::Pending => match failed {
                    Some(error) => Poll::Ready(Err(Broken::Io(error))),
                    None => Poll::Pending,
                },
            };
        }
    }

    /// Takes what was read; the head and what came behind it, once it is whole.
    fn parse(&mut self, bytes: &[u8]) -> Result<Option<Answer>, Broken> {
        if bytes.is_empty() {
            return Err(if self.head.is_empty() {
                Broken::Closed
            } else {
                Broken::Http("the connection closed inside the headers".to_owned())
            });
        }
        if self.head.is_empty()
            && let Some(found) = first_answer(bytes)?
        {
            return Ok(Some(found));
        }
        let had = self.head.len();
        self.head.extend_from_slice(bytes);
        if had > 0
            && let Some(found) = first_answer(&self.head)?
        {
            return Ok(Some(found));
        }
        if self.head.len() > MAX_HEAD_BYTES {
            return Err(Broken::Http(format!("headers of more than {MAX_HEAD_BYTES} bytes")));
        }
        Ok(None)
    }
}

/// An answer's head, and what came of its body in the same read.
struct Answer {
    head: Head,
    body: Body,
    taken: Taken,
}

/// The first head that is an answer (and no `100 Continue`), and the bytes behind it.
fn first_answer(mut bytes: &[u8]) -> Result<Option<Answer>, Broken> {
    loop {
        match Head::parse(bytes).map_err(Broken::Http)? {
            Parsed::Partial => return Ok(None),
            Parsed::Informational(length) => bytes = &bytes[length..],
            Parsed::Answer(head, length) => {
                let mut body = Body::new(&head);
                let taken = body.begin(&bytes[length..]);
                return Ok(Some(Answer { head, body, taken }));
            }
        }
    }
}

/// Reads once and hands the bytes over, none at the stream's end.
fn poll_read<T>(
    stream: &mut TcpStream,
    cx: &mut Context<'_>,
    take: impl FnOnce(&[u8]) -> T,
) -> Poll<io::Result<T>> {
    BUFFER.with_borrow_mut(|buffer| {
        let mut space = ReadBuf::new(buffer);
        match Pin::new(stream).poll_read(cx, &mut space) {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(take(space.filled()))),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    })
}

/// An answer whose head is here.
#[derive(Debug)]
pub(in crate::client) struct Reply {
    head: Head,
    body: Body,
    used: Used,
    /// Whether the connection may be used again when the body has ended.
    keep: bool,
    /// A part of the body that was read and not asked for yet.
    piece: Option<Bytes>,
    /// What broke behind bytes that were still good.
    broken: Option<Broken>,
    /// Absent once the body has ended or broken.
    stream: Option<TcpStream>,
    pool: Arc<Pool>,
}

impl Reply {
    pub(super) fn status(&self) -> u16 {
        self.head.status
    }

    pub(super) fn used(&self) -> Used {
        self.used
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    /// The next piece of the body. Whatever one read brings is one piece: it arrived at once.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Fault> {
        loop {
            if let Some(piece) = self.piece.take() {
                return Ok(Some(piece));
            }
            if let Some(broken) = self.broken.take() {
                return Err(broken.fault(self.used));
            }
            let Self { stream: Some(stream), body, .. } = self else { return Ok(None) };
            let read = poll_fn(|cx| poll_read(stream, cx, |bytes| body.take(bytes))).await;
            match read {
                Ok(taken) => self.note(taken),
                Err(error) => {
                    self.stream = None;
                    self.broken = Some(Broken::Io(error));
                }
            }
        }
    }

    /// Keeps what a read brought; at the body's end the connection is free for the next request.
    fn note(&mut self, taken: Taken) {
        self.piece = (!taken.data.is_empty()).then(|| taken.data.into());
        let stream = match taken.then {
            Then::More => return,
            Then::Whole => self.stream.take().filter(|_| self.keep),
            Then::WholeAndMore => None,
            Then::Closed => {
                self.broken = Some(Broken::Closed);
                None
            }
            Then::Broken(message) => {
                self.broken = Some(Broken::Http(message.to_owned()));
                None
            }
        };
        self.stream = None;
        if let Some(stream) = stream {
            self.pool.put(stream, self.used.address);
        }
    }
}

//! The leanest server of streamed chat answers: the other end of the floor's measurements.
//!
//! One thread, a fixed answer made once, no parsing beyond the request's length: so that, on a core
//! of its own, it is never the slower end. Without `--gap-ms` an answer of `--tokens` tokens (and
//! four events around them) leaves in one write; with it each token is a write of its own.
//! `runner simulate` is the server for everything but speed.
//!
//! ```text
//! taskset -c 1 cargo run --release --example stream_server -- --port 8123
//! ```

use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep_until};

const MODELS: &str = "{\"object\":\"list\",\"data\":[{\"id\":\"floor\",\"object\":\"model\",\
    \"max_model_len\":131072}]}";

/// Serves fixed streams on a loopback port until it is stopped.
#[derive(Debug, Parser)]
struct Arguments {
    #[arg(long, default_value_t = 8123)]
    port: u16,
    /// Tokens of each answer.
    #[arg(long, default_value_t = 16)]
    tokens: u32,
    /// Milliseconds until the first token.
    #[arg(long, default_value_t = 0)]
    first_ms: u64,
    /// Milliseconds between tokens; 0 sends the whole answer at once.
    #[arg(long, default_value_t = 0)]
    gap_ms: u64,
}

/// The bytes of an answer, cut where they are written.
struct Answer {
    head: Vec<u8>,
    tokens: Vec<Vec<u8>>,
    end: Vec<u8>,
    whole: Vec<u8>,
    first: Duration,
    gap: Duration,
}

impl Answer {
    fn new(arguments: &Arguments) -> Self {
        let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\
            transfer-encoding: chunked\r\n\r\n"
            .to_vec();
        let role = chunk(&event("{\"role\":\"assistant\",\"content\":\"\"}", "null"));
        let token =
            |number| chunk(&event(&format!("{{\"content\":\" token{number:03}\"}}"), "null"));
        let mut tokens: Vec<_> = (0..arguments.tokens.max(1)).map(token).collect();
        tokens[0].splice(0..0, role);
        let usage = format!(
            "data: {{\"id\":\"chatcmpl-floor\",\"object\":\"chat.completion.chunk\",\
             \"created\":1795296213,\"model\":\"floor\",\"choices\":[],\"usage\":{{\
             \"prompt_tokens\":20,\"completion_tokens\":{tokens},\"total_tokens\":{total}}}}}\n\n",
            tokens = tokens.len(),
            total = tokens.len() + 20,
        );
        let mut end = chunk(&event("{}", "\"length\""));
        end.extend(chunk(&usage));
        end.extend(chunk("data: [DONE]\n\n"));
        end.extend(b"0\r\n\r\n");
        let whole = [head.clone(), tokens.concat(), end.clone()].concat();
        let (first, gap) = (arguments.first_ms, arguments.gap_ms);
        let (first, gap) = (Duration::from_millis(first), Duration::from_millis(gap));
        Self { head, tokens, end, whole, first, gap }
    }

    async fn write(&self, socket: &mut TcpStream) -> std::io::Result<()> {
        if self.gap.is_zero() && self.first.is_zero() {
            return socket.write_all(&self.whole).await;
        }
        let mut due = Instant::now() + self.first;
        socket.write_all(&self.head).await?;
        for token in &self.tokens {
            sleep_until(due).await;
            socket.write_all(token).await?;
            due += self.gap;
        }
        socket.write_all(&self.end).await
    }
}

/// One event as vLLM sends it.
fn event(delta: &str, finish_reason: &str) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-0a1b2c3d4e5f6071\",\"object\":\"chat.completion.chunk\",\
         \"created\":1795296213,\"model\":\"floor\",\"choices\":[{{\"index\":0,\"delta\":{delta},\
         \"logprobs\":null,\"finish_reason\":{finish_reason}}}]}}\n\n"
    )
}

/// `body` as one chunk of HTTP.
fn chunk(body: &str) -> Vec<u8> {
    format!("{:x}\r\n{body}\r\n", body.len()).into_bytes()
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let answer = Rc::new(Answer::new(&arguments));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let listener = listen(arguments.port).context("cannot listen")?;
        eprintln!("stream_server listening on http://127.0.0.1:{}/v1", arguments.port);
        loop {
            let (socket, _) = listener.accept().await?;
            socket.set_nodelay(true)?;
            let answer = Rc::clone(&answer);
            tokio::task::spawn_local(async move {
                // A client that leaves in the middle is none of our business.
                let _left = converse(socket, &answer).await;
            });
        }
    })
}

fn listen(port: u16) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
    socket.listen(4096)
}

/// Answers one request after another.
async fn converse(mut socket: TcpStream, answer: &Answer) -> std::io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    let mut filled = 0;
    loop {
        let Some((head, length)) = whole_request(&buffer[..filled]) else {
            if filled == buffer.len() {
                buffer.resize(2 * filled, 0);
            }
            let read = socket.read(&mut buffer[filled..]).await?;
            if read == 0 {
                return Ok(());
            }
            filled += read;
            continue;
        };
        let is_post = buffer.starts_with(b"POST ");
        let is_models = buffer[..head].windows(8).any(|part| part == b"/models ");
        buffer.copy_within(length..filled, 0);
        filled -= length;
        if is_post {
            answer.write(&mut socket).await?;
            continue;
        }
        let (status, body) = if is_models { ("200 OK", MODELS) } else { ("404 Not Found", "{}") };
        let length = body.len();
        let text = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\
             \r\n\r\n{body}"
        );
        socket.write_all(text.as_bytes()).await?;
    }
}

/// Lengths of the head and of the whole of the first request, once all of it is there.
fn whole_request(bytes: &[u8]) -> Option<(usize, usize)> {
    let head = memchr::memmem::find(bytes, b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..head]).ok()?;
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let whole = head + length.unwrap_or(0);
    (bytes.len() >= whole).then_some((head, whole))
}

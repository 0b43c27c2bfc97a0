//! An HTTP client of nothing but TCP, so that nothing hides what is on the wire.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use runner::simulator::Simulator;
use serde_json::{Value, json};

use super::PATIENCE;

pub struct Client {
    pub stream: TcpStream,
    unread: Vec<u8>,
}

pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
    /// When each chunk of the body had arrived.
    pub chunks: Vec<(Instant, String)>,
    /// Whether the body ended as its headers promised.
    pub complete: bool,
}

impl Client {
    pub fn new(simulator: &Simulator) -> Self {
        let stream = TcpStream::connect(simulator.address()).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, unread: Vec::new() }
    }

    pub fn send(&mut self, method: &str, path: &str, headers: &str, body: &str) {
        let length = body.len();
        let text = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\n{headers}content-length: {length}\r\n\r\n{body}"
        );
        self.stream.write_all(text.as_bytes()).expect("it reads");
    }

    pub fn ask(&mut self, method: &str, path: &str, body: &str) -> Response {
        self.send(method, path, "", body);
        self.receive()
    }

    pub fn get(&mut self, path: &str) -> Response {
        self.ask("GET", path, "")
    }

    pub fn chat(&mut self, body: &Value) -> Response {
        self.ask("POST", "/v1/chat/completions", &body.to_string())
    }

    /// More bytes; false at the end of the connection.
    pub fn fill(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(read) => {
                self.unread.extend_from_slice(&buffer[..read]);
                read > 0
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("the simulator neither answers nor closes: {error}"),
        }
    }

    pub fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.unread.drain(..end + 2).collect::<Vec<_>>();
                return Some(String::from_utf8(line[..end].to_vec()).expect("text"));
            }
            if !self.fill() {
                return None;
            }
        }
    }

    pub fn exactly(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.unread.len() < length {
            if !self.fill() {
                return None;
            }
        }
        Some(self.unread.drain(..length).collect())
    }

    pub fn head(&mut self) -> (u16, String) {
        let mut head = String::new();
        while let Some(line) = self.line().filter(|line| !line.is_empty()) {
            head.push_str(&line.to_ascii_lowercase());
            head.push('\n');
        }
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.unwrap_or(0), head)
    }

    /// Reads to the end of the connection; whether the body came to a proper end.
    pub fn receive_rest(&mut self) -> bool {
        while self.fill() {}
        self.unread.ends_with(b"0\r\n\r\n")
    }

    pub fn receive(&mut self) -> Response {
        let (status, head) = self.head();
        let mut response =
            Response { status, head, body: Vec::new(), chunks: Vec::new(), complete: false };
        let length = response
            .head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map(|length| length.parse().expect("a number"));
        if let Some(length) = length {
            if let Some(body) = self.exactly(length) {
                (response.body, response.complete) = (body, true);
            } else {
                response.body = std::mem::take(&mut self.unread);
            }
            return response;
        }
        while let Some(line) = self.line() {
            let length = usize::from_str_radix(&line, 16).expect("a chunk's length");
            let Some(chunk) = self.exactly(length + 2) else { break };
            if length == 0 {
                response.complete = true;
                break;
            }
            let text = String::from_utf8(chunk[..length].to_vec()).expect("text");
            response.body.extend_from_slice(text.as_bytes());
            response.chunks.push((Instant::now(), text));
        }
        response
    }
}

impl Response {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// The data of every event.
    pub fn events(&self) -> Vec<&str> {
        self.chunks
            .iter()
            .map(|(_, text)| {
                text.strip_prefix("data: ")
                    .and_then(|text| text.strip_suffix("\n\n"))
                    .expect("an event")
            })
            .collect()
    }

    pub fn content(&self) -> String {
        self.events()
            .iter()
            .filter_map(|event| serde_json::from_str::<Value>(event).ok())
            .filter_map(|event| event["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
            .collect()
    }

    pub fn usage(&self) -> Value {
        let events = self.events();
        let event: Value = serde_json::from_str(events[events.len() - 2]).expect("JSON");
        assert_eq!(event["choices"], json!([]));
        event["usage"].clone()
    }
}

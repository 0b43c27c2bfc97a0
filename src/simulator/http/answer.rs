//! Responses: status, headers and body → the bytes of a socket.
//!
//! In: what is to be said. Out: bytes, whole or a chunk at a time, so that whoever writes them knows
//! the moment of each. Invariant: a chunk is never empty but for the one that ends the body.

/// A whole response.
pub fn response(status: u16, content_type: &str, body: &[u8], keep_alive: bool) -> Vec<u8> {
    response_with(status, content_type, &[], body, keep_alive)
}

/// A whole response with further headers.
pub fn response_with(
    status: u16,
    content_type: &str,
    headers: &[(&str, String)],
    body: &[u8],
    keep_alive: bool,
) -> Vec<u8> {
    let close = if keep_alive { "" } else { "connection: close\r\n" };
    let mut more = String::new();
    for (name, value) in headers {
        more.extend([*name, ": ", value.as_str(), "\r\n"]);
    }
    let mut out = format!(
        "HTTP/1.1 {status} {}\r\nserver: runner-simulator\r\n{close}content-type: {content_type}\r\n\
         {more}content-length: {}\r\n\r\n",
        reason(status),
        body.len()
    )
    .into_bytes();
    out.extend_from_slice(body);
    out
}

/// The head of a response whose body follows in chunks.
pub fn stream_head(content_type: &str, keep_alive: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(b"HTTP/1.1 200 OK\r\nserver: runner-simulator\r\ncontent-type: ");
    out.extend_from_slice(content_type.as_bytes());
    out.extend_from_slice(b"\r\n");
    if !keep_alive {
        out.extend_from_slice(b"connection: close\r\n");
    }
    out.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
}

/// One server-sent event in a chunk of its own, from the pieces of its JSON.
pub fn push_event(pieces: &[&str], out: &mut Vec<u8>) {
    let length: usize = pieces.iter().map(|piece| piece.len()).sum();
    push_hex("data: ".len() + length + "\n\n".len(), out);
    out.extend_from_slice(b"\r\ndata: ");
    for piece in pieces {
        out.extend_from_slice(piece.as_bytes());
    }
    out.extend_from_slice(b"\n\n\r\n");
}

/// Bytes in a chunk of their own; nothing at all when there are none, since an empty chunk would end
/// the body.
pub fn push_chunk(bytes: &[u8], out: &mut Vec<u8>) {
    if !bytes.is_empty() {
        push_hex(bytes.len(), out);
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(bytes);
        out.extend_from_slice(b"\r\n");
    }
}

fn push_hex(value: usize, out: &mut Vec<u8>) {
    let digits = (usize::BITS - value.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        out.push(b"0123456789abcdef"[(value >> (4 * place)) & 15]);
    }
}

/// The chunk that ends a body.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Status",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_chunk_of_the_right_length() {
        let mut out = Vec::new();
        push_event(&["{\"a\":", "1}"], &mut out);
        assert_eq!(out, b"f\r\ndata: {\"a\":1}\n\n\r\n");
        let (long, mut out) = ("x".repeat(4096 - 8), Vec::new());
        push_event(&[&long], &mut out);
        assert!(out.starts_with(b"1000\r\n"));
    }

    #[test]
    fn every_header_ends_its_line() {
        let headers = [("x-queue-time", "2".to_owned())];
        let text = response_with(200, "text/plain", &headers, b"hi", false);
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("\r\nx-queue-time: 2\r\ncontent-length: 2\r\n\r\nhi"), "{text:?}");
        assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
    }
}

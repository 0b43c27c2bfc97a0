//! A request as it will be sent, for people: `runner plan --request STAGE`.
//!
//! In: a prepared request. Out: its text: request line, headers, body. Invariant: it is made from
//! the very bytes that would be sent, not from what they were made of; secrets are hidden by value.

use std::fmt::Write;

use http::header::HeaderMap;
use serde_json::Value;

use super::{Client, Prepared};

/// Bodies longer than this are cut: a prompt may be a book.
const MOST_BODY: usize = 64 * 1024;

impl Client {
    /// Method, URL, headers and the body on indented lines, with every secret replaced by `***`.
    /// The one thing that differs from the wire is the body's white space. Sends nothing.
    pub fn show(&self, prepared: &Prepared) -> String {
        let (method, url, body) = prepared.post.parts();
        let mut out = format!("{} {url}\n", method.as_str());
        for headers in [&self.headers, &prepared.post.headers()] {
            push_headers(headers, &mut out);
        }
        // Writing into a string has no way to fail.
        let _written = writeln!(out, "content-length: {}\n", body.len());
        match serde_json::from_slice::<Value>(body).and_then(|it| serde_json::to_string_pretty(&it))
        {
            Ok(pretty) => out.push_str(&pretty),
            Err(_) => out.push_str(&String::from_utf8_lossy(body)),
        }
        let mut shown = self.redactor.redact(&out).into_owned();
        if shown.len() > MOST_BODY {
            let cut = (0..=MOST_BODY).rev().find(|at| shown.is_char_boundary(*at)).unwrap_or(0);
            let left_out = shown.len() - cut;
            shown.truncate(cut);
            let _written = write!(shown, "\n… and {left_out} bytes more");
        }
        shown
    }
}

fn push_headers(headers: &HeaderMap, out: &mut String) {
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        let _written = writeln!(out, "{name}: {value}");
    }
}

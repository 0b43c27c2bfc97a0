//! Lines as they stand in the log.
//!
//! In: a [`Line`] and its number. Out: its bytes. Invariant: they are what serde makes of the line,
//! with `seq` behind `type`; the two kinds that nearly all lines are of are written by hand, which
//! takes half the time.

use std::io::Write;

use serde::Serialize;

use crate::record::{Connection, Line, Record, StartLine, TokenCounts};

/// Appends `line` as it stands in the log: `type` first, then `seq`, and a newline at its end.
pub fn encode(line: &Line, seq: u64, out: &mut Vec<u8>) -> serde_json::Result<()> {
    match line {
        Line::Start(start) => Fields::of("start", seq, out).start(start)?,
        Line::End(record) => Fields::of("end", seq, out).end(record)?,
        _ => {
            let start = out.len();
            serde_json::to_writer(&mut *out, line)?;
            // An internally tagged enum writes its tag first, and every line has a field behind it.
            if let Some(comma) = out[start..].iter().position(|byte| *byte == b',') {
                let at = start + comma;
                out.splice(at..at, format!(",\"seq\":{seq}").into_bytes());
            }
        }
    }
    out.push(b'\n');
    Ok(())
}

/// An object that has been begun. Each name is given as it stands behind the value before it.
struct Fields<'o> {
    out: &'o mut Vec<u8>,
}

impl<'o> Fields<'o> {
    fn of(tag: &str, seq: u64, out: &'o mut Vec<u8>) -> Self {
        // Writing into memory has no way to fail.
        let _infallible = write!(out, "{{\"type\":\"{tag}\",\"seq\":{seq}");
        Self { out }
    }

    fn put(&mut self, name: &'static str, value: &impl Serialize) -> serde_json::Result<()> {
        self.out.extend_from_slice(name.as_bytes());
        serde_json::to_writer(&mut *self.out, value)
    }

    /// A field that is left out when it is absent.
    fn put_some<T: Serialize>(
        &mut self,
        name: &'static str,
        value: Option<&T>,
    ) -> serde_json::Result<()> {
        value.map_or(Ok(()), |value| self.put(name, value))
    }

    fn start(&mut self, line: &StartLine) -> serde_json::Result<()> {
        let StartLine { stage, cell, rung, index, due_ns, sent_ns } = line;
        self.put(",\"stage\":", stage)?;
        self.put_some(",\"cell\":", cell.as_ref())?;
        self.put_some(",\"rung\":", rung.as_ref())?;
        self.put(",\"index\":", index)?;
        self.put(",\"due_ns\":", due_ns)?;
        self.put(",\"sent_ns\":", sent_ns)?;
        self.out.push(b'}');
        Ok(())
    }

    fn end(&mut self, record: &Record) -> serde_json::Result<()> {
        let Record {
            stage,
            cell,
            rung,
            index,
            request_id,
            prompt_hash,
            session,
            due_ns,
            sent_ns,
            connecting_ns,
            connected_ns,
            headers_ns,
            first_event_ns,
            first_token_ns,
            first_content_ns,
            last_token_ns,
            usage_ns,
            end_ns,
            token_ns,
            choices,
            outcome,
            http_status,
            error,
            input_tokens,
            output_tokens,
            reasoning_tokens,
            cached_tokens,
            cache,
            finish_reason,
            asked_model,
            other_model,
            response_id,
            timings,
            connection: Connection { reused, address },
            bytes_in,
            flags,
            impossible,
        } = record;
        self.put(",\"stage\":", stage)?;
        self.put(",\"cell\":", cell)?;
        self.put(",\"rung\":", rung)?;
        self.put(",\"index\":", index)?;
        self.put(",\"request_id\":", request_id)?;
        self.put_some(",\"prompt_hash\":", prompt_hash.as_ref())?;
        self.put_some(",\"session\":", session.as_ref())?;
        self.put(",\"due_ns\":", due_ns)?;
        self.put(",\"sent_ns\":", sent_ns)?;
        self.put_some(",\"connecting_ns\":", connecting_ns.as_ref())?;
        self.put(",\"connected_ns\":", connected_ns)?;
        self.put(",\"headers_ns\":", headers_ns)?;
        self.put(",\"first_event_ns\":", first_event_ns)?;
        self.put(",\"first_token_ns\":", first_token_ns)?;
        self.put(",\"first_content_ns\":", first_content_ns)?;
        self.put(",\"last_token_ns\":", last_token_ns)?;
        self.put(",\"usage_ns\":", usage_ns)?;
        self.put(",\"end_ns\":", end_ns)?;
        self.put(",\"token_ns\":", token_ns)?;
        self.put_some(",\"choices\":", (!choices.is_empty()).then_some(choices))?;
        self.put(",\"outcome\":", outcome)?;
        self.put(",\"http_status\":", http_status)?;
        self.put(",\"error\":", error)?;
        self.tokens(",\"input_tokens\":{", input_tokens)?;
        self.tokens(",\"output_tokens\":{", output_tokens)?;
        self.put_some(",\"reasoning_tokens\":", reasoning_tokens.as_ref())?;
        self.put(",\"cached_tokens\":", cached_tokens)?;
        self.put(",\"cache\":", cache)?;
        self.put(",\"finish_reason\":", finish_reason)?;
        self.put_some(",\"asked_model\":", asked_model.as_ref())?;
        self.put_some(",\"other_model\":", other_model.as_ref())?;
        self.put_some(",\"response_id\":", response_id.as_ref())?;
        self.put_some(",\"timings\":", timings.as_ref())?;
        self.put(",\"connection\":{\"reused\":", reused)?;
        self.put_some(",\"address\":", address.as_ref())?;
        self.put("},\"bytes_in\":", bytes_in)?;
        self.put_some(",\"flags\":", (!flags.is_empty()).then_some(flags))?;
        self.put_some(",\"impossible\":", (!impossible.is_empty()).then_some(impossible))?;
        self.out.push(b'}');
        Ok(())
    }

    fn tokens(&mut self, name: &'static str, counts: &TokenCounts) -> serde_json::Result<()> {
        let TokenCounts { server, tokenizer, events, estimate } = counts;
        self.out.extend_from_slice(name.as_bytes());
        let first = self.out.len();
        self.put_some(",\"server\":", server.as_ref())?;
        self.put_some(",\"tokenizer\":", tokenizer.as_ref())?;
        self.put_some(",\"events\":", events.as_ref())?;
        self.put_some(",\"estimate\":", estimate.as_ref())?;
        // No comma stands before the first of them.
        if self.out.len() > first {
            self.out.remove(first);
        }
        self.out.push(b'}');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tally::fixture::{record, stage_end, stage_start, start_line};
    use crate::record::{ErrorInfo, OutcomeKind, ServerTimings, StageState};

    /// What serde makes of a line, and `seq` put behind its first field.
    fn by_serde(line: &Line, seq: u64) -> String {
        let plain = serde_json::to_string(line).expect("plain data");
        let (tag, rest) = plain.split_once(',').expect("fields");
        format!("{tag},\"seq\":{seq},{rest}\n")
    }

    #[test]
    fn lines_are_byte_for_byte_what_serde_makes_of_them() {
        let full = Record {
            stage: "a \"b\" \n ü".into(),
            cell: Some("model=a".into()),
            rung: Some(2.5),
            prompt_hash: Some("00ff".into()),
            session: Some("chat-1".into()),
            connecting_ns: Some(3),
            token_ns: vec![4, 4, 5],
            choices: vec![0, 1, 0],
            connection: Connection {
                reused: true,
                address: Some(std::net::Ipv4Addr::LOCALHOST.into()),
            },
            error: Some(ErrorInfo { class: "http.503".into(), message: "no".into(), raw: None }),
            outcome: OutcomeKind::NeverStarted,
            input_tokens: TokenCounts {
                server: Some(1),
                tokenizer: Some(2),
                events: Some(3),
                estimate: Some(4),
            },
            reasoning_tokens: Some(9),
            asked_model: Some("lora".into()),
            other_model: Some("b \"c\"".into()),
            response_id: Some("chatcmpl-1".into()),
            timings: Some(ServerTimings { prompt_ms: Some(1.0), ..ServerTimings::default() }),
            flags: vec!["no_done".into(), "x".into()],
            impossible: [("input_tokens".into(), 100), ("cached_tokens".into(), u64::MAX)].into(),
            ..record()
        };
        let empty = Record {
            rung: Some(4.0),
            due_ns: None,
            sent_ns: None,
            end_ns: None,
            token_ns: Vec::new(),
            http_status: None,
            output_tokens: TokenCounts::default(),
            cached_tokens: None,
            finish_reason: None,
            ..record()
        };
        let in_cell = StartLine { cell: Some("a=1".into()), rung: Some(1e21), ..start_line(7) };
        for (seq, line) in (9..).zip([
            Line::End(Box::new(full)),
            Line::End(Box::new(empty)),
            Line::End(Box::new(record())),
            Line::Start(start_line(u64::MAX)),
            Line::Start(in_cell),
            Line::StageStart(stage_start(1)),
            Line::StageEnd(stage_end(StageState::Completed)),
        ]) {
            let mut bytes = b"before".to_vec();
            encode(&line, seq, &mut bytes).expect("plain data");
            let text = String::from_utf8(bytes).expect("text");
            assert_eq!(text, format!("before{}", by_serde(&line, seq)));
        }
    }
}

//! Messages as Ollama writes them.
//!
//! In: a request's messages. Out: its messages, in which images stand beside the text and arguments of
//! calls are objects; and forms of fields. Invariant: images go by value; a link is refused.

use serde_json::{Map, Value, json};

use super::super::NoForm;
use super::super::beside::{Form, Forms, as_it_is};
use super::super::part::{Part, calls, data_url, only, unknown};
use super::super::prompt::nothing_more;
use crate::request::{Content, Message};

/// What `/api/generate` calls fields of chat completions.
pub(super) const FORMS: Forms = Forms {
    within: Some("options"),
    same: &[
        "seed",
        "top_p",
        "top_k",
        "min_p",
        "presence_penalty",
        "frequency_penalty",
        "typical_p",
        "repeat_penalty",
        "repeat_last_n",
        "mirostat",
        "mirostat_tau",
        "mirostat_eta",
        "num_ctx",
    ],
    own: &OWN,
};

/// What `/api/chat` calls them: it has tools, and no text behind the answer.
pub(super) const CHAT_FORMS: Forms = Forms { own: &CHAT_OWN, ..FORMS };

const OWN: [(&str, Form); 8] = [
    ("response_format", Form::By("format", format)),
    ("stop", Form::ListAs("stop")),
    ("repetition_penalty", Form::As("repeat_penalty")),
    ("reasoning_effort", Form::By("think", as_it_is)),
    ("logprobs", Form::By("logprobs", as_it_is)),
    ("top_logprobs", Form::By("top_logprobs", as_it_is)),
    ("options", Form::By("options", as_it_is)),
    ("suffix", Form::By("suffix", as_it_is)),
];

const CHAT_OWN: [(&str, Form); 8] = {
    let [a, b, c, d, e, f, options, _] = OWN;
    [a, b, c, d, e, f, options, ("tools", Form::By("tools", as_it_is))]
};

fn format(format: &Value) -> Result<Option<Value>, &'static str> {
    match (format.get("type").and_then(Value::as_str), format.pointer("/json_schema/schema")) {
        (Some("text"), _) => Ok(None),
        (Some("json_object"), _) => Ok(Some("json".into())),
        (Some("json_schema"), Some(schema)) => Ok(Some(schema.clone())),
        _ => Err("it takes text, json_object or json_schema"),
    }
}

/// The messages of a chat.
pub(super) fn messages(messages: &[Message]) -> Result<Vec<Value>, NoForm> {
    let mut all = Vec::with_capacity(messages.len());
    for (position, message) in messages.iter().enumerate() {
        let parts = pieces(message, position)?;
        for (text, images) in &parts[..parts.len() - 1] {
            all.push(piece(&message.role, text, images).into());
        }
        let (text, images) = &parts[parts.len() - 1];
        all.push(said(message, position, piece(&message.role, text, images))?);
    }
    Ok(all)
}

/// A text, and the images before it: all that one message can hold in order.
type Piece = (String, Vec<Value>);

/// A message's content as a message has it, or as several of the same role, which is how the server's own
/// `OpenAI` API reads parts. One at least.
fn pieces(message: &Message, position: usize) -> Result<Vec<Piece>, NoForm> {
    let at = format!("messages/{position}/content");
    let parts = match &message.content {
        Content::Text(words) => return Ok(vec![(words.clone(), Vec::new())]),
        Content::Null | Content::Absent => return Ok(vec![Piece::default()]),
        Content::Ids(_) | Content::Item => return Err(NoForm::of(at, "it takes no token ids")),
        Content::Parts(parts) => parts,
    };
    let mut pieces = vec![Piece::default()];
    let mut has_text = false;
    for (number, part) in parts.iter().enumerate() {
        let at = format!("{at}/{number}");
        if has_text {
            pieces.push(Piece::default());
        }
        let last = pieces.len() - 1;
        let (text, images) = &mut pieces[last];
        match Part::of(part) {
            Part::Text(words) => {
                only(part, &["type", "text"], &at)?;
                words.clone_into(text);
            }
            Part::Image(url, None | Some("auto")) => {
                only(part, &["type", "image_url", "detail"], &at)?;
                let data = data_url(url).map(|(_, data)| data);
                let why = "it takes images as base64, not as links";
                images.push(data.ok_or_else(|| NoForm::of(at, why))?.into());
            }
            Part::Image(..) => return Err(NoForm::of(at, "it knows no detail of images")),
            Part::File(_) => return Err(unknown("file", &at)),
            Part::Other(kind) => return Err(unknown(kind, &at)),
        }
        has_text = matches!(Part::of(part), Part::Text(_));
    }
    if message.role == "tool" && pieces.len() > 1 {
        return Err(NoForm::of(at, "here a tool's result is one text"));
    }
    Ok(pieces)
}

fn piece(role: &str, text: &str, images: &[Value]) -> Map<String, Value> {
    let mut own = Map::new();
    own.insert("role".into(), role.into());
    own.insert("content".into(), text.into());
    if !images.is_empty() {
        own.insert("images".into(), images.into());
    }
    own
}

/// The last piece of a message, with what stands beside its content.
fn said(message: &Message, position: usize, mut own: Map<String, Value>) -> Result<Value, NoForm> {
    let at = format!("messages/{position}");
    let known: &[&str] = match message.role.as_str() {
        "tool" => &["tool_call_id", "name", "tool_name"],
        "function" => return Err(NoForm::of(format!("{at}/role"), "it takes results of tools")),
        "assistant" => &["tool_calls", "reasoning_content", "thinking"],
        _ => &["images"],
    };
    nothing_more(message, known)
        .map_err(|name| NoForm::of(format!("{at}/{name}"), "it has no such field"))?;
    for (name, value) in &message.more {
        let name = match name.as_str() {
            "tool_calls" => continue,
            "name" => "tool_name",
            "reasoning_content" => "thinking",
            same => same,
        };
        match (own.get_mut(name), value) {
            // Images of the content, and those beside it.
            (Some(Value::Array(images)), Value::Array(more)) => images.extend(more.clone()),
            (Some(other), value) if other != value => {
                return Err(NoForm::of(format!("{at}/{name}"), "the message says it twice"));
            }
            _ => drop(own.insert(name.to_owned(), value.clone())),
        }
    }
    let calls = calls(message, position)?;
    if !calls.is_empty() {
        let calls = calls.iter().map(|call| {
            let arguments = call.object(&format!("{at}/tool_calls"))?;
            let function = json!({"name": call.name, "arguments": arguments});
            Ok(json!({"id": call.id, "type": "function", "function": function}))
        });
        own.insert("tool_calls".into(), calls.collect::<Result<Vec<_>, NoForm>>()?.into());
    }
    Ok(own.into())
}

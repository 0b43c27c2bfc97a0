//! What is asked → token ids, and the words of generated answers.
//!
//! In: messages, tools, plain text or token ids. Out: token ids: four characters of text to a token, so
//! that the plan's estimate of lengths is exact here; [`MEDIA_TOKENS`] for an image, a sound or a file,
//! whatever its size; a token for each id; and for all else (tools, calls, results, names) its names
//! and values as text. Invariant: equal beginnings give equal tokens, different content different ones,
//! and an answer that comes back as a later `assistant` message gives the very tokens it was generated
//! as: the cache sees conversations grow as a real server's does.

use serde_json::{Map, Value};

/// Characters of text in one token.
pub const CHARS_PER_TOKEN: usize = 4;

/// Tokens of an image, a sound or a file.
pub const MEDIA_TOKENS: u64 = 256;

/// Ids of the chat template's own tokens. ASCII text never has this bit in its lowest byte, and
/// the ids of other text have the top bit set, so that the three never meet.
const TEMPLATE: u32 = 0x80;
/// Tokens that open every chat, as a model's own system prompt does: half of the default block.
const PREAMBLE: std::ops::Range<u32> = TEMPLATE + 1..TEMPLATE + 9;
const END_OF_MESSAGE: u32 = TEMPLATE + 9;
const ROLES: u32 = TEMPLATE + 10;

/// Appends the tokens of `text`.
pub fn push_text(text: &str, out: &mut Vec<u32>) {
    out.reserve(text.len() / CHARS_PER_TOKEN + 1);
    if text.is_ascii() {
        out.extend(text.as_bytes().chunks(CHARS_PER_TOKEN).map(ascii_id));
        return;
    }
    let mut chars = text.chars();
    while !chars.as_str().is_empty() {
        let rest = chars.as_str();
        chars.by_ref().take(CHARS_PER_TOKEN).for_each(drop);
        let piece = &rest.as_bytes()[..rest.len() - chars.as_str().len()];
        out.push(if piece.is_ascii() { ascii_id(piece) } else { other_id(piece) });
    }
}

/// Up to four ASCII bytes are their own id.
fn ascii_id(piece: &[u8]) -> u32 {
    piece.iter().rev().fold(0, |id, byte| id << 8 | u32::from(*byte))
}

/// FNV-1a, kept apart from ASCII by the top bit.
fn other_id(piece: &[u8]) -> u32 {
    let hash = piece
        .iter()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    hash | 0x8000_0000
}

/// Appends the tokens of token ids, one for each.
pub fn push_ids<'i>(ids: impl IntoIterator<Item = &'i Value>, out: &mut Vec<u32>) {
    out.extend(ids.into_iter().map(|id| other_id(id.to_string().as_bytes())));
}

/// Appends the tokens of what stands in a message or beside it.
pub fn push(value: &Value, out: &mut Vec<u32>) {
    match value {
        Value::Null => {}
        Value::String(text) => push_text(text, out),
        Value::Array(items) => items.iter().for_each(|item| push(item, out)),
        Value::Object(fields) => match kind_of(fields) {
            Kind::Text(text) => push_text(text, out),
            Kind::Media => push_media(value, out),
            Kind::Other => push_fields(fields, &[], out),
        },
        other => push_text(&other.to_string(), out),
    }
}

/// What an object is to a model.
enum Kind<'f> {
    Text(&'f str),
    Media,
    Other,
}

fn kind_of(fields: &Map<String, Value>) -> Kind<'_> {
    let kind = fields.get("type").and_then(Value::as_str);
    match (kind, fields.get("text")) {
        (None | Some("text" | "input_text" | "output_text"), Some(Value::String(text))) => {
            Kind::Text(text)
        }
        (
            Some(
                "image_url" | "input_image" | "image" | "input_audio" | "video_url" | "file"
                | "input_file" | "document",
            ),
            _,
        ) => Kind::Media,
        _ => Kind::Other,
    }
}

/// Ids that stand for this very content.
fn push_media(content: &Value, out: &mut Vec<u32>) {
    let hash = chain(0, &[other_id(content.to_string().as_bytes())]);
    out.extend(
        (0..MEDIA_TOKENS).map(|place| other_id(&mix(hash.wrapping_add(place)).to_le_bytes())),
    );
}

/// Names and values, but for those `read` already. Images that stand beside a text are a list of them.
fn push_fields(fields: &Map<String, Value>, read: &[&str], out: &mut Vec<u32>) {
    for (name, value) in fields.iter().filter(|(name, _)| !read.contains(&name.as_str())) {
        match value {
            Value::Null => {}
            Value::Array(images) if name == "images" => {
                for image in images {
                    push_media(image, out);
                }
            }
            value => {
                push_text(name, out);
                push(value, out);
            }
        }
    }
}

/// The tokens of a chat: preamble, `tools`, the messages between their marks, and the mark after which
/// the answer starts.
pub fn chat<'m>(
    tools: impl IntoIterator<Item = &'m Value>,
    messages: impl IntoIterator<Item = &'m Value>,
) -> Vec<u32> {
    let mut out: Vec<u32> = PREAMBLE.collect();
    tools.into_iter().for_each(|tools| push(tools, &mut out));
    for message in messages {
        let role = message.get("role").and_then(Value::as_str);
        out.push(role_id(role.unwrap_or("assistant")));
        push(message.get("content").unwrap_or(&Value::Null), &mut out);
        if let Value::Object(fields) = message {
            push_fields(fields, &["role", "content"], &mut out);
        }
        out.push(END_OF_MESSAGE);
    }
    out.push(role_id("assistant"));
    out
}

fn role_id(role: &str) -> u32 {
    let place = ["system", "developer", "user", "assistant", "tool"]
        .iter()
        .position(|known| *known == role)
        .unwrap_or(5);
    ROLES + u32::try_from(place).unwrap_or(5)
}

/// Mixes 64 bits well (the finaliser of splitmix64).
pub fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Continues a hash chain over `tokens`.
pub fn chain(parent: u64, tokens: &[u32]) -> u64 {
    tokens.iter().fold(parent, |hash, token| {
        mix(hash.wrapping_add(0x9e37_79b9_7f4a_7c15) ^ u64::from(*token))
    })
}

/// A generated answer: which word stands where, as a pure function of the simulator's seed and the
/// prompt, so that the same prompt gets the same answer in whatever order requests arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    key: u64,
}

impl Answer {
    /// The answer to a prompt.
    pub fn new(seed: u64, prompt: &[u32]) -> Self {
        Self { key: chain(mix(seed), prompt) }
    }

    /// The text of token `index`: always four characters, so always one token of ours.
    pub fn word(self, index: u64) -> &'static str {
        let words = if index == 0 { &FIRST[..] } else { &NEXT[..] };
        let draw = mix(self.key.wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let place = draw % words.len() as u64;
        words.get(usize::try_from(place).unwrap_or(0)).copied().unwrap_or(" and")
    }

    /// Its id.
    pub fn token(self, index: u64) -> u32 {
        ascii_id(self.word(index).as_bytes())
    }
}

const FIRST: [&str; 16] = [
    "Once", "This", "Here", "When", "What", "Some", "Each", "Then", "Many", "Most", "Both", "From",
    "With", "They", "Over", "Such",
];

const NEXT: [&str; 128] = [
    " the", " and", " for", " its", " all", " any", " are", " but", " can", " day", " did", " end",
    " far", " few", " get", " had", " has", " her", " him", " his", " how", " let", " lot", " low",
    " man", " map", " may", " men", " met", " new", " not", " now", " off", " old", " one", " our",
    " out", " own", " per", " put", " ran", " run", " saw", " say", " sea", " see", " set", " she",
    " sky", " sun", " ten", " too", " top", " two", " use", " war", " was", " way", " who", " why",
    " win", " won", " yes", " yet", " you", " act", " add", " age", " ago", " aid", " air", " arm",
    " art", " ask", " ate", " bad", " bag", " bed", " big", " bit", " box", " boy", " bus", " buy",
    " car", " cat", " cow", " cry", " cup", " cut", " dog", " dry", " due", " ear", " eat", " egg",
    " eye", " fit", " fly", " fun", " gas", " hot", " ice", " job", " key", " kid", " law", " lay",
    " led", " leg", " lie", " lip", " log", " mix", " nor", " oil", " pay", " pen", " red", " row",
    " sit", " six", " tea", " tie", " toe", " try", " wet", " win",
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(messages: &[(&str, &str)]) -> Vec<u32> {
        let message = |(role, text): &(&str, &str)| json!({"role": role, "content": text});
        let messages: Vec<Value> = messages.iter().map(message).collect();
        chat(None, &messages)
    }

    fn ids(text: &str) -> Vec<u32> {
        let mut out = Vec::new();
        push_text(text, &mut out);
        out
    }

    #[test]
    fn four_characters_are_one_token_in_any_script() {
        assert_eq!(ids("").len(), 0);
        assert_eq!(ids("abcd").len(), 1);
        assert_eq!(ids("abcde").len(), 2);
        assert_eq!(ids("żółw płynie").len(), 3);
        assert_eq!(ids("日本語で書く").len(), 2);
    }

    #[test]
    fn a_longer_text_keeps_the_tokens_of_its_prefix() {
        let long = ids("The quick brown fox — naïve, not quick — jumps over the lazy dog.");
        let short = ids("The quick brown fox — naïve, not");
        assert_eq!(long[..short.len()], short[..]);
    }

    #[test]
    fn an_answer_sent_back_has_the_tokens_it_was_generated_as() {
        let prompt = said(&[("user", "Hello there, how are you?")]);
        let answer = Answer::new(7, &prompt);
        let text: String = (0..50).map(|index| answer.word(index)).collect();
        let mut generated = prompt.clone();
        generated.extend((0..50).map(|index| answer.token(index)));
        let next = said(&[
            ("user", "Hello there, how are you?"),
            ("assistant", text.as_str()),
            ("user", "And now?"),
        ]);
        assert_eq!(next[..generated.len()], generated[..]);
    }

    #[test]
    fn the_same_seed_and_prompt_give_the_same_words_and_others_do_not() {
        let text = |seed, prompt: &str| -> String {
            let answer = Answer::new(seed, &said(&[("user", prompt)]));
            (0..20).map(|index| answer.word(index)).collect()
        };
        assert_eq!(text(1, "a question"), text(1, "a question"));
        assert_ne!(text(1, "a question"), text(2, "a question"));
        assert_ne!(text(1, "a question"), text(1, "b question"));
    }

    #[test]
    fn every_word_is_one_token_of_plain_ascii() {
        for word in FIRST.iter().chain(&NEXT) {
            assert!(word.is_ascii() && word.len() == CHARS_PER_TOKEN, "{word:?}");
            assert!(!word.contains(['"', '\\']), "{word:?} would need escaping in JSON");
        }
    }

    #[test]
    fn images_calls_results_and_tools_are_read_whole() {
        let image = |data: &str| json!({"type": "image_url", "image_url": {"url": data}});
        let asked = |parts: Value| chat(None, &[json!({"role": "user", "content": parts})]);
        let text = json!({"type": "text", "text": "abcd"});
        let none = asked(json!([text]));
        let one = asked(json!([text, image("data:a")]));
        assert_eq!((one.len() - none.len()) as u64, MEDIA_TOKENS);
        assert_eq!(asked(json!([text, image(&"x".repeat(9999))])).len(), one.len());
        let other = asked(json!([text, image("data:b")]));
        assert_eq!(one[..none.len() - 2], other[..none.len() - 2], "the text before is shared");
        assert_ne!(one, other);
        let beside = chat(None, &[json!({"role": "user", "content": "abcd", "images": ["QQ=="]})]);
        assert_eq!(beside.len(), one.len());

        let call = |id: &str| {
            let function = json!({"name": "f", "arguments": "{}"});
            let calls = json!([{"id": id, "type": "function", "function": function}]);
            chat(None, &[json!({"role": "assistant", "content": null, "tool_calls": calls})])
        };
        assert_ne!(call("c1"), call("c2"));
        let result = |id: &str| {
            chat(None, &[json!({"role": "tool", "content": "abcd", "tool_call_id": id})])
        };
        assert_ne!(result("c1"), result("c2"));
        let tools = json!([{"type": "function", "function": {"name": "f"}}]);
        assert!(chat(Some(&tools), &[]).len() > chat(None, &[]).len());
        let mut ids = Vec::new();
        push_ids(&[json!(7), json!(5_000_000_000_u64)], &mut ids);
        assert_eq!(ids.len(), 2);
        assert_ne!(ids[0], ids[1]);
    }
}

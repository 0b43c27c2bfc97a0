//! Text → token ids, and the words of generated answers.
//!
//! In: messages or plain text. Out: token ids, four characters to a token, so that the plan's
//! estimate of lengths is exact here. Invariant: equal text prefixes give equal token prefixes, and
//! an answer that comes back as a later `assistant` message gives the very tokens it was generated
//! as: the cache sees conversations grow as a real server's does.

/// Characters of text in one token.
pub const CHARS_PER_TOKEN: usize = 4;

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

/// The tokens of a chat: preamble, the messages between their marks, and the mark after which the
/// answer starts.
pub fn chat<'a>(messages: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<u32> {
    let mut out: Vec<u32> = PREAMBLE.collect();
    for (role, content) in messages {
        out.push(role_id(role));
        push_text(content, &mut out);
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
    use super::*;

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
        let prompt = chat([("user", "Hello there, how are you?")]);
        let answer = Answer::new(7, &prompt);
        let text: String = (0..50).map(|index| answer.word(index)).collect();
        let mut generated = prompt.clone();
        generated.extend((0..50).map(|index| answer.token(index)));
        let next = chat([
            ("user", "Hello there, how are you?"),
            ("assistant", text.as_str()),
            ("user", "And now?"),
        ]);
        assert_eq!(next[..generated.len()], generated[..]);
    }

    #[test]
    fn the_same_seed_and_prompt_give_the_same_words_and_others_do_not() {
        let text = |seed, prompt: &str| -> String {
            let answer = Answer::new(seed, &chat([("user", prompt)]));
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
}

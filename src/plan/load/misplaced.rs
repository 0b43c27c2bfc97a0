//! Secrets that stand where no secret is expected.
//!
//! In: the texts of a plan, whether they can be read or not. Out: what in them is likely a secret, by its
//! form or by the name before it, for the redactor: a diagnostic shows the line that it is about. Invariant:
//! what came out of `${…}` is not looked at; the redactor knows those values already.

/// How keys of common services begin.
const FORMS: [&str; 16] = [
    "sk-",
    "sk_",
    "pk-",
    "rk-",
    "hf_",
    "ghp_",
    "gho_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "AKIA",
    "AIza",
    "eyJ",
    "nvapi-",
    "gsk_",
];
/// Shortest key of such a form.
const FORMED: usize = 12;
/// Names before what is a secret and nothing else.
const NAMES: [&str; 12] = [
    "api_key",
    "apikey",
    "api-key",
    "x-api-key",
    "password",
    "passwd",
    "secret",
    "client_secret",
    "authorization",
    "bearer",
    "access_token",
    "auth_token",
];
/// Shortest secret behind such a name.
const NAMED: usize = 8;
/// Names before what may be one, if it looks like it.
const VAGUE: [&str; 8] =
    ["token", "key", "auth", "credential", "credentials", "secret_key", "private_key", "api_token"];
/// Shortest of them.
const VAGUELY_NAMED: usize = 16;

/// What in a text of a plan is likely a secret.
pub(super) fn secrets(text: &str) -> Vec<&str> {
    let separates = |c: char| c.is_whitespace() || "\"'`,;:={}[]()<>".contains(c);
    let mut found = Vec::new();
    let mut before = "";
    for piece in written(text) {
        for word in piece.split(separates).filter(|word| !word.is_empty()) {
            let is_mixed =
                word.contains(|c: char| c.is_ascii_digit()) && word.contains(char::is_alphabetic);
            let is_after = |names: &[&str]| names.iter().any(|it| it.eq_ignore_ascii_case(before));
            let is_formed = FORMS.iter().any(|form| word.starts_with(form));
            if (is_formed && is_mixed && word.len() >= FORMED)
                || (is_after(&NAMES) && word.len() >= NAMED && !is_name(word))
                || (is_after(&VAGUE) && is_mixed && word.len() >= VAGUELY_NAMED)
            {
                found.push(word);
            }
            before = word;
        }
        // What follows a reference does not belong to the name before it.
        before = "";
    }
    found
}

fn is_name(word: &str) -> bool {
    NAMES.iter().any(|name| name.eq_ignore_ascii_case(word))
}

/// The parts of a text outside of `${…}`.
fn written(text: &str) -> impl Iterator<Item = &str> {
    text.split("${").enumerate().map(|(at, piece)| match piece.split_once('}') {
        Some((_, rest)) if at > 0 => rest,
        _ => piece,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_known_by_their_form_or_by_the_name_before_them() {
        let text = "stages:\n  - kind: cold\n    api_key: \"correct-horse\"\n  - { token: 0123456789abcdef01 }\n\
                    x = 'sk-live-0001-abcd' # Authorization: Bearer abcdefgh\nurl: hf_aBcDeFgHiJ123";
        assert_eq!(
            secrets(text),
            [
                "correct-horse",
                "0123456789abcdef01",
                "sk-live-0001-abcd",
                "abcdefgh",
                "hf_aBcDeFgHiJ123"
            ]
        );
    }

    #[test]
    fn ordinary_words_are_none() {
        let text = "api_key: ${secret:OPENAI_KEY_2}\nmax_tokens: 64\ntokenizer: server\nkey: conversation_id\n\
                    params: { tok: { type: string, secret: true, env: [TOKEN_OF_MINE_1] } }\napi_key: EMPTY\n\
                    session_header: x-session-id\nmodel: sk-model";
        assert_eq!(secrets(text), Vec::<&str>::new());
    }
}

//! Where the parts of a row stand, when their names are not the format's own.

/// JSON pointers (`/request/messages`; in CSV `/Column name`) to a row's parts. What a pointer
/// names takes the place of what the format would have taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldPointers {
    /// An array of messages.
    pub messages: Option<String>,
    /// A plain prompt.
    pub prompt: Option<String>,
    /// A system message put before the others.
    pub system: Option<String>,
    /// When the request arrived: a number (see `timestamp_unit`) or a calendar stamp.
    pub timestamp: Option<String>,
    /// The session whose turns never overlap.
    pub session: Option<String>,
    /// The row's own id.
    pub id: Option<String>,
    /// The model that was asked.
    pub model: Option<String>,
    /// Upper bound of generated tokens.
    pub max_tokens: Option<String>,
    /// Tokens that were generated.
    pub output_tokens: Option<String>,
    /// Prompt tokens, for rows without text.
    pub input_tokens: Option<String>,
    /// Ids of the prompt's blocks, for rows without text.
    pub hash_ids: Option<String>,
}

impl FieldPointers {
    /// The parts of a row, as plans and the command line name them.
    pub const NAMES: [&str; 11] = [
        "messages",
        "prompt",
        "system",
        "timestamp",
        "session",
        "id",
        "model",
        "max_tokens",
        "output_tokens",
        "input_tokens",
        "hash_ids",
    ];

    /// The pointer to the part of that name.
    pub fn named(&mut self, name: &str) -> Option<&mut Option<String>> {
        Some(match name {
            "messages" => &mut self.messages,
            "prompt" => &mut self.prompt,
            "system" => &mut self.system,
            "timestamp" => &mut self.timestamp,
            "session" => &mut self.session,
            "id" => &mut self.id,
            "model" => &mut self.model,
            "max_tokens" => &mut self.max_tokens,
            "output_tokens" => &mut self.output_tokens,
            "input_tokens" => &mut self.input_tokens,
            "hash_ids" => &mut self.hash_ids,
            _ => return None,
        })
    }

    /// Those that are given.
    pub fn given(&self) -> Vec<String> {
        let mut own = self.clone();
        Self::NAMES.iter().filter_map(|name| own.named(name)?.take()).collect()
    }

    /// Whether none is given.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

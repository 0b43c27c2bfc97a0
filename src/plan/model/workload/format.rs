//! The formats of datasets and traces, and their words.

/// The formats of datasets and traces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DatasetFormat {
    /// One JSON object per line; the fields are for templates, and a prompt is taken from
    /// `messages`, `prompt` or `text` where there is one. A JSON text is a prompt.
    Jsonl,
    /// The same objects in a JSON array (or several values in a row).
    Json,
    /// A header and records; the columns are for templates.
    Csv,
    /// Each file is one row.
    Text,
    /// Each line is one prompt.
    Lines,
    /// `[{id, conversations: [{from, value}]}]`, also with `role` and `content`.
    ShareGpt,
    /// `{messages: [{role, content}], …}` per line or element; what `dataset convert` writes.
    OpenaiMessages,
    /// `{custom_id, method, url, body}` per line.
    OpenaiBatch,
    /// One prompt per JSON value: an array of messages, or an object with `messages`.
    PromptFile,
    /// `[{prompt_content, cut_chat_history: [{role, content}]}]`.
    ChatHistory,
    /// Log lines: a calendar stamp, then JSON with `[Log chat request] {…}` in its `message`.
    ReplayLog,
    /// `{timestamp, conversation_id, messages: [{role, content: [token ids]}]}` per line.
    TokenLog,
    /// `{timestamp, input_length, output_length, hash_ids}` per line, blocks of 512 tokens.
    Mooncake,
    /// `{chat_id, parent_chat_id, timestamp, input_length, output_length, hash_ids}` per line
    /// (Alibaba Cloud's Bailian), blocks of 16 tokens.
    Bailian,
    /// CSV `TIMESTAMP,ContextTokens,GeneratedTokens`.
    Azure,
    /// CSV `Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,…`.
    BurstGpt,
    /// `{body, timestamp, completion_tokens?}` per line.
    EvalscopeTrace,
    /// `{id, t, in, out, hash_ids}`, or sessions with `requests` of these; blocks of 64 tokens.
    Weka,
}

impl DatasetFormat {
    /// Every format, in the order in which help texts name them.
    pub const ALL: [Self; 18] = [
        Self::Jsonl,
        Self::Json,
        Self::Csv,
        Self::Text,
        Self::Lines,
        Self::ShareGpt,
        Self::OpenaiMessages,
        Self::OpenaiBatch,
        Self::PromptFile,
        Self::ChatHistory,
        Self::ReplayLog,
        Self::TokenLog,
        Self::Mooncake,
        Self::Bailian,
        Self::Azure,
        Self::BurstGpt,
        Self::EvalscopeTrace,
        Self::Weka,
    ];

    /// The plan's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Text => "text",
            Self::Lines => "lines",
            Self::ShareGpt => "sharegpt",
            Self::OpenaiMessages => "openai-messages",
            Self::OpenaiBatch => "openai-batch",
            Self::PromptFile => "prompt-file",
            Self::ChatHistory => "chat-history",
            Self::ReplayLog => "replay-log",
            Self::TokenLog => "token-log",
            Self::Mooncake => "mooncake",
            Self::Bailian => "bailian",
            Self::Azure => "azure",
            Self::BurstGpt => "burstgpt",
            Self::EvalscopeTrace => "evalscope-trace",
            Self::Weka => "weka",
        }
    }

    /// The format of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }
}

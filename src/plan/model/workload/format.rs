//! The formats of datasets and traces, and their words.

use crate::plan::model::words::words;

words! {
    /// The formats of datasets and traces.
    pub enum DatasetFormat {
        /// One JSON object per line; the fields are for templates, and a prompt is taken from
        /// `messages`, `prompt` or `text` where there is one. A JSON text is a prompt.
        Jsonl = "jsonl",
        /// The same objects in a JSON array (or several values in a row).
        Json = "json",
        /// A header and records; the columns are for templates.
        Csv = "csv",
        /// Each file is one row.
        Text = "text",
        /// Each line is one prompt.
        Lines = "lines",
        /// `[{id, conversations: [{from, value}]}]`, also with `role` and `content`.
        ShareGpt = "sharegpt",
        /// `{messages: [{role, content}], …}` per line or element; what `dataset convert` writes.
        OpenaiMessages = "openai-messages",
        /// `{custom_id, method, url, body}` per line.
        OpenaiBatch = "openai-batch",
        /// One prompt per JSON value: an array of messages, or an object with `messages`.
        PromptFile = "prompt-file",
        /// `[{prompt_content, cut_chat_history: [{role, content}]}]`.
        ChatHistory = "chat-history",
        /// Log lines: a calendar stamp, then JSON with `[Log chat request] {…}` in its `message`.
        ReplayLog = "replay-log",
        /// `{timestamp, conversation_id, messages: [{role, content: [token ids]}]}` per line.
        TokenLog = "token-log",
        /// `{timestamp, input_length, output_length, hash_ids}` per line, blocks of 512 tokens.
        Mooncake = "mooncake",
        /// `{chat_id, parent_chat_id, timestamp, input_length, output_length, hash_ids}` per line
        /// (Alibaba Cloud's Bailian), blocks of 16 tokens.
        Bailian = "bailian",
        /// CSV `TIMESTAMP,ContextTokens,GeneratedTokens`.
        Azure = "azure",
        /// CSV `Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,…`.
        BurstGpt = "burstgpt",
        /// `{body, timestamp, completion_tokens?}` per line.
        EvalscopeTrace = "evalscope-trace",
        /// `{id, t, in, out, hash_ids}`, or sessions with `requests` of these; blocks of 64 tokens.
        Weka = "weka",
    }
}

impl DatasetFormat {
    /// The format of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|format| format.word() == name)
    }
}

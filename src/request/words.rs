//! In which API's words a row was written.

/// The words of a request's messages and of the fields beside them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Words {
    /// Those of chat completions.
    #[default]
    Chat,
    /// Those of the responses API.
    Responses {
        /// Whether the first message is what stood in `instructions`.
        instructs: bool,
    },
}

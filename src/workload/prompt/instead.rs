//! What a prompt without messages says: recorded rows, or texts of a given shape.
//!
//! In: the plan's prompt, and who counts. Out: what makes its texts. Invariant: texts of one stage or
//! rung are told from those of others, and from those of other runs unless the plan says never.

use serde_json::Map;

use super::{PromptSettings, ask, unread};
use crate::plan::Prompt;
use crate::plan::workload::{PrefixText, Unique, Uniqueness};
use crate::workload::WorkloadError;
use crate::workload::store::Store;
use crate::workload::synthetic::text::Texts;
use crate::workload::synthetic::{Identity, SyntheticWorkload};
use crate::workload::tokenizer::Tokenizer;

/// What is said where the plan has no messages.
pub(super) enum Instead {
    /// It has.
    Nothing,
    /// Rows as they were recorded; the texts are for those that have none.
    Rows(Texts),
    /// Texts of a given shape.
    Synthetic(Box<SyntheticWorkload>),
}

impl Instead {
    pub(super) fn new(
        prompt: &Prompt,
        unique: Unique,
        settings: &PromptSettings<'_>,
        (key, store): (&str, &Store),
        tokenizer: &Tokenizer,
    ) -> Result<Self, WorkloadError> {
        if !prompt.messages.is_empty() {
            return Ok(Self::Nothing);
        }
        let PromptSettings { seed, run_nonce, .. } = *settings;
        let unique = match unique {
            Unique::Never => Uniqueness::Never,
            Unique::Request | Unique::Run => Uniqueness::PerRun,
        };
        let Some(config) = prompt.synthetic.as_deref().cloned() else {
            return Ok(Self::Rows(Texts::new(seed, run_nonce, unique, tokenizer.clone())));
        };
        let document = match config.prefix.as_ref().map(|prefix| &prefix.text) {
            Some(PrefixText::File(path)) => Some(store.document(path).ok_or_else(|| unread(path))?),
            Some(PrefixText::Generated) | None => None,
        };
        let ask = ask(prompt, Map::new());
        let identity = Identity { seed, run_nonce, key, unique };
        SyntheticWorkload::new(config, ask, identity, document.as_deref(), tokenizer.clone())
            .map(|prompts| Self::Synthetic(Box::new(prompts)))
    }
}
